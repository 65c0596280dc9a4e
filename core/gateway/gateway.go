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
	"time"

	"golang.org/x/sync/errgroup"

	"cordon"
	"cordon/internal/text"
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
	Connected(router string) (online, known bool)
	Revoke(ctx context.Context, key string) error
	Announce(subject string, data []byte) error
	Listen(ctx context.Context, subject string, handle func(data []byte)) error
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

	// Routers lists the store's routers, so that those can be looked for that went while
	// core was away; nil: they stay as they were until they come back.
	Routers func(context.Context, cordon.Scope, cordon.Query) (cordon.Page[cordon.Router], error)
	// Secret is shared by all instances, which then know each other's nonces; zero: this
	// one's own.
	Secret [32]byte
	// AddressRate is how many requests a second one address may make at the HTTPS door,
	// in bursts of ten times that; 0: 20. Many routers may share an address.
	AddressRate float64
}

// CredentialLife is how long a credential holds: one that was stolen is of no use after a
// day, and no revoked key need be remembered for longer. Routers renew it at half of that,
// so that this door may be away for twelve hours.
const CredentialLife = 24 * time.Hour

// Gateway is the door. Its methods are safe for concurrent use.
type Gateway struct {
	cfg   Config
	door  door
	known known
	in    chan batch
	asked asked
	said  said

	greet   chan greet           // hellos that wait
	present chan cordon.Presence // who came or went, not noted yet
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
	if cfg.AddressRate == 0 {
		cfg.AddressRate = perAddress
	}
	g := &Gateway{cfg: cfg, in: make(chan batch, waiting), said: newSaid(), greet: make(chan greet, greeting), present: make(chan cordon.Presence, presentOf)}
	g.known.routers, g.known.ended = make(map[string]knownRouter), make(map[string]time.Time)
	g.asked.waiting = make(map[string]chan wire.Answer)
	return g, g.door.init(&cfg)
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
	for range greeters {
		group.Go(func() error { return g.greetAll(ctx) })
	}
	group.Go(func() error { return g.cfg.Bus.Listen(ctx, answerSubject, g.answerElsewhere) })
	group.Go(func() error {
		return g.cfg.Bus.Listen(ctx, forgetSubject, func(data []byte) { g.forget(string(data)) })
	})
	return group.Wait()
}

// drop counts something that was not taken.
func (g *Gateway) drop(ctx context.Context, reason, router string, err error) {
	g.cfg.Count(reason, 1)
	g.cfg.Log.DebugContext(ctx, "not taken", "reason", reason, "router", router, "err", err)
}

// refused also notes it in the record: an honest agent does not do that. A line of each
// router, reason and hour is enough.
func (g *Gateway) refused(ctx context.Context, reason, router string, err error) {
	g.drop(ctx, reason, router, err)
	now := g.cfg.Now()
	if !g.said.refused.allow(router+" "+reason, 1, now) || !g.door.audits.AllowN(now, 1) {
		return
	}
	a := cordon.Audit{At: cordon.TimeOf(now), Who: "router " + router, Verb: "router.refused", Object: "router " + router,
		Result: text.Clean(reason+": "+err.Error(), maxText)}
	if err := g.cfg.Store.Audit(ctx, a); err != nil {
		g.cfg.Log.ErrorContext(ctx, "audit not written", "verb", a.Verb, "err", err)
	}
}
