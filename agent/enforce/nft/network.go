package nft

import (
	"context"
	"fmt"
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
	if reflect.DeepEqual(n, t.home.Network) {
		return nil
	}
	now, was := time.Now(), t.home.Network
	t.home.Change(n, now)
	if err := t.build(ctx); err != nil {
		t.home.Network = was
		return fmt.Errorf("set the network: %w", err)
	}
	if err := t.markRouter(was.MACs, now); err != nil {
		return fmt.Errorf("set the network: %w", err)
	}
	return t.spare()
}

// presentPorts returns which of the network's ports exist now.
func (t *Table) presentPorts() map[string]bool {
	present := map[string]bool{}
	for _, p := range slices.Concat(t.home.Network.LAN, t.home.Network.WAN) {
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
	for _, m := range t.home.Network.MACs {
		changes = append(changes, change{Element: layout.Of(layout.Sets.Marked, m[:])})
	}
	for _, m := range was {
		if t.home.IsRouterMAC(string(m[:])) {
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
		if t.home.MayBlock(p.addr.Addr()) != nil {
			gone = append(gone, p)
		}
	}
	return t.dropPlaces(gone)
}
