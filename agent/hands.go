package agent

import (
	"cmp"
	"context"
	"errors"
	"slices"

	"cordon"
	"cordon/agent/enforce/dryrun"
)

// hands is the live Enforcer: the kernel does what is to be done to packets, and
// what is only told, asked, shown or done by name is recorded.
type hands struct {
	kernel Enforcer
	record Enforcer
}

func newHands(kernel Enforcer) *hands { return &hands{kernel, dryrun.New()} }

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
func (h *hands) Apply(ctx context.Context, d *cordon.Device, a *cordon.Action) (bool, error) {
	if inKernel(a) {
		return h.kernel.Apply(ctx, d, a)
	}
	return h.record.Apply(ctx, d, a)
}

// Release ends an action wherever it is.
func (h *hands) Release(ctx context.Context, id string) error {
	return errors.Join(h.kernel.Release(ctx, id), h.record.Release(ctx, id))
}

// Move passes on that a device moved.
func (h *hands) Move(ctx context.Context, d *cordon.Device) error { return h.kernel.Move(ctx, d) }

// Active returns all that is in force, oldest first.
func (h *hands) Active(now cordon.Time) []cordon.Action {
	all := slices.Concat(h.kernel.Active(now), h.record.Active(now))
	slices.SortStableFunc(all, func(a, b cordon.Action) int { return cmp.Compare(a.At, b.At) })
	return all
}
