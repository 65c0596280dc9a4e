package store_test

import (
	"testing"
	"time"

	"cordon"

	"github.com/google/go-cmp/cmp"
)

func testPeople(t *testing.T, b *bench) {
	ctx := t.Context()
	u := cordon.User{ID: "u1", Email: "ada@example.org", Name: "Ada", Locale: "en", Password: "$argon2id$…", Created: b.at(),
		Grants: []cordon.Grant{{Role: cordon.RoleMember, Account: "a2"}, {Role: cordon.RoleOwner, Account: "a1"}}}
	must(t, b.PutUser(ctx, &u))
	if diff := cmp.Diff(u, get[cordon.User](t)(b.UserByEmail(ctx, "ada@example.org"))); diff != "" {
		t.Errorf("stored (-want +got):\n%s", diff)
	}
	other := cordon.User{ID: "u2", Email: "ada@example.org"}
	wants(t, "an address that is taken", b.PutUser(ctx, &other), cordon.ErrConflict)
	for _, id := range []string{"u2", "u3"} {
		must(t, b.PutUser(ctx, &cordon.User{ID: id})) // by token only
	}
	_, err := b.UserByEmail(ctx, "")
	wants(t, "nobody's address", err, cordon.ErrNotFound)
	u.Grants = u.Grants[:1]
	must(t, b.PutUser(ctx, &u))
	if got := get[cordon.User](t)(b.User(ctx, "u1")); len(got.Grants) != 1 || got.Version != 2 {
		t.Errorf("after a grant was taken: %+v", got)
	}

	k := cordon.Passkey{ID: []byte{0, 1, 255}, User: "u1", Name: "phone", Data: []byte("{}"), Created: b.at()}
	must(t, b.PutPasskey(ctx, &k))
	k.Used, k.Data = b.at(), []byte(`{"n":1}`)
	must(t, b.PutPasskey(ctx, &k))
	theirs := k
	theirs.User = "u2"
	wants(t, "somebody else's passkey", b.PutPasskey(ctx, &theirs), cordon.ErrConflict)
	if diff := cmp.Diff([]cordon.Passkey{k}, get[[]cordon.Passkey](t)(b.Passkeys(ctx, "u1"))); diff != "" {
		t.Errorf("passkeys (-want +got):\n%s", diff)
	}
	must(t, b.DeletePasskey(ctx, k.ID))
	wants(t, "delete it again", b.DeletePasskey(ctx, k.ID), cordon.ErrNotFound)

	tok := cordon.Token{ID: "t1", Hash: [32]byte{1, 2}, User: "u1", Name: "script", Use: cordon.TokenInvitation, Created: b.at(), Expires: b.at().Add(time.Hour),
		Grants: []cordon.Grant{{Role: cordon.RoleMember, Account: "a2"}}}
	must(t, b.PutToken(ctx, &tok))
	tok.Used = b.at()
	must(t, b.PutToken(ctx, &tok))
	if diff := cmp.Diff(tok, get[cordon.Token](t)(b.TokenByHash(ctx, tok.Hash))); diff != "" {
		t.Errorf("token (-want +got):\n%s", diff)
	}
	if got := get[cordon.User](t)(b.User(ctx, "u1")); len(got.Grants) != 1 {
		t.Errorf("a token's grants are its user's: %+v", got.Grants)
	}
	must(t, b.DeleteToken(ctx, "t1"))
	wants(t, "delete it again", b.DeleteToken(ctx, "t1"), cordon.ErrNotFound)
	must(t, b.PutToken(ctx, &tok))

	e := cordon.Session{Hash: [32]byte{7}, User: "u1", Agent: "Browser \x00", Addr: "192.0.2.1", Created: b.at(), Expires: b.at().Add(time.Hour)}
	must(t, b.PutSession(ctx, &e))
	e.Agent = "Browser "
	if diff := cmp.Diff(e, get[cordon.Session](t)(b.SessionByHash(ctx, e.Hash))); diff != "" {
		t.Errorf("session (-want +got):\n%s", diff)
	}

	for i, want := range []int{1, 2, 3} {
		if n := get[int](t)(b.CountFailure(ctx, "k", b.at().Add(time.Duration(i)*time.Minute), 10*time.Minute)); n != want {
			t.Errorf("failure %d is counted as %d", want, n)
		}
	}
	if n := get[int](t)(b.CountFailure(ctx, "k", b.at().Add(11*time.Minute), 10*time.Minute)); n != 2 {
		t.Errorf("%d failures in a window that the first two have left, want 2", n)
	}
	must(t, b.ClearFailures(ctx, "k"))
	if n := get[int](t)(b.CountFailure(ctx, "k", b.at(), time.Minute)); n != 1 {
		t.Errorf("%d failures after they were cleared, want 1", n)
	}

	must(t, b.Remember(ctx, "u1", "key", [32]byte{1}, []byte("first")))
	must(t, b.Remember(ctx, "u1", "key", [32]byte{2}, []byte("second")))
	if h, a, err := b.Recall(ctx, "u1", "key"); err != nil || h != [32]byte{1} || string(a) != "first" {
		t.Errorf("recalled %x, %q, %v, want the first", h[:1], a, err)
	}
	b.clock.add(25 * time.Hour)
	_, _, err = b.Recall(ctx, "u1", "key")
	wants(t, "recall after a day", err, cordon.ErrNotFound)
	must(t, b.Remember(ctx, "u1", "key", [32]byte{3}, []byte("third")))
	if h, _, err := b.Recall(ctx, "u1", "key"); err != nil || h != [32]byte{3} {
		t.Errorf("recalled %x, %v, want the one of today", h[:1], err)
	}

	must(t, b.DeleteUser(ctx, "u1"))
	wants(t, "delete the user again", b.DeleteUser(ctx, "u1"), cordon.ErrNotFound)
	_, err = b.TokenByHash(ctx, tok.Hash)
	wants(t, "his token", err, cordon.ErrNotFound)
	_, err = b.SessionByHash(ctx, e.Hash)
	wants(t, "his session", err, cordon.ErrNotFound)
}

func testAudit(t *testing.T, b *bench) {
	ctx := t.Context()
	for i := range 5 {
		a := cordon.Audit{ID: b.id(), At: b.at(), User: "u1", Who: "Ada", Role: cordon.RoleOperator, Verb: "device.quarantine", Account: "a1", Site: "s1",
			Object: "device x", Reason: "why", Result: "ok", Addr: "192.0.2.1"}
		if i%2 == 1 {
			a.Verb, a.User, a.Account, a.Site = "incident.view", "", "a2", ""
		}
		must(t, b.Audit(ctx, a))
		must(t, b.Audit(ctx, a)) // again is no error
		b.clock.add(time.Second)
	}
	for _, c := range []struct {
		scope cordon.Scope
		q     cordon.Query
		want  int
	}{
		{everyone, cordon.Query{}, 5}, {everyone, cordon.Query{User: "u1"}, 3}, {everyone, cordon.Query{Verb: "incident.view"}, 2},
		{everyone, cordon.Query{User: "u1", Verb: "incident.view"}, 0}, {everyone, cordon.Query{Since: b.at().Add(-2 * time.Second)}, 2},
		{everyone, cordon.Query{Until: b.at().Add(-2 * time.Second)}, 3}, {cordon.Scope{Accounts: []string{"a2"}}, cordon.Query{}, 2},
		{cordon.Scope{Accounts: []string{"a2"}}, cordon.Query{Account: "a1"}, 0}, {cordon.Scope{Sites: []string{"s1"}}, cordon.Query{}, 3}, {cordon.Scope{}, cordon.Query{}, 0},
	} {
		p := get[cordon.Page[cordon.Audit]](t)(b.Audits(ctx, c.scope, c.q))
		if len(p.Items) != c.want {
			t.Errorf("%+v of %+v: %d lines, want %d", c.q, c.scope, len(p.Items), c.want)
		}
		for i := 1; i < len(p.Items); i++ {
			if p.Items[i-1].At < p.Items[i].At {
				t.Errorf("%+v: not the newest first", c.q)
			}
		}
	}
}
