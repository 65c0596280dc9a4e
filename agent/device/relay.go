package device

import (
	"hash/fnv"
	"net/netip"
	"time"

	"cordon"
)

// concurrentWithin is how soon an address must come back, after another one was
// used, to count as used at the same time. A renewed lease changes the address
// once and does not come back.
const concurrentWithin = 5 * time.Minute

// concurrentTimes is how often that has to be seen.
const concurrentTimes = 3

// alternation notices that a station uses several IPv4 addresses in turn.
type alternation struct {
	current, before netip.Addr
	changed         cordon.Time
	times           int
}

// concurrent notes a use of addr and reports whether the station has been going
// back and forth between addresses.
func (a *alternation) concurrent(addr netip.Addr, now cordon.Time) bool {
	switch {
	case addr == a.current:
	case addr == a.before && now.Sub(a.changed) <= concurrentWithin:
		a.times++
		fallthrough
	default:
		a.before, a.current, a.changed = a.current, addr, now
	}
	return a.times >= concurrentTimes
}

// distinct counts different texts, up to 4, without keeping them.
type distinct struct {
	hashes [4]uint64
	n      int
}

func (d *distinct) add(text []byte) {
	if len(text) == 0 || d.n == len(d.hashes) {
		return
	}
	f := fnv.New64a()
	f.Write(text)
	h := f.Sum64()
	for _, known := range d.hashes[:d.n] {
		if known == h {
			return
		}
	}
	d.hashes[d.n] = h
	d.n++
}
