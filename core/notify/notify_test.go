package notify

import (
	"context"
	"crypto/hmac"
	"crypto/sha256"
	"crypto/x509"
	"encoding/hex"
	"fmt"
	"io"
	"log"
	"net"
	"net/http"
	"net/http/httptest"
	"net/netip"
	"strings"
	"sync"
	"testing"
	"time"

	"cordon"
)

var start = time.Date(2026, 11, 24, 12, 0, 0, 0, time.UTC)

// store is webhooks in memory.
type store struct {
	mu    sync.Mutex
	hooks map[string]cordon.Webhook
}

func newStore(hooks ...cordon.Webhook) *store {
	s := &store{hooks: make(map[string]cordon.Webhook)}
	for _, w := range hooks {
		w.Version = 1
		s.hooks[w.ID] = w
	}
	return s
}

func (s *store) Webhooks(_ context.Context, account string) (all []cordon.Webhook, _ error) {
	s.mu.Lock()
	defer s.mu.Unlock()
	for _, w := range s.hooks {
		if w.Account == account {
			all = append(all, w)
		}
	}
	return all, nil
}

func (s *store) Webhook(_ context.Context, id string) (cordon.Webhook, error) {
	s.mu.Lock()
	defer s.mu.Unlock()
	w, ok := s.hooks[id]
	if !ok {
		return w, cordon.ErrNotFound
	}
	return w, nil
}

func (s *store) PutWebhook(_ context.Context, w *cordon.Webhook) error {
	s.mu.Lock()
	defer s.mu.Unlock()
	if s.hooks[w.ID].Version != w.Version {
		return cordon.ErrConflict
	}
	w.Version++
	s.hooks[w.ID] = *w
	return nil
}

func (s *store) failed(id string) int {
	s.mu.Lock()
	defer s.mu.Unlock()
	return s.hooks[id].Failed
}

// resolver answers each question with the next of its answers, and the last for ever.
type resolver struct {
	mu      sync.Mutex
	answers [][]netip.Addr
}

func (r *resolver) LookupNetIP(context.Context, string, string) ([]netip.Addr, error) {
	r.mu.Lock()
	defer r.mu.Unlock()
	a := r.answers[0]
	if len(r.answers) > 1 {
		r.answers = r.answers[1:]
	}
	return a, nil
}

// heard is what a receiver was told.
type heard struct {
	header http.Header
	body   string
}

// receiver is a customer's program on all of this machine's addresses; answer says what it
// answers to the n-th call, from 1.
func receiver(t *testing.T, answer func(n int, w http.ResponseWriter)) (port string, roots *x509.CertPool, calls chan heard) {
	t.Helper()
	calls = make(chan heard, 1000)
	n := 0
	s := httptest.NewUnstartedServer(http.HandlerFunc(func(w http.ResponseWriter, r *http.Request) {
		b, _ := io.ReadAll(r.Body)
		n++ // the webhook has one call at a time
		calls <- heard{r.Header, string(b)}
		answer(n, w)
	}))
	l, err := net.Listen("tcp", "0.0.0.0:0")
	if err != nil {
		t.Fatal(err)
	}
	s.Listener.Close()
	s.Listener = l
	s.Config.ErrorLog = log.New(io.Discard, "", 0)
	s.StartTLS()
	t.Cleanup(s.Close)
	roots = x509.NewCertPool()
	roots.AddCert(s.Certificate())
	_, port, _ = net.SplitHostPort(l.Addr().String())
	return port, roots, calls
}

// run starts a Notifier and returns its outcomes.
func run(t *testing.T, cfg Config) (*Notifier, chan Outcome) {
	t.Helper()
	outcomes := make(chan Outcome, 10_000)
	cfg.Observe = func(o Outcome) { outcomes <- o }
	if cfg.Waits == nil {
		cfg.Waits = []time.Duration{0, time.Millisecond, time.Millisecond}
	}
	n, err := New(cfg)
	if err != nil {
		t.Fatal(err)
	}
	ctx, cancel := context.WithCancel(t.Context())
	done := make(chan error)
	go func() { done <- n.Run(ctx) }()
	t.Cleanup(func() {
		cancel()
		if err := <-done; err != nil {
			t.Error(err)
		}
	})
	return n, outcomes
}

// expect waits for outcomes.
func expect(t *testing.T, got chan Outcome, want ...Outcome) {
	t.Helper()
	for i, w := range want {
		select {
		case o := <-got:
			if o != w {
				t.Fatalf("outcome %d is %s, want %s", i, o, w)
			}
		case <-time.After(20 * time.Second):
			t.Fatalf("outcome %d: none, want %s", i, w)
		}
	}
}

var (
	one = netip.MustParseAddr("127.0.0.1")
	two = netip.MustParseAddr("127.0.0.2")
)

func hook(port string) cordon.Webhook {
	return cordon.Webhook{ID: "hook", Account: "acc", URL: "https://example.com:" + port + "/told", Secret: []byte("0123456789abcdef"),
		Events: []cordon.EventSort{cordon.EventIncident, cordon.EventDevice}, Level: cordon.Notify}
}

func incident(level cordon.Level) cordon.Event {
	return cordon.Event{Sort: cordon.EventIncident, Account: "acc", Site: "site", ID: "inc-1", Level: level, At: cordon.TimeOf(start)}
}

// TestDelivered signs what it says, tells of what was wanted only, and nobody else.
func TestDelivered(t *testing.T) {
	port, roots, calls := receiver(t, func(_ int, w http.ResponseWriter) { w.WriteHeader(http.StatusNoContent) })
	n, outcomes := run(t, Config{Store: newStore(hook(port)), Roots: roots, Resolver: &resolver{answers: [][]netip.Addr{{one}}},
		Allow: []netip.Prefix{netip.PrefixFrom(one, 32)}, Now: func() time.Time { return start }})
	other := incident(cordon.Act)
	other.Account = "other"
	n.Notify([]cordon.Event{incident(cordon.Watch), other, {Sort: cordon.EventRouter, Account: "acc"}, incident(cordon.Act)})
	expect(t, outcomes, Delivered)
	call := <-calls
	want := fmt.Sprintf(`{"delivery":%q,"webhook":"hook","sort":"incident","account":"acc","site":"site","id":"inc-1","level":"act","at":"2026-11-24T12:00:00Z"}`,
		call.header.Get(HeaderDelivery))
	if call.body != want {
		t.Errorf("told %s, want %s", call.body, want)
	}
	signature := call.header.Get(HeaderSignature)
	for _, c := range []struct {
		what, secret, body string
		want               bool
	}{{"as it was", "0123456789abcdef", call.body, true}, {"another secret", "x", call.body, false},
		{"another body", "0123456789abcdef", call.body + " ", false}} {
		if got := genuine([]byte(c.secret), signature, []byte(c.body)); got != c.want {
			t.Errorf("%s: genuine %v", c.what, got)
		}
	}
	if len(calls) > 0 {
		t.Errorf("also told %s", (<-calls).body)
	}
}

// genuine is what docs/webhooks.md tells who is called to do, but for the time.
func genuine(secret []byte, header string, body []byte) bool {
	var seconds int64
	var code string
	if _, err := fmt.Sscanf(header, "t=%d,v1=%s", &seconds, &code); err != nil || seconds != start.Unix() {
		return false
	}
	h := hmac.New(sha256.New, secret)
	fmt.Fprintf(h, "%d.%s", seconds, body)
	return code == hex.EncodeToString(h.Sum(nil))
}

// TestRetried tries again, as the same delivery, and forgets failures when it worked.
func TestRetried(t *testing.T) {
	port, roots, calls := receiver(t, func(n int, w http.ResponseWriter) {
		if n < 3 {
			w.WriteHeader(http.StatusBadGateway)
		}
	})
	s := newStore(hook(port))
	n, outcomes := run(t, Config{Store: s, Roots: roots, Resolver: &resolver{answers: [][]netip.Addr{{one}}}, Allow: []netip.Prefix{netip.PrefixFrom(one, 32)}})
	n.Notify([]cordon.Event{incident(cordon.Act)})
	expect(t, outcomes, Failed, Failed, Delivered)
	first, second, third := <-calls, <-calls, <-calls
	if d := first.header.Get(HeaderDelivery); d == "" || d != second.header.Get(HeaderDelivery) || third.header.Get(HeaderTry) != "3" {
		t.Errorf("deliveries %v, %v, %v", first.header, second.header, third.header)
	}
	n.Notify([]cordon.Event{incident(cordon.Act)})
	expect(t, outcomes, Delivered) // the count was stored before this one began
	if f := s.failed("hook"); f != 0 {
		t.Errorf("%d failures are remembered", f)
	}
}

// TestDisabled leaves a webhook alone that never answers.
func TestDisabled(t *testing.T) {
	port, roots, calls := receiver(t, func(_ int, w http.ResponseWriter) { w.WriteHeader(http.StatusInternalServerError) })
	w := hook(port)
	w.Failed = DisabledAfter - 3
	s := newStore(w)
	n, outcomes := run(t, Config{Store: s, Roots: roots, Resolver: &resolver{answers: [][]netip.Addr{{one}}},
		Allow: []netip.Prefix{netip.PrefixFrom(one, 32)}, Waits: []time.Duration{0, 0}})
	n.Notify([]cordon.Event{incident(cordon.Act), incident(cordon.Act), incident(cordon.Act)})
	expect(t, outcomes, Failed, Failed, GivenUp, Failed, Disabled)
	if len(calls) != 3 || s.failed("hook") != DisabledAfter {
		t.Errorf("%d calls, %d failures", len(calls), s.failed("hook"))
	}
}

// TestForbidden never connects to what a name of the customer's means inside, also when
// it meant something else a moment ago, or an honest server sends it there.
func TestForbidden(t *testing.T) {
	metadata := netip.MustParseAddr("169.254.169.254")
	for _, c := range []struct {
		name    string
		answers [][]netip.Addr
		want    []Outcome
		told    int
	}{
		{"inside", [][]netip.Addr{{one}}, []Outcome{Forbidden}, 0},
		{"metadata", [][]netip.Addr{{metadata}}, []Outcome{Forbidden}, 0},
		{"one of two", [][]netip.Addr{{two, one}}, []Outcome{Forbidden}, 0},
		{"mapped", [][]netip.Addr{{netip.MustParseAddr("::ffff:127.0.0.1")}}, []Outcome{Forbidden}, 0},
		{"rebinds after the first call", [][]netip.Addr{{two}, {one}}, []Outcome{Delivered, Forbidden}, 1},
	} {
		t.Run(c.name, func(t *testing.T) {
			port, roots, calls := receiver(t, func(_ int, w http.ResponseWriter) {})
			n, outcomes := run(t, Config{Store: newStore(hook(port)), Roots: roots, Resolver: &resolver{answers: c.answers},
				Allow: []netip.Prefix{netip.PrefixFrom(two, 32)}}) // stands for the public internet
			for _, want := range c.want {
				n.Notify([]cordon.Event{incident(cordon.Act)})
				expect(t, outcomes, want)
			}
			if len(calls) != c.told {
				t.Errorf("%d calls, want %d", len(calls), c.told)
			}
		})
	}
}

// TestControl refuses an address at the last moment, whoever chose it.
func TestControl(t *testing.T) {
	n, err := New(Config{Store: newStore()})
	if err != nil {
		t.Fatal(err)
	}
	for address, want := range map[string]bool{"8.8.8.8:443": true, "127.0.0.1:443": false, "[::1]:443": false, "[fe80::1%lo]:443": false, "name:443": false} {
		if err := n.control("tcp", address, nil); (err == nil) != want {
			t.Errorf("%s: %v", address, err)
		}
	}
}

// TestRedirect follows none.
func TestRedirect(t *testing.T) {
	port, roots, calls := receiver(t, func(_ int, w http.ResponseWriter) {
		w.Header().Set("Location", "/elsewhere")
		w.WriteHeader(http.StatusTemporaryRedirect)
	})
	n, outcomes := run(t, Config{Store: newStore(hook(port)), Roots: roots, Resolver: &resolver{answers: [][]netip.Addr{{one}}},
		Allow: []netip.Prefix{netip.PrefixFrom(one, 32)}, Waits: []time.Duration{0}})
	n.Notify([]cordon.Event{incident(cordon.Act)})
	expect(t, outcomes, Failed, GivenUp)
	if len(calls) != 1 {
		t.Errorf("%d calls", len(calls))
	}
}

// TestBounded keeps the newest calls of a webhook that hangs, says how many went, and
// holds no other webhook up.
func TestBounded(t *testing.T) {
	release := make(chan struct{})
	port, roots, calls := receiver(t, func(n int, w http.ResponseWriter) {
		if n == 1 {
			<-release
		}
	})
	port2, roots2, calls2 := receiver(t, func(int, http.ResponseWriter) {})
	_ = roots2 // httptest has one certificate
	quick := hook(port2)
	quick.ID, quick.Account = "quick", "other"
	n, outcomes := run(t, Config{Store: newStore(hook(port), quick), Roots: roots, Resolver: &resolver{answers: [][]netip.Addr{{one}}},
		Allow: []netip.Prefix{netip.PrefixFrom(one, 32)}, Now: func() time.Time { return start }})
	n.Notify([]cordon.Event{incident(cordon.Act)})
	<-calls // hangs now
	var many []cordon.Event
	for range maxQueue + 7 {
		many = append(many, incident(cordon.Act))
	}
	n.Notify(many)
	for range 7 {
		expect(t, outcomes, Dropped)
	}
	e := incident(cordon.Act)
	e.Account = "other"
	n.Notify([]cordon.Event{e})
	expect(t, outcomes, Delivered)
	if len(calls2) != 1 {
		t.Errorf("%d calls of the quick one", len(calls2))
	}
	close(release)
	expect(t, outcomes, Delivered, Delivered)
	if missed := (<-calls).header.Get(HeaderMissed); missed != "7" {
		t.Errorf("%q missed, want 7", missed)
	}
}

// TestPlain needs TLS that somebody vouches for.
func TestPlain(t *testing.T) {
	port, _, calls := receiver(t, func(int, http.ResponseWriter) {})
	n, outcomes := run(t, Config{Store: newStore(hook(port)), Resolver: &resolver{answers: [][]netip.Addr{{one}}},
		Allow: []netip.Prefix{netip.PrefixFrom(one, 32)}, Waits: []time.Duration{0}})
	n.Notify([]cordon.Event{incident(cordon.Act)})
	expect(t, outcomes, Failed, GivenUp)
	w := hook(port)
	w.URL = strings.Replace(w.URL, "https", "http", 1)
	n, outcomes = run(t, Config{Store: newStore(w), Resolver: &resolver{answers: [][]netip.Addr{{one}}}, Allow: []netip.Prefix{netip.PrefixFrom(one, 32)}})
	n.Notify([]cordon.Event{incident(cordon.Act)})
	expect(t, outcomes, Forbidden)
	if len(calls) != 0 {
		t.Errorf("%d calls", len(calls))
	}
}
