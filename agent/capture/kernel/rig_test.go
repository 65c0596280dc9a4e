package kernel

import (
	"bytes"
	"errors"
	"net/netip"
	"strconv"
	"strings"
	"testing"
	"time"

	"github.com/cilium/ebpf"

	"cordon"
	"cordon/agent/packet"
	"cordon/lab/cable"
	"cordon/lab/netns"
	"cordon/lab/synth/frame"
)

// The cast. The home is 192.168.77.0/24 and fd77::/64.
var (
	camera  = station{cordon.MAC{0x44, 0x19, 0xb6, 0, 0, 1}, addr("192.168.77.10"), addr("fd77::10")}
	laptop  = station{cordon.MAC{0x44, 0x19, 0xb6, 0, 0, 2}, addr("192.168.77.11"), addr("fd77::11")}
	router  = station{cordon.MAC{0x02, 0xc0, 0x4d, 0, 0, 1}, addr("192.168.77.1"), addr("fd77::1")}
	server  = station{router.mac, addr("198.51.100.7"), addr("2001:db8:1::7")}
	home    = []netip.Prefix{netip.MustParsePrefix("192.168.77.0/24"), netip.MustParsePrefix("fd77::/64")}
	group   = station{cordon.MAC{0x01, 0, 0x5e, 0, 0, 0xfb}, addr("224.0.0.251"), addr("ff02::fb")}
	nobody  = station{cordon.MAC{0xff, 0xff, 0xff, 0xff, 0xff, 0xff}, addr("255.255.255.255"), addr("ff02::1")}
	payload = []byte("a payload that is longer than a sign of life")
)

type station struct {
	mac cordon.MAC
	v4  netip.Addr
	v6  netip.Addr
}

func addr(s string) netip.Addr { return netip.MustParseAddr(s) }

// rig is a Source at the ports of a router, and the cables that lead there.
type rig struct {
	*Source
	t      testing.TB
	bed    *netns.Bed
	router *netns.Host
	first  *netns.Host // the device at the first port
	pairs  []cable.Pair
	sent   uint64 // frames that the program must see
	frame  frame.Buffer
}

// newRig makes a router of n ports, joined by a bridge if there are several.
func newRig(t testing.TB, n int, edit ...func(*Config)) *rig {
	t.Helper()
	r := &rig{t: t, bed: netns.New(t)}
	r.router = r.bed.Host("router")
	for i := range n {
		name := string(rune('1' + i))
		device := r.bed.Host("device" + name)
		if i == 0 {
			r.first = device
		}
		r.pairs = append(r.pairs, cable.Lay(t, r.bed, r.router, "lan"+name, device, "eth0"))
	}
	if n > 1 {
		r.router.IP("link add br-lan type bridge mcast_snooping 0 forward_delay 0")
		for i := range n {
			r.router.IP("link set lan" + string(rune('1'+i)) + " master br-lan")
		}
		r.router.IP("link set br-lan up")
	}
	cfg := Config{Home: home, Poll: time.Millisecond, Seed: 7}
	for _, e := range edit {
		e(&cfg)
	}
	var err error
	if r.Source, err = New(cfg); err != nil {
		t.Fatalf("load: %v\n%s", err, verdict(err))
	}
	t.Cleanup(func() { r.in(r.Close) })
	r.watch(r.ports()...)
	return r
}

// in runs fn in the router's namespace.
func (r *rig) in(fn func() error) {
	r.t.Helper()
	if err := r.router.Do(fn); err != nil {
		r.t.Fatal(err)
	}
}

func (r *rig) watch(ports ...cordon.Port) {
	r.t.Helper()
	r.in(func() error { return r.SetPorts(ports) })
}

func (r *rig) ports() (ports []cordon.Port) {
	for _, p := range r.pairs {
		if len(r.pairs) > 1 {
			p.Router.Port.Bridge = "br-lan"
		}
		ports = append(ports, p.Router.Port)
	}
	return ports
}

// send lets a frame come from a device at port i, out go to it.
func (r *rig) send(i int, b []byte) {
	r.t.Helper()
	r.put(r.pairs[i].Device, b)
}

func (r *rig) out(i int, b []byte) {
	r.t.Helper()
	r.put(r.pairs[i].Router, b)
}

func (r *rig) put(e *cable.End, b []byte) {
	r.t.Helper()
	if err := e.Send(b); err != nil {
		r.t.Fatal(err)
	}
	r.sent++
	r.seen()
}

// seen waits until the program has seen every frame that was sent.
func (r *rig) seen() {
	r.t.Helper()
	wait(r.t, "the program to see all frames", func() bool { return r.Stats().Frames >= r.sent })
}

// wait waits for a state of the kernel.
func wait(t testing.TB, what string, ok func() bool) {
	t.Helper()
	deadline := time.NewTimer(10 * time.Second)
	defer deadline.Stop()
	tick := time.NewTicker(200 * time.Microsecond)
	defer tick.Stop()
	for !ok() {
		select {
		case <-deadline.C:
			t.Fatalf("waited in vain for %s", what)
		case <-tick.C:
		}
	}
}

// drain returns the frames that were handed over.
func (r *rig) drain() (frames []packet.Frame) {
	r.t.Helper()
	for {
		var f packet.Frame
		if err := r.Next(&f); err != nil {
			r.t.Fatal(err)
		}
		if f.Data == nil {
			return frames
		}
		f.Data = bytes.Clone(f.Data)
		frames = append(frames, f)
	}
}

// parsed returns what was handed over as packets.
func (r *rig) parsed() (packets []packet.Packet) {
	r.t.Helper()
	for _, f := range r.drain() {
		var p packet.Packet
		if err := p.Parse(&f); err != nil {
			r.t.Errorf("a frame that does not parse: %v", err)
		}
		packets = append(packets, p)
	}
	return packets
}

// counts returns what Flows tells, summed up by flow and direction.
func (r *rig) counts() map[packet.FlowCount]packet.FlowCount {
	r.t.Helper()
	sum := make(map[packet.FlowCount]packet.FlowCount)
	err := r.Flows(func(c *packet.FlowCount) {
		k := packet.FlowCount{Src: c.Src, Dst: c.Dst, SrcPort: c.SrcPort, DstPort: c.DstPort, Proto: c.Proto}
		s := sum[k]
		s.Packets, s.Bytes, s.Flags, s.Last = s.Packets+c.Packets, s.Bytes+c.Bytes, s.Flags|c.Flags, max(s.Last, c.Last)
		sum[k] = s
	})
	if err != nil {
		r.t.Fatal(err)
	}
	return sum
}

// count returns what was counted of one direction of a flow.
func (r *rig) count(src netip.Addr, sport uint16, dst netip.Addr, dport uint16, proto uint8) packet.FlowCount {
	r.t.Helper()
	return r.counts()[packet.FlowCount{Src: src, Dst: dst, SrcPort: sport, DstPort: dport, Proto: proto}]
}

func ends(a, b station) frame.Link { return frame.Link{Src: a.mac, Dst: b.mac} }

func net4(a, b station) frame.Net { return frame.Net{Src: a.v4, Dst: b.v4, TTL: 64, MayFrag: true} }

func net6(a, b station) frame.Net { return frame.Net{Src: a.v6, Dst: b.v6, TTL: 64} }

// tcp makes a segment; a port is given by who has it.
func (r *rig) tcp(a station, sport uint16, b station, dport uint16, flags uint8, data []byte) []byte {
	return bytes.Clone(r.frame.TCP(ends(a, b), net4(a, b), frame.Segment{SrcPort: sport, DstPort: dport, Seq: 1000, Flags: flags, Window: 1024}, data))
}

func (r *rig) udp(a station, sport uint16, b station, dport uint16, data []byte) []byte {
	return bytes.Clone(r.frame.UDP(ends(a, b), net4(a, b), sport, dport, data))
}

// connect lets camera connect to server:port, and takes what was handed over.
func (r *rig) connect(sport, dport uint16) {
	r.t.Helper()
	r.send(0, r.tcp(camera, sport, server, dport, frame.SYN, nil))
	r.out(0, r.tcp(server, dport, camera, sport, frame.SYN|frame.ACK, nil))
	r.send(0, r.tcp(camera, sport, server, dport, frame.ACK, nil))
	if n := len(r.drain()); n != 2 {
		r.t.Fatalf("%d frames of a handshake were handed over, want SYN and SYN-ACK", n)
	}
}

func itoa(n int) string { return strconv.Itoa(n) }

func apOf(a netip.Addr, port uint16) netip.AddrPort { return netip.AddrPortFrom(a, port) }

// verdict returns the end of what the verifier says, of which an error has only
// the last line.
func verdict(err error) string {
	var v *ebpf.VerifierError
	if !errors.As(err, &v) {
		return ""
	}
	return strings.Join(v.Log[max(0, len(v.Log)-60):], "\n")
}
