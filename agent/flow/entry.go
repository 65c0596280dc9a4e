package flow

import (
	"encoding/binary"
	"math/bits"
	"net/netip"
	"time"

	"cordon"
	"cordon/agent/packet"
)

// entry is one place in the table. The fields that every packet touches come
// first and lie together.
type entry struct {
	local, peer endpoint // of the device and of the far side
	proto       uint8
	used        bool
	closed      bool // FIN or RST seen
	settled     bool // in the owner's list of answered flows: both sides were heard
	chain       int32
	flow        cordon.Flow
	talk        int32 // see talk.go
	links       [2]link
	queued      cordon.Time // when it was last put at the end of its owner's list
	reported    cordon.Time // when it was last reported as active
}

// endpoint is an address and a port in a form that compares and hashes fast.
type endpoint struct {
	hi, lo uint64
	port   uint16
}

func endpointOf(a netip.Addr, port uint16) endpoint {
	if a.Is4() {
		b := a.As4()
		return endpoint{0, mapped | uint64(binary.BigEndian.Uint32(b[:])), port}
	}
	b := a.As16()
	return endpoint{binary.BigEndian.Uint64(b[:8]), binary.BigEndian.Uint64(b[8:]), port}
}

// mapped is how an IPv4 address begins as an IPv6 one (RFC 4291 §2.5.5.2).
const mapped = 0xffff << 32

// mix multiplies into 128 bits and folds: the mixing step of wyhash.
func mix(a, b uint64) uint64 {
	hi, lo := bits.Mul64(a, b)
	return hi ^ lo
}

// The odd constants of wyhash (Wang Yi, public domain).
const (
	k0 = 0xa0761d6478bd642f
	k1 = 0xe7037ed1a0b428db
	k2 = 0x8ebc6af09c88c6e3
)

func (e endpoint) hash(seed uint64) uint64 {
	return mix(e.hi^seed^k0, e.lo^(uint64(e.port)<<48)^k1)
}

// hash is the same for both directions of a flow.
func (t *Table) hash(src, dst endpoint, proto uint8) uint64 {
	return mix(src.hash(t.cfg.Seed)+dst.hash(t.cfg.Seed), k2^uint64(proto))
}

// ends asks whose packet p is. What comes in from the internet shows that the
// home's line works, whatever it is.
func (t *Table) ends(p *packet.Packet) cordon.Ends {
	ends := t.cfg.Devices.Ends(p, t.now)
	if !ends.SrcHome && ends.DstHome {
		t.line.received()
	}
	return ends
}

// lookup returns the entry of p's flow, 0 if there is none, and whether p comes
// from the flow's device. Packets come in bursts, so the last flow is tried first.
func (t *Table) lookup(p *packet.Packet, srcPort, dstPort uint16) (i int32, fromDevice bool) {
	src, dst := endpointOf(p.Src, srcPort), endpointOf(p.Dst, dstPort)
	return t.find(&src, &dst, p.Proto)
}

// find is lookup by the ends of a packet.
func (t *Table) find(src, dst *endpoint, proto uint8) (i int32, fromDevice bool) {
	if out, in := t.entries[t.recent].is(src, dst, proto); out || in {
		return t.recent, out
	}
	i = t.buckets[t.hash(*src, *dst, proto)&uint64(len(t.buckets)-1)]
	for i != 0 {
		e := &t.entries[i]
		if out, in := e.is(src, dst, proto); out || in {
			t.recent = i
			return i, out
		}
		i = e.chain
	}
	return 0, false
}

// is reports whether a packet between two endpoints belongs to the flow, and
// which way it goes.
func (e *entry) is(src, dst *endpoint, proto uint8) (out, in bool) {
	if e.proto != proto {
		return false, false
	}
	return e.local == *src && e.peer == *dst, e.peer == *src && e.local == *dst
}

func (t *Table) bucket(e *entry) *int32 {
	return &t.buckets[t.hash(e.local, e.peer, e.proto)&uint64(len(t.buckets)-1)]
}

// idle returns how long the flow may be quiet before it is forgotten.
func (e *entry) idle() time.Duration {
	switch f := &e.flow; {
	case e.closed:
		return idleClosed
	case f.Outcome != cordon.Answered:
		return idleUnanswered
	case f.Proto == packet.ProtoTCP:
		return idleTCP
	case f.PeerPort == 53 || f.PeerPort == 123: // one question, one answer
		return idleDNS
	default:
		return idleUDP
	}
}

// drop ends a flow and frees its entry.
func (t *Table) drop(i int32, ev cordon.FlowEvent) {
	e := &t.entries[i]
	t.cfg.Event(ev, &e.flow)
	for c := t.bucket(e); ; c = &t.entries[*c].chain {
		if *c == i {
			*c = e.chain
			break
		}
	}
	if e.flow.Outcome == cordon.Pending {
		t.remove(&t.pending, i)
	}
	o := t.owner(e.flow.Device)
	if e.settled {
		t.remove(&o.answered, i)
	} else {
		t.remove(&o.unanswered, i)
	}
	t.hangUp(e)
	*e = entry{chain: t.free}
	t.free = i
}
