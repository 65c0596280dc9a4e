package api_test

import (
	"context"
	"encoding/json"
	"errors"
	"fmt"
	"io"
	"log/slog"
	"net/http"
	"net/http/httptest"
	"net/netip"
	"strings"
	"sync"
	"testing"
	"time"

	"cordon"
	"cordon/core/api"
	"cordon/core/api/desk"
	"cordon/core/api/live"
	"cordon/core/auth"
	"cordon/core/auth/password"
	"cordon/internal/ident"
)

// office is a provider with some customers, and its API.
type office struct {
	t      testing.TB
	store  *memory
	line   *line
	events *live.Hub
	auth   *auth.Auth
	server *httptest.Server
	log    *record

	own, other home
	people     map[cordon.Role]*cordon.User
	cookies    map[string]string // by user
	last       answer            // of a script
}

// home is a customer with a site and all that belongs to it.
type home struct {
	account, site, router, webhook, incident, detection, action string
	device                                                      string
	owner                                                       cordon.User
}

// secretWord is the password of everybody.
const secretWord = "correct horse battery staple 9"

// newOffice opens an office. The provider's names are of no account.
func newOffice(t testing.TB) *office {
	t.Helper()
	now := func() time.Time { return time.Now() }
	o := &office{t: t, store: newMemory(func() cordon.Time { return cordon.TimeOf(now()) }), line: newLine(), events: live.New(), log: new(record),
		people: make(map[cordon.Role]*cordon.User), cookies: make(map[string]string)}
	var err error
	if o.auth, err = auth.New(auth.Config{Store: o.store, URL: "http://localhost", Work: password.Work{Memory: 64, Passes: 1, Lanes: 1},
		Refuse: api.Refuse, Now: now}); err != nil {
		t.Fatal(err)
	}
	o.line.events = o.events
	o.own, o.other = o.home("Anna"), o.home("Bert")
	for _, r := range cordon.Roles {
		g := cordon.Grant{Role: r}
		switch {
		case r.Staff():
		case r == cordon.RoleInstaller:
			g.Site = o.own.site
		default:
			g.Account = o.own.account
		}
		u := o.user(string(r), g)
		o.people[r] = &u
	}
	site, _ := o.store.Site(context.Background(), o.own.site)
	site.Installer = o.people[cordon.RoleInstaller].ID
	o.must(o.store.PutSite(context.Background(), &site))
	h, err := api.New(api.Config{Store: o.store, Auth: o.auth, Line: o.line, Events: o.events, URL: "http://localhost", Provider: "Provider",
		Heartbeat: 20 * time.Millisecond, Now: now, Log: slog.New(slog.NewTextHandler(o.log, nil))})
	if err != nil {
		t.Fatal(err)
	}
	o.server = httptest.NewServer(h)
	t.Cleanup(o.server.Close)
	return o
}

func (o *office) must(err error) {
	o.t.Helper()
	if err != nil {
		o.t.Fatal(err)
	}
}

// user makes a person.
func (o *office) user(name string, g ...cordon.Grant) cordon.User {
	u := cordon.User{ID: ident.New(time.Now()), Email: name + "@example.com", Name: name, Grants: g, Created: o.store.now(), Password: hashed()}
	o.must(o.store.PutUser(context.Background(), &u))
	return u
}

// hashed is the hash of everybody's password.
var hashed = sync.OnceValue(func() string {
	h, err := password.New(password.Work{Memory: 64, Passes: 1, Lanes: 1})
	if err != nil {
		panic(err)
	}
	text, err := h.Hash(context.Background(), secretWord)
	if err != nil {
		panic(err)
	}
	return text
})

// home makes a customer.
func (o *office) home(name string) home {
	ctx, now := context.Background(), o.store.now()
	id := func() string { return ident.New(time.Now()) }
	h := home{account: id(), site: id(), router: id(), webhook: id(), incident: "i1", detection: "d1", action: "a1", device: "02:00:00:00:00:01"}
	o.must(o.store.PutAccount(ctx, &cordon.Account{ID: h.account, Name: name, Sort: cordon.Household, Created: now}))
	o.must(o.store.PutSite(ctx, &cordon.Site{ID: h.site, Account: h.account, Name: "Home of " + name, Created: now}))
	o.store.routers[h.router] = cordon.Router{ID: h.router, Serial: "SN-" + name, Site: h.site, Account: h.account, State: cordon.RouterEnrolled,
		Key: "U" + h.router, Online: true, Seen: now, Version: 1, Claim: cordon.Claim{SecretHash: [32]byte{1}}}
	o.must(o.store.PutWebhook(ctx, &cordon.Webhook{ID: h.webhook, Account: h.account, URL: "https://hook.example/x", Secret: []byte("hush"), Events: []cordon.EventSort{cordon.EventIncident}}))
	device := cordon.Device{ID: h.device, MAC: cordon.MAC{2, 0, 0, 0, 0, 1}, HasMAC: true, Name: "Camera of " + name, Maker: "Acme", Class: cordon.IoT,
		Addrs: []netip.Addr{netip.MustParseAddr("192.168.1.7")}, FirstSeen: now, LastSeen: now}
	o.must(o.store.PutDevice(ctx, &cordon.DeviceRecord{Site: h.site, Account: h.account, Device: device, Updated: now}))
	incident := cordon.Incident{ID: h.incident, Device: &device, Level: cordon.Act, Opened: now, Last: now, Odds: 6, Kinds: []cordon.Kind{cordon.ScanMirai},
		Story: "Camera of " + name + " scans.", Told: "Your Camera of " + name + " is infected."}
	o.store.incidents[h.site+"/"+h.incident] = cordon.IncidentRecord{Site: h.site, Account: h.account, Router: h.router, Incident: incident, Received: now, Version: 1}
	o.store.detections[h.site+"/"+h.detection] = cordon.DetectionRecord{Site: h.site, Account: h.account, Router: h.router, Received: now,
		Detection: cordon.Detection{ID: h.detection, Kind: cordon.ScanMirai, Device: &device, At: now, Since: now, Level: cordon.Act, Sentence: "Camera of " + name + " scans."}}
	o.store.actions[h.site+"/"+h.action] = cordon.ActionRecord{Site: h.site, Account: h.account, Router: h.router, Updated: now,
		ActionReport: cordon.ActionReport{Action: cordon.Action{ID: h.action, Verb: cordon.VerbBlock, Mode: cordon.ModeDo, Entity: cordon.Entity{Device: h.device}, At: now, Expires: now.Add(time.Hour)}, Result: cordon.ResultDone}}
	o.store.enforced[h.site] = cordon.Enforced{}
	h.owner = o.user("owner-"+name, cordon.Grant{Role: cordon.RoleOwner, Account: h.account})
	return h
}

// line is the routers' side.
type line struct {
	mu      sync.Mutex
	events  *live.Hub
	answers map[string]string // by question
	away    bool
	cut     []string
	desired []string
	shadows []uint64
}

func newLine() *line { return &line{answers: make(map[string]string)} }

func (l *line) Ask(_ context.Context, router, what, device string) ([]byte, error) {
	l.mu.Lock()
	defer l.mu.Unlock()
	if l.away {
		return nil, fmt.Errorf("router %s: %w", router, desk.ErrAway)
	}
	if a, ok := l.answers[what]; ok {
		return []byte(a), nil
	}
	return nil, fmt.Errorf("no question %q: %w", what, desk.ErrRefused)
}
func (l *line) Cut(_ context.Context, key string) error {
	l.mu.Lock()
	defer l.mu.Unlock()
	l.cut = append(l.cut, key)
	return nil
}
func (l *line) Desired(_ context.Context, site string) {
	l.mu.Lock()
	defer l.mu.Unlock()
	l.desired = append(l.desired, site)
}
func (l *line) Shadows(_ context.Context, n uint64) {
	l.mu.Lock()
	defer l.mu.Unlock()
	l.shadows = append(l.shadows, n)
}
func (l *line) Tell(_ context.Context, e ...cordon.Event) { l.events.Publish(e) }

// record is a log that may be read while it is written.
type record struct {
	mu sync.Mutex
	b  strings.Builder
}

func (r *record) Write(b []byte) (int, error) {
	r.mu.Lock()
	defer r.mu.Unlock()
	return r.b.Write(b)
}

func (r *record) String() string {
	r.mu.Lock()
	defer r.mu.Unlock()
	return r.b.String()
}

// answer is what came back.
type answer struct {
	Status int
	Header http.Header
	Text   string
	JSON   map[string]any
}

// code is the code of a problem.
func (a answer) code() string { s, _ := a.JSON["code"].(string); return s }

// as logs a user in, once.
func (o *office) as(u *cordon.User) string {
	o.t.Helper()
	if c := o.cookies[u.ID]; c != "" {
		return c
	}
	a := o.send("POST", "/v1/session", fmt.Sprintf(`{"email":%q,"password":%q}`, u.Email, secretWord))
	if a.Status != 200 {
		o.t.Fatalf("log in as %s: %d %s", u.Email, a.Status, a.Text)
	}
	for _, c := range a.Header.Values("Set-Cookie") {
		o.cookies[u.ID] += strings.SplitN(c, ";", 2)[0] + "; "
	}
	return o.cookies[u.ID]
}

// send sends a request; headers are "Name: value".
func (o *office) send(method, path, body string, headers ...string) answer {
	o.t.Helper()
	var r io.Reader
	if body != "" {
		r = strings.NewReader(body)
	}
	req, err := http.NewRequest(method, o.server.URL+path, r)
	o.must(err)
	if body != "" {
		req.Header.Set("Content-Type", "application/json")
	}
	for _, h := range headers {
		name, value, _ := strings.Cut(h, ": ")
		req.Header.Set(name, value)
	}
	res, err := o.server.Client().Do(req)
	o.must(err)
	defer res.Body.Close()
	text, err := io.ReadAll(res.Body)
	o.must(err)
	a := answer{Status: res.StatusCode, Header: res.Header, Text: string(text)}
	if err := json.Unmarshal(text, &a.JSON); err != nil && len(text) > 0 && strings.Contains(res.Header.Get("Content-Type"), "json") {
		o.t.Fatalf("%s %s: %v in %s", method, path, err, text)
	}
	return a
}

// ask sends a request as a user.
func (o *office) ask(u *cordon.User, method, path, body string, headers ...string) answer {
	o.t.Helper()
	return o.send(method, path, body, append([]string{"Cookie: " + o.as(u)}, headers...)...)
}

var errDown = errors.New("disk on fire")
