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
	fresh, err := e.Apply(context.Background(), &cordon.Action{ID: id, Verb: cordon.VerbBlock, At: at, Expires: at.Add(life)})
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
	if n := e.InForce(t0.Add(80 * time.Minute)); n != 1 {
		t.Errorf("%d in force, want the renewed one", n)
	}
	if n := e.InForce(t0.Add(91 * time.Minute)); n != 0 {
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
	if e.InForce(t0.Add(30*time.Minute)) != 1 {
		t.Error("applying a shorter one ended it early")
	}
}

func TestBounded(t *testing.T) {
	e := dryrun.New()
	const t0 = cordon.Time(1e18)
	refused := 0
	for i := range 5000 {
		if _, err := e.Apply(context.Background(), &cordon.Action{ID: fmt.Sprint(i), At: t0, Expires: t0.Add(time.Hour)}); err != nil {
			refused++
		}
	}
	if n := e.InForce(t0); n != 4096 || refused != 5000-4096 {
		t.Errorf("%d in force and %d refused, want 4096 and %d", n, refused, 5000-4096)
	}
	if !apply(t, e, "later", t0.Add(2*time.Hour), time.Hour) {
		t.Error("full of what has ended, it takes nothing new")
	}
}
