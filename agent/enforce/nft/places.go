package nft

import (
	"context"
	"errors"
	"fmt"
	"net/netip"
	"slices"
	"time"

	"cordon"
	"cordon/agent/enforce/nft/conntrack"
	"cordon/agent/enforce/nft/layout"
)

// Hostile is a place on the internet that no device should talk to.
type Hostile struct {
	Addr netip.Addr
	Port uint16 // 0: any
	// Inbound means that only what the place begins is stopped, not what devices
	// begin: it attacks, but it is no command server.
	Inbound bool
	For     time.Duration // how long from now
}

// place is the part of a Hostile that tells it from others.
type place struct {
	addr    netip.AddrPort
	inbound bool
}

func (h *Hostile) place() place {
	p := place{netip.AddrPortFrom(h.Addr.Unmap().WithZone(""), h.Port), h.Inbound}
	if p.inbound {
		p.addr = netip.AddrPortFrom(p.addr.Addr(), 0)
	}
	return p
}

// element returns the element that stops a place.
func (p place) element() element {
	l, six := layout.Sets, p.addr.Addr().Is6()
	pick := func(four, of6 *layout.Set) *layout.Set {
		if six {
			return of6
		}
		return four
	}
	switch a := p.addr.Addr().AsSlice(); {
	case p.inbound:
		return layout.Of(pick(l.Scanner4, l.Scanner6), a)
	case p.addr.Port() != 0:
		return layout.Of(pick(l.HostilePort4, l.HostilePort6), a, layout.PortBytes(p.addr.Port()))
	default:
		return layout.Of(pick(l.Hostile4, l.Hostile6), a)
	}
}

// perCommit is how many places one transaction changes. It bounds the memory of
// the message, and how long an action waits for it.
const perCommit = 2000

// Indicators stops traffic with places for all devices, and no longer with
// others. What must not be blocked is left out and counted. Places end by
// themselves; adding one again renews it. On an error some may be in force.
func (t *Table) Indicators(ctx context.Context, add []Hostile, remove []Hostile) (refused int, err error) {
	for part := range slices.Chunk(remove, perCommit) {
		gone := make([]place, len(part))
		for i := range part {
			gone[i] = part[i].place()
		}
		t.mu.Lock()
		err := t.dropPlaces(gone)
		t.mu.Unlock()
		if err != nil {
			return refused, fmt.Errorf("remove places: %w", err)
		}
	}
	defer func() {
		t.mu.Lock()
		defer t.mu.Unlock()
		t.cutPlaces()
	}()
	for part := range slices.Chunk(add, perCommit) {
		if err := ctx.Err(); err != nil {
			return refused, err
		}
		n, err := t.addPlaces(part)
		refused += n
		if err != nil {
			return refused, fmt.Errorf("add places: %w", err)
		}
	}
	return refused, nil
}

func (t *Table) addPlaces(part []Hostile) (refused int, err error) {
	t.mu.Lock()
	defer t.mu.Unlock()
	now := time.Now()
	changes := make([]change, 0, len(part))
	seen := make(map[place]time.Time, len(part))
	for i := range part {
		h := &part[i]
		p := h.place()
		if !h.Addr.IsValid() || h.For <= 0 || t.home.MayBlock(h.Addr) != nil || len(t.hostile)+len(seen) >= layout.ManyPeers {
			refused++
			continue
		}
		until := now.Add(min(h.For, cordon.MaxLife))
		if was, again := seen[p]; again && !until.After(was) {
			continue
		} else if !again {
			changes = append(changes, change{Element: p.element(), Life: until.Sub(now)})
		}
		seen[p] = until
	}
	err = t.write(changes)
	if err != nil && !errors.Is(err, cordon.ErrUnknown) {
		return refused, err
	}
	for p := range seen {
		if was, known := t.hostile[p]; !p.inbound && (!known || !was.After(now)) {
			t.uncut = append(t.uncut, p.addr)
		}
	}
	if err != nil {
		return refused, err
	}
	for p, until := range seen {
		t.hostile[p] = until
	}
	return refused, nil
}

// cutPlaces has the connections with places that were added cut. The chains look
// at the first packets of connections only.
func (t *Table) cutPlaces() {
	if len(t.uncut) == 0 || t.cutter == nil {
		return
	}
	list := t.uncut
	slices.SortFunc(list, netip.AddrPort.Compare)
	job := conntrack.Job{Matches: []conntrack.Match{conntrack.With(list)}, Failed: func() {
		t.mu.Lock()
		defer t.mu.Unlock()
		t.uncut = append(t.uncut, list...)
	}}
	if t.cutter.Add(job) {
		t.uncut = nil
	}
}

func (t *Table) dropPlaces(gone []place) error {
	changes := make([]change, len(gone))
	for i, p := range gone {
		changes[i] = change{Element: p.element(), Gone: true}
	}
	if err := t.write(changes); err != nil {
		return err
	}
	for _, p := range gone {
		delete(t.hostile, p)
	}
	return nil
}

// Bounds of a hole (design.md: only the resolver's answers open holes).
const (
	minHole = time.Minute
	maxHole = time.Hour
)

// Hole lets a quarantined device reach an address for a while, at least a minute
// and at most an hour. The DNS guard calls it with the answers for names that
// the device may resolve, and nobody else does.
func (t *Table) Hole(_ context.Context, d *cordon.Device, addr netip.Addr, ttl time.Duration) error {
	t.mu.Lock()
	defer t.mu.Unlock()
	addr = addr.Unmap().WithZone("")
	if !addr.IsValid() || !addr.IsGlobalUnicast() || t.home.Has(addr) {
		return fmt.Errorf("open a hole to %s: only addresses of the internet are let through", addr)
	}
	now := time.Now()
	life := min(max(ttl, minHole), maxHole)
	for e, until := range t.holes {
		if !until.After(now) {
			delete(t.holes, e)
		}
	}
	if len(t.holes) >= layout.ManyHoles/2 {
		return fmt.Errorf("open a hole to %s: %d are open already", addr, len(t.holes))
	}
	var changes []change
	for _, k := range knownBy(d) {
		if way, ok := layout.PathOf(k.who, addr.Is6()); ok {
			for h := range layout.Hooks {
				changes = append(changes, change{Element: layout.Of(layout.Sets.Hole[h][way], k.key, addr.AsSlice()), Life: life})
			}
		}
	}
	if err := t.write(changes); err != nil {
		return fmt.Errorf("open a hole to %s: %w", addr, err)
	}
	for _, c := range changes {
		t.holes[c.Element] = now.Add(life)
	}
	return nil
}

// Shielded is an address whose ports that malware probes are closed to new
// connections from outside, except for some.
type Shielded struct {
	Addr netip.Addr
	Open []uint16 // TCP ports that stay open
}

// Shield closes the probe ports of these addresses to the outside, and of no
// others. It is told the whole list each time.
func (t *Table) Shield(_ context.Context, list []Shielded) error {
	t.mu.Lock()
	defer t.mu.Unlock()
	next := map[netip.AddrPort]bool{}
	for _, s := range list {
		a := s.Addr.Unmap().WithZone("")
		if !a.IsValid() || len(next) >= layout.ManySmall/2 {
			continue
		}
		next[netip.AddrPortFrom(a, 0)] = true
		for _, p := range s.Open[:min(len(s.Open), mostPorts)] {
			next[netip.AddrPortFrom(a, p)] = true
		}
	}
	var changes []change
	for ap := range next {
		if !t.shielded[ap] {
			changes = append(changes, change{Element: shieldElement(ap)})
		}
	}
	for ap := range t.shielded {
		if !next[ap] {
			changes = append(changes, change{Element: shieldElement(ap), Gone: true})
		}
	}
	if err := t.write(changes); err != nil {
		return fmt.Errorf("shield devices: %w", err)
	}
	t.shielded = next
	return nil
}

func shieldElement(ap netip.AddrPort) element {
	l, a := layout.Sets, ap.Addr()
	shielded, allowed := l.Shielded4, l.Allowed4
	if a.Is6() {
		shielded, allowed = l.Shielded6, l.Allowed6
	}
	if ap.Port() == 0 {
		return layout.Of(shielded, a.AsSlice())
	}
	return layout.Of(allowed, a.AsSlice(), layout.PortBytes(ap.Port()))
}
