// Package notify tells customers' programs what changed.
//
// Events come in, signed HTTPS calls go out to the webhooks of the event's account.
// Webhooks are addresses that customers wrote, so they are hostile: a call never reaches
// anything but the public internet (internal/webhook), is bounded in time and size, and one
// webhook that does not answer holds no other up. Calls that fail are made again, later
// and later; a webhook that never answers is left alone until somebody changes it. What
// waits is lost when core stops: a call says that something changed, and the API what.
//
// The same event must be handed to one instance of core only.
package notify

import (
	"context"
	"crypto/x509"
	"errors"
	"log/slog"
	"math/rand/v2"
	"net"
	"net/http"
	"net/netip"
	"slices"
	"sync"
	"time"

	"cordon"
	"cordon/internal/ident"
	"cordon/internal/pause"
	"cordon/internal/webhook"
)

// Store keeps webhooks. It is safe for concurrent use. PutWebhook's error wraps
// cordon.ErrConflict when the webhook was changed meanwhile.
type Store interface {
	Webhooks(ctx context.Context, account string) ([]cordon.Webhook, error)
	Webhook(ctx context.Context, id string) (cordon.Webhook, error)
	PutWebhook(ctx context.Context, w *cordon.Webhook) error
}

// Resolver looks names up, as net.Resolver does. What it says is checked.
type Resolver interface {
	LookupNetIP(ctx context.Context, network, host string) ([]netip.Addr, error)
}

// Config configures a Notifier. Store is required.
type Config struct {
	Store    Store
	Refuse   []netip.Prefix   // the provider's own networks, and what stands for others there (its NAT64 prefix)
	Allow    []netip.Prefix   // networks that are not public and may be reached: for laboratories only
	Resolver Resolver         // nil: the system's
	Roots    *x509.CertPool   // who vouches for webhooks; nil: the system's
	Waits    []time.Duration  // before each try of a call; nil: Waits
	Observe  func(Outcome)    // counts; nil: nobody
	Now      func() time.Time // nil: time.Now
	Log      *slog.Logger     // nil: none
}

// Outcome is what became of a try to tell somebody.
type Outcome string

// The outcomes.
const (
	Delivered Outcome = "delivered"
	Failed    Outcome = "failed"    // tried again later
	GivenUp   Outcome = "given-up"  // after the last try
	Dropped   Outcome = "dropped"   // too many waited
	Disabled  Outcome = "disabled"  // the webhook is left alone now
	Forbidden Outcome = "forbidden" // it leads where none may: nobody was called
)

// Waits is how long each try of a call waits for the one before: in all four hours and a
// quarter, so that a program may be away for a while.
var Waits = []time.Duration{0, time.Second, 10 * time.Second, time.Minute, 10 * time.Minute, time.Hour, 3 * time.Hour}

// DisabledAfter is how many tries in a row must fail until a webhook is left alone: with
// Waits that is 15 calls and takes two days and a half. Webhook.Failed says how many did; to
// set the webhook's address sets it to 0. What leads where none may is tried once a call.
const DisabledAfter = 100

// Bounds.
const (
	maxIntake  = 10_000 // events that wait to be sorted
	maxQueue   = 100    // calls that wait for one webhook; the oldest go
	maxQueues  = 5_000  // webhooks for which calls wait
	maxCalls   = 256    // at once
	maxKnown   = 20_000 // accounts whose webhooks are remembered
	rememberIt = 30 * time.Second
	// rest is how many times as long as a call took its webhook has to wait for the next
	// one: who answers slowly on purpose holds a place for a fifth of the time only.
	rest = 4
)

// Notifier tells. Its methods are safe for concurrent use.
type Notifier struct {
	cfg    Config
	refuse []netip.Prefix
	client *http.Client
	intake chan cordon.Event
	slots  chan struct{}

	mu     sync.Mutex
	queues map[string]*queue // by webhook; guarded by mu

	known map[string]known // by account; owned by Run
}

// queue is the calls that wait for one webhook, oldest first; a goroutine makes them
// and ends when there are none.
type queue struct {
	hook   string
	calls  []call // guarded by Notifier.mu
	missed int    // guarded by Notifier.mu
}

// known is the webhooks of an account, as they were at a time.
type known struct {
	hooks []cordon.Webhook
	until time.Time
}

// New returns a Notifier. It starts nothing.
func New(cfg Config) (*Notifier, error) {
	if cfg.Store == nil {
		return nil, errors.New("notify needs a store")
	}
	if cfg.Resolver == nil {
		cfg.Resolver = net.DefaultResolver
	}
	if cfg.Waits == nil {
		cfg.Waits = Waits
	}
	if cfg.Observe == nil {
		cfg.Observe = func(Outcome) {}
	}
	if cfg.Now == nil {
		cfg.Now = time.Now
	}
	if cfg.Log == nil {
		cfg.Log = slog.New(slog.DiscardHandler)
	}
	n := &Notifier{cfg: cfg, intake: make(chan cordon.Event, maxIntake), slots: make(chan struct{}, maxCalls),
		queues: make(map[string]*queue), known: make(map[string]known)}
	for _, p := range cfg.Refuse {
		if a := p.Addr(); a.Is4In6() && p.Bits() >= 96 {
			p = netip.PrefixFrom(a.Unmap(), p.Bits()-96)
		}
		n.refuse = append(n.refuse, p)
	}
	n.client = n.newClient()
	return n, nil
}

// Notify hands events over and does not wait. Events beyond the bound are dropped.
func (n *Notifier) Notify(events []cordon.Event) {
	for _, e := range events {
		select {
		case n.intake <- e:
		default:
			n.cfg.Observe(Dropped)
		}
	}
}

// Run makes the calls until ctx ends, and returns nil then.
func (n *Notifier) Run(ctx context.Context) error {
	var work sync.WaitGroup
	defer work.Wait()
	for {
		select {
		case <-ctx.Done():
			return nil
		case e := <-n.intake:
			for _, w := range n.hooks(ctx, e.Account) {
				if wants(&w, &e) {
					n.enqueue(ctx, &work, w.ID, e)
				}
			}
		}
	}
}

// wants reports whether a webhook is to be called for an event.
func wants(w *cordon.Webhook, e *cordon.Event) bool {
	graded := e.Sort == cordon.EventIncident || e.Sort == cordon.EventDetection
	return w.Failed < DisabledAfter && slices.Contains(w.Events, e.Sort) && (!graded || e.Level >= w.Level)
}

// hooks returns the webhooks of an account, at most half a minute old: most accounts have
// none, and the store need not be asked with each event.
func (n *Notifier) hooks(ctx context.Context, account string) []cordon.Webhook {
	now := n.cfg.Now()
	if k, ok := n.known[account]; ok && now.Before(k.until) {
		return k.hooks
	}
	if account == "" {
		return nil
	}
	hooks, err := n.cfg.Store.Webhooks(ctx, account)
	if err != nil {
		n.cfg.Log.WarnContext(ctx, "webhooks not read: nobody is told", "account", account, "err", err)
		n.cfg.Observe(Dropped)
		return nil
	}
	if len(n.known) >= maxKnown {
		clear(n.known)
	}
	n.known[account] = known{hooks, now.Add(rememberIt)}
	return hooks
}

// enqueue adds a call for a webhook.
func (n *Notifier) enqueue(ctx context.Context, work *sync.WaitGroup, hook string, e cordon.Event) {
	n.mu.Lock()
	defer n.mu.Unlock()
	q, ok := n.queues[hook]
	if !ok {
		if len(n.queues) >= maxQueues {
			n.cfg.Observe(Dropped)
			return
		}
		q = &queue{hook: hook}
		n.queues[hook] = q
		work.Go(func() { n.serve(ctx, q) })
	}
	if len(q.calls) >= maxQueue {
		q.calls = slices.Delete(q.calls, 0, 1)
		q.missed++
		n.cfg.Observe(Dropped)
	}
	q.calls = append(q.calls, call{delivery: ident.New(n.cfg.Now()), event: e})
}

// next takes the oldest call of q, or ends q.
func (n *Notifier) next(q *queue) (c call, ok bool) {
	n.mu.Lock()
	defer n.mu.Unlock()
	if len(q.calls) == 0 {
		delete(n.queues, q.hook)
		return c, false
	}
	c = q.calls[0]
	q.calls = slices.Delete(q.calls, 0, 1)
	c.missed, q.missed = q.missed, 0
	return c, true
}

// serve makes the calls of one webhook, one after the other.
func (n *Notifier) serve(ctx context.Context, q *queue) {
	for {
		c, ok := n.next(q)
		if !ok {
			return
		}
		if !n.deliver(ctx, q.hook, &c) {
			n.mu.Lock()
			delete(n.queues, q.hook)
			n.mu.Unlock()
			return
		}
	}
}

// deliver makes one call until it works or the tries are used up. It returns false when
// the webhook is not to be called any more.
func (n *Notifier) deliver(ctx context.Context, hook string, c *call) bool {
	var took time.Duration
	for _, wait := range n.cfg.Waits {
		if !rested(ctx, max(wait, rest*took)) {
			return false
		}
		w, err := n.cfg.Store.Webhook(ctx, hook) // again each time: it may have been removed or mended
		switch {
		case err == nil && w.Failed < DisabledAfter:
			c.try++
			took, err = n.try(ctx, &w, c)
		case err == nil, errors.Is(err, cordon.ErrNotFound):
			return false
		default: // the store is away
			n.cfg.Observe(Failed)
			continue
		}
		switch {
		case ctx.Err() != nil || !n.count(ctx, &w, err):
			return false
		case err == nil:
			return rested(ctx, rest*took)
		case errors.Is(err, webhook.ErrForbidden):
			return true // the same again would be as forbidden
		}
	}
	n.cfg.Observe(GivenUp)
	return true
}

// try makes a call when there is room, and says how long it took.
func (n *Notifier) try(ctx context.Context, w *cordon.Webhook, c *call) (took time.Duration, err error) {
	select {
	case n.slots <- struct{}{}:
		defer func() { <-n.slots }()
	case <-ctx.Done():
		return 0, ctx.Err()
	}
	began := n.cfg.Now()
	err = n.post(ctx, w, c)
	return n.cfg.Now().Sub(began), err
}

// count writes down how many calls of a webhook failed in a row. It returns false when
// it is left alone from now on.
func (n *Notifier) count(ctx context.Context, w *cordon.Webhook, failed error) bool {
	switch {
	case failed == nil:
		n.cfg.Observe(Delivered)
		if w.Failed == 0 {
			return true
		}
		w.Failed = 0
	case errors.Is(failed, webhook.ErrForbidden):
		n.cfg.Observe(Forbidden)
		w.Failed++
	default:
		n.cfg.Observe(Failed)
		w.Failed++
	}
	if failed != nil {
		n.cfg.Log.InfoContext(ctx, "webhook not reached", "webhook", w.ID, "account", w.Account, "failed", w.Failed, "err", failed)
	}
	if err := n.cfg.Store.PutWebhook(ctx, w); err != nil && !errors.Is(err, cordon.ErrConflict) && !errors.Is(err, cordon.ErrNotFound) {
		n.cfg.Log.WarnContext(ctx, "webhook's failures not stored", "webhook", w.ID, "err", err)
	}
	if w.Failed < DisabledAfter {
		return true
	}
	n.cfg.Observe(Disabled)
	n.cfg.Log.WarnContext(ctx, "webhook left alone", "webhook", w.ID, "account", w.Account)
	return false
}

// rested waits for d and up to a quarter of it more, and reports whether ctx still lasts.
func rested(ctx context.Context, d time.Duration) bool {
	if d > 0 {
		d += rand.N(d/4 + 1)
	}
	return pause.For(ctx, d)
}
