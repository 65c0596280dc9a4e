package flow

import "cordon"

// link chains an entry into one of the lists it can be in.
type link struct{ prev, next int32 }

// list is a list of entries, oldest first. Its links are entry.links[list.which].
// The zero value is an empty list of the first sort.
type list struct {
	head, tail int32
	n          int
	which      uint8
}

func (t *Table) push(l *list, i int32) {
	t.entries[i].links[l.which] = link{prev: l.tail}
	if l.tail != 0 {
		t.entries[l.tail].links[l.which].next = i
	} else {
		l.head = i
	}
	l.tail = i
	l.n++
}

func (t *Table) remove(l *list, i int32) {
	k := t.entries[i].links[l.which]
	if k.prev != 0 {
		t.entries[k.prev].links[l.which].next = k.next
	} else {
		l.head = k.next
	}
	if k.next != 0 {
		t.entries[k.next].links[l.which].prev = k.prev
	} else {
		l.tail = k.prev
	}
	l.n--
}

// owner is the flows of one device. Unanswered ones have a list of their own, so
// that a scan pushes out its own failures and not the slow, answered flows that
// tell most about a device. A flow found in the middle is taken for answered
// once both sides were heard: a flood of ACKs is no conversation.
type owner struct {
	unanswered, answered list
}

func (o *owner) n() int { return o.unanswered.n + o.answered.n }

func (t *Table) owner(d *cordon.Device) *owner {
	o := t.owners.Get(d.Slot, d.Generation)
	o.unanswered.which, o.answered.which = 1, 1
	for d.Slot >= len(t.bySlot) {
		t.bySlot = append(t.bySlot, nil)
	}
	t.bySlot[d.Slot] = o
	return o
}

// settle moves a flow to its owner's answered ones.
func (t *Table) settle(i int32) {
	e := &t.entries[i]
	if e.settled {
		return
	}
	o := t.owner(e.flow.Device)
	t.remove(&o.unanswered, i)
	t.push(&o.answered, i)
	e.settled, e.queued = true, t.now
}

// Shares of the table, as divisors of its size.
const (
	deviceShare     = 4  // no device holds more than a quarter
	unansweredShare = 16 // and no more unanswered flows than a sixteenth
)

// room makes room for one more flow of o.
func (t *Table) room(o *owner) {
	size := len(t.entries) - 1
	switch {
	case o.unanswered.n >= size/unansweredShare:
		t.evict(o, &o.unanswered)
	case o.n() >= size/deviceShare:
		t.evictFrom(o)
	case t.free == 0:
		t.evictFrom(t.largest())
	}
}

// largest returns the owner of most flows.
func (t *Table) largest() *owner {
	var most *owner
	for _, o := range t.bySlot {
		if o != nil && (most == nil || o.n() > most.n()) {
			most = o
		}
	}
	return most
}

// evictFrom takes an unanswered flow if there is one.
func (t *Table) evictFrom(o *owner) {
	if o.unanswered.n > 0 {
		t.evict(o, &o.unanswered)
	} else {
		t.evict(o, &o.answered)
	}
}

// chances is how many flows that were used since they were queued are spared
// before one is taken all the same: the second chance of page replacement,
// bounded so that an eviction costs the same under attack.
const chances = 8

func (t *Table) evict(o *owner, l *list) {
	i := l.head
	for range chances {
		e := &t.entries[i]
		if !e.settled || e.flow.Last <= e.queued || l.n == 1 {
			break
		}
		t.remove(l, i)
		t.push(l, i)
		e.queued = t.now
		i = l.head
	}
	t.stats.Evicted++
	t.drop(i, cordon.FlowEvicted)
}
