// Package dryrun is the back end that does nothing but remember: what would be
// in force now. Replay runs on it, and every other back end is tested against it.
package dryrun

import (
	"cmp"
	"context"
	"fmt"
	"slices"
	"strings"

	"cordon"
)

// Bounds of what is remembered; the router's real sets are bounded too. A device
// has a share of its own, so that one with many blocks does not keep another from
// being stopped; cutting a device off and telling its owner are never refused it.
const (
	maxActions   = 4096
	maxPerDevice = 64
)

// Enforcer records actions. It is owned by one goroutine.
type Enforcer struct {
	inForce map[string]record // by action id
	held    map[string]int    // actions by device id
}

type record struct {
	action cordon.Action
	end    cordon.Time
}

// New returns an Enforcer with nothing in force.
func New() *Enforcer {
	return &Enforcer{inForce: make(map[string]record), held: make(map[string]int)}
}

// Apply puts an action in force, or renews it, and reports whether it was not in
// force before.
func (e *Enforcer) Apply(_ context.Context, _ *cordon.Device, a *cordon.Action) (fresh bool, err error) {
	old, known := e.inForce[a.ID]
	if !known {
		if err := e.room(a); err != nil {
			return false, fmt.Errorf("apply %s to %s: %w", a.Verb, a.Entity, err)
		}
		e.held[a.Entity.Device]++
	}
	e.inForce[a.ID] = record{*a, max(old.end, a.Expires)}
	return !known || old.end <= a.At, nil
}

// Release ends an action; one that is not in force is released already.
func (e *Enforcer) Release(_ context.Context, id string) error {
	if r, ok := e.inForce[id]; ok {
		e.remove(id, r)
	}
	return nil
}

// Move has nothing to do: what is remembered names devices, not addresses.
func (e *Enforcer) Move(context.Context, *cordon.Device) error { return nil }

// Active returns the actions in force at a moment, oldest first.
func (e *Enforcer) Active(now cordon.Time) []cordon.Action {
	var all []cordon.Action
	for _, r := range e.inForce {
		if r.end > now {
			a := r.action
			a.Expires = r.end
			all = append(all, a)
		}
	}
	slices.SortFunc(all, func(a, b cordon.Action) int {
		return cmp.Or(cmp.Compare(a.At, b.At), strings.Compare(a.ID, b.ID))
	})
	return all
}

// room reports an error when there is no place for one more action.
func (e *Enforcer) room(a *cordon.Action) error {
	scoped := a.Verb == cordon.VerbBlock || a.Verb == cordon.VerbLimit
	full := func() error {
		switch {
		case len(e.inForce) >= maxActions:
			return fmt.Errorf("%d actions are in force already", maxActions)
		case scoped && e.held[a.Entity.Device] >= maxPerDevice:
			return fmt.Errorf("%d actions are in force already for this device", maxPerDevice)
		}
		return nil
	}
	if full() == nil {
		return nil
	}
	e.lapse(a.At)
	return full()
}

func (e *Enforcer) lapse(now cordon.Time) {
	for id, r := range e.inForce {
		if r.end <= now {
			e.remove(id, r)
		}
	}
}

func (e *Enforcer) remove(id string, r record) {
	delete(e.inForce, id)
	if e.held[r.action.Entity.Device]--; e.held[r.action.Entity.Device] == 0 {
		delete(e.held, r.action.Entity.Device)
	}
}
