package nft

import (
	"context"
	"fmt"
	"time"

	"cordon/agent/enforce/nft/layout"
)

// restAfter is how long nothing must have been in force for any device before the
// chains for it are taken away, so that a limit that comes and goes does not
// rewrite them each time.
const restAfter = time.Minute

// arm puts the chains in place that look at what is in force for devices: at the
// ports, and in the routed table. It is done before the first element, so that
// nothing is in force only half. Most homes are at rest most of the time, and
// then no packet pays for these chains.
func (t *Table) arm(ctx context.Context) error {
	t.quiet = time.Time{}
	if t.armed {
		return nil
	}
	t.armed = true
	if err := t.build(ctx); err != nil {
		t.armed = false // if it is not, the next Check finds chains that are too many
		return fmt.Errorf("bind the chains: %w", err)
	}
	return nil
}

// disarm takes the chains away when nothing has been in force for a while: of
// what this run knows, and of what an earlier one left in the kernel.
func (t *Table) disarm(ctx context.Context, now time.Time) error {
	switch {
	case !t.armed:
		return nil
	case len(t.elements) > 0 || len(t.holes) > 0:
		t.quiet = time.Time{}
		return nil
	case t.quiet.IsZero():
		t.quiet = now
	}
	if now.Sub(t.quiet) < t.rest {
		return nil
	}
	if t.leftover() {
		t.quiet = now
		return nil
	}
	t.armed = false
	if err := t.build(ctx); err != nil {
		t.armed = true
		return fmt.Errorf("release the chains: %w", err)
	}
	return nil
}

// leftover reports whether the kernel has anything in force for a device. A mark
// alone stops nothing, and the router's own MAC always bears one.
func (t *Table) leftover() bool {
	l := layout.Sets
	for _, s := range l.All {
		if s.Static || s.Size == layout.ManyPeers || s == l.Marked || s == l.Marked4 || s == l.Marked6 {
			continue
		}
		if found, err := t.conn.GetSetElements(s.Definition()); err == nil && len(found) > 0 {
			return true
		}
	}
	return false
}
