// Package flow turns packets into flows.
//
// Parsed packets come in; flows and the events of their lives go out, to the
// detectors. The table has a fixed size, no device may fill more than a quarter
// of it, and flows that nobody answered live in lists of their own, so that a
// device that scans or floods pushes out its own failures and nothing else.
// Time is the packet's: the same packets always give the same events.
package flow

import (
	"fmt"
	"net/netip"
	"time"

	"cordon"
	"cordon/agent/packet"
	"cordon/internal/bloom"
	"cordon/internal/slots"
)

// Defaults of Config and the fixed time-outs.
const (
	// DefaultSize is the number of flows kept, from the router's memory budget.
	DefaultSize = 8192

	// silentAfter is how long a first packet may stay unanswered before the flow
	// is Silent: the second retransmission of a SYN (RFC 6298 §2: 1 s, then 2 s).
	silentAfter = 3 * time.Second

	// activeEvery is how often a long flow is reported while it lasts.
	activeEvery = 5 * time.Minute

	// sweepEvery is how often idle flows are looked for.
	sweepEvery = 10 * time.Second

	// firstTurn is how long a contact is remembered before it is a first contact
	// again: the state expiry of the threshold random walk (Jung et al., Fast
	// Portscan Detection Using Sequential Hypothesis Testing, 2004; Zeek's
	// implementation).
	firstTurn = 30 * time.Minute
)

// Idle time-outs, by what is known of a flow. A TCP connection may be idle for
// two hours (RFC 5382 REQ-5), a UDP one for five minutes (RFC 4787 REQ-5); the
// table is bounded, so they may be generous. Unanswered SYNs are kept over the
// retransmissions of one connection attempt.
const (
	idleTCP        = 2*time.Hour + 4*time.Minute
	idleUDP        = 5 * time.Minute
	idleUnanswered = 75 * time.Second
	idleClosed     = 10 * time.Second
	idleDNS        = 10 * time.Second
)

// Devices knows the devices of the home. Ends is called for the first packet of
// each side of a flow and for errors about one; it may forget devices (see
// Table.Forget).
type Devices interface {
	Ends(p *packet.Packet, now cordon.Time) cordon.Ends
}

// Names knows which addresses a device was told by DNS.
type Names interface {
	Resolved(d *cordon.Device, addr netip.Addr, now cordon.Time) bool
}

// Config configures a Table. Devices, Names and Event are required.
type Config struct {
	Size    int // flows kept; 0 means DefaultSize
	Seed    uint64
	Devices Devices
	Names   Names
	// Event is told what happens to flows, in the order in which it happens. The
	// flow is valid during the call only.
	Event func(cordon.FlowEvent, *cordon.Flow)
	Talk  Talk // nil: nobody listens
	// Want, if set, is called when the reading of a flow begins, and when it ends:
	// a source that hands over only the first packets of a flow is told so that
	// more is wanted. The flow is valid during the call only.
	Want func(f *cordon.Flow, on bool)
}

// Stats counts what the table did.
type Stats struct {
	Opened    uint64 // flows
	Evicted   uint64 // flows that had to go before their time
	Unowned   uint64 // packets of no device of the home
	Unsought  uint64 // answers to nothing the home asked (backscatter)
	Fragments uint64 // later fragments, which carry no ports
	Unmatched uint64 // counts of flows that are not in the table
}

// Table is the flow table. It is owned by one goroutine.
type Table struct {
	cfg     Config
	entries []entry // entry 0 is never used: 0 means none
	buckets []int32 // hash → first entry, linked by entry.chain
	free    int32   // first unused entry, linked by entry.chain
	recent  int32   // the entry found last
	owners  slots.Table[owner]
	bySlot  []*owner // for the eviction that looks at all owners
	pending list     // flows in state Pending, oldest first
	contact slots.Table[bloom.Pair]
	line    line
	swept   cordon.Time
	now     cordon.Time
	stats   Stats
}

// New returns an empty Table.
func New(cfg Config) (*Table, error) {
	if cfg.Size == 0 {
		cfg.Size = DefaultSize
	}
	if cfg.Size < 16 || cfg.Size > 1<<20 {
		return nil, fmt.Errorf("flow table size %d: want 16 to %d", cfg.Size, 1<<20)
	}
	if cfg.Devices == nil || cfg.Names == nil || cfg.Event == nil {
		return nil, fmt.Errorf("flow table: Devices, Names and Event are required")
	}
	nb := 16
	for nb < 2*cfg.Size {
		nb *= 2
	}
	t := &Table{cfg: cfg, entries: make([]entry, cfg.Size+1), buckets: make([]int32, nb), free: 1}
	for i := 1; i < cfg.Size; i++ {
		t.entries[i].chain = int32(i) + 1
	}
	return t, nil
}

// Stats returns what the table did so far.
func (t *Table) Stats() Stats { return t.stats }

// Packet accounts one packet.
func (t *Table) Packet(p *packet.Packet, now cordon.Time) {
	if !p.Any(packet.HasIP) {
		return
	}
	t.now = now
	if p.Fragment && p.FragOff > 0 {
		t.stats.Fragments++
		return
	}
	srcPort, dstPort := ports(p)
	switch {
	case !p.Any(packet.HasICMP|packet.HasICMPv6) || isEcho(p):
		t.account(p, srcPort, dstPort)
	case isUnreachable(p):
		t.unreachable(p)
	}
}

// ports returns what p's flow is told apart by: its ports, or for an echo its
// identifier twice, which is the same in the reply.
func ports(p *packet.Packet) (src, dst uint16) {
	switch {
	case p.Any(packet.HasTCP | packet.HasUDP):
		return p.SrcPort, p.DstPort
	case p.Any(packet.HasICMP | packet.HasICMPv6):
		return p.SrcPort, p.SrcPort
	}
	return 0, 0
}

// unreachable applies an error to the flow that it is about. A router of the home
// that knows no way to the internet tells that the line is down, and nothing
// about the peer.
func (t *Table) unreachable(p *packet.Packet) {
	var quoted packet.Packet
	if !p.Quoted(&quoted) {
		return
	}
	ends := t.ends(p)
	srcPort, dstPort := ports(&quoted)
	i, _ := t.lookup(&quoted, srcPort, dstPort)
	if i == 0 || isNoRoute(p) && ends.SrcHome && t.entries[i].flow.Direction != cordon.Lateral {
		return
	}
	t.refused(i)
}

func isEcho(p *packet.Packet) bool {
	if p.Has(packet.HasICMP) {
		return p.ICMPType == 8 || p.ICMPType == 0 // RFC 792
	}
	return p.ICMPType == 128 || p.ICMPType == 129 // RFC 4443 §4
}

func isEchoReply(p *packet.Packet) bool {
	return p.Has(packet.HasICMP) && p.ICMPType == 0 || p.Has(packet.HasICMPv6) && p.ICMPType == 129
}

// isUnreachable leaves out "fragmentation needed" (RFC 1191 §4), which asks for
// smaller packets and refuses nothing.
func isUnreachable(p *packet.Packet) bool {
	return p.Has(packet.HasICMP) && p.ICMPType == 3 && p.ICMPCode != 4 || p.Has(packet.HasICMPv6) && p.ICMPType == 1
}

// isNoRoute reports whether p, an unreachable, is about the way and not about the
// host's own answer: RFC 792 (net, host), RFC 4443 §3.1 (no route, address).
func isNoRoute(p *packet.Packet) bool {
	if p.Has(packet.HasICMP) {
		return p.ICMPCode == 0 || p.ICMPCode == 1
	}
	return p.ICMPCode == 0 || p.ICMPCode == 3
}

func (t *Table) account(p *packet.Packet, srcPort, dstPort uint16) {
	i, fromDevice := t.lookup(p, srcPort, dstPort)
	if i != 0 && !fromDevice && t.entries[i].flow.In.Packets == 0 {
		t.ends(p) // who brings the first answer: the router, or a neighbour
		i, fromDevice = t.lookup(p, srcPort, dstPort)
	}
	if i == 0 {
		t.open(p, srcPort, dstPort)
		return
	}
	e := &t.entries[i]
	if e.closed && p.Has(packet.HasTCP) && p.TCPFlags&(packet.SYN|packet.ACK) == packet.SYN {
		t.drop(i, cordon.FlowClosed) // the ports are used again
		t.open(p, srcPort, dstPort)
		return
	}
	f := &e.flow
	f.Last = t.now
	if fromDevice {
		f.Out.Packets++
		f.Out.Bytes += uint64(p.IPLen)
		f.Device.LastSeen = t.now
		t.line.sent(f, p, t.now)
	} else {
		f.In.Packets++
		f.In.Bytes += uint64(p.IPLen)
		if f.Direction != cordon.Lateral {
			t.line.received()
		}
	}
	if f.Outcome != cordon.Answered || !e.settled || e.talk != talkOver || p.TCPFlags&(packet.FIN|packet.RST|packet.SYN) != 0 {
		t.advance(i, p, fromDevice)
	}
}

// advance is what a packet of a known flow means beyond its size.
func (t *Table) advance(i int32, p *packet.Packet, fromDevice bool) {
	e := &t.entries[i]
	f := &e.flow
	byOpener := fromDevice == (f.Direction != cordon.Inbound)
	tcp := p.Has(packet.HasTCP)
	switch {
	case tcp && p.TCPFlags&packet.RST != 0:
		if !byOpener {
			t.refused(i)
		}
		e.closed = true
	case byOpener:
		if tcp && p.TCPFlags&(packet.SYN|packet.ACK) == packet.SYN && f.Resent < 255 {
			f.Resent++
		}
	case f.Outcome == cordon.Pending || f.Outcome == cordon.Silent:
		t.answered(i)
	}
	if f.Midstream && f.Out.Packets > 0 && f.In.Packets > 0 {
		t.settle(i)
	}
	if tcp && p.TCPFlags&packet.FIN != 0 {
		e.closed = true
	}
	t.listen(i, p, byOpener)
}

func (t *Table) answered(i int32) {
	e := &t.entries[i]
	if e.flow.Outcome == cordon.Pending {
		t.remove(&t.pending, i)
	}
	t.settle(i)
	e.flow.Late = e.flow.Outcome == cordon.Silent
	e.flow.Outcome = cordon.Answered
	t.cfg.Event(cordon.FlowAnswered, &e.flow)
}

func (t *Table) refused(i int32) {
	e := &t.entries[i]
	switch e.flow.Outcome {
	case cordon.Answered, cordon.Refused:
		return
	case cordon.Pending:
		t.remove(&t.pending, i)
	}
	e.flow.Outcome = cordon.Refused
	t.cfg.Event(cordon.FlowRefused, &e.flow)
}

// Advance tells the table that time has passed: flows fall silent, and idle
// ones are forgotten.
func (t *Table) Advance(now cordon.Time) {
	t.now = now
	for t.pending.head != 0 {
		i := t.pending.head
		e := &t.entries[i]
		if now.Sub(e.flow.Begin) < silentAfter {
			break
		}
		t.remove(&t.pending, i)
		e.flow.Outcome = cordon.Silent
		t.cfg.Event(cordon.FlowSilent, &e.flow)
	}
	if now.Sub(t.swept) >= sweepEvery {
		t.swept = now
		t.sweep()
	}
}

func (t *Table) sweep() {
	for i := range t.entries {
		e := &t.entries[i]
		if !e.used {
			continue
		}
		if t.now.Sub(e.flow.Last) >= e.idle() {
			t.drop(int32(i), cordon.FlowClosed)
		} else if t.now.Sub(e.reported) >= activeEvery {
			e.reported = t.now
			t.cfg.Event(cordon.FlowActive, &e.flow)
		}
	}
}

// Forget closes every flow of a device whose record is about to go.
func (t *Table) Forget(d *cordon.Device) {
	o := t.owner(d)
	for _, l := range []*list{&o.unanswered, &o.answered} {
		for l.head != 0 {
			t.drop(l.head, cordon.FlowClosed)
		}
	}
}

// Of shows every flow of a device that is remembered. See cordon.Flow for how long
// they may be used.
func (t *Table) Of(d *cordon.Device, show func(*cordon.Flow)) {
	o := t.owner(d)
	for _, l := range []*list{&o.answered, &o.unanswered} {
		for i := l.head; i != 0; i = t.entries[i].links[l.which].next {
			show(&t.entries[i].flow)
		}
	}
}

// Close closes every flow, at the end of a capture.
func (t *Table) Close(now cordon.Time) {
	t.now = now
	for i := range t.entries {
		if t.entries[i].used {
			t.drop(int32(i), cordon.FlowClosed)
		}
	}
}
