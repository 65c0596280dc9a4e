package device

import (
	"net/netip"
	"testing"

	"cordon"
)

func network(prefixes ...string) cordon.Network {
	n := cordon.Network{MACs: []cordon.MAC{{0, 0, 0x5e, 0, 0x53, 1}}, Addrs: []netip.Addr{addr(router)}}
	for _, p := range prefixes {
		n.Home = append(n.Home, netip.MustParsePrefix(p))
	}
	return n
}

// TestNetworkEndsGuessing: once the router said who it is, no packet makes another
// device the router.
func TestNetworkEndsGuessing(t *testing.T) {
	r := newRig(t)
	r.SetNetwork(network("192.168.1.0/24"), r.now)
	if d := r.find(routerMAC); !d.Gateway {
		t.Error("the router is not known by its own MAC")
	}
	r.from(cameraMAC, server, laptop) // forges the internet
	r.fact(cameraMAC, camera, cordon.Observation{Fact: cordon.FactDHCPServer, Addrs: []netip.Addr{addr(camera), addr(camera)}})
	if d := r.find(cameraMAC); d != nil && d.Gateway {
		t.Error("a device passes for the router")
	}
	r.check()
}

// TestNetworkKnowsTheHome: a public prefix is the home's when the router says so,
// and a private one that it does not have is not.
func TestNetworkKnowsTheHome(t *testing.T) {
	r := newRig(t)
	r.SetNetwork(network("192.168.1.0/24", "203.0.113.0/29"), r.now)
	for a, want := range map[string]bool{camera: true, "203.0.113.3": true, "10.1.2.3": false, "fe80::1": true, server: false} {
		if got := r.Home(addr(a)); got != want {
			t.Errorf("%s is of the home: %v, want %v", a, got, want)
		}
	}
	r.SetNetwork(network("192.168.2.0/24"), r.now)
	if !r.Home(addr(camera)) {
		t.Error("an address of before the renumbering is not the home's any more at once")
	}
	r.SetNetwork(network("192.168.2.0/24", "192.168.3.0/24"), r.now)
	if r.Home(addr(camera)) {
		t.Error("an address of long before is still the home's")
	}
}

// TestNetworkMovesTheRouter: a MAC that is the router's no longer is a device's.
func TestNetworkMovesTheRouter(t *testing.T) {
	r := newRig(t)
	r.SetNetwork(network("192.168.1.0/24"), r.now)
	n := network("192.168.1.0/24")
	n.MACs = []cordon.MAC{{0, 0, 0x5e, 0, 0x53, 2}}
	r.SetNetwork(n, r.now)
	if d := r.find(routerMAC); d.Gateway {
		t.Error("the old MAC is still taken for the router")
	}
}

// TestTold: what people say about a device outweighs what it says itself, but a
// relay stays one.
func TestTold(t *testing.T) {
	alarm := cordon.LifeLine
	r := newRig(t, func(c *Config) {
		c.Told = func(id string) (string, *cordon.Class) {
			if id == cameraMAC {
				return "panic button", &alarm
			}
			return "", nil
		}
	})
	r.fact(cameraMAC, camera, cordon.Observation{Fact: cordon.FactDHCP, Name: []byte("camera-1")})
	r.fact(laptopMAC, laptop, cordon.Observation{Fact: cordon.FactDHCP, Name: []byte("laptop-1")})
	if d := r.find(cameraMAC); d.Class != cordon.LifeLine || d.Name != "panic button" || len(d.Reasons) != 1 {
		t.Errorf("%v %q, because %q", d.Class, d.Name, d.Reasons)
	}
	if d := r.find(laptopMAC); d.Class != cordon.Personal || d.Name != "laptop-1" {
		t.Errorf("nobody said anything about %q: %v", d.Name, d.Class)
	}
	r.markRelay(r.stations[frame(cameraMAC, camera, server).SrcMAC], "a test says so")
	if d := r.find(cameraMAC); d.Class != cordon.Infrastructure {
		t.Errorf("a relay that somebody called an alarm is %v", d.Class)
	}
}
