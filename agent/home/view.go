package home

import (
	"net/netip"
	"slices"

	"cordon"
	"cordon/agent/detect/known"
	"cordon/agent/mend"
)

// View is what the DNS guard and the page need to know of the home. They run on
// goroutines of their own, so the pipeline publishes a new view whenever
// something changed and never touches an old one.
type View struct {
	byAddr map[netip.Addr]*Resident
	byMAC  map[cordon.MAC]*Resident
}

// Resident is a device as it stands in a view.
type Resident struct {
	Device     cordon.Device
	Policy     cordon.Policy
	Quarantine *cordon.Action  // nil when it is not cut off
	Kinds      []cordon.Kind   // of its open incident, the most serious first
	names      map[string]bool // blocked by name, each with what is below it
}

// NewView makes the view of the devices, of what is in force and of the open
// incidents.
func NewView(devices []*cordon.Device, inForce []cordon.Action, open []*cordon.Incident, policy func(*cordon.Device) cordon.Policy) *View {
	v := &View{byAddr: make(map[netip.Addr]*Resident), byMAC: make(map[cordon.MAC]*Resident)}
	byID := make(map[string]*Resident)
	for _, d := range devices {
		r := &Resident{Device: *d, Policy: policy(d)}
		r.Device.Addrs = append([]netip.Addr(nil), d.Addrs...)
		v.add(r)
		byID[d.ID] = r
	}
	for i := range inForce {
		a := &inForce[i]
		if a.Mode != cordon.ModeDo {
			continue
		}
		r := byID[a.Entity.Device]
		if r == nil { // cut off before a restart, and not heard since
			d := Stub(a.Entity.Device)
			r = &Resident{Device: *d, Policy: policy(d)}
			v.add(r)
			byID[d.ID] = r
		}
		switch {
		case a.Verb == cordon.VerbQuarantine:
			r.Quarantine = a
		case a.Verb == cordon.VerbBlock && a.Entity.Target.Name != "":
			if r.names == nil {
				r.names = make(map[string]bool)
			}
			r.names[a.Entity.Target.Name] = true
		}
	}
	for _, i := range open {
		if r := byID[i.Device.ID]; r != nil {
			r.Kinds = gravest(i.Marks)
		}
	}
	return v
}

// gravest returns the kinds that were worth telling, the most serious first.
func gravest(marks []cordon.Mark) (kinds []cordon.Kind) {
	marks = slices.Clone(marks)
	slices.SortStableFunc(marks, func(a, b cordon.Mark) int { return int(b.Level) - int(a.Level) })
	for _, m := range marks {
		kinds = append(kinds, m.Kind)
	}
	return kinds
}

func (v *View) add(r *Resident) {
	for _, a := range r.Device.Addrs {
		v.byAddr[a] = r
	}
	if r.Device.HasMAC && !r.Device.Relay {
		v.byMAC[r.Device.MAC] = r
	}
}

// Find returns the device that uses an address or a MAC, nil if nobody is known.
func (v *View) Find(a netip.Addr, mac cordon.MAC) *Resident {
	if v == nil {
		return nil
	}
	if r := v.byMAC[mac]; r != nil && mac != (cordon.MAC{}) {
		return r
	}
	return v.byAddr[a]
}

// Untouched returns addresses of devices that are not cut off.
func (v *View) Untouched() (list []netip.Addr) {
	if v == nil {
		return nil
	}
	for a, r := range v.byAddr {
		if r.Quarantine == nil && !r.Device.Gateway && !a.IsLinkLocalUnicast() {
			list = append(list, a)
		}
	}
	return list
}

// Answer is what is done about a question.
type Answer uint8

const (
	AnswerPass    Answer = iota // the server that was asked answers
	AnswerRefuse                // there is no such name
	AnswerResolve               // cut off: the router answers, and opens the way
)

// Question decides about a name that a device asks for. It must be fast, and does
// not allocate for a name that passes.
func (v *View) Question(r *Resident, name []byte, indicators known.Indicators, hosts *mend.Hosts, now cordon.Time) Answer {
	if r == nil {
		return AnswerPass
	}
	if r.Quarantine != nil {
		if hosts.Allows(r.Device.Maker, name) {
			return AnswerResolve
		}
		return AnswerRefuse
	}
	if r.Policy != cordon.PolicyProtect {
		return AnswerPass
	}
	if r.blocks(name) {
		return AnswerRefuse
	}
	if indicators == nil {
		return AnswerPass
	}
	i, ok := indicators.Name(name, now)
	if ok && i.Confidence >= cordon.HighConfidence && i.Role != cordon.RoleScanner && i.Applies(r.Device.Class) {
		return AnswerRefuse
	}
	return AnswerPass
}

// blocks reports whether name or a domain that it lies below is blocked.
func (r *Resident) blocks(name []byte) bool {
	for len(r.names) > 0 && len(name) > 0 {
		if r.names[string(name)] {
			return true
		}
		i := 0
		for i < len(name) && name[i] != '.' {
			i++
		}
		name = name[min(i+1, len(name)):]
	}
	return false
}
