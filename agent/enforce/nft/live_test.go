package nft_test

import (
	"context"
	"fmt"
	"net/netip"
	"os"
	"runtime"
	"slices"
	"strconv"
	"strings"
	"testing"
	"time"

	"github.com/google/go-cmp/cmp"

	"cordon"
	"cordon/agent/enforce/nft"
	"cordon/lab/netns"
)

// TestTwice: applying again changes nothing but the end, and tables of others
// stay as they are.
func TestTwice(t *testing.T) {
	b := newBed(t, netns.HomeConfig{Devices: 2})
	b.Router.NFT("table netdev theirs {\n chain c {\n type filter hook ingress device \"lan1\" priority 0; }\n}\ntable ip cordon {\n chain c {\n counter\n }\n}")
	theirs := func() string {
		var all []string
		for _, name := range []string{"netdev theirs", "ip cordon", "inet nat"} {
			out, err := b.Router.Run("nft", append([]string{"list", "table"}, strings.Fields(name)...)...)
			must(t, err)
			all = append(all, out)
		}
		return strings.Join(all, "\n")
	}
	before := theirs()
	actions := []*cordon.Action{
		action(0, cordon.VerbQuarantine, cordon.Target{}),
		action(0, cordon.VerbBlock, cordon.Target{Proto: 6, Ports: []uint16{23, 2323}}),
		action(0, cordon.VerbBlock, cordon.Target{Peer: netip.MustParseAddr(c2)}),
		action(0, cordon.VerbLimit, cordon.Target{Proto: 17}),
	}
	actions[3].Rate = cordon.Rate{Packets: 100, Connections: 10}
	ctx := context.Background()
	for _, a := range actions {
		fresh, err := b.table.Apply(ctx, device(0), a)
		if err != nil || !fresh {
			t.Fatalf("%s: fresh %t, %v", a.ID, fresh, err)
		}
	}
	once := b.list()
	for _, a := range actions {
		later := *a
		later.At, later.Expires = a.At.Add(time.Minute), a.Expires.Add(time.Minute)
		fresh, err := b.table.Apply(ctx, device(0), &later)
		if err != nil || fresh {
			t.Fatalf("%s again: fresh %t, %v", a.ID, fresh, err)
		}
	}
	must(t, b.table.SetNetwork(ctx, b.net))
	if diff := cmp.Diff(once, b.list()); diff != "" {
		t.Errorf("twice is not once (-once +twice):\n%s", diff)
	}
	if n := len(b.table.Active(actions[0].At)); n != len(actions) {
		t.Errorf("%d in force, want %d", n, len(actions))
	}
	for _, a := range actions {
		must(t, b.table.Release(ctx, a.ID))
	}
	want, err := os.ReadFile("testdata/layout.nft")
	must(t, err)
	if diff := cmp.Diff(string(want), b.list()); diff != "" {
		t.Errorf("something is left after all was released (-want +got):\n%s", diff)
	}
	must(t, b.table.Reset(ctx))
	if after := theirs(); after != before {
		t.Errorf("other programs' tables:\n%s\nwere\n%s", after, before)
	}
	out, err := b.Router.Run("nft", "list", "tables")
	must(t, err)
	if strings.Contains(out, "netdev cordon") || strings.Contains(out, "inet cordon") {
		t.Errorf("ours are left:\n%s", out)
	}
}

// TestRenewal: the kernel's own clock is set anew, which adding an element again
// would not do.
func TestRenewal(t *testing.T) {
	b := newBed(t, netns.HomeConfig{Devices: 1})
	b.echo(b.Internet, "80", c2)
	a := action(0, cordon.VerbBlock, cordon.Target{Peer: netip.MustParseAddr(c2)})
	a.Expires = a.At.Add(time.Second)
	b.apply(0, a)
	longer := *a
	longer.Expires = a.At.Add(time.Hour)
	b.apply(0, &longer)
	shorter := *a
	shorter.At, shorter.Expires = a.At.Add(1), a.At.Add(time.Second)
	b.apply(0, &shorter) // never shortens
	if netns.Holds(1500*time.Millisecond, func() bool { return attempt(b.Devices[0], "tcp", c2+":80", gone) == reached }) {
		t.Error("it ended at its first end")
	}
}

// TestDrift: whatever another program does to our tables is noticed and mended.
func TestDrift(t *testing.T) {
	b := newBed(t, netns.HomeConfig{Devices: 2})
	b.echo(b.Internet, "80", c2)
	b.echo(b.Internet, "443", c2)
	ctx := context.Background()
	b.apply(0, action(0, cordon.VerbQuarantine, cordon.Target{}))
	limit := action(1, cordon.VerbLimit, cordon.Target{Proto: 17})
	limit.Rate = cordon.Rate{Packets: 100, Connections: 10}
	b.apply(1, limit)
	_, err := b.table.Indicators(ctx, []nft.Hostile{{Addr: netip.MustParseAddr(twin), For: time.Hour}}, nil)
	must(t, err)
	must(t, b.table.Shield(ctx, []nft.Shielded{{Addr: netns.DeviceIP(0), Open: []uint16{22}}}))
	must(t, b.table.Hole(ctx, device(0), netip.MustParseAddr(other), time.Hour))
	want := b.list()
	d, err := b.table.Check(ctx)
	must(t, err)
	if len(d.Found) > 0 {
		t.Errorf("found %q where nothing was done", d.Found)
	}
	for _, c := range []struct {
		do    string
		found bool
	}{
		{"delete table netdev cordon", true},
		{"delete table inet cordon", true},
		{"flush table netdev cordon", true},
		{"flush chain inet cordon forward", true},
		{"flush set netdev cordon quarantined", true},
		{"flush set inet cordon hostile4", true},
		{"flush set inet cordon shielded4", true},
		{"delete element netdev cordon marked { " + netns.RouterMAC + " }", true},
		{"insert rule netdev cordon from_lan accept", true},
		{"flush ruleset", true},
		{"add table inet somebody", false},
	} {
		_, err := b.Router.Run("nft", strings.Fields(c.do)...)
		must(t, err)
		d, err := b.table.Check(ctx)
		if err != nil {
			t.Fatalf("after %q: %v", c.do, err)
		}
		if c.found != (len(d.Found) > 0) || c.found != d.Repaired {
			t.Errorf("after %q: %+v", c.do, d)
		}
		if diff := cmp.Diff(sorted(want), sorted(b.list())); diff != "" {
			t.Fatalf("after %q it is not as it was (-want +got):\n%s", c.do, diff)
		}
		if d, err = b.table.Check(ctx); err != nil || len(d.Found) > 0 {
			t.Fatalf("after %q and the repair: %+v, %v", c.do, d, err)
		}
		if c.do == "flush ruleset" {
			b.Router.NFT("table inet nat {\n chain postrouting {\n type nat hook postrouting priority srcnat\n oifname wan masquerade\n }\n}")
		}
		b.talk(b.Devices[0], "tcp", c2+":443", refused)
		b.talk(b.Devices[1], "tcp", c2+":80", reached)
	}
}

// sorted puts a listing's blocks in order: sets and chains are listed in the
// order in which they were made.
func sorted(list string) []string {
	blocks := strings.Split(list, "\n\n")
	seen := map[string]int{}
	for _, b := range blocks {
		seen[strings.TrimSpace(strings.ReplaceAll(b, "}", ""))]++
	}
	var all []string
	for b, n := range seen {
		all = append(all, fmt.Sprint(b, n))
	}
	slices.Sort(all)
	return all
}

// TestPort: a port that goes and comes back is bound again, and a port that is
// not there yet keeps nothing from working.
func TestPort(t *testing.T) {
	b := newBed(t, netns.HomeConfig{Devices: 2})
	b.echo(b.Internet, "443", c2)
	ctx := context.Background()
	b.apply(0, action(0, cordon.VerbQuarantine, cordon.Target{}))
	b.talk(b.Devices[0], "tcp", c2+":443", refused)
	b.Router.IP("link del lan1")
	gonePort := b.net
	gonePort.LAN = b.net.LAN[1:]
	must(t, b.table.SetNetwork(ctx, gonePort))
	b.talk(b.Devices[1], "tcp", c2+":443", reached)
	b.Router.IP("link add name lan1 type veth peer name eth0 address "+device(0).ID+" netns "+b.Devices[0].Namespace,
		"link set lan1 master br-lan up")
	b.Devices[0].IP("link set eth0 up", "addr add 192.168.77.10/24 dev eth0", "addr add fd77::a/64 dev eth0 nodad",
		"route add default via 192.168.77.1", "route add default via fd77::1")
	back := b.net
	back.LAN = append([]cordon.Port(nil), b.net.LAN...)
	back.LAN[0].Index = 99
	back.LAN = append(back.LAN, cordon.Port{Name: "wlan0", Index: 100})
	must(t, b.table.SetNetwork(ctx, back))
	b.talk(b.Devices[0], "tcp", c2+":443", refused)
	b.talk(b.Devices[0], "udp", c2+":443", silent)
	b.talk(b.Devices[1], "tcp", c2+":443", reached)
	d, err := b.table.Check(ctx)
	must(t, err)
	if len(d.Found) > 0 {
		t.Errorf("drift %q after a port came back", d.Found)
	}
}

// TestRestart: the tables outlive the agent, and nothing passes while the next
// one starts.
func TestRestart(t *testing.T) {
	b := newBed(t, netns.HomeConfig{Devices: 2})
	b.echo(b.Internet, "443", c2)
	b.apply(0, action(0, cordon.VerbQuarantine, cordon.Target{}))
	b.talk(b.Devices[0], "udp", c2+":443", silent)
	counts, err := b.table.Counts(context.Background())
	must(t, err)
	if c := counts["quarantine"]; c.Packets == 0 || c.Bytes == 0 || counts["hostile"] != (nft.Count{}) {
		t.Errorf("counted %v", counts)
	}
	must(t, b.table.Close())
	leaked := make(chan int)
	stop := make(chan struct{})
	go func() {
		n := 0
		for {
			select {
			case <-stop:
				leaked <- n
				return
			default:
				if attempt(b.Devices[0], "udp", c2+":443", 5*time.Millisecond) == reached {
					n++
				}
			}
		}
	}()
	for range 5 {
		b.open()
		b.talk(b.Devices[0], "tcp", c2+":443", refused)
		must(t, b.table.Close())
	}
	close(stop)
	if n := <-leaked; n > 0 {
		t.Errorf("%d packets passed while the agent started", n)
	}
	b.open()
	fresh, err := b.table.Apply(context.Background(), device(0), action(0, cordon.VerbQuarantine, cordon.Target{}))
	if err != nil || !fresh {
		t.Errorf("applied again after a restart: fresh %t, %v", fresh, err)
	}
	must(t, b.table.Release(context.Background(), "quarantine device "+device(0).ID))
	b.talk(b.Devices[0], "tcp", c2+":443", reached)
}

// TestOtherLayout: a table that an older version left is replaced.
func TestOtherLayout(t *testing.T) {
	b := newBed(t, netns.HomeConfig{Devices: 1})
	must(t, b.table.Reset(context.Background()))
	must(t, b.table.Close())
	b.Router.NFT("table inet cordon { set quarantined { type ipv4_addr; }\n chain old {\n ip saddr @quarantined drop\n }\n}")
	b.open()
	if strings.Contains(b.list(), "chain old") {
		t.Error("the old chain is still there")
	}
}

// TestManyIndicators: 20,000 places, added, renewed and removed.
func TestManyIndicators(t *testing.T) {
	b := newBed(t, netns.HomeConfig{Devices: 1})
	b.echo(b.Internet, "80", c2)
	var places []nft.Hostile
	for i := range 20000 {
		h := nft.Hostile{Addr: netip.AddrFrom4([4]byte{198, 19, byte(i >> 8), byte(i)}), For: 24 * time.Hour}
		if i%10 == 0 {
			h.Port = 443
		}
		places = append(places, h)
	}
	ctx := context.Background()
	var m0, m1 runtime.MemStats
	runtime.GC()
	runtime.ReadMemStats(&m0)
	slab := kernelSlab(t)
	for _, what := range []string{"added", "renewed"} {
		start := time.Now()
		n, err := b.table.Indicators(ctx, places, nil)
		must(t, err)
		if n > 0 {
			t.Errorf("%d refused", n)
		}
		t.Logf("%d places %s in %v", len(places), what, time.Since(start).Round(time.Millisecond))
	}
	runtime.GC()
	runtime.ReadMemStats(&m1)
	t.Logf("memory: %d KiB kept, %d KiB allocated, kernel slab +%d KiB", (int(m1.HeapAlloc)-int(m0.HeapAlloc))>>10,
		(m1.TotalAlloc-m0.TotalAlloc)>>10, kernelSlab(t)-slab)
	start := time.Now()
	b.apply(0, action(0, cordon.VerbBlock, cordon.Target{Peer: netip.MustParseAddr(c2)}))
	t.Logf("a block beside them in %v", time.Since(start).Round(10*time.Microsecond))
	b.talk(b.Devices[0], "tcp", "198.19.1.1:80", silent)
	b.talk(b.Devices[0], "tcp", c2+":80", silent)
	start = time.Now()
	_, err := b.Router.Run("nft", "add", "table", "inet", "somebody")
	must(t, err)
	d, err := b.table.Check(ctx)
	must(t, err)
	t.Logf("checked in %v, %q", time.Since(start).Round(time.Millisecond), d.Found)
	start = time.Now()
	_, err = b.table.Indicators(ctx, nil, places)
	must(t, err)
	t.Logf("removed in %v", time.Since(start).Round(time.Millisecond))
	out, err := b.Router.Run("nft", "list", "set", "inet", "cordon", "hostile4")
	must(t, err)
	if strings.Contains(out, "elements") {
		t.Error("places are left")
	}
}

// kernelSlab returns the kernel's slab memory in KiB.
func kernelSlab(t *testing.T) int {
	t.Helper()
	b, err := os.ReadFile("/proc/meminfo")
	must(t, err)
	_, rest, _ := strings.Cut(string(b), "\nSlab:")
	n, err := strconv.Atoi(strings.Fields(rest)[0])
	must(t, err)
	return n
}
