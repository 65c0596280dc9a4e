package flow

import (
	"cordon"
	"cordon/agent/packet"
)

// Talk reads what the two sides of a flow say. It decides itself what it keeps,
// and for how long: most flows are of no interest after their first words, and
// from then on their packets are only counted.
type Talk interface {
	// Begin is asked at the first payload of a flow; 0 means that nothing of it is
	// to be read.
	Begin(f *cordon.Flow) (id int32)
	// Said gives a packet with payload. byOpener: from the side that began the
	// flow. It reports whether more is wanted.
	Said(f *cordon.Flow, id int32, p *packet.Packet, byOpener bool, now cordon.Time) (more bool)
	// End says that id is not used any more: the flow is over, or no more is
	// wanted.
	End(id int32)
}

// What entry.talk holds besides the id that Begin gave.
const (
	talkUnasked int32 = 0
	talkOver    int32 = -1
)

// listen gives the payload of a packet to whoever reads the flow. A flow is read
// from its first payload on, so that a scan that nobody answers costs nothing.
func (t *Table) listen(i int32, p *packet.Packet, byOpener bool) {
	e := &t.entries[i]
	if e.talk == talkOver || len(p.Payload) == 0 {
		return
	}
	if e.talk == talkUnasked {
		if e.talk = t.cfg.Talk.Begin(&e.flow); e.talk == 0 {
			e.talk = talkOver
			return
		}
		t.want(e, true)
	}
	if !t.cfg.Talk.Said(&e.flow, e.talk, p, byOpener, t.now) {
		t.hangUp(e)
	}
}

// hangUp ends the reading of a flow.
func (t *Table) hangUp(e *entry) {
	if e.talk > 0 {
		t.cfg.Talk.End(e.talk)
		t.want(e, false)
	}
	e.talk = talkOver
}

// want tells the source whether a flow is being read.
func (t *Table) want(e *entry, on bool) {
	if t.cfg.Want != nil {
		t.cfg.Want(&e.flow, on)
	}
}
