package nft

import (
	"fmt"
	"log/slog"
	"net/netip"
	"slices"
	"sync"

	"cordon"
	"cordon/agent/enforce/nft/conntrack"
)

// maxCuts bounds the queue of actions whose connections wait to be cut.
const maxCuts = 256

// attempts is how often connections are looked for before those that are still
// there are reported: new ones may have begun while the first were deleted.
const attempts = 3

// cutter ends the connections that actions concern, on a goroutine of its own,
// so that nobody waits for a table of 200,000 entries to be listed.
type cutter struct {
	table *conntrack.Table
	done  func(string, int, error)
	log   *slog.Logger
	queue chan cutting
	ended sync.WaitGroup
}

type cutting struct {
	id      string // of the action; empty: places known to be hostile
	matches []conntrack.Match
	failed  func() // what else is to be done when connections are left; may be nil
}

func newCutter(done func(string, int, error), log *slog.Logger) (*cutter, error) {
	table, err := conntrack.Open()
	if err != nil {
		return nil, fmt.Errorf("open connection tracking: %w", err)
	}
	c := &cutter{table: table, done: done, log: log, queue: make(chan cutting, maxCuts)}
	c.ended.Go(c.run)
	return c, nil
}

// close does what is queued and ends.
func (c *cutter) close() {
	close(c.queue)
	c.ended.Wait()
	c.table.Close()
}

func (c *cutter) run() {
	for job := range c.queue {
		n, err := c.do(job.matches)
		if err != nil {
			c.log.Warn("connections not cut", "action", job.id, "cut", n, "err", err)
			if job.failed != nil {
				job.failed()
			}
		}
		if c.done != nil && job.id != "" {
			c.done(job.id, n, err)
		}
	}
}

// cut queues the connections of an action. If the queue is full, new packets of
// these connections are still dropped at the ports.
func (c *cutter) cut(id string, matches []conntrack.Match) {
	if len(matches) > 0 && !c.add(cutting{id: id, matches: matches}) {
		c.log.Warn("connections not cut: the queue is full", "action", id)
	}
}

// add queues a job, if there is room.
func (c *cutter) add(job cutting) bool {
	select {
	case c.queue <- job:
		return true
	default:
		return false
	}
}

// do deletes, and looks whether any is left.
func (c *cutter) do(matches []conntrack.Match) (cut int, err error) {
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

// cutsOf returns which connections an action ends. A limit ends none.
func cutsOf(d *cordon.Device, a *cordon.Action) []conntrack.Match {
	addrs := addrsOf(d)
	if len(addrs) == 0 || a.Verb != cordon.VerbBlock && a.Verb != cordon.VerbQuarantine || a.Entity.Target.Stray {
		return nil
	}
	t := &a.Entity.Target
	m := conntrack.Match{Devices: slices.Clone(addrs), Proto: t.Proto, Ports: slices.Clone(t.Ports), Local: t.LocalPort}
	switch peer := t.Peer.Unmap().WithZone(""); {
	case peer.IsValid():
		m.Peer = netip.PrefixFrom(peer, peer.BitLen())
	case t.Net.IsValid():
		m.Peer = t.Net.Masked()
	}
	return []conntrack.Match{m}
}
