package auth

import "cordon"

// Verb is something that a person may want to see or do. It is also what the record
// of changes calls it.
type Verb string

// The verbs. What each means stands in table.
const (
	AccountView   Verb = "account.view"
	AccountCreate Verb = "account.create"
	AccountChange Verb = "account.change"
	AccountPolicy Verb = "account.policy"
	AccountExport Verb = "account.export"
	AccountErase  Verb = "account.erase"

	SiteView     Verb = "site.view"
	SiteCreate   Verb = "site.create"
	SiteChange   Verb = "site.change"
	SitePlace    Verb = "site.place"
	SitePolicy   Verb = "site.policy"
	SiteDesired  Verb = "site.desired"
	SiteHandOver Verb = "site.handover"

	RouterView   Verb = "router.view"
	RouterImport Verb = "router.import"
	RouterRevoke Verb = "router.revoke"
	RouterReset  Verb = "router.reset"

	DeviceView     Verb = "device.view"
	DeviceChange   Verb = "device.change"
	DevicePolicy   Verb = "device.policy"
	DeviceRestrict Verb = "device.restrict"
	DeviceRelease  Verb = "device.release"
	DeviceAsk      Verb = "device.ask"

	IncidentView  Verb = "incident.view"
	IncidentClose Verb = "incident.close"
	DetectionView Verb = "detection.view"
	ActionView    Verb = "action.view"
	EventListen   Verb = "event.listen"

	WebhookView   Verb = "webhook.view"
	WebhookChange Verb = "webhook.change"

	PersonView   Verb = "person.view"
	PersonInvite Verb = "person.invite"
	PersonRemove Verb = "person.remove"
	PersonChange Verb = "person.change"
	PersonReset  Verb = "person.reset"
	PersonErase  Verb = "person.erase"
	AuditView    Verb = "audit.view"

	CaseOpen     Verb = "case.open"
	NetworkView  Verb = "network.view"
	ShadowView   Verb = "shadow.view"
	ShadowChange Verb = "shadow.change"
	SystemView   Verb = "system.view"
	SystemChange Verb = "system.change"

	SelfView   Verb = "self.view"
	SelfChange Verb = "self.change"
	SelfToken  Verb = "self.token"
)

// cell is how far a role may go with a verb, from least to most.
type cell uint8

const (
	no     cell = iota
	inCase      // in homes of which the person has a case open
	veiled      // everywhere, homes by pseudonym until a case is open
	yes
)

// row is a verb with what it means and what each role may.
type row struct {
	verb Verb
	text string
	// may has a cell for each of cordon.Roles, in that order.
	may [7]cell
	// inPerson keeps programs from it: a token is not enough.
	inPerson bool
}

// table is who may see and do what: the one place. A customer's roles reach the
// account of their grant, an installer's the site, the provider's everything.
// docs/roles.md is written from it.
var table = []row{
	//                                                             owner member business installer analyst operator administrator
	{AccountView, "see an account", [7]cell{yes, yes, yes, no, veiled, yes, yes}, false},
	{AccountCreate, "add an account", [7]cell{no, no, no, no, no, yes, yes}, false},
	{AccountChange, "change an account's name and language", [7]cell{yes, no, yes, no, no, yes, yes}, false},
	{AccountPolicy, "say how far routers may go at an account's sites", [7]cell{yes, no, yes, no, no, yes, yes}, false},
	{AccountExport, "take an account's data along", [7]cell{yes, no, yes, no, no, no, yes}, false},
	{AccountErase, "erase an account with everything of it", [7]cell{no, no, no, no, no, no, yes}, false},

	{SiteView, "see a site", [7]cell{yes, yes, yes, yes, veiled, yes, yes}, false},
	{SiteCreate, "add a site to an account", [7]cell{no, no, yes, no, no, yes, yes}, false},
	{SiteChange, "change a site's name", [7]cell{yes, no, yes, yes, no, yes, yes}, false},
	{SitePlace, "change a site's number, area, group and account", [7]cell{no, no, no, no, no, yes, yes}, false},
	{SitePolicy, "say how far the router may go at a site", [7]cell{yes, no, yes, no, no, yes, yes}, false},
	{SiteDesired, "see what a site's router should do and does", [7]cell{yes, yes, yes, yes, inCase, yes, yes}, false},
	{SiteHandOver, "end an installer's work at a site", [7]cell{yes, no, yes, yes, no, yes, yes}, false},

	{RouterView, "see a router", [7]cell{yes, yes, yes, yes, veiled, yes, yes}, false},
	{RouterImport, "load a list of routers", [7]cell{no, no, no, no, no, yes, yes}, false},
	{RouterRevoke, "take nothing of a router any more", [7]cell{no, no, no, no, no, yes, yes}, false},
	{RouterReset, "let a router enrol again", [7]cell{no, no, no, no, no, yes, yes}, false},

	{DeviceView, "see a device", [7]cell{yes, yes, yes, yes, veiled, yes, yes}, false},
	{DeviceChange, "say what a device is and is called", [7]cell{yes, yes, yes, yes, no, yes, yes}, false},
	{DevicePolicy, "say how far the router may go with a device", [7]cell{yes, no, yes, no, no, yes, yes}, false},
	{DeviceRestrict, "limit, block or quarantine a device", [7]cell{yes, yes, yes, no, inCase, yes, yes}, false},
	{DeviceRelease, "release a device, allow it a place", [7]cell{yes, yes, yes, no, inCase, yes, yes}, false},
	{DeviceAsk, "ask a router where a device goes", [7]cell{yes, no, yes, no, inCase, no, inCase}, false},

	{IncidentView, "see an incident", [7]cell{yes, yes, yes, yes, veiled, yes, yes}, false},
	{IncidentClose, "say what became of an incident", [7]cell{yes, yes, yes, no, inCase, yes, yes}, false},
	{DetectionView, "see a detection with its evidence", [7]cell{yes, yes, yes, yes, veiled, yes, yes}, false},
	{ActionView, "see what was done", [7]cell{yes, yes, yes, yes, veiled, yes, yes}, false},
	{EventListen, "be told of changes as they happen", [7]cell{yes, yes, yes, yes, veiled, yes, yes}, false},

	{WebhookView, "see where an account's programs are told", [7]cell{yes, no, yes, no, no, yes, yes}, false},
	{WebhookChange, "change where an account's programs are told", [7]cell{yes, no, yes, no, no, no, yes}, false},

	{PersonView, "see who may see an account", [7]cell{yes, no, yes, no, no, yes, yes}, false},
	{PersonInvite, "let somebody in (with roles of the table below)", [7]cell{yes, no, yes, no, no, yes, yes}, false},
	{PersonRemove, "take a role from somebody (of the table below)", [7]cell{yes, no, yes, no, no, yes, yes}, false},
	{PersonChange, "change or disable a person of whom one may give every role", [7]cell{no, no, no, no, no, yes, yes}, false},
	{PersonReset, "let such a person choose a new password", [7]cell{no, no, no, no, no, yes, yes}, false},
	{PersonErase, "erase such a person", [7]cell{no, no, no, no, no, no, yes}, false},
	{AuditView, "see who changed or looked at what", [7]cell{yes, no, yes, no, no, no, yes}, false},

	{CaseOpen, "open a case: see one home by name, with a reason", [7]cell{no, no, no, no, yes, no, yes}, true},
	{NetworkView, "see figures of the whole network", [7]cell{no, no, no, no, yes, yes, yes}, false},
	{ShadowView, "see which rules are in shadow", [7]cell{no, no, no, no, yes, yes, yes}, false},
	{ShadowChange, "put a rule into shadow, take it out", [7]cell{no, no, no, no, no, yes, yes}, false},
	{SystemView, "see how core is", [7]cell{no, no, no, no, no, yes, yes}, false},
	{SystemChange, "back up core, change how it works", [7]cell{no, no, no, no, no, no, yes}, false},

	{SelfView, "see oneself, one's sessions, passkeys and tokens", [7]cell{yes, yes, yes, yes, yes, yes, yes}, false},
	{SelfChange, "change one's password and passkeys, end sessions", [7]cell{yes, yes, yes, yes, yes, yes, yes}, true},
	{SelfToken, "make and end one's tokens", [7]cell{yes, yes, yes, yes, yes, yes, yes}, true},
}

// gives is which roles a role may give to others and take from them: a customer's
// within the account of the grant, the provider's anywhere.
var gives = map[cordon.Role][]cordon.Role{
	cordon.RoleOwner:    {cordon.RoleOwner, cordon.RoleMember, cordon.RoleInstaller},
	cordon.RoleBusiness: {cordon.RoleBusiness, cordon.RoleMember, cordon.RoleInstaller},
	cordon.RoleOperator: {cordon.RoleOwner, cordon.RoleMember, cordon.RoleBusiness, cordon.RoleInstaller},
	cordon.RoleAdministrator: {cordon.RoleOwner, cordon.RoleMember, cordon.RoleBusiness, cordon.RoleInstaller,
		cordon.RoleAnalyst, cordon.RoleOperator, cordon.RoleAdministrator},
}

// contains is which roles a role contains: a token may have one of them instead. A
// test holds table to it.
var contains = map[cordon.Role][]cordon.Role{
	cordon.RoleOwner:         {cordon.RoleMember},
	cordon.RoleBusiness:      {cordon.RoleMember},
	cordon.RoleAdministrator: {cordon.RoleAnalyst, cordon.RoleOperator},
}

// rules is table by verb.
var rules = func() map[Verb]*row {
	m := make(map[Verb]*row, len(table))
	for i := range table {
		m[table[i].verb] = &table[i]
	}
	return m
}()
