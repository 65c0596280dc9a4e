package network

import (
	"net/netip"
	"testing"

	"github.com/google/go-cmp/cmp"
	"github.com/google/go-cmp/cmp/cmpopts"

	"cordon"
)

var compareAddrs = cmp.Options{cmpopts.EquateComparable(netip.Addr{}, netip.Prefix{}), cmpopts.EquateEmpty()}

// A router written down: interfaces get their index from their place, and say
// what they sit on by name.
type card struct {
	name, kind, master, lower string
	vlan                      uint16
	addrs                     []string
}

type way struct {
	dst, via, dev string
	refused       bool
}

func router(cards []card, ways []way) *view {
	v := &view{vlans: make(map[int][]uint16)}
	for k, c := range cards {
		l := link{index: k + 1, name: c.name, kind: c.kind, vlan: c.vlan, ethernet: true, mac: cordon.MAC{2, 0, 0, 0, 0, byte(k + 1)}}
		if c.kind == "ppp" || c.kind == "wireguard" {
			l.ethernet, l.mac = false, cordon.MAC{}
		}
		if c.name == "lo" {
			l.loopback, l.ethernet, l.mac = true, false, cordon.MAC{}
		}
		v.links = append(v.links, l)
		for _, a := range c.addrs {
			v.addrs = append(v.addrs, address{index: k + 1, prefix: netip.MustParsePrefix(a)})
		}
	}
	index := func(name string) int {
		if l := v.byName(name); l != nil {
			return l.index
		}
		return 0
	}
	for k, c := range cards {
		v.links[k].master, v.links[k].lower = index(c.master), index(c.lower)
	}
	for _, w := range ways {
		r := route{index: index(w.dev), dst: netip.MustParsePrefix(w.dst), unreachable: w.refused}
		if w.via != "" {
			r.gateway = netip.MustParseAddr(w.via)
		}
		v.routes = append(v.routes, r)
	}
	return v
}

func prefixes(list ...string) (p []netip.Prefix) {
	for _, s := range list {
		p = append(p, netip.MustParsePrefix(s))
	}
	return p
}

var (
	lo   = card{name: "lo", addrs: []string{"127.0.0.1/8", "::1/128"}}
	eth1 = card{name: "eth1", addrs: []string{"203.0.113.2/24"}}
	out  = way{dst: "0.0.0.0/0", via: "203.0.113.1", dev: "eth1"}
)

// TestSides shows which interfaces are the home's and which the internet's.
func TestSides(t *testing.T) {
	for _, c := range []struct {
		name     string
		cards    []card
		ways     []way
		pppoe    []string
		vlans    map[string][]uint16
		askedLAN []string
		askedWAN []string
		lan, wan []string
		home     []netip.Prefix
	}{
		{
			name:  "bridge and Ethernet",
			cards: []card{lo, eth1, {name: "br-lan", kind: "bridge", addrs: []string{"192.168.1.1/24", "fe80::1/64"}}, {name: "lan1", master: "br-lan"}, {name: "lan2", master: "br-lan"}},
			ways:  []way{out, {dst: "192.168.1.0/24", dev: "br-lan"}, {dst: "fe80::/64", dev: "br-lan"}, {dst: "ff00::/8", dev: "br-lan"}},
			lan:   []string{"lan1", "lan2"}, wan: []string{"eth1"}, home: prefixes("192.168.1.0/24"),
		},
		{
			name:  "interface without a bridge",
			cards: []card{lo, eth1, {name: "eth0", addrs: []string{"10.1.0.1/16"}}},
			ways:  []way{out},
			lan:   []string{"eth0"}, wan: []string{"eth1"}, home: prefixes("10.1.0.0/16"),
		},
		{
			name: "a guest network and a VLAN",
			cards: []card{lo, eth1, {name: "eth0"}, {name: "br-lan", kind: "bridge", addrs: []string{"192.168.1.1/24"}}, {name: "eth0.1", kind: "vlan", vlan: 1, lower: "eth0", master: "br-lan"},
				{name: "br-guest", kind: "bridge", addrs: []string{"192.168.2.1/24"}}, {name: "wlan0-1", master: "br-guest"},
				{name: "eth0.30", kind: "vlan", vlan: 30, lower: "eth0", addrs: []string{"192.168.3.1/24"}}},
			ways: []way{out},
			lan:  []string{"eth0.1", "eth0.30", "wlan0-1"}, wan: []string{"eth1"}, home: prefixes("192.168.1.0/24", "192.168.2.0/24", "192.168.3.0/24"),
		},
		{
			name: "PPPoE with the modem's own address beside it",
			cards: []card{lo, {name: "eth1", addrs: []string{"192.168.100.2/24"}}, {name: "pppoe-wan", kind: "ppp", addrs: []string{"198.51.100.7/32"}},
				{name: "br-lan", kind: "bridge", addrs: []string{"192.168.1.1/24"}}, {name: "lan1", master: "br-lan"}},
			ways: []way{{dst: "0.0.0.0/0", via: "198.51.100.1", dev: "pppoe-wan"}}, pppoe: []string{"eth1"},
			lan: []string{"lan1"}, wan: []string{"pppoe-wan"}, home: prefixes("192.168.1.0/24"),
		},
		{
			name: "the internet in a VLAN of the home's card",
			cards: []card{lo, {name: "eth0", addrs: []string{"192.168.100.2/24"}}, {name: "eth0.7", kind: "vlan", vlan: 7, lower: "eth0", addrs: []string{"192.168.0.9/24"}},
				{name: "eth0.1", kind: "vlan", vlan: 1, lower: "eth0", addrs: []string{"192.168.1.1/24"}}},
			ways: []way{{dst: "0.0.0.0/0", via: "192.168.0.1", dev: "eth0.7"}},
			lan:  []string{"eth0.1"}, wan: []string{"eth0.7"}, home: prefixes("192.168.1.0/24"),
		},
		{
			name: "both in VLANs of one filtering bridge",
			cards: []card{lo, {name: "switch", kind: "bridge"}, {name: "p1", master: "switch"}, {name: "p2", master: "switch"}, {name: "p3", master: "switch"},
				{name: "switch.1", kind: "vlan", vlan: 1, lower: "switch", addrs: []string{"192.168.1.1/24"}},
				{name: "switch.2", kind: "vlan", vlan: 2, lower: "switch", addrs: []string{"203.0.113.2/24"}}},
			ways:  []way{{dst: "0.0.0.0/0", via: "203.0.113.1", dev: "switch.2"}},
			vlans: map[string][]uint16{"p1": {1}, "p2": {1}, "p3": {2}},
			lan:   []string{"p1", "p2"}, wan: []string{"switch.2"}, home: prefixes("192.168.1.0/24"),
		},
		{
			name: "two ways out, one by LTE",
			cards: []card{lo, eth1, {name: "wwan0", kind: "wwan", addrs: []string{"10.64.0.9/30"}},
				{name: "br-lan", kind: "bridge", addrs: []string{"192.168.1.1/24"}}, {name: "lan1", master: "br-lan"}},
			ways: []way{out, {dst: "0.0.0.0/0", via: "10.64.0.10", dev: "wwan0"}},
			lan:  []string{"lan1"}, wan: []string{"eth1", "wwan0"}, home: prefixes("192.168.1.0/24"),
		},
		{
			name: "a VPN that took the default route",
			cards: []card{lo, {name: "eth1", addrs: []string{"192.168.0.2/24"}}, {name: "wg0", kind: "wireguard", addrs: []string{"10.9.0.2/32"}},
				{name: "br-lan", kind: "bridge", addrs: []string{"192.168.1.1/24"}}, {name: "lan1", master: "br-lan"}},
			ways: []way{{dst: "0.0.0.0/0", dev: "wg0"}, {dst: "198.51.100.9/32", via: "192.168.0.1", dev: "eth1"}},
			lan:  []string{"lan1"}, wan: []string{"eth1", "wg0"}, home: prefixes("192.168.1.0/24"),
		},
		{
			name: "no way out yet: only bridges are the home's",
			cards: []card{lo, {name: "eth1", addrs: []string{"192.168.0.2/24"}},
				{name: "br-lan", kind: "bridge", addrs: []string{"192.168.1.1/24"}}, {name: "lan1", master: "br-lan"}},
			ways: []way{{dst: "::/0", dev: "lo", refused: true}},
			lan:  []string{"lan1"}, home: prefixes("192.168.1.0/24"),
		},
		{
			name: "a delegated prefix, an old one and a second router's",
			cards: []card{lo, eth1, {name: "br-lan", kind: "bridge", addrs: []string{"192.168.1.1/24", "2001:db8:a:1::1/64", "2001:db8:b:1::1/64", "fd00:1::1/64"}},
				{name: "lan1", master: "br-lan"}},
			ways: []way{out, {dst: "2001:db8:a::/56", dev: "lo", refused: true}, {dst: "2001:db8:b::/56", dev: "lo", refused: true},
				{dst: "fd00:1::/48", dev: "lo", refused: true}, {dst: "2001:db8:ffff::/48", dev: "lo", refused: true}, {dst: "2000::/3", dev: "lo", refused: true},
				{dst: "192.168.9.0/24", via: "192.168.1.2", dev: "br-lan"}, {dst: "2001:db8:c:10::/60", via: "fe80::2", dev: "br-lan"}},
			lan: []string{"lan1"}, wan: []string{"eth1"},
			home: prefixes("192.168.1.0/24", "192.168.9.0/24", "2001:db8:a::/56", "2001:db8:b::/56", "2001:db8:c:10::/60", "fd00:1::/48"),
		},
		{
			name: "told: one port of a bridge, and an interface that is not there",
			cards: []card{lo, eth1, {name: "br-lan", kind: "bridge", addrs: []string{"192.168.1.1/24"}}, {name: "lan1", master: "br-lan"}, {name: "lan2", master: "br-lan"},
				{name: "docker0", kind: "bridge", addrs: []string{"172.17.0.1/16"}}},
			ways: []way{out}, askedLAN: []string{"lan2", "lan9"}, askedWAN: []string{"eth1", "wwan0"},
			lan: []string{"lan2"}, wan: []string{"eth1"}, home: prefixes("192.168.1.0/24"),
		},
		{
			name:  "nothing",
			cards: []card{lo},
		},
	} {
		t.Run(c.name, func(t *testing.T) {
			v := router(c.cards, c.ways)
			v.pppoe = c.pppoe
			for name, list := range c.vlans {
				v.vlans[v.byName(name).index] = list
			}
			n := build(v, c.askedLAN, c.askedWAN, nil, make(map[string]bool))
			if diff := cmp.Diff(c.lan, names(n.LAN), compareAddrs); diff != "" {
				t.Errorf("LAN (-want +got):\n%s", diff)
			}
			if diff := cmp.Diff(c.wan, names(n.WAN), compareAddrs); diff != "" {
				t.Errorf("WAN (-want +got):\n%s", diff)
			}
			if diff := cmp.Diff(c.home, n.Home, compareAddrs); diff != "" {
				t.Errorf("home (-want +got):\n%s", diff)
			}
		})
	}
}

// TestOwn shows whose MACs and addresses are the router's, and what is spared.
func TestOwn(t *testing.T) {
	v := router([]card{lo, eth1, {name: "br-lan", kind: "bridge", addrs: []string{"192.168.1.1/24", "fe80::1/64"}}, {name: "lan1", master: "br-lan"}},
		[]way{out, {dst: "::/0", via: "fe80::99", dev: "eth1"}})
	extra := []netip.Addr{netip.MustParseAddr("::ffff:192.0.2.53"), netip.MustParseAddr("fe80::7%eth1"), netip.MustParseAddr("127.0.0.53"), {}}
	n := build(v, nil, nil, extra, make(map[string]bool))
	want := cordon.Network{
		LAN:   []cordon.Port{{Name: "lan1", Index: 4, Bridge: "br-lan", MAC: cordon.MAC{2, 0, 0, 0, 0, 4}}},
		WAN:   []cordon.Port{{Name: "eth1", Index: 2, MAC: cordon.MAC{2, 0, 0, 0, 0, 2}}},
		Home:  prefixes("192.168.1.0/24"),
		MACs:  []cordon.MAC{{2, 0, 0, 0, 0, 3}, {2, 0, 0, 0, 0, 4}},
		Addrs: []netip.Addr{netip.MustParseAddr("192.168.1.1"), netip.MustParseAddr("fe80::1")},
		Spared: []netip.Addr{netip.MustParseAddr("192.0.2.53"), netip.MustParseAddr("192.168.1.1"), netip.MustParseAddr("203.0.113.1"),
			netip.MustParseAddr("203.0.113.2"), netip.MustParseAddr("fe80::1"), netip.MustParseAddr("fe80::7"), netip.MustParseAddr("fe80::99")},
	}
	if diff := cmp.Diff(want, n, compareAddrs); diff != "" {
		t.Errorf("network (-want +got):\n%s", diff)
	}
}

// TestLineDown shows that the way to another router does not become a part of the
// home when its default route is gone.
func TestLineDown(t *testing.T) {
	cards := []card{lo, {name: "eth1", addrs: []string{"192.168.0.2/24"}}, {name: "eth0", addrs: []string{"192.168.1.1/24"}}}
	seen := make(map[string]bool)
	up := build(router(cards, []way{{dst: "0.0.0.0/0", via: "192.168.0.1", dev: "eth1"}}), nil, nil, nil, seen)
	down := build(router(cards, nil), nil, nil, nil, seen)
	for _, n := range []cordon.Network{up, down} {
		if got := append(names(n.WAN), names(n.LAN)...); !cmp.Equal(got, []string{"eth1", "eth0"}) {
			t.Errorf("WAN and LAN %q, want eth1 and eth0", got)
		}
	}
}

// TestNew refuses what cannot be.
func TestNew(t *testing.T) {
	for _, c := range []Config{{LAN: []string{"an-interface-name"}}, {WAN: []string{""}}, {LAN: []string{"eth0"}, WAN: []string{"eth0"}}} {
		if _, err := New(c); err == nil {
			t.Errorf("%+v: taken", c)
		}
	}
}
