package observe

import (
	"encoding/binary"
	"net/netip"

	"cordon/agent/packet"
)

const (
	// defaultStreams is enough for a home: a stream takes room only while one of
	// its messages is spread over segments, mostly for less than a round trip.
	defaultStreams = 16
	// streamBytes is how much of one message is kept; of a longer one the rest
	// is not seen. 4096 is what EDNS lets servers send over UDP by old default
	// (RFC 6891 §6.2.5).
	streamBytes = 4096
)

// flowKey is one direction of a TCP connection.
type flowKey struct {
	src, dst         netip.Addr
	srcPort, dstPort uint16
}

// stream is one direction of a DNS-over-TCP connection (RFC 7766) in the middle
// of a message. Between messages a connection has none.
type stream struct {
	key  flowKey
	used uint64 // when a segment came last, in segments; 0 for a free one
	next uint32 // sequence number that must come next
	lost bool   // there was a gap: where messages begin is not known any more
	have int    // bytes of the message seen, with its length prefix
	buf  [2 + streamBytes]byte
}

type streams struct {
	clock uint64
	slots []stream
}

func newStreams(n int) streams { return streams{slots: make([]stream, n)} }

func (s *streams) find(k flowKey) *stream {
	for i := range s.slots {
		if st := &s.slots[i]; st.used != 0 && st.key == k {
			return st
		}
	}
	return nil
}

// open returns a stream for k, the longest idle one if none is free.
func (s *streams) open(k flowKey) (st *stream, evicted bool) {
	st = &s.slots[0]
	for i := range s.slots {
		if s.slots[i].used < st.used {
			st = &s.slots[i]
		}
	}
	evicted = st.used != 0
	st.key, st.used, st.have, st.lost = k, s.clock, 0, false
	return st, evicted
}

// tcp reads the DNS messages of one segment: those wholly in it straight from
// the packet, the beginning of one that goes on in the next from a buffer.
// Segments count in order only; after a gap the stream is not read any more.
func (r *Reader) tcp() {
	p := r.p
	r.streams.clock++
	key := flowKey{p.Src, p.Dst, p.SrcPort, p.DstPort}
	st := r.streams.find(key)
	if st != nil && p.TCPFlags&packet.SYN != 0 { // the ports were used again
		st.used, st = 0, nil
	}
	if p.PayloadLen > 0 {
		st = r.segment(st, key)
	}
	if st != nil && p.TCPFlags&(packet.FIN|packet.RST) != 0 {
		st.used = 0
	}
}

// segment reads one segment with payload and returns its stream, nil if it
// ended between two messages.
func (r *Reader) segment(st *stream, key flowKey) *stream {
	p := r.p
	b, seq := p.Payload, p.Seq
	if p.TCPFlags&packet.SYN != 0 {
		seq++ // SYN takes a number of its own, RFC 9293 §3.4
	}
	end := seq + uint32(p.PayloadLen)
	if st != nil {
		st.used = r.streams.clock
		switch old := int32(st.next - seq); {
		case st.lost, int32(end-st.next) <= 0:
			return st // nothing new
		case old < 0:
			r.lose(st)
			return st
		default:
			b = b[min(int(old), len(b)):]
		}
		if b = r.resume(st, b); st.have == 0 {
			st.used, st = 0, nil
		}
	}
	cut := p.PayloadLen > len(p.Payload)                     // by the capture: a gap
	if b = r.messages(b); st == nil && (len(b) > 0 || cut) { // a message goes on in the next segment
		st = r.open(key)
		st.have = len(b)
		copy(st.buf[:], b)
	}
	if st != nil {
		st.next = end
		if cut {
			r.lose(st)
		}
	}
	return st
}

func (r *Reader) open(key flowKey) *stream {
	st, evicted := r.streams.open(key)
	if evicted {
		r.stats.StreamsEvicted++
	}
	return st
}

func (r *Reader) lose(st *stream) {
	st.lost = true
	r.stats.StreamsBroken++
}

// messages reads the whole messages at the beginning of b, each behind its
// length, and returns what is left.
func (r *Reader) messages(b []byte) []byte {
	for len(b) >= 2 {
		n := 2 + int(binary.BigEndian.Uint16(b))
		if n > len(b) {
			break
		}
		r.domain(b[2:n])
		b = b[n:]
	}
	return b
}

// resume adds b to the message that st is in and returns what is behind that
// message. st.have is 0 when the message was complete, and read.
func (r *Reader) resume(st *stream, b []byte) []byte {
	if st.have == 1 && len(b) > 0 { // the length itself was split
		st.buf[1], b, st.have = b[0], b[1:], 2
	}
	if st.have < 2 {
		return b
	}
	whole := 2 + int(binary.BigEndian.Uint16(st.buf[:]))
	part := b[:min(len(b), whole-st.have)]
	if st.have < len(st.buf) {
		copy(st.buf[st.have:], part)
	}
	st.have += len(part)
	if st.have < whole {
		return nil
	}
	r.domain(st.buf[2:min(whole, len(st.buf))])
	st.have = 0
	return b[len(part):]
}
