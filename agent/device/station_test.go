package device

import (
	"fmt"
	"net/netip"
	"testing"
	"time"

	"github.com/google/go-cmp/cmp"

	"cordon"
)

func TestGatewayByItsPackets(t *testing.T) {
	r := newRig(t)
	r.from(routerMAC, router, camera) // its DNS answers
	r.from(routerMAC, server, camera)
	d := r.find(routerMAC)
	if !d.Gateway || d.Class != cordon.Infrastructure || len(d.Reasons) == 0 {
		t.Errorf("who brings the internet's packets: %+v", d)
	}
	if e := r.from(routerMAC, router, camera); e.Src != d {
		t.Errorf("the router's own packets are of %v", e.Src.ID)
	}
	r.check()
}

func TestNoGateway(t *testing.T) {
	for name, packets := range map[string][][3]string{
		"a device that spoke for itself forges the internet": {
			{cameraMAC, camera, server}, {cameraMAC, server, laptop}},
		"packets that pass by":            {{cameraMAC, server, "203.0.113.5"}},
		"from an address of nobody":       {{cameraMAC, "127.0.0.1", laptop}, {cameraMAC, "0.0.0.0", laptop}},
		"to the internet":                 {{cameraMAC, camera, server}},
		"IPv6: a device that forges":      {{cameraMAC, "fd00::10", server6}, {cameraMAC, server6, "fd00::11"}},
		"between devices":                 {{cameraMAC, camera, laptop}, {laptopMAC, laptop, camera}},
		"a group address as its own MAC":  {{"01:00:5e:00:00:01", server, camera}},
		"no MAC at all":                   {{"", server, camera}},
		"only multicast from the outside": {{cameraMAC, server, "224.0.0.251"}},
	} {
		r := newRig(t)
		for _, p := range packets {
			r.from(p[0], p[1], p[2])
		}
		for _, d := range r.All() {
			if d.Gateway {
				t.Errorf("%s: %s is taken for the router", name, d.ID)
			}
		}
	}
}

func TestGatewayByDHCP(t *testing.T) {
	offer := func(addrs ...string) cordon.Observation {
		o := cordon.Observation{Fact: cordon.FactDHCPServer}
		for _, a := range addrs {
			o.Addrs = append(o.Addrs, addr(a))
		}
		return o
	}
	r := newRig(t)
	r.fact(routerMAC, router, offer(router, router))
	if d := r.find(routerMAC); !d.Gateway {
		t.Error("who hands out itself as the router is not the router")
	}
	r = newRig(t)
	r.fact(routerMAC, router, offer(router))
	if d := r.find(routerMAC); !d.Gateway {
		t.Error("who hands out leases and names no router is not the router")
	}
	r = newRig(t)
	r.fact(cameraMAC, camera, offer(camera, router))
	if d := r.find(cameraMAC); d.Gateway || d.Class != cordon.Infrastructure {
		t.Errorf("a DHCP server that names another as the router: gateway %v, class %v", d.Gateway, d.Class)
	}
	r = newRig(t)
	r.from(cameraMAC, camera, server)
	r.fact(cameraMAC, camera, offer(camera, camera))
	if d := r.find(cameraMAC); d.Gateway {
		t.Error("a device that spoke for itself is taken for the router because it hands out leases")
	}
	r.check()
}

// TestRouterThatSpokeIPv6First: its IPv4 address is its own all the same.
func TestRouterThatSpokeIPv6First(t *testing.T) {
	r := newRig(t)
	r.from(routerMAC, "fe80::1", "fe80::10")
	r.from(routerMAC, server, camera)
	r.from(routerMAC, router, camera)
	if diff := cmp.Diff([]string{routerMAC}, r.ids()); diff != "" {
		t.Errorf("devices (-want +got):\n%s", diff)
	}
}

// TestRouterWithTwoNetworks: one MAC, an address in each.
func TestRouterWithTwoNetworks(t *testing.T) {
	r := newRig(t)
	for range 3 {
		for _, a := range []string{router, "192.168.2.1"} {
			r.fact(routerMAC, a, cordon.Observation{Fact: cordon.FactDHCPServer, Addrs: []netip.Addr{addr(a), addr(a)}})
			r.from(routerMAC, a, camera)
		}
	}
	for _, d := range r.All() {
		if !d.Gateway {
			t.Errorf("%s is taken for a device", d.ID)
		}
	}
	if e := r.from(routerMAC, "192.168.2.1", camera); e.Src.ID != routerMAC {
		t.Errorf("the router's second address is %s", e.Src.ID)
	}
	r.check()
}

// TestBehindARoutedGateway: devices of another network of the home, which the
// router passes on, are kept by address.
func TestBehindARoutedGateway(t *testing.T) {
	r := newRig(t)
	r.fact(routerMAC, router, cordon.Observation{Fact: cordon.FactAddress, Addrs: []netip.Addr{addr(router)}})
	r.from(routerMAC, server, camera)
	for i := range 3 {
		e := r.from(routerMAC, fmt.Sprintf("192.168.7.%d", i+1), camera)
		if e.Src.HasMAC || e.Src.ID != fmt.Sprintf("192.168.7.%d", i+1) || e.Src.Gateway {
			t.Errorf("a device behind the router: %+v", e.Src)
		}
	}
	r.from(routerMAC, "192.168.7.1", camera)
	if n := len(r.All()); n != 4 {
		t.Errorf("devices %v, want the router and three", r.ids())
	}
	r.check()
}

// TestGuessOfTheRoutersAddress: what ARP says counts for more than the first
// address that was seen.
func TestGuessOfTheRoutersAddress(t *testing.T) {
	r := newRig(t)
	r.from(routerMAC, server, camera)
	r.from(routerMAC, "192.168.7.1", camera) // taken for the router's own
	r.fact(routerMAC, router, cordon.Observation{Fact: cordon.FactAddress, Addrs: []netip.Addr{addr(router)}})
	r.from(routerMAC, router, camera)
	if e := r.from(routerMAC, "192.168.7.1", camera); e.Src.ID != "192.168.7.1" {
		t.Errorf("a device behind the router is %s", e.Src.ID)
	}
	r.check()
}

func TestRelayByAddresses(t *testing.T) {
	a, b := "192.168.1.30", "192.168.1.31"
	for name, c := range map[string]struct {
		step  time.Duration
		use   []string
		relay bool
	}{
		"two devices in turn":             {time.Second, []string{a, b, a, b, a}, true},
		"a new lease":                     {time.Second, []string{a, a, b, b, b}, false},
		"a new lease every day":           {24 * time.Hour, []string{a, b, a, b, a, b, a}, false},
		"a lease that came back once":     {time.Second, []string{a, b, a, a, a}, false},
		"with a link-local address":       {time.Second, []string{a, "169.254.1.1", a, "169.254.1.1", a, "169.254.1.1", a}, false},
		"with IPv6":                       {time.Second, []string{a, "fd00::30", a, "fd00::30", a, "fd00::30", a}, false},
		"addresses that never come again": {time.Second, []string{a, b, "192.168.1.32", "192.168.1.33", "192.168.1.34"}, false},
	} {
		r := newRig(t)
		for _, src := range c.use {
			r.pass(c.step)
			r.from(meshMAC, src, server)
		}
		if got := r.find(meshMAC).Relay; got != c.relay {
			t.Errorf("%s: relay %v, want %v", name, got, c.relay)
		}
		r.check()
	}
}

func TestRelayByDHCP(t *testing.T) {
	type client struct{ id, name string }
	for name, c := range map[string]struct {
		clients []client
		relay   bool
	}{
		"one":                     {[]client{{"1", "tv"}, {"1", "tv"}, {"1", "tv"}}, false},
		"one that was renamed":    {[]client{{"1", "tv"}, {"1", "living-room-tv"}}, false},
		"one with a new id":       {[]client{{"1", "tv"}, {"2", "tv"}}, false},
		"two":                     {[]client{{"1", "tv"}, {"2", "plug"}}, true},
		"three without names":     {[]client{{"1", ""}, {"2", ""}, {"3", ""}}, true},
		"three names without ids": {[]client{{"", "tv"}, {"", "plug"}, {"", "lamp"}}, true},
	} {
		r := newRig(t)
		for _, dhcp := range c.clients {
			r.fact(meshMAC, "", cordon.Observation{Fact: cordon.FactDHCP, Client: []byte(dhcp.id), Name: []byte(dhcp.name)})
		}
		d := r.find(meshMAC)
		if d.Relay != c.relay || c.relay && d.Class != cordon.Infrastructure {
			t.Errorf("%s: relay %v, class %v; want relay %v", name, d.Relay, d.Class, c.relay)
		}
	}
}

// TestDualStackIsNoRelay: DHCPv6 names clients in its own way, and hosts in full.
func TestDualStackIsNoRelay(t *testing.T) {
	r := newRig(t)
	v4 := cordon.Observation{Fact: cordon.FactDHCP, Client: []byte("1"), Name: []byte("tv")}
	v6 := cordon.Observation{Fact: cordon.FactDHCP, Client: []byte("duid"), Name: []byte("tv.lan"), Params: []byte{1, 121, 3, 6, 15, 119, 252}}
	for range 3 {
		r.fact(meshMAC, "", v4)
		r.fact(meshMAC, "fe80::30", v6)
	}
	if d := r.find(meshMAC); d.Relay || d.Class == cordon.Personal {
		t.Errorf("relay %v, class %v: %v", d.Relay, d.Class, d.Reasons)
	}
}

// relay makes the mesh node a relay.
func (r *rig) relay() {
	for range 3 {
		r.from(meshMAC, "192.168.1.30", server)
		r.from(meshMAC, "192.168.1.31", server)
	}
}

func TestBehindARelay(t *testing.T) {
	r := newRig(t)
	r.relay()
	d := r.from(meshMAC, "192.168.1.30", server).Src
	if d.ID != "192.168.1.30" || d.HasMAC || d.Relay {
		t.Errorf("a device behind the relay: %+v", d)
	}
	if e := r.from(routerMAC, server, "192.168.1.30"); e.Dst != d {
		t.Error("a packet for it does not go to it")
	}
	if again := r.from(meshMAC, "192.168.1.30", server).Src; again != d {
		t.Error("it has another record at the next packet")
	}
	// What has no IPv4 address stays the relay's.
	if e := r.from(meshMAC, "fe80::30", "fd00::1"); e.Src.ID != meshMAC {
		t.Errorf("IPv6 behind the relay is of %s", e.Src.ID)
	}
	r.check()
}

// TestRoaming: a device that goes back and forth between a relay and the router,
// or between two relays, stays one device.
func TestRoaming(t *testing.T) {
	r := newRig(t)
	r.relay()
	d := r.from(meshMAC, "192.168.1.40", server).Src
	for range 200 {
		r.from(laptopMAC, "192.168.1.40", server)
		if again := r.from(meshMAC, "192.168.1.40", server).Src; again != d {
			t.Fatal("a device that came back to the relay is another one")
		}
		r.check()
	}
	for range 3 {
		r.from(laptopMAC, "192.168.1.50", server)
		r.from(laptopMAC, "192.168.1.51", server)
	}
	if again := r.from(laptopMAC, "192.168.1.40", server).Src; again != d {
		t.Error("a device that went to another relay is another one")
	}
	r.check()
}

func TestRelayedAreBounded(t *testing.T) {
	r := newRig(t)
	r.relay()
	for i := range 500 {
		r.pass(time.Millisecond)
		r.from(meshMAC, fmt.Sprintf("192.168.%d.%d", 2+i>>8, i&255), server)
	}
	if n := len(r.All()); n > maxRelayed+1 {
		t.Errorf("%d devices of one MAC, want at most %d", n, maxRelayed+1)
	}
	r.check()
}

func TestLearnedPrefix(t *testing.T) {
	const device, other = "2001:db8:1:2::10", "2001:db8:1:2::99"
	neighbour := cordon.Observation{Fact: cordon.FactNeighbour, Addrs: []netip.Addr{addr("2001:db8:1:2::1")}}
	announced := cordon.Observation{Fact: cordon.FactAddress, Addrs: []netip.Addr{addr(device)}}
	for name, learn := range map[string]func(*rig){
		"the device asks for its router":       func(r *rig) { r.fact(cameraMAC, device, neighbour) },
		"the device announces its address":     func(r *rig) { r.fact(cameraMAC, device, announced) },
		"the same from its link-local address": func(r *rig) { r.fact(cameraMAC, "fe80::10", announced) },
	} {
		r := newRig(t)
		if r.from(cameraMAC, device, server6).Src != nil {
			t.Fatal("a public address is the home's before it was learned")
		}
		learn(r)
		e := r.from(cameraMAC, device, server6)
		if e.Src == nil || e.Src.ID != cameraMAC || !e.SrcHome || e.DstHome {
			t.Errorf("%s: then its packets have the ends %+v", name, e)
		}
		if !r.Home(addr(other)) || r.Home(addr("2001:db8:1:3::10")) {
			t.Errorf("%s: learned more or less than the /64", name)
		}
		r.check()
	}
}

func TestNoPrefixLearned(t *testing.T) {
	r := newRig(t)
	p := frame(cameraMAC, server6, "fe80::1")
	r.Sender(&p, r.now) // not neighbour discovery
	r.fact(cameraMAC, "fe80::10", cordon.Observation{Fact: cordon.FactNeighbour, Addrs: []netip.Addr{addr(server6)}})
	r.fact(cameraMAC, camera, cordon.Observation{Fact: cordon.FactAddress, Addrs: []netip.Addr{addr("8.8.8.8")}})
	for _, a := range []string{server6, "8.8.8.8"} {
		if r.Home(addr(a)) {
			t.Errorf("%s is the home's", a)
		}
	}
}

// TestLearnedPrefixesChange: a provider may delegate another one every day.
func TestLearnedPrefixesChange(t *testing.T) {
	r := newRig(t)
	for day := range 30 {
		a := fmt.Sprintf("2001:db8:%x::10", day+1)
		r.fact(cameraMAC, "fe80::10", cordon.Observation{Fact: cordon.FactAddress, Addrs: []netip.Addr{addr(a)}})
		if !r.Home(addr(a)) {
			t.Fatalf("day %d: today's prefix is not the home's", day)
		}
		if len(r.learned) > maxLearned {
			t.Fatalf("%d prefixes learned", len(r.learned))
		}
	}
}

func TestAdvertisedPrefix(t *testing.T) {
	advertised := func(prefix string, bits uint8, lifetime uint32) cordon.Observation {
		return cordon.Observation{Fact: cordon.FactPrefix, Addrs: []netip.Addr{addr(prefix)}, Bits: bits, TTL: lifetime}
	}
	r := newRig(t)
	r.fact(laptopMAC, "2001:db8:bad::1", cordon.Observation{Fact: cordon.FactNeighbour, Addrs: []netip.Addr{addr(server6)}})
	r.fact(routerMAC, "fe80::1", advertised("2001:db8:1:2::", 64, 1800))
	if d := r.find(routerMAC); !d.Gateway || !r.Home(addr("2001:db8:1:2::10")) || r.Home(addr("2001:db8:1:3::10")) {
		t.Errorf("the router's prefix is not the home's, or it is not the router: %+v", d)
	}
	if r.Home(addr("2001:db8:bad::1")) {
		t.Error("a neighbour's word still counts after the router's")
	}
	r.fact(laptopMAC, "2001:db8:bad::1", cordon.Observation{Fact: cordon.FactNeighbour, Addrs: []netip.Addr{addr(server6)}})
	if r.Home(addr("2001:db8:bad::1")) {
		t.Error("a neighbour is believed although the router spoke")
	}

	for name, o := range map[string]cordon.Observation{
		"half the internet":          advertised("2000::", 3, 1800),
		"a thing's own network":      advertised("2001:db8:7::", 64, 0),
		"a device that acted before": advertised("2001:db8:8::", 64, 1800),
	} {
		r := newRig(t)
		if name == "a device that acted before" {
			r.from(cameraMAC, camera, server)
		}
		r.fact(cameraMAC, "fe80::10", o)
		if r.Home(o.Addrs[0].Next()) {
			t.Errorf("%s was learned", name)
		}
		if d := r.find(cameraMAC); name != "half the internet" && d.Gateway {
			t.Errorf("%s makes a router", name)
		}
		r.check()
	}
}
