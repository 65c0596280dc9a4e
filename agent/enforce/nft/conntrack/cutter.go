package conntrack

import (
	"fmt"
	"log/slog"
	"sync"
)

// maxCuts bounds the queue of actions whose connections wait to be cut.
const maxCuts = 256

// attempts is how often connections are looked for before those that are still
// there are reported: new ones may have begun while the first were deleted.
const attempts = 3

// Cutter ends the connections that actions concern, on a goroutine of its own,
// so that nobody waits for a table of 200,000 entries to be listed.
type Cutter struct {
	table *Table
	done  func(string, int, error)
	log   *slog.Logger
	queue chan Job
	ended sync.WaitGroup
}

// Job is what connections to end.
type Job struct {
	ID      string // of the action; empty: nobody is told
	Matches []Match
	Failed  func() // what else is to be done when connections are left; may be nil
}

// NewCutter starts a Cutter of the calling thread's namespace. done, if not nil, is
// told how many connections each job ended.
func NewCutter(done func(string, int, error), log *slog.Logger) (*Cutter, error) {
	table, err := Open()
	if err != nil {
		return nil, fmt.Errorf("open connection tracking: %w", err)
	}
	c := &Cutter{table: table, done: done, log: log, queue: make(chan Job, maxCuts)}
	c.ended.Go(c.run)
	return c, nil
}

// Close does what is queued and ends.
func (c *Cutter) Close() {
	close(c.queue)
	c.ended.Wait()
	c.table.Close()
}

func (c *Cutter) run() {
	for job := range c.queue {
		n, err := c.do(job.Matches)
		if err != nil {
			c.log.Warn("connections not cut", "action", job.ID, "cut", n, "err", err)
			if job.Failed != nil {
				job.Failed()
			}
		}
		if c.done != nil && job.ID != "" {
			c.done(job.ID, n, err)
		}
	}
}

// Cut queues the connections of an action. If the queue is full, new packets of
// these connections are still dropped at the ports.
func (c *Cutter) Cut(id string, matches []Match) {
	if len(matches) > 0 && !c.Add(Job{ID: id, Matches: matches}) {
		c.log.Warn("connections not cut: the queue is full", "action", id)
	}
}

// Add queues a job, if there is room.
func (c *Cutter) Add(job Job) bool {
	select {
	case c.queue <- job:
		return true
	default:
		return false
	}
}

// do deletes, and looks whether any is left.
func (c *Cutter) do(matches []Match) (cut int, err error) {
	for i := range matches {
		left := 0
		for range attempts {
			n, err := c.table.Cut(&matches[i])
			if err != nil {
				return cut, err
			}
			cut += n
			if left, err = c.table.Count(&matches[i]); err != nil {
				return cut, err
			}
			if left == 0 {
				break
			}
		}
		if left > 0 {
			return cut, fmt.Errorf("%d connections are still there", left)
		}
	}
	return cut, nil
}
