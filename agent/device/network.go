package device

import (
	"net/netip"
	"slices"

	"cordon"
	"cordon/agent/packet"
)

// onLink are the addresses that are of the home wherever it is: link-local ones
// (RFC 3927, RFC 4291 §2.5.6).
var onLink = []netip.Prefix{netip.MustParsePrefix("169.254.0.0/16"), netip.MustParsePrefix("fe80::/10")}

// SetNetwork tells the table what the router knows of itself: its MACs, its
// addresses and the home's prefixes. From then on nothing about them is guessed
// from traffic, and no device can pass for the router by what it sends. Prefixes
// that are gone stay the home's until the next call but one: devices use an old
// address for a while after a renumbering.
func (t *Table) SetNetwork(n cordon.Network, now cordon.Time) {
	t.told, t.advertised = true, true
	t.learned = slices.DeleteFunc(t.current, func(p netip.Prefix) bool { return slices.Contains(n.Home, p) })
	t.current = slices.Clone(n.Home)
	t.home = slices.Concat(onLink, n.Home)
	for mac, s := range t.stations {
		if own := slices.Contains(n.MACs, cordon.MAC(mac)); own != s.gateway {
			t.setGateway(s, own)
		}
	}
	for _, mac := range n.MACs {
		s := t.station(packet.MAC(mac), now)
		t.setGateway(s, true)
		s.own, s.told = s.own[:0], true
		for _, a := range n.Addrs {
			if a.Is4() {
				s.own = append(s.own, a)
			}
		}
	}
}

func (t *Table) setGateway(s *station, is bool) {
	s.gateway, s.single.Gateway = is, is
	s.single.judge()
}
