package auth_test

import (
	"context"
	"errors"
	"net/http"
	"net/netip"
	"strings"
	"testing"
	"time"

	"cordon"
	"cordon/core/auth"
	"cordon/core/auth/gate"
)

// bearer returns a program with a token.
func (b *bed) bearer(token string) *browser {
	c := b.browser("192.0.2.50")
	c.header.Set("Authorization", "bearer "+token)
	return c
}

// token makes a token for who is logged in at c.
func (c *browser) token(grants []cordon.Grant, life time.Duration) (t cordon.Token, text string, err error) {
	c.do(func(ctx context.Context) {
		t, text, err = c.b.MakeToken(ctx, "script", grants, cordon.TimeOf(c.b.now.Add(life)))
	})
	return t, text, err
}

// TestToken opens the API for a program, with no more than its person may, and not what
// a person must do.
func TestToken(t *testing.T) {
	b := newBed(t)
	u := b.person(email, owner)
	c := b.logged(email)
	made, text, err := c.token(nil, time.Hour)
	if err != nil || !strings.HasPrefix(text, "cordon_") {
		t.Fatalf("%q, %v", text, err)
	}
	for _, stored := range b.store.tokens {
		if strings.Contains(string(stored.Hash[:]), text) || stored.Name == text {
			t.Error("the store has the token")
		}
	}
	program := b.bearer(text)
	if s := program.as(); s.User != u.ID || s.Way != auth.ByToken || s.Key != made.ID || s.Role() != cordon.RoleOwner {
		t.Errorf("subject %+v", s)
	}
	program.header.Set("Sec-Fetch-Site", "cross-site") // no cookie, no forgery
	program.do(func(ctx context.Context) {
		if _, _, err := b.MakeToken(ctx, "more", nil, cordon.TimeOf(b.now.Add(time.Hour))); err == nil {
			t.Error("a token makes a token")
		}
		if _, err := b.SetPassword(ctx, right, "ein ganz anderes Pferd"); err == nil {
			t.Error("a token sets a password")
		}
	})
	u, _ = b.store.User(t.Context(), u.ID)
	u.Grants = []cordon.Grant{{Role: cordon.RoleMember, Account: "acc"}}
	if err := b.store.PutUser(t.Context(), &u); err != nil {
		t.Fatal(err)
	}
	if s := program.as(); len(s.Grants) != 0 {
		t.Errorf("after its person lost the role: %+v", s.Grants)
	}
	c.do(func(ctx context.Context) {
		if err := b.EndToken(ctx, made.ID); err != nil {
			t.Error(err)
		}
	})
	if code := program.do(func(context.Context) { t.Error("an ended token gets in") }); code != http.StatusUnauthorized {
		t.Errorf("an ended token: %d", code)
	}
}

// TestTokenBounds refuses tokens without an end and with more than their person has.
func TestTokenBounds(t *testing.T) {
	b := newBed(t)
	b.person(email, owner)
	c := b.logged(email)
	for _, x := range []struct {
		grants []cordon.Grant
		life   time.Duration
		want   error
	}{
		{nil, 0, cordon.ErrInvalid}, {nil, -time.Hour, cordon.ErrInvalid}, {nil, 2 * 366 * 24 * time.Hour, cordon.ErrInvalid},
		{[]cordon.Grant{{Role: cordon.RoleOwner, Account: "other"}}, time.Hour, auth.ErrForbidden},
		{[]cordon.Grant{{Role: cordon.RoleAdministrator}}, time.Hour, auth.ErrForbidden},
		{[]cordon.Grant{{Role: cordon.RoleMember, Account: "acc"}}, time.Hour, nil},
	} {
		if _, _, err := c.token(x.grants, x.life); !errors.Is(err, x.want) {
			t.Errorf("%+v for %v: %v, want %v", x.grants, x.life, err, x.want)
		}
	}
	_, text, _ := c.token(nil, time.Hour)
	b.now = b.now.Add(time.Hour)
	if code := b.bearer(text).do(func(context.Context) {}); code != http.StatusUnauthorized {
		t.Errorf("at its end: %d", code)
	}
	if _, _, err := c.token(nil, time.Hour); !errors.Is(err, auth.ErrStale) {
		t.Errorf("an hour after the log-in: %v", err)
	}
	c.header.Set("Authorization", "Bearer cordon_wrong") // counts before the cookie
	if code := c.do(func(context.Context) {}); code != http.StatusUnauthorized {
		t.Errorf("a wrong token beside a good cookie: %d", code)
	}
	limited := 0
	for range 100 {
		if b.bearer("cordon_wrong").do(func(context.Context) {}) == http.StatusTooManyRequests {
			limited++
		}
	}
	if limited == 0 {
		t.Error("nobody stops who guesses tokens")
	}
}

// TestRevokedInUse brings nothing back that is removed while it is being used.
func TestRevokedInUse(t *testing.T) {
	b := newBed(t)
	b.person(email, owner)
	c := b.logged(email)
	_, text, err := c.token(nil, 24*time.Hour)
	if err != nil {
		t.Fatal(err)
	}
	b.now = b.now.Add(time.Hour)
	b.store.onTouch = func() { clear(b.store.tokens); clear(b.store.sessions) }
	if code := b.bearer(text).do(func(context.Context) {}); code != http.StatusUnauthorized || len(b.store.tokens) != 0 {
		t.Errorf("a token that ends now: %d, %d tokens", code, len(b.store.tokens))
	}
	c = b.logged(email)
	b.now = b.now.Add(time.Hour)
	if s := c.as(); s.User != "" || len(b.store.sessions) != 0 {
		t.Errorf("a session that ends now: %+v, %d sessions", s, len(b.store.sessions))
	}
}

// TestInvite lets somebody in once, and gives nobody the way into another's account.
func TestInvite(t *testing.T) {
	b := newBed(t)
	b.person(email, owner)
	c := b.logged(email)
	invite := func(c *browser, who string, g cordon.Grant) (u cordon.User, token string, err error) {
		c.do(func(ctx context.Context) {
			u, token, err = b.Invite(ctx, auth.Invitation{Email: who, Name: "Bert", Grant: g})
		})
		return u, token, err
	}
	member := cordon.Grant{Role: cordon.RoleMember, Account: "acc"}
	u, token, err := invite(c, "Bert@example.org", member)
	if err != nil || token == "" || u.Email != "bert@example.org" {
		t.Fatalf("%+v, %q, %v", u, token, err)
	}
	if a := b.last(); a.Verb != "person.invite" || a.Account != "acc" || a.Result != "ok" {
		t.Errorf("recorded %+v", a)
	}
	for _, g := range []cordon.Grant{{Role: cordon.RoleMember, Account: "other"}, {Role: cordon.RoleOperator}, {Role: cordon.RoleMember}} {
		if _, _, err := invite(c, "eve@example.org", g); err == nil {
			t.Errorf("an owner gives %+v", g)
		}
	}

	// The owner of another account invites the same person: no token for him.
	b.person("eve@example.org", cordon.Grant{Role: cordon.RoleOwner, Account: "eve"})
	eve := b.logged("eve@example.org")
	if _, other, err := invite(eve, "bert@example.org", cordon.Grant{Role: cordon.RoleMember, Account: "eve"}); err != nil || other != "" {
		t.Errorf("another account's owner gets %q, %v", other, err)
	}

	accept := func(token, password string) (e auth.Entry, err error) {
		b.browser("192.0.2.9").do(func(ctx context.Context) { e, err = b.Accept(ctx, token, password) })
		return e, err
	}
	if _, err := accept(token, "short"); !errors.Is(err, cordon.ErrInvalid) {
		t.Errorf("a short password: %v", err)
	}
	e, err := accept(token, right)
	if err != nil || len(e.User.Grants) != 2 || len(e.Cookies) != 2 {
		t.Fatalf("%+v, %v", e, err)
	}
	if _, err := accept(token, wrong); !errors.Is(err, auth.ErrCredentials) {
		t.Errorf("a second time: %v", err)
	}
	if code := b.bearer(token).do(func(context.Context) {}); code != http.StatusUnauthorized {
		t.Errorf("an invitation opens the API: %d", code)
	}
	b.logged("bert@example.org")
	if _, again, err := invite(c, "bert@example.org", member); err != nil || again != "" {
		t.Errorf("who has a password gets %q, %v", again, err)
	}

	_, late, err := invite(c, "late@example.org", member)
	if err != nil {
		t.Fatal(err)
	}
	b.now = b.now.Add(7 * 24 * time.Hour)
	if _, err := accept(late, right); !errors.Is(err, auth.ErrCredentials) {
		t.Errorf("a week later: %v", err)
	}
}

// TestReset lets who forgot his password choose another, in spite of who guesses, and
// lets no operator become an administrator by it.
func TestReset(t *testing.T) {
	b := newBed(t)
	anna := b.person(email, owner)
	boss := b.person("boss@example.org", cordon.Grant{Role: cordon.RoleAdministrator})
	b.person("ops@example.org", cordon.Grant{Role: cordon.RoleOperator})
	ops := b.logged("ops@example.org")
	var token string
	ops.do(func(ctx context.Context) {
		var err error
		if token, err = b.Reset(ctx, anna.ID); err != nil {
			t.Fatal(err)
		}
		if _, err := b.Reset(ctx, boss.ID); err == nil {
			t.Error("an operator resets an administrator")
		}
		if err := b.ChangePerson(ctx, boss.ID, auth.PersonUpdate{Email: new("ops2@example.org")}); err == nil {
			t.Error("an operator changes an administrator")
		}
	})
	thief := b.logged(email)
	for range 10 {
		b.browser("198.51.100.1").logIn(email, wrong)
	}
	b.browser("192.0.2.9").do(func(ctx context.Context) {
		if _, err := b.Accept(ctx, token, "ein ganz anderes Pferd"); err != nil {
			t.Error(err)
		}
	})
	if thief.as().User != "" {
		t.Error("a session lives on after the reset")
	}
	b.logged("boss@example.org").do(func(ctx context.Context) {
		if err := b.Remove(ctx, boss.ID, cordon.Grant{Role: cordon.RoleAdministrator}); !errors.Is(err, auth.ErrForbidden) {
			t.Errorf("the last administrator goes: %v", err)
		}
		if err := b.ErasePerson(ctx, boss.ID); !errors.Is(err, auth.ErrForbidden) {
			t.Errorf("the last administrator erases himself: %v", err)
		}
		if err := b.ChangePerson(ctx, anna.ID, auth.PersonUpdate{Disabled: new(true)}); err != nil {
			t.Error(err)
		}
		if err := b.ErasePerson(ctx, anna.ID); err != nil {
			t.Error(err)
		}
	})
}

// TestInstaller ends an installer's sight with the hand-over, whatever his grant says.
func TestInstaller(t *testing.T) {
	b := newBed(t)
	b.store.sites["site"] = cordon.Site{ID: "site", Account: "acc", Version: 1}
	b.person(email, owner)
	u := b.person("fitter@example.org")
	c, fitter := b.logged(email), b.logged("fitter@example.org")
	home := auth.Object{Account: "acc", Site: "site"}
	if err := auth.May(fitter.as(), auth.DeviceView, home); err == nil {
		t.Error("sees the site before")
	}
	c.do(func(ctx context.Context) {
		if _, _, err := b.Invite(ctx, auth.Invitation{Email: "fitter@example.org", Grant: cordon.Grant{Role: cordon.RoleInstaller, Site: "site"}}); err != nil {
			t.Fatal(err)
		}
	})
	if err := auth.May(fitter.as(), auth.DeviceView, home); err != nil || b.store.sites["site"].Installer != u.ID {
		t.Errorf("does not see the site: %v", err)
	}
	moved := b.store.sites["site"]
	moved.Installer = ""
	b.store.sites["site"] = moved // as who edits the site only
	if err := auth.May(fitter.as(), auth.DeviceView, home); err == nil {
		t.Error("sees the site that has no installer")
	}
	moved.Installer = u.ID
	b.store.sites["site"] = moved
	fitter.do(func(ctx context.Context) {
		if err := b.HandOver(ctx, "site"); err != nil {
			t.Error(err)
		}
	})
	if s := fitter.as(); auth.May(s, auth.DeviceView, home) == nil || b.store.sites["site"].Installer != "" {
		t.Errorf("sees the site after the hand-over: %+v", s)
	}
	if u, _ := b.store.User(t.Context(), u.ID); len(u.Grants) != 0 {
		t.Errorf("keeps %+v", u.Grants)
	}
}

// TestCases opens a home to an analyst for half a day, with a reason and a record.
func TestCases(t *testing.T) {
	b := newBed(t)
	b.person("ana@example.org", cordon.Grant{Role: cordon.RoleAnalyst})
	c := b.logged("ana@example.org")
	home := auth.Object{Account: "acc", Site: "site"}
	sees := func() bool { return !auth.Veiled(c.as(), auth.DeviceView, home) }
	open := func(reason string) (err error) {
		c.do(func(ctx context.Context) { _, err = b.OpenCase(ctx, home, reason) })
		return err
	}
	if sees() {
		t.Error("sees a home without a case")
	}
	if err := open("."); !errors.Is(err, cordon.ErrInvalid) || sees() {
		t.Errorf("a case without a reason: %v", err)
	}
	if err := open("ticket 4711: camera floods"); err != nil || !sees() {
		t.Errorf("with a case: %v", err)
	}
	if a := b.last(); a.Verb != "case.open" || a.Site != "site" || a.Account != "acc" || a.Reason != "ticket 4711: camera floods" || a.Role != cordon.RoleAnalyst {
		t.Errorf("recorded %+v", a)
	}
	if s := b.logged("ana@example.org").as(); len(s.Cases) != 1 {
		t.Errorf("in another browser %+v", s.Cases)
	}
	b.now = b.now.Add(time.Minute)
	c.do(func(ctx context.Context) {
		if err := b.CloseCase(ctx, home); err != nil {
			t.Error(err)
		}
	})
	if sees() {
		t.Error("sees a home whose case was closed")
	}
	b.now = b.now.Add(time.Minute)
	if err := open("ticket 4711: again"); err != nil || !sees() {
		t.Errorf("opened again: %v", err)
	}
	b.now = b.now.Add(12 * time.Hour)
	c = b.logged("ana@example.org")
	if sees() {
		t.Error("sees a home half a day later")
	}
	b.person(email, owner)
	b.logged(email).do(func(ctx context.Context) {
		if _, err := b.OpenCase(ctx, home, "curious about the neighbour"); err == nil {
			t.Error("a customer opens a case")
		}
	})
}

// TestSource believes only trusted proxies.
func TestSource(t *testing.T) {
	proxies := []netip.Prefix{netip.MustParsePrefix("10.0.0.0/8"), netip.MustParsePrefix("::1/128")}
	for _, c := range []struct {
		remote string
		via    []string
		want   string
	}{
		{"192.0.2.1:1", nil, "192.0.2.1"},
		{"192.0.2.1:1", []string{"198.51.100.1"}, "192.0.2.1"},
		{"10.0.0.1:1", []string{"198.51.100.1"}, "198.51.100.1"},
		{"10.0.0.1:1", []string{"203.0.113.1, 198.51.100.1"}, "198.51.100.1"},
		{"10.0.0.1:1", []string{"203.0.113.1", "198.51.100.1, 10.0.0.2"}, "198.51.100.1"},
		{"10.0.0.1:1", []string{"no address"}, "10.0.0.1"},
		{"[::1]:1", []string{"2001:db8::1%eth0"}, "2001:db8::1"},
		{"[::ffff:10.0.0.1]:1", []string{"::ffff:198.51.100.1"}, "198.51.100.1"},
		{"", []string{"198.51.100.1"}, "invalid IP"},
	} {
		r := &http.Request{RemoteAddr: c.remote, Header: http.Header{"X-Forwarded-For": c.via}}
		if got := gate.Source(r, proxies); got.String() != c.want {
			t.Errorf("%s via %q: %s, want %s", c.remote, c.via, got, c.want)
		}
	}
}
