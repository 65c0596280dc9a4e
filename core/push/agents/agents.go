// Package agents pushes to routers what they should do.
//
// The desired state of a site and the rules in shadow come in from the store; signed,
// numbered directives go out over the bus. A directive says what should be, never what
// changed, so one that is lost is mended by the next. A loop looks for routers that fell
// behind what is desired of their site; which shadows a router has is learned when it says
// hello, so that shadows which were lost are mended by its next hello alone.
package agents

import (
	"context"
	"crypto/ed25519"
	"errors"
	"fmt"
	"log/slog"
	"maps"
	"sync"
	"time"

	"cordon"
	"cordon/wire"
)

// Store knows what routers should do. It is safe for concurrent use.
type Store interface {
	Desired(ctx context.Context, site string) (cordon.Desired, error)
	Router(ctx context.Context, id string) (cordon.Router, error)
	RouterOfSite(ctx context.Context, site string) (cordon.Router, error)
	// Shadows returns the rules in shadow and the number of their last change.
	Shadows(ctx context.Context) ([]cordon.Shadow, uint64, error)
	// Behind returns routers that are connected and enforce less than is desired: all of
	// them if they are fewer than limit, else limit of them, each call the next.
	Behind(ctx context.Context, limit int) ([]cordon.Lag, error)
}

// Bus carries messages to routers. It does not say whether they arrived.
type Bus interface {
	ToRouter(router, what string, data []byte) error
	ToAll(what string, data []byte) error
}

// Config configures a Pusher. Key, Store and Bus are required.
type Config struct {
	Key   ed25519.PrivateKey // signs directives
	Store Store
	Bus   Bus
	Now   func() time.Time // nil: time.Now
	Log   *slog.Logger     // nil: none
}

// Times of the push.
const (
	// life is how long a directive may be taken after it was signed: a router's clock
	// may be off, and a copy that somebody held back must not count for long. Its
	// number keeps an older one from replacing a newer one in any case.
	life = 7 * 24 * time.Hour
	// repairEvery is how often routers that fell behind are looked for.
	repairEvery = 5 * time.Second
	// firstWait is how long a router has to enforce what it was sent before it is sent
	// again; the wait doubles each time, to mostWait.
	firstWait = 10 * time.Second
	mostWait  = 10 * time.Minute
	// batch is how many routers one round of repair serves.
	batch = 500
	// forgetAfter is how long after it could have been sent again a router that no page
	// named is taken to have caught up. In that time the pages are through 360,000
	// routers.
	forgetAfter = time.Hour
)

// what the directive's subject is called.
const directive = "directive"

// Pusher pushes. Its methods are safe for concurrent use.
type Pusher struct {
	cfg Config

	mu    sync.Mutex
	tries map[string]try // router → what it was sent, while it is behind; guarded by mu; see due
}

// try is what a router was sent last and when it may be sent again.
type try struct {
	version uint64
	wait    time.Duration
	after   time.Time
}

// New returns a Pusher. It does nothing by itself until Run.
func New(cfg Config) (*Pusher, error) {
	switch {
	case len(cfg.Key) != ed25519.PrivateKeySize:
		return nil, fmt.Errorf("directive key of %d bytes: want %d", len(cfg.Key), ed25519.PrivateKeySize)
	case cfg.Store == nil || cfg.Bus == nil:
		return nil, errors.New("push needs a store and a bus")
	}
	if cfg.Now == nil {
		cfg.Now = time.Now
	}
	if cfg.Log == nil {
		cfg.Log = slog.New(slog.DiscardHandler)
	}
	return &Pusher{cfg: cfg, tries: make(map[string]try)}, nil
}

// Site sends a site's desired state to its router. A site without one has nobody to
// tell, which is no error: the router asks when it comes.
func (p *Pusher) Site(ctx context.Context, site string) error {
	r, err := p.cfg.Store.RouterOfSite(ctx, site)
	if errors.Is(err, cordon.ErrNotFound) {
		return nil
	}
	if err != nil {
		return fmt.Errorf("push to site %s: %w", site, err)
	}
	return p.send(ctx, r.ID, site)
}

// Hello sends a router what it does not have yet.
func (p *Pusher) Hello(ctx context.Context, router string, h wire.Hello) error {
	r, err := p.cfg.Store.Router(ctx, router)
	if err != nil {
		return fmt.Errorf("push to router %s: %w", router, err)
	}
	d, err := p.cfg.Store.Desired(ctx, r.Site)
	if err != nil {
		return fmt.Errorf("push to router %s: %w", router, err)
	}
	if d.Version > h.Desired {
		if err := p.sendDesired(router, &d); err != nil {
			return err
		}
	}
	list, number, err := p.cfg.Store.Shadows(ctx)
	if err != nil {
		return fmt.Errorf("push to router %s: %w", router, err)
	}
	if number <= h.Shared {
		return nil
	}
	data, err := p.shadows(list, number)
	if err != nil {
		return err
	}
	return p.cfg.Bus.ToRouter(router, directive, data)
}

// Shadows sends the rules in shadow to all routers that are connected.
func (p *Pusher) Shadows(ctx context.Context) error {
	list, number, err := p.cfg.Store.Shadows(ctx)
	if err != nil {
		return fmt.Errorf("push shadows: %w", err)
	}
	data, err := p.shadows(list, number)
	if err != nil {
		return err
	}
	return p.cfg.Bus.ToAll(directive, data)
}

// Run sends again to routers that fell behind, until ctx is done.
func (p *Pusher) Run(ctx context.Context) error {
	tick := time.NewTicker(repairEvery)
	defer tick.Stop()
	for {
		select {
		case <-ctx.Done():
			return ctx.Err()
		case <-tick.C:
		}
		if err := p.repair(ctx); err != nil && ctx.Err() == nil {
			p.cfg.Log.WarnContext(ctx, "routers that fell behind could not be looked for", "err", err)
		}
	}
}

// repair sends to the routers that are behind and whose time to try again has come.
func (p *Pusher) repair(ctx context.Context) error {
	behind, err := p.cfg.Store.Behind(ctx, batch)
	if err != nil {
		return err
	}
	for _, lag := range p.due(behind) {
		if err := p.send(ctx, lag.Router, lag.Site); err != nil {
			p.cfg.Log.WarnContext(ctx, "push failed", "router", lag.Router, "err", err)
		}
	}
	return nil
}

// due returns those whose time to try again has come, and forgets who caught up: who is
// not in a page that is all, and, while pages are full, who was in none for long. So no
// more are remembered than were behind within forgetAfter and mostWait.
func (p *Pusher) due(behind []cordon.Lag) (now []cordon.Lag) {
	p.mu.Lock()
	defer p.mu.Unlock()
	still := make(map[string]try, len(behind))
	at := p.cfg.Now()
	for _, lag := range behind {
		t, tried := p.tries[lag.Router]
		switch {
		case !tried || t.version != lag.Desired:
			t = try{version: lag.Desired, wait: firstWait, after: at.Add(firstWait)}
			if !tried { // whoever changed it has sent it just now
				break
			}
			now = append(now, lag)
		case !at.Before(t.after):
			t.wait = min(2*t.wait, mostWait)
			t.after = at.Add(t.wait)
			now = append(now, lag)
		}
		still[lag.Router] = t
	}
	if len(behind) < batch {
		p.tries = still
		return now
	}
	maps.Copy(p.tries, still)
	maps.DeleteFunc(p.tries, func(_ string, t try) bool { return at.Sub(t.after) > forgetAfter })
	return now
}

// send loads a site's desired state and sends it to a router.
func (p *Pusher) send(ctx context.Context, router, site string) error {
	d, err := p.cfg.Store.Desired(ctx, site)
	if err != nil {
		return fmt.Errorf("push to router %s: %w", router, err)
	}
	return p.sendDesired(router, &d)
}

func (p *Pusher) sendDesired(router string, d *cordon.Desired) error {
	now := cordon.TimeOf(p.cfg.Now())
	d.Prune(now)
	data, err := wire.Sign(wire.Directive{Number: d.Version, Receiver: router, Issued: now, Expires: now.Add(life), Desired: d}, p.cfg.Key)
	if err != nil {
		return fmt.Errorf("sign for router %s: %w", router, err)
	}
	if err := p.cfg.Bus.ToRouter(router, directive, data); err != nil {
		return fmt.Errorf("push to router %s: %w", router, err)
	}
	return nil
}

func (p *Pusher) shadows(list []cordon.Shadow, number uint64) ([]byte, error) {
	now := cordon.TimeOf(p.cfg.Now())
	data, err := wire.Sign(wire.Directive{Number: number, Receiver: wire.All, Issued: now, Expires: now.Add(life), Shadows: &wire.Shadows{List: list}}, p.cfg.Key)
	if err != nil {
		return nil, fmt.Errorf("sign shadows: %w", err)
	}
	return data, nil
}
