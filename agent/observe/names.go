package observe

import (
	"bytes"
	"encoding/binary"
	"hash/maphash"
	"net/netip"
	"time"

	"cordon"
	"cordon/internal/slots"
)

const (
	// defaultNames makes half a megabyte, what the router's memory budget of
	// 16 to 20 MB gives the cache of answers.
	defaultNames = 4096
	// cellBytes is what is kept of a name; of a longer one the end, where the
	// registered domain is.
	cellBytes = 64
	// nameFloor is how long a binding holds at least, because programs keep
	// using an address after its TTL (often a minute or less): operating systems
	// and browsers cache on their own terms, and a retry comes minutes later.
	// Our choice; a longer one would hide contacts nobody asked for.
	nameFloor = 10 * time.Minute
	// nameCeiling is how long a binding holds at most: what a device still uses
	// after a day it has asked for again.
	nameCeiling = 24 * time.Hour
	// owners is how many devices have a quota of their own. Devices whose slots
	// are equal modulo owners share one.
	owners = 1024
)

// Names remembers which addresses DNS gave a device: the bindings that answers
// to its own questions made. It is a table of fixed size; one device holds at
// most a quarter of it, and when it is full the binding that was renewed
// longest ago goes. It allocates once for each device slot and nothing more,
// and is for one goroutine.
type Names struct {
	seed     maphash.Seed // no result depends on it
	asked    slots.Table[questions]
	bindings []binding
	buckets  []int32 // first binding of each hash, -1 for none
	age      ring    // all in use, newest first
	owner    ring    // those of one device, newest first
	held     [owners]int32
	used     int32
	free     int32 // evicted ones, by next; -1 for none
	evicted  uint64
}

// binding is one address that a name gave one device, 104 bytes.
type binding struct {
	key     bindingKey
	expires cordon.Time
	next    int32 // in the bucket
	length  uint8
	name    [cellBytes]byte
}

type bindingKey struct {
	addr       [16]byte // an IPv4 address as the IPv6 address that maps it
	slot       uint32
	generation uint32
}

func keyOf(d *cordon.Device, a netip.Addr) bindingKey {
	return bindingKey{addr: a.As16(), slot: uint32(d.Slot), generation: d.Generation}
}

// NewNames returns a table for n bindings of 124 bytes with their lists; n ≤ 0
// means 4096, and fewer than 4 become 4.
func NewNames(n int) *Names {
	if n <= 0 {
		n = defaultNames
	}
	n = max(n, 4)
	names := &Names{
		seed:     maphash.MakeSeed(),
		bindings: make([]binding, n),
		buckets:  make([]int32, n),
		age:      newRing(n, 1),
		owner:    newRing(n, owners),
		free:     -1,
	}
	for i := range names.buckets {
		names.buckets[i] = -1
	}
	return names
}

// Evicted returns how many bindings went before they ended, for room or quota.
func (t *Names) Evicted() uint64 { return t.evicted }

// Learn takes an observation with its Device. FactDNSQuery is a question that is
// kept for answerWithin; FactDNSAnswer binds when the device has asked for the
// name, else anybody who can send it a datagram from port 53 could say whom it
// may contact unnoticed. A binding holds from o.At for the answer's TTL, at least
// 10 minutes and at most 24 hours, and an answer never shortens one.
//
// FactMDNS does not bind: what a device announces is said to everybody, and the
// table is of what one device was told.
func (t *Names) Learn(o *cordon.Observation) {
	if o.Device == nil || len(o.Name) == 0 {
		return
	}
	switch o.Fact {
	case cordon.FactDNSQuery:
		t.questions(o).ask(o)
	case cordon.FactDNSAnswer:
		if len(o.Addrs) > 0 && t.questions(o).asked(o) {
			t.answer(o)
		}
	}
}

func (t *Names) questions(o *cordon.Observation) *questions {
	return t.asked.Get(o.Device.Slot, o.Device.Generation)
}

func (t *Names) answer(o *cordon.Observation) {
	life := min(max(time.Duration(o.TTL)*time.Second, nameFloor), nameCeiling)
	name := tail(o.Name)
	for _, a := range o.Addrs {
		if a.IsUnspecified() { // how filters say no
			continue
		}
		b := &t.bindings[t.bind(keyOf(o.Device, a), o.At)]
		b.length = uint8(copy(b.name[:], name))
		b.expires = max(b.expires, o.At.Add(life))
	}
}

// Resolved reports whether a DNS answer gave d the address lately.
func (t *Names) Resolved(d *cordon.Device, a netip.Addr, now cordon.Time) bool {
	return t.valid(d, a, now) != nil
}

// Name returns the name that an answer last gave d the address for, of names
// over 64 bytes the end, empty when there was none lately. It is hostile text,
// and allocated.
func (t *Names) Name(d *cordon.Device, a netip.Addr, now cordon.Time) string {
	b := t.valid(d, a, now)
	if b == nil {
		return ""
	}
	return string(b.name[:b.length])
}

func (t *Names) valid(d *cordon.Device, a netip.Addr, now cordon.Time) *binding {
	k := keyOf(d, a)
	i := t.find(k, *t.bucket(&k))
	if i < 0 || t.bindings[i].expires < now {
		return nil
	}
	return &t.bindings[i]
}

// bucket returns the head of k's chain.
func (t *Names) bucket(k *bindingKey) *int32 {
	var b [24]byte
	copy(b[:], k.addr[:])
	binary.LittleEndian.PutUint32(b[16:], k.slot)
	binary.LittleEndian.PutUint32(b[20:], k.generation)
	return &t.buckets[maphash.Bytes(t.seed, b[:])%uint64(len(t.buckets))]
}

func (t *Names) find(k bindingKey, i int32) int32 {
	for i >= 0 && t.bindings[i].key != k {
		i = t.bindings[i].next
	}
	return i
}

// bind returns the binding of k, now the newest, made if there was none.
func (t *Names) bind(k bindingKey, now cordon.Time) int32 {
	owner := k.slot % owners
	i := t.find(k, *t.bucket(&k))
	if i < 0 {
		i = t.room(owner, now)
		head := t.bucket(&k)
		t.bindings[i] = binding{key: k, next: *head}
		*head = i
		t.held[owner]++
	}
	t.age.front(i, 0)
	t.owner.front(i, owner)
	return i
}

// room returns a binding to use, which is in no list.
func (t *Names) room(owner uint32, now cordon.Time) int32 {
	quota := max(int32(len(t.bindings)/4), 1)
	switch {
	case t.held[owner] >= quota:
		t.evict(t.owner.last(owner), now)
	case t.free < 0 && int(t.used) == len(t.bindings):
		t.evict(t.age.last(0), now)
	}
	if i := t.free; i >= 0 {
		t.free = t.bindings[i].next
		return i
	}
	t.used++
	return t.used - 1
}

func (t *Names) evict(i int32, now cordon.Time) {
	b := &t.bindings[i]
	if b.expires >= now {
		t.evicted++
	}
	at := t.bucket(&b.key)
	for *at != i {
		at = &t.bindings[*at].next
	}
	*at = b.next
	t.age.remove(i)
	t.owner.remove(i)
	t.held[b.key.slot%owners]--
	b.next, t.free = t.free, i
}

// tail returns name, or the labels at its end that fit a cell.
func tail(name []byte) []byte {
	if len(name) <= cellBytes {
		return name
	}
	end := name[len(name)-cellBytes:]
	if name[len(name)-cellBytes-1] == '.' {
		return end
	}
	if i := bytes.IndexByte(end, '.'); i >= 0 && i+1 < len(end) {
		return end[i+1:]
	}
	return end
}
