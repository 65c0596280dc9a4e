// Package split is the live back end: the kernel does what is to be done to packets,
// and what is only told, asked, shown or done by name is recorded.
package split

import (
	"cmp"
	"context"
	"errors"
	"slices"

	"cordon"
)

// Backend puts actions in force, as pipeline.Enforcer says.
type Backend interface {
	Apply(ctx context.Context, d *cordon.Device, a *cordon.Action) (fresh bool, err error)
	Release(ctx context.Context, id string) error
	Move(ctx context.Context, d *cordon.Device) error
	Active(now cordon.Time) []cordon.Action
}

// Enforcer is two back ends as one.
type Enforcer struct{ kernel, record Backend }

// New returns one Enforcer of what changes the kernel and what only remembers.
func New(kernel, record Backend) *Enforcer { return &Enforcer{kernel, record} }

// inKernel reports whether an action changes what the kernel lets pass. A place
// that is only known by its name is blocked by the DNS guard.
func inKernel(a *cordon.Action) bool {
	if a.Mode != cordon.ModeDo {
		return false
	}
	switch a.Verb {
	case cordon.VerbLimit, cordon.VerbQuarantine:
		return true
	case cordon.VerbBlock:
		return a.Entity.Target.Name == "" || a.Entity.Target.Peer.IsValid()
	}
	return false
}

// Apply puts an action where it belongs.
func (e *Enforcer) Apply(ctx context.Context, d *cordon.Device, a *cordon.Action) (bool, error) {
	if inKernel(a) {
		return e.kernel.Apply(ctx, d, a)
	}
	return e.record.Apply(ctx, d, a)
}

// Release ends an action wherever it is.
func (e *Enforcer) Release(ctx context.Context, id string) error {
	return errors.Join(e.kernel.Release(ctx, id), e.record.Release(ctx, id))
}

// Move passes on that a device moved.
func (e *Enforcer) Move(ctx context.Context, d *cordon.Device) error { return e.kernel.Move(ctx, d) }

// Active returns all that is in force, oldest first.
func (e *Enforcer) Active(now cordon.Time) []cordon.Action {
	all := slices.Concat(e.kernel.Active(now), e.record.Active(now))
	slices.SortStableFunc(all, func(a, b cordon.Action) int { return cmp.Compare(a.At, b.At) })
	return all
}
