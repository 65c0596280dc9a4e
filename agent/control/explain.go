package control

import (
	"fmt"
	"strconv"
	"strings"

	"cordon"
)

// Explain puts together everything about a device: d with its actions, its
// incidents newest first, and what it may reach.
func Explain(d Device, incidents []Incident, allowed []Allowed) Explanation {
	e := Explanation{Device: d, Stops: []string{}, Undo: []Undo{}, Allowed: notNil(allowed), Incidents: notNil(incidents)}
	for i := range d.Actions {
		a := &d.Actions[i]
		if a.Verb == cordon.VerbNotify || a.Mode != cordon.ModeDo {
			continue
		}
		if e.Since == 0 || a.At < e.Since {
			e.Since = a.At
		}
		e.Until = max(e.Until, a.Expires)
		e.Stops = append(e.Stops, a.Stops)
		e.Undo = append(e.Undo, undo(a)...)
	}
	e.Summary = summary(&d, incidents)
	return e
}

// summary says in one or two sentences how the device is.
func summary(d *Device, incidents []Incident) string {
	s := map[State]string{
		StateOK:          "Nothing is held against it.",
		StateWatched:     "It is watched; nothing is cut.",
		StateLimited:     "A part of its traffic is slowed down.",
		StateBlocked:     "Parts of its traffic are blocked; the rest works.",
		StateQuarantined: "It is cut off from the internet and from the other devices at home.",
	}[d.State]
	if would(d, cordon.ModeAsk) {
		s += " An answer of the customer is waited for."
	} else if would(d, cordon.ModeWould) {
		s += " Under another policy something would have been cut."
	}
	for _, i := range incidents {
		if i.Open && i.Told != "" {
			return s + " " + i.Told
		}
	}
	return s
}

func would(d *Device, m cordon.Mode) bool {
	for _, a := range d.Actions {
		if a.Mode == m && a.Verb != cordon.VerbNotify {
			return true
		}
	}
	return false
}

// stops says what does not work because of an action.
func stops(a *Action) string {
	s := ""
	switch a.Verb {
	case cordon.VerbQuarantine:
		s = "The device reaches neither the internet nor the other devices at home. It still gets its address and the time, and updates if its maker's servers are known."
	case cordon.VerbBlock:
		s = "The device cannot " + reach(&a.Target) + ". Everything else works."
	case cordon.VerbLimit:
		s = "The device can " + reach(&a.Target) + " only slowly" + rate(a.Rate) + ". Everything else works."
	default:
		return ""
	}
	switch a.Mode {
	case cordon.ModeAsk:
		return "Nothing yet, the customer is asked. If the answer is yes: " + s
	case cordon.ModeWould:
		return "Nothing, the policy only observes. Otherwise: " + s
	}
	return s
}

func rate(r cordon.Rate) string {
	var parts []string
	if r.Packets > 0 {
		parts = append(parts, fmt.Sprintf("%d packets a second", r.Packets))
	}
	if r.Connections > 0 {
		parts = append(parts, fmt.Sprintf("%d new connections a second", r.Connections))
	}
	if len(parts) == 0 {
		return ""
	}
	return " (" + strings.Join(parts, ", ") + ")"
}

// reach names a part of a device's traffic as what the device does.
func reach(t *Target) string {
	s := "reach "
	switch {
	case t.Name != "" && t.Peer.IsValid():
		s += t.Name + " (" + t.Peer.String() + ")"
	case t.Name != "":
		s += t.Name
	case t.Peer.IsValid():
		s += t.Peer.String()
	case t.Net.IsValid():
		s += "any address in " + t.Net.String()
	default:
		s += "anybody"
	}
	if len(t.Ports) > 0 {
		s += " on " + ports(t.Ports)
	}
	if t.LocalPort != 0 {
		s += " from its own port " + strconv.Itoa(int(t.LocalPort))
	}
	if t.Protocol != 0 {
		s += " by " + protocol(t.Protocol)
	}
	if t.Stray {
		s += " outside of connections"
	}
	return s
}

// ports names ports, with what they are for where they are a known class.
func ports(list []uint16) string {
	names := make([]string, len(list))
	for i, p := range list {
		names[i] = strconv.Itoa(int(p))
	}
	s := "port " + strings.Join(names, ", ")
	if len(list) > 1 {
		s = "ports " + strings.Join(names, ", ")
	}
	if c := cordon.ClassOfPort(list[0]); len(c.Ports) > 1 || c.Probe {
		s += " (" + c.Name + ")"
	}
	return s
}

func protocol(p uint8) string {
	switch p {
	case 1, 58:
		return "ping (ICMP)"
	case 6:
		return "TCP"
	case 17:
		return "UDP"
	case 47:
		return "GRE"
	}
	return fmt.Sprintf("protocol %d", p)
}

// undo returns the ways back from an action that is in force.
func undo(a *Action) []Undo {
	ways := []Undo{{Text: "End this " + string(a.Verb) + "; it comes back if the device does the same again.",
		Command: "cordon-agent release " + a.ID}}
	if a.Verb == cordon.VerbQuarantine {
		ways[0] = Undo{Text: "Let the device back in, once it is mended; it is cut off again if it does the same again.",
			Command: "cordon-agent release " + a.Device}
	}
	if to := FormatTarget(a.Target.target()); to != "" && a.Verb == cordon.VerbBlock {
		ways = append(ways, Undo{Text: "Let it reach " + to + " for a week, whatever happens.",
			Command: "cordon-agent allow " + a.Device + " " + to + " --for 7d"})
	}
	return ways
}
