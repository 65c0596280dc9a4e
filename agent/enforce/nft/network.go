package nft

import (
	"context"
	"fmt"
	"net/netip"
	"reflect"
	"slices"
	"time"

	"golang.org/x/sys/unix"

	"cordon"
	"cordon/agent/enforce/nft/layout"
)

// SetNetwork tells what the router connects. The chains are bound to its ports
// and rewritten in one transaction; sets keep their elements. The same network
// again changes nothing. A port that does not exist is left out until it is told
// of again.
func (t *Table) SetNetwork(ctx context.Context, n cordon.Network) error {
	t.mu.Lock()
	defer t.mu.Unlock()
	if t.conn == nil {
		return errClosed
	}
	if reflect.DeepEqual(n, t.network) {
		return nil
	}
	now, was := time.Now(), t.network
	t.keepOld(was.Home, n.Home, now)
	t.network = cloneNetwork(n)
	if err := t.build(ctx); err != nil {
		t.network = was
		return fmt.Errorf("set the network: %w", err)
	}
	if err := t.markRouter(was.MACs, now); err != nil {
		return fmt.Errorf("set the network: %w", err)
	}
	return t.spare()
}

func cloneNetwork(n cordon.Network) cordon.Network {
	n.LAN, n.WAN = slices.Clone(n.LAN), slices.Clone(n.WAN)
	n.Home, n.MACs = slices.Clone(n.Home), slices.Clone(n.MACs)
	n.Addrs, n.Spared = slices.Clone(n.Addrs), slices.Clone(n.Spared)
	return n
}

// keepOld lets packets from prefixes that the home no longer has pass for a
// while: devices give an old address up late, and nobody may be cut off by a
// renumbering.
func (t *Table) keepOld(was, is []netip.Prefix, now time.Time) {
	for _, p := range was {
		if !slices.Contains(is, p) {
			t.old = append(t.old, oldPrefix{p, now.Add(t.cfg.Grace)})
		}
	}
	t.old = slices.DeleteFunc(t.old, func(o oldPrefix) bool {
		return slices.Contains(is, o.prefix) || !o.until.After(now)
	})
	if len(t.old) > mostOld {
		t.old = t.old[len(t.old)-mostOld:]
	}
}

// mostOld is how many prefixes of the past are remembered.
const mostOld = 16

// homePrefixes returns the home's prefixes of today and of lately.
func (t *Table) homePrefixes() []netip.Prefix {
	ps := make([]netip.Prefix, 0, len(t.network.Home)+len(t.old))
	for _, p := range t.network.Home {
		if p.IsValid() {
			ps = append(ps, p.Masked())
		}
	}
	for _, o := range t.old {
		ps = append(ps, o.prefix.Masked())
	}
	return ps
}

// routerAddrs returns the router's own addresses on the home's side, with the
// link-local ones that follow from its MACs (RFC 4291 §2.5.1), which devices use
// as their gateway.
func routerAddrs(n *cordon.Network) []netip.Addr {
	as := make([]netip.Addr, 0, len(n.Addrs)+len(n.MACs))
	for _, a := range n.Addrs {
		as = append(as, a.Unmap().WithZone(""))
	}
	for _, m := range n.MACs {
		as = append(as, netip.AddrFrom16([16]byte{0: 0xfe, 1: 0x80, 8: m[0] ^ 2, 9: m[1], 10: m[2], 11: 0xff,
			12: 0xfe, 13: m[3], 14: m[4], 15: m[5]}))
	}
	return as
}

// presentPorts returns which of the network's ports exist now.
func (t *Table) presentPorts() map[string]bool {
	present := map[string]bool{}
	for _, p := range slices.Concat(t.network.LAN, t.network.WAN) {
		ifr, err := unix.NewIfreq(p.Name)
		if err != nil || unix.IoctlIfreq(t.ports, unix.SIOCGIFINDEX, ifr) != nil {
			t.log.Warn("port missing", "port", p.Name)
			continue
		}
		present[p.Name] = true
	}
	return present
}

// markRouter marks the router's own MACs for ever, so that frames of devices
// that claim to be the router are looked at, and takes the mark from those that
// were its own.
func (t *Table) markRouter(was []cordon.MAC, now time.Time) error {
	var changes []change
	for _, m := range t.network.MACs {
		changes = append(changes, change{Element: layout.Of(layout.Sets.Marked, m[:])})
	}
	for _, m := range was {
		if t.isRouter(string(m[:])) {
			continue
		}
		e := layout.Of(layout.Sets.Marked, m[:])
		c := change{Element: e, Gone: true}
		if cur := t.elements[e]; cur != nil {
			c, _ = t.differs(e, cur.owners, now)
		}
		changes = append(changes, c)
	}
	return t.write(changes)
}

// spare ends what is in force against what the network now spares.
func (t *Table) spare() error {
	for id, r := range t.actions {
		if err := t.check(&r.device, &r.action); err != nil {
			t.log.Warn("action ended: it concerns what is spared", "action", id, "err", err)
			if err := t.release(id); err != nil {
				return err
			}
		}
	}
	var gone []place
	for p := range t.hostile {
		if t.mayBlock(p.addr.Addr()) != nil {
			gone = append(gone, p)
		}
	}
	return t.dropPlaces(gone)
}
