package flow

import (
	"time"

	"cordon"
	"cordon/agent/packet"
)

// downAfter is how long the internet may owe an answer, with nothing at all
// coming in, before the home's line counts as down (detection.md §A1, guards).
const downAfter = 3 * time.Second

// line watches whether the home's line to the internet works. Silence alone says
// nothing; only traffic that must be answered and is not does: data of a TCP
// connection that was answered before, and contacts that DNS led to.
type line struct {
	owed cordon.Time // since when an answer is owed; 0: none is
}

// sent notes a packet of a device towards the internet.
func (l *line) sent(f *cordon.Flow, p *packet.Packet, now cordon.Time) {
	if l.owed == 0 && f.Direction != cordon.Lateral &&
		(f.Outcome == cordon.Answered && f.Proto == packet.ProtoTCP && p.PayloadLen > 0 ||
			f.Outcome == cordon.Pending && f.Resolved) {
		l.owed = now
	}
}

// received notes a packet from the internet that belongs to a flow.
func (l *line) received(f *cordon.Flow) {
	if f.Direction != cordon.Lateral {
		l.owed = 0
	}
}

// Down reports whether the home's line to the internet seems to be down: then
// unanswered contacts say nothing about a device.
func (t *Table) Down(now cordon.Time) bool {
	return t.line.owed != 0 && now.Sub(t.line.owed) >= downAfter
}
