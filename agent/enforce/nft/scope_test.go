package nft_test

import (
	"context"
	"errors"
	"net"
	"net/netip"
	"slices"
	"syscall"
	"testing"
	"time"

	"cordon"
	"cordon/agent/enforce/nft"
	"cordon/lab/netns"
)

const (
	c2    = "192.0.2.7"
	c26   = "2001:db8:1::7"
	other = "198.51.100.9"
	twin  = "192.0.2.8" // of the same /24 as c2
)

// TestBlocks: each part of a device's traffic that can be named stops, and what
// is not of it goes on, for this device and for others.
func TestBlocks(t *testing.T) {
	b := newBed(t, netns.HomeConfig{Devices: 2})
	for _, port := range []string{"23", "80", "53"} {
		b.echo(b.Internet, port, c2, c26, twin, other)
	}
	b.echo(b.Devices[1], "23", netns.DeviceIP(1).String())
	ip := netip.MustParseAddr
	type try struct {
		network, at string
		want        outcome
	}
	for _, c := range []struct {
		name   string
		target cordon.Target
		tries  []try
	}{
		{"a destination", cordon.Target{Peer: ip(c2)},
			[]try{{"tcp", c2 + ":80", silent}, {"udp", c2 + ":53", silent}, {"tcp", other + ":80", reached}, {"tcp", twin + ":80", reached}}},
		{"a destination's protocol", cordon.Target{Peer: ip(c2), Proto: 17},
			[]try{{"tcp", c2 + ":80", reached}, {"udp", c2 + ":53", silent}}},
		{"a destination's port", cordon.Target{Peer: ip(c2), Proto: 6, Ports: []uint16{23}},
			[]try{{"tcp", c2 + ":23", silent}, {"udp", c2 + ":23", reached}, {"tcp", c2 + ":80", reached}, {"tcp", other + ":23", reached}}},
		{"a port of any protocol", cordon.Target{Ports: []uint16{23}},
			[]try{{"tcp", c2 + ":23", silent}, {"udp", other + ":23", silent}, {"tcp", c2 + ":80", reached}}},
		{"an IPv6 destination", cordon.Target{Peer: ip(c26)},
			[]try{{"tcp", "[" + c26 + "]:80", silent}, {"tcp", "[2001:db8:1::8]:80", reached}}},
		{"an IPv6 destination's port", cordon.Target{Peer: ip(c26), Proto: 6, Ports: []uint16{23}},
			[]try{{"tcp", "[" + c26 + "]:23", silent}, {"tcp", "[" + c26 + "]:80", reached}}},
		{"a port class, also of neighbours", cordon.Target{Proto: 6, Ports: []uint16{23, 2323}},
			[]try{{"tcp", c2 + ":23", silent}, {"tcp", "[" + c26 + "]:23", silent}, {"tcp", netns.DeviceIP(1).String() + ":23", silent},
				{"tcp", c2 + ":80", reached}, {"udp", c2 + ":23", reached}}},
		{"a network", cordon.Target{Net: netip.MustParsePrefix("192.0.2.0/24")},
			[]try{{"tcp", c2 + ":80", silent}, {"udp", twin + ":53", silent}, {"tcp", other + ":80", reached}}},
		{"a network's protocol", cordon.Target{Proto: 17, Net: netip.MustParsePrefix("192.0.2.0/24")},
			[]try{{"tcp", c2 + ":80", reached}, {"udp", twin + ":53", silent}, {"udp", other + ":53", reached}}},
		{"a network's port", cordon.Target{Proto: 6, Ports: []uint16{23}, Net: netip.MustParsePrefix("2001:db8:1::/48")},
			[]try{{"tcp", "[" + c26 + "]:23", silent}, {"tcp", "[" + c26 + "]:80", reached}, {"tcp", c2 + ":23", reached}}},
		{"a protocol, outside the home", cordon.Target{Proto: 17},
			[]try{{"udp", c2 + ":53", silent}, {"udp", "[" + c26 + "]:53", silent}, {"tcp", c2 + ":80", reached},
				{"udp", netns.DeviceIP(1).String() + ":23", reached}}},
	} {
		t.Run(c.name, func(t *testing.T) {
			a := action(0, cordon.VerbBlock, c.target)
			b.t = t
			b.apply(0, a)
			for _, try := range c.tries {
				b.talk(b.Devices[0], try.network, try.at, try.want)
				b.talk(b.Devices[1], try.network, try.at, reached)
			}
			must(t, b.table.Release(context.Background(), a.ID))
			b.talk(b.Devices[0], c.tries[0].network, c.tries[0].at, reached)
		})
	}
}

// TestLocalPort: what a device sends from one of its own ports.
func TestLocalPort(t *testing.T) {
	b := newBed(t, netns.HomeConfig{Devices: 1})
	b.echo(b.Internet, "6881", c2, c26, twin, other)
	b.apply(0, action(0, cordon.VerbBlock, cordon.Target{Proto: 17, LocalPort: 7777}))
	for port, want := range map[int]bool{7777: false, 7778: true} {
		must(t, b.Devices[0].Do(func() error {
			c, err := net.DialUDP("udp", &net.UDPAddr{Port: port}, &net.UDPAddr{IP: net.ParseIP(c2), Port: 6881})
			if err != nil {
				return err
			}
			defer c.Close()
			within := soon
			if !want {
				within = gone
			}
			if got := ask(c, within) == nil; got != want {
				t.Errorf("from port %d: answered %t", port, got)
			}
			return nil
		}))
	}
}

// TestByAddress: a device behind a relay is known by its address only; what else
// is behind the relay goes on.
func TestByAddress(t *testing.T) {
	b := newBed(t, netns.HomeConfig{Devices: 2})
	for _, port := range []string{"23", "80", "443"} {
		b.echo(b.Internet, port, c2, c26, twin, other)
	}
	b.Devices[0].IP("addr add 192.168.77.99/24 dev eth0")
	four := &cordon.Device{ID: "192.168.77.10", Addrs: addrs("192.168.77.10")}
	six := &cordon.Device{ID: "fd77::a", Addrs: addrs("fd77::a")}
	ctx := context.Background()
	apply := func(d *cordon.Device, a *cordon.Action) {
		t.Helper()
		a.Entity.Device = d.ID
		_, err := b.table.Apply(ctx, d, a)
		must(t, err)
	}
	apply(four, action(0, cordon.VerbBlock, cordon.Target{Proto: 6, Ports: []uint16{23}}))
	b.talk(b.Devices[0], "tcp", c2+":23", silent)
	b.talk(b.Devices[0], "tcp", c2+":80", reached)
	b.talk(b.Devices[0], "tcp", "["+c26+"]:23", reached)
	apply(six, action(0, cordon.VerbBlock, cordon.Target{Peer: netip.MustParseAddr(c26)}))
	b.talk(b.Devices[0], "tcp", "["+c26+"]:80", silent)
	quarantine := action(0, cordon.VerbQuarantine, cordon.Target{})
	apply(four, quarantine)
	b.talk(b.Devices[0], "tcp", c2+":443", refused)
	b.talk(b.Devices[0], "udp", c2+":80", silent)
	b.talk(b.Devices[0], "tcp", "[2001:db8:1::9]:443", reached)
	must(t, b.Devices[0].Do(func() error { // another device behind the relay
		d := net.Dialer{LocalAddr: &net.TCPAddr{IP: net.ParseIP("192.168.77.99")}, Timeout: soon}
		c, err := d.Dial("tcp", c2+":443")
		if err != nil {
			return err
		}
		defer c.Close()
		return ask(c, soon)
	}))
	b.talk(b.Devices[1], "tcp", c2+":443", reached)
}

// TestHostile: places known to be hostile are closed to everybody, both ways,
// and end by themselves.
func TestHostile(t *testing.T) {
	b := newBed(t, netns.HomeConfig{Devices: 2})
	b.echo(b.Internet, "80", c2, c26, twin, other)
	b.echo(b.Internet, "81", c2, c26, twin, other)
	ctx := context.Background()
	n, err := b.table.Indicators(ctx, []nft.Hostile{
		{Addr: netip.MustParseAddr(c2), For: time.Hour},
		{Addr: netip.MustParseAddr(c26), Port: 81, For: time.Hour},
		{Addr: netip.MustParseAddr(twin), Port: 80, For: time.Hour},
		{Addr: netip.MustParseAddr(other), For: 1500 * time.Millisecond},
		{Addr: netns.RouterLAN, For: time.Hour}, // spared
	}, nil)
	must(t, err)
	if n != 1 {
		t.Errorf("%d refused, want the router's own", n)
	}
	b.talk(b.Devices[0], "tcp", other+":80", silent)
	for _, d := range b.Devices {
		b.talk(d, "tcp", c2+":80", silent)
		b.talk(d, "tcp", "["+c26+"]:81", silent)
		b.talk(d, "tcp", "["+c26+"]:80", reached)
		b.talk(d, "tcp", twin+":80", silent)
		b.talk(d, "tcp", twin+":81", reached)
	}
	netns.Wait(t, soon, "a place ends by itself", func() bool { return attempt(b.Devices[0], "tcp", other+":80", gone) == reached })
	_, err = b.table.Indicators(ctx, nil, []nft.Hostile{{Addr: netip.MustParseAddr(c2)}})
	must(t, err)
	b.talk(b.Devices[0], "tcp", c2+":80", reached)
}

// TestHostileUnderWay: connections that are under way when their far side becomes
// known to be hostile end, on either end's packets; others go on. What the router
// sends in a device's name is held to it too.
func TestHostileUnderWay(t *testing.T) {
	b := newBed(t, netns.HomeConfig{Devices: 1})
	b.echo(b.Internet, "80", c2, c26, twin)
	b.echo(b.Internet, "81", c2, twin)
	dial := func(network, at string) net.Conn {
		t.Helper()
		c, err := b.Devices[0].Dial(network, at)
		must(t, err)
		t.Cleanup(func() { c.Close() })
		must(t, ask(c, soon))
		return c
	}
	ends := map[string]net.Conn{"tcp": dial("tcp", c2+":80"), "udp": dial("udp", c2+":81"),
		"tcp6": dial("tcp", "["+c26+"]:80"), "the port": dial("udp", twin+":80")}
	goes := map[string]net.Conn{"another port": dial("tcp", twin+":81"), "one that only attacks": dial("tcp", twin+":81")}
	ctx := context.Background()
	_, err := b.table.Indicators(ctx, []nft.Hostile{
		{Addr: netip.MustParseAddr(c2), For: time.Hour},
		{Addr: netip.MustParseAddr(c26), For: time.Hour},
		{Addr: netip.MustParseAddr(twin), Port: 80, For: time.Hour},
		{Addr: netip.MustParseAddr(twin), Inbound: true, For: time.Hour},
	}, nil)
	must(t, err)
	for name, c := range ends {
		netns.Wait(t, soon, name+" ends", func() bool { return ask(c, gone) != nil && ask(c, gone) != nil })
	}
	for name, c := range goes {
		if err := ask(c, soon); err != nil {
			t.Errorf("a connection to %s ended: %v", name, err)
		}
	}
	before := b.counter("inet", "hostile")
	must(t, b.Router.Do(func() error {
		d := net.Dialer{LocalAddr: &net.UDPAddr{IP: netns.DeviceIP(0).AsSlice()}, Control: func(_, _ string, c syscall.RawConn) (err error) {
			e := c.Control(func(fd uintptr) { err = syscall.SetsockoptInt(int(fd), syscall.SOL_IP, syscall.IP_TRANSPARENT, 1) })
			return errors.Join(e, err)
		}}
		for _, at := range []string{c2 + ":80", twin + ":81"} {
			c, err := d.Dial("udp", at)
			if err != nil {
				return err
			}
			c.Write([]byte("in its name"))
			c.Close()
		}
		return nil
	}))
	if after := b.counter("inet", "hostile"); after == before {
		t.Error("what the router sent in the device's name was not stopped")
	}
}

// TestSpared: what the home cannot do without is reached whatever a block of
// ports or protocols says.
func TestSpared(t *testing.T) {
	b := newBed(t, netns.HomeConfig{Devices: 1})
	b.echo(b.Internet, "53", c2, "203.0.113.1")
	b.echo(b.Router, "53", "192.168.77.1", "fd77::1")
	b.apply(0, action(0, cordon.VerbBlock, cordon.Target{Ports: []uint16{53}}))
	b.apply(0, action(0, cordon.VerbBlock, cordon.Target{Proto: 17}))
	b.talk(b.Devices[0], "udp", c2+":53", silent)
	for _, at := range []string{"192.168.77.1:53", "[fd77::1]:53", "203.0.113.1:53"} {
		b.talk(b.Devices[0], "udp", at, reached)
	}
	// What becomes spared is blocked no longer.
	b.apply(0, action(0, cordon.VerbBlock, cordon.Target{Peer: netip.MustParseAddr(c2)}))
	_, err := b.table.Indicators(context.Background(), []nft.Hostile{{Addr: netip.MustParseAddr(c2), For: time.Hour}}, nil)
	must(t, err)
	b.talk(b.Devices[0], "tcp", c2+":53", silent)
	n := b.net
	n.Spared = append(slices.Clone(n.Spared), netip.MustParseAddr(c2))
	must(t, b.table.SetNetwork(context.Background(), n))
	b.talk(b.Devices[0], "udp", c2+":53", reached)
	b.talk(b.Devices[0], "tcp", c2+":53", reached)
}
