package split_test

import (
	"context"
	"errors"
	"net/netip"
	"slices"
	"testing"

	"cordon"
	"cordon/agent/enforce/split"
)

// fake is a back end that keeps what it is told, and fails if it is told to.
type fake struct {
	actions  []cordon.Action
	released []string
	moved    int
	err      error
}

func (f *fake) Apply(_ context.Context, _ *cordon.Device, a *cordon.Action) (bool, error) {
	f.actions = append(f.actions, *a)
	return true, f.err
}

func (f *fake) Release(_ context.Context, id string) error {
	f.released = append(f.released, id)
	return f.err
}

func (f *fake) Move(context.Context, *cordon.Device) error { f.moved++; return f.err }

func (f *fake) Active(cordon.Time) []cordon.Action { return f.actions }

// TestApply: what stops packets goes to the kernel, all else into the record.
func TestApply(t *testing.T) {
	peer := netip.MustParseAddr("203.0.113.9")
	for _, c := range []struct {
		name   string
		mode   cordon.Mode
		verb   cordon.Verb
		target cordon.Target
		kernel bool
	}{
		{"limit", cordon.ModeDo, cordon.VerbLimit, cordon.Target{}, true},
		{"quarantine", cordon.ModeDo, cordon.VerbQuarantine, cordon.Target{}, true},
		{"quarantine that is only shown", cordon.ModeWould, cordon.VerbQuarantine, cordon.Target{}, false},
		{"block of an address", cordon.ModeDo, cordon.VerbBlock, cordon.Target{Peer: peer}, true},
		{"block of a port", cordon.ModeDo, cordon.VerbBlock, cordon.Target{}, true},
		{"block of a name", cordon.ModeDo, cordon.VerbBlock, cordon.Target{Name: "evil.example.com"}, false},
		{"block of a name and its address", cordon.ModeDo, cordon.VerbBlock, cordon.Target{Name: "evil.example.com", Peer: peer}, true},
		{"block that is only asked", cordon.ModeAsk, cordon.VerbBlock, cordon.Target{Peer: peer}, false},
		{"notice", cordon.ModeDo, cordon.VerbNotify, cordon.Target{}, false},
	} {
		kernel, record := new(fake), new(fake)
		a := cordon.Action{ID: "act-1", Mode: c.mode, Verb: c.verb, Entity: cordon.Entity{Target: c.target}}
		if _, err := split.New(kernel, record).Apply(t.Context(), &cordon.Device{}, &a); err != nil {
			t.Errorf("%s: %v", c.name, err)
		}
		if len(kernel.actions) == 1 != c.kernel || len(record.actions) == 1 == c.kernel {
			t.Errorf("%s: %d in the kernel, %d in the record", c.name, len(kernel.actions), len(record.actions))
		}
	}
}

// TestRelease: an action ends wherever it is, also if one of the two fails.
func TestRelease(t *testing.T) {
	full := errors.New("no")
	kernel, record := &fake{err: full}, new(fake)
	err := split.New(kernel, record).Release(t.Context(), "act-1")
	if !errors.Is(err, full) || !slices.Equal(kernel.released, []string{"act-1"}) || !slices.Equal(record.released, []string{"act-1"}) {
		t.Errorf("%v, released %q and %q", err, kernel.released, record.released)
	}
}

// TestActive: what is in force is told oldest first, wherever it is.
func TestActive(t *testing.T) {
	kernel := &fake{actions: []cordon.Action{{ID: "b", At: 2}, {ID: "d", At: 4}}}
	record := &fake{actions: []cordon.Action{{ID: "a", At: 1}, {ID: "c", At: 2}}}
	var ids []string
	for _, a := range split.New(kernel, record).Active(5) {
		ids = append(ids, a.ID)
	}
	if !slices.Equal(ids, []string{"a", "b", "c", "d"}) {
		t.Errorf("in force: %q", ids)
	}
}
