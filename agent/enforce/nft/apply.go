package nft

import (
	"cmp"
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

// Bounds of what is in force, the same as dryrun's: a device has a share of its
// own, so that one with many blocks does not keep another from being stopped.
const (
	maxActions   = 4096
	maxPerDevice = 64
)

// record is an action in force.
type record struct {
	action cordon.Action // Expires is the latest that was asked for
	until  time.Time     // the same by the kernel's clock
	device cordon.Device
	wants  map[element]owner
}

// Apply puts an action in force or renews it, which never shortens it; its life
// is a.Expires − a.At from now. fresh means that it was not in force before. An
// error that wraps cordon.ErrUnknown means that it may be in force or not, and
// that a Release ends it in any case; after any other nothing was changed.
//
// The connections that the action concerns are cut on another goroutine, which
// tells Config.Done.
func (t *Table) Apply(ctx context.Context, d *cordon.Device, a *cordon.Action) (fresh bool, err error) {
	t.mu.Lock()
	defer t.mu.Unlock()
	fail := func(err error) (bool, error) {
		return false, fmt.Errorf("apply %s to %s: %w", a.Verb, a.Entity, err)
	}
	if t.conn == nil {
		return fail(errClosed)
	}
	if err := ctx.Err(); err != nil {
		return fail(err)
	}
	old := t.actions[a.ID]
	fresh = old == nil || old.action.Expires <= a.At
	expires := a.Expires
	if old != nil {
		expires = max(expires, old.action.Expires)
	}
	life := expires.Sub(a.At)
	if life <= 0 || life > cordon.MaxLife {
		return fail(fmt.Errorf("it would last %v, want at most %v", life, cordon.MaxLife))
	}
	if err := t.room(a, old == nil); err != nil {
		return fail(err)
	}
	now := time.Now()
	p, err := t.planFor(d, a, now, now.Add(life))
	if err != nil {
		return fail(err)
	}
	if err := t.guard(d, a, fresh); err != nil {
		return fail(err)
	}
	if err := t.arm(ctx); err != nil {
		return fail(err)
	}
	r := &record{action: clone(a), until: p.until, device: *d, wants: p.wants}
	r.device.Addrs = slices.Clone(d.Addrs)
	r.action.Expires = expires
	err = t.replace(a.ID, old, r, now)
	if err != nil && !errors.Is(err, cordon.ErrUnknown) {
		return fail(err)
	}
	t.actions[a.ID] = r
	if fresh && a.Verb == cordon.VerbQuarantine && !t.wasCutOff(d) {
		begun, _ := t.quarantines(a)
		*begun = append(*begun, a.At)
	}
	if err != nil {
		return fail(err)
	}
	if fresh {
		t.cutter.Cut(a.ID, conntrack.Of(a, addrsOf(d)))
	}
	return fresh, nil
}

// replace makes an action want what r says instead of what old did.
func (t *Table) replace(id string, old, r *record, now time.Time) error {
	wants := make(map[element]owner, len(r.wants))
	if old != nil {
		for e := range old.wants {
			wants[e] = owner{}
		}
	}
	for e, w := range r.wants {
		wants[e] = w
	}
	return t.own(id, wants, now)
}

// clone copies an action for keeping.
func clone(a *cordon.Action) cordon.Action {
	c := *a
	c.Entity.Target.Ports = slices.Clone(a.Entity.Target.Ports)
	return c
}

// room reports an error when there is no place for one more action.
func (t *Table) room(a *cordon.Action, more bool) error {
	if !more {
		return nil
	}
	full := func() error {
		held := 0
		for _, r := range t.actions {
			if r.action.Entity.Device == a.Entity.Device {
				held++
			}
		}
		switch {
		case len(t.actions) >= maxActions:
			return fmt.Errorf("%d actions are in force already", maxActions)
		case a.Verb != cordon.VerbQuarantine && held >= maxPerDevice:
			return fmt.Errorf("%d actions are in force already for this device", maxPerDevice)
		}
		return nil
	}
	if full() == nil {
		return nil
	}
	t.lapse(a.At, time.Now())
	return full()
}

// lapse forgets what has ended by itself, in the kernel too.
func (t *Table) lapse(at cordon.Time, now time.Time) {
	for id, r := range t.actions {
		if at != 0 && r.action.Expires <= at || !r.until.After(now) {
			delete(t.actions, id)
			for e := range r.wants {
				if cur := t.elements[e]; cur != nil {
					delete(cur.owners, id)
					if len(cur.owners) == 0 {
						delete(t.elements, e)
					}
				}
			}
		}
	}
}

// guard refuses one quarantine too many within an hour: whatever asks for so many is
// more likely wrong than right.
func (t *Table) guard(d *cordon.Device, a *cordon.Action, fresh bool) error {
	if a.Verb != cordon.VerbQuarantine || !fresh || t.wasCutOff(d) {
		return nil
	}
	begun, most := t.quarantines(a)
	*begun = slices.DeleteFunc(*begun, func(at cordon.Time) bool { return a.At.Sub(at) >= time.Hour })
	if len(*begun) >= most {
		return fmt.Errorf("%d devices were quarantined within the last hour already", len(*begun))
	}
	return nil
}

// quarantines returns the quarantines with which an action counts, and how many they
// may be. Those that the agent found reasons for, in an incident, are kept apart from
// those that a person ordered, so that neither takes the other's room.
func (t *Table) quarantines(a *cordon.Action) (begun *[]cordon.Time, most int) {
	if a.Incident == "" {
		return &t.ordered, maxOrdered
	}
	return &t.found, t.cfg.Quarantines
}

// wasCutOff reports whether a device does not count again, since it was cut off before
// the restart: Open found it so, or Restored named it.
func (t *Table) wasCutOff(d *cordon.Device) bool { return d.HasMAC && t.adopted[string(d.MAC[:])] }

// Restored says that a device was cut off before a restart that emptied the kernel's
// tables, and is to be again.
func (t *Table) Restored(d *cordon.Device) {
	t.mu.Lock()
	defer t.mu.Unlock()
	if d.HasMAC {
		t.adopted[string(d.MAC[:])] = true
	}
}

// Release ends an action before its time. Releasing what is not in force
// succeeds.
func (t *Table) Release(_ context.Context, id string) error {
	t.mu.Lock()
	defer t.mu.Unlock()
	return t.release(id)
}

func (t *Table) release(id string) error {
	r := t.actions[id]
	if r == nil {
		return nil
	}
	if t.conn == nil {
		return errClosed
	}
	if err := t.replace(id, r, &record{}, time.Now()); err != nil {
		return fmt.Errorf("release %s: %w", id, err)
	}
	if r.action.Verb == cordon.VerbQuarantine {
		delete(t.adopted, string(r.device.MAC[:]))
	}
	delete(t.actions, id)
	return nil
}

// Free removes a device from everything that cuts it off or slows it down,
// whoever asked for it: also what an earlier run left in the kernel and nobody
// has applied again.
func (t *Table) Free(_ context.Context, d *cordon.Device) error {
	t.mu.Lock()
	defer t.mu.Unlock()
	if t.conn == nil {
		return errClosed
	}
	for id, r := range t.actions {
		if r.action.Entity.Device == d.ID {
			if err := t.release(id); err != nil {
				return err
			}
		}
	}
	keys := map[string]bool{}
	if d.HasMAC {
		keys[string(d.MAC[:])] = true
	}
	for _, a := range addrsOf(d) {
		keys[string(a.AsSlice())] = true
	}
	var gone []change
	for _, s := range layout.Sets.All {
		if s.Static || s.Size == layout.ManyPeers {
			continue
		}
		found, err := t.conn.GetSetElements(s.Definition())
		if err != nil {
			return fmt.Errorf("list set %s: %w", s.Name, err)
		}
		for _, e := range found {
			first := min(len(e.Key), s.First())
			if keys[string(e.Key[:first])] && !t.home.IsRouterMAC(string(e.Key)) {
				gone = append(gone, change{Element: layout.Of(s, e.Key), Gone: true})
			}
		}
	}
	delete(t.adopted, string(d.MAC[:]))
	return t.write(gone)
}

// Move tells that a device's addresses or its MAC changed: what is in force for
// it follows. An address that a quarantined device no longer has is let go once
// it has been seen with another of that family; a device that left only its
// address behind may have left its MAC.
func (t *Table) Move(_ context.Context, d *cordon.Device) error {
	t.mu.Lock()
	defer t.mu.Unlock()
	now := time.Now()
	var errs []error
	for id, r := range t.actions {
		if r.action.Entity.Device != d.ID || !r.until.After(now) {
			continue
		}
		if t.conn == nil {
			return errClosed
		}
		p, err := t.planFor(d, &r.action, now, r.until)
		if err != nil {
			continue // nothing to be known by: what is in force stays
		}
		if r.action.Verb == cordon.VerbQuarantine {
			keepHolds(p, r, d)
		}
		next := *r
		next.wants, next.device = p.wants, *d
		next.device.Addrs = slices.Clone(d.Addrs)
		if err := t.replace(id, r, &next, now); err != nil {
			errs = append(errs, fmt.Errorf("move %s: %w", id, err))
			continue
		}
		t.actions[id] = &next
	}
	return errors.Join(errs...)
}

// keepHolds keeps the holds of addresses that the device has no more, in a
// family in which it got none instead.
func keepHolds(p *plan, r *record, d *cordon.Device) {
	before, after := addrsOf(&r.device), addrsOf(d)
	fresh := func(six bool) bool {
		return slices.ContainsFunc(after, func(a netip.Addr) bool { return a.Is6() == six && !slices.Contains(before, a) })
	}
	l := layout.Sets
	for e, w := range r.wants {
		six := len(e.Key) == 16
		switch e.Set {
		case l.Marked4, l.Marked6, l.Held4[layout.Ingress], l.Held6[layout.Ingress], l.Held4[layout.Routed], l.Held6[layout.Routed]:
			if _, still := p.wants[e]; !still && !fresh(six) {
				p.wants[e] = w
			}
		}
	}
}

// Active lists what is in force at a moment, oldest first.
func (t *Table) Active(now cordon.Time) []cordon.Action {
	t.mu.Lock()
	defer t.mu.Unlock()
	var as []cordon.Action
	for _, r := range t.actions {
		if r.action.Expires > now {
			as = append(as, clone(&r.action))
		}
	}
	slices.SortFunc(as, func(a, b cordon.Action) int {
		return cmp.Or(cmp.Compare(a.At, b.At), cmp.Compare(a.ID, b.ID))
	})
	return as
}
