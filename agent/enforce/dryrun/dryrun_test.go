package dryrun_test

import (
	"context"
	"fmt"
	"testing"
	"time"

	"cordon"
	"cordon/agent/enforce/dryrun"
)

func apply(t *testing.T, e *dryrun.Enforcer, id string, at cordon.Time, life time.Duration) bool {
	t.Helper()
	fresh, err := e.Apply(context.Background(), nil, &cordon.Action{ID: id, Verb: cordon.VerbBlock, At: at, Expires: at.Add(life)})
	if err != nil {
		t.Fatal(err)
	}
	return fresh
}

func TestApplyTwiceRenews(t *testing.T) {
	e := dryrun.New()
	const t0 = cordon.Time(1e18)
	if !apply(t, e, "a", t0, time.Hour) {
		t.Error("a new action is not fresh")
	}
	if apply(t, e, "a", t0.Add(30*time.Minute), time.Hour) {
		t.Error("a renewal is fresh")
	}
	if n := len(e.Active(t0.Add(80 * time.Minute))); n != 1 {
		t.Errorf("%d in force, want the renewed one", n)
	}
	if n := len(e.Active(t0.Add(91 * time.Minute))); n != 0 {
		t.Errorf("%d in force after its end", n)
	}
	if !apply(t, e, "a", t0.Add(2*time.Hour), time.Hour) {
		t.Error("an action that had ended is not fresh")
	}
}

func TestARenewalNeverShortens(t *testing.T) {
	e := dryrun.New()
	const t0 = cordon.Time(1e18)
	apply(t, e, "a", t0, time.Hour)
	apply(t, e, "a", t0, time.Minute)
	if len(e.Active(t0.Add(30*time.Minute))) != 1 {
		t.Error("applying a shorter one ended it early")
	}
}

func TestBounded(t *testing.T) {
	e := dryrun.New()
	const t0 = cordon.Time(1e18)
	refused := 0
	for i := range 5000 {
		a := cordon.Action{ID: fmt.Sprint(i), Verb: cordon.VerbBlock, At: t0, Expires: t0.Add(time.Hour),
			Entity: cordon.Entity{Device: fmt.Sprint(i / 50)}}
		if _, err := e.Apply(context.Background(), nil, &a); err != nil {
			refused++
		}
	}
	if n := len(e.Active(t0)); n != 4096 || refused != 5000-4096 {
		t.Errorf("%d in force and %d refused, want 4096 and %d", n, refused, 5000-4096)
	}
	if !apply(t, e, "later", t0.Add(2*time.Hour), time.Hour) {
		t.Error("full of what has ended, it takes nothing new")
	}
}

// TestOneDeviceCannotFillIt: blocks of one device leave room for others, and for
// cutting that device off.
func TestOneDeviceCannotFillIt(t *testing.T) {
	e := dryrun.New()
	const t0 = cordon.Time(1e18)
	try := func(id, device string, v cordon.Verb) error {
		_, err := e.Apply(context.Background(), nil, &cordon.Action{ID: id, Verb: v, At: t0, Expires: t0.Add(time.Hour),
			Entity: cordon.Entity{Device: device}})
		return err
	}
	refused := 0
	for i := range 5000 {
		if try(fmt.Sprint(i), "loud", cordon.VerbBlock) != nil {
			refused++
		}
	}
	if refused != 5000-64 {
		t.Errorf("%d refused, want all but 64", refused)
	}
	if err := try("q", "loud", cordon.VerbQuarantine); err != nil {
		t.Errorf("the device cannot be cut off: %v", err)
	}
	if err := try("other", "quiet", cordon.VerbBlock); err != nil {
		t.Errorf("another device cannot be blocked: %v", err)
	}
}

// TestRelease: what is released is not in force, releasing it again is no error,
// and its place is free.
func TestRelease(t *testing.T) {
	e := dryrun.New()
	const t0 = cordon.Time(1e18)
	apply(t, e, "a", t0, time.Hour)
	for range 2 {
		if err := e.Release(context.Background(), "a"); err != nil {
			t.Fatal(err)
		}
	}
	if n := len(e.Active(t0)); n != 0 {
		t.Errorf("%d in force after the release", n)
	}
	if !apply(t, e, "a", t0, time.Hour) {
		t.Error("applied after its release, it is not fresh")
	}
}
