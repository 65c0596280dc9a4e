package cordon

import (
	"fmt"
	"slices"
)

// User is a person who may log in, or a program that has a token of its own.
type User struct {
	ID       string
	Email    string // lower case; unique; empty: logs in by token only
	Name     string
	Locale   string
	Password string // argon2id in PHC form; empty: no password
	Disabled bool
	Grants   []Grant
	Created  Time
	Version  int64
}

// Grant is a role and where it holds. Roles of the provider's staff hold everywhere.
type Grant struct {
	Role    Role
	Account string // of owner, member and business administrator
	Site    string // of installer
}

// Role is what somebody may do.
type Role string

// The roles.
const (
	RoleOwner         Role = "owner"         // customer: everything of the account
	RoleMember        Role = "member"        // customer: sees the account, acts on devices
	RoleBusiness      Role = "business"      // administrator of a business with several sites
	RoleInstaller     Role = "installer"     // a site, until its hand-over
	RoleAnalyst       Role = "analyst"       // the whole network, homes by pseudonym
	RoleOperator      Role = "operator"      // routers, sites, accounts
	RoleAdministrator Role = "administrator" // everything, also people
)

// Roles is every role, customers first.
var Roles = []Role{RoleOwner, RoleMember, RoleBusiness, RoleInstaller, RoleAnalyst, RoleOperator, RoleAdministrator}

// Staff reports whether r is a role of the provider's own people.
func (r Role) Staff() bool { return r == RoleAnalyst || r == RoleOperator || r == RoleAdministrator }

// ParseRole returns the role of that name.
func ParseRole(s string) (Role, error) {
	if r := Role(s); slices.Contains(Roles, r) {
		return r, nil
	}
	return "", fmt.Errorf("role %q: want one of %q", s, Roles)
}

// Passkey is a WebAuthn credential of a user.
type Passkey struct {
	ID      []byte // credential id
	User    string
	Name    string // as the user calls it
	Data    []byte // what the WebAuthn library keeps of it
	Created Time
	Used    Time
}

// Session is a log-in in a browser.
type Session struct {
	Hash    [32]byte // SHA-256 of the token in the cookie
	User    string
	Agent   string // the browser, for the user to recognise; hostile text
	Addr    string
	Created Time
	Expires Time
}

// Token lets a program use the API for a user, or a person in for the first time.
type Token struct {
	ID      string
	Hash    [32]byte // SHA-256 of the token
	User    string
	Name    string
	Use     TokenUse
	Grants  []Grant // never more than the user's own
	Created Time
	Used    Time
	Expires Time // never zero
}

// TokenUse is what a token opens.
type TokenUse string

// The uses of tokens.
const (
	TokenAPI        TokenUse = ""           // the API, as often as wanted
	TokenInvitation TokenUse = "invitation" // once: a password or passkey for its user
)

// Scope is whose records somebody may see. The zero Scope is nobody's.
type Scope struct {
	All      bool
	Accounts []string
	Sites    []string
}

// Audit is a line of the record of who changed what, and of which staff looked at
// whose data.
type Audit struct {
	ID      string
	At      Time
	User    string // User.ID; empty: core itself
	Who     string // as a person reads it
	Role    Role
	Verb    string // "router.import", "device.quarantine", "incident.view"
	Account string // whose; empty: nobody's
	Site    string
	Object  string // "device 02:00:…", "router R…"
	Reason  string
	Result  string // "ok", or why not
	Addr    string // from where
}

// Webhook is where a customer wants to be told.
type Webhook struct {
	ID      string
	Account string
	URL     string
	Secret  []byte // key of the HMAC that signs each call
	Events  []EventSort
	Level   Level // incidents from this level
	Created Time
	Failed  int // times in a row
	Version int64
}
