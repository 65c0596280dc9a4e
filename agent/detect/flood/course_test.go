package flood_test

import (
	"fmt"
	"net/netip"
	"strings"
	"testing"
	"time"

	"cordon"
	"cordon/agent/detect/flood"
)

const start = cordon.Time(1e18)

var (
	victim = netip.MustParseAddr("203.0.113.9")
	subnet = netip.MustParsePrefix("203.0.113.0/24")
	other  = netip.MustParseAddr("198.51.100.7")
)

// rig gives a detector traffic as the kernel counts it.
type rig struct {
	*flood.Detector
	t      *testing.T
	device *cordon.Device
	now    cordon.Time
	span   time.Duration
	told   []cordon.Detection
}

func newRig(t *testing.T, span time.Duration, class cordon.Class) *rig {
	r := &rig{t: t, device: &cordon.Device{ID: "d", Generation: 1, Class: class}, now: start, span: span}
	r.Detector = flood.New(flood.Config{Report: func(d cordon.Detection) { r.told = append(r.told, d) }})
	neighbour := cordon.Traffic{Device: &cordon.Device{ID: "n", Slot: 1, Generation: 1}, At: start, Span: span}
	neighbour.In[cordon.SortTCP].Packets = 10 // both directions are seen
	r.Traffic(&neighbour, start)
	return r
}

// mix is what a device does in a second.
type mix struct {
	out, in      [cordon.Sorts]uint64
	top          [cordon.Sorts]cordon.Top // Packets and Back a second
	dests, ports int
	spoofed      uint64
	heard        bool
}

// feed lets the device do the same for a time and returns what was told meanwhile,
// each with the time since the beginning of the feeding.
func (r *rig) feed(length time.Duration, m mix) (told []string) {
	r.t.Helper()
	begin, before := r.now, len(r.told)
	for r.now.Sub(begin) < length {
		r.now = r.now.Add(r.span)
		t := cordon.Traffic{Device: r.device, At: r.now, Span: r.span, Dests: m.dests, Ports: m.ports, Heard: m.heard}
		share := func(n uint64) uint64 { return uint64(float64(n) * r.span.Seconds()) }
		for s := range t.Out {
			t.Out[s] = cordon.Count{Packets: share(m.out[s]), Bytes: 500 * share(m.out[s])}
			t.In[s] = cordon.Count{Packets: share(m.in[s]), Bytes: 500 * share(m.in[s])}
			t.Top[s] = m.top[s]
			t.Top[s].Packets, t.Top[s].Back = share(m.top[s].Packets), share(m.top[s].Back)
		}
		t.Spoofed.Packets = share(m.spoofed)
		r.Traffic(&t, r.now)
	}
	for _, d := range r.told[before:] {
		what := "sign"
		if d.Confirmed {
			what = "act"
		}
		told = append(told, fmt.Sprintf("%v %s %s %s", d.At.Sub(begin), d.Kind, what, d.Subject))
	}
	return told
}

func (r *rig) want(got []string, want ...string) {
	r.t.Helper()
	if a, b := strings.Join(got, "\n"), strings.Join(want, "\n"); a != b {
		r.t.Errorf("told:\n%s\nwant:\n%s", a, b)
	}
}

// sends is a flood or what looks like one: n packets of a sort to one address, of
// which so many are answered.
func sends(sort cordon.Sort, n, back uint64) mix {
	m := mix{dests: 3, ports: 1}
	m.out[sort], m.in[sort] = n, back
	m.top[sort] = cordon.Top{Net: subnet, Addr: victim, Port: 80, Packets: n, Back: back}
	return m
}

// TestTimes: how soon a flood is slowed down and how soon it is confirmed, with the
// intervals that sources have.
func TestTimes(t *testing.T) {
	for _, c := range []struct {
		span time.Duration
		rate uint64
		want []string
	}{
		{250 * time.Millisecond, 5000, []string{"500ms dos.udp sign 203.0.113.9", "1.5s dos.udp act 203.0.113.9"}},
		{250 * time.Millisecond, 600, []string{"1.5s dos.udp sign 203.0.113.9", "2.5s dos.udp act 203.0.113.9"}},
		{500 * time.Millisecond, 5000, []string{"500ms dos.udp sign 203.0.113.9", "1.5s dos.udp act 203.0.113.9"}},
		{time.Second, 5000, []string{"1s dos.udp sign 203.0.113.9", "2s dos.udp act 203.0.113.9"}},
		{time.Second, 600, []string{"2s dos.udp sign 203.0.113.9", "3s dos.udp act 203.0.113.9"}},
		{time.Second, 450, nil},
	} {
		r := newRig(t, c.span, cordon.IoT)
		r.want(r.feed(10*time.Second, sends(cordon.SortUDP, c.rate, 0)), c.want...)
	}
}

// TestTargets: what is stopped, and what a limit leaves of it.
func TestTargets(t *testing.T) {
	carpet := sends(cordon.SortUDP, 5000, 20)
	carpet.top[cordon.SortUDP], carpet.dests, carpet.ports = cordon.Top{}, 900, 900
	network := sends(cordon.SortUDP, 5000, 0)
	network.top[cordon.SortUDP].Addr = netip.Addr{}
	ping6 := sends(cordon.SortICMP, 500, 0)
	ping6.top[cordon.SortICMP] = cordon.Top{Net: netip.MustParsePrefix("2001:db8::/48"), Packets: 500}
	spoofed := mix{spoofed: 3000}
	for _, c := range []struct {
		name   string
		class  cordon.Class
		do     mix
		target cordon.Target
		rate   cordon.Rate
	}{
		{"SYN", cordon.Personal, sends(cordon.SortSYN, 500, 0), cordon.Target{Proto: 6, Peer: victim, Ports: []uint16{80}}, cordon.Rate{Connections: 20}},
		{"UDP", cordon.Unknown, sends(cordon.SortUDP, 5000, 0), cordon.Target{Proto: 17, Peer: victim}, cordon.Rate{Packets: 100}},
		{"UDP to a network", cordon.IoT, network, cordon.Target{Proto: 17, Net: subnet}, cordon.Rate{Packets: 100}},
		{"UDP carpet", cordon.IoT, carpet, cordon.Target{Proto: 17}, cordon.Rate{Packets: 100}},
		{"ACK", cordon.IoT, sends(cordon.SortTCP, 900, 0), cordon.Target{Proto: 6, Stray: true}, cordon.Rate{Packets: 20}},
		{"GRE", cordon.IoT, sends(cordon.SortGRE, 300, 0), cordon.Target{Proto: 47}, cordon.Rate{Packets: 20}},
		{"ICMP", cordon.IoT, sends(cordon.SortICMP, 900, 0), cordon.Target{Proto: 1}, cordon.Rate{Packets: 10}},
		{"ICMPv6", cordon.IoT, ping6, cordon.Target{Proto: 58}, cordon.Rate{Packets: 10}},
		{"spoofed", cordon.IoT, spoofed, cordon.Target{}, cordon.Rate{}},
	} {
		r := newRig(t, time.Second, c.class)
		r.feed(5*time.Second, c.do)
		if len(r.told) != 2 || r.told[0].Confirmed || !r.told[1].Confirmed {
			t.Errorf("%s: %d detections, want a sign and a confirmed one", c.name, len(r.told))
			continue
		}
		for _, d := range r.told {
			if fmt.Sprint(d.Target) != fmt.Sprint(c.target) || d.Rate != c.rate || d.Life != 80*time.Second {
				t.Errorf("%s: %v, leaves %v, for %v; want %v, %v, 80 s", c.name, d.Target, d.Rate, d.Life, c.target, c.rate)
			}
		}
	}
}

// TestHealthy: what is answered, in whatever interval, is no flood.
func TestHealthy(t *testing.T) {
	torrent := sends(cordon.SortSYN, 300, 30)
	torrent.top[cordon.SortSYN], torrent.dests = cordon.Top{}, 200
	crawler := sends(cordon.SortSYN, 300, 290)
	crawler.in[cordon.SortTCP] = 3000
	upload := sends(cordon.SortTCP, 8000, 190) // a receiver that coalesces 42 segments
	besieged := sends(cordon.SortTCP, 3000, 0) // resets to what others ask in its name
	besieged.in[cordon.SortSYN] = 3000
	reports := sends(cordon.SortICMP, 900, 0) // errors about datagrams that nobody wants
	reports.in[cordon.SortUDP] = 900
	scan := sends(cordon.SortSYN, 160, 2)
	scan.top[cordon.SortSYN], scan.dests = cordon.Top{}, 160
	block := sends(cordon.SortSYN, 200, 10) // a scan of a network
	block.top[cordon.SortSYN].Addr, block.top[cordon.SortSYN].Port, block.dests, block.ports = netip.Addr{}, 0, 60, 100
	nmap := sends(cordon.SortSYN, 600, 5)
	nmap.top[cordon.SortSYN].Port, nmap.ports = 0, 500
	for _, c := range []struct {
		name string
		do   mix
	}{
		{"torrent", torrent},
		{"crawler", crawler},
		{"upload", upload},
		{"resets of a besieged device", besieged},
		{"ICMP errors", reports},
		{"a scan of many hosts", scan},
		{"a scan of a network", block},
		{"a scan of ports", nmap},
		{"pictures by RTP", sends(cordon.SortUDP, 1000, 20)},
		{"pings that are answered", sends(cordon.SortICMP, 1000, 990)},
		{"a tunnel", sends(cordon.SortGRE, 1000, 200)},
		{"a few forged packets", mix{spoofed: 5}},
	} {
		for _, span := range []time.Duration{250 * time.Millisecond, time.Second} {
			for _, heard := range []bool{false, true} {
				r := newRig(t, span, cordon.IoT)
				c.do.heard = heard
				if got := r.feed(20*time.Second, c.do); len(got) > 0 {
					t.Errorf("%s, every %v: told %v", c.name, span, got)
				}
			}
		}
	}
}

// TestAnsweredConnections: a flood of requests that are granted and reset at once.
func TestAnsweredConnections(t *testing.T) {
	m := sends(cordon.SortSYN, 2000, 2000)
	m.out[cordon.SortTCP] = 2000 // the resets
	r := newRig(t, time.Second, cordon.IoT)
	r.want(r.feed(5*time.Second, m), "1s dos.syn sign 203.0.113.9:80", "2s dos.syn act 203.0.113.9:80")
}

// TestHidden: a flood beside a film. As a whole the device is answered; where most
// goes, it is not.
func TestHidden(t *testing.T) {
	m := sends(cordon.SortUDP, 3000, 1500)
	m.top[cordon.SortUDP].Packets, m.top[cordon.SortUDP].Back = 2500, 0
	r := newRig(t, time.Second, cordon.IoT)
	r.want(r.feed(5*time.Second, m))
	m.heard = true
	r.want(r.feed(5*time.Second, m), "1s dos.udp sign 203.0.113.9", "2s dos.udp act 203.0.113.9")
}

// TestFellSilent: a conversation that loses its far side is given time; one that is
// left out of it for a flood is not.
func TestFellSilent(t *testing.T) {
	r := newRig(t, 250*time.Millisecond, cordon.IoT)
	r.want(r.feed(20*time.Second, sends(cordon.SortUDP, 900, 45)))
	r.want(r.feed(4*time.Second, sends(cordon.SortUDP, 900, 0)))
	r.want(r.feed(20*time.Second, sends(cordon.SortUDP, 900, 45)))
	got := r.feed(9*time.Second, sends(cordon.SortUDP, 900, 0))
	r.want(got, "6.75s dos.udp sign 203.0.113.9", "7.75s dos.udp act 203.0.113.9")
}

// TestLateAnswers: answers that come an interval later are answers.
func TestLateAnswers(t *testing.T) {
	r := newRig(t, 250*time.Millisecond, cordon.IoT)
	for range 50 {
		r.want(r.feed(250*time.Millisecond, sends(cordon.SortUDP, 4000, 0)))
		r.want(r.feed(250*time.Millisecond, mix{in: [cordon.Sorts]uint64{cordon.SortUDP: 1000}}))
	}
}

// TestRenewed: a flood that goes on is told three times a minute, and each time it
// comes back it is stopped for twice as long, without a second look.
func TestRenewed(t *testing.T) {
	r := newRig(t, time.Second, cordon.IoT)
	if n := len(r.feed(62*time.Second, sends(cordon.SortUDP, 5000, 0))); n != 5 {
		t.Errorf("%d detections in a minute, want 5", n)
	}
	for _, life := range []time.Duration{140 * time.Second, 260 * time.Second, 500 * time.Second} {
		r.now = r.now.Add(2 * time.Minute)
		got := r.feed(2*time.Second, sends(cordon.SortUDP, 5000, 0))
		r.want(got, "1s dos.udp act 203.0.113.9")
		if d := r.told[len(r.told)-1]; d.Life != life {
			t.Errorf("life %v, want %v", d.Life, life)
		}
	}
	r.now = r.now.Add(5 * time.Hour)
	r.want(r.feed(2*time.Second, sends(cordon.SortUDP, 5000, 0)), "1s dos.udp sign 203.0.113.9", "2s dos.udp act 203.0.113.9")
}

// TestMovingTarget: a flood that moves on is followed, and after a few targets all
// of its sort is stopped.
func TestMovingTarget(t *testing.T) {
	r := newRig(t, 500*time.Millisecond, cordon.IoT)
	r.feed(2*time.Second, sends(cordon.SortUDP, 5000, 0))
	for i := range byte(5) {
		m := sends(cordon.SortUDP, 5000, 0)
		m.top[cordon.SortUDP].Addr = netip.AddrFrom4([4]byte{203, 0, 113, 100 + i})
		r.feed(2*time.Second, m)
	}
	last := r.told[len(r.told)-1]
	if len(r.told) != 5 || last.Target.Peer.IsValid() || last.Target.Proto != 17 || !last.Confirmed {
		t.Errorf("%d detections, the last of %+v", len(r.told), last.Target)
	}
}

// TestHealthyAfterAll: what a limit lets through is answered, so there is no block.
func TestHealthyAfterAll(t *testing.T) {
	r := newRig(t, 500*time.Millisecond, cordon.IoT)
	m := sends(cordon.SortUDP, 3000, 0)
	m.heard = true
	r.feed(500*time.Millisecond, m)
	m.in[cordon.SortUDP], m.top[cordon.SortUDP].Back = 8, 8 // of the hundred that are left
	r.feed(10*time.Second, m)
	if len(r.told) != 1 || r.told[0].Confirmed {
		t.Errorf("%d detections, want one sign", len(r.told))
	}
}

// TestOneDirection: a capture in which nothing ever comes in proves nothing.
func TestOneDirection(t *testing.T) {
	r := &rig{t: t, device: &cordon.Device{ID: "d", Generation: 1}, now: start, span: time.Second}
	r.Detector = flood.New(flood.Config{Report: func(d cordon.Detection) { r.told = append(r.told, d) }})
	r.want(r.feed(time.Minute, sends(cordon.SortTCP, 5000, 0)))
}

// TestDown: while the line is down nothing is a flood, but one that was known goes on.
func TestDown(t *testing.T) {
	down := true
	r := newRig(t, time.Second, cordon.IoT)
	r.Detector = flood.New(flood.Config{Report: func(d cordon.Detection) { r.told = append(r.told, d) },
		Down: func(*cordon.Device, cordon.Time) bool { return down }})
	one := sends(cordon.SortUDP, 5000, 0)
	one.in[cordon.SortTCP] = 1
	r.want(r.feed(10*time.Second, one))
	down = false
	r.want(r.feed(time.Second, one), "1s dos.udp sign 203.0.113.9")
	down = true
	r.want(r.feed(2*time.Second, one), "1s dos.udp act 203.0.113.9")
}
