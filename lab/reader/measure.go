package reader

import (
	"context"
	"fmt"
	"math/rand/v2"
	"os"
	"strconv"
	"strings"
	"sync"
	"sync/atomic"
	"syscall"
	"time"
)

// counter counts from many goroutines.
type counter struct{ atomic.Int64 }

// sample is what one client measured in a run.
type sample struct {
	took     map[string][]time.Duration // by route; errors are in it, too
	errors   map[string]int
	problems []string
	slow     []slow
}

// slow is a request that took long.
type slow struct {
	took time.Duration
	what string
}

// Bounds of what a report tells in full.
const (
	tooLong     = time.Second
	maxProblems = 5  // of a client
	maxSlow     = 20 // of a client
)

// run lets everybody ask for a while.
func (o *office) run(ctx context.Context, rate float64) (Load, error) {
	began, used, events, reports := time.Now(), o.used(), o.heard.Load(), o.sent.Load()
	samples := make([]sample, len(o.people))
	timed, cancel := context.WithTimeout(ctx, o.cfg.Length)
	defer cancel()
	var all sync.WaitGroup
	for i, p := range o.people {
		all.Go(func() { samples[i] = o.work(ctx, timed, p, rate/float64(len(o.people))) })
	}
	all.Wait()
	if err := ctx.Err(); err != nil {
		return Load{}, fmt.Errorf("what reports or listens has ended: %w", context.Cause(ctx))
	}
	r := total(samples)
	r.Rate, r.Length = rate, time.Since(began)
	r.Events, r.Reports = o.heard.Load()-events, o.sent.Load()-reports
	for _, p := range o.people {
		if p.check != nil {
			r.Lists += p.check.rounds
			p.check.rounds = 0
		}
	}
	r.Used = o.used().since(used)
	return r, nil
}

// work lets one client ask until timed is done; what was asked is answered. A rate of 0
// is none; else requests are due at random moments, and one that had to wait for the one
// before took that long.
func (o *office) work(ctx, timed context.Context, p *person, rate float64) sample {
	s := sample{took: make(map[string][]time.Duration), errors: make(map[string]int)}
	due := time.Now()
	for timed.Err() == nil {
		if rate > 0 {
			due = due.Add(time.Duration(float64(time.Second) * rand.ExpFloat64() / rate))
			if !sleep(timed, time.Until(due)) {
				break
			}
		} else {
			due = time.Now()
		}
		r := p.next(o.library)
		text, err := p.ask(ctx, r)
		s.add(r, time.Since(due))
		if err == nil {
			err = o.look(p, r, text)
		}
		if err != nil && ctx.Err() == nil {
			s.fail(r, err)
		}
	}
	return s
}

// look lets somebody take in an answer, and returns what is wrong with it.
func (o *office) look(p *person, r *request, text []byte) error {
	if r.walked == nil {
		return nil
	}
	found, err := r.walked.took(text)
	if err != nil {
		return err
	}
	if p.check != nil {
		return p.check.took()
	}
	p.known.add(r.walked.list, found.Items)
	if found.Next == "" {
		return nil
	}
	if p.rng.Float64() < goesOn {
		p.walk = r.walked
	} else if p.role.Staff() {
		o.library.leave(p, p.role, r.walked)
	}
	return nil
}

// sleep waits and reports whether ctx is still of use.
func sleep(ctx context.Context, d time.Duration) bool {
	t := time.NewTimer(d)
	defer t.Stop()
	select {
	case <-t.C:
		return true
	case <-ctx.Done():
		return false
	}
}

func (s *sample) add(r *request, took time.Duration) {
	s.took[r.route] = append(s.took[r.route], took)
	if took >= tooLong && len(s.slow) < maxSlow {
		s.slow = append(s.slow, slow{took, strings.Fields(r.route)[0] + " " + r.target()})
	}
}

func (s *sample) fail(r *request, err error) {
	s.errors[r.route]++
	if len(s.problems) < maxProblems {
		s.problems = append(s.problems, fmt.Sprintf("%s %s: %v", strings.Fields(r.route)[0], r.target(), err))
	}
}

// usage is how much of the processors was used: of all, by core, and by this process.
type usage struct {
	at             time.Time
	all, core, own time.Duration
}

// since returns the difference.
func (u usage) since(before usage) Usage {
	took := u.at.Sub(before.at)
	share := func(a, b time.Duration) float64 { return (a - b).Seconds() / took.Seconds() }
	return Usage{All: share(u.all, before.all), Core: share(u.core, before.core), Own: share(u.own, before.own)}
}

// tick is the unit of times in /proc (USER_HZ, the same on all of Linux's machines that
// we know).
const tick = 10 * time.Millisecond

// used returns what was used until now; what cannot be read is 0.
func (o *office) used() usage {
	u := usage{at: time.Now()}
	var r syscall.Rusage
	if syscall.Getrusage(syscall.RUSAGE_SELF, &r) == nil {
		u.own = time.Duration(r.Utime.Nano() + r.Stime.Nano())
	}
	// proc_pid_stat(5): the fields after the name in brackets begin with the third.
	if text, err := os.ReadFile(fmt.Sprintf("/proc/%d/stat", o.stage.core.cmd.Process.Pid)); err == nil {
		_, after, _ := strings.Cut(string(text), ") ")
		u.core = ticks(strings.Fields(after), 11, 12)
	}
	// proc_stat(5): user, nice, system, idle, iowait, irq, softirq.
	if text, err := os.ReadFile("/proc/stat"); err == nil {
		line, _, _ := strings.Cut(string(text), "\n")
		u.all = ticks(strings.Fields(line), 1, 2, 3, 6, 7)
	}
	return u
}

// ticks adds fields up.
func ticks(fields []string, which ...int) (sum time.Duration) {
	for _, i := range which {
		if i < len(fields) {
			n, _ := strconv.ParseInt(fields[i], 10, 64) // the kernel writes numbers
			sum += time.Duration(n) * tick
		}
	}
	return sum
}
