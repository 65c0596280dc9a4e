package spared_test

import (
	"fmt"
	"net/netip"
	"slices"
	"testing"
	"time"

	"cordon"
	"cordon/agent/enforce/nft/spared"
)

var (
	start   = time.Date(2026, 3, 1, 0, 0, 0, 0, time.UTC)
	network = cordon.Network{
		Home:   []netip.Prefix{netip.MustParsePrefix("192.168.1.1/24"), netip.MustParsePrefix("fd00::/64")},
		MACs:   []cordon.MAC{{0x02, 0xc0, 0x4d, 0, 0, 1}},
		Addrs:  []netip.Addr{netip.MustParseAddr("192.168.1.1"), netip.MustParseAddr("fd00::1%br-lan")},
		Spared: []netip.Addr{netip.MustParseAddr("198.51.100.53")},
	}
)

func home() *spared.Home {
	h := spared.New(time.Hour)
	h.Change(network, start)
	return h
}

// TestMayBlock: what the home cannot do without is not blocked, by itself or with its
// network.
func TestMayBlock(t *testing.T) {
	h := home()
	for text, want := range map[string]bool{
		"192.0.2.7": true, "2001:db8::7": true, "192.168.1.9": true, "198.51.100.54": true,
		"198.51.100.53": false, "::ffff:198.51.100.53": false, "192.168.1.1": false, "fd00::1": false, "fe80::c0:4dff:fe00:1%eth0": false,
		"0.0.0.0": false, "224.0.0.1": false, "255.255.255.255": false, "127.0.0.1": false, "::1": false,
	} {
		if err := h.MayBlock(netip.MustParseAddr(text)); (err == nil) != want {
			t.Errorf("%s may be blocked: %v, want %t", text, err, want)
		}
	}
	for text, want := range map[string]bool{
		"192.0.2.0/24": true, "2001:db8::/48": true, "198.51.100.0/24": false, "192.168.1.0/24": false, "fd00::/48": false,
	} {
		if err := h.MayBlockNet(netip.MustParsePrefix(text)); (err == nil) != want {
			t.Errorf("%s may be blocked: %v, want %t", text, err, want)
		}
	}
}

// TestIsRouter: the router is known by its MAC, without one by its addresses.
func TestIsRouter(t *testing.T) {
	h, own := home(), []netip.Addr{netip.MustParseAddr("192.168.1.1")}
	other := []netip.Addr{netip.MustParseAddr("192.168.1.9")}
	for _, c := range []struct {
		device cordon.Device
		addrs  []netip.Addr
		want   bool
	}{
		{cordon.Device{HasMAC: true, MAC: network.MACs[0]}, other, true},
		{cordon.Device{HasMAC: true, MAC: cordon.MAC{2}}, own, false}, // which it only claims
		{cordon.Device{}, own, true},
		{cordon.Device{}, other, false},
		{cordon.Device{Gateway: true, HasMAC: true, MAC: cordon.MAC{2}}, other, true},
	} {
		if got := h.IsRouter(&c.device, c.addrs); got != c.want {
			t.Errorf("%+v with %v is the router: %t, want %t", c.device, c.addrs, got, c.want)
		}
	}
	if mac := network.MACs[0]; !h.IsRouterMAC(string(mac[:])) || h.IsRouterMAC("") {
		t.Error("a key is taken for the router's MAC, or its MAC is not")
	}
}

// TestPrefixes: a prefix that went away counts for the grace, and again when it is
// back; those of the past are bounded.
func TestPrefixes(t *testing.T) {
	h := home()
	counts := func(when string, want ...string) {
		t.Helper()
		var got []string
		for _, p := range h.Prefixes() {
			got = append(got, p.String())
		}
		if !slices.Equal(got, want) {
			t.Errorf("%s: %q, want %q", when, got, want)
		}
	}
	counts("at first", "192.168.1.0/24", "fd00::/64")
	renumbered := network
	renumbered.Home = []netip.Prefix{netip.MustParsePrefix("fd01::/64")}
	h.Change(renumbered, start)
	counts("renumbered", "fd01::/64", "192.168.1.0/24", "fd00::/64")
	if a := netip.MustParseAddr("fd00::9"); !h.Has(a) || h.Has(netip.MustParseAddr("fd02::9")) {
		t.Error("an address of lately is not the home's, or a foreign one is")
	}
	if h.Lapse(start.Add(time.Hour - 1)) {
		t.Error("a prefix lapsed within the grace")
	}
	if !h.Lapse(start.Add(time.Hour)) || h.Lapse(start.Add(time.Hour)) {
		t.Error("no prefix lapsed after the grace, or one did twice")
	}
	counts("after the grace", "fd01::/64")
	h.Change(network, start)
	h.Change(renumbered, start)
	h.Change(network, start)
	counts("back", "192.168.1.0/24", "fd00::/64", "fd01::/64")
	for i := range 40 {
		renumbered.Home = []netip.Prefix{netip.MustParsePrefix(fmt.Sprintf("fd02:%x::/64", i))}
		h.Change(renumbered, start)
	}
	if n := len(h.Prefixes()); n != 17 {
		t.Errorf("%d prefixes count, want one of today and 16 of lately", n)
	}
}
