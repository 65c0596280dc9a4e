package nft

import (
	"context"
	"encoding/binary"
	"errors"
	"fmt"
	"net/netip"
	"slices"

	"github.com/google/nftables"
	"github.com/google/nftables/expr"
	"golang.org/x/sys/unix"

	"cordon"
	"cordon/agent/enforce/nft/layout"
)

// adopt looks at the tables that an earlier run left. A table whose sets are
// ours stays, with its elements; a table of another layout is removed, and what
// was in force in it is in force again once the caller has applied it again.
func (t *Table) adopt() error {
	for h := range layout.Hooks {
		sets, err := t.conn.GetSets(h.Table())
		if err != nil || len(sets) == 0 {
			continue // there is no such table
		}
		if !layout.Same(h, sets) {
			t.log.Warn("tables of another layout replaced", "family", h.Family())
			t.conn.DelTable(h.Table())
			if err := t.flush(); err != nil {
				return fmt.Errorf("remove a table of another layout: %w", err)
			}
		}
	}
	t.armed = t.leftover()
	s := layout.Sets.Quarantined[layout.Ingress]
	found, err := t.conn.GetSetElements(s.Definition())
	if err != nil {
		return nil // none
	}
	for _, e := range found {
		t.adopted[string(e.Key)] = true
	}
	for _, l := range [][2]*layout.Set{{layout.Sets.Shielded4, layout.Sets.Allowed4}, {layout.Sets.Shielded6, layout.Sets.Allowed6}} {
		for _, s := range l {
			t.adoptShield(s)
		}
	}
	t.log.Info("tables adopted", "quarantined", len(found))
	return nil
}

// adoptShield reads which addresses are shielded.
func (t *Table) adoptShield(s *layout.Set) {
	found, err := t.conn.GetSetElements(s.Definition())
	if err != nil {
		return // none
	}
	for _, e := range found {
		size := s.First()
		if len(e.Key) < size {
			continue
		}
		a, _ := netip.AddrFromSlice(e.Key[:size])
		port := uint16(0)
		if len(e.Key) >= size+2 {
			port = binary.BigEndian.Uint16(e.Key[size:])
		}
		t.shielded[netip.AddrPortFrom(a, port)] = true
	}
}

// build makes the tables what they should be, in one transaction: sets that are
// missing are made, chains are written anew, elements stay.
func (t *Table) build(ctx context.Context) error {
	for attempt := 0; ; attempt++ {
		err := t.buildOnce()
		switch {
		case err == nil:
			return t.remember()
		case attempt == 2 || ctx.Err() != nil || !errors.Is(err, unix.ENOENT) && !errors.Is(err, unix.EBUSY):
			return err
		}
		// A port went while the chains were written: look again.
	}
}

func (t *Table) buildOnce() error {
	present := t.presentPorts()
	old, err := t.conn.ListChains()
	if err != nil {
		return fmt.Errorf("list chains: %w", err)
	}
	known := map[[2]string]bool{}
	for h := range layout.Hooks {
		t.conn.AddTable(h.Table())
		for _, name := range layout.Counters[h] {
			t.conn.AddObj(&nftables.NamedObj{Table: h.Table(), Name: name, Type: nftables.ObjTypeCounter, Obj: &expr.Counter{}})
		}
		sets, err := t.conn.GetSets(h.Table())
		if err != nil {
			continue // no such table yet
		}
		for _, s := range sets {
			known[[2]string{fmt.Sprint(h), s.Name}] = true
		}
	}
	for _, s := range layout.Sets.All {
		if !known[[2]string{fmt.Sprint(s.Hook), s.Name}] {
			if err := t.conn.AddSet(s.Definition(), nil); err != nil {
				return fmt.Errorf("define set %s: %w", s.Name, err)
			}
		}
	}
	if err := t.routerElements(); err != nil {
		return err
	}
	shape := layout.Shape{Network: t.home.Network, Home: t.home.Prefixes(), PagePort: t.cfg.PagePort, Armed: t.armed}
	chains := shape.Chains()
	chains = slices.DeleteFunc(chains, func(c layout.Chain) bool { return c.Device != "" && !present[c.Device] })
	t.writeChains(old, chains)
	if err := t.flush(); err != nil {
		return fmt.Errorf("write the tables: %w", err)
	}
	return nil
}

// writeChains replaces all chains of our tables.
func (t *Table) writeChains(old []*nftables.Chain, chains []layout.Chain) {
	wanted := map[[2]string]bool{}
	for _, c := range chains {
		wanted[[2]string{string(c.Hook.Family()), c.Name}] = !c.Base()
	}
	var stale []*nftables.Chain
	for _, c := range old {
		if c.Table.Name != layout.TableName || c.Table.Family != nftables.TableFamilyNetdev && c.Table.Family != nftables.TableFamilyINet {
			continue
		}
		t.conn.FlushChain(c)
		// A base chain is made anew, so that it is bound to the port of today.
		if !wanted[[2]string{string(byte(c.Table.Family)), c.Name}] {
			stale = append(stale, c)
		}
	}
	for _, c := range stale {
		t.conn.DelChain(c)
	}
	for _, c := range chains {
		t.conn.AddChain(c.Definition())
	}
	for _, c := range chains {
		for _, r := range c.Rules() {
			t.conn.AddRule(&nftables.Rule{Table: c.Hook.Table(), Chain: &nftables.Chain{Name: c.Name}, Exprs: r})
		}
	}
}

// routerElements writes what the router is.
func (t *Table) routerElements() error {
	l, n := layout.Sets, &t.home.Network
	write := func(s *layout.Set, keys [][]byte) error {
		t.conn.FlushSet(s.Definition())
		for part := range slices.Chunk(keys, layout.PerMessage) {
			elements := make([]nftables.SetElement, len(part))
			for i, k := range part {
				elements[i].Key = k
			}
			if err := t.conn.SetAddElements(s.Definition(), elements); err != nil {
				return fmt.Errorf("fill set %s: %w", s.Name, err)
			}
		}
		return nil
	}
	var macs, ports [][]byte
	for _, m := range n.MACs {
		macs = append(macs, m[:])
	}
	for _, c := range cordon.PortClasses() {
		for _, p := range c.Ports {
			if c.Probe {
				ports = append(ports, []byte{byte(p >> 8), byte(p)})
			}
		}
	}
	own4, own6 := layout.Keys(t.home.Router())
	spared4, spared6 := layout.Keys(n.Spared)
	for _, w := range []struct {
		set  *layout.Set
		keys [][]byte
	}{{l.RouterMAC, macs}, {l.RouterMACr, macs}, {l.Router4, own4}, {l.Router6, own6}, {l.Spared4, spared4}, {l.Spared6, spared6},
		{l.Spared4r, spared4}, {l.Spared6r, spared6}, {l.Probe, ports}} {
		keys := unique(w.keys)
		if len(keys) > layout.Few {
			keys = keys[:layout.Few]
		}
		if err := write(w.set, keys); err != nil {
			return err
		}
	}
	return nil
}

func unique(keys [][]byte) [][]byte {
	seen := map[string]bool{}
	return slices.DeleteFunc(slices.Clone(keys), func(k []byte) bool {
		was := seen[string(k)]
		seen[string(k)] = true
		return was
	})
}
