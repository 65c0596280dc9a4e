package flow

import (
	"encoding/binary"
	"net/netip"
	"testing"
	"time"

	"github.com/google/go-cmp/cmp"

	"cordon"
	"cordon/agent/packet"
)

// start is when the tests' packets begin: any moment far from 0.
const start = cordon.Time(1_700_000_000 * time.Second)

// The cast. The home is 192.168.0.0/16 and fd00::/8.
const (
	router  = "192.168.1.1"
	camera  = "192.168.1.10"
	laptop  = "192.168.1.11"
	camera6 = "fd00::10"
	server  = "198.51.100.7"
	victim  = "203.0.113.9"
	server6 = "2001:db8::7"
)

// rig is a table in a made-up home, and what it told.
type rig struct {
	*Table
	t       testing.TB
	devices map[netip.Addr]*cordon.Device
	told    map[netip.Addr]bool // addresses that DNS told somebody
	ends    func(*packet.Packet)
	events  []event
	last    cordon.Flow // of the latest event
	names   []string    // of the events since the last want
}

type event struct {
	ev   cordon.FlowEvent
	flow cordon.Flow
	at   cordon.Time
}

var eventNames = [...]string{"", "opened", "answered", "refused", "silent", "active", "evicted", "closed"}

func newRig(t testing.TB, size int, edit ...func(*Config)) *rig {
	t.Helper()
	r := &rig{t: t, devices: make(map[netip.Addr]*cordon.Device), told: make(map[netip.Addr]bool)}
	cfg := Config{Size: size, Devices: home{r}, Names: home{r}, Event: r.event}
	for _, e := range edit {
		e(&cfg)
	}
	table, err := New(cfg)
	if err != nil {
		t.Fatal(err)
	}
	r.Table = table
	r.device(router).Gateway = true
	r.devices[addr(camera6)] = r.device(camera)
	r.device(laptop)
	r.Advance(start)
	return r
}

// device makes the device of an address.
func (r *rig) device(a string) *cordon.Device {
	d := r.devices[addr(a)]
	if d == nil {
		slot := 0
		for _, other := range r.devices {
			slot = max(slot, other.Slot+1)
		}
		d = &cordon.Device{ID: a, Slot: slot, Generation: 1}
		r.devices[addr(a)] = d
	}
	return d
}

// home is the Devices and Names of a rig.
type home struct{ r *rig }

func isHome(a netip.Addr) bool {
	return a.Is4() && a.As4()[0] == 192 && a.As4()[1] == 168 || a.Is6() && a.As16()[0] == 0xfd
}

func (h home) Ends(p *packet.Packet, _ cordon.Time) cordon.Ends {
	if h.r.ends != nil {
		h.r.ends(p)
	}
	return cordon.Ends{Src: h.r.devices[p.Src], Dst: h.r.devices[p.Dst], SrcHome: isHome(p.Src), DstHome: isHome(p.Dst)}
}

func (h home) Resolved(_ *cordon.Device, a netip.Addr, _ cordon.Time) bool { return h.r.told[a] }

func (r *rig) event(ev cordon.FlowEvent, f *cordon.Flow) {
	c := *f
	r.events = append(r.events, event{ev, c, r.now})
	r.last, r.names = c, append(r.names, eventNames[ev])
}

// at lets the packets' clock go to start + d.
func (r *rig) at(d time.Duration) { r.Advance(start.Add(d)) }

// send gives packets to the table, all at the same moment.
func (r *rig) send(ps ...packet.Packet) {
	for i := range ps {
		r.Packet(&ps[i], r.now)
	}
}

// want compares the events since the last want.
func (r *rig) want(names ...string) {
	r.t.Helper()
	if diff := cmp.Diff(names, r.names); diff != "" {
		r.t.Errorf("events (-want +got):\n%s", diff)
	}
	r.names = nil
}

// count returns how often an event was told of flows for which ok holds.
func (r *rig) count(ev cordon.FlowEvent, ok func(*cordon.Flow) bool) int {
	n := 0
	for i := range r.events {
		if r.events[i].ev == ev && (ok == nil || ok(&r.events[i].flow)) {
			n++
		}
	}
	return n
}

// owns returns the sizes of a device's lists.
func (r *rig) owns(a string) (unanswered, answered int) {
	o := r.owner(r.device(a))
	return o.unanswered.n, o.answered.n
}

func addr(s string) netip.Addr { return netip.MustParseAddr(s) }

const (
	syn    = packet.SYN
	synack = packet.SYN | packet.ACK
	ack    = packet.ACK
	rst    = packet.RST
	fin    = packet.FIN | packet.ACK
)

// ip makes a packet of nothing but its addresses.
func ip(src, dst string, proto uint8, n int) packet.Packet {
	p := packet.Packet{Layers: packet.HasIPv4, Src: addr(src), Dst: addr(dst), Proto: proto, IPHdrLen: 20, IPLen: n}
	if p.Src.Is6() {
		p.Layers, p.IPHdrLen = packet.HasIPv6, 40
	}
	return p
}

func tcp(src string, sport uint16, dst string, dport uint16, flags uint8, payload ...byte) packet.Packet {
	p := ip(src, dst, packet.ProtoTCP, 60+len(payload))
	p.Layers |= packet.HasTCP
	p.SrcPort, p.DstPort, p.TCPFlags = sport, dport, flags
	p.Payload, p.PayloadLen = payload, len(payload)
	return p
}

func udp(src string, sport uint16, dst string, dport uint16, payload ...byte) packet.Packet {
	p := ip(src, dst, packet.ProtoUDP, 28+len(payload))
	p.Layers |= packet.HasUDP
	p.SrcPort, p.DstPort = sport, dport
	p.Payload, p.PayloadLen = payload, len(payload)
	return p
}

// echo makes a ping, or its reply.
func echo(src, dst string, id uint16, reply bool) packet.Packet {
	p := ip(src, dst, packet.ProtoICMP, 84)
	p.Layers |= packet.HasICMP
	p.ICMPType, p.SrcPort = 8, id
	if reply {
		p.ICMPType = 0
	}
	if p.Src.Is6() {
		p.Layers, p.Proto, p.ICMPType = packet.HasIPv6|packet.HasICMPv6, packet.ProtoICMPv6, 128
		if reply {
			p.ICMPType = 129
		}
	}
	return p
}

// unreachable makes the error that from sends to the source of about.
func unreachable(from string, code uint8, about packet.Packet) packet.Packet {
	p := ip(from, about.Src.String(), packet.ProtoICMP, 56)
	p.Layers |= packet.HasICMP
	p.ICMPType, p.ICMPCode = 3, code
	if p.Src.Is6() {
		p.Layers, p.Proto, p.ICMPType = packet.HasIPv6|packet.HasICMPv6, packet.ProtoICMPv6, 1
	}
	p.Payload = quote(about)
	p.PayloadLen = len(p.Payload)
	return p
}

// quote writes a packet's IP header and the first eight bytes behind it.
func quote(p packet.Packet) []byte {
	var b []byte
	if p.Src.Is4() {
		b = make([]byte, 28)
		b[0], b[8], b[9] = 0x45, 64, p.Proto
		binary.BigEndian.PutUint16(b[2:], uint16(p.IPLen))
		copy(b[12:], p.Src.AsSlice())
		copy(b[16:], p.Dst.AsSlice())
	} else {
		b = make([]byte, 48)
		b[0], b[6], b[7] = 0x60, p.Proto, 64
		binary.BigEndian.PutUint16(b[4:], uint16(p.IPLen-40))
		copy(b[8:], p.Src.AsSlice())
		copy(b[24:], p.Dst.AsSlice())
	}
	h := b[len(b)-8:]
	if p.Any(packet.HasICMP | packet.HasICMPv6) {
		h[0] = p.ICMPType
		binary.BigEndian.PutUint16(h[4:], p.SrcPort)
		return b
	}
	binary.BigEndian.PutUint16(h[0:], p.SrcPort)
	binary.BigEndian.PutUint16(h[2:], p.DstPort)
	if p.Proto == packet.ProtoUDP {
		binary.BigEndian.PutUint16(h[4:], uint16(p.IPLen-p.IPHdrLen))
	}
	return b
}

// connect is a TCP connection that is answered.
func connect(src string, sport uint16, dst string, dport uint16) []packet.Packet {
	return []packet.Packet{tcp(src, sport, dst, dport, syn), tcp(dst, dport, src, sport, synack),
		tcp(src, sport, dst, dport, ack)}
}
