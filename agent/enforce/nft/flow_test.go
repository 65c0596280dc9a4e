package nft_test

import (
	"context"
	"fmt"
	"net"
	"net/netip"
	"strconv"
	"strings"
	"testing"
	"time"

	"cordon"
	"cordon/agent/enforce/nft"
	"cordon/agent/packet"
	"cordon/lab/live"
	"cordon/lab/netns"
)

// TestCut: a connection that is under way when its part of the traffic is
// blocked ends, its entry goes, and others' go on.
func TestCut(t *testing.T) {
	b := newBed(t, netns.HomeConfig{Devices: 2})
	b.echo(b.Internet, "4000", c2, c26)
	b.echo(b.Internet, "4001", c2)
	dial := func(i int, network, at string) net.Conn {
		t.Helper()
		c, err := b.Devices[i].Dial(network, at)
		must(t, err)
		t.Cleanup(func() { c.Close() })
		must(t, ask(c, soon))
		return c
	}
	cut4, cut6, cutUDP := dial(0, "tcp", c2+":4000"), dial(0, "tcp", "["+c26+"]:4000"), dial(0, "udp", c2+":4000")
	stays, others := dial(0, "tcp", c2+":4001"), dial(1, "tcp", c2+":4000")
	for _, a := range []*cordon.Action{
		action(0, cordon.VerbBlock, cordon.Target{Peer: netip.MustParseAddr(c2), Ports: []uint16{4000}}),
		action(0, cordon.VerbBlock, cordon.Target{Peer: netip.MustParseAddr(c26), Proto: 6}),
	} {
		b.apply(0, a)
		if c := b.cut(a.ID); c.err != nil || c.n == 0 {
			t.Errorf("%s: %d connections cut, %v", a.ID, c.n, c.err)
		}
	}
	for name, c := range map[string]net.Conn{"tcp": cut4, "tcp6": cut6, "udp": cutUDP} {
		if ask(c, gone) == nil {
			t.Errorf("the %s connection goes on", name)
		}
	}
	for name, c := range map[string]net.Conn{"another port": stays, "another device": others} {
		if err := ask(c, soon); err != nil {
			t.Errorf("a connection of %s ended: %v", name, err)
		}
	}
	out, err := b.Router.Run("conntrack", "-L", "-d", c2, "-p", "tcp", "--dport", "4000", "-s", netns.DeviceIP(0).String())
	must(t, err)
	if strings.Contains(out, "ESTABLISHED") {
		t.Errorf("the entry is still there:\n%s", out)
	}
	a := action(0, cordon.VerbQuarantine, cordon.Target{})
	b.apply(0, a)
	b.cut(a.ID)
	if ask(stays, gone) == nil {
		t.Error("a connection survived quarantine")
	}
	must(t, ask(others, soon))
}

// flood sends UDP packets, evenly over a while or longer if the machine is busy, and
// returns how many arrived and how long it took.
func (b *bed) flood(i int, at string, n int, over time.Duration) (arrived int, took time.Duration) {
	b.t.Helper()
	p, err := b.Internet.ListenPacket("udp", at)
	must(b.t, err)
	defer p.Close()
	c, err := b.Devices[i].Dial("udp", at)
	must(b.t, err)
	defer c.Close()
	ticker := time.NewTicker(over / time.Duration(n))
	defer ticker.Stop()
	begin := time.Now()
	for range n {
		<-ticker.C
		c.Write([]byte("flood"))
	}
	took = time.Since(begin)
	p.SetReadDeadline(time.Now().Add(gone))
	for buffer := make([]byte, 10); ; arrived++ {
		if _, _, err := p.ReadFrom(buffer); err != nil {
			return arrived, took
		}
	}
}

// TestLimit: packets beyond the rate are dropped, those within pass, and only
// those of the part that is limited count.
func TestLimit(t *testing.T) {
	b := newBed(t, netns.HomeConfig{Devices: 2})
	b.echo(b.Internet, "80", c2)
	for _, c := range []struct {
		name   string
		target cordon.Target
		rate   cordon.Rate
		at     string
		low    int // of 200 in a second
		high   int
	}{
		{"a protocol", cordon.Target{Proto: 17}, cordon.Rate{Packets: 50}, c2 + ":9", 45, 80},
		{"a protocol, IPv6", cordon.Target{Proto: 17}, cordon.Rate{Packets: 50}, "[" + c26 + "]:9", 45, 80},
		{"a network", cordon.Target{Net: netip.MustParsePrefix("192.0.2.0/24")}, cordon.Rate{Packets: 20}, c2 + ":9", 18, 45},
		{"a port", cordon.Target{Proto: 17, Ports: []uint16{9}}, cordon.Rate{Packets: 20}, c2 + ":9", 18, 45},
		{"another port", cordon.Target{Proto: 17, Ports: []uint16{9}}, cordon.Rate{Packets: 20}, c2 + ":10", 200, 200},
		{"another place", cordon.Target{Peer: netip.MustParseAddr(other)}, cordon.Rate{Packets: 20}, c2 + ":9", 200, 200},
		{"everything", cordon.Target{}, cordon.Rate{Packets: 20}, c2 + ":9", 18, 45},
	} {
		t.Run(c.name, func(t *testing.T) {
			a := action(0, cordon.VerbLimit, c.target)
			a.Rate = c.rate
			b.t = t
			b.apply(0, a)
			n, took := b.flood(0, c.at, 200, time.Second)
			if high := c.high + int(float64(c.rate.Packets)*(took-time.Second).Seconds()); n < c.low || n > max(c.high, high) {
				t.Errorf("%d of 200 packets arrived in %v, want %d to %d", n, took, c.low, high)
			}
			b.talk(b.Devices[1], "tcp", c2+":80", reached)
			must(t, b.table.Release(context.Background(), a.ID))
		})
	}
}

// TestLimitConnections: new connections beyond the rate are dropped, running
// ones go on.
func TestLimitConnections(t *testing.T) {
	b := newBed(t, netns.HomeConfig{Devices: 2})
	b.echo(b.Internet, "80", c2)
	running, err := b.Devices[0].Dial("tcp", c2+":80")
	must(t, err)
	defer running.Close()
	a := action(0, cordon.VerbLimit, cordon.Target{Proto: 6})
	a.Rate = cordon.Rate{Connections: 2}
	b.apply(0, a)
	got, begin := map[outcome]int{}, time.Now()
	for n := range 15 {
		within := soon
		if n >= 5 {
			within = 20 * time.Millisecond
		}
		got[attempt(b.Devices[0], "tcp", c2+":80", within)]++
	}
	// A retransmitted SYN takes from the rate, too, and begins no connection.
	if took := time.Since(begin); got[reached] < 5 || got[reached] > 8+int(2*took.Seconds()) {
		t.Errorf("%v of 15 connections in %v, want the burst of 5 and 2 a second", got, took)
	}
	must(t, ask(running, soon))
	b.talk(b.Devices[1], "tcp", c2+":80", reached)
}

// TestStray: packets of no connection are dropped for the device that floods
// with them, and for no other.
func TestStray(t *testing.T) {
	b := newBed(t, netns.HomeConfig{Devices: 2})
	b.echo(b.Internet, "80", c2)
	var running [2]net.Conn
	for i := range running {
		var err error
		running[i], err = b.Devices[i].Dial("tcp", c2+":80")
		must(t, err)
		defer running[i].Close()
	}
	// First those beyond a rate: 5 at once.
	slowed := action(0, cordon.VerbLimit, cordon.Target{Proto: 6, Stray: true})
	slowed.Rate = cordon.Rate{Packets: 5}
	b.apply(0, slowed)
	for i := range running {
		must(t, ask(running[i], soon)) // within a connection
	}
	_, err := b.Router.Run("conntrack", "-F")
	must(t, err)
	meter, err := live.StartMeter(b.Internet, "eth0", func(p *packet.Packet) bool { return p.Dst == netns.Dark[0].Addr().Next() })
	must(t, err)
	begin := time.Now()
	sent, err := live.Flood{Kind: live.ACK, Targets: netip.PrefixFrom(netns.Dark[0].Addr().Next(), 32), Port: 80, Rate: 200,
		Duration: time.Second}.Run(t.Context(), b.Devices[0])
	must(t, err)
	arrived, err := meter.Stop()
	must(t, err)
	if took := time.Since(begin); len(arrived) < 5 || len(arrived) > 10+int(5*took.Seconds()) {
		t.Errorf("%d of %d stray packets passed in %v, want the burst of 5 and 5 a second", len(arrived), sent.Packets, took)
	}
	a := action(0, cordon.VerbBlock, cordon.Target{Proto: 6, Stray: true})
	b.apply(0, a)
	_, err = b.Router.Run("conntrack", "-F")
	must(t, err)
	if ask(running[0], gone) == nil || b.counter("inet", "stray") == "0" {
		t.Error("a packet outside of connections passed")
	}
	b.talk(b.Devices[0], "tcp", c2+":80", reached) // a new connection
}

// TestInbound: what attackers begin and what is shielded is closed from outside;
// what devices begin is not.
func TestInbound(t *testing.T) {
	b := newBed(t, netns.HomeConfig{Devices: 2, NoNAT: true})
	b.net.Spared = nil
	must(t, b.table.SetNetwork(context.Background(), b.net))
	for _, d := range b.Devices {
		for _, port := range []string{"23", "8080", "1234"} {
			b.echo(d, port)
		}
	}
	b.echo(b.Internet, "80", "203.0.113.1")
	ctx := context.Background()
	at := func(i int, port int) string { return net.JoinHostPort(netns.DeviceIP(i).String(), strconv.Itoa(port)) }
	at6 := func(i int, port int) string { return net.JoinHostPort(netns.DeviceIP6(i).String(), strconv.Itoa(port)) }
	b.talk(b.Internet, "tcp", at(0, 23), reached)
	b.talk(b.Internet, "tcp", at6(0, 23), reached)
	must(t, b.table.Shield(ctx, []nft.Shielded{{Addr: netns.DeviceIP(0), Open: []uint16{8080}}, {Addr: netns.DeviceIP6(0)}}))
	for place, want := range map[string]outcome{at(0, 23): silent, at(0, 8080): reached, at(0, 1234): reached,
		at6(0, 23): silent, at6(0, 8080): silent, at6(0, 1234): reached, at(1, 23): reached, at6(1, 23): reached} {
		b.talk(b.Internet, "tcp", place, want)
	}
	b.talk(b.Devices[1], "tcp", at(0, 23), reached) // from home it is open
	must(t, b.table.Close())
	b.open()
	b.talk(b.Internet, "tcp", at(0, 23), silent)
	must(t, b.table.Shield(ctx, nil))
	b.talk(b.Internet, "tcp", at(0, 23), reached)

	_, err := b.table.Indicators(ctx, []nft.Hostile{{Addr: netns.InternetIP, Inbound: true, For: time.Hour}}, nil)
	must(t, err)
	b.talk(b.Internet, "tcp", at(0, 1234), silent)
	b.talk(b.Devices[0], "tcp", "203.0.113.1:80", reached)
	_, err = b.table.Indicators(ctx, nil, []nft.Hostile{{Addr: netns.InternetIP, Inbound: true}})
	must(t, err)

	// A blocked peer does not come back from outside.
	b.apply(0, action(0, cordon.VerbBlock, cordon.Target{Peer: netns.InternetIP}))
	before := b.counter("inet", "blocked")
	b.talk(b.Internet, "tcp", at(0, 1234), silent)
	if b.counter("inet", "blocked") == before {
		t.Error("what the blocked place sent was not dropped on its way in")
	}
	b.talk(b.Internet, "tcp", at(1, 1234), reached)
}

// TestSpoofed: a source that is none of the home's does not leave it, an old
// prefix of the home's does for a while, and nothing is dropped before the
// home's prefixes are known.
func TestSpoofed(t *testing.T) {
	b := newBed(t, netns.HomeConfig{Devices: 1})
	b.echo(b.Internet, "80", c2)
	d := b.Devices[0]
	d.IP("addr add 10.99.99.99/24 dev lo", "addr add 2001:db8:99::99/128 dev lo")
	b.Router.IP("route add 10.99.99.99/32 via 192.168.77.10", "route add 2001:db8:99::99/128 via fd77::a")
	from := func(source, to string, want outcome) {
		t.Helper()
		must(t, d.Do(func() error {
			c, err := net.DialUDP("udp", &net.UDPAddr{IP: net.ParseIP(source)}, net.UDPAddrFromAddrPort(netip.MustParseAddrPort(to)))
			if err != nil {
				return err
			}
			defer c.Close()
			got, within := silent, soon
			if want == silent {
				within = gone
			}
			if ask(c, within) == nil {
				got = reached
			}
			if got != want {
				return fmt.Errorf("from %s to %s: %s, want %s", source, to, got, want)
			}
			return nil
		}))
	}
	b.echo(b.Internet, "81", c2, c26)
	from("192.168.77.10", c2+":81", reached)
	from("10.99.99.99", c2+":81", silent)
	from("fd77::a", "["+c26+"]:81", reached)
	from("2001:db8:99::99", "["+c26+"]:81", silent)
	if b.counter("inet", "spoofed") == "0" {
		t.Error("nothing was counted")
	}
	// The LAN is renumbered: devices still use the old addresses.
	renumbered := b.net
	renumbered.Home = []netip.Prefix{prefix("10.99.99.0/24"), prefix("2001:db8:99::/48")}
	must(t, b.table.SetNetwork(context.Background(), renumbered))
	from("192.168.77.10", c2+":81", reached)
	from("10.99.99.99", c2+":81", reached)
	from("2001:db8:99::99", "["+c26+"]:81", reached)
	unknown := b.net
	unknown.Home = nil
	must(t, b.table.Reset(context.Background()))
	must(t, b.table.Close())
	b.net = unknown
	b.open()
	from("10.99.99.99", c2+":81", reached)
}
