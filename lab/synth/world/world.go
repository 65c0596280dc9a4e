// Package world plays a home that never existed: processes take turns in
// simulated time and every packet they send is handed, in time order, to a
// [Sink]. What goes in is a [Home] and the behaviours of its devices; what comes
// out is what the router would see on its LAN side. lab/synth calls it.
//
// A behaviour is an ordinary function on a [Proc] that sends and sleeps. Since
// nobody waits for a real clock and only one process runs at a time, the same
// seed always gives the same packets.
package world

import (
	"container/heap"
	"iter"
	"math/rand/v2"
	"net/netip"
	"time"

	"cordon"
	"cordon/lab/synth/frame"
	"cordon/lab/synth/message"
)

// Sink takes the frames in time order; the bytes are valid during the call only.
// An error ends the play.
type Sink interface {
	Packet(at cordon.Time, frame []byte) error
}

// World is one play. Create it with New, add processes with Go, then Run.
type World struct {
	Home *Home
	Net  *Internet

	begin, end cordon.Time
	sink       Sink
	err        error
	queue      queue
	started    uint64
	seed       uint64

	frame  frame.Buffer
	record [5 + 16384]byte // a sealed TLS record, for bulk data
	outage []span
}

type span struct{ from, to cordon.Time }

// New returns a world that plays from begin for length; seed decides everything
// that is left to chance.
func New(seed uint64, begin cordon.Time, length time.Duration, sink Sink) *World {
	w := &World{begin: begin, end: begin.Add(length), sink: sink, seed: seed}
	r := w.Random("world")
	copy(w.record[:], message.Sealed(r, 16384))
	w.Net = newInternet(w.Random("internet"))
	w.Home = newHome(w.Random("home"))
	return w
}

// Random returns a source of chance of its own for what the name says, so that
// adding a device to a home changes nothing for the others.
func (w *World) Random(name string) *rand.Rand {
	h := uint64(14695981039346656037) // FNV-1a
	for _, c := range []byte(name) {
		h = (h ^ uint64(c)) * 1099511628211
	}
	return rand.New(rand.NewPCG(w.seed, h))
}

// Begin is the first moment of the play.
func (w *World) Begin() cordon.Time { return w.begin }

// End is the moment at which nothing more is sent.
func (w *World) End() cordon.Time { return w.end }

// Outage cuts the line to the internet from one moment to another, both counted
// from the beginning of the play: nothing comes in.
func (w *World) Outage(from, to time.Duration) {
	w.outage = append(w.outage, span{w.begin.Add(from), w.begin.Add(to)})
}

// cut returns when the outage at t ends, and whether there is one.
func (w *World) cut(t cordon.Time) (cordon.Time, bool) {
	for _, s := range w.outage {
		if t >= s.from && t < s.to {
			return s.to, true
		}
	}
	return 0, false
}

// Go adds a process that begins after the given time of the play.
func (w *World) Go(name string, after time.Duration, f func(*Proc)) {
	w.start(w.begin.Add(after), w.Random(name), f)
}

// Run plays until the end or the sink's first error, which it returns.
func (w *World) Run() error {
	for len(w.queue) > 0 && w.queue[0].now < w.end && w.err == nil {
		p := w.queue[0]
		if _, running := p.next(); running {
			heap.Fix(&w.queue, 0)
		} else {
			heap.Pop(&w.queue)
		}
	}
	for _, p := range w.queue {
		p.over = true
		p.stop()
	}
	w.queue = nil
	return w.err
}

// Proc is one process. Its methods may be called by its own function only.
type Proc struct {
	*rand.Rand
	World *World

	now   cordon.Time
	order uint64 // who came first goes first
	over  bool
	yield func(struct{}) bool
	next  func() (struct{}, bool)
	stop  func()
}

func (w *World) start(at cordon.Time, r *rand.Rand, f func(*Proc)) {
	w.started++
	p := &Proc{Rand: r, World: w, now: at, order: w.started}
	p.next, p.stop = iter.Pull(func(yield func(struct{}) bool) {
		p.yield = yield
		f(p)
	})
	heap.Push(&w.queue, p)
}

// Now is the time of the play.
func (p *Proc) Now() cordon.Time { return p.now }

// Since returns the time from t to now.
func (p *Proc) Since(t cordon.Time) time.Duration { return p.now.Sub(t) }

// Go starts another process now. It shares p's source of chance.
func (p *Proc) Go(f func(*Proc)) { p.After(0, f) }

// After starts another process later.
func (p *Proc) After(d time.Duration, f func(*Proc)) {
	if !p.over {
		p.World.start(p.now.Add(d), p.Rand, f)
	}
}

// Sleep lets d pass and reports whether the play goes on. After its end Sleep
// returns at once and nothing is sent any more, so an endless loop must be a
// loop on Sleep.
func (p *Proc) Sleep(d time.Duration) bool {
	p.now = p.now.Add(max(d, 0))
	if p.over {
		return false
	}
	if p.now < p.World.queue.second() && p.now < p.World.end && p.World.err == nil {
		return true // nobody else's turn comes first
	}
	p.over = !p.yield(struct{}{})
	return !p.over
}

// Jitter is d ± share, evenly spread. The conversion keeps compilers from fusing
// the sum, which would round differently on other machines.
func (p *Proc) Jitter(d time.Duration, share float64) time.Duration {
	return time.Duration(float64(d) * (1 + float64(share*(2*p.Float64()-1))))
}

// Poisson is a random time between events that come every d on average, at most 5 d.
func (p *Proc) Poisson(d time.Duration) time.Duration {
	return time.Duration(min(p.ExpFloat64(), 5) * float64(d))
}

// emit hands a frame to the sink.
func (p *Proc) emit(frame []byte) {
	if !p.over && p.World.err == nil && p.now < p.World.end {
		p.World.err = p.World.sink.Packet(p.now, frame)
	}
}

// queue is a heap of processes by the time of their next turn. The running
// process stays at the top.
type queue []*Proc

func (q queue) Len() int { return len(q) }
func (q queue) Less(i, j int) bool {
	return q[i].now < q[j].now || q[i].now == q[j].now && q[i].order < q[j].order
}
func (q queue) Swap(i, j int) { q[i], q[j] = q[j], q[i] }

// Push is for container/heap.
func (q *queue) Push(x any) { *q = append(*q, x.(*Proc)) }

// Pop is for container/heap.
func (q *queue) Pop() any {
	last := len(*q) - 1
	p := (*q)[last]
	(*q)[last] = nil
	*q = (*q)[:last]
	return p
}

// second returns when the next turn of another process than the top's comes.
func (q queue) second() cordon.Time {
	switch {
	case len(q) > 2 && q[2].now < q[1].now:
		return q[2].now
	case len(q) > 1:
		return q[1].now
	}
	return 1<<63 - 1
}

// PublicAddr returns a random address such as a worm would try: not private,
// not reserved, not of the networks that Mirai's scanner leaves out.
func PublicAddr(r *rand.Rand) netip.Addr {
	for {
		a := r.Uint32()
		o1, o2 := byte(a>>24), byte(a>>16)
		switch {
		case o1 == 0, o1 == 3, o1 == 10, o1 == 15, o1 == 16, o1 == 56, o1 == 127, o1 >= 224,
			o1 == 192 && o2 == 168, o1 == 172 && o2&0xf0 == 16, o1 == 100 && o2&0xc0 == 64,
			o1 == 169 && o2 == 254, o1 == 198 && o2&0xfe == 18,
			o1 == 6, o1 == 7, o1 == 11, o1 == 21, o1 == 22, o1 == 26, o1 == 28, o1 == 29, o1 == 30,
			o1 == 33, o1 == 55, o1 == 214, o1 == 215:
			continue
		}
		return netip.AddrFrom4([4]byte{o1, o2, byte(a >> 8), byte(a)})
	}
}
