package load

import (
	"context"
	"errors"
	"fmt"
	"math"
	"math/rand/v2"
	"net/http"
	"net/url"
	"time"

	"cordon"
	"cordon/internal/pause"
	"cordon/lab/program"
)

// introduce lets every router tell what is at its home, as fast as core takes it.
func (m *measure) introduce(ctx context.Context) error {
	sites := make(map[string]string)
	err := program.Each(ctx, m.core, "/v1/routers", nil, func(r *struct{ ID, Site string }) { sites[r.ID] = r.Site })
	if err != nil {
		return err
	}
	began := time.Now()
	for i, r := range m.crowd.routers {
		r.site = sites[r.id]
		reports := r.introduce()
		for m.crowd.sent.Load()-m.crowd.acked.Load() > mostUnacked {
			if !pause.For(ctx, time.Millisecond) {
				return ctx.Err()
			}
		}
		r.send(reports, nil)
		if i%100 == 0 {
			m.doing("%d of %d homes introduced", i, len(m.crowd.routers))
		}
	}
	if err := m.settle(ctx); err != nil {
		return err
	}
	n, took := m.crowd.acked.Load(), time.Since(began)
	m.line("what is at home, of all routers", fmt.Sprintf("%d reports in %s: %.0f a second", n, seconds(took), float64(n)/took.Seconds()), "")
	m.crowd.waits.take()
	return nil
}

// mostUnacked is how many reports may wait for core while it takes as many as it can. The
// gateway holds 1,024 batches (core/gateway).
const mostUnacked = 2_000

// settleWithin is how long core may take to store what it was sent.
const settleWithin = 3 * time.Minute

// settle waits until everything that was sent is acknowledged, and in the database.
func (m *measure) settle(ctx context.Context) error {
	ctx, cancel := context.WithTimeout(ctx, settleWithin)
	defer cancel()
	for {
		sent, acked := m.crowd.sent.Load(), m.crowd.acked.Load()
		metrics, err := m.core.Metrics(ctx)
		if err == nil && sent == acked && metrics["cordon_bus_waiting_messages"] == 0 {
			return nil
		}
		m.doing("waiting for core: %d of %d reports acknowledged, %.0f messages wait", acked, sent, metrics["cordon_bus_waiting_messages"])
		if !pause.For(ctx, 20*time.Millisecond) {
			return fmt.Errorf("%d of %d reports acknowledged: %w; %s", acked, sent, ctx.Err(), m.crowd.troubles())
		}
	}
}

// How the rate is found that core holds.
const (
	firstRate = 1_000 // reports a second
	raise     = 1.5
	stepFor   = 8 * time.Second
	finer     = 2   // steps between the last that was held and the first that was not
	lower     = 0.9 // of a rate that was not held for long
	lowerings = 4
	// lagMost is how far core may be behind, in seconds of the rate.
	lagMost = 2.0
)

// sustain finds the rate that core holds, or takes the one that is wanted, and holds it.
func (m *measure) sustain(ctx context.Context) error {
	rate := float64(m.cfg.Rate)
	if rate == 0 {
		var err error
		if rate, err = m.search(ctx); err != nil {
			return err
		}
	}
	for try := 0; ; try++ {
		h, err := m.hold(ctx, rate, m.cfg.Hold, true)
		if err != nil {
			return err
		}
		if !h.behind || m.cfg.Rate != 0 || try == lowerings {
			m.tell(h)
			return nil
		}
		rate *= lower
	}
}

// search raises the rate until core falls behind, and returns the highest that it held
// for a moment.
func (m *measure) search(ctx context.Context) (float64, error) {
	good, bad := 0.0, math.Inf(1)
	for rate, n := float64(firstRate), 0; n <= finer; {
		h, err := m.hold(ctx, rate, stepFor, false)
		if err != nil {
			return 0, err
		}
		if h.behind {
			bad = rate
		} else {
			good = rate
		}
		switch {
		case math.IsInf(bad, 1):
			rate *= raise
		case good == 0:
			rate /= raise
		default:
			rate = math.Sqrt(good * bad)
			n++
		}
	}
	return good, nil
}

// held is what was measured at a rate.
type held struct {
	rate, is       float64 // reports a second that were wanted, and that were stored
	length         time.Duration
	behind         bool
	acked, visible []time.Duration
	cpu, own       time.Duration // of core and of this process
	resident       int64
	waiting        float64 // messages, at most
	repeated       int64
}

// hold sends reports at a rate, then waits until core has stored them.
func (m *measure) hold(ctx context.Context, rate float64, length time.Duration, marks bool) (h held, err error) {
	h = held{rate: rate}
	before, err := m.usage()
	if err != nil {
		return h, err
	}
	own, err := UsageOf(0)
	if err != nil {
		return h, err
	}
	first, err := m.core.Metrics(ctx)
	if err != nil {
		return h, err
	}
	m.crowd.waits.take()
	repeated, acked := m.crowd.repeated.Load(), m.crowd.acked.Load()
	sending, stop := context.WithTimeout(ctx, length)
	defer stop()
	var seen times
	watched := make(chan struct{})
	go func() {
		defer close(watched)
		if marks {
			m.marks(sending, &seen)
		}
	}()
	profiled := make(chan error, 1)
	go func() {
		if !marks {
			profiled <- nil
			return
		}
		profiled <- m.cpu(ctx, "hold", length/2)
	}()
	began := time.Now()
	m.drive(sending, rate, func(metrics map[string]float64) {
		h.waiting = max(h.waiting, metrics["cordon_bus_waiting_messages"])
		m.doing("%.0f reports/s: %d sent, %d acknowledged, %.0f messages wait", rate, m.crowd.sent.Load(), m.crowd.acked.Load(), metrics["cordon_bus_waiting_messages"])
	})
	h.length = time.Since(began)
	if ctx.Err() != nil {
		return h, ctx.Err()
	}
	last, err := m.core.Metrics(ctx)
	if err != nil {
		return h, err
	}
	<-watched
	after, err := m.usage()
	if err != nil {
		return h, err
	}
	mine, err := UsageOf(0)
	if err != nil {
		return h, err
	}
	const stored = "cordon_store_reports_total"
	h.is = (last[stored] - first[stored]) / h.length.Seconds()
	lag := max(float64(m.crowd.sent.Load())-float64(acked)-(last[stored]-first[stored]), float64(m.crowd.sent.Load()-m.crowd.acked.Load()))
	h.behind = lag > lagMost*rate || h.is < 0.9*rate
	h.cpu, h.own, h.resident = after.CPU-before.CPU, mine.CPU-own.CPU, after.Resident
	if err := m.settle(ctx); err != nil {
		return h, err
	}
	h.acked, h.visible, h.repeated = m.crowd.waits.take(), seen.take(), m.crowd.repeated.Load()-repeated
	return h, <-profiled
}

// driveEvery is how often reports are sent.
const driveEvery = 5 * time.Millisecond

// drive sends reports at a rate until ctx is done, from router after router, and calls
// look with core's metrics once a second.
func (m *measure) drive(ctx context.Context, rate float64, look func(map[string]float64)) {
	rng := rand.New(rand.NewPCG(1, 2))
	began, looked := time.Now(), time.Now()
	var asked chan map[string]float64
	sent, next := 0, rng.IntN(len(m.crowd.routers))
	for pause.For(ctx, driveEvery) {
		due := int(rate * time.Since(began).Seconds())
		for skipped := 0; sent < due && skipped < len(m.crowd.routers); {
			r := m.crowd.routers[next]
			next = (next + step) % len(m.crowd.routers)
			if !r.free() {
				skipped++
				continue
			}
			r.send(r.mix(rng, m.cfg.Batch, cordon.TimeOf(time.Now())), nil)
			sent += m.cfg.Batch
		}
		if asked == nil && time.Since(looked) > time.Second {
			looked = time.Now()
			asked = make(chan map[string]float64, 1)
			go func(to chan map[string]float64) {
				metrics, _ := m.core.Metrics(ctx) // nil: it ends just now
				to <- metrics
			}(asked)
		}
		select {
		case metrics := <-asked:
			asked = nil
			if metrics != nil {
				look(metrics)
			}
		default:
		}
	}
}

// step makes neighbours in the list report at different times; it is prime.
const step = 7919

// markEvery is how often an incident is sent that is looked for.
const markEvery = 200 * time.Millisecond

// marks sends incidents until ctx is done, and notes when each is seen in the API.
func (m *measure) marks(ctx context.Context, seen *times) {
	rng := rand.New(rand.NewPCG(3, 4))
	for n := 0; pause.For(ctx, markEvery); n++ {
		r := m.crowd.routers[rng.IntN(len(m.crowd.routers))]
		if !r.free() {
			continue
		}
		name := fmt.Sprintf("mark-%d-%d", time.Now().UnixNano(), n)
		at := time.Now()
		r.send([]cordon.Report{r.mark(name, cordon.TimeOf(at))}, func() {
			m.crowd.alive.Go(func() {
				if m.visible(context.WithoutCancel(ctx), r.site, name) == nil {
					seen.add(time.Since(at))
				}
			})
		})
	}
}

// seenWithin is how long something may take to be seen in the API.
const seenWithin = 30 * time.Second

// visible returns when an incident is seen in the API.
func (m *measure) visible(ctx context.Context, site, name string) error {
	ctx, cancel := context.WithTimeout(ctx, seenWithin)
	defer cancel()
	for {
		var found struct{}
		err := m.core.Ask(ctx, http.MethodGet, "/v1/sites/"+url.PathEscape(site)+"/incidents/"+url.PathEscape(name), nil, &found)
		var no *program.Refused
		if !errors.As(err, &no) || no.Status != http.StatusNotFound {
			return err
		}
		if !pause.For(ctx, 5*time.Millisecond) {
			return ctx.Err()
		}
	}
}

// tell writes down what was measured at the rate that was held.
func (m *measure) tell(h held) {
	what := fmt.Sprintf("reports a second, held for %s", seconds(h.length))
	figure := fmt.Sprintf("%.0f", h.is)
	if h.behind {
		figure += fmt.Sprintf(", behind at %.0f", h.rate)
	}
	m.line(what, figure, "5000")
	m.line("from sent to acknowledged", spread(h.acked), "")
	m.line("from sent to seen in the API", spread(h.visible), "")
	m.line("CPU time of core for 1,000 reports", fmt.Sprintf("%.2f s", h.cpu.Seconds()*1000/(h.is*h.length.Seconds())), "")
	m.line("CPU of core, of the load generator", share(h.cpu, h.length)+", "+share(h.own, h.length), "")
	m.line("resident: core", megabytes(h.resident), "")
	m.line("messages that waited on the bus, at most", fmt.Sprintf("%.0f", h.waiting), "")
	if h.repeated > 0 {
		m.line("reports that were sent again", fmt.Sprint(h.repeated), "0")
	}
}
