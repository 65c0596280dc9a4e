package auth_test

import (
	"context"
	"errors"
	"fmt"
	"net/http"
	"net/http/httptest"
	"strings"
	"testing"
	"time"

	"cordon"
	"cordon/core/auth"
	"cordon/core/auth/password"
	"cordon/lab/authenticator"
)

const (
	site  = "https://cordon.example"
	email = "anna@example.org"
	right = "korrekt Pferd Batterie"
	wrong = "falsches Pferd Batterie"
)

// quick is little work, so that tests take no time.
var quick = password.Work{Memory: 8, Passes: 1, Lanes: 1}

// bed is an Auth with a store and a clock of its own.
type bed struct {
	*auth.Auth
	t     *testing.T
	store *memory
	now   time.Time
}

func newBed(t *testing.T) *bed {
	t.Helper()
	b := &bed{t: t, store: newMemory(), now: time.Date(2026, 11, 24, 12, 0, 0, 0, time.UTC)}
	b.Auth = b.instance(quick)
	return b
}

// instance returns another Auth on the same store, as another instance of core is.
func (b *bed) instance(w password.Work) *auth.Auth {
	a, err := auth.New(auth.Config{Store: b.store, URL: site, Key: []byte(strings.Repeat("k", 32)), Work: w, Now: func() time.Time { return b.now }})
	if err != nil {
		b.t.Fatal(err)
	}
	return a
}

// person makes a user with a password.
func (b *bed) person(email string, grants ...cordon.Grant) cordon.User {
	b.t.Helper()
	h, err := password.New(quick)
	if err != nil {
		b.t.Fatal(err)
	}
	hash, err := h.Hash(b.t.Context(), right)
	if err != nil {
		b.t.Fatal(err)
	}
	u := cordon.User{ID: "user-" + email, Email: email, Name: strings.ToUpper(email), Password: hash, Grants: grants}
	if err := b.store.PutUser(b.t.Context(), &u); err != nil {
		b.t.Fatal(err)
	}
	return u
}

// browser sends requests with the cookies that it was given.
type browser struct {
	b       *bed
	addr    string
	cookies map[string]string
	header  http.Header
}

func (b *bed) browser(addr string) *browser {
	return &browser{b: b, addr: addr, cookies: map[string]string{}, header: http.Header{}}
}

// request is one of the browser's.
func (c *browser) request() *http.Request {
	r := httptest.NewRequest(http.MethodPost, site+"/v1/x", nil)
	r.RemoteAddr = c.addr + ":1234"
	for k, v := range c.header {
		r.Header[k] = v
	}
	for name, value := range c.cookies {
		r.AddCookie(&http.Cookie{Name: name, Value: value})
	}
	return r
}

// do runs f as the handler of a request and returns the status that Middleware gave.
func (c *browser) do(f func(ctx context.Context)) int {
	c.b.t.Helper()
	w := httptest.NewRecorder()
	c.b.Middleware(http.HandlerFunc(func(w http.ResponseWriter, r *http.Request) { f(r.Context()) })).ServeHTTP(w, c.request())
	return w.Code
}

// as returns the subject of the browser.
func (c *browser) as() (s auth.Subject) {
	c.b.t.Helper()
	c.do(func(ctx context.Context) { s = auth.From(ctx) })
	return s
}

// keep takes cookies.
func (c *browser) keep(all ...http.Cookie) {
	for _, k := range all {
		if c.cookies[k.Name] = k.Value; k.MaxAge < 0 {
			delete(c.cookies, k.Name)
		}
	}
}

// logIn logs in with a password.
func (c *browser) logIn(email, password string) (err error) {
	c.do(func(ctx context.Context) {
		var e auth.Entry
		if e, err = c.b.LogIn(ctx, email, password); err == nil {
			c.keep(e.Cookies...)
		}
	})
	return err
}

// logged returns a browser of a person who has just logged in.
func (b *bed) logged(email string) *browser {
	b.t.Helper()
	c := b.browser("192.0.2.1")
	if err := c.logIn(email, right); err != nil {
		b.t.Fatal(err)
	}
	return c
}

// last returns the last line of the record.
func (b *bed) last() cordon.Audit {
	b.t.Helper()
	if len(b.store.audits) == 0 {
		b.t.Fatal("nothing was recorded")
	}
	return b.store.audits[len(b.store.audits)-1]
}

var owner = cordon.Grant{Role: cordon.RoleOwner, Account: "acc"}

// TestLogIn makes somebody of nobody, and says so in the record.
func TestLogIn(t *testing.T) {
	b := newBed(t)
	u := b.person(email, owner)
	c := b.browser("192.0.2.7")
	c.header.Set("User-Agent", "Browser\x00 "+strings.Repeat("ü", 300))
	if s := c.as(); s.User != "" || s.Addr.String() != "192.0.2.7" {
		t.Errorf("before: %+v", s)
	}
	var got auth.Entry
	c.do(func(ctx context.Context) {
		var err error
		if got, err = b.LogIn(ctx, " Anna@Example.org ", right); err != nil {
			t.Error(err)
		}
	})
	if got.User.ID != u.ID || got.User.Password != "" || len(got.Cookies) != 2 {
		t.Fatalf("entry %+v", got)
	}
	for _, k := range got.Cookies {
		if !strings.HasPrefix(k.Name, "__Host-") || !k.HttpOnly || !k.Secure || k.SameSite != http.SameSiteLaxMode || k.Path != "/" || k.Domain != "" || k.MaxAge <= 0 {
			t.Errorf("cookie %+v", k)
		}
	}
	c.keep(got.Cookies...)
	if s := c.as(); s.User != u.ID || s.Way != auth.BySession || len(s.Grants) != 1 || s.Role() != cordon.RoleOwner {
		t.Errorf("after: %+v", s)
	}
	if a := b.last(); a.Verb != "session.begin" || a.Result != "ok" || a.User != u.ID || a.Addr != "192.0.2.7" || a.Role != cordon.RoleOwner {
		t.Errorf("recorded %+v", a)
	}
	for _, s := range b.store.sessions {
		for name, value := range c.cookies {
			if strings.Contains(fmt.Sprintf("%s %s %s %s", s.User, s.Agent, s.Addr, s.Hash), value) {
				t.Errorf("the store has the cookie %s", name)
			}
		}
		if len(s.Agent) > 200 {
			t.Errorf("browser's name of %d bytes", len(s.Agent))
		}
	}
}

// TestWrong says the same to everybody who is wrong, whatever is.
func TestWrong(t *testing.T) {
	b := newBed(t)
	b.person(email, owner)
	gone := b.person("gone@example.org", owner)
	gone.Disabled = true
	if err := b.store.PutUser(t.Context(), &gone); err != nil {
		t.Fatal(err)
	}
	without := cordon.User{ID: "no-password", Email: "without@example.org"}
	if err := b.store.PutUser(t.Context(), &without); err != nil {
		t.Fatal(err)
	}
	for _, c := range []struct{ email, password string }{{email, wrong}, {"nobody@example.org", right}, {"gone@example.org", right},
		{"without@example.org", ""}, {"without@example.org", right}, {"", ""}, {"no address", right}, {email, strings.Repeat("x", 1000)}} {
		if err := b.browser("192.0.2.1").logIn(c.email, c.password); err == nil || err.Error() != auth.ErrCredentials.Error() {
			t.Errorf("%q with %.20q: %v", c.email, c.password, err)
		}
		if a := b.last(); a.Verb != "session.begin" || a.Result == "ok" || strings.Contains(a.Who+a.Object+a.Reason+a.Result, "nobody") {
			t.Errorf("%q: recorded %+v", c.email, a)
		}
	}
	if len(b.store.sessions) != 0 {
		t.Errorf("%d sessions", len(b.store.sessions))
	}
	if b.store.down = errors.New("away"); !errors.Is(b.browser("192.0.2.2").logIn(email, right), b.store.down) {
		t.Error("a store that is away is a wrong password")
	}
}

// TestLockOut shuts out who guesses, but not the owner: his own browser gets in, a
// stranger with his password after a while.
func TestLockOut(t *testing.T) {
	b := newBed(t)
	b.person(email, owner)
	home := b.logged(email)
	var wait *auth.WaitError
	for n := 0; ; n++ { // from many addresses
		err := b.browser("198.51.100."+string(rune('1'+n%9))).logIn(email, wrong)
		if errors.As(err, &wait) {
			break
		}
		if n > 20 {
			t.Fatal("nobody stops who guesses")
		}
	}
	if err := b.browser("203.0.113.9").logIn(email, right); !errors.As(err, &wait) {
		t.Errorf("a stranger with the right password at once: %v", err)
	}
	if err := home.logIn(email, right); err != nil {
		t.Errorf("the owner's own browser: %v", err)
	}
	b.now = b.now.Add(wait.After)
	if err := b.browser("203.0.113.9").logIn(email, right); err != nil {
		t.Errorf("a stranger with the right password after %v: %v", wait.After, err)
	}
	if err := b.browser("203.0.113.9").logIn(email, wrong); !errors.Is(err, auth.ErrCredentials) {
		t.Errorf("failures were not forgotten: %v", err)
	}
	// A browser that is known as somebody else's is a stranger.
	b.person("eve@example.org", owner)
	eve := b.logged("eve@example.org")
	for range 8 {
		eve.logIn(email, wrong)
	}
	if err := eve.logIn(email, wrong); !errors.As(err, &wait) {
		t.Errorf("another's known browser: %v", err)
	}
}

// TestAddressLimit slows down one address that tries many people.
func TestAddressLimit(t *testing.T) {
	b := newBed(t)
	b.person(email, owner)
	c := b.browser("192.0.2.1")
	var wait *auth.WaitError
	for n := 0; !errors.As(c.logIn("x"+string(rune('a'+n))+"@example.org", wrong), &wait); n++ {
		if n > 25 {
			t.Fatal("nobody stops who tries many people")
		}
	}
	if err := b.browser("192.0.2.2").logIn(email, right); err != nil {
		t.Errorf("another address: %v", err)
	}
}

// TestExpiry ends sessions that nobody uses, and all at their absolute end; one that is
// used is not written with each request.
func TestExpiry(t *testing.T) {
	b := newBed(t)
	b.person(email, owner)
	c := b.logged(email)
	before := b.store.written
	for range 100 {
		b.now = b.now.Add(time.Second)
		c.as()
	}
	if n := b.store.written - before; n > 1 {
		t.Errorf("written %d times in 100 requests", n)
	}
	lasted := time.Duration(0)
	for c.as().User != "" && lasted < 1000*time.Hour {
		b.now = b.now.Add(time.Hour)
		lasted += time.Hour
	}
	if lasted != 7*24*time.Hour {
		t.Errorf("a session in use lasts %v", lasted)
	}
	c = b.logged(email)
	b.now = b.now.Add(8 * time.Hour)
	if s := c.as(); s.User != "" {
		t.Errorf("a session lasts 8 hours without use: %+v", s)
	}
}

// TestAgain sees who somebody is without keeping a session alive.
func TestAgain(t *testing.T) {
	b := newBed(t)
	u := b.person(email, owner)
	c := b.logged(email)
	again := func() auth.Subject {
		s, err := b.Again(c.request())
		if err != nil {
			t.Error(err)
		}
		return s
	}
	for range 7 { // hours in which only a stream of events is open
		b.now = b.now.Add(time.Hour)
		if s := again(); s.User != u.ID || len(s.Grants) != 1 || s.Way != auth.BySession {
			t.Fatalf("%+v", s)
		}
	}
	if b.now = b.now.Add(time.Hour + time.Second); again().User != "" {
		t.Error("a session lives on that nobody uses")
	}
	c = b.logged(email)
	c.do(func(ctx context.Context) {
		if _, err := b.LogOut(ctx); err != nil {
			t.Error(err)
		}
	})
	if again().User != "" {
		t.Error("a session is there after the log-out")
	}
	r := httptest.NewRequest(http.MethodGet, site, nil)
	if s, err := b.Again(r.WithContext(auth.With(r.Context(), auth.Core("cli")))); err != nil || s.Way != auth.ByCore {
		t.Errorf("%v %+v", err, s)
	}
}

// TestRotation ends the session before, and takes none that it did not give.
func TestRotation(t *testing.T) {
	b := newBed(t)
	b.person(email, owner)
	c := b.logged(email)
	old := c.cookies["__Host-cordon"]
	if err := c.logIn(email, right); err != nil {
		t.Fatal(err)
	}
	if c.cookies["__Host-cordon"] == old || len(b.store.sessions) != 1 {
		t.Errorf("the same cookie, or %d sessions", len(b.store.sessions))
	}
	for _, value := range []string{old, "", "chosen-by-somebody-else", strings.Repeat("x", 1000)} {
		f := b.browser("192.0.2.1")
		f.cookies["__Host-cordon"] = value
		if s := f.as(); s.User != "" {
			t.Errorf("cookie %.20q: %+v", value, s)
		}
	}
}

// TestSessions lists and ends one's own sessions only.
func TestSessions(t *testing.T) {
	b := newBed(t)
	b.person(email, owner)
	b.person("bert@example.org", owner)
	one, two, bert := b.logged(email), b.logged(email), b.logged("bert@example.org")
	var list []auth.SessionInfo
	one.do(func(ctx context.Context) { list, _ = b.Sessions(ctx) })
	if len(list) != 2 || list[0].Current == list[1].Current {
		t.Fatalf("sessions %+v", list)
	}
	other := list[0].ID
	if list[0].Current {
		other = list[1].ID
	}
	bert.do(func(ctx context.Context) {
		if err := b.EndSession(ctx, other); !errors.Is(err, cordon.ErrNotFound) {
			t.Errorf("ends another's session: %v", err)
		}
	})
	one.do(func(ctx context.Context) {
		if err := b.EndSession(ctx, other); err != nil {
			t.Error(err)
		}
	})
	if two.as().User != "" || one.as().User == "" {
		t.Error("the wrong session ended")
	}
	one.do(func(ctx context.Context) {
		gone, err := b.LogOut(ctx)
		if err != nil || gone.MaxAge >= 0 {
			t.Errorf("%+v, %v", gone, err)
		}
	})
	if one.as().User != "" || bert.as().User == "" {
		t.Error("logged out, and in, or another with him")
	}
	for range 60 {
		b.now = b.now.Add(time.Minute)
		b.logged(email)
	}
	if n := len(b.store.sessions); n > 51 {
		t.Errorf("%d sessions", n)
	}
}

// TestCrossOrigin refuses what another site made a browser send, also to log in; what
// no cookie vouches for is let through.
func TestCrossOrigin(t *testing.T) {
	b := newBed(t)
	b.person(email, owner)
	c := b.logged(email)
	called := false
	for _, h := range []http.Header{{"Sec-Fetch-Site": {"cross-site"}}, {"Sec-Fetch-Site": {"same-site"}}, {"Origin": {"https://evil.example"}}} {
		c.header = h
		if code := c.do(func(context.Context) { called = true }); code != http.StatusForbidden || called {
			t.Errorf("%v: %d", h, code)
		}
	}
	for _, h := range []http.Header{{"Sec-Fetch-Site": {"same-origin"}}, {"Origin": {site}}, {}} {
		c.header = h
		if code := c.do(func(context.Context) {}); code != http.StatusOK {
			t.Errorf("%v: %d", h, code)
		}
	}
}

// TestPassword changes a password of who knows the old one, and ends the other sessions.
func TestPassword(t *testing.T) {
	b := newBed(t)
	b.person(email, owner)
	c, other := b.logged(email), b.logged(email)
	const better = "ein ganz anderes Pferd"
	c.do(func(ctx context.Context) {
		if _, err := b.SetPassword(ctx, wrong, better); !errors.Is(err, auth.ErrCredentials) {
			t.Errorf("with the wrong password: %v", err)
		}
		if _, err := b.SetPassword(ctx, right, "short"); !errors.Is(err, cordon.ErrInvalid) {
			t.Errorf("a short one: %v", err)
		}
		e, err := b.SetPassword(ctx, right, better)
		if err != nil {
			t.Fatal(err)
		}
		c.keep(e.Cookies...)
	})
	if c.as().User == "" || other.as().User != "" {
		t.Error("the own session ended, or another did not")
	}
	if err := b.browser("192.0.2.5").logIn(email, right); !errors.Is(err, auth.ErrCredentials) {
		t.Errorf("the old password: %v", err)
	}
	if err := b.browser("192.0.2.5").logIn(email, better); err != nil {
		t.Errorf("the new one: %v", err)
	}
}

// TestRehash makes the hash anew when there is more work to be done.
func TestRehash(t *testing.T) {
	b := newBed(t)
	b.person(email, owner)
	b.Auth = b.instance(password.Work{Memory: 16, Passes: 2, Lanes: 1})
	b.logged(email)
	if u, _ := b.store.UserByEmail(t.Context(), email); !strings.Contains(u.Password, "m=16,t=2,p=1") {
		t.Errorf("hash %s", u.Password)
	}
	b.logged(email)
}

// TestUnrecorded lets nobody in of whom there would be no record.
func TestUnrecorded(t *testing.T) {
	b := newBed(t)
	b.person(email, owner)
	b.store.noAudit = errors.New("record full")
	if err := b.browser("192.0.2.1").logIn(email, right); !errors.Is(err, b.store.noAudit) {
		t.Errorf("unrecorded: %v", err)
	}
}

// TestPasskey registers a passkey and logs in with it, at two instances of core, also
// while strangers guess the password.
func TestPasskey(t *testing.T) {
	b := newBed(t)
	b.person(email, owner)
	c := b.logged(email)
	key, err := authenticator.New(site, "cordon.example")
	if err != nil {
		t.Fatal(err)
	}
	other := b.instance(quick)
	c.do(func(ctx context.Context) {
		id, options, err := b.BeginPasskey(ctx)
		if err != nil {
			t.Fatal(err)
		}
		response, err := key.Create(options)
		if err != nil {
			t.Fatal(err)
		}
		if _, err := other.FinishPasskey(ctx, id, "phone", response); err != nil {
			t.Fatal(err)
		}
		list, err := b.Passkeys(ctx)
		if err != nil || len(list) != 1 || list[0].Name != "phone" || list[0].Data != nil {
			t.Errorf("passkeys %+v, %v", list, err)
		}
	})
	for range 10 {
		b.browser("198.51.100.1").logIn(email, wrong)
	}
	fresh := b.browser("203.0.113.1")
	fresh.do(func(ctx context.Context) {
		id, options, err := b.BeginLogIn(ctx)
		if err != nil {
			t.Fatal(err)
		}
		response, err := key.Get(options)
		if err != nil {
			t.Fatal(err)
		}
		e, err := other.FinishLogIn(ctx, id, response)
		if err != nil {
			t.Fatal(err)
		}
		fresh.keep(e.Cookies...)
		if _, err := b.FinishLogIn(ctx, id, response); !errors.Is(err, auth.ErrCredentials) {
			t.Errorf("the same answer again, elsewhere: %v", err)
		}
	})
	if s := fresh.as(); s.User == "" {
		t.Error("not logged in by passkey")
	}
	b.now = b.now.Add(time.Hour)
	fresh.do(func(ctx context.Context) {
		if _, _, err := b.BeginPasskey(ctx); !errors.Is(err, auth.ErrStale) {
			t.Errorf("an hour after the log-in: %v", err)
		}
		if err := b.RemovePasskey(ctx, key.ID); !errors.Is(err, auth.ErrStale) {
			t.Errorf("an hour after the log-in: %v", err)
		}
	})
	u, _ := b.store.UserByEmail(t.Context(), email)
	u.Disabled = true
	if err := b.store.PutUser(t.Context(), &u); err != nil {
		t.Fatal(err)
	}
	if s := fresh.as(); s.User != "" {
		t.Errorf("disabled, and %+v", s)
	}
	b.browser("203.0.113.2").do(func(ctx context.Context) {
		id, options, _ := b.BeginLogIn(ctx)
		response, _ := key.Get(options)
		if _, err := b.FinishLogIn(ctx, id, response); !errors.Is(err, auth.ErrCredentials) {
			t.Errorf("disabled, and logs in: %v", err)
		}
	})
}
