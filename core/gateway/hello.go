package gateway

import (
	"context"
	"time"

	"golang.org/x/sync/errgroup"

	"cordon"
	"cordon/internal/pause"
	"cordon/internal/text"
	"cordon/wire"
)

// How hellos are answered: thousands come at once when a bus is back, and each makes
// the store look up three things.
const (
	greeters = 8    // at once
	greeting = 1024 // that wait here; the bus holds more
)

type greet struct {
	router string
	wire.Hello
}

// hello notes what a router says of itself, and has it sent what it lacks.
func (g *Gateway) hello(ctx context.Context, router string, data []byte) {
	h, err := wire.DecodeHello(data)
	if err != nil {
		g.drop(ctx, "hello", router, err)
		return
	}
	now := g.cfg.Now()
	if !g.said.hellos.allow(router, 1, now) {
		g.drop(ctx, "too-much", router, nil)
		return
	}
	select {
	case g.greet <- greet{router, h}:
	case <-ctx.Done():
	}
}

// greetAll answers hellos until ctx is done.
func (g *Gateway) greetAll(ctx context.Context) error {
	for {
		var h greet
		select {
		case <-ctx.Done():
			return ctx.Err()
		case h = <-g.greet:
		}
		if _, err := g.router(ctx, h.router); err != nil {
			g.drop(ctx, "unknown", h.router, err)
			continue
		}
		p := cordon.Presence{Router: h.router, Online: true, At: cordon.TimeOf(g.cfg.Now()), Agent: text.Clean(h.Agent, maxAbout), Wire: h.Version, Boot: h.Boot}
		select {
		case g.present <- p:
		case <-ctx.Done():
			return ctx.Err()
		}
		if err := g.cfg.Hello(ctx, h.router, h.Hello); err != nil && ctx.Err() == nil {
			g.cfg.Log.WarnContext(ctx, "router is not told what it lacks", "router", h.router, "err", err)
		}
	}
}

// How presence is noted.
const (
	presentOf  = 500 // routers in one call to the store
	sweepAfter = 30 * time.Second
	sweepEvery = 10 * time.Minute
)

// presence tells the store who comes and goes, many at once.
func (g *Gateway) presence(ctx context.Context) error {
	group, ctx := errgroup.WithContext(ctx)
	group.Go(func() error {
		// The time is this core's, as of hellos: a server's clock may be another.
		return g.cfg.Bus.Presence(ctx, func(router string, online bool, _ time.Time) {
			select {
			case g.present <- cordon.Presence{Router: router, Online: online, At: cordon.TimeOf(g.cfg.Now())}:
			case <-ctx.Done():
			}
		})
	})
	group.Go(func() error {
		for {
			var list []cordon.Presence
			select {
			case <-ctx.Done():
				return ctx.Err()
			case first := <-g.present:
				list = append(list, first)
			}
			for len(list) < presentOf && len(g.present) > 0 {
				list = append(list, <-g.present)
			}
			g.note(ctx, list)
		}
	})
	if g.cfg.Routers != nil {
		group.Go(func() error { return g.sweep(ctx) })
	}
	return group.Wait()
}

// note tells the store until it knows.
func (g *Gateway) note(ctx context.Context, list []cordon.Presence) {
	for {
		err := g.cfg.Store.Presence(ctx, list)
		if err == nil || ctx.Err() != nil {
			return
		}
		g.cfg.Log.WarnContext(ctx, "who is connected is not noted", "err", err)
		if !pause.For(ctx, time.Second) {
			return
		}
	}
}

// sweep looks now and then for routers that the store believes to be connected and that
// are not: core was away when they went.
func (g *Gateway) sweep(ctx context.Context) error {
	for wait := sweepAfter; ; wait = sweepEvery {
		if !pause.For(ctx, wait) {
			return ctx.Err()
		}
		q := cordon.Query{Limit: cordon.MaxLimit}
		for {
			page, err := g.cfg.Routers(ctx, cordon.Scope{All: true}, q)
			if err != nil {
				if ctx.Err() == nil {
					g.cfg.Log.WarnContext(ctx, "who is gone is not known", "err", err)
				}
				break
			}
			var gone []cordon.Presence
			for i := range page.Items {
				r := &page.Items[i]
				online, known := g.cfg.Bus.Connected(r.ID)
				if r.Online && known && !online {
					gone = append(gone, cordon.Presence{Router: r.ID, At: cordon.TimeOf(g.cfg.Now())})
				}
			}
			if len(gone) > 0 {
				g.note(ctx, gone)
			}
			if page.Next == "" {
				break
			}
			q.Cursor = page.Next
		}
	}
}
