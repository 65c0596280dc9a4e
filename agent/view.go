package agent

import (
	"net/netip"
	"slices"

	"cordon"
	"cordon/agent/detect/known"
	"cordon/agent/home"
	"cordon/agent/mend"
)

// view is what the DNS guard and the page need to know of the home. They run on
// goroutines of their own, so the pipeline publishes a new view whenever
// something changed and never touches an old one.
type view struct {
	byAddr map[netip.Addr]*resident
	byMAC  map[cordon.MAC]*resident
}

// resident is a device as it stands in a view.
type resident struct {
	device     cordon.Device
	policy     cordon.Policy
	quarantine *cordon.Action  // nil when it is not cut off
	kinds      []cordon.Kind   // of its open incident, the most serious first
	names      map[string]bool // blocked by name, each with what is below it
}

// newView makes the view of the devices, of what is in force and of the open
// incidents.
func newView(devices []*cordon.Device, inForce []cordon.Action, open []*cordon.Incident, policy func(*cordon.Device) cordon.Policy) *view {
	v := &view{byAddr: make(map[netip.Addr]*resident), byMAC: make(map[cordon.MAC]*resident)}
	byID := make(map[string]*resident)
	for _, d := range devices {
		r := &resident{device: *d, policy: policy(d)}
		r.device.Addrs = append([]netip.Addr(nil), d.Addrs...)
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
			d := home.Stub(a.Entity.Device)
			r = &resident{device: *d, policy: policy(d)}
			v.add(r)
			byID[d.ID] = r
		}
		switch {
		case a.Verb == cordon.VerbQuarantine:
			r.quarantine = a
		case a.Verb == cordon.VerbBlock && a.Entity.Target.Name != "":
			if r.names == nil {
				r.names = make(map[string]bool)
			}
			r.names[a.Entity.Target.Name] = true
		}
	}
	for _, i := range open {
		if r := byID[i.Device.ID]; r != nil {
			r.kinds = gravest(i.Marks)
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

func (v *view) add(r *resident) {
	for _, a := range r.device.Addrs {
		v.byAddr[a] = r
	}
	if r.device.HasMAC && !r.device.Relay {
		v.byMAC[r.device.MAC] = r
	}
}

// find returns the device that uses an address or a MAC, nil if nobody is known.
func (v *view) find(a netip.Addr, mac cordon.MAC) *resident {
	if v == nil {
		return nil
	}
	if r := v.byMAC[mac]; r != nil && mac != (cordon.MAC{}) {
		return r
	}
	return v.byAddr[a]
}

// answer is what is done about a question.
type answer uint8

const (
	answerPass    answer = iota // the server that was asked answers
	answerRefuse                // there is no such name
	answerResolve               // cut off: the router answers, and opens the way
)

// question decides about a name that a device asks for. It must be fast, and does
// not allocate for a name that passes.
func (v *view) question(r *resident, name []byte, indicators known.Indicators, hosts *mend.Hosts, now cordon.Time) answer {
	if r == nil {
		return answerPass
	}
	if r.quarantine != nil {
		if hosts.Allows(r.device.Maker, name) {
			return answerResolve
		}
		return answerRefuse
	}
	if r.policy != cordon.PolicyProtect {
		return answerPass
	}
	if r.blocks(name) {
		return answerRefuse
	}
	if indicators == nil {
		return answerPass
	}
	i, ok := indicators.Name(name, now)
	if ok && i.Confidence >= cordon.HighConfidence && i.Role != cordon.RoleScanner && i.Applies(r.device.Class) {
		return answerRefuse
	}
	return answerPass
}

// blocks reports whether name or a domain that it lies below is blocked.
func (r *resident) blocks(name []byte) bool {
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
