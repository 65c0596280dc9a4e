// Package bloom remembers, in constant memory, what was seen lately.
package bloom

// Bits per filter, hash functions and the number of keys at which a filter is
// exchanged. At capacity a filter answers wrongly with probability
// (1−e^(−4·1500/16384))⁴ ≈ 0.9 %, a Pair with twice that (Bloom 1970; Mitzenmacher
// and Upfal, Probability and Computing §5.5.3).
const (
	bits     = 1 << 14
	hashes   = 4
	capacity = 1500
)

// Pair is two Bloom filters that take turns: keys go into the younger, the
// older still answers, and when the younger is full or old it becomes the
// older. So a key is remembered for at least one turn, and a wrong answer (a key
// taken for seen) stays rare however many keys come. The zero value is ready.
type Pair struct {
	filter [2][bits / 64]uint64
	young  uint8
	n      int
	turned int64 // when the filters were last exchanged
}

// Add puts the key of that hash in and reports whether it was there already.
// now and turn have the same unit; after turn the filters are exchanged.
func (p *Pair) Add(hash uint64, now, turn int64) (seen bool) {
	switch age := now - p.turned; {
	case age >= 2*turn: // nothing came for a turn: the younger keys are old as well
		p.turn(now)
		p.turn(now)
	case age >= turn || p.n >= capacity:
		p.turn(now)
	}
	seen = p.has(p.young, hash)
	if !seen {
		seen = p.has(p.young^1, hash)
		p.set(hash)
	}
	return seen
}

func (p *Pair) turn(now int64) {
	p.young ^= 1
	p.filter[p.young] = [bits / 64]uint64{}
	p.n, p.turned = 0, now
}

// has and set derive their bit positions from one 64-bit hash by double hashing
// (Kirsch and Mitzenmacher, Less Hashing, Same Performance, 2006).
func (p *Pair) has(i uint8, hash uint64) bool {
	h, step := uint32(hash), uint32(hash>>32)|1
	for range hashes {
		if b := h % bits; p.filter[i][b/64]&(1<<(b%64)) == 0 {
			return false
		}
		h += step
	}
	return true
}

func (p *Pair) set(hash uint64) {
	h, step := uint32(hash), uint32(hash>>32)|1
	for range hashes {
		b := h % bits
		p.filter[p.young][b/64] |= 1 << (b % 64)
		h += step
	}
	p.n++
}
