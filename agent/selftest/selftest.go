// Package selftest undoes a change of the router's rules that cuts the home off.
//
// A change is put between two tests: what passed just before it and fails just
// after it speaks against it. Three things may fail instead of the change, and none
// may free malware: a line that breaks at that moment (then undoing does not help,
// and the change is made again), an uplink that is full, perhaps on purpose (then
// nothing is undone), and a line that was down before (then nothing is tested).
package selftest

import (
	"cmp"
	"context"
	"errors"
	"fmt"
	"strings"
	"sync"
	"time"

	"cordon"
	"cordon/internal/pause"
)

// Config configures a Tester. Zero fields take the defaults.
type Config struct {
	// Probes are what must keep working, each judged by itself. None: nothing is
	// tested.
	Probes []Probe
	// Saturated reports whether the uplink is full, so that a probe may be lost
	// without anybody's fault; nil: never.
	Saturated func() bool

	Patience time.Duration // how long a change waits for the test before it; default 250 ms
	Wait     time.Duration // how long one test after it may take; default 2 s
	Attempts int           // tests in a row that must fail; default 3
	Pause    time.Duration // between them; default 500 ms
	// Every is how often a change is tested by itself; default 10 s. Changes in
	// between are made at once and tested together by Check.
	Every time.Duration
}

// Probe is one thing that must keep working.
type Probe struct {
	Name string // "uplink"
	// Run returns nil if it works, and soon after the context is done.
	Run func(context.Context) error
}

// Outcome says what became of a change.
type Outcome string

// The outcomes.
const (
	Passed     Outcome = "passed"      // what worked before works after
	Untested   Outcome = "untested"    // made, and not known to harm; Result.Why says why
	Acquitted  Outcome = "acquitted"   // something failed, but also without the change: it is in force
	RolledBack Outcome = "rolled-back" // undone
	NotMade    Outcome = "not-made"    // the change itself failed
	Stuck      Outcome = "stuck"       // it harms and could not be undone
)

// Why a change was not tested.
const (
	WhyBusy      = "another change is being tested, or was a moment ago"
	WhyDown      = "nothing passed before"
	WhySaturated = "the uplink is full"
	WhyStopped   = "stopped"
)

// Result is what became of a change, or of several.
type Result struct {
	Outcome Outcome
	Why     string   // of Untested
	Failed  []string // the probes that passed before and failed after
	Changes int      // how many it is about
}

// Tester tests changes. Its methods may be called from any goroutine.
type Tester struct {
	cfg  Config
	turn sync.Mutex // held while something is tested

	mu       sync.Mutex
	tested   time.Time       // guarded by mu: when a test last began
	passed   map[string]bool // guarded by mu: what passed in it, after the change
	suspects []change        // guarded by mu: made since, not tested; oldest first
}

// change is a change that was made without a test.
type change struct{ do, undo func() error }

// maxSuspects is how many untested changes are remembered; older ones are
// trusted. An attack makes a few dozen blocks in a test's interval.
const maxSuspects = 64

// New returns a Tester.
func New(cfg Config) *Tester {
	cfg.Patience = cmp.Or(cfg.Patience, 250*time.Millisecond)
	cfg.Wait = cmp.Or(cfg.Wait, 2*time.Second)
	cfg.Attempts = cmp.Or(cfg.Attempts, 3)
	cfg.Pause = cmp.Or(cfg.Pause, 500*time.Millisecond)
	cfg.Every = cmp.Or(cfg.Every, 10*time.Second)
	if cfg.Saturated == nil {
		cfg.Saturated = func() bool { return false }
	}
	return &Tester{cfg: cfg}
}

// Around makes a change and undoes it if it harms. The change waits for at most
// Patience; when it harms, Around takes Attempts × (Wait + Pause) and a little more
// to say so, so whoever must not wait calls it from a goroutine of its own. do and
// undo may be called again, undo after do and do after undo.
//
// The error is do's (wrapped; with cordon.ErrUnknown the change is tested all the
// same) or undo's.
func (t *Tester) Around(ctx context.Context, do, undo func() error) (Result, error) {
	if !t.begin() {
		err := do()
		if err != nil && !errors.Is(err, cordon.ErrUnknown) {
			return Result{Outcome: NotMade, Changes: 1}, fmt.Errorf("change rules: %w", err)
		}
		t.suspect(change{do, undo})
		return Result{Outcome: Untested, Why: WhyBusy, Changes: 1}, wrap("change rules", err)
	}
	defer t.turn.Unlock()
	before := t.probe(ctx, t.cfg.Probes, t.cfg.Patience)
	err := do()
	if err != nil && !errors.Is(err, cordon.ErrUnknown) {
		t.end(nil)
		return Result{Outcome: NotMade, Changes: 1}, fmt.Errorf("change rules: %w", err)
	}
	result, tested := t.judge(ctx, before, []change{{do, undo}})
	return result, errors.Join(wrap("change rules", err), tested)
}

// Check tests the changes that were made without a test, all together. It is
// called every few seconds; with nothing to test it does nothing and returns the
// zero Result.
func (t *Tester) Check(ctx context.Context) (Result, error) {
	t.mu.Lock()
	waiting := len(t.suspects) > 0 && time.Since(t.tested) >= t.cfg.Every
	t.mu.Unlock()
	if !waiting || !t.turn.TryLock() {
		return Result{}, nil
	}
	defer t.turn.Unlock()
	t.mu.Lock()
	suspects, before := t.suspects, t.passed
	// What passed long ago was not just before.
	if time.Since(t.tested) > 2*t.cfg.Every+time.Second {
		before = nil
	}
	t.suspects, t.tested = nil, time.Now()
	t.mu.Unlock()
	return t.judge(ctx, before, suspects)
}

// begin takes the turn to test, if it is free and time for it.
func (t *Tester) begin() bool {
	if !t.turn.TryLock() {
		return false
	}
	t.mu.Lock()
	defer t.mu.Unlock()
	if !t.tested.IsZero() && time.Since(t.tested) < t.cfg.Every || len(t.suspects) > 0 {
		t.turn.Unlock()
		return false
	}
	t.tested, t.passed = time.Now(), nil
	return true
}

// end keeps what passed, for the changes that follow without a test.
func (t *Tester) end(passed map[string]bool) {
	t.mu.Lock()
	defer t.mu.Unlock()
	t.passed = passed
}

// suspect remembers a change that was made without a test.
func (t *Tester) suspect(c change) {
	t.mu.Lock()
	defer t.mu.Unlock()
	if len(t.suspects) == maxSuspects {
		t.suspects = append(t.suspects[:0], t.suspects[1:]...)
	}
	t.suspects = append(t.suspects, c)
}

// judge tests what passed before, and undoes the changes, which were just made, if
// that helps.
func (t *Tester) judge(ctx context.Context, before map[string]bool, changes []change) (Result, error) {
	r := Result{Outcome: Passed, Changes: len(changes)}
	if len(before) == 0 {
		t.end(nil)
		r.Outcome, r.Why = Untested, WhyDown
		return r, nil
	}
	passed := t.after(ctx, before)
	t.end(passed)
	r.Failed = missing(t.cfg.Probes, before, passed)
	switch {
	case ctx.Err() != nil:
		return Result{Outcome: Untested, Why: WhyStopped, Changes: r.Changes}, nil
	case len(r.Failed) == 0:
		return r, nil
	case t.cfg.Saturated():
		r.Outcome, r.Why = Untested, WhySaturated
		return r, nil
	}
	if err := undo(changes); err != nil {
		r.Outcome = Stuck
		return r, fmt.Errorf("undo a change that harms (%s fails): %w", strings.Join(r.Failed, ", "), err)
	}
	helped := t.after(ctx, before)
	t.end(helped)
	if still := missing(t.cfg.Probes, before, helped); len(still) < len(r.Failed) {
		r.Outcome = RolledBack
		return r, nil
	}
	r.Outcome = Acquitted
	return r, wrap("change rules again", redo(changes))
}

// after tests until all that passed before passes again, Attempts times at most.
func (t *Tester) after(ctx context.Context, before map[string]bool) map[string]bool {
	passed := make(map[string]bool)
	for n := range t.cfg.Attempts {
		if n > 0 && !pause.For(ctx, t.cfg.Pause) {
			break
		}
		var left []Probe
		for _, p := range t.cfg.Probes {
			if before[p.Name] && !passed[p.Name] {
				left = append(left, p)
			}
		}
		for name := range t.probe(ctx, left, t.cfg.Wait) {
			passed[name] = true
		}
		if len(missing(t.cfg.Probes, before, passed)) == 0 {
			break
		}
	}
	return passed
}

// probe runs probes side by side and returns the names of those that passed in
// time.
func (t *Tester) probe(ctx context.Context, probes []Probe, wait time.Duration) map[string]bool {
	ctx, cancel := context.WithTimeout(ctx, wait)
	defer cancel()
	errs := make([]error, len(probes))
	var running sync.WaitGroup
	for k, p := range probes {
		running.Go(func() { errs[k] = p.Run(ctx) })
	}
	running.Wait()
	passed := make(map[string]bool)
	for k, p := range probes {
		if errs[k] == nil {
			passed[p.Name] = true
		}
	}
	return passed
}

// missing returns the probes that passed before and not after.
func missing(probes []Probe, before, after map[string]bool) (names []string) {
	for _, p := range probes {
		if before[p.Name] && !after[p.Name] {
			names = append(names, p.Name)
		}
	}
	return names
}

// undo undoes changes, the newest first, all of them also if one fails.
func undo(changes []change) error {
	var errs []error
	for k := len(changes) - 1; k >= 0; k-- {
		errs = append(errs, changes[k].undo())
	}
	return errors.Join(errs...)
}

// redo makes changes again.
func redo(changes []change) error {
	var errs []error
	for _, c := range changes {
		errs = append(errs, c.do())
	}
	return errors.Join(errs...)
}

// wrap says what an error happened at, if there is one.
func wrap(what string, err error) error {
	if err == nil {
		return nil
	}
	return fmt.Errorf("%s: %w", what, err)
}
