package gateway

import (
	"context"
	"errors"
	"sync"
	"time"

	"cordon"
)

// Bounds of what the gateway remembers of routers.
const (
	knownFor = 30 * time.Second // then the store is asked again: a revoked one is off the bus sooner
	maxKnown = 200_000
	// endEvery is how often the connection of a router is ended that is not enrolled any
	// more.
	endEvery = time.Minute
)

// Subjects on which instances of core tell each other what only one of them has heard.
const (
	forgetSubject = "core.router" // the id of a router that was revoked, reset or let in
	answerSubject = "core.answer" // a router's answer that another instance has asked for
)

// known remembers which routers are enrolled, so that the store is not asked for every
// batch of reports.
type known struct {
	mu      sync.Mutex
	routers map[string]knownRouter // guarded by mu
	ended   map[string]time.Time   // router → when its connection was ended last; guarded by mu
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
		g.end(ctx, &r)
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

// end takes a router off the bus that is there although the store says it was revoked or
// reset: whoever did that could not reach the bus.
func (g *Gateway) end(ctx context.Context, r *cordon.Router) {
	if r.Key == "" {
		return
	}
	now := g.cfg.Now()
	g.known.mu.Lock()
	last, again := g.known.ended[r.ID]
	if again = again && now.Sub(last) < endEvery; !again {
		if len(g.known.ended) >= maxKnown {
			clear(g.known.ended)
		}
		g.known.ended[r.ID] = now
	}
	g.known.mu.Unlock()
	if again {
		return
	}
	if err := g.cfg.Bus.Revoke(ctx, r.Key); err != nil {
		g.cfg.Log.ErrorContext(ctx, "a router that is not enrolled stays connected", "router", r.ID, "err", err)
	}
}

// Forget makes all gateways ask the store about a router again: it was revoked or reset.
func (g *Gateway) Forget(router string) {
	g.forget(router)
	if err := g.cfg.Bus.Announce(forgetSubject, []byte(router)); err != nil {
		g.cfg.Log.Warn("other gateways are not told of a router's change", "router", router, "err", err)
	}
}

func (g *Gateway) forget(router string) {
	g.known.mu.Lock()
	defer g.known.mu.Unlock()
	delete(g.known.routers, router)
	delete(g.known.ended, router)
}
