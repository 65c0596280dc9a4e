package device

import (
	"fmt"
	"net/netip"
	"slices"
	"testing"
	"time"

	"github.com/google/go-cmp/cmp"

	"cordon"
)

func TestNewRefuses(t *testing.T) {
	for _, size := range []int{-1, 1, 1<<16 + 1} {
		if _, err := New(Config{Max: size}); err == nil {
			t.Errorf("a table of %d records: no error", size)
		}
	}
}

func TestHome(t *testing.T) {
	r := newRig(t)
	for a, home := range map[string]bool{
		"10.1.2.3": true, "172.16.0.1": true, "172.32.0.1": false, "192.168.0.255": true, "100.64.0.1": true,
		"100.128.0.1": false, "169.254.9.9": true, "fe80::1": true, "fd12::1": true, "2001:db8::1": false,
		"8.8.8.8": false, "224.0.0.1": false, "127.0.0.1": false, "::": false, "0.0.0.0": false,
	} {
		if got := r.Home(addr(a)); got != home {
			t.Errorf("%s: home %v, want %v", a, got, home)
		}
	}
	r = newRig(t, func(c *Config) { c.Home = []netip.Prefix{netip.MustParsePrefix("203.0.113.0/24")} })
	if !r.Home(addr("203.0.113.9")) || r.Home(addr("192.168.1.1")) {
		t.Error("the configured home does not replace the private ranges")
	}
}

func TestEnds(t *testing.T) {
	r := newRig(t)
	e := r.from(cameraMAC, camera, server)
	if e.Src == nil || e.Src.ID != cameraMAC || e.Dst != nil || !e.SrcHome || e.DstHome {
		t.Errorf("camera to server: %+v", e)
	}
	if d := e.Src; !d.HasMAC || d.Addr() != addr(camera) || d.FirstSeen != start || d.LastSeen != start || d.Gateway || d.Relay {
		t.Errorf("camera: %+v", d)
	}
	// Being written to makes no device.
	if e := r.from(cameraMAC, camera, laptop); e.Dst != nil || !e.DstHome {
		t.Errorf("camera to a laptop that never spoke: %+v", e)
	}
	r.from(laptopMAC, laptop, server)
	if e := r.from(cameraMAC, camera, laptop); e.Dst == nil || e.Dst.ID != laptopMAC {
		t.Errorf("camera to laptop: %+v", e)
	}
	if e := r.from(routerMAC, server, camera); e.Src != nil || e.Dst == nil || e.Dst.ID != cameraMAC || e.SrcHome {
		t.Errorf("server to camera: %+v", e)
	}
	if e := r.from(cameraMAC, camera, "192.168.1.255"); e.Dst != nil || !e.DstHome {
		t.Errorf("camera to all: %+v", e)
	}
	if diff := cmp.Diff([]string{cameraMAC, laptopMAC, routerMAC}, r.ids()); diff != "" {
		t.Errorf("devices (-want +got):\n%s", diff)
	}
	r.check()
}

func TestSenderAndReceiver(t *testing.T) {
	r := newRig(t)
	dhcp := frame(cameraMAC, "", "255.255.255.255")
	d := r.Sender(&dhcp, r.now)
	if d == nil || d.ID != cameraMAC || len(d.Addrs) != 0 {
		t.Fatalf("a DHCP client without an address: %+v", d)
	}
	arp := frame(cameraMAC, camera, router)
	if r.Sender(&arp, r.now) != d || d.Addr() != addr(camera) {
		t.Errorf("the same one with an address: %+v", d)
	}
	answer := frame(routerMAC, router, camera)
	if r.Receiver(&answer) != d {
		t.Error("a packet to the device does not go to it")
	}
	outside := frame(routerMAC, server, camera)
	if got := r.Sender(&outside, r.now); got != nil {
		t.Errorf("a packet from the internet is sent by %s", got.ID)
	}
	nobody := frame("", "", "255.255.255.255")
	if got := r.Sender(&nobody, r.now); got != nil {
		t.Errorf("a packet without MAC and address is sent by %s", got.ID)
	}
	r.check()
}

// TestOneDeviceManyAddresses: IPv4, link-local, unique local and global IPv6 of
// one MAC.
func TestOneDeviceManyAddresses(t *testing.T) {
	r := newRig(t)
	for _, a := range []string{camera, "fe80::10", "fd00::10", "fd00::abcd"} {
		r.from(cameraMAC, a, "fd00::1")
	}
	if diff := cmp.Diff([]string{cameraMAC}, r.ids()); diff != "" {
		t.Errorf("devices (-want +got):\n%s", diff)
	}
	want := []netip.Addr{addr("fd00::abcd"), addr("fd00::10"), addr("fe80::10"), addr(camera)}
	if diff := cmp.Diff(want, r.find(cameraMAC).Addrs, cmp.Comparer(func(a, b netip.Addr) bool { return a == b })); diff != "" {
		t.Errorf("addresses, latest first (-want +got):\n%s", diff)
	}
	r.from(cameraMAC, camera, server)
	if r.find(cameraMAC).Addr() != addr(camera) {
		t.Error("an address used again is not the first")
	}
	r.check()
}

func TestAddressesAreBounded(t *testing.T) {
	r := newRig(t)
	for i := range 100 {
		r.from(cameraMAC, fmt.Sprintf("fd00::%x", i+1), "fd00::ffff")
		r.check()
	}
	d := r.find(cameraMAC)
	if len(d.Addrs) != maxAddrs || d.Addrs[0] != addr("fd00::64") {
		t.Errorf("%d addresses, latest %v", len(d.Addrs), d.Addr())
	}
	if len(r.byAddr) != maxAddrs {
		t.Errorf("%d addresses known, want %d", len(r.byAddr), maxAddrs)
	}
}

func TestAddressMovesOn(t *testing.T) {
	r := newRig(t)
	r.from(cameraMAC, camera, server)
	r.from(laptopMAC, camera, server) // a new lease of the same address
	if d := r.find(cameraMAC); len(d.Addrs) != 0 {
		t.Errorf("the old holder keeps %v", d.Addrs)
	}
	if e := r.from(routerMAC, router, camera); e.Dst == nil || e.Dst.ID != laptopMAC {
		t.Errorf("the address leads to %+v", e.Dst)
	}
	r.check()
}

func TestRandomisedAndMaker(t *testing.T) {
	r := newRig(t, func(c *Config) {
		c.Maker = func(m [6]byte) (string, bool) { return "Acme", m[0] == 0 }
	})
	r.from("02:00:5e:00:53:10", camera, server)
	if d := r.find("02:00:5e:00:53:10"); !d.Randomised || d.Maker != "" {
		t.Errorf("a made-up MAC: %+v", d)
	}
	r.from(laptopMAC, laptop, server)
	if d := r.find(laptopMAC); d.Randomised || d.Maker != "Acme" {
		t.Errorf("an assigned MAC: %+v", d)
	}
}

func TestLinksWithoutMACs(t *testing.T) {
	for _, mac := range []string{"", "00:00:00:00:00:00", "01:00:5e:00:00:01"} {
		r := newRig(t)
		r.from(mac, camera, server)
		r.from(mac, laptop, server)
		e := r.from(mac, server, camera)
		if e.Dst == nil || e.Dst.ID != camera || e.Dst.HasMAC {
			t.Errorf("MAC %q: a packet from outside goes to %+v", mac, e.Dst)
		}
		if diff := cmp.Diff([]string{camera, laptop}, r.ids()); diff != "" {
			t.Errorf("MAC %q (-want +got):\n%s", mac, diff)
		}
		r.check()
	}
}

func TestBoundOfDevices(t *testing.T) {
	r := newRig(t)
	for i := range 1000 {
		r.pass(time.Second)
		r.from(strangerMAC(i), "", server)
		r.from(strangerMAC(i), fmt.Sprintf("10.0.%d.%d", i>>8, i&255), server)
	}
	if n := len(r.All()); n != DefaultMax {
		t.Errorf("%d devices, want %d", n, DefaultMax)
	}
	if len(r.stations) > DefaultMax || len(r.byAddr) > DefaultMax*maxAddrs {
		t.Errorf("%d stations and %d addresses", len(r.stations), len(r.byAddr))
	}
	if len(r.forgotten) != 1000-DefaultMax || r.Evicted() != 1000-DefaultMax {
		t.Errorf("told of %d forgotten, counted %d, want %d", len(r.forgotten), r.Evicted(), 1000-DefaultMax)
	}
	if r.forgotten[0] != strangerMAC(0) {
		t.Errorf("%s was forgotten first, want the one seen longest ago", r.forgotten[0])
	}
	r.check()
}

func strangerMAC(i int) string {
	return fmt.Sprintf("06:00:00:%02x:%02x:%02x", i>>16&255, i>>8&255, i&255)
}

// TestFloodOfStrangers: whatever invented MACs pretend to be, they push out each
// other and not who lives here.
func TestFloodOfStrangers(t *testing.T) {
	for name, appear := range map[string]func(r *rig, mac string, i int){
		"DHCP clients": func(r *rig, mac string, _ int) {
			r.fact(mac, "", cordon.Observation{Fact: cordon.FactDHCP})
		},
		"routers": func(r *rig, mac string, _ int) { r.from(mac, server, camera) },
		"DHCP servers": func(r *rig, mac string, i int) {
			a := fmt.Sprintf("10.9.%d.%d", i>>8, i&255)
			r.fact(mac, a, cordon.Observation{Fact: cordon.FactDHCPServer, Addrs: []netip.Addr{addr(a)}})
		},
		"relays by DHCP": func(r *rig, mac string, _ int) {
			for k := range 3 {
				r.fact(mac, "", cordon.Observation{Fact: cordon.FactDHCP, Client: []byte{byte(k)}})
			}
		},
		"relays with devices behind": func(r *rig, mac string, i int) {
			for k := range 10 {
				r.from(mac, fmt.Sprintf("10.9.%d.%d", i&255, k%2), server)
			}
		},
	} {
		t.Run(name, func(t *testing.T) {
			r := newRig(t)
			lives := []string{cameraMAC, laptopMAC, routerMAC}
			for range 7 {
				r.from(cameraMAC, camera, server)
				r.from(laptopMAC, laptop, server)
				r.from(routerMAC, server, camera)
				r.pass(time.Minute)
			}
			slots := make(map[string]int)
			for _, d := range r.All() {
				slots[d.ID] = d.Slot
			}
			for i := range 5000 {
				r.pass(time.Millisecond)
				appear(r, strangerMAC(i), i)
			}
			r.check()
			for _, id := range lives {
				if d := r.find(id); d == nil || d.Slot != slots[id] {
					t.Errorf("%s was forgotten", id)
				}
			}
			if len(r.stations) > DefaultMax {
				t.Errorf("%d stations", len(r.stations))
			}
		})
	}
}

func TestSlotsAndGenerations(t *testing.T) {
	r := newRig(t, func(c *Config) { c.Max = 4 })
	seen := make(map[[2]int]string)
	for i := range 100 {
		r.pass(time.Second)
		d := r.from(strangerMAC(i), fmt.Sprintf("10.0.0.%d", i), server).Src
		if d.Slot < 0 || d.Slot >= 4 {
			t.Fatalf("slot %d in a table of 4", d.Slot)
		}
		key := [2]int{d.Slot, int(d.Generation)}
		if other, ok := seen[key]; ok {
			t.Fatalf("%s has the slot and generation of %s", d.ID, other)
		}
		seen[key] = d.ID
		// What was given out stays: the same record for the same device.
		if again := r.from(strangerMAC(i), fmt.Sprintf("10.0.0.%d", i), server).Src; again != d {
			t.Fatalf("%s has another record at its second packet", d.ID)
		}
	}
}

// TestForgetIsToldFirst: while Forget runs, the record is still whole.
func TestForgetIsToldFirst(t *testing.T) {
	var r *rig
	r = newRig(t, func(c *Config) {
		c.Max = 2
		c.Forget = func(d *cordon.Device) {
			if len(d.Addrs) == 0 || r.records[d.Slot] == nil || &r.records[d.Slot].Device != d {
				t.Errorf("%s is gone before it is told", d.ID)
			}
		}
	})
	for i := range 10 {
		r.pass(time.Second)
		r.from(strangerMAC(i), fmt.Sprintf("10.0.0.%d", i), server)
	}
}

// TestGone: what is known of a device that is gone does harm to nobody.
func TestGone(t *testing.T) {
	r := newRig(t, func(c *Config) { c.Max = 2 })
	gone := r.from(cameraMAC, camera, server).Src
	for i := range 2 {
		r.pass(time.Second)
		r.from(strangerMAC(i), fmt.Sprintf("10.0.0.%d", i), server)
	}
	p := frame(cameraMAC, camera, server)
	r.Learn(&cordon.Observation{Fact: cordon.FactMDNS, Device: gone, Name: []byte("camera")}, &p, r.now)
	r.Learn(&cordon.Observation{Fact: cordon.FactMDNS, Name: []byte("camera")}, &p, r.now)
	for _, d := range r.All() {
		if d.Name != "" || d.Class != cordon.Unknown {
			t.Errorf("%s learned what was told of another", d.ID)
		}
	}
}

func TestAllIsInOrderOfAppearance(t *testing.T) {
	r := newRig(t)
	var want []string
	for i := range 50 {
		r.pass(time.Duration(i%3) * time.Second) // some at the same moment
		want = append(want, r.from(strangerMAC(i*7919), fmt.Sprintf("10.0.0.%d", i), server).Src.ID)
	}
	if got := r.ids(); !slices.Equal(got, want) {
		t.Errorf("devices %v, want %v", got, want)
	}
}
