// Package dryrun is the back end that does nothing but remember: what would be
// in force now. Replay runs on it, and every other back end is tested against it.
package dryrun

import (
	"context"
	"fmt"

	"cordon"
)

// maxActions bounds what is remembered; the router's real sets are bounded too.
const maxActions = 4096

// Enforcer records actions. It is owned by one goroutine.
type Enforcer struct {
	inForce map[string]cordon.Time // action id → end
}

// New returns an Enforcer with nothing in force.
func New() *Enforcer { return &Enforcer{inForce: make(map[string]cordon.Time)} }

// Apply puts an action in force, or renews it, and reports whether it was not in
// force before.
func (e *Enforcer) Apply(_ context.Context, a *cordon.Action) (fresh bool, err error) {
	end, known := e.inForce[a.ID]
	if !known && len(e.inForce) >= maxActions {
		e.lapse(a.At)
		if len(e.inForce) >= maxActions {
			return false, fmt.Errorf("apply %s to %s: %d actions are in force already", a.Verb, a.Entity, maxActions)
		}
	}
	e.inForce[a.ID] = max(end, a.Expires)
	return !known || end <= a.At, nil
}

func (e *Enforcer) lapse(now cordon.Time) {
	for id, end := range e.inForce {
		if end <= now {
			delete(e.inForce, id)
		}
	}
}

// InForce returns how many actions are in force at a moment.
func (e *Enforcer) InForce(now cordon.Time) int {
	n := 0
	for _, end := range e.inForce {
		if end > now {
			n++
		}
	}
	return n
}
