package state

import (
	"crypto/sha256"
	"encoding/json"
	"errors"
	"syscall"
	"time"
)

// SafeAfter is how many crashes in a row mean that the agent should do no more than
// keep in force what is (safe mode).
const SafeAfter = 3

// crashSpan is how soon after its start a run must end badly to be one in a row. A
// run that lasted longer was none of a series.
const crashSpan = 10 * time.Minute

// Run is what is known when the agent starts.
type Run struct {
	// Starts is how often the agent was started here, this time included. It only
	// grows, and with it every number that begins anew in a run becomes unique.
	Starts uint64
	// Crashes is how many runs before this one ended without Stopped, each within ten
	// minutes of its start but the first. A power cut is no different: a customer who
	// pulls the plug three times in a row has a reason, and it may be the agent.
	Crashes int
}

// Safe reports whether the agent should run in safe mode.
func (r Run) Safe() bool { return r.Crashes >= SafeAfter }

// Started notes on the medium that the agent starts, and tells what came before. An
// error means that the start could not be noted yet: the Run is true all the same,
// but its number may come again.
func (s *Store) Started() (Run, error) {
	s.mu.Lock()
	before := s.run
	s.run = run{Starts: before.Starts + 1}
	if s.lost {
		s.run.Starts++ // the damaged file may have been the only one to know of a start
	}
	if before.Starts > 0 && !before.Clean {
		s.run.Crashes = 1
		if !before.Lived {
			s.run.Crashes = before.Crashes + 1
		}
	}
	s.started, s.begun = s.cfg.Uptime(), true
	r := Run{Starts: s.run.Starts, Crashes: s.run.Crashes}
	// A start costs two files, this one and that of Stopped.
	if s.budget.wait(2*s.size, true) > 0 {
		s.pending, s.urgent = true, true // for Run, once it may be
		s.mu.Unlock()
		return r, errBudget
	}
	s.mu.Unlock()
	return r, s.flush(false)
}

// errBudget is returned after very many starts.
var errBudget = errors.New("write state: nothing left of today's budget; the agent is restarted too often")

// Stopped writes what is pending, and that the agent ends as it should. If not even
// the start was noted there is nothing to take back, and nothing is written.
func (s *Store) Stopped() error {
	s.mu.Lock()
	noted := s.noted
	s.mu.Unlock()
	if !noted {
		return errBudget
	}
	return s.flush(true)
}

// Noted reports whether the start is on the medium: else its number may come again.
func (s *Store) Noted() bool {
	s.mu.Lock()
	defer s.mu.Unlock()
	return s.noted
}

// Claim takes what writing n bytes costs from the budget, for somebody else who
// writes to the same flash, if there is enough: what is needed urgently is not given
// away. It reports whether the bytes may be written. What was claimed must not be
// forgotten by a crash, so a file with what is left is written first, unless the last
// one has foreseen it.
func (s *Store) Claim(n int) bool {
	s.mu.Lock()
	s.budget.fill(s.cfg.Uptime())
	if s.budget.wait(n, false) > 0 {
		s.mu.Unlock()
		return false
	}
	s.spend(n)
	s.claimed += cost(n)
	foreseen := s.claimed <= foreseen
	s.mu.Unlock()
	return foreseen || s.flush(false) == nil
}

// Crashes returns Run.Crashes of this run.
func (s *Store) Crashes() int {
	s.mu.Lock()
	defer s.mu.Unlock()
	return s.run.Crashes
}

// survives returns the uptime at which it is to be written that this run has lasted
// for crashSpan, 0 if nobody needs to know: after no crash, the next is the first of
// a row in any case. The caller holds mu.
func (s *Store) survives() time.Duration {
	if !s.begun || s.run.Crashes == 0 || s.run.Lived {
		return 0
	}
	return max(s.started+crashSpan, 1)
}

// contentOf returns a key of what in s is no mere ageing.
func contentOf(s *State) string {
	var f file
	bounded, _ := s.bounded()
	f.put(bounded)
	f.Wall = 0
	for i := range f.Actions {
		f.Actions[i].Left = 0
	}
	for i := range f.Allowed {
		f.Allowed[i].Left = 0
	}
	for i := range f.Held {
		f.Held[i].Left = 0
	}
	b, err := json.Marshal(f)
	if err != nil {
		return err.Error()
	}
	sum := sha256.Sum256(b)
	return string(sum[:])
}

// nothingWritten reports whether err means that the medium took nothing to speak of.
func nothingWritten(err error) bool {
	for _, e := range []error{syscall.ENOSPC, syscall.EDQUOT, syscall.EROFS, syscall.ENOENT, syscall.EACCES} {
		if errors.Is(err, e) {
			return true
		}
	}
	return false
}
