package nft

import (
	"context"
	"encoding/binary"
	"errors"
	"fmt"
	"hash/fnv"
	"math/rand/v2"
	"time"

	"github.com/google/nftables"
	"github.com/google/nftables/expr"
	"golang.org/x/sys/unix"

	"cordon/internal/nfnetlink"
)

// Drift is what another program changed about our tables.
type Drift struct {
	Found    []string // in words, none: nothing was changed
	Repaired bool     // all of it was put right
}

// fingerprint is what the tables looked like when they were built: a hash over
// the names and handles of tables, chains, rules and sets. A handle is given once
// only, so whatever is removed, replaced or added shows.
type fingerprint struct {
	sum        [hooks]uint64
	generation uint32 // of the ruleset, after our last change
	foreign    bool   // somebody else changed the ruleset between our changes
}

// mine notes the generation after a change of ours. The kernel counts every
// transaction, of every program; a gap means that somebody else made one.
func (f *fingerprint) mine(s *nfnetlink.Socket) {
	g, err := generation(s)
	if err != nil || g != f.generation+1 {
		f.foreign = true
	}
	f.generation = g
}

// generation returns the number of transactions of this namespace so far.
func generation(s *nfnetlink.Socket) (g uint32, err error) {
	err = s.Request(subsystem, unix.NFT_MSG_GETGEN, 0, unix.AF_UNSPEC, nil, func(b []byte) error {
		if v := nfnetlink.Attribute(b, unix.NFTA_GEN_ID); len(v) == 4 {
			g = binary.BigEndian.Uint32(v)
		}
		return nil
	})
	return g, err
}

// remember takes the fingerprint of what was just built.
func (t *Table) remember() error {
	var err error
	t.mark.foreign = false
	if t.mark.generation, err = generation(t.sock); err != nil {
		return fmt.Errorf("read the generation: %w", err)
	}
	for h := range hooks {
		if t.mark.sum[h], err = sum(t.sock, h); err != nil {
			return err
		}
	}
	return nil
}

// Attributes that x/sys/unix does not name (linux/netfilter/nf_tables.h).
const (
	tableHandle = 4
	chainHandle = 2
	ruleHandle  = 3
	setHandle   = 16
)

// sum hashes what a table is made of, elements left out.
func sum(s *nfnetlink.Socket, h hook) (uint64, error) {
	f := fnv.New64a()
	for _, part := range []struct {
		kind                uint8
		table, name, handle uint16
	}{
		{unix.NFT_MSG_GETTABLE, unix.NFTA_TABLE_NAME, unix.NFTA_TABLE_NAME, tableHandle},
		{unix.NFT_MSG_GETCHAIN, unix.NFTA_CHAIN_TABLE, unix.NFTA_CHAIN_NAME, chainHandle},
		{unix.NFT_MSG_GETRULE, unix.NFTA_RULE_TABLE, unix.NFTA_RULE_CHAIN, ruleHandle},
		{unix.NFT_MSG_GETSET, unix.NFTA_SET_TABLE, unix.NFTA_SET_NAME, setHandle},
	} {
		filter := func(b *nfnetlink.Batch) {
			if part.kind == unix.NFT_MSG_GETRULE || part.kind == unix.NFT_MSG_GETSET {
				b.String(part.table, tableName)
			}
		}
		err := s.Request(subsystem, part.kind, nfnetlink.Dump, h.family(), filter, func(b []byte) error {
			if string(nfnetlink.Attribute(b, part.table)) != tableName+"\x00" {
				return nil
			}
			fmt.Fprintf(f, "%d %s %x\n", part.kind, nfnetlink.Attribute(b, part.name), nfnetlink.Attribute(b, part.handle))
			return nil
		})
		if err != nil && !errors.Is(err, unix.ENOENT) {
			return 0, fmt.Errorf("list the %d table: %w", h.family(), err)
		}
	}
	return f.Sum64(), nil
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
	g, err := generation(t.sock)
	if err != nil {
		return d, fmt.Errorf("read the generation: %w", outcome(err))
	}
	if g == t.mark.generation && !t.mark.foreign {
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
	t.mark.generation, err = generation(t.sock)
	t.mark.foreign = false
	d.Repaired = len(d.Found) > 0
	return d, outcome(err)
}

// compare looks at the tables, without their elements.
func (t *Table) compare(d *Drift) (changed bool, err error) {
	for h := range hooks {
		is, err := sum(t.sock, h)
		if err != nil {
			return false, err
		}
		if is != t.mark.sum[h] {
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
	before := len(t.old)
	t.keepOld(nil, t.network.Home, now)
	if len(t.old) == before {
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
			missing = append(missing, change{element: e})
		}
	}
	for _, m := range t.network.MACs {
		if e := (element{theLayout.marked, string(m[:])}); !t.has(e) {
			missing = append(missing, change{element: e})
		}
	}
	for e, until := range t.holes {
		if until.After(now) && !t.has(e) {
			missing = append(missing, change{element: e, life: until.Sub(now)})
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
	if e.set == theLayout.marked && t.isRouter(e.key) {
		return change{element: e}, true
	}
	return change{element: e, life: all.until.Sub(now), rate: all.rate}, live
}

// refillPlaces asks for a few places of each set, and writes all of a set again
// if one of those is missing.
func (t *Table) refillPlaces(d *Drift, now time.Time) error {
	bySet := map[*set][]change{}
	for p, until := range t.hostile {
		e := p.element()
		bySet[e.set] = append(bySet[e.set], change{element: e, life: until.Sub(now)})
	}
	for s, all := range bySet {
		lost := false
		for range samples {
			if e := all[rand.IntN(len(all))]; !t.has(e.element) && e.life > time.Second {
				lost = true
			}
		}
		if !lost {
			continue
		}
		d.Found = append(d.Found, fmt.Sprintf("places were missing from %s", s.name))
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
	err := t.sock.Request(subsystem, unix.NFT_MSG_GETSETELEM, 0, e.set.hook.family(), func(b *nfnetlink.Batch) {
		b.String(unix.NFTA_SET_ELEM_LIST_TABLE, tableName)
		b.String(unix.NFTA_SET_ELEM_LIST_SET, e.set.name)
		b.Nest(unix.NFTA_SET_ELEM_LIST_ELEMENTS, func() {
			b.Nest(unix.NFTA_LIST_ELEM, func() {
				b.Nest(unix.NFTA_SET_ELEM_KEY, func() { b.Bytes(unix.NFTA_DATA_VALUE, []byte(e.key)) })
			})
		})
	}, nil)
	return err == nil
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
	for h := range hooks {
		found, err := t.conn.GetNamedObjects(h.table())
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
