package dialogue

import "cordon"

// deviceShare is the part of all conversations that one device may have at most,
// one in deviceShare.
const deviceShare = 4

// class is what a conversation is worth keeping for. Each class has room of its
// own within a device's share, so that a device that guesses passwords by the
// hundred pushes out its guesses, and not the one quiet conversation in which it
// is told to.
type class uint8

const (
	talking class = iota // a dialogue, or not yet known
	quiet                // of no known protocol
	lasting              // quiet, and still going on after lastingAfter
	classes
)

// link chains a conversation into its owner's list of its class, or into the list
// of free ones.
type link struct{ prev, next int32 }

// list is conversations, longest idle first.
type list struct {
	head, tail int32
	n          int
}

// owner is the conversations of one device.
type owner struct {
	generation uint32
	lists      [classes]list
}

func (o *owner) n() int { return o.lists[talking].n + o.lists[quiet].n + o.lists[lasting].n }

// share says who may have how many conversations.
type share struct {
	owners []*owner // by device slot
	most   [classes]int
}

// limit sets what one device may have of size conversations: half of its share
// for dialogues, the rest for what is quiet.
func (s *share) limit(size int) {
	n := max(size/deviceShare, 4)
	s.most = [classes]int{talking: n - n/4*2, quiet: n / 4, lasting: n / 4}
}

func (t *Table) owner(d *cordon.Device) *owner {
	for d.Slot >= len(t.share.owners) {
		t.share.owners = append(t.share.owners, new(owner))
	}
	o := t.share.owners[d.Slot]
	if o.generation != d.Generation {
		for k := range o.lists { // of the device that had the slot before
			for o.lists[k].head != 0 {
				t.end(&t.talks[o.lists[k].head])
			}
		}
		o.generation = d.Generation
	}
	return o
}

// talk returns the conversation of a flow that says something, the longest idle
// one of its device, or of the device that has most, if there is no room.
func (t *Table) talk(id int32, f *cordon.Flow) *conversation {
	if i := t.seats[id].talk; i > 0 {
		c := &t.talks[i]
		t.leave(c)
		t.join(c) // now the last
		return c
	}
	o := t.owner(f.Device)
	if o.lists[talking].n >= t.share.most[talking] {
		t.evict(o.lists[talking].head)
	}
	if t.free == 0 {
		t.evict(t.longest())
	}
	i := t.free
	c := &t.talks[i]
	t.free = c.next
	*c = conversation{seat: id, owner: o, begun: t.now, scan: scan(f, headMost)}
	if !f.Midstream {
		c.sides[opener].known, c.sides[opener].next = true, f.FirstSeq+1
	}
	t.seats[id].talk = i
	t.join(c)
	t.stats.Conversations++
	return c
}

// longest returns the longest idle conversation of the device that has most,
// dialogues first.
func (t *Table) longest() int32 {
	var most *owner
	for _, o := range t.share.owners {
		if most == nil || o.n() > most.n() {
			most = o
		}
	}
	for k := range most.lists {
		if i := most.lists[k].head; i != 0 {
			return i
		}
	}
	return 0
}

// move puts a conversation into another class.
func (t *Table) move(c *conversation, to class) {
	t.leave(c)
	c.class = to
	t.join(c)
	t.trim(c)
}

// trim makes room in the class of c, which is the last of it.
func (t *Table) trim(c *conversation) {
	if l := &c.owner.lists[c.class]; l.n > t.share.most[c.class] {
		t.evict(l.head)
	}
}

func (t *Table) evict(i int32) {
	t.stats.Evicted++
	t.end(&t.talks[i])
}

// end frees a conversation; its seat remembers that it is over.
func (t *Table) end(c *conversation) {
	i := t.seats[c.seat].talk
	t.seats[c.seat].talk = over
	t.leave(c)
	for k := range c.sides {
		t.pages.release(c, k)
		c.sides[k].wipe()
	}
	c.next = t.free
	t.free = i
}

func (t *Table) join(c *conversation) {
	i := t.seats[c.seat].talk
	l := &c.owner.lists[c.class]
	c.link = link{prev: l.tail}
	if l.tail != 0 {
		t.talks[l.tail].next = i
	} else {
		l.head = i
	}
	l.tail = i
	l.n++
}

func (t *Table) leave(c *conversation) {
	l := &c.owner.lists[c.class]
	if c.prev != 0 {
		t.talks[c.prev].next = c.next
	} else {
		l.head = c.next
	}
	if c.next != 0 {
		t.talks[c.next].prev = c.prev
	} else {
		l.tail = c.prev
	}
	l.n--
}
