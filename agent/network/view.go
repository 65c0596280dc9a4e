package network

import (
	"cmp"
	"net/netip"
	"slices"

	"cordon"
)

// view is what the kernel says about interfaces, addresses and routes.
type view struct {
	links  []link
	addrs  []address
	routes []route
	vlans  map[int][]uint16 // by port: the VLANs that a filtering bridge lets through
	pppoe  []string         // Ethernet interfaces that carry a PPPoE session
}

// link is one interface.
type link struct {
	index, master, lower int // lower: what a VLAN or macvlan sits on, 0 if nothing
	name                 string
	kind                 string // as `ip -d link` says: "bridge", "vlan", "ppp"; empty: hardware
	ethernet             bool
	mac                  cordon.MAC
	vlan                 uint16 // of a VLAN interface
	loopback             bool
}

// address is one address of an interface with its on-link prefix.
type address struct {
	index  int
	prefix netip.Prefix // not masked
}

// route is one route of the main table, or one of its next hops.
type route struct {
	index       int
	dst         netip.Prefix
	gateway     netip.Addr // the zero Addr if on-link
	unreachable bool       // refused: how a delegated prefix is kept from looping
}

func (v *view) byIndex(i int) *link {
	for k := range v.links {
		if v.links[k].index == i {
			return &v.links[k]
		}
	}
	return nil
}

func (v *view) byName(name string) *link {
	for k := range v.links {
		if v.links[k].name == name {
			return &v.links[k]
		}
	}
	return nil
}

// bridge returns the bridge that l is a port of, nil if none.
func (v *view) bridge(l *link) *link {
	if m := v.byIndex(l.master); l.master != 0 && m != nil && m.kind == "bridge" {
		return m
	}
	return nil
}

// build makes the network out of what was read. It remembers in wasWAN which
// interfaces it found to lead to the internet.
func build(v *view, lanNames, wanNames []string, spared []netip.Addr, wasWAN map[string]bool) cordon.Network {
	wan := v.wan(wanNames, wasWAN)
	home, ports := v.lan(lanNames, wan)
	n := cordon.Network{LAN: v.ports(ports), WAN: v.ports(wan), Home: v.home(home)}
	own := make(map[int]bool) // the home's side: what carries addresses, and the ports
	for _, l := range slices.Concat(home, ports) {
		own[l.index] = true
		if l.mac != (cordon.MAC{}) {
			n.MACs = append(n.MACs, l.mac)
		}
	}
	for _, a := range v.addrs {
		if own[a.index] {
			n.Addrs = append(n.Addrs, a.prefix.Addr())
		}
		if l := v.byIndex(a.index); l != nil && !l.loopback {
			spared = append(spared, a.prefix.Addr())
		}
	}
	for _, r := range v.routes {
		if r.dst.Bits() == 0 {
			spared = append(spared, r.gateway)
		}
	}
	spared = slices.DeleteFunc(spared, func(a netip.Addr) bool {
		return !a.IsValid() || a.IsUnspecified() || a.IsLoopback() || a.IsMulticast()
	})
	for k, a := range spared {
		spared[k] = a.Unmap().WithZone("")
	}
	n.MACs = sorted(n.MACs, func(a, b cordon.MAC) int { return slices.Compare(a[:], b[:]) })
	n.Addrs = sorted(n.Addrs, netip.Addr.Compare)
	n.Spared = sorted(spared, netip.Addr.Compare)
	return n
}

// sorted sorts list and drops what is in it twice.
func sorted[T comparable](list []T, compare func(a, b T) int) []T {
	slices.SortFunc(list, compare)
	return slices.Compact(list)
}

// ports describes links, in the order of their names.
func (v *view) ports(links []*link) (list []cordon.Port) {
	for _, l := range links {
		p := cordon.Port{Name: l.name, Index: l.index, MAC: l.mac}
		if b := v.bridge(l); b != nil {
			p.Bridge = b.name
		}
		list = append(list, p)
	}
	slices.SortFunc(list, func(a, b cordon.Port) int { return cmp.Compare(a.Name, b.Name) })
	return list
}

// home returns the prefixes of the home's side: what is on-link at its
// interfaces, what is routed through them (a second router's), and the delegated
// prefixes out of which they were numbered. Link-local ones are everybody's and
// left out. No prefix lies in another.
func (v *view) home(ifs []*link) (list []netip.Prefix) {
	is := make(map[int]bool)
	for _, l := range ifs {
		is[l.index] = true
	}
	add := func(p netip.Prefix) {
		if p = p.Masked(); p.Bits() > 0 && !p.Addr().IsLinkLocalUnicast() && !p.Addr().IsMulticast() {
			list = append(list, p)
		}
	}
	for _, a := range v.addrs {
		if is[a.index] && !a.prefix.IsSingleIP() {
			add(a.prefix)
		}
	}
	for _, r := range v.routes {
		if is[r.index] && !r.unreachable {
			add(r.dst)
		}
	}
	for _, r := range v.routes {
		numbered := func(p netip.Prefix) bool { return r.dst.Bits() <= p.Bits() && r.dst.Contains(p.Addr()) }
		if r.unreachable && r.dst.Addr().Is6() && r.dst.Bits() >= widestDelegation && slices.ContainsFunc(list, numbered) {
			add(r.dst)
		}
	}
	slices.SortFunc(list, func(a, b netip.Prefix) int {
		return cmp.Or(cmp.Compare(a.Bits(), b.Bits()), a.Addr().Compare(b.Addr()))
	})
	var least []netip.Prefix
	for _, p := range list {
		if !slices.ContainsFunc(least, func(q netip.Prefix) bool { return q.Overlaps(p) }) {
			least = append(least, p)
		}
	}
	slices.SortFunc(least, func(a, b netip.Prefix) int { return a.Addr().Compare(b.Addr()) })
	return least
}

// widestDelegation is the shortest prefix that is taken for one delegated to a
// home or a business site; RIPE-690 §4.2 recommends /56 and /48.
const widestDelegation = 40
