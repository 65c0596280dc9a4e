package flow

import (
	"time"

	"cordon"
	"cordon/agent/packet"
)

// downAfter is how long the internet may owe answers, with nothing at all coming
// in, before the home's line counts as down (detection.md §A1, guards).
const downAfter = 3 * time.Second

// maxOwed is how many devices that wait for an answer are remembered.
const maxOwed = 4

// line watches whether the home's line to the internet works. Silence alone says
// nothing; only traffic that must be answered and is not does: data of a TCP
// connection that was answered before, and contacts that DNS led to. A device's
// own waiting says nothing about its own failures: a bot whose server is gone
// waits too, and must not hide its scan by that.
type line struct {
	owed [maxOwed]waiting
	n    int
}

// waiting is a device that is owed an answer.
type waiting struct {
	device *cordon.Device
	since  cordon.Time
}

// sent notes a packet of a device towards the internet.
func (l *line) sent(f *cordon.Flow, p *packet.Packet, now cordon.Time) {
	if l.n == maxOwed || f.Direction == cordon.Lateral || !owes(f, p) {
		return
	}
	for _, w := range l.owed[:l.n] {
		if w.device == f.Device {
			return
		}
	}
	l.owed[l.n] = waiting{f.Device, now}
	l.n++
}

// owes reports whether a packet of a device asks for an answer that must come.
func owes(f *cordon.Flow, p *packet.Packet) bool {
	if f.Outcome == cordon.Answered {
		return f.Proto == packet.ProtoTCP && p.PayloadLen > 0
	}
	return f.Outcome == cordon.Pending && f.Resolved
}

// received notes a packet from the internet.
func (l *line) received() { l.n = 0 }

// receivedAt notes that a packet came from the internet some time ago: what was
// owed by then is paid.
func (l *line) receivedAt(at cordon.Time) {
	kept := 0
	for _, w := range l.owed[:l.n] {
		if w.since > at {
			l.owed[kept] = w
			kept++
		}
	}
	l.n = kept
}

// Down reports whether the home's line to the internet seems to be down, by what
// other devices wait for: then unanswered contacts say nothing about this one.
func (t *Table) Down(d *cordon.Device, now cordon.Time) bool {
	for _, w := range t.line.owed[:t.line.n] {
		if w.device != d && now.Sub(w.since) >= downAfter {
			return true
		}
	}
	return false
}
