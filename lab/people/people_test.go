package people

import (
	"context"
	"errors"
	"fmt"
	"net/http"
	"net/http/httptest"
	"path/filepath"
	"sync"
	"testing"
	"time"

	"cordon"
	"cordon/core/auth"
	"cordon/core/auth/password"
	"cordon/core/store"
	"cordon/lab/authenticator"
	"cordon/lab/postgres"
)

const (
	origin = "https://cordon.example"
	word   = "korrekt Pferd Batterie"
)

// both runs a test on both databases.
func both(t *testing.T, run func(*testing.T, *store.Store, *clock)) {
	t.Run("sqlite", func(t *testing.T) { open(t, filepath.Join(t.TempDir(), "core.db"), run) })
	t.Run("postgres", func(t *testing.T) { open(t, postgres.Start(t).Database(), run) })
}

func open(t *testing.T, database string, run func(*testing.T, *store.Store, *clock)) {
	c := &clock{at: time.Date(2026, 11, 24, 12, 0, 0, 0, time.UTC)}
	s, err := store.Open(t.Context(), store.Config{Database: database, Now: c.now})
	if err != nil {
		t.Fatal(err)
	}
	t.Cleanup(func() { s.Close() })
	run(t, s, c)
}

// clock stands until it is set on.
type clock struct {
	mu sync.Mutex
	at time.Time
}

func (c *clock) now() time.Time {
	c.mu.Lock()
	defer c.mu.Unlock()
	return c.at
}

func (c *clock) add(d time.Duration) {
	c.mu.Lock()
	defer c.mu.Unlock()
	c.at = c.at.Add(d)
}

// do runs f as the handler of a request with those cookies.
func do(t *testing.T, a *auth.Auth, cookies []http.Cookie, bearer string, f func(ctx context.Context)) int {
	t.Helper()
	r := httptest.NewRequest(http.MethodPost, origin+"/", nil)
	for i := range cookies {
		r.AddCookie(&cookies[i])
	}
	if bearer != "" {
		r.Header.Set("Authorization", "Bearer "+bearer)
	}
	w := httptest.NewRecorder()
	a.Middleware(http.HandlerFunc(func(_ http.ResponseWriter, r *http.Request) { f(r.Context()) })).ServeHTTP(w, r)
	return w.Code
}

func must(t *testing.T, err error) {
	t.Helper()
	if err != nil {
		t.Fatal(err)
	}
}

// TestLife takes people from the invitation to the erasure.
func TestLife(t *testing.T) { both(t, testLife) }

func testLife(t *testing.T, s *store.Store, c *clock) {
	ctx := t.Context()
	a, err := auth.New(auth.Config{Store: s, URL: origin, Work: password.Work{Memory: 8, Passes: 1, Lanes: 1}, Now: c.now})
	must(t, err)
	must(t, s.PutAccount(ctx, &cordon.Account{ID: "acc", Name: "Meier", Sort: cordon.Household, Created: cordon.TimeOf(c.now())}))
	must(t, s.PutSite(ctx, &cordon.Site{ID: "site", Account: "acc", Name: "Home", Created: cordon.TimeOf(c.now())}))

	chosen, err := a.MakeAdministrator(auth.With(ctx, auth.Core("cordon-core")), "Boss@example.org", "Boss")
	must(t, err)
	if _, err := a.MakeAdministrator(auth.With(ctx, auth.Core("cordon-core")), "boss@example.org", "Again"); !errors.Is(err, cordon.ErrConflict) {
		t.Errorf("the same administrator again: %v", err)
	}
	logIn := func(email, password string) (e auth.Entry) {
		t.Helper()
		do(t, a, nil, "", func(ctx context.Context) {
			e, err = a.LogIn(ctx, email, password)
			must(t, err)
		})
		return e
	}
	boss := logIn("boss@example.org", chosen)
	enter := func(email string, g cordon.Grant) auth.Entry {
		t.Helper()
		var token string
		do(t, a, boss.Cookies, "", func(ctx context.Context) {
			_, token, err = a.Invite(ctx, auth.Invitation{Email: email, Name: email, Grant: g})
			must(t, err)
		})
		var e auth.Entry
		var wins int
		var mu sync.Mutex
		var all sync.WaitGroup
		for range 4 { // good for once, however many try
			all.Go(func() {
				do(t, a, nil, "", func(ctx context.Context) {
					got, err := a.Accept(ctx, token, word)
					mu.Lock()
					defer mu.Unlock()
					if err == nil {
						e = got
						wins++
					} else if !errors.Is(err, auth.ErrCredentials) {
						t.Errorf("accept: %v", err)
					}
				})
			})
		}
		all.Wait()
		if wins != 1 {
			t.Fatalf("%d log-ins by one invitation", wins)
		}
		return e
	}
	anna := enter("anna@example.org", cordon.Grant{Role: cordon.RoleOwner, Account: "acc"})
	fitter := enter("fitter@example.org", cordon.Grant{Role: cordon.RoleInstaller, Site: "site"})
	analyst := enter("ana@example.org", cordon.Grant{Role: cordon.RoleAnalyst})
	home := auth.Object{Account: "acc", Site: "site"}

	do(t, a, fitter.Cookies, "", func(ctx context.Context) {
		must(t, auth.May(auth.From(ctx), auth.DeviceView, home))
		must(t, a.HandOver(ctx, "site"))
	})
	do(t, a, fitter.Cookies, "", func(ctx context.Context) {
		if err := auth.May(auth.From(ctx), auth.DeviceView, home); !errors.Is(err, cordon.ErrNotFound) {
			t.Errorf("after the hand-over: %v", err)
		}
	})

	do(t, a, analyst.Cookies, "", func(ctx context.Context) {
		if !auth.Veiled(auth.From(ctx), auth.IncidentView, home) {
			t.Error("an analyst sees a home without a case")
		}
		_, err := a.OpenCase(ctx, home, "ticket 4711: camera floods")
		must(t, err)
	})
	do(t, a, analyst.Cookies, "", func(ctx context.Context) {
		if s := auth.From(ctx); auth.Veiled(s, auth.IncidentView, home) || len(s.Cases) != 1 || s.Cases[0].Reason != "ticket 4711: camera floods" {
			t.Errorf("an analyst with a case: %+v", s)
		}
	})

	key, err := authenticator.New(origin, "cordon.example")
	must(t, err)
	var token string
	do(t, a, anna.Cookies, "", func(ctx context.Context) {
		id, options, err := a.BeginPasskey(ctx)
		must(t, err)
		response, err := key.Create(options)
		must(t, err)
		_, err = a.FinishPasskey(ctx, id, "phone", response)
		must(t, err)
		_, token, err = a.MakeToken(ctx, "script", nil, cordon.TimeOf(c.now().Add(24*time.Hour)))
		must(t, err)
	})
	for n := range 2 {
		do(t, a, nil, "", func(ctx context.Context) {
			id, options, err := a.BeginLogIn(ctx)
			must(t, err)
			response, err := key.Get(options)
			must(t, err)
			if _, err := a.FinishLogIn(ctx, id, response); err != nil {
				t.Errorf("log-in %d by passkey: %v", n, err)
			}
			if _, err := a.FinishLogIn(ctx, id, response); !errors.Is(err, auth.ErrCredentials) {
				t.Errorf("the same answer again: %v", err)
			}
		})
		c.add(time.Hour)
	}
	for n := range 2 { // the second one is not the first to use it
		if code := do(t, a, nil, token, func(ctx context.Context) {
			must(t, auth.May(auth.From(ctx), auth.DeviceView, home))
		}); code != http.StatusOK {
			t.Errorf("request %d with a token: %d", n, code)
		}
	}
	do(t, a, anna.Cookies, "", func(ctx context.Context) {
		list, err := a.Sessions(ctx)
		must(t, err)
		if len(list) != 3 {
			t.Errorf("%d sessions", len(list))
		}
	})

	boss = logIn("boss@example.org", chosen)
	do(t, a, boss.Cookies, "", func(ctx context.Context) { must(t, a.ErasePerson(ctx, anna.User.ID)) })
	if code := do(t, a, nil, token, func(context.Context) {}); code != http.StatusUnauthorized {
		t.Errorf("a token of who was erased: %d", code)
	}
	do(t, a, anna.Cookies, "", func(ctx context.Context) {
		if s := auth.From(ctx); s.User != "" {
			t.Errorf("a session of who was erased: %+v", s)
		}
	})
	page, err := s.Audits(ctx, cordon.Scope{Accounts: []string{"acc"}}, cordon.Query{Account: "acc"})
	must(t, err)
	seen := map[string]int{}
	for _, l := range page.Items {
		seen[l.Verb]++
	}
	if seen["person.invite"] != 2 || seen["case.open"] != 1 || seen["site.handover"] != 1 {
		t.Errorf("the account's record: %s", fmt.Sprint(seen))
	}
}
