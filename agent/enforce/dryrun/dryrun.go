// Package dryrun is the back end that does nothing but remember: what would be
// in force now. Replay runs on it, and every other back end is tested against it.
package dryrun

import (
	"context"
	"fmt"

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
	device string
	end    cordon.Time
}

// New returns an Enforcer with nothing in force.
func New() *Enforcer {
	return &Enforcer{inForce: make(map[string]record), held: make(map[string]int)}
}

// Apply puts an action in force, or renews it, and reports whether it was not in
// force before.
func (e *Enforcer) Apply(_ context.Context, a *cordon.Action) (fresh bool, err error) {
	old, known := e.inForce[a.ID]
	if !known {
		if err := e.room(a); err != nil {
			return false, fmt.Errorf("apply %s to %s: %w", a.Verb, a.Entity, err)
		}
		e.held[a.Entity.Device]++
	}
	e.inForce[a.ID] = record{a.Entity.Device, max(old.end, a.Expires)}
	return !known || old.end <= a.At, nil
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
			delete(e.inForce, id)
			if e.held[r.device]--; e.held[r.device] == 0 {
				delete(e.held, r.device)
			}
		}
	}
}

// InForce returns how many actions are in force at a moment.
func (e *Enforcer) InForce(now cordon.Time) int {
	n := 0
	for _, r := range e.inForce {
		if r.end > now {
			n++
		}
	}
	return n
}
