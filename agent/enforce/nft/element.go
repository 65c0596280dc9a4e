package nft

import (
	"errors"
	"fmt"
	"time"

	"golang.org/x/sys/unix"

	"cordon"
	"cordon/agent/enforce/nft/layout"
	"cordon/internal/nfnetlink"
)

type (
	element = layout.Element
	change  = layout.Change
)

// owner is what an action wants of an element.
type owner struct {
	until time.Time
	rate  uint32 // of a set with limits, a second; 0: nothing is let through
}

// inForce is an element that is in the kernel, with the actions that want it.
type inForce struct {
	owners map[string]owner // by action id
	owner                   // all of them together, as the kernel has it
}

// together returns what several owners want together: the longest life and the
// lowest rate. Those whose time is over count no more.
func together(owners map[string]owner, now time.Time) (all owner, live bool) {
	for _, o := range owners {
		if !o.until.After(now) {
			continue
		}
		if !live || o.rate < all.rate {
			all.rate = o.rate
		}
		if o.until.After(all.until) {
			all.until = o.until
		}
		live = true
	}
	return all, live
}

// write makes changes in one transaction.
func (t *Table) write(changes []change) error {
	if len(changes) == 0 {
		return nil
	}
	if t.sock == nil {
		return errClosed
	}
	t.batch.Reset()
	layout.Append(&t.batch, changes)
	return t.commit()
}

// commit commits the batch. An element that ends while its renewal is under way
// makes the transaction fail as a whole; once more, it succeeds.
func (t *Table) commit() error {
	err := t.sock.Commit(layout.Subsystem, &t.batch)
	if errors.Is(err, unix.ENOENT) || errors.Is(err, nfnetlink.ErrLost) {
		err = t.sock.Commit(layout.Subsystem, &t.batch)
	}
	t.mark.Mine(t.sock)
	if err != nil {
		return fmt.Errorf("change sets: %w", outcome(err))
	}
	return nil
}

// own sets or removes (until zero) what one action wants of elements, and
// writes what that changes.
func (t *Table) own(id string, wants map[element]owner, now time.Time) error {
	next := make(map[element]map[string]owner, len(wants))
	var changes []change
	for e, w := range wants {
		owners := map[string]owner{}
		if cur := t.elements[e]; cur != nil {
			for k, o := range cur.owners {
				owners[k] = o
			}
		}
		if w.until.IsZero() {
			delete(owners, id)
		} else {
			owners[id] = w
		}
		next[e] = owners
		if c, differs := t.differs(e, owners, now); differs {
			changes = append(changes, c)
		}
	}
	err := t.write(changes)
	if err != nil && !errors.Is(err, cordon.ErrUnknown) {
		return err
	}
	for e, owners := range next {
		t.settle(e, owners, now)
	}
	return err
}

// differs returns what must be written for an element to be as its owners want
// it, false if it is already.
func (t *Table) differs(e element, owners map[string]owner, now time.Time) (change, bool) {
	all, live := together(owners, now)
	cur := t.elements[e]
	switch {
	case e.Set == layout.Sets.Marked && t.home.IsRouterMAC(e.Key):
		return change{Element: e}, cur == nil
	case !live:
		return change{Element: e, Gone: true}, cur != nil && cur.until.After(now)
	}
	same := cur != nil && cur.owner == all
	return change{Element: e, Life: all.until.Sub(now), Rate: all.rate}, !same
}

func (t *Table) settle(e element, owners map[string]owner, now time.Time) {
	all, live := together(owners, now)
	if !live {
		delete(t.elements, e)
		return
	}
	t.elements[e] = &inForce{owners: owners, owner: all}
}
