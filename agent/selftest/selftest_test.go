package selftest

import (
	"context"
	"errors"
	"fmt"
	"slices"
	"testing"
	"testing/synctest"
	"time"

	"github.com/google/go-cmp/cmp"
	"github.com/google/go-cmp/cmp/cmpopts"

	"cordon"
)

// world is a router whose uplink works or not.
type world struct {
	down      bool // the line
	full      bool
	harm      bool // of the changes in force
	breaks    bool // the line breaks with the next change
	slow      bool // probes do not answer at all
	flaky     int  // so many probes are lost
	log       []string
	probes    int
	doErr     error
	undoErr   error
	lanSilent bool
}

var errDown = errors.New("no answer")

func (w *world) tester() *Tester {
	return New(Config{
		Probes: []Probe{{"uplink", w.uplink}, {"lan", func(context.Context) error {
			if w.lanSilent {
				return errDown
			}
			return nil
		}}},
		Saturated: func() bool { return w.full },
	})
}

func (w *world) uplink(ctx context.Context) error {
	w.probes++
	if w.slow {
		<-ctx.Done()
		return ctx.Err()
	}
	if w.flaky > 0 {
		w.flaky--
		return errDown
	}
	if w.down || w.harm {
		return errDown
	}
	return nil
}

// change returns a change and its undoing.
func (w *world) change(name string, harms bool) (do, undo func() error) {
	return func() error {
			w.log = append(w.log, "do "+name)
			w.down = w.down || w.breaks
			w.harm = w.harm || harms && w.doErr == nil
			return w.doErr
		}, func() error {
			w.log = append(w.log, "undo "+name)
			w.harm = w.harm && !harms
			return w.undoErr
		}
}

// TestAround shows what becomes of one change.
func TestAround(t *testing.T) {
	unknown := fmt.Errorf("timeout: %w", cordon.ErrUnknown)
	for _, c := range []struct {
		name  string
		world world
		harms bool
		want  Result
		err   error
		log   []string
		most  time.Duration // it takes
	}{
		{name: "harmless", want: Result{Outcome: Passed}, log: []string{"do a"}},
		{name: "harms", harms: true, want: Result{Outcome: RolledBack, Failed: []string{"uplink"}}, log: []string{"do a", "undo a"}, most: time.Second},
		{name: "the line was down before", world: world{down: true, lanSilent: true}, harms: true, want: Result{Outcome: Untested, Why: WhyDown}, log: []string{"do a"}},
		{name: "nobody answers before", world: world{slow: true, lanSilent: true}, harms: true, want: Result{Outcome: Untested, Why: WhyDown}, log: []string{"do a"}, most: 250 * time.Millisecond},
		{name: "only the uplink was down before", world: world{down: true}, want: Result{Outcome: Passed}, log: []string{"do a"}},
		{name: "the line breaks meanwhile", world: world{breaks: true}, want: Result{Outcome: Acquitted, Failed: []string{"uplink"}},
			log: []string{"do a", "undo a", "do a"}, most: 2 * time.Second},
		{name: "the uplink is full", world: world{full: true}, harms: true, want: Result{Outcome: Untested, Why: WhySaturated, Failed: []string{"uplink"}},
			log: []string{"do a"}, most: time.Second},
		{name: "not made", world: world{doErr: errDown}, harms: true, want: Result{Outcome: NotMade}, err: errDown, log: []string{"do a"}},
		{name: "made or not, harmless", world: world{doErr: unknown}, want: Result{Outcome: Passed}, err: cordon.ErrUnknown, log: []string{"do a"}},
		{name: "made or not, and the line breaks", world: world{doErr: unknown, breaks: true}, want: Result{Outcome: Acquitted, Failed: []string{"uplink"}},
			err: cordon.ErrUnknown, log: []string{"do a", "undo a", "do a"}, most: 2 * time.Second},
		{name: "cannot be undone", world: world{undoErr: errors.New("no memory")}, harms: true, want: Result{Outcome: Stuck, Failed: []string{"uplink"}},
			err: cmpopts.AnyError, log: []string{"do a", "undo a"}, most: time.Second},
	} {
		t.Run(c.name, func(t *testing.T) {
			synctest.Test(t, func(t *testing.T) {
				w := c.world
				start := time.Now()
				do, undo := w.change("a", c.harms)
				got, err := w.tester().Around(t.Context(), do, undo)
				c.want.Changes = 1
				if diff := cmp.Diff(c.want, got); diff != "" {
					t.Errorf("result (-want +got):\n%s", diff)
				}
				if c.err == nil && err != nil || c.err == cmpopts.AnyError && err == nil || c.err != nil && c.err != cmpopts.AnyError && !errors.Is(err, c.err) {
					t.Errorf("error %v, want %v", err, c.err)
				}
				if !slices.Equal(w.log, c.log) {
					t.Errorf("did %q, want %q", w.log, c.log)
				}
				if took := time.Since(start); took > c.most {
					t.Errorf("took %v, want at most %v", took, c.most)
				}
			})
		})
	}
}

// TestLost shows that two lost probes are no failure, and three are.
func TestLost(t *testing.T) {
	for lost, want := range map[int]Outcome{2: Passed, 3: RolledBack} {
		synctest.Test(t, func(t *testing.T) {
			w := world{}
			do, undo := w.change("a", false)
			got, err := w.tester().Around(t.Context(), func() error { w.flaky = lost; return do() }, undo)
			if got.Outcome != want || err != nil {
				t.Errorf("%d lost: %+v, %v, want %s", lost, got, err, want)
			}
		})
	}
}

// TestBurst shows that of many changes in a short time only the first waits for a
// test, and that the others are tested together and undone if one of them harms.
func TestBurst(t *testing.T) {
	for _, c := range []struct {
		name    string
		harmful int // which of the ten, -1: none
		breaks  bool
		want    Result
	}{
		{"none harms", -1, false, Result{Outcome: Passed, Changes: 9}},
		{"the fifth harms", 5, false, Result{Outcome: RolledBack, Failed: []string{"uplink"}, Changes: 9}},
		{"the line breaks", -1, true, Result{Outcome: Acquitted, Failed: []string{"uplink"}, Changes: 9}},
	} {
		t.Run(c.name, func(t *testing.T) {
			synctest.Test(t, func(t *testing.T) {
				w := world{}
				tester := w.tester()
				for k := range 10 {
					do, undo := w.change(fmt.Sprint(k), k == c.harmful)
					if got, err := tester.Around(t.Context(), do, undo); err != nil || (k > 0) != (got.Outcome == Untested) {
						t.Errorf("change %d: %+v, %v", k, got, err)
					}
				}
				if w.probes != 2 {
					t.Errorf("%d probes during the burst, want one before and one after its first change", w.probes)
				}
				w.down = c.breaks
				if got, err := tester.Check(t.Context()); err != nil || got.Outcome != "" {
					t.Errorf("checked at once: %+v, %v", got, err)
				}
				time.Sleep(10 * time.Second)
				got, err := tester.Check(t.Context())
				if diff := cmp.Diff(c.want, got); diff != "" || err != nil {
					t.Errorf("checked (-want +got):\n%s%v", diff, err)
				}
				if c.want.Outcome == RolledBack && (w.log[10] != "undo 9" || w.log[18] != "undo 1" || len(w.log) != 19) {
					t.Errorf("did %q, want the nine undone, the newest first", w.log)
				}
				time.Sleep(10 * time.Second)
				if got, err := tester.Check(t.Context()); err != nil || got.Outcome != "" {
					t.Errorf("checked again: %+v, %v", got, err)
				}
			})
		})
	}
}

// TestLate shows that what passed long ago speaks against nothing, and that the
// memory of untested changes is bounded.
func TestLate(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		w := world{}
		tester := w.tester()
		for k := range 2 * maxSuspects {
			do, undo := w.change(fmt.Sprint(k), k == 7)
			if _, err := tester.Around(t.Context(), do, undo); err != nil {
				t.Fatal(err)
			}
		}
		time.Sleep(time.Minute)
		got, err := tester.Check(t.Context())
		if want := (Result{Outcome: Untested, Why: WhyDown, Changes: maxSuspects}); !cmp.Equal(got, want) || err != nil {
			t.Errorf("checked: %+v, %v, want %+v", got, err, want)
		}
		if len(w.log) != 2*maxSuspects {
			t.Error("something was undone")
		}
	})
}

// TestTogether shows that a change does not wait for the test of another.
func TestTogether(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		w := world{}
		tester := w.tester()
		do, undo := w.change("a", false)
		first := make(chan Result)
		go func() {
			r, _ := tester.Around(t.Context(), func() error { w.flaky = 2; return do() }, undo)
			first <- r
		}()
		synctest.Wait()
		start := time.Now()
		nothing := func() error { return nil }
		if got, err := tester.Around(t.Context(), nothing, nothing); got.Why != WhyBusy || err != nil || time.Since(start) > 0 {
			t.Errorf("second change: %+v, %v after %v", got, err, time.Since(start))
		}
		if got := <-first; got.Outcome != Passed {
			t.Errorf("first change: %+v", got)
		}
	})
}

// TestStopped shows that being stopped undoes nothing.
func TestStopped(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		w := world{}
		ctx, cancel := context.WithCancel(t.Context())
		do, undo := w.change("a", true)
		got, err := w.tester().Around(ctx, func() error { cancel(); return do() }, undo)
		if want := (Result{Outcome: Untested, Why: WhyStopped, Changes: 1}); !cmp.Equal(got, want) || err != nil || len(w.log) != 1 {
			t.Errorf("%+v, %v, did %q", got, err, w.log)
		}
	})
}
