package nft

import (
	"errors"
	"fmt"
	"net/netip"
	"slices"
	"time"

	"github.com/google/nftables/expr"
	"golang.org/x/sys/unix"

	"cordon"
	"cordon/internal/nfnetlink"
)

// perMessage is how many elements one message carries; the attribute that holds
// them must be shorter than 64 KiB.
const perMessage = 500

// element is one element of one set.
type element struct {
	set *set
	key string
}

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

// key joins the parts of a set's key, each padded to four bytes, as nftables
// lays out concatenations. A key of one part is not padded.
func key(parts ...[]byte) string {
	if len(parts) == 1 {
		return string(parts[0])
	}
	var b []byte
	for _, p := range parts {
		b = append(b, p...)
		for len(b)%4 != 0 {
			b = append(b, 0)
		}
	}
	return string(b)
}

func portBytes(p uint16) []byte { return []byte{byte(p >> 8), byte(p)} }

// keysOf returns the addresses of each family as keys.
func keysOf(addrs []netip.Addr) (four, six [][]byte) {
	for _, a := range addrs {
		switch a = a.Unmap().WithZone(""); {
		case a.Is4():
			four = append(four, a.AsSlice())
		case a.Is6():
			six = append(six, a.AsSlice())
		}
	}
	return four, six
}

// change is what becomes of an element: in the kernel for a time, or gone.
type change struct {
	element
	gone bool
	life time.Duration // 0: for ever
	rate uint32
}

// write makes changes in one transaction. An element that may be there already
// is added, which does nothing if it is, removed, and added again, because adding
// alone would leave its old expiry.
func (t *Table) write(changes []change) error {
	if len(changes) == 0 {
		return nil
	}
	if t.sock == nil {
		return errClosed
	}
	slices.SortStableFunc(changes, func(a, b change) int { return slices.Index(theLayout.all, a.set) - slices.Index(theLayout.all, b.set) })
	t.batch.Reset()
	for len(changes) > 0 {
		n := 1
		for n < len(changes) && n < perMessage && changes[n].set == changes[0].set {
			n++
		}
		group := changes[:n]
		changes = changes[n:]
		elements(&t.batch, unix.NFT_MSG_NEWSETELEM, group)
		elements(&t.batch, unix.NFT_MSG_DELSETELEM, group)
		if keep := slices.DeleteFunc(slices.Clone(group), func(c change) bool { return c.gone }); len(keep) > 0 {
			elements(&t.batch, unix.NFT_MSG_NEWSETELEM, keep)
		}
	}
	return t.commit()
}

// commit commits the batch. An element that ends while its renewal is under way
// makes the transaction fail as a whole; once more, it succeeds.
func (t *Table) commit() error {
	err := t.sock.Commit(subsystem, &t.batch)
	if errors.Is(err, unix.ENOENT) || errors.Is(err, nfnetlink.ErrLost) {
		err = t.sock.Commit(subsystem, &t.batch)
	}
	t.mark.mine(t.sock)
	if err != nil {
		return fmt.Errorf("change sets: %w", outcome(err))
	}
	return nil
}

// elements adds one message about elements of one set. Our own encoder: the
// library has no limits for elements, and takes ten times the memory.
func elements(b *nfnetlink.Batch, kind uint8, group []change) {
	s := group[0].set
	flags := uint16(0)
	if kind == unix.NFT_MSG_NEWSETELEM {
		flags = nfnetlink.Create
	}
	b.Message(subsystem, kind, flags, s.hook.family())
	b.String(unix.NFTA_SET_ELEM_LIST_TABLE, tableName)
	b.String(unix.NFTA_SET_ELEM_LIST_SET, s.name)
	b.Nest(unix.NFTA_SET_ELEM_LIST_ELEMENTS, func() {
		for _, c := range group {
			b.Nest(unix.NFTA_LIST_ELEM, func() {
				b.Nest(unix.NFTA_SET_ELEM_KEY, func() { b.Bytes(unix.NFTA_DATA_VALUE, []byte(c.key)) })
				if kind == unix.NFT_MSG_DELSETELEM || c.gone {
					return
				}
				if !s.static && c.life > 0 {
					b.Uint64(unix.NFTA_SET_ELEM_TIMEOUT, uint64(max(1, c.life.Milliseconds())))
				}
				if s.rate && c.rate > 0 {
					b.Nest(unix.NFTA_SET_ELEM_EXPR, func() { over(b, c.rate) })
				}
			})
		}
	})
}

// over adds the limit of an element: it matches what exceeds rate a second, with
// the burst of a tenth of a second, five at least, as tc's and nft's own.
func over(b *nfnetlink.Batch, rate uint32) {
	b.String(unix.NFTA_EXPR_NAME, "limit")
	b.Nest(unix.NFTA_EXPR_DATA, func() {
		b.Uint64(unix.NFTA_LIMIT_RATE, uint64(max(1, rate)))
		b.Uint64(unix.NFTA_LIMIT_UNIT, uint64(expr.LimitTimeSecond))
		b.Uint32(unix.NFTA_LIMIT_BURST, max(5, rate/10))
		b.Uint32(unix.NFTA_LIMIT_TYPE, unix.NFT_LIMIT_PKTS)
		b.Uint32(unix.NFTA_LIMIT_FLAGS, unix.NFT_LIMIT_F_INV)
	})
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
	case e.set == theLayout.marked && t.isRouter(e.key):
		return change{element: e}, cur == nil
	case !live:
		return change{element: e, gone: true}, cur != nil && cur.until.After(now)
	}
	same := cur != nil && cur.owner == all
	return change{element: e, life: all.until.Sub(now), rate: all.rate}, !same
}

func (t *Table) settle(e element, owners map[string]owner, now time.Time) {
	all, live := together(owners, now)
	if !live {
		delete(t.elements, e)
		return
	}
	t.elements[e] = &inForce{owners: owners, owner: all}
}

// isRouter reports whether a key is a MAC of the router, which is marked for ever.
func (t *Table) isRouter(key string) bool {
	return slices.ContainsFunc(t.network.MACs, func(m cordon.MAC) bool { return string(m[:]) == key })
}
