package incident

import (
	"fmt"
	"strconv"
	"strings"

	"cordon"
)

// story tells the incident in plain sentences, for a support agent to read aloud.
func (c *casefile) story() string {
	var b strings.Builder
	switch c.Level {
	case cordon.Act:
		fmt.Fprintf(&b, "%s behaves as an infected device does.", capital(c.Device.Label()))
	case cordon.Notify:
		fmt.Fprintf(&b, "%s does something that its owner should know about.", capital(c.Device.Label()))
	default:
		fmt.Fprintf(&b, "%s did something unusual; it is being watched.", capital(c.Device.Label()))
	}
	for _, m := range c.strongest() {
		b.WriteString(" " + m.Text)
	}
	for _, a := range c.actions {
		b.WriteString(" " + a)
	}
	return b.String()
}

// strongest returns, for each kind, the moment that says most about it.
func (c *casefile) strongest() []cordon.Moment {
	var best []cordon.Moment
	for _, kind := range c.Kinds {
		var top cordon.Moment
		for _, m := range c.Timeline {
			if m.Kind == kind && (top.Text == "" || m.Level > top.Level) {
				top = m
			}
		}
		if top.Text != "" {
			best = append(best, top)
		}
	}
	return best
}

func capital(s string) string {
	if s == "" {
		return s
	}
	return strings.ToUpper(s[:1]) + s[1:]
}

// Sentence says what an action does, in plain words.
func Sentence(a *cordon.Action) string {
	var what string
	switch a.Verb {
	case cordon.VerbNotify:
		what = "the customer is told"
	case cordon.VerbLimit:
		what = subject(a.Entity.Target) + " from the device to " + part(a.Entity.Target) + " are slowed down"
	case cordon.VerbBlock:
		what = subject(a.Entity.Target) + " from the device to " + part(a.Entity.Target) + " are blocked"
	case cordon.VerbQuarantine:
		what = "the device is cut off from the internet and from the other devices, except for what it needs to be mended"
	case cordon.VerbRelease:
		what = "the device is released"
	}
	switch a.Mode {
	case cordon.ModeAsk:
		return "The customer is asked whether " + what + "."
	case cordon.ModeWould:
		return "Would have been done: " + what + "."
	}
	return capital(what) + "."
}

// subject is what of a device's traffic an action is about: packets where it names
// a protocol only, as with a flood.
func subject(t cordon.Target) string {
	if t.Proto == 0 || len(t.Ports) > 0 || t.LocalPort != 0 || t.Name != "" {
		return "connections"
	}
	name, known := protocols[t.Proto]
	switch {
	case t.Stray:
		return "packets that belong to no connection"
	case !known:
		return fmt.Sprintf("packets of protocol %d", t.Proto)
	case t.Proto == 6:
		return "connections"
	}
	return name + " packets"
}

// protocols are those that are blocked as a whole (IANA protocol-numbers).
var protocols = map[uint8]string{1: "ICMP", 6: "TCP", 17: "UDP", 47: "GRE", 58: "ICMPv6"}

// part names a part of a device's traffic.
func part(t cordon.Target) string {
	var s []string
	if len(t.Ports) > 0 {
		s = append(s, ports(t.Ports))
	}
	if t.LocalPort != 0 {
		s = append(s, fmt.Sprintf("strangers from its port %d", t.LocalPort))
	}
	if t.Peer.IsValid() {
		s = append(s, t.Peer.String())
	}
	if t.Net.IsValid() {
		s = append(s, t.Net.String())
	}
	if t.Name != "" {
		s = append(s, t.Name)
	}
	if s == nil {
		return "everywhere"
	}
	return strings.Join(s, " at ")
}

// ports names ports by their class, if that has a name.
func ports(all []uint16) string {
	class := cordon.ClassOfPort(all[0]).Name
	if class == "port "+list(all) {
		return class
	}
	return fmt.Sprintf("%s (port %s)", class, list(all))
}

func list(ports []uint16) string {
	s := make([]string, len(ports))
	for i, p := range ports {
		s[i] = strconv.Itoa(int(p))
	}
	return strings.Join(s, ", ")
}
