// Package drift tells whether the tables are as they were made: it asks the kernel for
// little enough to be asked every few seconds. Package nft, above, mends what is not.
package drift

import (
	"encoding/binary"
	"errors"
	"fmt"
	"hash/fnv"

	"golang.org/x/sys/unix"

	"cordon/internal/nfnetlink"
)

// Fingerprint is what the tables looked like when they were built: a hash over
// the names and handles of tables, chains, rules and sets. A handle is given once
// only, so whatever is removed, replaced or added shows.
type Fingerprint struct {
	Sum        [2]uint64 // of the two tables
	Generation uint32    // of the ruleset, after our last change
	Foreign    bool      // somebody else changed the ruleset between our changes
}

// Mine notes the generation after a change of ours. The kernel counts every
// transaction, of every program; a gap means that somebody else made one.
func (f *Fingerprint) Mine(s *nfnetlink.Socket) {
	g, err := Generation(s)
	if err != nil || g != f.Generation+1 {
		f.Foreign = true
	}
	f.Generation = g
}

// Generation returns the number of transactions of this namespace so far.
func Generation(s *nfnetlink.Socket) (g uint32, err error) {
	err = s.Request(unix.NFNL_SUBSYS_NFTABLES, unix.NFT_MSG_GETGEN, 0, unix.AF_UNSPEC, nil, func(b []byte) error {
		if v := nfnetlink.Attribute(b, unix.NFTA_GEN_ID); len(v) == 4 {
			g = binary.BigEndian.Uint32(v)
		}
		return nil
	})
	return g, err
}

// Attributes that x/sys/unix does not name (linux/netfilter/nf_tables.h).
const (
	tableHandle = 4
	chainHandle = 2
	ruleHandle  = 3
	setHandle   = 16
)

// Sum hashes what a table is made of, elements left out.
func Sum(s *nfnetlink.Socket, family uint8, table string) (uint64, error) {
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
				b.String(part.table, table)
			}
		}
		err := s.Request(unix.NFNL_SUBSYS_NFTABLES, part.kind, nfnetlink.Dump, family, filter, func(b []byte) error {
			if string(nfnetlink.Attribute(b, part.table)) != table+"\x00" {
				return nil
			}
			fmt.Fprintf(f, "%d %s %x\n", part.kind, nfnetlink.Attribute(b, part.name), nfnetlink.Attribute(b, part.handle))
			return nil
		})
		if err != nil && !errors.Is(err, unix.ENOENT) {
			return 0, fmt.Errorf("list the %d table: %w", family, err)
		}
	}
	return f.Sum64(), nil
}

// Has asks the kernel for one element.
func Has(s *nfnetlink.Socket, family uint8, table, set, key string) bool {
	err := s.Request(unix.NFNL_SUBSYS_NFTABLES, unix.NFT_MSG_GETSETELEM, 0, family, func(b *nfnetlink.Batch) {
		b.String(unix.NFTA_SET_ELEM_LIST_TABLE, table)
		b.String(unix.NFTA_SET_ELEM_LIST_SET, set)
		b.Nest(unix.NFTA_SET_ELEM_LIST_ELEMENTS, func() {
			b.Nest(unix.NFTA_LIST_ELEM, func() {
				b.Nest(unix.NFTA_SET_ELEM_KEY, func() { b.Bytes(unix.NFTA_DATA_VALUE, []byte(key)) })
			})
		})
	}, nil)
	return err == nil
}
