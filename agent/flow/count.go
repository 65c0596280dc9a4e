package flow

import (
	"cordon"
	"cordon/agent/packet"
)

// Count accounts packets that a source counted by itself and did not hand over.
// A source shows the first packets of a flow and one a second while it lasts, so
// a flow that is not in the table gets none by a count: its next packet opens it,
// with more known about it. What such a packet shows is taken from the count
// only as far as it may have been missed: an answer, a refusal, an end.
//
// The count says nothing about what a device waits for: those are packets of up
// to ten seconds ago, and what was answered since is told in another count. That
// something came in from the internet is taken from it.
func (t *Table) Count(c *packet.FlowCount, now cordon.Time) {
	if c.Packets == 0 {
		return
	}
	t.now = now
	srcPort, dstPort := c.SrcPort, c.DstPort
	switch c.Proto { // as ports does
	case packet.ProtoTCP, packet.ProtoUDP:
	case packet.ProtoICMP, packet.ProtoICMPv6:
		dstPort = srcPort
	default:
		srcPort, dstPort = 0, 0
	}
	src, dst := endpointOf(c.Src, srcPort), endpointOf(c.Dst, dstPort)
	i, fromDevice := t.find(&src, &dst, c.Proto)
	if i == 0 {
		t.stats.Unmatched++
		return
	}
	e := &t.entries[i]
	f := &e.flow
	at := min(cordon.Time(c.Last), now)
	f.Last = max(f.Last, at)
	if fromDevice {
		f.Out.Packets += c.Packets
		f.Out.Bytes += c.Bytes
		f.Device.LastSeen = max(f.Device.LastSeen, at)
	} else {
		f.In.Packets += c.Packets
		f.In.Bytes += c.Bytes
		if f.Direction != cordon.Lateral {
			t.line.receivedAt(at)
		}
	}
	t.counted(i, c, fromDevice)
}

// counted is what a count means for a flow beyond its size.
func (t *Table) counted(i int32, c *packet.FlowCount, fromDevice bool) {
	e := &t.entries[i]
	f := &e.flow
	byOpener := fromDevice == (f.Direction != cordon.Inbound)
	reset := c.Proto == packet.ProtoTCP && c.Flags&packet.RST != 0
	switch {
	case byOpener:
	case f.Outcome != cordon.Pending && f.Outcome != cordon.Silent:
	case reset && c.Flags&packet.SYN == 0: // nothing but resets
		t.refused(i)
	default:
		t.answered(i)
	}
	if f.Midstream && f.Out.Packets > 0 && f.In.Packets > 0 {
		t.settle(i)
	}
	if reset || c.Proto == packet.ProtoTCP && c.Flags&packet.FIN != 0 {
		e.closed = true
	}
}
