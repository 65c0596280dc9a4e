package state

import (
	"os"
	"path/filepath"
	"strings"
	"testing"
	"time"

	"golang.org/x/sys/unix"

	"cordon"
)

// TestCrashes counts the runs that ended badly in a row.
func TestCrashes(t *testing.T) {
	m, clk := newMemory(), &clock{now: time.Hour}
	start := func(boots string, wantStarts uint64, wantCrashes int) *Store {
		t.Helper()
		s := boot(m, boots, clk)
		r, err := s.Started()
		if err != nil || r.Starts != wantStarts || r.Crashes != wantCrashes || s.Crashes() != wantCrashes {
			t.Errorf("started %+v, %v; want start %d after %d crashes", r, err, wantStarts, wantCrashes)
		}
		if r.Safe() != (wantCrashes >= 3) {
			t.Errorf("after %d crashes safe mode is %v", wantCrashes, r.Safe())
		}
		return s
	}
	start("one", 1, 0)
	clk.pass(30 * 24 * time.Hour)
	start("one", 2, 1)
	clk.pass(9 * time.Minute)
	start("one", 3, 2)
	clk.now = time.Minute
	start("two", 4, 3).Stopped() // a power cut counts too; then somebody stopped it
	start("two", 5, 0)
	start("two", 6, 1)
	s := start("two", 7, 2)
	clk.pass(crashSpan)
	s.step() // writes that it has lasted
	start("two", 8, 1)
	clk.pass(crashSpan - time.Second)
	start("two", 9, 2).Stopped()
	start("two", 10, 0)
}

// TestRemaining tells what is left of a life of an hour, saved at noon.
func TestRemaining(t *testing.T) {
	const h = time.Hour
	for _, c := range []struct {
		name    string
		boot    string        // after the restart
		uptime  time.Duration // then
		wall    cordon.Time   // then
		trusted [2]bool       // the clock, when saved and then
		want    time.Duration // 0: it is over
	}{
		{"restart of the agent", "one", 11 * h / 2, t0.Add(h / 2), [2]bool{true, true}, h / 2},
		{"restart, in which the clock was set", "one", 11 * h / 2, t0.Add(900 * h), [2]bool{false, true}, h / 2},
		{"restart, in which the clock went wrong", "one", 11 * h / 2, t0.Add(900 * h), [2]bool{true, true}, h / 2},
		{"restart after its end", "one", 6 * h, t0.Add(h), [2]bool{true, true}, 0},
		{"reboot", "two", h / 60, t0.Add(h / 4), [2]bool{true, true}, 3 * h / 4},
		{"reboot after its end", "two", h / 60, t0.Add(2 * h), [2]bool{true, true}, 0},
		{"reboot in 1970", "two", h / 60, 0, [2]bool{true, false}, h},
		{"saved in 1970, clock set then", "two", h / 60, t0.Add(2 * h), [2]bool{false, true}, h},
		{"a clock set back", "two", h / 60, t0.Add(-500 * h), [2]bool{true, true}, h},
	} {
		m, clk := newMemory(), &clock{now: 5 * h}
		s := boot(m, "one", clk)
		s.SaveNow(State{Wall: t0, Trusted: c.trusted[0], Actions: []Action{act("act-1", cordon.VerbBlock, h)}})
		s.step()
		clk.now = c.uptime
		got, err := boot(m, c.boot, clk).Load()
		if err != nil || c.want > 0 && len(got.Actions) != 1 {
			t.Errorf("%s: %+v, %v", c.name, got, err)
			continue
		}
		left := time.Duration(0)
		for _, a := range got.Actions {
			left = got.Remaining(a.Expires, a.Left, c.wall, c.trusted[1])
		}
		if left != c.want {
			t.Errorf("%s: %s left, want %s", c.name, left, c.want)
		}
	}
}

// TestWorstDay makes a day that asks for a write every five seconds, with and without the
// agent being restarted every minute, and holds it to 5 MB.
func TestWorstDay(t *testing.T) {
	for _, restarts := range []bool{false, true} {
		m, clk := newMemory(), &clock{now: time.Hour}
		s := boot(m, "one", clk)
		s.Started()
		var worst time.Duration // that an urgent save had to wait
		var asked time.Duration
		for second := 0; second < 24*60*60; second += 5 {
			clk.pass(5 * time.Second)
			if restarts && second%60 == 55 {
				if second%120 == 55 {
					s.Stopped()
				}
				s = boot(m, "one", clk)
				s.Started()
			}
			st := sample(8 + second%8)
			switch {
			case second%600 == 0: // a quarantine
				s.SaveNow(st)
				asked = clk.now
			default:
				s.Save(st)
			}
			s.step()
			if second%20 == 0 && s.Claim(6000) { // the queue of reports
				m.cost += cost(6000)
			}
			if !s.Stats().Pending && asked > 0 {
				worst, asked = max(worst, clk.now-asked), 0
			}
		}
		if m.cost > 5_000_000 {
			t.Errorf("restarts %v: %d bytes written in a day", restarts, m.cost)
		}
		t.Logf("restarts %v: %d bytes in a day, files of %d; an urgent save waited %s at most", restarts, m.cost, len(m.files["state.a"]), worst)
	}
}

// TestStormKeepsReserve shows that ordinary saves leave room for urgent ones.
func TestStormKeepsReserve(t *testing.T) {
	m, clk := newMemory(), &clock{now: time.Hour}
	s := open(m, Config{Boot: "one", Uptime: clk.uptime, Every: time.Millisecond}, nil)
	big := func(i int) State {
		st := sample(100)
		st.Actions[0].ID = strings.Repeat("x", 1+i%200)
		return st
	}
	for i := range 1000 {
		s.Save(big(i))
		clk.pass(time.Second)
		s.step()
	}
	st := s.Stats()
	if st.Left < reserve-cost(maxFile) || !st.Deferred {
		t.Errorf("stats %+v: the reserve is gone", st)
	}
	s.SaveNow(big(1001))
	clk.pass(urgentGap)
	s.step()
	if got := s.Stats(); got.Writes != st.Writes+1 || got.Pending {
		t.Errorf("an urgent save waits: %+v", got)
	}
}

// TestFullDisk fills a real file system.
func TestFullDisk(t *testing.T) {
	if os.Geteuid() != 0 {
		t.Skip("needs root")
	}
	dir := t.TempDir()
	if err := unix.Mount("cordon-state-test", dir, "tmpfs", 0, "size=64k"); err != nil {
		t.Skip("needs to mount a tmpfs: ", err)
	}
	t.Cleanup(func() { unix.Unmount(dir, unix.MNT_DETACH) })
	clk := &clock{now: time.Hour}
	s, err := Open(dir, Config{Boot: "one", Uptime: clk.uptime})
	if err != nil {
		t.Fatal(err)
	}
	defer s.Close()
	if _, err := s.Started(); err != nil {
		t.Fatal(err)
	}
	s.SaveNow(sample(1))
	clk.pass(time.Minute)
	s.step()
	filler := filepath.Join(dir, "filler")
	f, err := os.Create(filler)
	if err != nil {
		t.Fatal(err)
	}
	for block := make([]byte, 4096); err == nil; {
		_, err = f.Write(block)
	}
	f.Close()
	s.SaveNow(sample(2))
	clk.pass(time.Minute)
	s.step()
	if st := s.Stats(); st.Errors != 1 || !strings.Contains(st.Error, "no space left") {
		t.Errorf("on a full disk: %+v", st)
	}
	read := func() State {
		t.Helper()
		st, err := open(directory{dir}, Config{Boot: "one", Uptime: clk.uptime}, nil).Load()
		if err != nil {
			t.Error(err)
		}
		return st
	}
	if st := read(); len(st.Actions) != 2 {
		t.Errorf("what was there is gone: %v", ids(st))
	}
	if err := os.Remove(filler); err != nil {
		t.Fatal(err)
	}
	clk.pass(retryMost)
	s.step()
	if st := read(); len(st.Actions) != 3 {
		t.Errorf("after there is room: %v", ids(st))
	}
}

// TestNoDirectory runs without a place to write.
func TestNoDirectory(t *testing.T) {
	file := filepath.Join(t.TempDir(), "file")
	if err := os.WriteFile(file, nil, 0o600); err != nil {
		t.Fatal(err)
	}
	s, err := Open(filepath.Join(file, "state"), Config{})
	if err != nil {
		t.Fatal(err)
	}
	if _, err := s.Load(); err == nil {
		t.Error("nothing is said")
	}
	if r, err := s.Started(); err == nil || r.Starts == 0 {
		t.Errorf("started %+v, %v", r, err)
	}
	if _, err := Open("", Config{}); err == nil {
		t.Error("a store without a directory")
	}
}
