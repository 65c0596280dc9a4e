package flow

import (
	"net/netip"

	"cordon"
	"cordon/agent/packet"
)

// opening is how a flow begins, as its first packet tells.
type opening struct {
	bySrc     bool // the packet's source began it
	midstream bool
	answered  bool // the packet is an answer, or data: an answer was seen by somebody
}

// open begins a flow with its first packet, if it is a flow of a device.
func (t *Table) open(p *packet.Packet, srcPort, dstPort uint16) {
	if !tracked(p.Dst) || !tracked(p.Src) {
		return
	}
	ends := t.ends(p)
	how, ok := begins(p, srcPort, dstPort, ends)
	if !ok {
		t.stats.Unsought++
		return
	}
	device, direction, local := whose(ends, how)
	if device == nil {
		t.stats.Unowned++
		return
	}
	i := t.enter(p, srcPort, dstPort, device, local)
	e := &t.entries[i]
	f := &e.flow
	f.Direction, f.Midstream = direction, how.midstream
	if how.answered {
		f.Outcome = cordon.Answered
	} else {
		t.push(&t.pending, i)
	}
	t.describe(e, p)
	if local {
		t.line.sent(f, p, t.now)
	}
	t.stats.Opened++
	t.cfg.Event(cordon.FlowOpened, f)
	t.listen(i, p, local == (direction != cordon.Inbound))
}

// enter makes room for a flow of a device and enters it with its first packet;
// local means that the packet is the device's.
func (t *Table) enter(p *packet.Packet, srcPort, dstPort uint16, d *cordon.Device, local bool) int32 {
	o := t.owner(d)
	t.room(o)
	i := t.free
	e := &t.entries[i]
	t.free = e.chain
	*e = entry{used: true, proto: p.Proto, queued: t.now, reported: t.now}
	if t.cfg.Talk == nil {
		e.talk = talkOver
	}
	f := &e.flow
	f.Device, f.Proto, f.Begin, f.Last = d, p.Proto, t.now, t.now
	first := cordon.Count{Packets: 1, Bytes: uint64(p.IPLen)}
	if local {
		f.Local, f.Peer, f.LocalPort, f.PeerPort, f.Out = p.Src, p.Dst, srcPort, dstPort, first
	} else {
		f.Local, f.Peer, f.LocalPort, f.PeerPort, f.In = p.Dst, p.Src, dstPort, srcPort, first
	}
	e.local, e.peer = endpointOf(f.Local, f.LocalPort), endpointOf(f.Peer, f.PeerPort)
	if p.Any(packet.HasICMP | packet.HasICMPv6) {
		f.PeerPort = 0 // an echo's identifier is no port
	}
	b := t.bucket(e)
	e.chain, *b = *b, i
	t.push(&o.unanswered, i)
	return i
}

// describe fills in what the first packet tells about the flow.
func (t *Table) describe(e *entry, p *packet.Packet) {
	f := &e.flow
	f.FirstSeq = p.Seq
	f.Bare = p.Has(packet.HasIPv4|packet.HasTCP) && p.IPHdrLen == 20 && p.IPLen == 40
	if f.Direction == cordon.Inbound || f.Midstream {
		return
	}
	f.Resolved = t.cfg.Names.Resolved(f.Device, f.Peer, t.now)
	contact := mix(e.peer.hi^t.cfg.Seed^k0, e.peer.lo^k1) ^ mix(uint64(cordon.ClassKey(f.PeerPort))^k2, uint64(f.Proto)^k0)
	seen := t.contact.Get(f.Device.Slot, f.Device.Generation).Add(contact, int64(t.now), int64(firstTurn))
	f.First = !seen
}

// tracked reports whether conversations with a can be flows.
func tracked(a netip.Addr) bool {
	return !a.IsMulticast() && !a.IsUnspecified() && a != broadcast
}

var broadcast = netip.AddrFrom4([4]byte{255, 255, 255, 255})

// begins says how p begins a flow; not ok means that it is an answer to nothing
// the home asked, which is what the victim of an attack with forged addresses
// sends to everybody (backscatter).
func begins(p *packet.Packet, srcPort, dstPort uint16, ends cordon.Ends) (how opening, ok bool) {
	switch {
	case p.Has(packet.HasTCP):
		switch flags := p.TCPFlags & (packet.SYN | packet.ACK | packet.RST); {
		case flags&packet.RST != 0:
			return opening{}, false
		case flags == packet.SYN, flags == 0: // without ACK it is in no connection: a FIN or NULL scan
			return opening{bySrc: true}, true
		case flags&packet.SYN != 0: // SYN-ACK: only from a device is it one we missed the SYN of
			return opening{midstream: true, answered: true}, ends.Src != nil
		default:
			return opening{bySrc: srcPort >= dstPort, midstream: true, answered: true}, true
		}
	case isEchoReply(p):
		return opening{}, false
	case p.Has(packet.HasUDP) && srcPort < 1024 && dstPort >= 1024 && (!ends.SrcHome || ends.DstHome):
		return opening{midstream: true, answered: true}, ends.Src != nil
	default:
		return opening{bySrc: true}, true
	}
}

// whose says which device a flow belongs to. local means that the packet's
// source is that device. What the home's own router begins belongs to the device
// it talks to: the router is not a device.
func whose(ends cordon.Ends, how opening) (d *cordon.Device, dir cordon.Direction, local bool) {
	begin, other := ends.Src, ends.Dst
	beginHome, otherHome := ends.SrcHome, ends.DstHome
	if !how.bySrc {
		begin, other = other, begin
		beginHome, otherHome = otherHome, beginHome
	}
	switch {
	case beginHome && begin != nil && !begin.Gateway:
		dir = cordon.Outbound
		if otherHome {
			dir = cordon.Lateral
		}
		return begin, dir, how.bySrc
	case otherHome && other != nil && !other.Gateway:
		return other, cordon.Inbound, !how.bySrc
	}
	return nil, 0, false
}
