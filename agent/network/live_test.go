package network_test

import (
	"context"
	"errors"
	"fmt"
	"log/slog"
	"net/netip"
	"os"
	"slices"
	"strings"
	"sync"
	"testing"
	"testing/fstest"
	"time"

	"github.com/google/go-cmp/cmp"
	"github.com/google/go-cmp/cmp/cmpopts"

	"cordon"
	"cordon/agent/network"
	"cordon/lab/netns"
)

var compare = cmp.Options{cmpopts.EquateComparable(netip.Addr{}, netip.Prefix{}), cmpopts.EquateEmpty()}

// files is the configuration of the router under test, without the machine's own.
var files = fstest.MapFS{
	"etc/resolv.conf":   {Data: []byte("nameserver 203.0.113.53\n")},
	"etc/config/system": {Data: []byte("\tlist server 'pool.example'\n")},
}

// follow runs a Reader on the router and returns what it tells.
func follow(t *testing.T, home *netns.Home, cfg network.Config) <-chan cordon.Network {
	t.Helper()
	if cfg.Root == nil {
		cfg.Root = files
	}
	cfg.Lookup = func(context.Context, string) ([]netip.Addr, error) {
		return []netip.Addr{netip.MustParseAddr("203.0.113.123")}, nil
	}
	r, err := network.New(cfg)
	if err != nil {
		t.Fatal(err)
	}
	told, done := make(chan cordon.Network, 64), make(chan error, 1)
	ctx, cancel := context.WithCancel(context.Background())
	go func() {
		done <- home.Router.Do(func() error {
			return r.Run(ctx, func(n cordon.Network) error { told <- n; return nil })
		})
	}()
	t.Cleanup(func() {
		cancel()
		if err := <-done; !errors.Is(err, context.Canceled) {
			t.Errorf("run: %v", err)
		}
	})
	return told
}

// until takes what is told until it is as wanted.
func until(t *testing.T, told <-chan cordon.Network, what string, as func(cordon.Network) bool) cordon.Network {
	t.Helper()
	deadline := time.After(10 * time.Second)
	var last cordon.Network
	for {
		select {
		case last = <-told:
			if as(last) {
				return last
			}
		case <-deadline:
			t.Fatalf("never told: %s; last %+v", what, last)
		}
	}
}

func ports(list []cordon.Port) string {
	var names []string
	for _, p := range list {
		names = append(names, p.Name)
	}
	return strings.Join(names, " ")
}

func homes(n cordon.Network) string { return strings.Trim(fmt.Sprint(n.Home), "[]") }

// TestLive reads a home, and follows it while everything in it changes.
func TestLive(t *testing.T) {
	home := netns.NewHome(t, netns.HomeConfig{Devices: 2})
	told := follow(t, home, network.Config{Spared: []netip.Addr{ip("203.0.113.77")}})
	first := until(t, told, "the time server", func(n cordon.Network) bool {
		return slices.Contains(n.Spared, netip.MustParseAddr("203.0.113.123"))
	})
	if got := ports(first.LAN) + " | " + ports(first.WAN) + " | " + homes(first); got != "lan1 lan2 | wan | 192.168.77.0/24 fd77::/64" {
		t.Fatalf("home %s", got)
	}
	for _, p := range first.LAN {
		if p.Bridge != "br-lan" || p.Index == 0 || p.MAC == (cordon.MAC{}) || p.Blind != nil || p.CannotIsolate != nil {
			t.Errorf("port %+v", p)
		}
	}
	if mac := (cordon.MAC{2, 0xc0, 0x4d, 0, 0, 1}); !slices.Contains(first.MACs, mac) || len(first.MACs) != 3 {
		t.Errorf("the router's MACs %v, want br-lan's and those of its two ports", first.MACs)
	}
	for _, a := range []string{"203.0.113.77", "203.0.113.53", "203.0.113.1", "203.0.113.2", "2001:db8:203::1", "192.168.77.1", "fd77::1"} {
		if !slices.Contains(first.Spared, netip.MustParseAddr(a)) {
			t.Errorf("%s is not spared: %v", a, first.Spared)
		}
	}
	if slices.Contains(first.Addrs, ip("203.0.113.2")) || !slices.Contains(first.Addrs, ip("192.168.77.1")) {
		t.Errorf("own addresses on the home's side %v", first.Addrs)
	}

	router := home.Router
	router.IP("link add lan3 type veth peer name far3", "link set lan3 master br-lan up")
	n := until(t, told, "a port comes", func(n cordon.Network) bool { return ports(n.LAN) == "lan1 lan2 lan3" })
	was := n.LAN[2].Index
	router.IP("link del lan3")
	until(t, told, "it goes", func(n cordon.Network) bool { return ports(n.LAN) == "lan1 lan2" })
	router.IP("link add lan3 type veth peer name far3", "link set lan3 master br-lan up")
	n = until(t, told, "it is back", func(n cordon.Network) bool { return ports(n.LAN) == "lan1 lan2 lan3" })
	if n.LAN[2].Index == was {
		t.Errorf("the port that came back has the old index %d", was)
	}

	router.IP("addr add 10.7.0.1/16 dev br-lan", "addr del 192.168.77.1/24 dev br-lan")
	until(t, told, "renumbered", func(n cordon.Network) bool { return homes(n) == "10.7.0.0/16 fd77::/64" })
	router.IP("route add unreachable 2001:db8:a0::/56", "addr add 2001:db8:a0:1::1/64 dev br-lan nodad")
	until(t, told, "a prefix is delegated", func(n cordon.Network) bool { return homes(n) == "10.7.0.0/16 2001:db8:a0::/56 fd77::/64" })
	router.IP("route del unreachable 2001:db8:a0::/56", "addr del 2001:db8:a0:1::1/64 dev br-lan",
		"route add unreachable 2001:db8:b0::/56", "addr add 2001:db8:b0:1::1/64 dev br-lan nodad")
	until(t, told, "another one", func(n cordon.Network) bool { return homes(n) == "10.7.0.0/16 2001:db8:b0::/56 fd77::/64" })

	router.IP("link add br-guest type bridge", "link set br-guest up", "addr add 192.168.9.1/24 dev br-guest",
		"link add guest1 type veth peer name farg", "link set guest1 master br-guest up")
	n = until(t, told, "a guest network", func(n cordon.Network) bool { return ports(n.LAN) == "guest1 lan1 lan2 lan3" })
	if n.LAN[0].Bridge != "br-guest" || !strings.Contains(homes(n), "192.168.9.0/24") {
		t.Errorf("guest network %+v, home %s", n.LAN[0], homes(n))
	}

	router.IP("link set wan down")
	until(t, told, "the line is down", func(n cordon.Network) bool {
		return ports(n.WAN) == "wan" && !slices.Contains(n.Spared, ip("203.0.113.1"))
	})
	router.IP("link set wan up", "route add default via 203.0.113.1")
	until(t, told, "the line is up", func(n cordon.Network) bool { return slices.Contains(n.Spared, ip("203.0.113.1")) })
	router.IP("link del wan")
	until(t, told, "the interface is gone", func(n cordon.Network) bool { return len(n.WAN) == 0 })
}

// ip parses an address.
func ip(s string) netip.Addr { return netip.MustParseAddr(s) }

// TestQuiet shows that nothing is told when only what does not matter changes, and
// that several readings of the same network are equal.
func TestQuiet(t *testing.T) {
	home := netns.NewHome(t, netns.HomeConfig{Devices: 1})
	r, err := network.New(network.Config{Root: files})
	if err != nil {
		t.Fatal(err)
	}
	read := func() (n cordon.Network) {
		if err := home.Router.Do(func() (err error) { n, err = r.Read(); return err }); err != nil {
			t.Fatal(err)
		}
		return n
	}
	first := read()
	told := follow(t, home, network.Config{})
	last := until(t, told, "the time server", func(n cordon.Network) bool { return slices.Contains(n.Spared, ip("203.0.113.123")) })
	// A cable pulled and put back, and an interface of nobody.
	home.Router.IP("link set lan1 down", "link add idle type veth peer name idle2", "link set lan1 up", "link del idle",
		"addr add 192.168.77.250/32 dev wan")
	quiet := func(there bool) func(cordon.Network) bool {
		return func(n cordon.Network) bool {
			if cmp.Equal(last, n, compare) {
				t.Errorf("told twice: %+v", n)
			}
			if diff := cmp.Diff(first.LAN, n.LAN); diff != "" {
				t.Errorf("ports (-before +after):\n%s", diff)
			}
			last = n
			return slices.Contains(n.Spared, ip("192.168.77.250")) == there
		}
	}
	until(t, told, "the last change", quiet(true))
	home.Router.IP("addr del 192.168.77.250/32 dev wan")
	until(t, told, "that it is over", quiet(false))
	var now cordon.Network
	if !netns.Holds(10*time.Second, func() bool { now = read(); return cmp.Equal(first, now, compare) }) {
		t.Errorf("read twice (-first +second):\n%s", cmp.Diff(first, now, compare))
	}
}

// TestPlain reads a router whose LAN is one interface without a bridge, chosen and
// told.
func TestPlain(t *testing.T) {
	home := netns.NewHome(t, netns.HomeConfig{Devices: 1, NoBridge: true})
	for _, cfg := range []network.Config{{Root: files}, {Root: files, LAN: []string{"lan1"}, WAN: []string{"wan"}}} {
		r, err := network.New(cfg)
		if err != nil {
			t.Fatal(err)
		}
		if err := home.Router.Do(func() error {
			n, err := r.Read()
			if got := ports(n.LAN) + " | " + ports(n.WAN) + " | " + homes(n); err == nil && (got != "lan1 | wan | 192.168.77.0/24 fd77::/64" || n.LAN[0].Bridge != "") {
				t.Errorf("home %s", got)
			}
			return err
		}); err != nil {
			t.Fatal(err)
		}
	}
}

// TestBridgeNetfilter sees a bridge that runs its frames through the IP rules in
// the real kernel, and finds nothing else wrong with virtual ports.
func TestBridgeNetfilter(t *testing.T) {
	home := netns.NewHome(t, netns.HomeConfig{Devices: 1})
	if _, err := os.Stat("/proc/sys/net/bridge"); err != nil {
		t.Skip("needs br_netfilter")
	}
	told := func(value string) (list []cordon.Shortcoming) {
		if err := errors.Join(home.Router.Sysctl("net/bridge/bridge-nf-call-iptables", value),
			home.Router.Sysctl("net/bridge/bridge-nf-call-ip6tables", value)); err != nil {
			t.Fatal(err)
		}
		r, err := network.New(network.Config{})
		if err != nil {
			t.Fatal(err)
		}
		if err := home.Router.Do(func() error {
			n, err := r.Read()
			if err == nil {
				list = n.LAN[0].CannotIsolate
			}
			return err
		}); err != nil {
			t.Fatal(err)
		}
		return list
	}
	if got := told("1"); len(got) != 1 || got[0].Name != network.BridgeNetfilter {
		t.Errorf("bridge netfilter on: %+v", got)
	}
	if got := told("0"); len(got) != 0 {
		t.Errorf("bridge netfilter off: %+v", got)
	}
}

// TestFlowtable reads a flowtable of the real kernel, where there are some.
func TestFlowtable(t *testing.T) {
	home := netns.NewHome(t, netns.HomeConfig{Devices: 1})
	if out, err := home.Router.Run("nft", "add table inet fw4; add flowtable inet fw4 ft { hook ingress priority 0; devices = { lan1, wan }; }"); err != nil {
		t.Skipf("this kernel has no flowtables: %s", out)
	}
	r, err := network.New(network.Config{Root: files})
	if err != nil {
		t.Fatal(err)
	}
	if err := home.Router.Do(func() error {
		n, err := r.Read()
		if err != nil {
			return err
		}
		if len(n.LAN) != 1 || len(n.LAN[0].Blind) != 0 {
			t.Errorf("a software flowtable blinds: %+v", n.LAN)
		}
		notes, err := r.Notes()
		if len(notes) != 1 || notes[0].Name != network.SoftwareOffload || !strings.Contains(notes[0].Text, "fw4 ft") {
			t.Errorf("notes %+v", notes)
		}
		return err
	}); err != nil {
		t.Fatal(err)
	}
}

// BenchmarkRead measures one reading of a small home.
func BenchmarkRead(b *testing.B) {
	home := netns.NewHome(b, netns.HomeConfig{Devices: 4})
	r, err := network.New(network.Config{})
	if err != nil {
		b.Fatal(err)
	}
	if err := home.Router.Do(func() error {
		for b.Loop() {
			if _, err := r.Read(); err != nil {
				return err
			}
		}
		return nil
	}); err != nil {
		b.Fatal(err)
	}
}

// TestFeatures: the features of every interface are read, also where their names
// do not fit into one message of a dump, as those of a bridge or a veth.
func TestFeatures(t *testing.T) {
	home := netns.NewHome(t, netns.HomeConfig{Devices: 2})
	said := &spoken{}
	told := follow(t, home, network.Config{LAN: []string{"br-lan"}, WAN: []string{"wan"},
		Log: slog.New(slog.NewTextHandler(said, nil))})
	until(t, told, "two ports", func(n cordon.Network) bool { return len(n.LAN) == 2 })
	if said := said.String(); strings.Contains(said, "not readable") {
		t.Errorf("it said\n%s", said)
	}
}

// spoken keeps what is logged.
type spoken struct {
	mu   sync.Mutex
	text strings.Builder
}

func (s *spoken) Write(b []byte) (int, error) {
	s.mu.Lock()
	defer s.mu.Unlock()
	return s.text.Write(b)
}

func (s *spoken) String() string {
	s.mu.Lock()
	defer s.mu.Unlock()
	return s.text.String()
}
