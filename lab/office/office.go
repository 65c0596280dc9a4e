// Package office is a provider for tests: core's store on SQLite, its people and two
// customers with everything that belongs to them, and the API before it. What routers do
// is played.
package office

import (
	"context"
	"encoding/json"
	"errors"
	"fmt"
	"io"
	"log/slog"
	"maps"
	"net/http"
	"net/http/httptest"
	"net/netip"
	"os"
	"path/filepath"
	"strings"
	"sync"
	"testing"
	"time"

	"cordon"
	"cordon/core/api"
	"cordon/core/api/live"
	"cordon/core/auth"
	"cordon/core/auth/password"
	"cordon/core/store"
	"cordon/internal/ident"
)

// Password is everybody's.
const Password = "correct horse battery staple 9"

// Office is a provider with two customers, Anna and Bert.
type Office struct {
	T      testing.TB
	Store  *Store
	Line   *Line
	Events *live.Hub
	Auth   *auth.Auth
	Server *httptest.Server
	Log    *Log

	Own, Other Home // Anna's and Bert's
	// People has one person of each role; a customer's roles are in Anna's account.
	People map[cordon.Role]*cordon.User

	cookies map[string]string // by user; guarded by mu
	mu      sync.Mutex
}

// Home is a customer with a site and one of everything that belongs to it.
type Home struct {
	Account, Site, Router, Webhook, Incident, Detection, Action, Device string
	Key                                                                 string // of the router
	Owner                                                               cordon.User
}

// Store is the real store, which can be told to fail.
type Store struct {
	*store.Store
	mu     sync.Mutex
	down   error // guarded by mu
	forget bool  // guarded by mu
}

// Forget loses all answers that were kept, as a power cut between a change and its
// answer does.
func (s *Store) Forget() {
	s.mu.Lock()
	defer s.mu.Unlock()
	s.forget = true
}

// Recall returns an answer, if it was not lost.
func (s *Store) Recall(ctx context.Context, user, key string) ([32]byte, []byte, error) {
	s.mu.Lock()
	forget := s.forget
	s.mu.Unlock()
	if forget {
		return [32]byte{}, nil, fmt.Errorf("answer: %w", cordon.ErrNotFound)
	}
	return s.Store.Recall(ctx, user, key)
}

// Fail makes reads of sites and lines of the record return err from now on; nil ends it.
func (s *Store) Fail(err error) {
	s.mu.Lock()
	defer s.mu.Unlock()
	s.down = err
}

func (s *Store) failing() error {
	s.mu.Lock()
	defer s.mu.Unlock()
	return s.down
}

// Site returns a site, or fails.
func (s *Store) Site(ctx context.Context, id string) (cordon.Site, error) {
	if err := s.failing(); err != nil {
		return cordon.Site{}, err
	}
	return s.Store.Site(ctx, id)
}

// Sites returns sites, or fails.
func (s *Store) Sites(ctx context.Context, scope cordon.Scope, q cordon.Query) (cordon.Page[cordon.Site], error) {
	if err := s.failing(); err != nil {
		return cordon.Page[cordon.Site]{}, err
	}
	return s.Store.Sites(ctx, scope, q)
}

// Audit writes a line, or fails.
func (s *Store) Audit(ctx context.Context, a cordon.Audit) error {
	if err := s.failing(); err != nil {
		return err
	}
	return s.Store.Audit(ctx, a)
}

// work keeps hashing cheap.
var work = password.Work{Memory: 64, Passes: 1, Lanes: 1}

// furnished is an office of which every other is a copy: its people and homes.
var furnished = sync.OnceValues(func() (o *Office, err error) {
	dir, err := os.MkdirTemp("", "office")
	if err != nil {
		return nil, err
	}
	defer os.RemoveAll(dir)
	file := filepath.Join(dir, "core.db")
	o = &Office{People: make(map[cordon.Role]*cordon.User)}
	ctx := context.Background()
	s, err := store.Open(ctx, store.Config{Database: file})
	if err != nil {
		return nil, err
	}
	o.Store = &Store{Store: s}
	if err := errors.Join(o.furnish(ctx), o.enter(ctx), s.Close()); err != nil {
		return nil, err
	}
	o.Store = nil
	database, err = os.ReadFile(file)
	return o, err
})

// database is the file of the furnished office's.
var database []byte

// New opens an office, which closes with the test.
func New(t testing.TB) *Office {
	t.Helper()
	first, err := furnished()
	if err != nil {
		t.Fatal(err)
	}
	o := &Office{T: t, Events: live.New(), Log: new(Log), Own: first.Own, Other: first.Other, People: first.People, cookies: maps.Clone(first.cookies)}
	o.Line = &Line{events: o.Events, answers: make(map[string]string)}
	file := filepath.Join(t.TempDir(), "core.db")
	o.must(os.WriteFile(file, database, 0o600))
	s, err := store.Open(context.Background(), store.Config{Database: file})
	o.must(err)
	o.Store = &Store{Store: s}
	o.Auth, err = auth.New(auth.Config{Store: o.Store, URL: "http://localhost", Work: work, Refuse: api.Refuse})
	o.must(err)
	h, err := api.New(api.Config{Store: o.Store, Auth: o.Auth, Line: o.Line, Events: o.Events, URL: "http://localhost", Provider: "Provider",
		Heartbeat: 20 * time.Millisecond, Log: slog.New(slog.NewTextHandler(o.Log, nil))})
	o.must(err)
	o.Server = httptest.NewServer(h)
	t.Cleanup(func() {
		o.Server.CloseClientConnections()
		o.Server.Close()
		if err := s.Close(); err != nil {
			t.Error(err)
		}
	})
	return o
}

func (o *Office) must(err error) {
	o.T.Helper()
	if err != nil {
		o.T.Fatal(err)
	}
}

// furnish makes the people and homes.
func (o *Office) furnish(ctx context.Context) (err error) {
	h, err := password.New(work)
	if err != nil {
		return err
	}
	hash, err := h.Hash(ctx, Password)
	if err != nil {
		return err
	}
	if o.Own, err = o.home(ctx, "Anna", hash); err != nil {
		return err
	}
	if o.Other, err = o.home(ctx, "Bert", hash); err != nil {
		return err
	}
	for _, r := range cordon.Roles {
		g := cordon.Grant{Role: r}
		switch {
		case r.Staff():
		case r == cordon.RoleInstaller:
			g.Site = o.Own.Site
		default:
			g.Account = o.Own.Account
		}
		if o.People[r], err = o.user(ctx, string(r), hash, g); err != nil {
			return err
		}
	}
	site, err := o.Store.Site(ctx, o.Own.Site)
	if err != nil {
		return err
	}
	site.Installer = o.People[cordon.RoleInstaller].ID
	return o.Store.PutSite(ctx, &site)
}

// enter logs everybody in.
func (o *Office) enter(ctx context.Context) error {
	a, err := auth.New(auth.Config{Store: o.Store, URL: "http://localhost", Work: work})
	if err != nil {
		return err
	}
	o.cookies = make(map[string]string)
	for _, u := range o.People {
		e, err := a.LogIn(auth.With(ctx, auth.Subject{}), u.Email, Password)
		if err != nil {
			return fmt.Errorf("log in as %s: %w", u.Email, err)
		}
		for _, c := range e.Cookies {
			o.cookies[u.ID] += c.Name + "=" + c.Value + "; "
		}
	}
	return nil
}

// user makes a person.
func (o *Office) user(ctx context.Context, name, hash string, g cordon.Grant) (*cordon.User, error) {
	u := &cordon.User{ID: ident.New(time.Now()), Email: strings.ToLower(name) + "@example.com", Name: name, Grants: []cordon.Grant{g},
		Created: cordon.TimeOf(time.Now()), Password: hash}
	return u, o.Store.PutUser(ctx, u)
}

// home makes a customer, as an import and a router's reports do.
func (o *Office) home(ctx context.Context, name, hash string) (h Home, err error) {
	now := cordon.TimeOf(time.Now())
	list := []cordon.RouterImport{{Line: 1, Serial: "SN-" + name, Claim: cordon.Claim{SecretHash: [32]byte{1}}, AccountReference: "C-" + name,
		AccountName: name, SiteReference: "L-" + name, SiteName: "Home of " + name, Model: "R1"}}
	if _, err = o.Store.ImportRouters(ctx, list, false); err != nil {
		return h, err
	}
	r, err := o.Store.RouterBySerial(ctx, "SN-"+name)
	if err != nil {
		return h, err
	}
	h = Home{Account: r.Account, Site: r.Site, Router: r.ID, Webhook: ident.New(time.Now()), Incident: "i1", Detection: "d1", Action: "a1",
		Device: "02:00:00:00:00:01", Key: "U" + r.ID}
	hook := &cordon.Webhook{ID: h.Webhook, Account: h.Account, URL: "https://hook.example/x", Secret: []byte("hush"), Events: []cordon.EventSort{cordon.EventIncident}, Created: now}
	owner, err := o.user(ctx, "owner-"+name, hash, cordon.Grant{Role: cordon.RoleOwner, Account: h.Account})
	if err != nil {
		return h, err
	}
	h.Owner = *owner
	if err = errors.Join(o.Store.PutWebhook(ctx, hook), o.Store.Enrol(ctx, h.Router, h.Key, now),
		o.Store.Presence(ctx, []cordon.Presence{{Router: h.Router, Online: true, At: now, Agent: "1.0", Wire: 1, Boot: 1}})); err != nil {
		return h, err
	}
	_, err = o.Store.Ingest(ctx, reports(&h, name, now))
	return h, err
}

// reports is what a router tells of a camera that scans.
func reports(h *Home, name string, now cordon.Time) []cordon.Report {
	device := cordon.Device{ID: h.Device, MAC: cordon.MAC{2, 0, 0, 0, 0, 1}, HasMAC: true, Name: "Camera of " + name, Maker: "Acme", Class: cordon.IoT,
		Addrs: []netip.Addr{netip.MustParseAddr("192.168.1.7")}, FirstSeen: now, LastSeen: now}
	all := []cordon.Report{
		{Device: &device},
		{Incident: &cordon.Incident{ID: h.Incident, Device: &device, Level: cordon.Act, Opened: now, Last: now, Odds: 6, Kinds: []cordon.Kind{cordon.ScanMirai},
			Story: "Camera of " + name + " scans.", Told: "Your Camera of " + name + " is infected."}},
		{Detection: &cordon.Detection{ID: h.Detection, Kind: cordon.ScanMirai, Device: &device, At: now, Since: now, Confirmed: true, Level: cordon.Act,
			Subject: "telnet (23)", Sentence: "Camera of " + name + " scans."}},
		{Action: &cordon.ActionReport{Result: cordon.ResultDone, Action: cordon.Action{ID: h.Action, Verb: cordon.VerbBlock, Mode: cordon.ModeWould,
			Entity: cordon.Entity{Device: h.Device, Target: cordon.Target{Proto: 6, Ports: []uint16{23}}}, At: now, Expires: now.Add(time.Hour), Reason: "it scans"}}},
		{Health: &cordon.Health{At: now, Mode: "normal", Policy: cordon.PolicyObserve, Eyes: "kernel", Devices: 1, Clock: true}},
		{Enforced: &cordon.Enforced{}},
	}
	for n := range all {
		all[n].ID = cordon.ReportID{Router: h.Router, Boot: 1, Seq: uint64(n + 1)}
		all[n].At = now
	}
	return all
}

// Answer is what came back.
type Answer struct {
	Status int
	Header http.Header
	Text   string
	JSON   map[string]any
}

// Code is the code of a problem.
func (a Answer) Code() string { s, _ := a.JSON["code"].(string); return s }

// As logs a user in, once, and returns his cookies.
func (o *Office) As(u *cordon.User) string {
	o.T.Helper()
	o.mu.Lock()
	defer o.mu.Unlock()
	if c := o.cookies[u.ID]; c != "" {
		return c
	}
	a := o.Send("POST", "/v1/session", fmt.Sprintf(`{"email":%q,"password":%q}`, u.Email, Password))
	if a.Status != http.StatusOK {
		o.T.Fatalf("log in as %s: %d %s", u.Email, a.Status, a.Text)
	}
	for _, c := range a.Header.Values("Set-Cookie") {
		o.cookies[u.ID] += strings.SplitN(c, ";", 2)[0] + "; "
	}
	return o.cookies[u.ID]
}

// Send sends a request; headers are "Name: value".
func (o *Office) Send(method, path, body string, headers ...string) Answer {
	o.T.Helper()
	var r io.Reader
	if body != "" {
		r = strings.NewReader(body)
	}
	req, err := http.NewRequest(method, o.Server.URL+path, r)
	o.must(err)
	if body != "" {
		req.Header.Set("Content-Type", "application/json")
	}
	for _, h := range headers {
		name, value, _ := strings.Cut(h, ": ")
		req.Header.Set(name, value)
	}
	res, err := o.Server.Client().Do(req)
	o.must(err)
	defer res.Body.Close()
	text, err := io.ReadAll(res.Body)
	o.must(err)
	a := Answer{Status: res.StatusCode, Header: res.Header, Text: string(text)}
	if err := json.Unmarshal(text, &a.JSON); err != nil && len(text) > 0 && strings.Contains(res.Header.Get("Content-Type"), "json") {
		o.T.Fatalf("%s %s: %v in %s", method, path, err, text)
	}
	return a
}

// Ask sends a request as a user.
func (o *Office) Ask(u *cordon.User, method, path, body string, headers ...string) Answer {
	o.T.Helper()
	return o.Send(method, path, body, append([]string{"Cookie: " + o.As(u)}, headers...)...)
}

// Log is a log that may be read while it is written.
type Log struct {
	mu sync.Mutex
	b  strings.Builder
}

// Write takes a line.
func (l *Log) Write(b []byte) (int, error) {
	l.mu.Lock()
	defer l.mu.Unlock()
	return l.b.Write(b)
}

// String returns all lines.
func (l *Log) String() string {
	l.mu.Lock()
	defer l.mu.Unlock()
	return l.b.String()
}
