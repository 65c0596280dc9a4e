package nft_test

import (
	"context"
	"io"
	"net"
	"net/http"
	"net/netip"
	"strings"
	"testing"
	"time"

	"cordon"
	"cordon/lab/netns"
)

// quarantined is a home whose first device is cut off, with somebody to answer
// everywhere, and what the device must not reach but could before.
func quarantined(t *testing.T) *bed {
	t.Helper()
	b := newBed(t, netns.HomeConfig{Devices: 3})
	b.echo(b.Internet, "443", c2, c26, other)
	b.echo(b.Internet, "80", c2, c26, other)
	b.echo(b.Internet, "53", c2, c26)
	b.echo(b.Router, "53", "192.168.77.1", "fd77::1")
	b.echo(b.Router, "123", "192.168.77.1", "fd77::1")
	b.echo(b.Router, "22")
	for _, d := range b.Devices {
		b.echo(d, "8080")
	}
	l, err := b.Router.Listen("tcp", "[::]:8099")
	must(t, err)
	page := &http.Server{Handler: http.HandlerFunc(func(w http.ResponseWriter, r *http.Request) { io.WriteString(w, "the page") })}
	go page.Serve(l)
	t.Cleanup(func() { page.Close() })
	b.talk(b.Devices[0], "tcp", netns.DeviceIP(1).String()+":8080", reached)
	b.talk(b.Devices[1], "tcp", netns.DeviceIP(0).String()+":8080", reached)
	b.talk(b.Devices[0], "tcp", c2+":443", reached)
	b.apply(0, action(0, cordon.VerbQuarantine, cordon.Target{}))
	b.cut("quarantine device " + device(0).ID)
	return b
}

func (b *bed) get(h *netns.Host, url string) string {
	b.t.Helper()
	c := h.HTTPClient()
	c.Timeout = soon
	r, err := c.Get(url)
	if err != nil {
		return err.Error()
	}
	defer r.Body.Close()
	body, _ := io.ReadAll(r.Body)
	return string(body)
}

// TestQuarantine is what design.md says of it, for both families.
func TestQuarantine(t *testing.T) {
	b := quarantined(t)
	d := b.Devices[0]
	for _, c := range []struct {
		network, at string
		want        outcome
	}{
		{"udp", "192.168.77.1:53", reached},
		{"tcp", "192.168.77.1:53", reached},
		{"udp", "192.168.77.1:123", reached},
		{"udp", "[fd77::1]:53", reached},
		{"tcp", "[fd77::1]:53", reached},
		{"tcp", c2 + ":443", refused},
		{"tcp", "[" + c26 + "]:443", refused},
		{"tcp", "192.168.77.1:443", refused},
		{"tcp", "192.168.77.1:22", silent},
		{"tcp", "[fd77::1]:22", silent},
		{"udp", c2 + ":53", silent},
		{"tcp", c2 + ":53", silent},
		{"udp", c2 + ":443", silent},
		{"udp", "[" + c26 + "]:443", silent},
		{"tcp", "[" + c26 + "]:53", silent},
		{"tcp", netns.DeviceIP(1).String() + ":8080", silent},
		{"tcp", "[" + netns.DeviceIP6(1).String() + "]:8080", silent},
	} {
		b.talk(d, c.network, c.at, c.want)
	}
	for _, url := range []string{"http://" + c2 + "/", "http://[" + c26 + "]/any", "http://192.168.77.1/cgi-bin/luci"} {
		if got := b.get(d, url); got != "the page" {
			t.Errorf("%s: %q, want the page", url, got)
		}
	}
	for _, at := range []string{netns.DeviceIP(0).String() + ":8080", "[" + netns.DeviceIP6(0).String() + "]:8080"} {
		b.talk(b.Devices[1], "tcp", at, silent)
		b.talk(b.Internet, "tcp", at, silent)
	}
	if out, err := d.Run("ping", "-c1", "-W1", c2); err == nil {
		t.Errorf("it pings: %s", out)
	}
	// Nobody else is touched.
	for _, at := range []string{c2 + ":443", "[" + c26 + "]:443", c2 + ":80", netns.DeviceIP(2).String() + ":8080", "192.168.77.1:22"} {
		b.talk(b.Devices[1], "tcp", at, reached)
	}
	must(t, b.table.Release(context.Background(), "quarantine device "+device(0).ID))
	b.talk(d, "tcp", c2+":443", reached)
	b.talk(d, "udp", "["+c26+"]:443", reached)
	b.talk(b.Devices[1], "tcp", netns.DeviceIP(0).String()+":8080", reached)
}

// TestHole: what the resolver's answers allow, and only that.
func TestHole(t *testing.T) {
	b := quarantined(t)
	ctx := context.Background()
	for _, a := range []string{c2, c26} {
		must(t, b.table.Hole(ctx, device(0), netip.MustParseAddr(a), time.Second))
	}
	b.talk(b.Devices[0], "tcp", c2+":443", reached)
	b.talk(b.Devices[0], "tcp", c2+":80", reached)
	b.talk(b.Devices[0], "udp", c2+":443", reached)
	b.talk(b.Devices[0], "tcp", "["+c26+"]:443", reached)
	b.talk(b.Devices[0], "tcp", other+":443", refused)
	b.talk(b.Devices[0], "tcp", netns.DeviceIP(1).String()+":8080", silent)
	for _, a := range []string{"192.168.77.11", "192.168.77.1", "fd77::b", "127.0.0.1", "224.0.0.251", "0.0.0.0"} {
		if b.table.Hole(ctx, device(0), netip.MustParseAddr(a), time.Hour) == nil {
			t.Errorf("a hole to %s was opened", a)
		}
	}
	out, err := b.Router.Run("nft", "list", "set", "netdev", "cordon", "hole_mac4")
	must(t, err)
	if !strings.Contains(out, "timeout 1m ") {
		t.Errorf("a hole of a second is not one of a minute:\n%s", out)
	}
}

// TestNewMAC: a device that changes its MAC keeps being confined at its
// addresses, until a lease has had time to move.
func TestNewMAC(t *testing.T) {
	b := quarantined(t)
	d := b.Devices[0]
	d.IP("link set eth0 down", "link set eth0 address 02:00:00:00:00:66", "link set eth0 up",
		"addr replace fd77::a/64 dev eth0 nodad", "route replace default via 192.168.77.1", "route replace default via fd77::1")
	netns.Wait(t, soon, "the router answers", func() bool { return attempt(d, "udp", "192.168.77.1:53", gone) == reached })
	b.talk(d, "udp", "[fd77::1]:53", reached)
	b.talk(d, "tcp", c2+":443", refused)
	b.talk(d, "udp", c2+":443", silent)
	b.talk(d, "udp", "["+c26+"]:443", silent)
	b.talk(d, "tcp", netns.DeviceIP(1).String()+":8080", silent)
	b.talk(b.Devices[1], "tcp", netns.DeviceIP(0).String()+":8080", silent)
	out, err := b.Router.Run("nft", "list", "set", "netdev", "cordon", "held4")
	must(t, err)
	if !strings.Contains(out, "timeout 1h") && !strings.Contains(out, "timeout 59m") {
		t.Errorf("the address is not held for an hour:\n%s", out)
	}
}

// TestLeaseMoves: an address that a quarantined device gave up for another goes
// free; one that it only left behind stays held.
func TestLeaseMoves(t *testing.T) {
	b := quarantined(t)
	ctx := context.Background()
	held := func(a string) bool {
		_, err := b.Router.Run("nft", "get", "element", "netdev", "cordon", "held4", "{ "+a+" }")
		return err == nil
	}
	moved := device(0)
	moved.Addrs = addrs("192.168.77.50", "fd77::a")
	must(t, b.table.Move(ctx, moved))
	if held("192.168.77.10") || !held("192.168.77.50") {
		t.Error("the hold did not follow the device to its new address")
	}
	left := device(0)
	left.Addrs = addrs("fd77::a")
	must(t, b.table.Move(ctx, left))
	if !held("192.168.77.50") {
		t.Error("an address that was taken from it is free at once")
	}
	b.talk(b.Devices[0], "tcp", c2+":443", refused) // its MAC still is
}

// TestSpoofedMAC: a neighbour that takes a quarantined MAC confines itself and
// frees nobody, and one that takes the router's MAC is not heard.
func TestSpoofedMAC(t *testing.T) {
	b := quarantined(t)
	thief := b.Devices[1]
	thief.IP("link set eth0 down", "link set eth0 address "+device(0).ID, "link set eth0 up",
		"addr replace fd77::b/64 dev eth0 nodad", "route replace default via 192.168.77.1", "route replace default via fd77::1")
	b.talk(thief, "tcp", c2+":443", refused)
	b.talk(thief, "udp", c2+":443", silent)
	thief.IP("link set eth0 down", "link set eth0 address 44:19:b6:00:00:11", "link set eth0 up",
		"addr replace fd77::b/64 dev eth0 nodad", "route replace default via 192.168.77.1", "route replace default via fd77::1")
	netns.Wait(t, soon, "its own MAC is free again", func() bool { return attempt(thief, "tcp", c2+":443", gone) == reached })
	b.talk(b.Devices[0], "tcp", c2+":443", refused)

	thief.IP("link set eth0 down", "link set eth0 address "+netns.RouterMAC, "link set eth0 up",
		"neigh replace 192.168.77.10 lladdr "+device(0).ID+" dev eth0", "neigh replace 192.168.77.12 lladdr "+device(2).ID+" dev eth0")
	b.talk(thief, "udp", netns.DeviceIP(0).String()+":8080", silent)
	b.talk(thief, "tcp", netns.DeviceIP(2).String()+":8080", silent)
	if b.counter("netdev", "impostor") == "0" {
		t.Error("frames from the router's own MAC were not counted")
	}
	b.talk(b.Devices[2], "tcp", c2+":443", reached)
}

// TestEnds: the kernel ends a quarantine by itself, and what an earlier run left
// behind can be ended by hand.
func TestEnds(t *testing.T) {
	b := quarantined(t)
	must(t, b.table.Release(context.Background(), "quarantine device "+device(0).ID))
	a := action(0, cordon.VerbQuarantine, cordon.Target{})
	a.ID, a.Expires = "short", a.At.Add(1500*time.Millisecond)
	b.apply(0, a)
	b.talk(b.Devices[0], "tcp", c2+":443", refused)
	must(t, b.table.Close())
	netns.Wait(t, soon, "it is free", func() bool { return attempt(b.Devices[0], "tcp", c2+":443", gone) == reached })

	b.open()
	b.apply(0, action(0, cordon.VerbQuarantine, cordon.Target{}))
	must(t, b.table.Close())
	b.open()
	if n := len(b.table.Active(0)); n != 0 {
		t.Fatalf("%d in force that nobody applied", n)
	}
	b.talk(b.Devices[0], "tcp", c2+":443", refused)
	must(t, b.table.Free(context.Background(), device(0)))
	b.talk(b.Devices[0], "tcp", c2+":443", reached)
	b.talk(b.Devices[0], "udp", "["+c26+"]:443", reached)
}

// TestLongest: the kernel holds what is ordered for as long as anything may last, and
// what would last longer is refused rather than cut short.
func TestLongest(t *testing.T) {
	b := newBed(t, netns.HomeConfig{Devices: 1})
	a := action(0, cordon.VerbQuarantine, cordon.Target{})
	a.Expires = a.At.Add(cordon.MaxLife + time.Second)
	if _, err := b.table.Apply(context.Background(), device(0), a); err == nil {
		t.Error("an action was taken for longer than MaxLife")
	}
	a.Expires = a.At.Add(cordon.MaxLife)
	b.apply(0, a)
	out, err := b.Router.Run("nft", "list", "set", "netdev", "cordon", "quarantined")
	must(t, err)
	if !strings.Contains(out, "expires 89d23h59m") {
		t.Errorf("the kernel holds it otherwise:\n%s", out)
	}
}

// TestGuard: no more than so many devices an hour, and never the router.
func TestGuard(t *testing.T) {
	b := newBed(t, netns.HomeConfig{Devices: 1})
	ctx := context.Background()
	cutOff := func(i int) error {
		a := action(i, cordon.VerbQuarantine, cordon.Target{})
		_, err := b.table.Apply(ctx, device(i), a)
		return err
	}
	for i := range 10 {
		must(t, cutOff(i))
	}
	if cutOff(10) == nil {
		t.Error("the eleventh device within an hour was cut off")
	}
	must(t, cutOff(3)) // a renewal
	must(t, b.table.Close())
	b.open()
	for i := range 10 {
		must(t, cutOff(i)) // found in the kernel: not new
	}
	own := func(i int) error { // what the agent found reasons for is counted apart
		a := action(i, cordon.VerbQuarantine, cordon.Target{})
		a.ID, a.Incident = a.ID+" found", "inc"
		_, err := b.table.Apply(ctx, device(i), a)
		return err
	}
	for i := range quarantines {
		must(t, own(20+i))
	}
	if own(20+quarantines) == nil {
		t.Errorf("the agent cut off more than %d devices by itself", quarantines)
	}
	b.table.Restored(device(30))
	must(t, own(30))
	later := action(10, cordon.VerbQuarantine, cordon.Target{})
	later.At, later.Expires = later.At.Add(2*time.Hour), later.Expires.Add(2*time.Hour)
	_, err := b.table.Apply(ctx, device(10), later)
	must(t, err)

	router := device(0)
	router.MAC, router.ID = mac(netns.RouterMAC), netns.RouterMAC
	for name, a := range map[string]*cordon.Action{
		"the router":          action(0, cordon.VerbQuarantine, cordon.Target{}),
		"the router's access": action(0, cordon.VerbBlock, cordon.Target{Proto: 6, Ports: []uint16{23}}),
	} {
		if _, err := b.table.Apply(ctx, router, a); err == nil {
			t.Errorf("%s was cut off", name)
		}
	}
	for name, target := range map[string]cordon.Target{
		"the gateway":          {Peer: netip.MustParseAddr("203.0.113.1")},
		"the router's address": {Peer: netns.RouterLAN6},
		"the router's network": {Net: netip.MustParsePrefix("203.0.113.0/24")},
		"a /16":                {Net: netip.MustParsePrefix("198.18.0.0/16")},
		"a /32":                {Net: netip.MustParsePrefix("2001:db8::/32")},
		"a /28":                {Net: netip.MustParsePrefix("192.0.2.0/28")},
		"everything":           {},
		"multicast":            {Peer: netip.MustParseAddr("224.0.0.1")},
		"ports of ICMP":        {Proto: 1, Ports: []uint16{23}},
	} {
		if _, err := b.table.Apply(ctx, device(0), action(0, cordon.VerbBlock, target)); err == nil {
			t.Errorf("%s was blocked", name)
		}
	}
}

// TestNothingArrives: packets to a quarantined device, which need no answer to
// do harm, end before it: from a neighbour, from outside, and to an address that
// is held.
func TestNothingArrives(t *testing.T) {
	b := newBed(t, netns.HomeConfig{Devices: 3, NoNAT: true})
	victims := map[string]net.PacketConn{}
	unknown := netip.MustParseAddr("192.168.77.60") // of the device, and the agent has not seen it
	b.Devices[0].IP("addr add " + unknown.String() + "/24 dev eth0")
	for i := range 2 {
		for _, a := range []netip.Addr{netns.DeviceIP(i), netns.DeviceIP6(i), unknown}[:3-i] {
			p, err := b.Devices[i].ListenPacket("udp", netip.AddrPortFrom(a, 9).String())
			must(t, err)
			t.Cleanup(func() { p.Close() })
			victims[a.String()] = p
			b.Devices[2].IP("neigh replace " + a.String() + " lladdr " + device(i).ID + " dev eth0")
			b.Router.IP("neigh replace " + a.String() + " lladdr " + device(i).ID + " dev br-lan")
		}
	}
	arrives := func(from *netns.Host, to netip.Addr, want bool) {
		t.Helper()
		c, err := from.Dial("udp", netip.AddrPortFrom(to, 9).String())
		must(t, err)
		defer c.Close()
		c.Write([]byte("harm"))
		within := soon
		if !want {
			within = gone
		}
		p := victims[to.String()]
		p.SetReadDeadline(time.Now().Add(within))
		if _, _, err := p.ReadFrom(make([]byte, 10)); (err == nil) != want {
			t.Errorf("from %s to %s: arrived %t, want %t", from.Name, to, err == nil, want)
		}
	}
	all := func(i int, want bool) {
		t.Helper()
		for _, a := range []netip.Addr{netns.DeviceIP(i), netns.DeviceIP6(i)} {
			arrives(b.Devices[2], a, want)
			arrives(b.Internet, a, want)
		}
	}
	all(0, true)
	b.apply(0, action(0, cordon.VerbQuarantine, cordon.Target{}))
	b.cut("quarantine device " + device(0).ID)
	all(0, false)
	arrives(b.Devices[2], unknown, false)
	all(1, true)
	// Under another MAC the address is held still.
	for _, a := range []netip.Addr{netns.DeviceIP(0), netns.DeviceIP6(0)} {
		b.Devices[2].IP("neigh replace " + a.String() + " lladdr 02:00:00:00:00:66 dev eth0")
	}
	b.Devices[0].IP("link set eth0 promisc on", "link set eth0 address 02:00:00:00:00:66")
	for _, a := range []netip.Addr{netns.DeviceIP(0), netns.DeviceIP6(0)} {
		arrives(b.Devices[2], a, false)
	}
	must(t, b.table.Release(context.Background(), "quarantine device "+device(0).ID))
	for _, a := range []netip.Addr{netns.DeviceIP(0), netns.DeviceIP6(0)} {
		arrives(b.Devices[2], a, true)
	}
}
