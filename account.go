package cordon

import "fmt"

// Account is a customer of the provider.
type Account struct {
	ID        string
	Reference string // the provider's own customer number; unique, empty if it has none
	Name      string
	Sort      AccountSort
	Locale    string // BCP 47, in which the customer is spoken to; empty: the provider's
	Policy    Policy // of its sites that have none; empty: the provider's
	Created   Time
	Version   int64 // grows with every change; 0: not stored yet
}

// AccountSort is what kind of customer an account is.
type AccountSort string

// The sorts of accounts.
const (
	Household AccountSort = "household"
	Business  AccountSort = "business" // may have several sites
)

// Site is one home or business premises with one router.
type Site struct {
	ID        string
	Account   string // Account.ID
	Reference string // the provider's own number of the line; unique, empty if it has none
	Name      string
	Area      string // access area: homes behind one aggregation point
	Group     string // operators' grouping, for policy and roll-out
	Policy    Policy // empty: the account's
	Installer string // User.ID of who sets the site up; empty after the hand-over
	Created   Time
	Version   int64
}

// Router is the device at a site on which the agent runs.
type Router struct {
	ID      string
	Serial  string // as the maker printed it; unique
	Site    string // Site.ID
	Account string // of the site
	Area    string // of the site
	Model   string
	State   RouterState
	Key     string // public key of its identity, as NATS writes user keys ("U…"); empty before enrolment
	Claim   Claim

	Enrolled Time // 0: never
	Seen     Time // 0: never; the last time that anything came from it
	Online   bool // its connection stands
	Boot     uint32
	Agent    string // version of the agent
	Wire     uint32 // version of the messages that it speaks
	Health   Health // as it last told
	Enforced uint64 // version of the desired state that it enforces
	Created  Time
	Version  int64
}

// RouterState is how far a router has come.
type RouterState string

// The states of a router.
const (
	RouterExpected RouterState = "expected" // imported, has not enrolled yet
	RouterEnrolled RouterState = "enrolled"
	RouterReset    RouterState = "reset"   // may enrol again, with the operator's consent
	RouterRevoked  RouterState = "revoked" // nothing of it is accepted
)

// Claim is how a router proves at its first start that it is the one that was
// imported: by a secret of which the hash is known, or by a key of its maker.
type Claim struct {
	SecretHash [32]byte // SHA-256 of the secret; zero: none
	Key        [32]byte // Ed25519 public key; zero: none
	Expires    Time     // 0: never
}

// Zero reports whether c proves nothing.
func (c Claim) Zero() bool { return c.SecretHash == [32]byte{} && c.Key == [32]byte{} }

// Health is how a router's agent is.
type Health struct {
	At       Time
	Mode     string // "normal" or "safe"
	Why      string // of the mode, one sentence
	Policy   Policy
	Eyes     string // "kernel", "ring"
	Boot     uint32
	Uptime   int64 // seconds
	Resident int64 // bytes
	Devices  uint32
	InForce  uint32        // actions that change what passes
	Clock    bool          // the wall clock is trusted
	Lacks    []Shortcoming // blind spots, "port: name"
	Parts    []Part
	Counters map[string]uint64
	Lost     uint64 // reports that had to go because core was away too long
}

// Part is one organ of an agent: eyes, hands, guard, flash, uplink.
type Part struct {
	Name  string
	State string // "ok", "degraded", "failed", "off"
	Why   string
}

// Presence is what is known of a router's connection at a moment. Of what a hello
// told, empty fields say nothing.
type Presence struct {
	Router string // Router.ID
	Online bool
	At     Time // the moment; an older one never replaces a newer one

	Agent string // version of the agent
	Wire  uint32 // version of the messages that it speaks
	Boot  uint32
}

// Lag is a router that enforces less than is desired.
type Lag struct {
	Site     string
	Router   string
	Desired  uint64 // Desired.Version
	Enforced uint64 // Enforced.Version
}

// ParseAccountSort returns the sort of that name.
func ParseAccountSort(s string) (AccountSort, error) {
	switch a := AccountSort(s); a {
	case Household, Business:
		return a, nil
	}
	return "", fmt.Errorf("sort of account %q: want household or business", s)
}
