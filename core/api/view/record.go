// Package view is what the API shows: the JSON of every record. The fields are a
// contract; docs/reference/openapi.json describes them. Texts that devices chose are
// hostile: JSON encodes them, and who shows them elsewhere escapes them.
package view

import (
	"net/netip"
	"time"

	"cordon"
)

// moment returns t as JSON shows it; the zero time is left out.
func moment(t cordon.Time) time.Time {
	if t == 0 {
		return time.Time{}
	}
	return t.Std()
}

// list returns s, never null.
func list[T any](s []T) []T {
	if s == nil {
		return []T{}
	}
	return s
}

// Each returns f of every item, never null.
func Each[A, B any](items []A, f func(*A) B) []B {
	all := make([]B, len(items))
	for i := range items {
		all[i] = f(&items[i])
	}
	return all
}

// Account is a customer.
type Account struct {
	ID        string    `json:"id"`
	Reference string    `json:"reference,omitempty" doc:"The provider's own customer number."`
	Name      string    `json:"name"`
	Sort      string    `json:"sort" enum:"household,business"`
	Locale    string    `json:"locale,omitempty" doc:"BCP 47; empty: the provider's."`
	Policy    string    `json:"policy,omitempty" doc:"Of its sites that have none; empty: the provider's."`
	Created   time.Time `json:"created"`
	Version   int64     `json:"version"`
}

// OfAccount shows an account.
func OfAccount(a *cordon.Account) Account {
	return Account{a.ID, a.Reference, a.Name, string(a.Sort), a.Locale, string(a.Policy), moment(a.Created), a.Version}
}

// Site is one home or business premises.
type Site struct {
	ID        string    `json:"id"`
	Account   string    `json:"account"`
	Reference string    `json:"reference,omitempty" doc:"The provider's own number of the line."`
	Name      string    `json:"name"`
	Area      string    `json:"area,omitempty" doc:"Access area."`
	Group     string    `json:"group,omitempty" doc:"Operators' grouping."`
	Policy    string    `json:"policy,omitempty" doc:"Empty: the account's."`
	Installer string    `json:"installer,omitempty" doc:"User that sets the site up; empty after the hand-over."`
	Created   time.Time `json:"created"`
	Version   int64     `json:"version"`
}

// OfSite shows a site.
func OfSite(s *cordon.Site) Site {
	return Site{s.ID, s.Account, s.Reference, s.Name, s.Area, s.Group, string(s.Policy), s.Installer, moment(s.Created), s.Version}
}

// Router is the device on which the agent runs.
type Router struct {
	ID       string    `json:"id"`
	Serial   string    `json:"serial"`
	Site     string    `json:"site"`
	Account  string    `json:"account"`
	Area     string    `json:"area,omitempty"`
	Model    string    `json:"model,omitempty"`
	State    string    `json:"state" enum:"expected,enrolled,reset,revoked"`
	Online   bool      `json:"online"`
	Seen     time.Time `json:"seen,omitzero" doc:"The last time that anything came from it."`
	Enrolled time.Time `json:"enrolled,omitzero"`
	Agent    string    `json:"agent,omitempty" doc:"Version of the agent."`
	Wire     uint32    `json:"wire,omitempty" doc:"Version of the messages that it speaks."`
	Enforced uint64    `json:"enforced" doc:"Version of the desired state that it enforces."`
	Health   Health    `json:"health,omitzero"`
	Created  time.Time `json:"created"`
	Version  int64     `json:"version"`
}

// OfRouter shows a router. Its key and claim stay in core.
func OfRouter(r *cordon.Router) Router {
	return Router{r.ID, r.Serial, r.Site, r.Account, r.Area, r.Model, string(r.State), r.Online, moment(r.Seen), moment(r.Enrolled),
		r.Agent, r.Wire, r.Enforced, ofHealth(&r.Health), moment(r.Created), r.Version}
}

// Health is how a router's agent is.
type Health struct {
	At       time.Time         `json:"at,omitzero"`
	Mode     string            `json:"mode,omitempty" doc:"normal or safe."`
	Why      string            `json:"why,omitempty"`
	Policy   string            `json:"policy,omitempty"`
	Eyes     string            `json:"eyes,omitempty" doc:"kernel or ring."`
	Uptime   int64             `json:"uptime_seconds,omitempty"`
	Resident int64             `json:"resident_bytes,omitempty"`
	Devices  uint32            `json:"devices,omitempty"`
	InForce  uint32            `json:"in_force,omitempty" doc:"Actions that change what passes."`
	Clock    bool              `json:"clock_trusted,omitempty"`
	Lost     uint64            `json:"lost_reports,omitempty" doc:"Reports that had to go because core was away too long."`
	Lacks    []Lack            `json:"lacks,omitempty" nullable:"false" doc:"What keeps it from seeing or isolating, by port."`
	Parts    []Part            `json:"parts,omitempty" nullable:"false"`
	Counters map[string]uint64 `json:"counters,omitempty"`
}

// Lack is something that keeps a router from its work.
type Lack struct {
	Name string `json:"name"`
	Text string `json:"text"`
	Mend string `json:"mend,omitempty"`
}

// Part is one organ of an agent.
type Part struct {
	Name  string `json:"name"`
	State string `json:"state" doc:"ok, degraded, failed or off."`
	Why   string `json:"why,omitempty"`
}

func ofHealth(h *cordon.Health) Health {
	return Health{moment(h.At), h.Mode, h.Why, string(h.Policy), h.Eyes, h.Uptime, h.Resident, h.Devices, h.InForce, h.Clock, h.Lost,
		Each(h.Lacks, func(s *cordon.Shortcoming) Lack { return Lack{s.Name, s.Text, s.Mend} }),
		Each(h.Parts, func(p *cordon.Part) Part { return Part{p.Name, p.State, p.Why} }), h.Counters}
}

// Device is a device as people know it: what they said about it counts, what it says of
// itself stands beside.
type Device struct {
	ID         string       `json:"id" doc:"Its MAC address, or its address where there is none. Names it together with the site."`
	Site       string       `json:"site"`
	Account    string       `json:"account"`
	Label      string       `json:"label" doc:"What to call it."`
	Name       string       `json:"name,omitempty" doc:"As people call it."`
	Room       string       `json:"room,omitempty"`
	Class      string       `json:"class" enum:"unknown,iot,personal,infrastructure,life-line"`
	Policy     string       `json:"policy,omitempty" doc:"Of this device; empty: the site's."`
	State      string       `json:"state" doc:"watched (nothing is cut), limited, blocked or quarantined, by what is in force."`
	Level      string       `json:"level" enum:"none,watch,notify,act" doc:"Of its open incident."`
	Announced  Announced    `json:"announced" doc:"What the device shows of itself."`
	MAC        string       `json:"mac,omitempty"`
	Addresses  []netip.Addr `json:"addresses" nullable:"false"`
	Randomised bool         `json:"randomised,omitempty" doc:"The MAC is chosen by software and may change."`
	Relay      bool         `json:"relay,omitempty" doc:"Several devices are behind it."`
	Gateway    bool         `json:"gateway,omitempty" doc:"The home's own router."`
	FirstSeen  time.Time    `json:"first_seen,omitzero"`
	LastSeen   time.Time    `json:"last_seen,omitzero"`
	Updated    time.Time    `json:"updated,omitzero"`
	Version    int64        `json:"version"`
}

// Announced is what a device shows of itself; hostile texts.
type Announced struct {
	Name    string   `json:"name,omitempty"`
	Maker   string   `json:"maker,omitempty"`
	Model   string   `json:"model,omitempty"`
	Class   string   `json:"class"`
	Reasons []string `json:"reasons" nullable:"false" doc:"Why this class and name, in words."`
}

// OfDevice shows a device.
func OfDevice(d *cordon.DeviceRecord) Device {
	v := Device{ID: d.Device.ID, Site: d.Site, Account: d.Account, Label: d.Label(), Name: d.Said.Name, Room: d.Room,
		Class: d.Device.Class.String(), Policy: string(d.Said.Policy), State: d.State, Level: d.Level.String(),
		Announced: Announced{d.Device.Name, d.Device.Maker, d.Device.Model, d.Device.Class.String(), list(d.Device.Reasons)},
		Addresses: list(d.Device.Addrs), Randomised: d.Device.Randomised, Relay: d.Device.Relay, Gateway: d.Device.Gateway,
		FirstSeen: moment(d.Device.FirstSeen), LastSeen: moment(d.Device.LastSeen), Updated: moment(d.Updated), Version: d.Version}
	if d.Said.Class != nil {
		v.Class = d.Said.Class.String()
	}
	if d.Device.HasMAC {
		v.MAC = d.Device.MAC.String()
	}
	return v
}

// Event is a change.
type Event struct {
	Sort    string    `json:"sort" enum:"device,incident,detection,action,router,desired,shadow"`
	Account string    `json:"account,omitempty"`
	Site    string    `json:"site,omitempty"`
	ID      string    `json:"id" doc:"Of what changed."`
	Level   string    `json:"level,omitempty" doc:"Of an incident or a detection."`
	At      time.Time `json:"at"`
}

// OfEvent shows an event.
func OfEvent(e *cordon.Event) Event {
	v := Event{string(e.Sort), e.Account, e.Site, e.ID, "", moment(e.At)}
	if e.Level != cordon.None {
		v.Level = e.Level.String()
	}
	return v
}

// Audit is a line of the record of changes and looks.
type Audit struct {
	ID      string    `json:"id"`
	At      time.Time `json:"at"`
	User    string    `json:"user,omitempty" doc:"Not there: core itself, or one of the provider's people, shown to a customer."`
	Who     string    `json:"who" doc:"To a customer the provider's people are the provider."`
	Role    string    `json:"role,omitempty"`
	Verb    string    `json:"verb"`
	Account string    `json:"account,omitempty"`
	Site    string    `json:"site,omitempty"`
	Object  string    `json:"object,omitempty"`
	Reason  string    `json:"reason,omitempty"`
	Result  string    `json:"result"`
	Address string    `json:"address,omitempty" doc:"From where. Of the provider's people only for the provider's people."`
}

// OfAudit shows a line.
func OfAudit(a *cordon.Audit) Audit {
	return Audit{a.ID, moment(a.At), a.User, a.Who, string(a.Role), a.Verb, a.Account, a.Site, a.Object, a.Reason, a.Result, a.Addr}
}

// OfAuditToCustomer shows a line to a customer: who of the provider's people it was, and
// where he sits, is nobody else's to know.
func OfAuditToCustomer(a *cordon.Audit, provider string) Audit {
	v := OfAudit(a)
	if a.Role.Staff() {
		v.User, v.Who, v.Address = "", provider, ""
	}
	return v
}

// Webhook is where an account's programs are told.
type Webhook struct {
	ID      string    `json:"id"`
	Account string    `json:"account"`
	URL     string    `json:"url"`
	Events  []string  `json:"events" nullable:"false"`
	Level   string    `json:"level" enum:"none,watch,notify,act" doc:"Incidents from this level."`
	Created time.Time `json:"created"`
	Failed  int       `json:"failed" doc:"Tries in a row that did not work. From 100 on nobody is called until the address is set again."`
	Version int64     `json:"version"`
	Secret  string    `json:"secret,omitempty" doc:"Key of the HMAC-SHA256 that signs each call, in base64. Shown once."`
}

// OfWebhook shows a webhook, without its secret.
func OfWebhook(w *cordon.Webhook) Webhook {
	return Webhook{w.ID, w.Account, w.URL, Each(w.Events, func(s *cordon.EventSort) string { return string(*s) }), w.Level.String(),
		moment(w.Created), w.Failed, w.Version, ""}
}

// Shadow is a rule that may not act.
type Shadow struct {
	ID      string    `json:"id"`
	Kind    string    `json:"kind" doc:"A kind of detection, or a pattern: scan.*"`
	Model   string    `json:"model,omitempty" doc:"Of the device; empty: any."`
	Agent   string    `json:"agent,omitempty" doc:"Version of the agent; empty: any."`
	Reason  string    `json:"reason"`
	By      string    `json:"by,omitempty" doc:"Empty: the circuit breaker."`
	At      time.Time `json:"at"`
	Expires time.Time `json:"expires"`
}

// OfShadow shows a shadow.
func OfShadow(s *cordon.Shadow) Shadow {
	return Shadow{s.ID, string(s.Kind), s.Model, s.Agent, s.Reason, s.By, moment(s.At), moment(s.Expires)}
}

// User is a person, or a program with a token.
type User struct {
	ID       string    `json:"id"`
	Email    string    `json:"email,omitempty"`
	Name     string    `json:"name,omitempty"`
	Locale   string    `json:"locale,omitempty"`
	Disabled bool      `json:"disabled"`
	Grants   []Grant   `json:"grants" nullable:"false"`
	Created  time.Time `json:"created,omitzero"`
	Version  int64     `json:"version"`
}

// Grant is a role and where it holds.
type Grant struct {
	Role    string `json:"role" enum:"owner,member,business,installer,analyst,operator,administrator"`
	Account string `json:"account,omitempty" maxLength:"64" doc:"Of owner, member and business."`
	Site    string `json:"site,omitempty" maxLength:"64" doc:"Of installer."`
}

// OfGrant shows a grant, in the form in which it is given.
func OfGrant(g *cordon.Grant) Grant {
	if g.Role == cordon.RoleInstaller {
		return Grant{Role: string(g.Role), Site: g.Site}
	}
	return Grant{string(g.Role), g.Account, g.Site}
}

// Grant returns what g means; check it with auth.CheckGrant.
func (g *Grant) Grant() cordon.Grant {
	return cordon.Grant{Role: cordon.Role(g.Role), Account: g.Account, Site: g.Site}
}

// OfUser shows a user with all grants: auth.Visible says which of them somebody may see.
func OfUser(u *cordon.User) User {
	return User{u.ID, u.Email, u.Name, u.Locale, u.Disabled, Each(u.Grants, OfGrant), moment(u.Created), u.Version}
}
