package core

import (
	"context"
	"fmt"
	"time"

	"golang.org/x/sync/errgroup"

	"cordon"
	"cordon/internal/pause"
)

// Run serves until ctx is done: nobody new is let in then, requests that were begun are
// answered, reports that are on disk are acknowledged, and what is not stored yet is
// stored after the next start. It returns ctx's error, or why a door failed.
func (c *Core) Run(ctx context.Context) error {
	parts, stop := context.WithCancel(context.WithoutCancel(ctx))
	var working errgroup.Group
	for name, run := range c.parts(parts) {
		working.Go(func() error { c.keep(parts, name, run); return nil })
	}
	serving, ending := errgroup.WithContext(ctx)
	for _, d := range c.doors {
		serving.Go(func() error { return d.serve(ending) })
	}
	c.log.InfoContext(ctx, "core serves", "url", c.cfg.PublicURL(), "api", c.Addr("api"), "gateway", c.Addr("gateway"), "bus", c.servers(),
		"operation", c.Addr("operation"), "dir", c.cfg.Dir)
	err := serving.Wait() // the doors first: what came in through them still needs the parts
	stop()
	working.Wait()
	c.log.InfoContext(ctx, "core has ended")
	return err
}

// ingesters returns how many take reports into the store at once. PostgreSQL works for two;
// SQLite has one writer, and two would only give it smaller batches (0.37 s of a processor
// for 1,000 reports instead of 0.29 s, bench-core).
func (c *Core) ingesters() int {
	if c.cfg.Postgres() {
		return 2
	}
	return 1
}

// parts are what works behind the doors; each runs until its context is done.
func (c *Core) parts(ctx context.Context) map[string]func(context.Context) error {
	hear := func(subject string, take func([]byte)) func(context.Context) error {
		return func(ctx context.Context) error { return c.bus.Listen(ctx, subject, take) }
	}
	parts := map[string]func(context.Context) error{
		"gateway":     c.gateway.Run,
		"push":        c.pusher.Run,
		"breaker":     c.breaker.Run,
		"webhooks":    c.notifier.Run,
		"events":      hear(eventSubject, told(c, eventSubject, c.events.Publish)),
		"watched":     hear(watchSubject, c.watched),
		"closed":      hear(closedSubject, c.closed(ctx)),
		"housekeeper": c.retain,
	}
	for i := range c.ingesters() {
		in := &ingest{store: c.store, tell: c.tell, watch: c.watch, metrics: c.metrics, log: c.log}
		parts[fmt.Sprint("ingest ", i+1)] = func(ctx context.Context) error { return c.bus.Consume(ctx, ingestName, reportSubject, in.handle) }
	}
	return parts
}

// again is how long a part that failed waits before its next try.
const again = time.Second

// keep runs a part until ctx is done, whatever fails: a database or a bus that is away
// comes back, and the other parts go on meanwhile.
func (c *Core) keep(ctx context.Context, name string, run func(context.Context) error) {
	for {
		err := run(ctx)
		if ctx.Err() != nil {
			return
		}
		c.log.ErrorContext(ctx, "a part of core ended and begins anew", "part", name, "err", err)
		if !pause.For(ctx, again) {
			return
		}
	}
}

// retainEvery is how often what is too old is deleted.
const retainEvery = time.Hour

// retain deletes what is older than the configuration says.
func (c *Core) retain(ctx context.Context) error {
	for pause.For(ctx, retainEvery) {
		gone, err := c.store.Retain(ctx, cordon.TimeOf(time.Now()), c.cfg.Retention)
		for kind, n := range gone {
			c.metrics.retired.WithLabelValues(kind).Add(float64(n))
		}
		if err != nil && ctx.Err() == nil { // the next hour takes the rest
			c.log.WarnContext(ctx, "not all that is too old was deleted", "err", err)
		}
	}
	return ctx.Err()
}

// checks are what must be right for core to be ready.
func (c *Core) checks() map[string]func(context.Context) error {
	return map[string]func(context.Context) error{
		"database": c.store.Check,
		"bus":      func(context.Context) error { return c.bus.Ready() },
	}
}
