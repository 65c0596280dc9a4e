// Package fleet compares homes with each other.
//
// The circuit breaker is what exists of it: detections come in, a rule that suddenly
// fires in too many homes goes into shadow everywhere. A firmware update or a fault of
// ours looks like an infection to every router at once; routers cannot know, core can.
// It errs on the side of letting traffic pass, but for what has an error bound of its own
// (trusted), so that an epidemic is not silenced.
//
// What a breaker concludes depends on what it was told and on the time, not on the order,
// so that every instance of core concludes the same, also after a restart: Load reads
// the last days from the store. What is stored is then handed to Watch, what people close
// to Closed, and Run judges.
package fleet

import (
	"context"
	"errors"
	"fmt"
	"log/slog"
	"sync"
	"time"

	"cordon"
	"cordon/internal/pause"
	"cordon/internal/text"
)

// Store is what the breaker reads and changes. It is safe for concurrent use.
type Store interface {
	Detections(ctx context.Context, scope cordon.Scope, q cordon.Query) (cordon.Page[cordon.DetectionRecord], error)
	Incidents(ctx context.Context, scope cordon.Scope, q cordon.Query) (cordon.Page[cordon.IncidentRecord], error)
	Audits(ctx context.Context, scope cordon.Scope, q cordon.Query) (cordon.Page[cordon.Audit], error)
	Router(ctx context.Context, id string) (cordon.Router, error)
	Shadows(ctx context.Context) ([]cordon.Shadow, uint64, error)
	// ChangeShadows changes the list in one transaction with its line in the record.
	ChangeShadows(ctx context.Context, audit cordon.Audit, change func([]cordon.Shadow) ([]cordon.Shadow, error)) (uint64, error)
}

// Config configures a Breaker. Store and Census are required.
type Config struct {
	Store  Store
	Census func(ctx context.Context) (Census, error) // asked once a minute, or less if it takes long
	Push   func(ctx context.Context) error           // sends the shadows to all routers; nil: nobody does
	Watch  bool                                      // only say what it would do: nothing goes into shadow
	Now    func() time.Time                          // nil: time.Now
	Log    *slog.Logger                              // nil: none
}

// Times and bounds of the breaker.
const (
	// checkEvery leaves four of the five seconds of §A5 to the store, the bus and the
	// routers.
	checkEvery = time.Second
	// censusEvery is how often homes are counted, or less: with a million devices it takes
	// seconds, and should take no more than a part of censusShare of the time.
	censusEvery = time.Minute
	censusShare = 100
	pruneEvery  = time.Hour
	maxWaiting  = 100_000 // firings and blocks between two checks
	maxPages    = 400     // of a list that Load reads
	// maxShadows is how many shadows may lie when the breaker adds one: agents take 256,
	// and people must have room.
	maxShadows = 200
	maxAgents  = 50_000 // routers whose version is remembered
	agentLife  = time.Minute
)

// tripped is how the record calls what the breaker does.
const tripped = "shadow.trip"

// Breaker is the circuit breaker. Its methods are safe for concurrent use.
type Breaker struct {
	cfg Config

	mu      sync.Mutex
	waiting []cordon.Report         // guarded by mu
	said    []cordon.IncidentRecord // guarded by mu
	dropped uint64                  // reports beyond maxWaiting; guarded by mu

	// What follows is owned by Run, or by who calls Check.
	book           *book
	census         Census
	agents         map[string]version
	lifted         map[Rule]cordon.Time     // until when people's word counts
	own            map[string]cordon.Shadow // that the breaker made and were seen in the list
	dirty          bool                     // told something since it was judged
	unsent         bool                     // routers do not know of a shadow yet
	counts, pruned cordon.Time              // when homes are counted next, when the book was pruned
}

// version is which version of the agent a router has.
type version struct {
	agent string
	until cordon.Time
}

// New returns a Breaker. It does nothing until Run.
func New(cfg Config) (*Breaker, error) {
	if cfg.Store == nil || cfg.Census == nil {
		return nil, errors.New("breaker needs a store and a census")
	}
	if cfg.Push == nil {
		cfg.Push = func(context.Context) error { return nil }
	}
	if cfg.Now == nil {
		cfg.Now = time.Now
	}
	if cfg.Log == nil {
		cfg.Log = slog.New(slog.DiscardHandler)
	}
	return &Breaker{cfg: cfg, book: newBook(), agents: make(map[string]version), lifted: make(map[Rule]cordon.Time),
		own: make(map[string]cordon.Shadow)}, nil
}

// Watch takes reports; it looks at detections and actions only, and does not wait.
func (b *Breaker) Watch(reports []cordon.Report) {
	b.mu.Lock()
	defer b.mu.Unlock()
	for i := range reports {
		r := &reports[i]
		if r.Detection == nil && r.Action == nil {
			continue
		}
		if len(b.waiting) >= maxWaiting {
			b.dropped++
			continue
		}
		b.waiting = append(b.waiting, *r)
	}
}

// Closed takes what somebody said of an incident.
func (b *Breaker) Closed(i cordon.IncidentRecord) {
	b.mu.Lock()
	defer b.mu.Unlock()
	if len(b.said) < maxWaiting {
		b.said = append(b.said, i)
	}
}

// Dropped returns how many reports were not looked at because too many came at once.
func (b *Breaker) Dropped() uint64 {
	b.mu.Lock()
	defer b.mu.Unlock()
	return b.dropped
}

// Run loads what happened before and judges until ctx ends, and returns nil then.
func (b *Breaker) Run(ctx context.Context) error {
	for !b.try(ctx, "breaker does not know what happened before", b.Load) {
		if !pause.For(ctx, 5*checkEvery) {
			return nil
		}
	}
	tick := time.NewTicker(checkEvery)
	defer tick.Stop()
	for {
		select {
		case <-ctx.Done():
			return nil
		case <-tick.C:
			b.try(ctx, "breaker could not judge", b.Check)
		}
	}
}

// try does something and logs its error.
func (b *Breaker) try(ctx context.Context, what string, do func(context.Context) error) bool {
	err := do(ctx)
	if err != nil && ctx.Err() == nil {
		b.cfg.Log.ErrorContext(ctx, what, "err", err)
	}
	return err == nil
}

// now is the time.
func (b *Breaker) now() cordon.Time { return cordon.TimeOf(b.cfg.Now()) }

// Check judges what was told since the last time. It must not be called while Run runs.
func (b *Breaker) Check(ctx context.Context) error {
	now := b.now()
	if now >= b.counts || b.counts == 0 {
		c, err := b.cfg.Census(ctx)
		if err != nil {
			return fmt.Errorf("census: %w", err)
		}
		b.census, b.counts = c, now.Add(max(censusEvery, censusShare*b.now().Sub(now)))
	}
	if err := b.take(ctx, now); err != nil {
		return err
	}
	if now.Sub(b.pruned) >= pruneEvery {
		b.book.prune(now)
		b.pruned = now
	}
	if !b.dirty && !b.ending(now) { // time alone makes no rule fire more widely
		return nil
	}
	if err := b.judge(ctx, now); err != nil {
		return err
	}
	b.dirty = false
	return nil
}

// ending reports whether one of the breaker's own shadows ends soon.
func (b *Breaker) ending(now cordon.Time) bool {
	for _, s := range b.own {
		if endsSoon(&s, now) {
			return true
		}
	}
	return false
}

// take writes into the book what was told. What cannot be taken now is kept.
func (b *Breaker) take(ctx context.Context, now cordon.Time) error {
	b.mu.Lock()
	reports, said := b.waiting, b.said
	b.waiting, b.said = nil, nil
	b.mu.Unlock()
	for i := range reports {
		agent, err := b.agent(ctx, reports[i].ID.Router, now)
		if err != nil {
			b.mu.Lock()
			b.waiting = append(reports[i:], b.waiting...)
			b.said = append(said, b.said...)
			b.mu.Unlock()
			return err
		}
		b.report(&reports[i], agent, now)
	}
	for i := range said {
		b.closed(&said[i])
	}
	return nil
}

// agent returns the version of a router's agent.
func (b *Breaker) agent(ctx context.Context, router string, now cordon.Time) (string, error) {
	if v, ok := b.agents[router]; ok && now < v.until {
		return v.agent, nil
	}
	r, err := b.cfg.Store.Router(ctx, router)
	if err != nil && !errors.Is(err, cordon.ErrNotFound) {
		return "", fmt.Errorf("router %s: %w", router, err)
	}
	if len(b.agents) >= maxAgents {
		clear(b.agents)
	}
	b.agents[router] = version{r.Agent, now.Add(agentLife)}
	return r.Agent, nil
}

// report writes a report into the book.
func (b *Breaker) report(r *cordon.Report, agent string, now cordon.Time) {
	if r.Detection != nil {
		b.fire(r.ID.Router, agent, r.Detection, now)
	}
	a := r.Action
	if a == nil || a.By != "" || a.Result != cordon.ResultDone || a.Action.Mode != cordon.ModeDo {
		return
	}
	switch a.Action.Verb {
	case cordon.VerbLimit, cordon.VerbBlock, cordon.VerbQuarantine:
		b.book.block(Block{Home: r.ID.Router, Device: a.Action.Entity.Device, Entity: a.Action.Entity.String(),
			All: a.Action.Verb == cordon.VerbQuarantine, At: min(a.Action.At, now)})
		b.dirty = true
	}
}

// fire writes a detection into the book. A router's clock may be ahead: nothing happened
// later than now.
func (b *Breaker) fire(home, agent string, d *cordon.Detection, now cordon.Time) {
	if d.Device == nil || d.Kind.Family() == "" || d.Level < cordon.Notify || now.Sub(d.At) > remembered {
		return
	}
	b.book.fire(Firing{Home: home, Device: d.Device.ID, At: min(d.At, now), Confirmed: d.Confirmed,
		Rule:   Rule{d.Kind, cut(d.Device.Model), cut(agent)},
		Target: cordon.Entity{Device: d.Device.ID, Target: d.Target}.String()})
	b.dirty = true
}

// closed writes into the book what somebody said.
func (b *Breaker) closed(i *cordon.IncidentRecord) {
	if i.Incident.Device == nil || i.Closed != cordon.ClosedFalseAlarm && i.Closed != cordon.ClosedExpected {
		return
	}
	kinds := make([]cordon.Kind, len(i.Incident.Marks))
	for n, m := range i.Incident.Marks {
		kinds[n] = m.Kind
	}
	b.book.overrule(i.Router, i.Incident.Device.ID, kinds)
	b.dirty = true
}

// cut bounds a hostile text, between characters: what is in a shadow is signed for routers,
// and that takes only UTF-8.
func cut(s string) string { return text.Cut(s, maxText) }

// Load reads from the store what happened within the week, and what people said and
// lifted. It must not be called while Run runs.
func (b *Breaker) Load(ctx context.Context) error {
	now := b.now()
	q := cordon.Query{Since: now.Add(-remembered), Level: cordon.Notify, Limit: cordon.MaxLimit}
	err := each(ctx, q, b.cfg.Store.Detections, func(d *cordon.DetectionRecord) { b.fire(d.Router, d.Agent, &d.Detection, now) })
	if err != nil {
		return fmt.Errorf("detections: %w", err)
	}
	if err := each(ctx, q, b.cfg.Store.Incidents, func(i *cordon.IncidentRecord) { b.closed(i) }); err != nil {
		return fmt.Errorf("incidents: %w", err)
	}
	list, _, err := b.cfg.Store.Shadows(ctx)
	if err != nil {
		return fmt.Errorf("shadows: %w", err)
	}
	lies := make(map[Rule]bool)
	for _, s := range list {
		if s.By == "" {
			b.own[s.ID] = s
			lies[Rule{s.Kind, s.Model, s.Agent}] = true
		}
	}
	q = cordon.Query{Since: now.Add(-liftedLife), Verb: tripped, Limit: cordon.MaxLimit}
	return each(ctx, q, b.cfg.Store.Audits, func(a *cordon.Audit) {
		if r, ok := parseRule(a.Object); ok && !lies[r] && a.Result == "ok" {
			b.lifted[r] = max(b.lifted[r], a.At.Add(liftedLife))
		}
	})
}

// each calls f with every record of a list, page by page, up to maxPages.
func each[T any](ctx context.Context, q cordon.Query, list func(context.Context, cordon.Scope, cordon.Query) (cordon.Page[T], error), f func(*T)) error {
	for range maxPages {
		p, err := list(ctx, cordon.Scope{All: true}, q)
		if err != nil {
			return err
		}
		for i := range p.Items {
			f(&p.Items[i])
		}
		if p.Next == "" {
			return nil
		}
		q.Cursor = p.Next
	}
	return nil
}
