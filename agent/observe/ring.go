package observe

// ring is several doubly linked lists over the numbers 0 to n−1, each in at
// most one of them. A list begins and ends in a sentinel, so that linking needs
// no special cases.
type ring struct {
	links []link // of the numbers, then of the sentinels
	n     int32
	size  int32 // numbers in a list
}

type link struct{ prev, next int32 }

// newRing returns the lists 0 to lists−1, empty.
func newRing(n, lists int) ring {
	r := ring{links: make([]link, n+lists), n: int32(n)}
	for i := range r.links {
		r.links[i] = link{int32(i), int32(i)}
	}
	return r
}

// front puts i first in list, wherever it was.
func (r *ring) front(i int32, list uint32) {
	r.remove(i)
	head := r.n + int32(list)
	first := r.links[head].next
	r.links[i] = link{prev: head, next: first}
	r.links[first].prev = i
	r.links[head].next = i
	r.size++
}

// remove takes i out of its list, if it is in one.
func (r *ring) remove(i int32) {
	l := r.links[i]
	if l.next == i {
		return
	}
	r.links[l.prev].next = l.next
	r.links[l.next].prev = l.prev
	r.links[i] = link{i, i}
	r.size--
}

// last returns the last number of list, which must have one.
func (r *ring) last(list uint32) int32 { return r.links[r.n+int32(list)].prev }
