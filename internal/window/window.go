// Package window counts events in a sliding window of time without keeping more
// than the last few.
package window

import (
	"encoding/binary"
	"math/bits"
	"net/netip"
	"time"
)

// Max is how many of the last events a Recent keeps.
const Max = 32

// Recent keeps the times of the last events, in nanoseconds. The zero value is
// ready.
type Recent struct {
	times [Max]int64
	n     int // events kept
	next  int
}

// Add notes an event.
func (r *Recent) Add(now int64) {
	r.times[r.next] = now
	r.next = (r.next + 1) % Max
	r.n = min(r.n+1, Max)
}

// Undo takes the last event back.
func (r *Recent) Undo() {
	if r.n > 0 {
		r.n--
		r.next = (r.next + Max - 1) % Max
	}
}

// Reached reports whether the last n events, n ≤ Max, lie within d of now.
func (r *Recent) Reached(n int, now int64, d time.Duration) bool {
	if r.n < n {
		return false
	}
	return now-r.times[(r.next+Max-n)%Max] <= int64(d)
}

// Since returns the time of the nth last event, n ≤ Max.
func (r *Recent) Since(n int) int64 { return r.times[(r.next+Max-n)%Max] }

// Distinct is a Recent of different keys: a key that is among those kept counts
// once. The zero value is ready.
type Distinct struct {
	Recent
	keys [Max]uint64
}

// AddKey notes an event about a key and reports whether the key is new. A key
// that came before d is forgotten.
func (s *Distinct) AddKey(key uint64, now int64, d time.Duration) bool {
	for i := 1; i <= s.n; i++ {
		at := (s.next + Max - i) % Max
		if now-s.times[at] > int64(d) {
			break
		}
		if s.keys[at] == key {
			return false
		}
	}
	s.keys[s.next] = key
	s.Add(now)
	return true
}

// Remove takes back the last event about a key, and reports whether there was one.
func (s *Distinct) Remove(key uint64) bool {
	for i := 1; i <= s.n; i++ {
		at := (s.next + Max - i) % Max
		if s.keys[at] != key {
			continue
		}
		for ; i > 1; i-- { // the later ones close up
			later := (at + 1) % Max
			s.keys[at], s.times[at] = s.keys[later], s.times[later]
			at = later
		}
		s.Undo()
		return true
	}
	return false
}

// AddrKey folds an address into a key. A collision makes two addresses one,
// which hides an event and never invents one.
func AddrKey(a netip.Addr) uint64 {
	b := a.As16()
	hi, lo := bits.Mul64(binary.BigEndian.Uint64(b[:8])^0xa0761d6478bd642f, binary.BigEndian.Uint64(b[8:])^0xe7037ed1a0b428db)
	return hi ^ lo
}
