package state

import (
	"context"
	"errors"
	"fmt"
	"net/netip"
	"os"
	"path/filepath"
	"slices"
	"strings"
	"syscall"
	"testing"
	"testing/synctest"
	"time"

	"github.com/google/go-cmp/cmp"
	"github.com/google/go-cmp/cmp/cmpopts"

	"cordon"
)

var same = cmp.Options{cmpopts.IgnoreUnexported(State{}), cmpopts.EquateEmpty(),
	cmp.Comparer(func(a, b netip.Addr) bool { return a == b }), cmp.Comparer(func(a, b netip.Prefix) bool { return a == b })}

// TestRoundTrip writes a state to a real directory and reads it in a later run.
func TestRoundTrip(t *testing.T) {
	dir := filepath.Join(t.TempDir(), "cordon")
	s, err := Open(dir, Config{})
	if err != nil {
		t.Fatal(err)
	}
	if _, err := Open(dir, Config{}); !errors.Is(err, ErrInUse) {
		t.Errorf("a second agent: %v", err)
	}
	if empty, err := s.Load(); err != nil || len(empty.Actions) > 0 {
		t.Errorf("a first start: %+v, %v", empty, err)
	}
	if r, err := s.Started(); err != nil || r != (Run{Starts: 1}) {
		t.Errorf("started %+v, %v", r, err)
	}
	want := sample(2)
	want.Actions[0].Entity.Target = cordon.Target{Proto: 17, LocalPort: 5, Peer: netip.MustParseAddr("2001:db8::7"),
		Net: netip.MustParsePrefix("2001:db8::/48"), Name: "c2.example", Stray: true}
	want.Actions[0].Rate = cordon.Rate{Packets: 5}
	want.Actions[0].Order = true
	want.Held = []Held{{ID: "act-h", Verb: cordon.VerbBlock, Entity: cordon.Entity{Device: "d", Target: cordon.Target{Name: "c2.example"}},
		Release: "r", By: "Ada", Expires: t0.Add(time.Hour), Left: time.Hour}, {ID: "order", By: "root", Expires: t0.Add(time.Hour), Left: time.Hour}}
	slices.SortFunc(want.Held, func(a, b Held) int { return strings.Compare(a.Release, b.Release) })
	want.Actions[0].Addrs = []netip.Addr{netip.MustParseAddr("192.168.1.10"), netip.MustParseAddr("fd00::10")}
	s.SaveNow(want)
	if err := s.Stopped(); err != nil {
		t.Fatal(err)
	}
	if err := s.Close(); err != nil {
		t.Fatal(err)
	}
	s, err = Open(dir, Config{Boot: "another"})
	if err != nil {
		t.Fatal(err)
	}
	defer s.Close()
	got, err := s.Load()
	if err != nil {
		t.Fatal(err)
	}
	// The order is by weight, and the moments between the calls have gone by.
	roughly := cmp.Comparer(func(a, b time.Duration) bool { return a.Round(time.Minute) == b.Round(time.Minute) })
	want.Actions = []Action{want.Actions[2], want.Actions[1], want.Actions[0]}
	if diff := cmp.Diff(want, got, same, roughly); diff != "" {
		t.Errorf("(-saved +loaded):\n%s", diff)
	}
	if r, err := s.Started(); err != nil || r != (Run{Starts: 2}) {
		t.Errorf("started again %+v, %v", r, err)
	}
	for _, name := range []string{"state.a", "state.b"} {
		if info, err := os.Stat(filepath.Join(dir, name)); err != nil || info.Mode().Perm() != 0o600 {
			t.Errorf("%s: %v, %v", name, info, err)
		}
	}
}

// TestFailures breaks each step of a write in two ways: it fails, and it fails but
// was done all the same. Whatever happens, a whole state is there, and the next
// write succeeds.
func TestFailures(t *testing.T) {
	older, newer := sample(1), sample(2)
	for _, c := range []struct {
		op    string
		done  bool
		after int // actions found after a power cut
	}{
		{"write", false, 2},
		{"write", true, 2}, // the temporary file is no state yet
		{"rename", false, 2},
		{"rename", true, 3},
		{"sync", false, 3},
		{"sync", true, 3},
	} {
		for _, err := range []error{syscall.ENOSPC, syscall.EIO} {
			t.Run(fmt.Sprintf("%s done=%v %v", c.op, c.done, err), func(t *testing.T) {
				m, clk := newMemory(), &clock{now: time.Hour}
				s := boot(m, "one", clk)
				if _, err := s.Started(); err != nil {
					t.Fatal(err)
				}
				for _, st := range []State{older, older} { // both generations
					s.SaveNow(st)
					clk.pass(time.Minute)
					s.step()
				}
				m.fail = func(op string) (bool, error) {
					if op == c.op {
						return c.done, err
					}
					return true, nil
				}
				s.SaveNow(newer)
				clk.pass(time.Minute)
				if wait := s.step(); wait != retryFirst {
					t.Errorf("after the failure it waits %s, want %s", wait, retryFirst)
				}
				if st := s.Stats(); st.Errors != 1 || !strings.Contains(st.Error, err.Error()) || !st.Pending {
					t.Errorf("stats %+v", st)
				}
				found, lerr := load(t, m.copy())
				if lerr != nil || len(found.Actions) != c.after {
					t.Errorf("after a power cut: %v, %v; want %d actions", ids(found), lerr, c.after)
				}
				clk.pass(retryFirst)
				if wait := s.step(); wait != 2*retryFirst {
					t.Errorf("after the second failure it waits %s", wait)
				}
				if found, lerr := load(t, m.copy()); lerr != nil || len(found.Actions) != c.after {
					t.Errorf("after a second failure and a power cut: %v, %v", ids(found), lerr)
				}
				m.fail = nil
				clk.pass(2 * retryFirst)
				s.step()
				if found, lerr := load(t, m.copy()); lerr != nil || len(found.Actions) != 3 {
					t.Errorf("after the repair: %v, %v", ids(found), lerr)
				}
				if st := s.Stats(); st.Error != "" || st.Pending {
					t.Errorf("stats after the repair %+v", st)
				}
			})
		}
	}
}

// TestUnknown shows that a failure after the rename is one whose outcome is unknown.
func TestUnknown(t *testing.T) {
	for op, unknown := range map[string]bool{"write": false, "rename": true, "sync": true} {
		m := newMemory()
		m.fail = func(o string) (bool, error) { return false, map[bool]error{true: syscall.EIO}[o == op] }
		if err := replace(m, 0, []byte("x")); err == nil || errors.Is(err, cordon.ErrUnknown) != unknown {
			t.Errorf("%s fails: %v, unknown should be %v", op, err, unknown)
		}
	}
}

// TestDamaged takes the other generation, or nothing, and says so.
func TestDamaged(t *testing.T) {
	m, clk := newMemory(), &clock{now: time.Hour}
	s := boot(m, "one", clk)
	s.Started()          // a
	s.SaveNow(sample(1)) // b
	clk.pass(time.Minute)
	s.step()
	newest, other := "state.b", "state.a"
	flip := func(b []byte) []byte { c := []byte(string(b)); c[len(c)/2] ^= 1; return c }
	body := func(s string) []byte {
		f, err := decodeBody([]byte(s))
		if err != nil {
			t.Fatal(err)
		}
		b, _, _ := f.encode()
		return b
	}
	for _, c := range []struct {
		name string
		b    []byte
		why  string
	}{
		{"a bit", flip(m.files[newest]), "checksum"},
		{"cut", m.files[newest][:100], "checksum"},
		{"empty", nil, "no state file"},
		{"zeros", make([]byte, 4096), "no state file"},
		{"a header only", []byte("cordon-state 1\n"), "no state file"},
		{"newer", []byte("cordon-state 2 00\n{}\n"), "newer agent"},
		{"huge", make([]byte, maxFile+1), "longer than"},
	} {
		cut := m.copy()
		cut.files[newest] = c.b
		s := boot(cut, "one", clk)
		got, err := s.Load()
		if err == nil || !strings.Contains(err.Error(), c.why) || !strings.Contains(err.Error(), newest) || !strings.Contains(err.Error(), "other file is used") {
			t.Errorf("%s: error %v, want %q", c.name, err, c.why)
		}
		if len(got.Actions) != 0 { // the other file is of Started, before anything
			t.Errorf("%s: %v", c.name, ids(got))
		}
		if r, err := s.Started(); err != nil || r.Starts != 3 {
			t.Errorf("%s: started %+v, %v; the number must not come again", c.name, r, err)
		}
		cut = m.copy()
		cut.files[newest], cut.files[other] = c.b, c.b
		s = boot(cut, "one", clk)
		got, err = s.Load()
		if err == nil || !strings.Contains(err.Error(), "nothing is known") || len(got.Actions) > 0 {
			t.Errorf("%s twice: %v, %v", c.name, ids(got), err)
		}
		if _, err := s.Started(); err != nil {
			t.Errorf("%s twice: %v", c.name, err)
		}
		if _, err := load(t, cut); err == nil {
			continue // one good file and one that is damaged still
		} else if !strings.Contains(err.Error(), "other file") {
			t.Errorf("%s twice, written again: %v", c.name, err)
		}
	}
	odd := m.copy()
	odd.files[newest] = body(`{"sequence":9,"actions":[{"id":"x","verb":"explode","mode":"do","device":"d","at":"2026-11-24T12:00:00Z","expires":"2026-11-24T12:00:00Z","left_ns":5},
		{"id":"y","verb":"block","mode":"do","device":"d","at":"2026-11-24T12:00:00Z","expires":"2026-11-24T12:00:00Z","left_ns":5000000000}],
		"devices":[{"device":"d","policy":"hard"},{"device":"d","class":"toy"},{"device":""}],"allowed":[{"id":"z","at":"2026-11-24T12:00:00Z","expires":"2026-11-24T12:00:00Z","left_ns":5}]}`)
	got, err := load(t, odd)
	if err == nil || !strings.Contains(err.Error(), "5 entries mean nothing") || len(got.Actions) != 1 || len(got.Devices) > 0 || len(got.Allowed) > 0 {
		t.Errorf("entries of another agent: %+v, %v", got, err)
	}
}

// TestSave holds the Store to when it writes.
func TestSave(t *testing.T) {
	m, clk := newMemory(), &clock{now: time.Hour}
	s := boot(m, "one", clk)
	s.Started()
	writes := func() uint64 { return s.Stats().Writes }
	step := func(d time.Duration, want uint64, what string) {
		t.Helper()
		clk.pass(d)
		s.step()
		if got := writes(); got != want {
			t.Errorf("%s: %d files written, want %d", what, got, want)
		}
	}
	s.Save(sample(1))
	step(0, 1, "an ordinary save soon after another")
	s.Save(sample(2))
	step(Every-time.Second, 1, "still")
	step(time.Second, 2, "when it is time")
	turned := sample(2)
	slices.Reverse(turned.Actions)
	s.Save(turned)
	step(Every, 2, "nothing new")
	step(refresh-Every, 3, "what grew older")
	s.SaveNow(sample(3))
	step(urgentGap, 4, "urgent")
	s.SaveNow(sample(4))
	step(0, 4, "urgent twice in a moment")
	s.Save(sample(5))
	step(urgentGap, 5, "ordinary does not delay urgent")
	if got, _ := load(t, m); len(got.Actions) != 6 {
		t.Errorf("%v, want the newest", ids(got))
	}
}

// TestRun lets a Store run, in time that a test makes.
func TestRun(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		begin := time.Now()
		m := newMemory()
		s := open(m, Config{Boot: "one", Uptime: func() time.Duration { return time.Hour + time.Since(begin) }}, nil)
		ctx, stop := context.WithCancel(t.Context())
		done := make(chan error)
		go func() { done <- s.Run(ctx) }()
		if _, err := s.Started(); err != nil {
			t.Fatal(err)
		}
		pass := func(d time.Duration) { <-time.After(d) } // the bubble's time
		s.Save(sample(1))
		pass(Every + time.Second)
		synctest.Wait()
		if got, _ := load(t, m.copy()); len(got.Actions) != 2 {
			t.Errorf("after %s: %v", Every, ids(got))
		}
		s.SaveNow(sample(2))
		pass(2 * urgentGap)
		synctest.Wait()
		if got, _ := load(t, m.copy()); len(got.Actions) != 3 {
			t.Errorf("after an urgent save: %v", ids(got))
		}
		m.breakWith(func(string) (bool, error) { return false, syscall.ENOSPC })
		s.SaveNow(sample(3))
		pass(time.Hour)
		synctest.Wait()
		if st := s.Stats(); st.Errors < 10 || st.Errors > 30 {
			t.Errorf("%d tries in an hour of a full disk", st.Errors)
		}
		m.breakWith(nil)
		pass(retryMost)
		synctest.Wait()
		if got, _ := load(t, m.copy()); len(got.Actions) != 4 {
			t.Errorf("after the disk has room again: %v", ids(got))
		}
		s.Save(sample(4))
		stop()
		if err := <-done; err != nil {
			t.Error(err)
		}
		if err := s.Stopped(); err != nil {
			t.Error(err)
		}
		if got, _ := load(t, m); len(got.Actions) != 5 {
			t.Errorf("after the end: %v", ids(got))
		}
	})
}

// TestBounds puts too much in.
func TestBounds(t *testing.T) {
	m, clk := newMemory(), &clock{now: time.Hour}
	s := boot(m, "one", clk)
	st := sample(MaxActions + 100)
	for i := range st.Actions {
		st.Actions[i].Reason = strings.Repeat("ü\x01", 1000)
	}
	for range MaxAllowed + 1 {
		st.Allowed = append(st.Allowed, st.Allowed[0])
	}
	for i := range st.Allowed {
		st.Allowed[i].Reason = strings.Repeat("\x01", 1000)
		st.Allowed[i].Target.Name = strings.Repeat("\x01", 1000)
		st.Allowed[i].By = strings.Repeat("\x01", 1000)
	}
	s.SaveNow(st)
	s.step()
	if got := s.Stats(); got.Writes != 1 || got.NoRoom < 103 {
		t.Errorf("stats %+v", got)
	}
	if n := len(m.files["state.a"]); n > maxFile || n == 0 {
		t.Errorf("%d bytes", n)
	}
	got, err := load(t, m)
	if err != nil || len(got.Actions) == 0 || got.Actions[0].ID != "act-q" {
		t.Errorf("the quarantine is not first: %v, %v", ids(got), err)
	}
	if r := cut(st.Actions[0].Reason); len(r) > maxText || !strings.HasPrefix(r, "ü") || strings.Contains(r, "\ufffd") {
		t.Errorf("reason of %d bytes", len(r))
	}
}

// FuzzDecode reads hostile files: as they are, and with a checksum that fits.
func FuzzDecode(f *testing.F) {
	var one file
	one.put(sample(3))
	b, _, err := one.encode()
	if err != nil {
		f.Fatal(err)
	}
	f.Add(b)
	f.Add([]byte(`{"actions":[{}],"uptime_ns":-1,"budget":-9223372036854775808}`))
	f.Add([]byte("cordon-state 1 00\n{}"))
	f.Fuzz(func(t *testing.T, b []byte) {
		if _, err := decode(b); err != nil {
			// The body alone, as if somebody had written it with a checksum.
			got, err := decodeBody(b)
			if err != nil {
				return
			}
			whole, _, err := got.encode()
			if err != nil {
				return
			}
			b = whole
		}
		m := newMemory()
		m.files["state.a"] = b
		s := boot(m, "one", &clock{now: time.Hour})
		got, _ := s.Load()
		for _, a := range got.Actions {
			if left := got.Remaining(a.Expires, a.Left, t0, true); left < 0 || left > cordon.MaxLife {
				t.Errorf("%s lives %s", a.ID, left)
			}
		}
		if _, err := s.Started(); err == nil {
			if _, err := decode(m.files["state.b"]); err != nil {
				t.Errorf("what is written cannot be read: %v", err)
			}
		}
	})
}
