package desk

import (
	"context"
	"errors"
	"fmt"
	"net/http"
	"strings"
	"sync"
	"time"
	"unicode/utf8"

	"cordon"
	"cordon/core/api/front"
	"cordon/core/api/problem"
	"cordon/core/auth"
	"cordon/internal/ident"

	"github.com/danielgtaylor/huma/v2"
	"github.com/danielgtaylor/huma/v2/adapters/humago"
)

// Bounds of a request.
const (
	MaxBody      = 64 << 10         // bytes of a JSON body; the largest is a webhook with its events
	answerWithin = 20 * time.Second // to read such a body and decide what to answer
	// BodyWithin is the time for the body alone. It is not shorter: net/http takes a read
	// that ends by its deadline, also behind the body, for a client that went away.
	BodyWithin   = answerWithin
	writeWithin  = 30 * time.Second // more than that, for slow lines
	uploadWithin = 5 * time.Minute  // for a list of routers, up and into the store
)

// Call is a request that passed its gate.
type Call struct {
	Route   *Route
	Subject auth.Subject
	Object  auth.Object
	Request *http.Request
	Site    cordon.Site         // of routes on a site, and what is below one
	Account cordon.Account      // of routes on an account
	Router  cordon.Router       // of routes on a router
	Device  cordon.DeviceRecord // of routes on a device
	User    cordon.User         // of routes on a person
	Hook    cordon.Webhook      // of routes on a webhook
	What    string              // what is changed, for the record: "device 02:…"
	Written bool                // the record has its line
	Veiled  bool                // homes by pseudonym

	request [32]byte // tells the request from others with its Idempotency-Key; zero: it has none
}

type callKey struct{}

// CallOf returns the call that a handler works on.
func CallOf(ctx context.Context) *Call { return ctx.Value(callKey{}).(*Call) }

// Part returns a part of the request's path.
func (c *Call) Part(name string) string { return c.Request.PathValue(name) }

// Gate is what stands before a route's handler: nothing of the body has been read yet.
func (d *Desk) Gate(rt *Route) func(huma.Context, func(huma.Context)) {
	return func(hc huma.Context, next func(huma.Context)) {
		r, w := humago.Unwrap(hc)
		subject := auth.From(r.Context())
		note := front.NoteOf(r.Context())
		note.Route, note.User = rt.Method+" "+rt.Path, subject.User
		ctx, cancel := d.within(r.Context(), w, rt)
		defer cancel()
		c := &Call{Route: rt, Subject: subject}
		c.Request = r.WithContext(context.WithValue(ctx, callKey{}, c))
		if err := d.admit(c); err != nil {
			d.refuse(w, r, err)
			return
		}
		if key := r.Header.Get("Idempotency-Key"); key != "" && rt.Replays() {
			d.replay(hc, c, key, w, next)
			return
		}
		next(humago.NewContext(hc.Operation(), c.Request, w))
	}
}

// within bounds how long a request may take.
func (d *Desk) within(ctx context.Context, w http.ResponseWriter, rt *Route) (context.Context, context.CancelFunc) {
	rc := http.NewResponseController(w)
	switch {
	case rt.Stream:
		rc.SetReadDeadline(time.Time{})
		rc.SetWriteDeadline(time.Time{}) // each write has its own
		return context.WithCancel(ctx)
	case rt.Upload, rt.Download:
		now := time.Now() // of the connection, not of the records
		rc.SetReadDeadline(now.Add(uploadWithin))
		rc.SetWriteDeadline(now.Add(uploadWithin + writeWithin))
		return context.WithTimeout(ctx, uploadWithin)
	}
	rc.SetWriteDeadline(time.Now().Add(answerWithin + writeWithin))
	return context.WithTimeout(ctx, answerWithin)
}

// admit decides whether the subject may do what the route does, and with what.
func (d *Desk) admit(c *Call) error {
	if c.Route.Open {
		return nil
	}
	if c.Subject.User == "" {
		return auth.ErrNobody
	}
	if c.Route.On == nil { // auth itself asks May
		return nil
	}
	var err error
	if c.Object, err = c.Route.On(d, c); err != nil {
		return err
	}
	if c.Route.List {
		return nil // Scope decides what is in it
	}
	if err := auth.May(c.Subject, c.Route.Verb, c.Object); err != nil {
		return err
	}
	c.Veiled = auth.Veiled(c.Subject, c.Route.Verb, c.Object)
	return d.look(c, c.Object)
}

// look makes one of the provider's people who sees a customer's data say why, and writes
// it down.
func (d *Desk) look(c *Call, o auth.Object) error {
	if !c.Route.Looks || c.Veiled || !c.Subject.Staff() {
		return nil
	}
	reason, err := c.Why(o.Site)
	if err != nil {
		return err
	}
	if reason == "" {
		return problem.New(problem.Reason, "")
	}
	if c.Route.Method != http.MethodGet {
		return nil // the change has its own line, with the reason
	}
	return d.Looked(c, o, reason)
}

// Why is why one of the provider's people looks at what is of a site, or changes it: the
// header Cordon-Reason, else the reason of the case that he has open there. Empty: he
// does not say. The error is a problem with the header.
func (c *Call) Why(site string) (string, error) {
	said := strings.TrimSpace(strings.ToValidUTF8(c.Request.Header.Get("Cordon-Reason"), "?"))
	switch n := utf8.RuneCountInString(said); {
	case n > 0 && (n < minWhy || n > maxWhy):
		return "", problem.New(problem.Reason, fmt.Sprintf("Cordon-Reason has %d characters: want %d to %d", n, minWhy, maxWhy))
	case n > 0:
		return said, nil
	}
	for _, open := range c.Subject.Cases {
		if site != "" && open.Site == site {
			return open.Reason, nil
		}
	}
	return "", nil
}

// minWhy and maxWhy bound a Cordon-Reason, in characters: a ticket's number to a sentence.
const minWhy, maxWhy = 3, 200

// Looked writes down that one of the provider's people looks, and why. The filter of a
// list may name a site alone: the line is its account's to read.
func (d *Desk) Looked(c *Call, o auth.Object, reason string) error {
	c.What = c.named()
	key := strings.Join([]string{c.Subject.User, string(c.Route.Verb), o.Site, o.Account, c.What, reason}, "\x00")
	if d.looks.seen(key, d.Now()) {
		return nil
	}
	ctx := c.Request.Context()
	if o.Site != "" && o.Account == "" {
		site, err := d.Store.Site(ctx, o.Site)
		if err != nil && !errors.Is(err, cordon.ErrNotFound) {
			return err
		}
		o.Account = site.Account
	}
	if err := d.Store.Audit(ctx, d.line(c, o, c.What, reason, "ok")); err != nil {
		return err
	}
	d.looks.add(key) // now that the record has it: what failed is written at the next try
	return nil
}

// named names what the path of a request ends in: "device 02:…".
func (c *Call) named() string {
	last := ""
	for part := range strings.SplitSeq(c.Route.Path, "/") {
		if name, ok := strings.CutPrefix(part, "{"); ok {
			name = strings.TrimSuffix(name, "}")
			last = name + " " + c.Part(name)
		}
	}
	return last
}

// Line is a line of the record.
func (d *Desk) line(c *Call, o auth.Object, what, reason, result string) cordon.Audit {
	a := cordon.Audit{ID: ident.New(d.Now()), At: d.Moment(), User: c.Subject.User, Who: c.Subject.Name, Role: c.Subject.Role(),
		Verb: string(c.Route.Verb), Account: o.Account, Site: o.Site, Object: what, Reason: reason, Result: result}
	if c.Subject.Addr.IsValid() {
		a.Addr = c.Subject.Addr.String()
	}
	return a
}

// Change is the line of the record for what a handler changes; who hands it to the
// store with the change sets Written. Reason is what the change itself says; what the
// provider's people say (Why) stands before it.
func (d *Desk) Change(c *Call, reason string) cordon.Audit {
	what := c.What
	if what == "" {
		what = c.named()
	}
	if c.Subject.Staff() {
		why, _ := c.Why(c.Object.Site) // where it is needed, the gate has asked for it
		if why != "" && reason != "" {
			why += ": "
		}
		reason = why + reason
	}
	return d.line(c, c.Object, what, reason, "ok")
}

// done writes down what a handler changed, or why it did not.
func (d *Desk) done(ctx context.Context, c *Call, err error) error {
	if c.Route.Method == http.MethodGet || c.Route.On == nil || c.Written {
		return err
	}
	var p *problem.Problem
	a := d.Change(c, "")
	if err != nil {
		p = Problem(err)
		if p.Status < 500 && p.Status != http.StatusForbidden { // nothing was tried that is worth a line
			return err
		}
		a.Result = p.Code
	}
	// Who goes away in the middle of a request is recorded all the same.
	ctx, cancel := context.WithTimeout(context.WithoutCancel(ctx), 5*time.Second)
	defer cancel()
	if failed := d.Store.Audit(ctx, a); failed != nil && err == nil {
		return problem.Wrap(problem.Unsure, "it could not be written down", failed)
	}
	return err
}

// refuse answers a request that does not reach its handler.
func (d *Desk) refuse(w http.ResponseWriter, r *http.Request, err error) {
	p := Problem(err)
	n := front.NoteOf(r.Context())
	p.RequestID, n.Err = n.ID, p
	p.Write(w)
}

// Do hangs a handler into a route.
func Do[I, O any](h func(context.Context, *Desk, *I) (*O, error)) func(*Desk, huma.API, huma.Operation) {
	return func(d *Desk, api huma.API, op huma.Operation) {
		huma.Register(api, op, func(ctx context.Context, in *I) (*O, error) {
			out, err := h(ctx, d, in)
			if err = d.done(ctx, CallOf(ctx), err); err != nil {
				return nil, Problem(err)
			}
			return out, nil
		})
	}
}

// On finds the object that a request is about.
type On func(*Desk, *Call) (auth.Object, error)

// Network is no customer's object.
func Network(*Desk, *Call) (auth.Object, error) { return auth.Object{}, nil }

func OnAccount(d *Desk, c *Call) (o auth.Object, err error) {
	c.Account, err = d.Store.Account(c.Request.Context(), c.Part("account"))
	return auth.Object{Account: c.Account.ID}, err
}

func OnSite(d *Desk, c *Call) (o auth.Object, err error) {
	c.Site, err = d.Store.Site(c.Request.Context(), c.Part("site"))
	return auth.Object{Account: c.Site.Account, Site: c.Site.ID}, err
}

func OnRouter(d *Desk, c *Call) (o auth.Object, err error) {
	c.Router, err = d.Store.Router(c.Request.Context(), c.Part("router"))
	return auth.Object{Account: c.Router.Account, Site: c.Router.Site}, err
}

// OnDevice finds a device only for who may see it by name: else whoever sees homes by
// pseudonym would find out by trying.
func OnDevice(d *Desk, c *Call) (o auth.Object, err error) {
	if o, err = OnSite(d, c); err != nil {
		return o, err
	}
	if err := auth.May(c.Subject, c.Route.Verb, o); err != nil {
		return o, err
	}
	if auth.Veiled(c.Subject, c.Route.Verb, o) {
		return o, problem.New(problem.Reason, "a device is named only where a case is open")
	}
	c.Device, err = d.Store.Device(c.Request.Context(), c.Site.ID, c.Part("device"))
	return o, err
}

// OnUser finds a person. To a customer, who sets up a site of the account is one of its
// people: the installer's role gets the site's account, as long as he works there.
func OnUser(d *Desk, c *Call) (o auth.Object, err error) {
	ctx := c.Request.Context()
	if c.User, err = d.Store.User(ctx, c.Part("user")); err != nil || c.Subject.Staff() {
		return auth.Object{Person: &c.User}, err
	}
	for i := range c.User.Grants {
		g := &c.User.Grants[i]
		if g.Role != cordon.RoleInstaller {
			continue
		}
		site, err := d.Store.Site(ctx, g.Site)
		switch {
		case err == nil && site.Installer == c.User.ID:
			g.Account = site.Account
		case err != nil && !errors.Is(err, cordon.ErrNotFound):
			return o, err
		}
	}
	return auth.Object{Person: &c.User}, nil
}

func OnWebhook(d *Desk, c *Call) (o auth.Object, err error) {
	if o, err = OnAccount(d, c); err != nil {
		return o, err
	}
	if err := auth.May(c.Subject, c.Route.Verb, o); err != nil {
		return o, err
	}
	c.Hook, err = d.Store.Webhook(c.Request.Context(), c.Part("webhook"))
	if err == nil && c.Hook.Account != c.Account.ID {
		err = cordon.ErrNotFound
	}
	return o, err
}

// Scope is whose records a list shows, after the query was found permissible.
func (d *Desk) Scope(c *Call, q cordon.Query) (cordon.Scope, error) {
	scope := auth.Scope(c.Subject, c.Route.Verb)
	if !scope.All && len(scope.Accounts) == 0 && len(scope.Sites) == 0 {
		return scope, auth.ErrForbidden
	}
	if err := auth.CheckQuery(c.Subject, c.Route.Verb, q); err != nil {
		return scope, errors.Join(err, problem.New(problem.Reason, plain(err)))
	}
	o := auth.Object{Account: q.Account, Site: q.Site}
	c.Veiled = auth.Veiled(c.Subject, c.Route.Verb, o)
	return scope, d.look(c, o)
}

// Veils reports whether a record of a list is shown by pseudonym.
func (c *Call) Veils(account, site string) bool {
	return auth.Veiled(c.Subject, c.Route.Verb, auth.Object{Account: account, Site: site})
}

// looks remembers who looked at what a short while ago, so that a page that is read
// again and again is one line of the record.
type looks struct {
	mu    sync.Mutex
	since time.Time           // guarded by mu
	keys  map[string]struct{} // guarded by mu
}

// Bounds of what looks remembers.
const (
	lookEvery = 10 * time.Minute
	maxLooks  = 50_000 // some 100 bytes each
)

func newLooks() *looks { return &looks{keys: make(map[string]struct{})} }

// seen reports whether key was added since the window began.
func (l *looks) seen(key string, now time.Time) bool {
	l.mu.Lock()
	defer l.mu.Unlock()
	if now.Sub(l.since) >= lookEvery {
		clear(l.keys)
		l.since = now
	}
	_, seen := l.keys[key]
	return seen
}

// add adds a key whose line is in the record.
func (l *looks) add(key string) {
	l.mu.Lock()
	defer l.mu.Unlock()
	if len(l.keys) >= maxLooks {
		clear(l.keys)
	}
	l.keys[key] = struct{}{}
}
