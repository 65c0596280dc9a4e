package uplink

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

// rank says what goes first when there is no room: the lowest.
type rank uint8

// The ranks. What is only worth its newest (rankNow) never touches flash.
const (
	rankSummary   rank = iota
	rankDevice         // a device that is new or changed
	rankIncident       // incidents and actions
	rankDetection      // with the evidence
	ranks
	rankNow = ranks // health, and what is in force
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

// Bounds of the queue, in bytes unless they say otherwise.
const (
	DefaultQueue = 4 << 20
	segmentSize  = 64 << 10
	maxFresh     = 192 << 10 // in memory and not on flash
	maxItem      = 32 << 10
)

// number names a report within this router.
type number struct {
	start uint32 // of the agent, see Config.Start
	seq   uint64
}

// item is one report that is not acknowledged.
type item struct {
	number
	rank   rank
	urgent bool
	key    string // of rankNow: an older one of the same key is not worth sending
	made   time.Duration
	body   []byte
	seg    *segment // nil: in memory only
	flying bool     // sent, neither acknowledged nor given up
	told   bool     // it is in the ledger
	over   bool     // acknowledged, or had to go
}

// queueConfig configures a queue.
type queueConfig struct {
	dir    string // empty: memory only
	most   int64  // bytes on flash
	claim  func(bytes int) bool
	uptime func() time.Duration
	log    *slog.Logger
}

// queue keeps reports until they are acknowledged: new ones in memory, those that
// wait on flash. Its methods are safe for concurrent use.
type queue struct {
	cfg queueConfig

	mu       sync.Mutex
	fresh    []*item // oldest first; not on flash
	bytes    int     // of fresh
	segments [ranks][]*segment
	loaded   *segment // whose items are in memory to be sent
	serial   uint64   // of the last segment
	onFlash  int64    // bytes
	waiting  int      // reports that are not acknowledged
	lost     uint64   // reports that had to go
	flushed  time.Duration
	broken   string // why the last write failed
	deferred bool   // the budget of writing is used up
}

// openQueue finds what an agent of before could not deliver. What is damaged is
// counted as lost.
func openQueue(cfg queueConfig) (*queue, error) {
	q := &queue{cfg: cfg, flushed: cfg.uptime() - flushGap}
	if cfg.dir == "" {
		return q, nil
	}
	if err := os.MkdirAll(cfg.dir, 0o700); err != nil {
		return q, fmt.Errorf("queue: %w", err)
	}
	found, err := findSegments(cfg.dir)
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

// add takes a new report.
func (q *queue) add(it *item) {
	q.mu.Lock()
	defer q.mu.Unlock()
	if len(it.body) > maxItem {
		q.lost++
		q.cfg.log.Warn("report too large", "bytes", len(it.body))
		return
	}
	if it.key != "" {
		for _, old := range q.fresh {
			if old.key == it.key && !old.flying {
				q.forget(old)
			}
		}
		q.sweep()
	}
	it.made = q.cfg.uptime()
	q.fresh = append(q.fresh, it)
	q.bytes += len(it.body)
	q.waiting++
	q.squeeze()
}

// squeeze makes room in memory: the lowest rank goes first, of it the oldest.
func (q *queue) squeeze() {
	for q.bytes > maxFresh {
		victim := slices.MinFunc(q.fresh, func(a, b *item) int { return cmp.Compare(a.rank%rankNow, b.rank%rankNow) })
		q.forget(victim)
		q.lost++
		q.sweep()
	}
}

// forget marks an item of fresh that is to go; sweep takes it out.
func (q *queue) forget(it *item) {
	it.over = true
	q.waiting--
}

func (q *queue) sweep() {
	q.fresh = slices.DeleteFunc(q.fresh, func(it *item) bool { return it.over || it.seg != nil })
	q.bytes = 0
	for _, it := range q.fresh {
		q.bytes += len(it.body)
	}
}

// next returns items to send, at most n of them with at most size bytes, and marks
// them: what is urgent, then what has waited longest, by rank. With now unset only
// what is urgent or comes from flash is due.
func (q *queue) next(n, size int, now bool) (list []*item) {
	q.mu.Lock()
	defer q.mu.Unlock()
	take := func(it *item) {
		if !it.flying && !it.over && len(list) < n && size >= len(it.body) {
			it.flying = true
			size -= len(it.body)
			list = append(list, it)
		}
	}
	for _, it := range q.fresh {
		if it.urgent {
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
func (q *queue) backlog() bool {
	if q.loaded != nil && slices.ContainsFunc(q.loaded.items, func(it *item) bool { return !it.over }) {
		return true
	}
	q.loaded = nil
	for r := ranks; r > 0; r-- {
		for _, s := range slices.Clone(q.segments[r-1]) {
			if !s.load() {
				q.cfg.log.Warn("queue damaged", "file", s.path, "lost", s.left())
				q.drop(s)
				continue
			}
			q.loaded = s
			return true
		}
	}
	return false
}

// pending reports whether something waits that is not on its way, and whether it is
// urgent or old.
func (q *queue) pending() (any, now bool) {
	q.mu.Lock()
	defer q.mu.Unlock()
	for _, it := range q.fresh {
		if !it.flying {
			any = true
			now = now || it.urgent
		}
	}
	if q.backlog() && slices.ContainsFunc(q.loaded.items, func(it *item) bool { return !it.flying && !it.over }) {
		any, now = true, true
	}
	return any, now
}

// acknowledge lets go of items that core has.
func (q *queue) acknowledge(list []*item) {
	q.mu.Lock()
	defer q.mu.Unlock()
	for _, it := range list {
		if it.over {
			continue
		}
		q.forget(it)
		if s := it.seg; s != nil {
			s.done[it.number] = true
			if len(s.done) >= s.count {
				q.remove(s)
			}
		}
	}
	q.sweep()
}

// giveUp makes items wait again that were sent and not acknowledged.
func (q *queue) giveUp(list []*item) {
	q.mu.Lock()
	defer q.mu.Unlock()
	for _, it := range list {
		it.flying = false
	}
}

// remove takes a segment away with all that is in it.
func (q *queue) remove(s *segment) {
	q.segments[s.rank] = slices.DeleteFunc(q.segments[s.rank], func(o *segment) bool { return o == s })
	q.onFlash -= s.size
	if q.loaded == s {
		q.loaded = nil
	}
	s.remove()
}

// drop removes a segment that is not delivered.
func (q *queue) drop(s *segment) {
	q.lost += uint64(s.left())
	q.waiting -= s.left()
	for _, it := range s.items {
		it.over = true
	}
	q.remove(s)
}

// shrink keeps what is on flash within its bound.
func (q *queue) shrink() {
	for q.onFlash > q.cfg.most {
		for r := range ranks {
			if len(q.segments[r]) > 0 {
				q.drop(q.segments[r][0])
				break
			}
		}
	}
}

// flush writes what has waited long enough for its acknowledgement, or everything.
func (q *queue) flush(all bool) {
	q.mu.Lock()
	defer q.mu.Unlock()
	now := q.cfg.uptime()
	gap := flushGap
	if q.broken != "" {
		gap = brokenGap
	}
	if q.cfg.dir == "" || !all && now-q.flushed < gap {
		return
	}
	due := func(it *item) bool {
		switch {
		case it.rank >= rankNow || it.over:
			return false
		case it.rank >= rankIncident:
			return all || now-it.made >= keepAfter
		}
		return all || now-it.made >= keepLaterAfter || q.bytes > maxFresh/2
	}
	var wanted [ranks]bool // one that is due takes its rank along: the page is written in any case
	for _, it := range q.fresh {
		if due(it) {
			wanted[it.rank] = true
		}
	}
	if wanted == [ranks]bool{} {
		return
	}
	q.flushed = now
	var errs []error
	q.deferred = false
	for r := range ranks {
		var list []*item
		for _, it := range q.fresh {
			if it.rank == r && wanted[r] && !it.over {
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
		q.cfg.log.Warn("queue not written", "err", err)
	}
}

// write appends items of one rank to flash, in as many segments as it takes.
func (q *queue) write(r rank, list []*item) error {
	for len(list) > 0 {
		s := q.open(r)
		n, size := 0, 0
		for n < len(list) && (n == 0 || s.size+int64(size)+recordSize(list[n]) <= segmentSize) {
			size += int(recordSize(list[n]))
			n++
		}
		if q.cfg.claim != nil && !q.cfg.claim(size) {
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
func (q *queue) open(r rank) *segment {
	if of := q.segments[r]; len(of) > 0 {
		if s := of[len(of)-1]; !s.sealed && s.size < segmentSize {
			return s
		}
	}
	q.serial++
	return newSegment(q.cfg.dir, r, q.serial)
}

// queueStats says how a queue is.
type queueStats struct {
	waiting  int
	onFlash  int64
	lost     uint64
	broken   string
	deferred bool
}

func (q *queue) stats() queueStats {
	q.mu.Lock()
	defer q.mu.Unlock()
	return queueStats{q.waiting, q.onFlash, q.lost, q.broken, q.deferred}
}
