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
	"time"

	"cordon/internal/pause"
	"cordon/lab/load"
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
	before, err := o.used()
	if err != nil {
		return Load{}, err
	}
	began, events, reports := time.Now(), o.heard.Load(), o.sent.Load()
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
	after, err := o.used()
	r.Used = after.since(before)
	return r, err
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
			if !pause.For(timed, time.Until(due)) {
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

// usage is what core, this process and the whole machine have used of the processors.
type usage struct {
	at             time.Time
	all, core, own time.Duration
}

// used returns what was used until now.
func (o *office) used() (u usage, err error) {
	core, err := load.UsageOf(o.stage.core.PID())
	if err != nil {
		return u, err
	}
	own, err := load.UsageOf(0)
	if err != nil {
		return u, err
	}
	u = usage{at: core.At, core: core.CPU, own: own.CPU}
	u.all, err = busy()
	return u, err
}

// since returns the cores that were busy.
func (u usage) since(before usage) Usage {
	took := u.at.Sub(before.at)
	share := func(a, b time.Duration) float64 { return (a - b).Seconds() / took.Seconds() }
	return Usage{All: share(u.all, before.all), Core: share(u.core, before.core), Own: share(u.own, before.own)}
}

// tick is the unit of times in /proc (USER_HZ, the same on every architecture that Linux
// runs Go on).
const tick = 10 * time.Millisecond

// busy returns how long all cores together were busy since the machine started:
// proc_stat(5), user, nice, system, irq and softirq.
func busy() (sum time.Duration, err error) {
	text, err := os.ReadFile("/proc/stat")
	if err != nil {
		return 0, err
	}
	fields := strings.Fields(string(text))
	for _, i := range []int{1, 2, 3, 6, 7} {
		n, err := strconv.ParseInt(fields[i], 10, 64) // the kernel writes more than these
		if err != nil {
			return 0, fmt.Errorf("busy cores: %w", err)
		}
		sum += time.Duration(n) * tick
	}
	return sum, nil
}
