package flow

import (
	"cordon"
	"cordon/agent/packet"
)

// Bounds of the payload heads: bytes kept of each side, and flows that have any.
const (
	headBytes = 256
	headFlows = 256
)

// head is the beginning of what both sides of a flow said.
type head struct {
	bytes [2][headBytes]byte
	n     [2]int
	next  *head
}

// heads lends out a bounded number of heads. The zero value is ready.
type heads struct {
	made int
	free *head
}

// take returns a head, nil when all are lent out: then that flow has none.
func (h *heads) take() *head {
	if b := h.free; b != nil {
		h.free = b.next
		*b = head{}
		return b
	}
	if h.made == headFlows {
		return nil
	}
	h.made++
	return new(head)
}

func (h *heads) release(b *head) {
	if b != nil {
		b.next, h.free = h.free, b
	}
}

// head adds a packet's payload to its flow's heads, tells, and gives the heads
// back once both are full. A flow has heads from its first payload on: a scan
// that nobody answers needs none.
func (t *Table) head(i int32, p *packet.Packet, byOpener bool) {
	if len(p.Payload) == 0 {
		return
	}
	e := &t.entries[i]
	if e.heads == nil {
		e.heads = t.heads.take()
	}
	h := e.heads
	if h == nil { // a head that begins in the middle would be none
		e.wanted = false
		return
	}
	side := 0
	if !byOpener {
		side = 1
	}
	n := copy(h.bytes[side][h.n[side]:], p.Payload)
	if n == 0 {
		return
	}
	h.n[side] += n
	e.flow.Head[side] = h.bytes[side][:h.n[side]]
	t.cfg.Event(cordon.FlowHead, &e.flow)
	if h.n[0] == headBytes && h.n[1] == headBytes {
		t.heads.release(h)
		e.heads, e.wanted, e.flow.Head = nil, false, [2][]byte{}
	}
}
