// Package spool keeps what has to be delivered until it is: in memory at first, on a
// router's flash when that takes long.
//
// Records of bytes come in with a rank; who delivers them takes them out, what is urgent
// first, and says which arrived. Flash wears out, so what arrives soon is never written
// and nothing is ever rewritten: making room is removing a file of the lowest rank. A
// power cut at any byte loses at most what was being written.
package spool

import (
	"cmp"
	"errors"
	"fmt"
	"log/slog"
	"os"
	"slices"
	"sync"
	"time"
)

// Rank says what goes first when there is no room: the lowest.
type Rank uint8

// Ranks is how many ranks there are on flash. Records of rank Hurried and above are
// written after keepAfter, others after keepLaterAfter. Those of rank Newest never are.
const (
	Hurried Rank = 2
	Ranks   Rank = 4
	Newest       = Ranks
)

// When things are written to flash. What is acknowledged before never is.
const (
	// keepAfter is how long what matters waits in memory for its acknowledgement,
	// keepLaterAfter how long what can be missed does.
	keepAfter      = 10 * time.Second
	keepLaterAfter = 5 * time.Minute
	// flushGap is the least time between two writes.
	flushGap = 20 * time.Second
	// brokenGap is the time to the next try after an error.
	brokenGap = time.Minute
)

// Bounds, in bytes.
const (
	MaxItem     = 32 << 10
	segmentSize = 64 << 10
	maxFresh    = 192 << 10 // in memory and not on flash
)

// Number names a record.
type Number struct {
	Start uint32 // of the program that made it
	Seq   uint64
}

// Item is one record that is not acknowledged. Who made it changes it no more, but for
// Told.
type Item struct {
	Number
	Rank   Rank
	Urgent bool
	Key    string // an older record of the same key is not worth delivering; empty: each is
	Body   []byte
	Told   bool // for the use of who delivers it; not kept

	made   time.Duration
	seg    *segment // nil: in memory only
	flying bool     // taken, neither acknowledged nor given up
	over   bool     // acknowledged, or had to go
}

// Config configures a Queue. Uptime and Log are required.
type Config struct {
	Dir    string               // empty: memory only
	Most   int64                // bytes on flash
	Claim  func(bytes int) bool // asks whether bytes may be written; nil: all may
	Uptime func() time.Duration
	Log    *slog.Logger
}

// Queue keeps records until they are acknowledged: new ones in memory, those that
// wait on flash. Its methods are safe for concurrent use.
type Queue struct {
	cfg Config

	mu       sync.Mutex
	fresh    []*Item // oldest first; not on flash
	bytes    int     // of fresh
	segments [Ranks][]*segment
	loaded   *segment // whose items are in memory to be sent
	serial   uint64   // of the last segment
	onFlash  int64    // bytes
	waiting  int      // records that are not acknowledged
	lost     uint64   // records that had to go
	flushed  time.Duration
	broken   string // why the last write failed
	deferred bool   // the budget of writing is used up
}

// Open finds what a program of before could not deliver. What is damaged is
// counted as lost.
func Open(cfg Config) (*Queue, error) {
	q := &Queue{cfg: cfg, flushed: cfg.Uptime() - flushGap}
	if cfg.Dir == "" {
		return q, nil
	}
	if err := os.MkdirAll(cfg.Dir, 0o700); err != nil {
		return q, fmt.Errorf("spool: %w", err)
	}
	found, err := findSegments(cfg.Dir)
	for _, s := range found {
		q.serial = max(q.serial, s.serial)
		if s.count == 0 {
			s.remove()
			continue
		}
		q.segments[s.rank] = append(q.segments[s.rank], s)
		q.onFlash += s.size
		q.waiting += s.count
		q.lost += uint64(s.damaged)
	}
	q.shrink()
	return q, err
}

// Add takes a new record.
func (q *Queue) Add(it *Item) {
	q.mu.Lock()
	defer q.mu.Unlock()
	if len(it.Body) > MaxItem {
		q.lost++
		q.cfg.Log.Warn("record too large", "bytes", len(it.Body))
		return
	}
	if it.Key != "" {
		for _, old := range q.fresh {
			if old.Key == it.Key && !old.flying {
				q.forget(old)
			}
		}
		q.sweep()
	}
	it.made = q.cfg.Uptime()
	q.fresh = append(q.fresh, it)
	q.bytes += len(it.Body)
	q.waiting++
	q.squeeze()
}

// squeeze makes room in memory: the lowest rank goes first, of it the oldest.
func (q *Queue) squeeze() {
	for q.bytes > maxFresh {
		victim := slices.MinFunc(q.fresh, func(a, b *Item) int { return cmp.Compare(a.Rank%Newest, b.Rank%Newest) })
		q.forget(victim)
		q.lost++
		q.sweep()
	}
}

// forget marks an item of fresh that is to go; sweep takes it out.
func (q *Queue) forget(it *Item) {
	it.over = true
	q.waiting--
}

func (q *Queue) sweep() {
	q.fresh = slices.DeleteFunc(q.fresh, func(it *Item) bool { return it.over || it.seg != nil })
	q.bytes = 0
	for _, it := range q.fresh {
		q.bytes += len(it.Body)
	}
}

// Next returns items to send, at most n of them with at most size bytes, and marks
// them: what is urgent, then what has waited longest, by rank. With now unset only
// what is urgent or comes from flash is due.
func (q *Queue) Next(n, size int, now bool) (list []*Item) {
	q.mu.Lock()
	defer q.mu.Unlock()
	take := func(it *Item) {
		if !it.flying && !it.over && len(list) < n && size >= len(it.Body) {
			it.flying = true
			size -= len(it.Body)
			list = append(list, it)
		}
	}
	for _, it := range q.fresh {
		if it.Urgent {
			take(it)
		}
	}
	if q.backlog() {
		for _, it := range q.loaded.items {
			take(it)
		}
	}
	if now || len(list) > 0 {
		for _, it := range q.fresh {
			take(it)
		}
	}
	return list
}

// backlog sees to it that a segment with something to send is in memory, if there is
// one, and reports whether there is.
func (q *Queue) backlog() bool {
	if q.loaded != nil && slices.ContainsFunc(q.loaded.items, func(it *Item) bool { return !it.over }) {
		return true
	}
	q.loaded = nil
	for r := Ranks; r > 0; r-- {
		for _, s := range slices.Clone(q.segments[r-1]) {
			if !s.load() {
				q.cfg.Log.Warn("spool damaged", "file", s.path, "lost", s.left())
				q.drop(s)
				continue
			}
			q.loaded = s
			return true
		}
	}
	return false
}

// Pending reports whether something waits that is not on its way, and whether it is
// urgent or old.
func (q *Queue) Pending() (any, now bool) {
	q.mu.Lock()
	defer q.mu.Unlock()
	for _, it := range q.fresh {
		if !it.flying {
			any = true
			now = now || it.Urgent
		}
	}
	if q.backlog() && slices.ContainsFunc(q.loaded.items, func(it *Item) bool { return !it.flying && !it.over }) {
		any, now = true, true
	}
	return any, now
}

// Acknowledge lets go of items that core has.
func (q *Queue) Acknowledge(list []*Item) {
	q.mu.Lock()
	defer q.mu.Unlock()
	for _, it := range list {
		if it.over {
			continue
		}
		q.forget(it)
		if s := it.seg; s != nil {
			s.done[it.Number] = true
			if len(s.done) >= s.count {
				q.remove(s)
			}
		}
	}
	q.sweep()
}

// GiveUp makes items wait again that were sent and not acknowledged.
func (q *Queue) GiveUp(list []*Item) {
	q.mu.Lock()
	defer q.mu.Unlock()
	for _, it := range list {
		it.flying = false
	}
}

// remove takes a segment away with all that is in it.
func (q *Queue) remove(s *segment) {
	q.segments[s.rank] = slices.DeleteFunc(q.segments[s.rank], func(o *segment) bool { return o == s })
	q.onFlash -= s.size
	if q.loaded == s {
		q.loaded = nil
	}
	s.remove()
}

// drop removes a segment that is not delivered.
func (q *Queue) drop(s *segment) {
	q.lost += uint64(s.left())
	q.waiting -= s.left()
	for _, it := range s.items {
		it.over = true
	}
	q.remove(s)
}

// shrink keeps what is on flash within its bound.
func (q *Queue) shrink() {
	for q.onFlash > q.cfg.Most {
		for r := range Ranks {
			if len(q.segments[r]) > 0 {
				q.drop(q.segments[r][0])
				break
			}
		}
	}
}

// Flush writes what has waited long enough for its acknowledgement, or everything.
func (q *Queue) Flush(all bool) {
	q.mu.Lock()
	defer q.mu.Unlock()
	now := q.cfg.Uptime()
	gap := flushGap
	if q.broken != "" {
		gap = brokenGap
	}
	if q.cfg.Dir == "" || !all && now-q.flushed < gap {
		return
	}
	due := func(it *Item) bool {
		switch {
		case it.Rank >= Newest || it.over:
			return false
		case it.Rank >= Hurried:
			return all || now-it.made >= keepAfter
		}
		return all || now-it.made >= keepLaterAfter || q.bytes > maxFresh/2
	}
	var wanted [Ranks]bool // one that is due takes its rank along: the page is written in any case
	for _, it := range q.fresh {
		if due(it) {
			wanted[it.Rank] = true
		}
	}
	if wanted == [Ranks]bool{} {
		return
	}
	q.flushed = now
	var errs []error
	q.deferred = false
	for r := range Ranks {
		var list []*Item
		for _, it := range q.fresh {
			if it.Rank == r && wanted[r] && !it.over {
				list = append(list, it)
			}
		}
		errs = append(errs, q.write(r, list))
	}
	q.sweep()
	q.shrink()
	q.broken = ""
	if err := errors.Join(errs...); err != nil {
		q.broken = err.Error()
		q.cfg.Log.Warn("spool not written", "err", err)
	}
}

// write appends items of one rank to flash, in as many segments as it takes.
func (q *Queue) write(r Rank, list []*Item) error {
	for len(list) > 0 {
		s := q.open(r)
		n, size := 0, 0
		for n < len(list) && (n == 0 || s.size+int64(size)+recordSize(list[n]) <= segmentSize) {
			size += int(recordSize(list[n]))
			n++
		}
		if q.cfg.Claim != nil && !q.cfg.Claim(size) {
			q.deferred = true
			return nil
		}
		if err := s.append(list[:n]); err != nil {
			s.sealed = true
			return err
		}
		if s.size == int64(size) { // it is new
			q.segments[r] = append(q.segments[r], s)
		}
		q.onFlash += int64(size)
		list = list[n:]
	}
	return nil
}

// open returns the segment of a rank to append to.
func (q *Queue) open(r Rank) *segment {
	if of := q.segments[r]; len(of) > 0 {
		if s := of[len(of)-1]; !s.sealed && s.size < segmentSize {
			return s
		}
	}
	q.serial++
	return newSegment(q.cfg.Dir, r, q.serial)
}

// Stats says how a Queue is.
type Stats struct {
	Waiting  int
	OnFlash  int64 // bytes
	Lost     uint64
	Broken   string // why the last write failed
	Deferred bool   // the budget of writing is used up
}

// Stats says how the queue is.
func (q *Queue) Stats() Stats {
	q.mu.Lock()
	defer q.mu.Unlock()
	return Stats{q.waiting, q.onFlash, q.lost, q.broken, q.deferred}
}
