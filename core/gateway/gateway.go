// Package gateway is the routers' door to core.
//
// A router that was imported proves its claim over HTTPS and gets a credential for the
// bus (enrol.go). What it says there comes in here: reports are checked, gathered and
// appended to the bus before they are acknowledged (report.go); its hello and its
// answers are passed on. Nothing of a router that is not enrolled is taken.
package gateway

import (
	"context"
	"errors"
	"log/slog"
	"sync"
	"time"

	"golang.org/x/sync/errgroup"

	"cordon"
	"cordon/wire"
)

// Store knows the routers. It is safe for concurrent use; its errors wrap
// cordon.ErrNotFound and cordon.ErrConflict.
type Store interface {
	Router(ctx context.Context, id string) (cordon.Router, error)
	RouterBySerial(ctx context.Context, serial string) (cordon.Router, error)
	// Enrol notes that a router is known by a key from now on. A router that is enrolled
	// with another key, or revoked, is a conflict.
	Enrol(ctx context.Context, id, key string, at cordon.Time) error
	Presence(ctx context.Context, list []cordon.Presence) error
	Audit(ctx context.Context, a cordon.Audit) error
}

// Bus carries messages. See core/bus.
type Bus interface {
	Append(ctx context.Context, subject string, data []byte) error
	ToRouter(router, what string, data []byte) error
	FromRouters(ctx context.Context, what string, handle func(router string, data []byte)) error
	Credential(router, key string, life time.Duration) (string, error)
	Presence(ctx context.Context, handle func(router string, online bool, at time.Time)) error
}

// Config configures a Gateway. Store and Bus are required.
type Config struct {
	Store   Store
	Bus     Bus
	Subject string                                          // of the bus, where reports are appended
	Servers []string                                        // where routers are sent, "tls://host:port"
	Keys    wire.Keys                                       // by which routers recognise core's directives
	Hello   func(context.Context, string, wire.Hello) error // sends a router what it does not have
	Count   func(reason string, n int)                      // is told what was not taken; nil: nobody
	Now     func() time.Time                                // nil: time.Now
	Log     *slog.Logger                                    // nil: none
}

// CredentialLife is how long a credential holds (traps.md, "Decided"); routers renew
// it at half of that.
const CredentialLife = 24 * time.Hour

// Gateway is the door. Its methods are safe for concurrent use.
type Gateway struct {
	cfg   Config
	door  door
	known known
	in    chan batch
	asked asked
}

// New returns a Gateway. It does nothing until Run; Handler works at once.
func New(cfg Config) (*Gateway, error) {
	if cfg.Store == nil || cfg.Bus == nil || cfg.Subject == "" || cfg.Hello == nil {
		return nil, errors.New("a gateway needs a store, a bus, a subject and who answers a hello")
	}
	if cfg.Now == nil {
		cfg.Now = time.Now
	}
	if cfg.Log == nil {
		cfg.Log = slog.New(slog.DiscardHandler)
	}
	if cfg.Count == nil {
		cfg.Count = func(string, int) {}
	}
	g := &Gateway{cfg: cfg, in: make(chan batch, waiting)}
	g.known.routers = make(map[string]knownRouter)
	g.asked.waiting = make(map[string]chan wire.Answer)
	return g, g.door.init()
}

// Run takes what routers say until ctx is done. What was appended to the bus and not
// acknowledged yet is acknowledged before it returns.
func (g *Gateway) Run(ctx context.Context) error {
	group, ctx := errgroup.WithContext(ctx)
	from := func(what string, handle func(context.Context, string, []byte)) {
		group.Go(func() error {
			return g.cfg.Bus.FromRouters(ctx, what, func(router string, data []byte) { handle(ctx, router, data) })
		})
	}
	from("report", g.report)
	from("hello", g.hello)
	from("answer", g.answer)
	group.Go(func() error { return g.gather(ctx) })
	group.Go(func() error { return g.presence(ctx) })
	return group.Wait()
}

// hello sends a router what it lacks.
func (g *Gateway) hello(ctx context.Context, router string, data []byte) {
	h, err := wire.DecodeHello(data)
	if err != nil {
		g.drop(ctx, "hello", router, err)
		return
	}
	if _, err := g.router(ctx, router); err != nil {
		g.drop(ctx, "unknown", router, err)
		return
	}
	if err := g.cfg.Hello(ctx, router, h); err != nil && ctx.Err() == nil {
		g.cfg.Log.WarnContext(ctx, "router is not told what it lacks", "router", router, "err", err)
	}
}

// drop counts something that was not taken.
func (g *Gateway) drop(ctx context.Context, reason, router string, err error) {
	g.cfg.Count(reason, 1)
	g.cfg.Log.DebugContext(ctx, "not taken", "reason", reason, "router", router, "err", err)
}

// Bounds of what the gateway remembers of routers.
const (
	knownFor  = 30 * time.Second // then the store is asked again: a revoked one is off the bus sooner
	maxKnown  = 200_000
	presentOf = 500 // routers in one call to the store
)

// known remembers which routers are enrolled, so that the store is not asked for every
// batch of reports.
type known struct {
	mu      sync.Mutex
	routers map[string]knownRouter // guarded by mu
}

type knownRouter struct {
	cordon.Router
	until time.Time
}

var errNotEnrolled = errors.New("not enrolled")

// router returns an enrolled router.
func (g *Gateway) router(ctx context.Context, id string) (cordon.Router, error) {
	now := g.cfg.Now()
	g.known.mu.Lock()
	k, ok := g.known.routers[id]
	g.known.mu.Unlock()
	if ok && now.Before(k.until) {
		return k.Router, nil
	}
	r, err := g.cfg.Store.Router(ctx, id)
	if err != nil {
		return r, err
	}
	if r.State != cordon.RouterEnrolled {
		return r, errNotEnrolled
	}
	g.known.mu.Lock()
	defer g.known.mu.Unlock()
	if len(g.known.routers) >= maxKnown {
		clear(g.known.routers)
	}
	g.known.routers[id] = knownRouter{r, now.Add(knownFor)}
	return r, nil
}

// Forget makes the gateway ask the store about a router again: it was revoked or reset.
func (g *Gateway) Forget(router string) {
	g.known.mu.Lock()
	defer g.known.mu.Unlock()
	delete(g.known.routers, router)
}

// presence tells the store who comes and goes, many at once.
func (g *Gateway) presence(ctx context.Context) error {
	changes := make(chan cordon.Presence, presentOf)
	group, ctx := errgroup.WithContext(ctx)
	group.Go(func() error {
		defer close(changes)
		return g.cfg.Bus.Presence(ctx, func(router string, online bool, at time.Time) {
			select {
			case changes <- cordon.Presence{Router: router, Online: online, At: cordon.TimeOf(at)}:
			case <-ctx.Done():
			}
		})
	})
	group.Go(func() error {
		for first := range changes {
			list := []cordon.Presence{first}
			for len(list) < presentOf && len(changes) > 0 {
				list = append(list, <-changes)
			}
			for {
				err := g.cfg.Store.Presence(ctx, list)
				if err == nil || ctx.Err() != nil {
					break
				}
				g.cfg.Log.WarnContext(ctx, "who is connected is not noted", "err", err)
				if !sleep(ctx, time.Second) {
					break
				}
			}
		}
		return ctx.Err()
	})
	return group.Wait()
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
