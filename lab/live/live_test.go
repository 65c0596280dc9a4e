package live_test

import (
	"context"
	"encoding/binary"
	"errors"
	"net/netip"
	"testing"
	"time"

	"cordon/agent/packet"
	"cordon/lab/live"
	"cordon/lab/netns"
	"cordon/lab/synth/message"
)

func at(s string) netip.AddrPort { return netip.MustParseAddrPort(s) }

// start returns what a constructor made and closes it with the test.
func start[T interface{ Close() error }](t *testing.T, v T, err error) T {
	t.Helper()
	if err != nil {
		t.Fatal(err)
	}
	t.Cleanup(func() { v.Close() })
	return v
}

// TestScan shows the scan as it leaves the router: all of it, in one burst, with
// the marks of Mirai, and measured by time.
func TestScan(t *testing.T) {
	t.Parallel()
	home := netns.NewHome(t, netns.HomeConfig{Devices: 1})
	meter, err := live.StartMeter(home.Internet, "eth0", live.ScanSYN)
	if err != nil {
		t.Fatal(err)
	}
	sent, err := live.Scan{Bursts: 2, Every: 100 * time.Millisecond, Seed: 1}.Run(t.Context(), home.Devices[0])
	if err != nil || sent.Packets != 320 {
		t.Fatalf("sent %+v, %v, want 320", sent, err)
	}
	netns.Wait(t, 5*time.Second, "all arrives", func() bool { return meter.Kept() >= 320 })
	seen, err := meter.Stop()
	if err != nil || len(seen) != 320 {
		t.Fatalf("seen %d, %v, want 320", len(seen), err)
	}
	second := 0
	for _, a := range seen {
		to := a.Dst.Addr().As4()
		switch {
		case a.Src.Addr() != netns.RouterWAN, a.Outgoing, a.Flags != packet.SYN, a.Len != 54,
			a.Seq != binary.BigEndian.Uint32(to[:]), !netns.Dark[0].Contains(a.Dst.Addr()),
			a.At.Before(sent.First.Add(-time.Second)), a.At.After(sent.Last.Add(time.Second)):
			t.Fatalf("seen %+v", a)
		case a.Dst.Port() == 2323:
			second++
		}
	}
	if second != 32 || live.Between(seen) <= 0 {
		t.Errorf("%d of 320 to port 2323, over %v", second, live.Between(seen))
	}
}

// TestBot shows an infection from the loader to the next victim.
func TestBot(t *testing.T) {
	t.Parallel()
	home := netns.NewHome(t, netns.HomeConfig{Devices: 1})
	loader, err := live.StartLoader(home.Internet, at("198.51.100.7:80"))
	loader = start(t, loader, err)
	c2, err := live.StartC2(home.Internet, at("198.51.100.8:23"))
	c2 = start(t, c2, err)
	victim, err := live.StartTelnet(home.Internet, at("198.19.0.9:23"), live.Logins[4])
	victim = start(t, victim, err)

	ctx, stop := context.WithCancel(t.Context())
	defer stop()
	done := make(chan live.BotReport)
	go func() {
		report, err := live.Bot{Loader: at("198.51.100.7:80"), C2: at("198.51.100.8:23"), ID: "cam", Alive: 20 * time.Millisecond,
			Victims: []netip.AddrPort{at("198.19.0.9:23")}, Scan: &live.Scan{}}.Run(ctx, home.Devices[0])
		if err != nil {
			t.Error(err)
		}
		done <- report
	}()
	netns.Wait(t, 10*time.Second, "the bot is at home and the victim entered", func() bool {
		alive, _ := c2.Alive()
		return alive >= 3 && len(victim.Lines()) == 5
	})
	if ids := c2.Bots(); len(ids) != 1 || ids[0] != "cam" {
		t.Errorf("the server has bots %q", ids)
	}
	c2.Order(message.MiraiCommand(time.Second, 0, netip.MustParseAddr("198.18.0.1"), 80))
	before, _ := c2.Alive()
	netns.Wait(t, 10*time.Second, "two more keep-alives", func() bool { n, _ := c2.Alive(); return n >= before+2 })
	stop()
	report := <-done
	if tried, entered := victim.Tried(); tried != 5 || entered != 1 || report.Guessed != 5 || report.Entered != 1 {
		t.Errorf("tried %d, entered %d, reported %+v", tried, entered, report)
	}
	if report.Fetched < 64<<10 || report.Calls != 1 || report.Echoed < 3 || report.Orders == 0 || report.Scan.Packets < 160 {
		t.Errorf("reported %+v", report)
	}
	if paths := loader.Paths(); len(paths) != 1 || paths[0] != "/bins/mirai.mips" {
		t.Errorf("fetched %q", paths)
	}
}

// TestFloods shows that each kind arrives in its number and as what it is.
func TestFloods(t *testing.T) {
	t.Parallel()
	home := netns.NewHome(t, netns.HomeConfig{Devices: 1, NoNAT: true})
	target := netip.MustParsePrefix("198.18.4.0/24")
	wide := netip.MustParsePrefix("2001:db8:d:4::/64")
	for _, c := range []struct {
		name  string
		flood live.Flood
		is    func(*packet.Packet) bool
	}{
		{"syn", live.Flood{Kind: live.SYN, Targets: target, Port: 80}, func(p *packet.Packet) bool {
			return p.TCPFlags == packet.SYN && p.DstPort == 80
		}},
		{"spoofed syn", live.Flood{Kind: live.SYN, Targets: target, Spoof: netip.MustParsePrefix("192.0.2.0/24")},
			func(p *packet.Packet) bool {
				return p.TCPFlags == packet.SYN && p.Src.As4()[0] == 192 && p.Src.As4()[1] == 0
			}},
		{"ack", live.Flood{Kind: live.ACK, Targets: target}, func(p *packet.Packet) bool { return p.TCPFlags == packet.ACK }},
		{"udp", live.Flood{Kind: live.UDP, Targets: target, Size: 100}, func(p *packet.Packet) bool { return p.Proto == packet.ProtoUDP && len(p.Payload) == 100 }},
		{"udp6", live.Flood{Kind: live.UDP, Targets: wide, Size: 100}, func(p *packet.Packet) bool { return p.Layers&packet.HasIPv6 != 0 && p.Proto == packet.ProtoUDP }},
		{"gre", live.Flood{Kind: live.GRE, Targets: target}, func(p *packet.Packet) bool { return p.Proto == packet.ProtoGRE }},
		{"icmp", live.Flood{Kind: live.ICMP, Targets: target}, func(p *packet.Packet) bool { return p.Proto == packet.ProtoICMP }},
		{"dns", live.Flood{Kind: live.DNS, Targets: netip.MustParsePrefix("198.18.4.5/32")},
			func(p *packet.Packet) bool { return p.DstPort == 53 && p.Dst.String() == "198.18.4.5" }},
	} {
		t.Run(c.name, func(t *testing.T) {
			meter, err := live.StartMeter(home.Internet, "eth0", c.is)
			if err != nil {
				t.Fatal(err)
			}
			c.flood.Rate, c.flood.Packets = 10000, 1000
			sent, err := c.flood.Run(t.Context(), home.Devices[0])
			if err != nil || sent.Packets != 1000 {
				t.Fatalf("sent %+v, %v, want 1000", sent, err)
			}
			netns.Holds(3*time.Second, func() bool { return meter.Kept() >= 1000 })
			if seen, err := meter.Stop(); err != nil || len(seen) != 1000 {
				t.Errorf("seen %d, %v, want 1000", len(seen), err)
			}
		})
	}
}

// TestFloodHTTP shows whole requests.
func TestFloodHTTP(t *testing.T) {
	t.Parallel()
	home := netns.NewHome(t, netns.HomeConfig{Devices: 1})
	server, err := live.StartLoader(home.Internet, at("198.51.100.7:80"))
	server = start(t, server, err)
	flood := live.Flood{Kind: live.HTTP, Targets: netip.MustParsePrefix("198.51.100.7/32"), Rate: 200, Packets: 50}
	sent, err := flood.Run(t.Context(), home.Devices[0])
	if err != nil || sent.Packets != 50 || len(server.Paths()) != 50 {
		t.Errorf("sent %+v, %v, served %d, want 50", sent, err, len(server.Paths()))
	}
}

// TestGuard shows that no attack leaves the bed.
func TestGuard(t *testing.T) {
	t.Parallel()
	host := netns.New(t).Host("host")
	for name, run := range map[string]func() error{
		"scan": func() error {
			_, err := live.Scan{Targets: netip.MustParsePrefix("8.0.0.0/8")}.Run(t.Context(), host)
			return err
		},
		"too wide": func() error {
			_, err := live.Scan{Targets: netip.MustParsePrefix("198.18.0.0/8")}.Run(t.Context(), host)
			return err
		},
		"flood": func() error {
			_, err := live.Flood{Kind: live.UDP, Targets: netip.MustParsePrefix("9.9.9.9/32")}.Run(t.Context(), host)
			return err
		},
		"bot": func() error {
			_, err := live.Bot{C2: at("1.1.1.1:23")}.Run(t.Context(), host)
			return err
		},
		"nobody's host": func() error {
			_, err := live.Flood{Kind: live.UDP, Targets: netns.Dark[0]}.Run(t.Context(), new(netns.Host))
			if err != nil {
				return live.ErrOutside
			}
			return nil
		},
	} {
		if err := run(); !errors.Is(err, live.ErrOutside) {
			t.Errorf("%s: %v, want %v", name, err, live.ErrOutside)
		}
	}
	if _, err := (live.Flood{Kind: live.UDP, Targets: netns.Dark[0], Rate: live.MaxRate + 1}).Run(t.Context(), host); err == nil {
		t.Error("a flood without bounds ran")
	}
}

// TestHarmless shows that a download, a call, a swarm and a speed test go through
// a plain router without loss.
func TestHarmless(t *testing.T) {
	t.Parallel()
	home := netns.NewHome(t, netns.HomeConfig{Devices: 2})
	ctx, device := t.Context(), home.Devices[1]
	got, err := live.Download{Server: home.Internet, At: at("198.51.100.1:443"), Bytes: 20 << 20}.Run(ctx, device)
	if err != nil || !got.Whole() || got.Received != 20<<20 {
		t.Errorf("download: %+v, %v", got, err)
	}
	got, err = live.Download{Server: home.Internet, At: at("[2001:db8:1::7]:443"), Bytes: 1 << 20, Rate: 4 << 20}.Run(ctx, device)
	if err != nil || !got.Whole() || got.Took < 200*time.Millisecond {
		t.Errorf("slow download: %+v, %v", got, err)
	}
	call, err := live.Call{Server: home.Internet, At: at("198.51.100.2:3478"), Duration: 500 * time.Millisecond}.Run(ctx, device)
	if err != nil || call.Up.Sent < 10 || call.Up.Lost() != 0 || call.Down.Sent < 10 || call.Down.Lost() != 0 {
		t.Errorf("call: %+v, %v", call, err)
	}
	swarm, err := live.Swarm{Server: home.Internet, Duration: 500 * time.Millisecond}.Run(ctx, device)
	if err != nil || swarm.Asked == 0 || swarm.Answered < swarm.Asked/5 || swarm.Connected != 8 || swarm.Bytes == 0 {
		t.Errorf("swarm: %+v, %v", swarm, err)
	}
	for _, up := range []bool{false, true} {
		speed, err := live.SpeedTest{Server: home.Internet, At: at("198.51.100.3:5201"), Duration: 300 * time.Millisecond, Up: up}.Run(ctx, device)
		if err != nil || speed.Mbit() <= 0 {
			t.Errorf("speed test, up %t: %.0f Mbit/s, %v", up, speed.Mbit(), err)
		}
		t.Logf("speed test, up %t: %.0f Mbit/s", up, speed.Mbit())
	}
}

// TestDownloadBroken shows that a download without a server's answers is told.
func TestDownloadBroken(t *testing.T) {
	t.Parallel()
	home := netns.NewHome(t, netns.HomeConfig{Devices: 1})
	meter, err := live.StartMeter(home.Internet, "eth0", nil)
	if err != nil {
		t.Fatal(err)
	}
	go func() {
		netns.Holds(5*time.Second, func() bool { return meter.Kept() > 50 })
		home.Router.IP("link set wan down")
	}()
	got, err := live.Download{Server: home.Internet, At: at("198.51.100.1:443"), Bytes: 100 << 20, Rate: 10 << 20,
		Patient: 300 * time.Millisecond}.Run(t.Context(), home.Devices[0])
	if err == nil || got.Whole() || got.Received == 100<<20 {
		t.Errorf("download over a cut wire: %+v, %v", got, err)
	}
	_, _ = meter.Stop()
}
