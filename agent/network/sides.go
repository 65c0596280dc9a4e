package network

import (
	"net/netip"
	"slices"
)

// wan returns the interfaces towards the internet. One that was found to lead there
// stays one, also while its line is down: it must not become a LAN because it still
// has an address. A router whose ports change sides is restarted or told.
func (v *view) wan(named []string, wasWAN map[string]bool) (list []*link) {
	if len(named) > 0 {
		return v.find(named)
	}
	for _, r := range v.routes {
		if l := v.byIndex(r.index); l != nil && !l.loopback && v.upstream(r) {
			wasWAN[l.name] = true
		}
	}
	for k := range v.links {
		if wasWAN[v.links[k].name] {
			list = append(list, &v.links[k])
		}
	}
	for name := range wasWAN { // bounded by the interfaces that there are
		if v.byName(name) == nil && len(wasWAN) > maxRemembered {
			delete(wasWAN, name)
		}
	}
	return list
}

// maxRemembered is how many interfaces that led to the internet are remembered
// after they are gone. A PPPoE or modem interface comes back under its name.
const maxRemembered = 16

// upstream reports whether r leads to the internet: a default route, or the
// host route past a VPN that has taken the default route over.
func (v *view) upstream(r route) bool {
	switch {
	case r.unreachable:
		return false
	case r.dst.Bits() == 0:
		return true
	}
	return r.dst.Addr().Is4() && r.dst.IsSingleIP() && r.gateway.IsValid() && public(r.dst.Addr())
}

// public reports whether a is an address of the internet.
func public(a netip.Addr) bool {
	return a.IsGlobalUnicast() && !a.IsPrivate() && !sharedSpace.Contains(a)
}

// sharedSpace is RFC 6598's, between a provider's NAT and its customers.
var sharedSpace = netip.MustParsePrefix("100.64.0.0/10")

// lan returns the home's side: the interfaces with its addresses, and the ports
// that devices are behind.
func (v *view) lan(named []string, wan []*link) (home, ports []*link) {
	chosen := v.find(named)
	if len(named) == 0 {
		chosen = v.candidates(wan)
	}
	for _, l := range chosen {
		behind, addressed := v.behind(l)
		ports = append(ports, behind...)
		home = append(home, addressed)
	}
	ports = slices.DeleteFunc(ports, func(l *link) bool { return slices.Contains(wan, l) })
	byIndex := func(a, b *link) int { return a.index - b.index }
	return sorted(home, byIndex), sorted(ports, byIndex)
}

// find returns the links of those names that are there.
func (v *view) find(named []string) (list []*link) {
	for _, name := range named {
		if l := v.byName(name); l != nil {
			list = append(list, l)
		}
	}
	return list
}

// behind returns the ports of a LAN interface, and the interface that has its
// addresses: a bridge's ports, a filtering bridge's ports in the VLAN, or l alone.
func (v *view) behind(l *link) (ports []*link, addressed *link) {
	if b := v.bridge(l); b != nil {
		return []*link{l}, b
	}
	bridge := l
	if lower := v.byIndex(l.lower); l.kind == "vlan" && lower != nil && lower.kind == "bridge" {
		bridge = lower
	}
	if bridge.kind != "bridge" {
		return []*link{l}, l
	}
	for k := range v.links {
		p := &v.links[k]
		vlans, told := v.vlans[p.index]
		if p.master == bridge.index && (bridge == l || !told || slices.Contains(vlans, l.vlan)) {
			ports = append(ports, p)
		}
	}
	return ports, l
}

// candidates returns the LAN interfaces of a router that nobody has told: what
// has a private address of its own and does not lead to the internet. As long as
// that is not known (the line is down at boot), only bridges: an interface with a
// private address may also be the way to another router.
func (v *view) candidates(wan []*link) (list []*link) {
	for k := range v.links {
		l := &v.links[k]
		switch {
		case !l.ethernet, l.loopback, slices.Contains(notHome, l.kind):
		case v.bridge(l) != nil, v.towards(l, wan):
		case len(wan) == 0 && l.kind != "bridge":
		case slices.ContainsFunc(v.addrs, func(a address) bool { return a.index == l.index && a.prefix.Addr().IsPrivate() }):
			list = append(list, l)
		}
	}
	return list
}

// notHome are kinds of interfaces behind which no device of the home is: tunnels
// and what other programs make for themselves.
var notHome = []string{"tun", "wireguard", "dummy", "ifb", "gre", "gretap", "ip6gre", "ip6gretap", "sit", "vxlan", "vrf", "ipvlan"}

// towards reports whether l is on the way to the internet: it is a WAN interface,
// or carries one (a VLAN's interface, PPPoE's). A bridge that carries the internet
// in one VLAN may well carry the home in another.
func (v *view) towards(l *link, wan []*link) bool {
	if slices.Contains(v.pppoe, l.name) {
		return true
	}
	return slices.ContainsFunc(wan, func(w *link) bool {
		return w == l || w.lower == l.index && !(w.kind == "vlan" && l.kind == "bridge")
	})
}
