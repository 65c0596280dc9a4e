package nft

import (
	"context"
	"fmt"
	"math/rand/v2"
	"time"

	"github.com/google/nftables"
	"github.com/google/nftables/expr"

	"cordon/agent/enforce/nft/drift"
	"cordon/agent/enforce/nft/layout"
)

// Drift is what another program changed about our tables.
type Drift struct {
	Found    []string // in words, none: nothing was changed
	Repaired bool     // all of it was put right
}

// remember takes the fingerprint of what was just built.
func (t *Table) remember() error {
	var err error
	t.mark.Foreign = false
	if t.mark.Generation, err = drift.Generation(t.sock); err != nil {
		return fmt.Errorf("read the generation: %w", err)
	}
	for h := range layout.Hooks {
		if t.mark.Sum[h], err = drift.Sum(t.sock, h.Family(), layout.TableName); err != nil {
			return err
		}
	}
	return nil
}

// Check compares the kernel with what should be in it and puts it right. If
// nobody changed the ruleset since our last change it asks for one number. It is
// called every few seconds; it also takes from the chains what has had its time,
// such as prefixes of the past.
func (t *Table) Check(ctx context.Context) (Drift, error) {
	t.mu.Lock()
	defer t.mu.Unlock()
	var d Drift
	if t.conn == nil {
		return d, errClosed
	}
	now := time.Now()
	t.lapse(0, now)
	t.lapsePlaces(now)
	if err := t.dropOld(ctx, now); err != nil {
		return d, err
	}
	if err := t.disarm(ctx, now); err != nil {
		return d, err
	}
	t.cutPlaces()
	g, err := drift.Generation(t.sock)
	if err != nil {
		return d, fmt.Errorf("read the generation: %w", outcome(err))
	}
	if g == t.mark.Generation && !t.mark.Foreign {
		return d, nil
	}
	rebuild, err := t.compare(&d)
	if err != nil {
		return d, err
	}
	if rebuild {
		if err := t.build(ctx); err != nil {
			return d, fmt.Errorf("repair the tables: %w", err)
		}
	}
	if err := t.refill(&d, now); err != nil {
		return d, err
	}
	t.mark.Generation, err = drift.Generation(t.sock)
	t.mark.Foreign = false
	d.Repaired = len(d.Found) > 0
	return d, outcome(err)
}

// compare looks at the tables, without their elements.
func (t *Table) compare(d *Drift) (changed bool, err error) {
	for h := range layout.Hooks {
		is, err := drift.Sum(t.sock, h.Family(), layout.TableName)
		if err != nil {
			return false, err
		}
		if is != t.mark.Sum[h] {
			changed = true
			d.Found = append(d.Found, [...]string{"the netdev table", "the inet table"}[h]+" was changed")
		}
	}
	return changed, nil
}

// lapsePlaces forgets places and holes whose time is over.
func (t *Table) lapsePlaces(now time.Time) {
	for p, until := range t.hostile {
		if !until.After(now) {
			delete(t.hostile, p)
		}
	}
	for e, until := range t.holes {
		if !until.After(now) {
			delete(t.holes, e)
		}
	}
}

// dropOld takes prefixes of the past out of the chains once their time is over.
func (t *Table) dropOld(ctx context.Context, now time.Time) error {
	if !t.home.Lapse(now) {
		return nil
	}
	return t.build(ctx)
}

// samples is how many places are asked for to see whether a large set still has
// what was put into it. Listing it would take seconds (docs/enforcement.md).
const samples = 8

// refill puts back the elements that are missing.
func (t *Table) refill(d *Drift, now time.Time) error {
	var missing []change
	for e, cur := range t.elements {
		if c, live := t.stillWanted(e, cur, now); live && !t.has(e) {
			missing = append(missing, c)
		}
	}
	for ap := range t.shielded {
		if e := shieldElement(ap); !t.has(e) {
			missing = append(missing, change{Element: e})
		}
	}
	for _, m := range t.home.Network.MACs {
		if e := (layout.Of(layout.Sets.Marked, m[:])); !t.has(e) {
			missing = append(missing, change{Element: e})
		}
	}
	for e, until := range t.holes {
		if until.After(now) && !t.has(e) {
			missing = append(missing, change{Element: e, Life: until.Sub(now)})
		}
	}
	if len(missing) > 0 {
		d.Found = append(d.Found, fmt.Sprintf("%d elements were missing", len(missing)))
	}
	if err := t.write(missing); err != nil {
		return err
	}
	return t.refillPlaces(d, now)
}

func (t *Table) stillWanted(e element, cur *inForce, now time.Time) (change, bool) {
	all, live := together(cur.owners, now)
	if e.Set == layout.Sets.Marked && t.home.IsRouterMAC(e.Key) {
		return change{Element: e}, true
	}
	return change{Element: e, Life: all.until.Sub(now), Rate: all.rate}, live
}

// refillPlaces asks for a few places of each set, and writes all of a set again
// if one of those is missing.
func (t *Table) refillPlaces(d *Drift, now time.Time) error {
	bySet := map[*layout.Set][]change{}
	for p, until := range t.hostile {
		e := p.element()
		bySet[e.Set] = append(bySet[e.Set], change{Element: e, Life: until.Sub(now)})
	}
	for s, all := range bySet {
		lost := false
		for range samples {
			if e := all[rand.IntN(len(all))]; !t.has(e.Element) && e.Life > time.Second {
				lost = true
			}
		}
		if !lost {
			continue
		}
		d.Found = append(d.Found, fmt.Sprintf("places were missing from %s", s.Name))
		for len(all) > 0 {
			n := min(len(all), perCommit)
			if err := t.write(all[:n]); err != nil {
				return err
			}
			all = all[n:]
		}
	}
	return nil
}

// has asks the kernel for one element.
func (t *Table) has(e element) bool {
	return drift.Has(t.sock, e.Set.Hook.Family(), layout.TableName, e.Set.Name, e.Key)
}

// Count is how much was stopped for a reason.
type Count struct {
	Packets, Bytes uint64
}

// Counts returns what was stopped since the tables were made, by reason: those
// of docs/enforcement.md.
func (t *Table) Counts(context.Context) (map[string]Count, error) {
	t.mu.Lock()
	defer t.mu.Unlock()
	if t.conn == nil {
		return nil, errClosed
	}
	counts := make(map[string]Count)
	for h := range layout.Hooks {
		found, err := t.conn.GetNamedObjects(h.Table())
		if err != nil {
			return nil, fmt.Errorf("read counters: %w", err)
		}
		for _, o := range found {
			named, ok := o.(*nftables.NamedObj)
			if !ok {
				continue
			}
			if n, ok := named.Obj.(*expr.Counter); ok {
				c := counts[named.Name]
				counts[named.Name] = Count{c.Packets + n.Packets, c.Bytes + n.Bytes}
			}
		}
	}
	return counts, nil
}
