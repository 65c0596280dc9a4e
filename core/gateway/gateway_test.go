package gateway

import (
	"bytes"
	"context"
	"crypto/ed25519"
	"crypto/sha256"
	"encoding/json"
	"errors"
	"fmt"
	"net/http"
	"net/http/httptest"
	"slices"
	"strings"
	"sync"
	"testing"
	"testing/synctest"
	"time"

	"github.com/nats-io/nkeys"

	"cordon"
	"cordon/wire"
)

// shelf is a store of a few routers.
type shelf struct {
	mu      sync.Mutex
	routers map[string]*cordon.Router // by id
	audits  []cordon.Audit
	present []cordon.Presence
}

func (s *shelf) Router(_ context.Context, id string) (cordon.Router, error) {
	s.mu.Lock()
	defer s.mu.Unlock()
	if r, ok := s.routers[id]; ok {
		return *r, nil
	}
	return cordon.Router{}, cordon.ErrNotFound
}

func (s *shelf) RouterBySerial(_ context.Context, serial string) (cordon.Router, error) {
	s.mu.Lock()
	defer s.mu.Unlock()
	for _, r := range s.routers {
		if r.Serial == serial {
			return *r, nil
		}
	}
	return cordon.Router{}, cordon.ErrNotFound
}

func (s *shelf) Enrol(_ context.Context, id, key string, at cordon.Time) error {
	s.mu.Lock()
	defer s.mu.Unlock()
	r := s.routers[id]
	if r.State == cordon.RouterEnrolled && r.Key != key || r.State == cordon.RouterRevoked {
		return cordon.ErrConflict
	}
	r.State, r.Key, r.Enrolled = cordon.RouterEnrolled, key, at
	return nil
}

func (s *shelf) Presence(_ context.Context, list []cordon.Presence) error {
	s.mu.Lock()
	defer s.mu.Unlock()
	s.present = append(s.present, list...)
	return nil
}

func (s *shelf) Audit(_ context.Context, a cordon.Audit) error {
	s.mu.Lock()
	defer s.mu.Unlock()
	s.audits = append(s.audits, a)
	return nil
}

// line is a bus whose disk may be away.
type line struct {
	mu       sync.Mutex
	away     bool
	appended [][]byte
	acks     map[string][]uint64
	hear     map[string]func(string, []byte)
	asked    func(router string, data []byte)
	revoked  []string
	wire     *wireBetween // to the buses of other instances
}

// wireBetween is what instances of core hear of each other.
type wireBetween struct {
	mu     sync.Mutex
	listen map[string][]func([]byte)
}

func (l *line) Announce(subject string, data []byte) error {
	l.wire.mu.Lock()
	list := l.wire.listen[subject]
	l.wire.mu.Unlock()
	for _, f := range list {
		f(data)
	}
	return nil
}

func (l *line) Listen(ctx context.Context, subject string, handle func([]byte)) error {
	l.wire.mu.Lock()
	l.wire.listen[subject] = append(l.wire.listen[subject], handle)
	l.wire.mu.Unlock()
	<-ctx.Done()
	return ctx.Err()
}

func (l *line) Revoke(_ context.Context, key string) error {
	l.mu.Lock()
	defer l.mu.Unlock()
	l.revoked = append(l.revoked, key)
	return nil
}

func (l *line) Connected(router string) (online, known bool) { return router == "known", true }

func (l *line) Append(_ context.Context, _ string, data []byte) error {
	l.mu.Lock()
	defer l.mu.Unlock()
	if l.away {
		return errors.New("away")
	}
	l.appended = append(l.appended, data)
	return nil
}

func (l *line) ToRouter(router, what string, data []byte) error {
	if what == "ask" {
		l.asked(router, data)
		return nil
	}
	n, err := wire.DecodeAck(data)
	if err != nil {
		return err
	}
	l.mu.Lock()
	defer l.mu.Unlock()
	l.acks[router] = append(l.acks[router], n)
	return nil
}

func (l *line) FromRouters(ctx context.Context, what string, handle func(string, []byte)) error {
	l.mu.Lock()
	l.hear[what] = handle
	l.mu.Unlock()
	<-ctx.Done()
	return ctx.Err()
}

func (l *line) Credential(router, key string, _ time.Duration) (string, error) {
	return "credential of " + router + " for " + key, nil
}

func (l *line) Presence(ctx context.Context, handle func(string, bool, time.Time)) error {
	handle("known", true, time.Now())
	<-ctx.Done()
	return ctx.Err()
}

func newGateway(t *testing.T) (*Gateway, *shelf, *line) {
	t.Helper()
	s := &shelf{routers: map[string]*cordon.Router{
		"known": {ID: "known", Serial: "S-known", State: cordon.RouterEnrolled, Key: "UOLD", Claim: claim("secret")},
		"new":   {ID: "new", Serial: "S-new", State: cordon.RouterExpected, Claim: claim("secret")},
		"late":  {ID: "late", Serial: "S-late", State: cordon.RouterExpected, Claim: cordon.Claim{SecretHash: claim("secret").SecretHash, Expires: 1}},
		"gone":  {ID: "gone", Serial: "S-gone", State: cordon.RouterRevoked, Claim: claim("secret")},
		"reset": {ID: "reset", Serial: "S-reset", State: cordon.RouterReset, Key: "UOLD", Claim: claim("secret")},
	}}
	l := &line{acks: make(map[string][]uint64), hear: make(map[string]func(string, []byte)), wire: &wireBetween{listen: make(map[string][]func([]byte))}}
	g, err := New(Config{Store: s, Bus: l, Subject: "core.report", Servers: []string{"tls://bus:4222"},
		Hello: func(context.Context, string, wire.Hello) error { return nil }})
	if err != nil {
		t.Fatal(err)
	}
	return g, s, l
}

func claim(secret string) cordon.Claim {
	return cordon.Claim{SecretHash: sha256.Sum256([]byte(secret))}
}

// person is somebody at the door with a key.
type person struct {
	t    *testing.T
	url  string
	pair nkeys.KeyPair
	key  string
}

func newPerson(t *testing.T, url string) *person {
	pair, err := nkeys.CreateUser()
	if err != nil {
		t.Fatal(err)
	}
	key, err := pair.PublicKey()
	if err != nil {
		t.Fatal(err)
	}
	return &person{t, url, pair, key}
}

// post sends a request and returns the refusal's code, empty if there was none.
func (p *person) post(path string, in, out any) string {
	p.t.Helper()
	body, err := json.Marshal(in)
	if err != nil {
		p.t.Fatal(err)
	}
	resp, err := http.Post(p.url+path, "application/json", bytes.NewReader(body))
	if err != nil {
		p.t.Fatal(err)
	}
	defer resp.Body.Close()
	if resp.StatusCode == http.StatusOK {
		if err := json.NewDecoder(resp.Body).Decode(out); err != nil {
			p.t.Fatal(err)
		}
		return ""
	}
	var r wire.Refusal
	if err := json.NewDecoder(resp.Body).Decode(&r); err != nil || r.Message == "" {
		p.t.Fatalf("status %s, %v", resp.Status, err)
	}
	return r.Code
}

// enrol does all that a router does, and change spoils it.
func (p *person) enrol(serial, secret string, change func(*wire.Enrolment)) (wire.Credential, string) {
	p.t.Helper()
	var n wire.Nonce
	if code := p.post(wire.PathChallenge, wire.Challenge{Serial: serial}, &n); code != "" {
		return wire.Credential{}, code
	}
	e := wire.Enrolment{Serial: serial, Key: p.key, Nonce: n.Nonce, Secret: secret}
	e.Proof, _ = p.pair.Sign(wire.EnrolmentText(e.Serial, e.Key, e.Nonce))
	if change != nil {
		change(&e)
	}
	var c wire.Credential
	return c, p.post(wire.PathEnrol, e, &c)
}

// TestEnrol lets in who was imported and can prove it, once, and nobody else.
func TestEnrol(t *testing.T) {
	for _, c := range []struct {
		name, serial, secret string
		change               func(*wire.Enrolment)
		want                 string
	}{
		{"right", "S-new", "secret", nil, ""},
		{"after a reset", "S-reset", "secret", nil, ""},
		{"wrong secret", "S-new", "guess", nil, wire.RefusedClaim},
		{"unknown serial", "S-other", "secret", nil, wire.RefusedClaim},
		{"claim used by another", "S-known", "secret", nil, wire.RefusedClaim},
		{"claim expired", "S-late", "secret", nil, wire.RefusedClaim},
		{"revoked", "S-gone", "secret", nil, wire.RefusedRevoked},
		{"revoked, without the claim", "S-gone", "guess", nil, wire.RefusedClaim},
		{"key not proven", "S-new", "secret", func(e *wire.Enrolment) { e.Proof[0] ^= 1 }, wire.RefusedRequest},
		{"no key", "S-new", "secret", func(e *wire.Enrolment) { e.Key = "UX" }, wire.RefusedRequest},
		{"nonce of nobody", "S-new", "secret", func(e *wire.Enrolment) { e.Nonce = "AAAA" }, wire.RefusedNonce},
		{"long model", "S-new", "secret", func(e *wire.Enrolment) { e.Model = string(make([]byte, 65)) }, wire.RefusedRequest},
	} {
		t.Run(c.name, func(t *testing.T) {
			g, s, _ := newGateway(t)
			server := httptest.NewServer(g.Handler())
			defer server.Close()
			p := newPerson(t, server.URL)
			got, code := p.enrol(c.serial, c.secret, c.change)
			if code != c.want {
				t.Fatalf("refused with %q, want %q", code, c.want)
			}
			if code == "" && (got.JWT == "" || len(got.Servers) != 1 || got.Renew <= got.Issued || s.routers[got.Router].Key != p.key) {
				t.Errorf("%+v", got)
			}
			if n := len(s.audits); (c.want == "" || c.want == wire.RefusedClaim || c.want == wire.RefusedRevoked) != (n == 1) {
				t.Errorf("%d lines in the record", n)
			}
		})
	}
}

// TestEnrolAgain gives the same router its credential again, and nobody else.
func TestEnrolAgain(t *testing.T) {
	g, s, _ := newGateway(t)
	server := httptest.NewServer(g.Handler())
	defer server.Close()
	p := newPerson(t, server.URL)
	for range 2 {
		if _, code := p.enrol("S-new", "secret", nil); code != "" {
			t.Fatalf("refused with %q", code)
		}
	}
	if _, code := newPerson(t, server.URL).enrol("S-new", "secret", nil); code != wire.RefusedClaim {
		t.Errorf("a thief of the claim got %q", code)
	}
	renew := func(p *person, router, serial string) string {
		var n wire.Nonce
		p.post(wire.PathChallenge, wire.Challenge{Serial: serial}, &n)
		proof, _ := p.pair.Sign(wire.RenewalText(router, p.key, n.Nonce))
		return p.post(wire.PathRenew, wire.Renewal{Router: router, Key: p.key, Nonce: n.Nonce, Proof: proof}, new(wire.Credential))
	}
	if code := renew(p, "new", "S-new"); code != "" {
		t.Errorf("renewal refused with %q", code)
	}
	if code := renew(newPerson(t, server.URL), "new", "S-new"); code != wire.RefusedClaim {
		t.Errorf("somebody else's renewal: %q", code)
	}
	s.routers["new"].State = cordon.RouterRevoked
	if code := renew(p, "new", "S-new"); code != wire.RefusedRevoked {
		t.Errorf("renewal of a revoked router: %q", code)
	}
}

// TestGuessing stops who tries secrets for one serial.
func TestGuessing(t *testing.T) {
	g, _, _ := newGateway(t)
	server := httptest.NewServer(g.Handler())
	defer server.Close()
	p := newPerson(t, server.URL)
	for i := range guessBurst + 1 {
		_, code := p.enrol("S-new", "guess", nil)
		if want := map[bool]string{false: wire.RefusedClaim, true: wire.RefusedBusy}[i == guessBurst]; code != want {
			t.Fatalf("try %d: %q, want %q", i, code, want)
		}
	}
}

// TestReports acknowledges what is safe, and nothing else.
func TestReports(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		g, s, l := newGateway(t)
		ctx, cancel := context.WithCancel(t.Context())
		ended := make(chan error, 1)
		go func() { ended <- g.Run(ctx) }()
		defer func() { cancel(); <-ended }()
		synctest.Wait()
		send := func(from string, number uint64, reports ...cordon.Report) {
			data, err := wire.EncodeReports(number, reports)
			if err != nil {
				t.Fatal(err)
			}
			l.hear["report"](from, data)
			time.Sleep(2 * gatherFor)
			synctest.Wait()
		}
		of := func(router string, seq uint64) cordon.Report {
			return cordon.Report{ID: cordon.ReportID{Router: router, Boot: 1, Seq: seq}, At: 1 << 62, Device: &cordon.Device{ID: "d"}}
		}
		send("known", 1, of("known", 1), of("known", 2))
		send("known", 2, of("new", 1))         // as another
		send("stranger", 3, of("stranger", 1)) // not enrolled
		send("gone", 4, of("gone", 1))         // revoked
		l.hear["report"]("known", []byte("garbage"))
		l.away = true
		send("known", 5, of("known", 3))
		l.away = false
		send("known", 6, of("known", 3))

		if got := l.acks["known"]; len(l.acks) != 1 || len(got) != 2 || got[0] != 1 || got[1] != 6 {
			t.Errorf("acknowledged %v, want batches 1 and 6 of the known router", l.acks)
		}
		if len(l.appended) != 2 {
			t.Fatalf("%d messages on the bus, want 2", len(l.appended))
		}
		_, list, err := wire.DecodeReports(l.appended[0])
		if err != nil || len(list) != 2 || list[0].At > cordon.TimeOf(time.Now().Add(ahead)) {
			t.Errorf("%+v, %v: want two reports, none of the far future", list, err)
		}
		if len(s.present) != 1 || !s.present[0].Online {
			t.Errorf("present: %+v", s.present)
		}
	})
}

// TestUnwritable leaves out a report that cannot be written, and no other that was gathered
// with it.
func TestUnwritable(t *testing.T) {
	g, _, l := newGateway(t)
	dropped := 0
	g.cfg.Count = func(reason string, n int) {
		if reason != "unwritable" {
			t.Errorf("%d reports are counted as %q", n, reason)
		}
		dropped += n
	}
	of := func(router string, seq uint64) cordon.Report {
		return cordon.Report{ID: cordon.ReportID{Router: router, Boot: 1, Seq: seq}, Device: &cordon.Device{ID: "d"}}
	}
	huge := of("bad", 2)
	huge.Device, huge.Incident = nil, &cordon.Incident{Timeline: make([]cordon.Moment, 1024)}
	for i := range huge.Incident.Timeline {
		huge.Incident.Timeline[i].Text = strings.Repeat("x", maxText)
	}
	if _, err := wire.EncodeReports(0, []cordon.Report{huge}); err == nil {
		t.Fatal("it can be written")
	}
	g.append(t.Context(), []batch{{"good", 1, []cordon.Report{of("good", 1)}}, {"bad", 2, []cordon.Report{of("bad", 1), huge, of("bad", 3)}},
		{"other", 3, []cordon.Report{of("other", 1), of("other", 2)}}})
	var got []string
	for _, m := range l.appended {
		_, list, err := wire.DecodeReports(m)
		if err != nil {
			t.Fatal(err)
		}
		for _, r := range list {
			got = append(got, fmt.Sprint(r.ID.Router, r.ID.Seq))
		}
	}
	if want := []string{"good1", "bad1", "bad3", "other1", "other2"}; !slices.Equal(got, want) || dropped != 1 || len(l.acks) != 3 {
		t.Errorf("appended %q, want %q; %d dropped; acknowledged %v", got, want, dropped, l.acks)
	}
}

// TestAsk takes the answer of the router that was asked, and of no other.
func TestAsk(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		g, _, l := newGateway(t)
		s := sha256.Sum256([]byte("key"))
		key := newKeyFromSeed(s)
		l.asked = func(router string, data []byte) {
			q, err := wire.OpenQuestion(data, keysOf(key), router, cordon.TimeOf(time.Now()))
			if err != nil {
				t.Error(err)
				return
			}
			forged, _ := wire.Answer{ID: q.ID, JSON: []byte("forged")}.Encode()
			honest, _ := wire.Answer{ID: q.ID, JSON: []byte("honest")}.Encode()
			g.answer(t.Context(), "other", forged)
			if q.What == "status" {
				g.answer(t.Context(), router, honest)
			}
		}
		a, err := g.Ask(t.Context(), key, "known", "status", "")
		if err != nil || string(a.JSON) != "honest" {
			t.Errorf("%q, %v", a.JSON, err)
		}
		if _, err := g.Ask(t.Context(), key, "known", "devices", ""); !errors.Is(err, ErrAway) {
			t.Errorf("error %v, want %v", err, ErrAway)
		}
	})
}

// FuzzDoor sends anything to the door.
func FuzzDoor(f *testing.F) {
	f.Add(wire.PathEnrol, []byte(`{"serial":"S-new","key":"U","nonce":"AAAA"}`))
	f.Add(wire.PathRenew, []byte(`{"router":"new"}`))
	f.Fuzz(func(t *testing.T, path string, body []byte) {
		if path != wire.PathEnrol && path != wire.PathRenew && path != wire.PathChallenge {
			path = wire.PathEnrol
		}
		g, s, _ := newGateway(t)
		w := httptest.NewRecorder()
		g.Handler().ServeHTTP(w, httptest.NewRequest(http.MethodPost, path, bytes.NewReader(body)))
		if w.Code == http.StatusOK && path != wire.PathChallenge || s.routers["new"].State != cordon.RouterExpected {
			t.Errorf("status %d", w.Code)
		}
	})
}

func newKeyFromSeed(s [32]byte) ed25519.PrivateKey { return ed25519.NewKeyFromSeed(s[:]) }

func keysOf(k ed25519.PrivateKey) wire.Keys {
	public := k.Public().(ed25519.PublicKey)
	return wire.Keys{wire.KeyID(public): public}
}
