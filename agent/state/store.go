package state

import (
	"context"
	"errors"
	"fmt"
	"io/fs"
	"log/slog"
	"os"
	"sync"
	"time"
)

// How often the Store writes.
const (
	// Every is the least time between two ordinary writes.
	Every = 5 * time.Minute
	// refresh is how often what only grew older is written: wall time and what is
	// left of lives. A reboot in 1970 loses at most that much of them.
	refresh = time.Hour
	// urgentGap is the least time between two urgent writes.
	urgentGap = time.Second
	// retryFirst and retryMost are the back-off after an error.
	retryFirst = time.Second
	retryMost  = 5 * time.Minute
)

// Config configures a Store. The zero Config is for a router.
type Config struct {
	Every time.Duration // least time between two ordinary writes, 0: the constant Every
	Log   *slog.Logger  // nil: nothing is logged

	// Boot and Uptime are the kernel's boot id and the time since it booted; empty
	// and nil: asked of the kernel.
	Boot   string
	Uptime func() time.Duration
}

// Stats says how the Store is.
type Stats struct {
	Writes   uint64 // files written
	Bytes    int64  // that they cost of the budget
	Left     int64  // bytes of the budget
	Errors   uint64 // writes that failed
	Error    string // why the last write failed, empty if it did not
	NoRoom   uint64 // entries that did not fit
	Pending  bool   // something waits to be written
	Deferred bool   // it waits for the budget
}

// Store keeps a State in a directory. Its methods are safe for concurrent use.
type Store struct {
	cfg  Config
	log  *slog.Logger
	disk disk
	held *os.File // the lock; nil if there is none

	wake chan struct{} // something was handed in

	writing sync.Mutex // held while a file is written

	mu       sync.Mutex
	current  State         // the newest, written or not
	content  string        // what of the last written State is no mere ageing
	pending  bool          // current is to be written
	urgent   bool          // at once
	made     time.Duration // uptime when current was handed in or loaded
	run      run
	started  time.Duration // uptime at Started
	begun    bool          // Started was called
	sequence uint64        // of the last file, written or tried
	slot     int           // to write next
	budget   budget
	claimed  int64         // since the last file was written
	last     time.Duration // uptime of the last write, -Every before the first
	retry    time.Duration // back-off, 0 after success
	notUntil time.Duration // uptime before which nothing is tried again
	size     int           // of the last file, an estimate for the next
	lost     bool          // a file was damaged: a start may be forgotten
	noted    bool          // Started is on the medium
	loadErr  error
	stats    Stats
}

// Open returns a store of the state in dir. The only errors are a wrong Config and
// ErrInUse: a directory that cannot be read or written is reported by Load and
// Stats, and tried again.
func Open(dir string, cfg Config) (*Store, error) {
	if dir == "" {
		return nil, errors.New("state: no directory named")
	}
	os.MkdirAll(dir, 0o700) // if it cannot be, writing will say so
	held, err := lock(dir)
	if err != nil {
		return nil, err
	}
	return open(directory{dir}, cfg, held), nil
}

func open(d disk, cfg Config, held *os.File) *Store {
	if cfg.Every == 0 {
		cfg.Every = Every
	}
	if cfg.Boot == "" {
		cfg.Boot = bootID()
	}
	if cfg.Uptime == nil {
		cfg.Uptime = uptime
	}
	if cfg.Log == nil {
		cfg.Log = slog.New(slog.DiscardHandler)
	}
	s := &Store{cfg: cfg, log: cfg.Log, disk: d, held: held, wake: make(chan struct{}, 1), size: page}
	s.load()
	return s
}

// load takes the newer of the two files.
func (s *Store) load() {
	now := s.cfg.Uptime()
	s.last, s.made = now-s.cfg.Every, now
	s.budget = budget{left: burst, at: now}
	var newest *file
	var problems []error
	for i, name := range slots {
		b, err := s.disk.read(name)
		if errors.Is(err, fs.ErrNotExist) {
			continue
		}
		var f *file
		if err == nil {
			f, err = decode(b)
		}
		if err != nil {
			problems = append(problems, fmt.Errorf("%s: %w", name, err))
			continue
		}
		if newest == nil || f.Sequence > newest.Sequence {
			newest, s.slot, s.size = f, 1-i, len(b)
		}
	}
	s.lost = len(problems) > 0
	what := "nothing is known of before"
	if newest != nil {
		what = "the other file is used"
		refused := s.take(newest, now)
		if refused > 0 {
			s.loadErr = fmt.Errorf("load state: %d entries mean nothing to this agent and were left out", refused)
		}
	}
	if err := errors.Join(problems...); err != nil {
		s.loadErr = errors.Join(fmt.Errorf("load state: %w; %s", err, what), s.loadErr)
	}
}

// take makes f the current state, and returns how many entries it had to leave out.
func (s *Store) take(f *file, now time.Duration) (refused int) {
	state, refused := f.get()
	state.sameBoot = f.Boot == s.cfg.Boot && f.Boot != "" && f.Uptime >= 0 && now >= f.Uptime
	elapsed := now // another boot: at least since this one began
	if state.sameBoot {
		elapsed = now - f.Uptime
		state.age(elapsed)
	}
	state.age(0)
	s.current, s.run, s.sequence = state, f.Run, f.Sequence
	s.budget = budget{left: max(min(f.Budget, burst), -burst), at: now - elapsed}
	s.budget.fill(now)
	return refused
}

// Load returns the state that was last written. The State can be used whatever the
// error: that says what was lost and why.
func (s *Store) Load() (State, error) {
	s.mu.Lock()
	defer s.mu.Unlock()
	return s.current, s.loadErr
}

// Save hands in the state to be written when it is time: ordinary changes, and the
// time that passed. It never waits for the disk.
func (s *Store) Save(state State) { s.save(state, false) }

// SaveNow hands in the state to be written at once, because a power cut must not
// undo it. It does not wait for the disk either.
func (s *Store) SaveNow(state State) { s.save(state, true) }

func (s *Store) save(state State, urgent bool) {
	s.mu.Lock()
	s.current, s.made = state, s.cfg.Uptime()
	s.pending, s.urgent = true, s.urgent || urgent
	s.mu.Unlock()
	select {
	case s.wake <- struct{}{}:
	default:
	}
}

// Run writes what is handed in until ctx is done. What is pending then, Stopped
// writes.
func (s *Store) Run(ctx context.Context) error {
	timer := time.NewTimer(0)
	defer timer.Stop()
	for {
		select {
		case <-ctx.Done():
			return nil
		case <-s.wake:
		case <-timer.C:
		}
		timer.Reset(s.step())
	}
}

// idle is how long Run waits when nothing is to be done: until it is woken.
const idle = 365 * 24 * time.Hour

// step writes if something is due, and returns how long to wait for the next step.
// What is due is judged again each time, so being called too often does no harm.
func (s *Store) step() time.Duration {
	for {
		wait := s.due()
		if wait > 0 {
			return wait
		}
		s.flush(false) // on error due gives the back-off
	}
}

// due returns how long it is until something is to be written, 0: it is now.
func (s *Store) due() time.Duration {
	s.mu.Lock()
	defer s.mu.Unlock()
	now := s.cfg.Uptime()
	s.budget.fill(now)
	survived := s.survives()
	wait := time.Duration(idle)
	if survived > 0 {
		wait = survived - now
	}
	if s.pending {
		wait = min(wait, s.pendingUntil()-now)
	}
	if wait >= idle {
		return idle
	}
	afford := s.budget.wait(s.size, s.pending && s.urgent)
	s.stats.Deferred = wait <= 0 && afford > 0
	return max(wait, s.notUntil-now, afford, 0)
}

// pendingUntil returns the uptime at which current is to be written.
func (s *Store) pendingUntil() time.Duration {
	switch {
	case s.urgent:
		return s.last + urgentGap
	case s.content == contentOf(&s.current):
		return s.last + max(refresh, s.cfg.Every)
	}
	return s.last + s.cfg.Every
}

// flush writes the current state. clean says that the agent ends.
func (s *Store) flush(clean bool) error {
	s.writing.Lock()
	defer s.writing.Unlock()
	f, state, slot, urgent := s.prepare(clean)
	b, dropped, err := f.encode()
	if err == nil {
		b, err = s.withBudget(f, b)
	}
	if err == nil {
		err = replace(s.disk, slot, b)
	}
	s.finish(&state, len(b), dropped, urgent, err)
	return err
}

// prepare makes the file of the current state, for the slot that is to be written.
// From here on what is handed in is for the next.
func (s *Store) prepare(clean bool) (f *file, state State, slot int, urgent bool) {
	s.mu.Lock()
	defer s.mu.Unlock()
	now := s.cfg.Uptime()
	s.budget.fill(now)
	s.run.Clean = clean
	if at := s.survives(); at > 0 && now >= at {
		s.run.Lived = true
	}
	// The sequence grows with each attempt: one that failed may be on the medium.
	s.sequence++
	urgent = s.urgent
	s.pending, s.urgent = false, false
	bounded, over := s.current.bounded()
	s.stats.NoRoom += uint64(over)
	bounded.age(now - s.made)
	f = &file{Sequence: s.sequence, Run: s.run, Boot: s.cfg.Boot, Uptime: now}
	f.put(bounded)
	return f, s.current, s.slot, urgent
}

// withBudget encodes f again with what is left of the budget after writing it.
func (s *Store) withBudget(f *file, b []byte) ([]byte, error) {
	s.mu.Lock()
	f.Budget = s.budget.left - cost(len(b)+len("-1000000"))
	if !f.Run.Clean {
		f.Budget -= foreseen
	}
	s.mu.Unlock()
	b, _, err := f.encode()
	return b, err
}

// finish notes what became of a write of n bytes.
func (s *Store) finish(written *State, n, dropped int, urgent bool, err error) {
	s.mu.Lock()
	defer s.mu.Unlock()
	now := s.cfg.Uptime()
	s.stats.NoRoom += uint64(dropped)
	if err != nil {
		s.stats.Errors++
		s.stats.Error = err.Error()
		s.retry = min(max(2*s.retry, retryFirst), retryMost)
		s.notUntil = now + s.retry
		s.pending, s.urgent = true, s.urgent || urgent
		s.run.Lived = false // if it was to be noted, it still is
		if !nothingWritten(err) {
			s.spend(n)
		}
		s.log.Warn("state not written", "err", err, "again_in", s.retry)
		return
	}
	s.spend(n)
	s.stats.Writes++
	s.stats.Error = ""
	s.retry, s.notUntil, s.claimed = 0, 0, 0
	s.slot, s.last, s.size = 1-s.slot, now, n
	s.content = contentOf(written)
	s.noted = s.noted || s.begun
}

func (s *Store) spend(n int) {
	s.budget.spend(n)
	s.stats.Bytes += cost(n)
}

// Stats returns how the Store is.
func (s *Store) Stats() Stats {
	s.mu.Lock()
	defer s.mu.Unlock()
	s.budget.fill(s.cfg.Uptime())
	st := s.stats
	st.Left, st.Pending = s.budget.left, s.pending
	return st
}

// Close lets another agent use the directory. It writes nothing.
func (s *Store) Close() error {
	if s.held == nil {
		return nil
	}
	return s.held.Close()
}
