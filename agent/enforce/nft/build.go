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
)

// adopt looks at the tables that an earlier run left. A table whose sets are
// ours stays, with its elements; a table of another layout is removed, and what
// was in force in it is in force again once the caller has applied it again.
func (t *Table) adopt() error {
	for h := range hooks {
		sets, err := t.conn.GetSets(h.table())
		if err != nil || len(sets) == 0 {
			continue // there is no such table
		}
		if !sameLayout(h, sets) {
			t.log.Warn("tables of another layout replaced", "family", h.family())
			t.conn.DelTable(h.table())
			if err := t.flush(); err != nil {
				return fmt.Errorf("remove a table of another layout: %w", err)
			}
		}
	}
	t.armed = t.leftover()
	s := theLayout.quarantined[ingress]
	found, err := t.conn.GetSetElements(s.definition())
	if err != nil {
		return nil // none
	}
	for _, e := range found {
		t.adopted[string(e.Key)] = true
	}
	for _, l := range [][2]*set{{theLayout.shielded4, theLayout.allowed4}, {theLayout.shielded6, theLayout.allowed6}} {
		for _, s := range l {
			t.adoptShield(s)
		}
	}
	t.log.Info("tables adopted", "quarantined", len(found))
	return nil
}

// adoptShield reads which addresses are shielded.
func (t *Table) adoptShield(s *set) {
	found, err := t.conn.GetSetElements(s.definition())
	if err != nil {
		return // none
	}
	for _, e := range found {
		size := int(s.fields[0].size)
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

// sameLayout reports whether the sets of a table are those of ours.
func sameLayout(h hook, found []*nftables.Set) bool {
	want := map[string]*nftables.Set{}
	for _, s := range theLayout.all {
		if s.hook == h {
			want[s.name] = s.definition()
		}
	}
	for _, s := range found {
		w := want[s.Name]
		if w == nil || w.KeyType.GetNFTMagic() != s.KeyType.GetNFTMagic() || w.HasTimeout != s.HasTimeout ||
			w.Size != s.Size || s.IsMap || s.Interval {
			return false
		}
		delete(want, s.Name)
	}
	return len(want) == 0
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
	for h := range hooks {
		t.conn.AddTable(h.table())
		for _, name := range counters[h] {
			t.conn.AddObj(&nftables.NamedObj{Table: h.table(), Name: name, Type: nftables.ObjTypeCounter, Obj: &expr.Counter{}})
		}
		sets, err := t.conn.GetSets(h.table())
		if err != nil {
			continue // no such table yet
		}
		for _, s := range sets {
			known[[2]string{fmt.Sprint(h), s.Name}] = true
		}
	}
	for _, s := range theLayout.all {
		if !known[[2]string{fmt.Sprint(s.hook), s.name}] {
			if err := t.conn.AddSet(s.definition(), nil); err != nil {
				return fmt.Errorf("define set %s: %w", s.name, err)
			}
		}
	}
	if err := t.routerElements(); err != nil {
		return err
	}
	chains := slices.Concat(t.ingressChains(), t.routedChains())
	chains = slices.DeleteFunc(chains, func(c chain) bool { return c.device != "" && !present[c.device] })
	t.writeChains(old, chains)
	if err := t.flush(); err != nil {
		return fmt.Errorf("write the tables: %w", err)
	}
	return nil
}

// writeChains replaces all chains of our tables.
func (t *Table) writeChains(old []*nftables.Chain, chains []chain) {
	wanted := map[[2]string]bool{}
	for _, c := range chains {
		wanted[[2]string{string(c.hook.family()), c.name}] = c.kind == ""
	}
	var stale []*nftables.Chain
	for _, c := range old {
		if c.Table.Name != tableName || c.Table.Family != nftables.TableFamilyNetdev && c.Table.Family != nftables.TableFamilyINet {
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
		t.conn.AddChain(c.definition())
	}
	for _, c := range chains {
		for _, r := range c.rules {
			t.conn.AddRule(&nftables.Rule{Table: c.hook.table(), Chain: &nftables.Chain{Name: c.name}, Exprs: complete(c.hook, r)})
		}
	}
}

func (c *chain) definition() *nftables.Chain {
	d := &nftables.Chain{Name: c.name, Table: c.hook.table()}
	if c.kind != "" {
		policy := nftables.ChainPolicyAccept
		d.Type, d.Hooknum, d.Priority, d.Policy, d.Device = c.kind, c.point, &c.priority, &policy, c.device
	}
	return d
}

// routerElements writes what the router is.
func (t *Table) routerElements() error {
	l, n := theLayout, &t.network
	write := func(s *set, keys [][]byte) error {
		t.conn.FlushSet(s.definition())
		for part := range slices.Chunk(keys, perMessage) {
			elements := make([]nftables.SetElement, len(part))
			for i, k := range part {
				elements[i].Key = k
			}
			if err := t.conn.SetAddElements(s.definition(), elements); err != nil {
				return fmt.Errorf("fill set %s: %w", s.name, err)
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
	own4, own6 := keysOf(routerAddrs(n))
	spared4, spared6 := keysOf(n.Spared)
	for _, w := range []struct {
		set  *set
		keys [][]byte
	}{{l.routerMAC, macs}, {l.routerMACr, macs}, {l.router4, own4}, {l.router6, own6}, {l.spared4, spared4}, {l.spared6, spared6},
		{l.spared4r, spared4}, {l.spared6r, spared6}, {l.probe, ports}} {
		keys := unique(w.keys)
		if len(keys) > few {
			keys = keys[:few]
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
