// Package desired says what a router has to do so that what its provider and its
// customer decided is so.
//
// A cordon.Desired and what is in force come in; what is to begin and to end, and
// what is refused, goes out (Make). It is declarative: made again from what is then
// in force, the plan is empty. The router's own word is the last: its configuration,
// what somebody released on it, and what its guard forbids.
package desired

import (
	"fmt"
	"net/netip"
	"slices"
	"strings"
	"time"

	"golang.org/x/net/publicsuffix"

	"cordon"
)

// Bounds of what is taken.
const (
	MaxDevices  = 256
	MaxOrders   = 64
	MaxAllowed  = 128
	MaxReleased = 128
	MaxShadows  = 256
	MaxHeld     = 256

	// QuarantinesAnHour and MaxQuarantines are how many devices core may cut off in an
	// hour, and at a time: whatever asks for more is more likely wrong than right. They
	// are half of the orders that the hands take in an hour (agent/enforce/nft), so that
	// somebody at the router keeps the other half, and more than a home has at once.
	QuarantinesAnHour = 5
	MaxQuarantines    = 20

	// minPrefix4 and minPrefix6 are the widest prefixes that may be blocked (design.md,
	// "It cannot harm").
	minPrefix4, minPrefix6 = 24, 48
	// sameEnd is by how much two ends of one action may differ.
	sameEnd = 2 * time.Second
)

// InForce is an action in force, by wall time.
type InForce struct {
	cordon.Action
	By    string // empty: the agent
	Order bool   // it is an order of core
}

// Held is an action that the agent may not begin, because somebody ended it.
type Held struct {
	Release string // which Release says so (see key); empty: somebody at the router
	ID      string
	Verb    cordon.Verb // with Entity; empty: only the ID counts
	Entity  cordon.Entity
	By      string
	Expires cordon.Time
}

// World is what a plan depends on besides the desired state. Times are wall times.
type World struct {
	Now     cordon.Time
	Trusted bool // Now is right: what ends by the clock can be begun
	InForce []InForce
	Held    []Held
	Spared  []netip.Addr // of the router, its gateways, resolvers and time servers, and core
	Names   []string     // of core
	// Device returns a device of the home, nil if it is not known.
	Device func(id string) *cordon.Device
	// Pinned returns what the router's configuration says about a device; nil: nothing.
	Pinned func(id string) *cordon.DesiredDevice
}

// Plan is what is to be done, the ends first.
type Plan struct {
	End     []End
	Begin   []Begin // At is World.Now
	Held    []Held  // instead of World.Held
	Refused []cordon.Refusal
	// Devices and Allowed are those parts that count, by device and in order.
	Devices map[string]cordon.DesiredDevice
	Allowed []cordon.Permission
	Policy  cordon.Policy // empty: as it is
}

// End is an action that is to end.
type End struct {
	ID string
	By string
}

// Begin is an order to begin.
type Begin struct {
	cordon.Action
	By string
}

// Make returns what is to be done. unknown names what of the directive this agent did
// not understand.
func Make(d *cordon.Desired, unknown []string, w World) (p Plan) {
	for _, what := range unknown {
		p.refuse(what, "this agent is too old to know it")
	}
	p.policy(d)
	p.devices(d, &w)
	p.allowed(d, &w)
	p.released(d, &w)
	p.orders(d, &w)
	return p
}

func (p *Plan) refuse(what, why string) {
	if len(p.Refused) < MaxOrders {
		p.Refused = append(p.Refused, cordon.Refusal{What: what, Why: why})
	}
}

func (p *Plan) policy(d *cordon.Desired) {
	if d.Policy == "" {
		return
	}
	if _, err := cordon.ParsePolicy(string(d.Policy)); err != nil {
		p.refuse("policy", "this agent does not know it")
		return
	}
	p.Policy = d.Policy
}

func (p *Plan) devices(d *cordon.Desired, w *World) {
	p.Devices = make(map[string]cordon.DesiredDevice)
	const own = "the router's configuration says otherwise, and has the last word"
	for i, one := range d.Devices {
		if i == MaxDevices {
			p.refuse("devices", fmt.Sprintf("only %d fit", MaxDevices))
			break
		}
		if one.Policy != "" {
			if _, err := cordon.ParsePolicy(string(one.Policy)); err != nil {
				p.refuse("policy of device "+one.Device, "this agent does not know it")
				one.Policy = ""
			}
		}
		if one.Class != nil && *one.Class > cordon.LifeLine {
			p.refuse("class of device "+one.Device, "this agent does not know it")
			one.Class = nil
		}
		if pin := w.Pinned(one.Device); pin != nil {
			if pin.Policy != "" && one.Policy != "" && pin.Policy != one.Policy {
				p.refuse("policy of device "+one.Device, own)
			}
			if pin.Class != nil && one.Class != nil && *pin.Class != *one.Class {
				p.refuse("class of device "+one.Device, own)
			}
			if pin.Name != "" && one.Name != "" && pin.Name != one.Name {
				p.refuse("name of device "+one.Device, own)
			}
		}
		p.Devices[one.Device] = one
	}
}

// allowed takes the permissions, and ends the blocks that say otherwise.
func (p *Plan) allowed(d *cordon.Desired, w *World) {
	for _, a := range d.Allowed {
		t := a.Target
		switch {
		case a.Expires <= w.Now:
			continue
		case len(p.Allowed) == MaxAllowed:
			p.refuse(a.ID, fmt.Sprintf("only %d permissions fit", MaxAllowed))
			continue
		case !t.Peer.IsValid() && t.Name == "":
			p.refuse(a.ID, "a permission needs one place, by name or address")
			continue
		}
		p.Allowed = append(p.Allowed, a)
		for _, in := range w.InForce {
			if !in.Order && Covers(&a, in.Entity.Device, &in.Action) {
				p.end(in.ID, a.By)
			}
		}
	}
}

// Covers reports whether a block is about a place that a permission of core's allows; it
// names one.
func Covers(p *cordon.Permission, device string, a *cordon.Action) bool {
	return a.Verb == cordon.VerbBlock && (p.Device == "" || p.Device == device) && (p.Target.Name != "" || p.Target.Peer.IsValid()) &&
		p.Target.Spares(a.Entity.Target)
}

func (p *Plan) end(id, by string) {
	if !slices.ContainsFunc(p.End, func(e End) bool { return e.ID == id }) {
		p.End = append(p.End, End{id, by})
	}
}

func key(r *cordon.Release) string { return r.Action + "/" + r.Device }

// released ends what somebody released, and keeps it from beginning again.
func (p *Plan) released(d *cordon.Desired, w *World) {
	keys := make(map[string]bool)
	for i := range d.Released {
		r := &d.Released[i]
		switch {
		case r.Expires <= w.Now:
			continue
		case i >= MaxReleased:
			p.refuse("released", fmt.Sprintf("only %d fit", MaxReleased))
			continue
		}
		keys[key(r)] = true
	}
	for _, h := range w.Held { // what its release still says, and what was said here
		if h.Expires > w.Now && (h.Release == "" || keys[h.Release]) {
			p.Held = append(p.Held, h)
		}
	}
	for i := range d.Released {
		if r := &d.Released[i]; keys[key(r)] && r.Expires > w.Now {
			p.release(r, w)
		}
	}
}

// release ends what a Release is about.
func (p *Plan) release(r *cordon.Release, w *World) {
	if r.Action != "" {
		p.hold(Held{Release: key(r), ID: r.Action, By: r.By, Expires: r.Expires})
	} else {
		p.hold(Held{Release: key(r), Verb: cordon.VerbQuarantine, Entity: cordon.Entity{Device: r.Device}, By: r.By, Expires: r.Expires})
	}
	for _, in := range w.InForce {
		switch {
		case r.Action != "" && in.ID != r.Action:
			continue
		case r.Action == "" && (r.Device != in.Entity.Device || in.Verb == cordon.VerbNotify || in.Order):
			continue
		case r.Action == "" && in.By != "" && in.At > r.At: // somebody here thought of it later
			continue
		}
		p.end(in.ID, r.By)
		p.hold(Held{Release: key(r), ID: in.ID, Verb: in.Verb, Entity: in.Entity, By: r.By, Expires: r.Expires})
	}
}

// hold notes h, instead of what was noted of the same.
func (p *Plan) hold(h Held) {
	i := slices.IndexFunc(p.Held, func(o Held) bool {
		return o.Release == h.Release && o.ID == h.ID && o.Verb == h.Verb
	})
	switch {
	case i >= 0:
		h.Verb, h.Entity = p.Held[i].Verb, p.Held[i].Entity
		p.Held[i] = h
	case len(p.Held) < MaxHeld:
		p.Held = append(p.Held, h)
	}
}

// Holds returns who keeps an action of the agent's own from beginning.
func Holds(held []Held, a *cordon.Action, now cordon.Time) (by string, yes bool) {
	for _, h := range held {
		if h.Expires <= now {
			continue
		}
		if h.ID != "" && h.ID == a.ID || h.Verb != "" && h.Verb == a.Verb && sameEntity(&h.Entity, &a.Entity) {
			return h.By, true
		}
	}
	return "", false
}

func sameEntity(a, b *cordon.Entity) bool {
	x, y := a.Target, b.Target
	ports := slices.Equal(x.Ports, y.Ports)
	return a.Device == b.Device && ports && x.Proto == y.Proto && x.LocalPort == y.LocalPort && x.Peer == y.Peer &&
		x.Net == y.Net && x.Name == y.Name && x.Stray == y.Stray
}

// orders begins what is ordered and not in force, and ends what is not ordered any
// more.
func (p *Plan) orders(d *cordon.Desired, w *World) {
	current := make(map[string]*InForce)
	for i := range w.InForce {
		current[w.InForce[i].ID] = &w.InForce[i]
	}
	ordered := make(map[string]bool)
	standing := quarantines(d, current)
	for i := range d.Orders {
		o := &d.Orders[i]
		if o.Expires <= w.Now && w.Trusted && o.Expires != 0 {
			continue // its action ends by itself
		}
		if i >= MaxOrders {
			p.refuse(o.ID, fmt.Sprintf("only %d orders fit", MaxOrders))
			continue
		}
		a := cordon.Action{ID: o.ID, Verb: o.Verb, Mode: cordon.ModeDo, Entity: o.Entity, Rate: o.Rate, Reason: o.Reason,
			Purpose: cordon.PurposeSecurity, At: w.Now, Expires: o.Expires}
		if by, held := Holds(p.Held, &cordon.Action{ID: o.ID}, w.Now); held {
			p.refuse(o.ID, "it was released by "+nobody(by))
			continue
		}
		if why := Guard(o, w); why != "" {
			p.refuse(o.ID, why)
			continue
		}
		in := current[o.ID]
		if o.Verb == cordon.VerbQuarantine && in == nil {
			if standing++; standing > MaxQuarantines {
				p.refuse(o.ID, fmt.Sprintf("%d devices are cut off by order already", MaxQuarantines))
				continue
			}
		}
		ordered[o.ID] = true
		if in != nil {
			same := in.Verb == a.Verb && in.Rate == a.Rate && sameEntity(&in.Entity, &a.Entity)
			if diff := in.Expires.Sub(a.Expires); same && (!w.Trusted || diff < sameEnd && diff > -sameEnd) {
				continue
			}
			if !in.Order {
				p.refuse(o.ID, "an action of the router has that id")
				continue
			}
		}
		if !w.Trusted {
			continue // it could last too long; the clock will be set
		}
		if in != nil {
			p.end(o.ID, o.By)
		}
		p.Begin = append(p.Begin, Begin{a, o.By})
	}
	for _, in := range w.InForce {
		if in.Order && !ordered[in.ID] {
			p.end(in.ID, "")
		}
	}
}

// quarantines returns how many devices are cut off by orders that still stand.
func quarantines(d *cordon.Desired, current map[string]*InForce) (n int) {
	for i := range d.Orders {
		if in := current[d.Orders[i].ID]; in != nil && in.Order && in.Verb == cordon.VerbQuarantine {
			n++
		}
	}
	return n
}

func nobody(by string) string {
	if by == "" {
		return "somebody at the router"
	}
	return by
}

// Guard says why an order must not be done, empty: it may.
func Guard(o *cordon.Order, w *World) string {
	t := o.Entity.Target
	switch {
	case o.ID == "" || len(o.ID) > 64 || o.Entity.Device == "" || len(o.Entity.Device) > 64:
		return "it names no device, or itself wrongly"
	case o.Expires <= 0:
		return "it has no end"
	case o.Expires > w.Now.Add(cordon.MaxLife) && w.Trusted:
		return "it would last longer than 90 days"
	case t.Net.IsValid() && (t.Net.Addr().Unmap().Is4() && t.Net.Bits() < minPrefix4 || t.Net.Bits() < minPrefix6 && t.Net.Addr().Is6()):
		return "the prefix is wider than a /24 or a /48"
	case t.Name != "" && isSuffix(t.Name):
		return "the name is a public suffix, or no name of a host"
	}
	if d := w.Device(o.Entity.Device); d != nil && d.Gateway {
		return "it is the router itself"
	}
	for _, a := range w.Spared {
		if t.Peer == a || t.Net.IsValid() && t.Net.Contains(a) {
			return "it would cut off the router, its gateways, resolvers, time servers or core"
		}
	}
	for _, name := range w.Names {
		if t.Name != "" && strings.HasSuffix("."+name, "."+strings.ToLower(strings.TrimSuffix(t.Name, "."))) {
			return "it would cut off core"
		}
	}
	switch o.Verb {
	case cordon.VerbQuarantine:
		if !t.Zero() {
			return "only a whole device can be quarantined"
		}
	case cordon.VerbBlock:
		if t.Zero() {
			return "a block of everything is a quarantine"
		}
	case cordon.VerbLimit:
		if o.Rate == (cordon.Rate{}) {
			return "a limit needs a rate"
		}
		if t.Zero() {
			return "a limit needs to say of what"
		}
	default:
		return "this agent does not know what it asks for"
	}
	return ""
}

// isSuffix reports whether a block of a name would concern names of many owners.
func isSuffix(name string) bool {
	name = strings.ToLower(strings.TrimSuffix(name, "."))
	if !strings.Contains(name, ".") || len(name) > 253 {
		return true
	}
	suffix, _ := publicsuffix.PublicSuffix(name)
	return suffix == name
}

// Shadowed reports whether a shadow lies on detections of a kind, of devices of a
// model, by this version of the agent.
func Shadowed(shadows []cordon.Shadow, k cordon.Kind, model, agent string, now cordon.Time) bool {
	return slices.ContainsFunc(shadows, func(s cordon.Shadow) bool { return s.Expires > now && s.Covers(k, model, agent) })
}
