package layout

import (
	"net/netip"
	"slices"
	"time"

	"github.com/google/nftables/expr"
	"golang.org/x/sys/unix"

	"cordon/internal/nfnetlink"
)

// Subsystem is that of nftables in netlink messages.
const Subsystem = unix.NFNL_SUBSYS_NFTABLES

// PerMessage is how many elements one message carries; the attribute that holds
// them must be shorter than 64 KiB.
const PerMessage = 500

// Element is one element of one set.
type Element struct {
	Set *Set
	Key string
}

// Of is the element of a set whose key has these parts.
func Of(s *Set, parts ...[]byte) Element { return Element{Set: s, Key: Key(parts...)} }

// Key joins the parts of a set's key, each padded to four bytes, as nftables
// lays out concatenations. A key of one part is not padded.
func Key(parts ...[]byte) string {
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

// PortBytes is a port as a part of a key, in the order of the network.
func PortBytes(p uint16) []byte { return []byte{byte(p >> 8), byte(p)} }

// Keys returns the addresses of each family as keys.
func Keys(addrs []netip.Addr) (four, six [][]byte) {
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

// Change is what becomes of an element: in the kernel for a time, or gone.
type Change struct {
	Element
	Gone bool
	Life time.Duration // 0: for ever
	Rate uint32
}

// Append adds the messages that make changes. An element that may be there already is
// added, which does nothing if it is, removed, and added again, because adding alone
// would leave its old expiry.
func Append(b *nfnetlink.Batch, changes []Change) {
	slices.SortStableFunc(changes, func(a, b Change) int { return slices.Index(Sets.All, a.Set) - slices.Index(Sets.All, b.Set) })
	for len(changes) > 0 {
		n := 1
		for n < len(changes) && n < PerMessage && changes[n].Set == changes[0].Set {
			n++
		}
		group := changes[:n]
		changes = changes[n:]
		elements(b, unix.NFT_MSG_NEWSETELEM, group)
		elements(b, unix.NFT_MSG_DELSETELEM, group)
		if keep := slices.DeleteFunc(slices.Clone(group), func(c Change) bool { return c.Gone }); len(keep) > 0 {
			elements(b, unix.NFT_MSG_NEWSETELEM, keep)
		}
	}
}

// elements adds one message about elements of one set. Our own encoder: the
// library has no limits for elements, and takes ten times the memory.
func elements(b *nfnetlink.Batch, kind uint8, group []Change) {
	s := group[0].Set
	flags := uint16(0)
	if kind == unix.NFT_MSG_NEWSETELEM {
		flags = nfnetlink.Create
	}
	b.Message(Subsystem, kind, flags, s.Hook.Family())
	b.String(unix.NFTA_SET_ELEM_LIST_TABLE, TableName)
	b.String(unix.NFTA_SET_ELEM_LIST_SET, s.Name)
	b.Nest(unix.NFTA_SET_ELEM_LIST_ELEMENTS, func() {
		for _, c := range group {
			b.Nest(unix.NFTA_LIST_ELEM, func() {
				b.Nest(unix.NFTA_SET_ELEM_KEY, func() { b.Bytes(unix.NFTA_DATA_VALUE, []byte(c.Key)) })
				if kind == unix.NFT_MSG_DELSETELEM || c.Gone {
					return
				}
				if !s.Static && c.Life > 0 {
					b.Uint64(unix.NFTA_SET_ELEM_TIMEOUT, uint64(max(1, c.Life.Milliseconds())))
				}
				if s.Rate && c.Rate > 0 {
					b.Nest(unix.NFTA_SET_ELEM_EXPR, func() { over(b, c.Rate) })
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
