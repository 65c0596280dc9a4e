// Package desk is what the API's handlers work at: the store, the line to routers, who
// asks and for what (Call), and the gate that every request passes before its handler
// runs. Handlers (packages fleet, home and people) call it; package api puts all of it
// together.
package desk

import (
	"context"
	"errors"
	"log/slog"
	"net/http"
	"strings"
	"time"

	"cordon"
	"cordon/core/api/live"
	"cordon/core/api/problem"
	"cordon/core/auth"

	"github.com/danielgtaylor/huma/v2"
)

// Config configures a Desk. Store, Auth, Line and Events are required.
type Config struct {
	Store  Store
	Auth   *auth.Auth // with Refuse set to api.Refuse
	Line   Line
	Events *live.Hub // to which core hands what changes

	URL      string        // under which people reach it: "https://cordon.example"
	Provider string        // its name, as people read it; empty: "Your provider"
	Policy   cordon.Policy // where neither account nor site says otherwise; empty: observe
	// Observe is told of every request that was answered; nil: nobody.
	Observe func(route, method string, status int, took time.Duration)
	// Heartbeat is how often a quiet event stream shows that it lives; 0: 15 seconds,
	// below the minute after which proxies give up.
	Heartbeat time.Duration
	Now       func() time.Time // nil: time.Now
	Log       *slog.Logger     // nil: none
}

// Desk is what handlers work at. It is safe for concurrent use.
type Desk struct {
	Config
	keys  *inFlight
	looks *looks
	lists chan struct{} // one for each list of routers that is being read
}

// New returns a Desk.
func New(cfg Config) (*Desk, error) {
	if cfg.Store == nil || cfg.Auth == nil || cfg.Line == nil || cfg.Events == nil {
		return nil, errors.New("api needs a store, auth, a line to routers and events")
	}
	if cfg.Provider == "" {
		cfg.Provider = "Your provider"
	}
	if cfg.Policy == "" {
		cfg.Policy = cordon.PolicyObserve
	}
	if cfg.Heartbeat <= 0 {
		cfg.Heartbeat = 15 * time.Second
	}
	if cfg.Now == nil {
		cfg.Now = time.Now
	}
	if cfg.Log == nil {
		cfg.Log = slog.New(slog.DiscardHandler)
	}
	return &Desk{Config: cfg, keys: newInFlight(), looks: newLooks(), lists: make(chan struct{}, maxLists)}, nil
}

// maxLists bounds the lists of routers that are read at once: one of 200,000 takes some
// 300 MB until it is stored.
const maxLists = 2

// Read makes room for reading a list; the caller calls done. It does not wait.
func (d *Desk) Read() (done func(), err error) {
	select {
	case d.lists <- struct{}{}:
		return func() { <-d.lists }, nil
	default:
		p := problem.New(problem.Unavailable, "other lists are being loaded")
		p.After = 10 * time.Second
		return nil, p
	}
}

// Moment is the time.
func (d *Desk) Moment() cordon.Time { return cordon.TimeOf(d.Now()) }

// Announce says that a site's router should do something new.
func (d *Desk) Announce(ctx context.Context, account, site string) {
	d.Line.Desired(ctx, site)
	d.Line.Tell(ctx, cordon.Event{Sort: cordon.EventDesired, Account: account, Site: site, ID: site, At: d.Moment()})
}

// Route is one line of the API's table.
type Route struct {
	Method, Path string
	ID           string    // of the operation, for generated clients
	Verb         auth.Verb // what one must be permitted; empty: anybody may
	On           On        // with what; nil: auth's own method asks
	Text         string
	Add          func(*Desk, huma.API, huma.Operation)

	Status   int  // of success; 0: 200 with a body, 204 without
	Open     bool // nobody needs to be logged in
	List     bool // auth.Scope says what is in it
	Looks    bool // shows a home by name: the provider's people say why
	Secret   bool // the answer holds what is shown once
	Stream   bool // of events
	Upload   bool // the body is a list of routers
	Download bool // the answer is long
}

// Tag groups the routes in the description.
func (r *Route) Tag() string {
	for _, t := range []string{"devices", "incidents", "detections", "webhooks", "desired"} {
		if strings.Contains(r.Path, "/"+t) {
			return t
		}
	}
	return strings.Split(r.Path, "/")[2]
}

// Replays reports whether the route takes an Idempotency-Key.
func (r *Route) Replays() bool {
	return r.Method == http.MethodPost && !r.Open && !r.Upload && r.On != nil
}
