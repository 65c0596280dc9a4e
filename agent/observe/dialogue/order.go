package dialogue

import "cordon/agent/packet"

// stale is how far back a segment may lie and still be taken for one that was
// sent again, bytes: four times the largest window of an ordinary system's
// default (Linux tcp_rmem: 6 MiB). What lies farther back means that the side was
// lost sight of.
const stale = 24 << 20

// order returns what of p's payload side k says for the first time. Segments are
// taken in order only: one that overtook another makes a gap, and the other is
// then old. A gap is passed over, never waited for.
func (t *Table) order(c *conversation, k int, p *packet.Packet) (b []byte, gap bool) {
	s, far := &c.sides[k], &c.sides[1-k]
	b = p.Payload
	seq := p.Seq
	if p.TCPFlags&packet.SYN != 0 {
		seq++ // SYN takes a number of its own, RFC 9293 §3.4
	}
	end := seq + uint32(p.PayloadLen)
	if !s.known {
		s.known, s.next = true, seq
	}
	if !far.known && p.TCPFlags&packet.ACK != 0 {
		far.known, far.next = true, p.Ack
	}
	switch old := int32(s.next - seq); {
	case old < 0 || old > stale:
		gap = true
	case int32(end-s.next) <= 0:
		return nil, false // said before; a keep-alive probe too, RFC 9293 §3.8.4
	default:
		b = b[min(int(old), len(b)):]
	}
	s.next = end - uint32(p.PayloadLen-min(len(p.Payload), p.PayloadLen)) // what the capture cut off is a gap
	return b, gap
}
