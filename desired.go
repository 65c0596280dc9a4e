package cordon

import "slices"

// Desired is what a site's router should do, as people and core decided. It is one
// document with a version: a router that missed ten changes needs only the last.
type Desired struct {
	Site    string // Site.ID
	Version uint64 // grows with every change
	At      Time   // of the change

	Policy   Policy          // of the site
	Devices  []DesiredDevice // what people said about devices
	Orders   []Order         // what is to be in force
	Allowed  []Permission    // what may not be blocked
	Released []Release       // actions of the agent's own that are to end
}

// DesiredDevice is what people said about a device. Empty fields: nothing.
type DesiredDevice struct {
	Device string // Device.ID
	Name   string
	Class  *Class
	Policy Policy
}

// Order is an action that a person ordered.
type Order struct {
	ID      string
	Verb    Verb // limit, block or quarantine
	Entity  Entity
	Rate    Rate
	Reason  string
	By      string // who, in words that the customer may see
	At      Time
	Expires Time // never zero
}

// Permission is a place that somebody said a device may reach.
type Permission struct {
	ID      string
	Device  string // empty: every device of the site
	Target  Target
	Reason  string
	By      string
	At      Time
	Expires Time // never zero
}

// Release ends one of an agent's own actions, and keeps the agent from beginning
// the same again until Expires.
type Release struct {
	Action  string // Action.ID
	Device  string // Device.ID; with an empty Action: everything in force against it
	By      string
	At      Time
	Expires Time // never zero
}

// Prune removes what is over at now and reports whether anything was.
func (d *Desired) Prune(now Time) bool {
	before := len(d.Orders) + len(d.Allowed) + len(d.Released)
	d.Orders = slices.DeleteFunc(d.Orders, func(o Order) bool { return o.Expires <= now })
	d.Allowed = slices.DeleteFunc(d.Allowed, func(p Permission) bool { return p.Expires <= now })
	d.Released = slices.DeleteFunc(d.Released, func(r Release) bool { return r.Expires <= now })
	return len(d.Orders)+len(d.Allowed)+len(d.Released) != before
}

// Shadow is a rule that may not act anywhere: the circuit breaker found that it
// fires too widely (detection.md §A5), or an operator said so.
type Shadow struct {
	ID      string
	Kind    Kind   // or a pattern, see Kind.Match
	Model   string // of the device; empty: any
	Agent   string // version of the agent; empty: any
	Reason  string
	By      string // who; empty: the circuit breaker
	At      Time
	Expires Time // never zero
}

// Covers reports whether the shadow lies on a detection of that kind, of a device of
// that model, made by that version of the agent.
func (s *Shadow) Covers(k Kind, model, agent string) bool {
	return k.Match(string(s.Kind)) && (s.Model == "" || s.Model == model) && (s.Agent == "" || s.Agent == agent)
}
