package bus

import (
	"context"
	"errors"
	"strings"
	"sync"
	"sync/atomic"
	"testing"
	"time"

	"github.com/nats-io/jwt/v2"
	"github.com/nats-io/nats.go"
	"github.com/nats-io/nkeys"
)

// refusals counts what the server refused of a connection.
func refusals(n *atomic.Int64) nats.Option {
	return nats.ErrorHandler(func(_ *nats.Conn, _ *nats.Subscription, err error) {
		if errors.Is(err, nats.ErrPermissionViolation) || strings.Contains(err.Error(), "ermissions") {
			n.Add(1)
		}
	})
}

// TestRoutersHearNoOthers lets a router ask for everything that is not its own.
func TestRoutersHearNoOthers(t *testing.T) {
	b := open(t)
	mine, other := newRouter(t, b), newRouter(t, b)
	for _, subject := range []string{">", "to.>", "to.*.directive", "to." + other.id + ".>", "from.>", "from." + other.id + ".report",
		"to." + other.id + ".ack", "*." + other.id + ".>",
		"core.>", "$SYS.>", "$JS.>", "_INBOX.>"} {
		t.Run(subject, func(t *testing.T) {
			var refused atomic.Int64
			c := mine.mustDial(t, b, refusals(&refused))
			hear := func(m *nats.Msg) { t.Errorf("heard %s", m.Subject) }
			if _, err := c.Subscribe(subject, hear); err != nil {
				t.Fatal(err)
			}
			eventually(t, "the refusal", func() bool { return refused.Load() > 0 })
			if _, err := c.QueueSubscribe(subject, queue, hear); err != nil { // to take core's own share
				t.Fatal(err)
			}
			eventually(t, "the second refusal", func() bool { return refused.Load() > 1 })
			if err := b.ToRouter(other.id, "directive", []byte("secret")); err != nil {
				t.Fatal(err)
			}
			if err := errors.Join(b.routers.Flush(), c.Flush()); err != nil { // it has been said, and would be here
				t.Fatal(err)
			}
		})
	}
}

// TestRoutersSpeakForNoOthers lets a router publish where it may not, also by naming
// another's subject as the one to answer to.
func TestRoutersSpeakForNoOthers(t *testing.T) {
	b := open(t)
	mine, victim := newRouter(t, b), newRouter(t, b)
	heard := make(chan string, 64)
	v := victim.mustDial(t, b)
	if _, err := v.Subscribe("to."+victim.id+".>", func(m *nats.Msg) { heard <- m.Subject }); err != nil {
		t.Fatal(err)
	}
	if err := v.Flush(); err != nil {
		t.Fatal(err)
	}
	background(t, func(ctx context.Context) error {
		return b.FromRouters(ctx, "report", func(id string, data []byte) {
			if id != mine.id {
				t.Errorf("%q was taken as said by %s", data, id)
			}
		})
	})
	for _, subject := range []string{"from." + victim.id + ".report", "to." + victim.id + ".ack", "to.all.directive", "core.report", "core.event",
		"from." + victim.id + ".answer", "from.all.report",
		"$JS.API.STREAM.LIST", "$JS.API.STREAM.DELETE.REPORTS", "$JS.ACK.REPORTS.ingest.1.1.1.1.0", "$SYS.REQ.USER.INFO", "$SYS.REQ.SERVER.PING", "$SYS.REQ.CLAIMS.UPDATE", "_INBOX.x"} {
		t.Run(subject, func(t *testing.T) {
			var refused atomic.Int64
			c := mine.mustDial(t, b, refusals(&refused))
			if err := c.Publish(subject, []byte("forged")); err != nil {
				t.Fatal(err)
			}
			eventually(t, "the refusal", func() bool { return refused.Load() > 0 })
		})
	}
	// What a router may publish it may publish with any reply subject, and with headers of
	// which the server knows some: it would trace the message to a subject, or answer that
	// nobody listens. Nothing of that reaches another.
	c := mine.mustDial(t, b, nats.ErrorHandler(func(*nats.Conn, *nats.Subscription, error) {}))
	if err := c.PublishRequest("from."+mine.id+".report", "to."+victim.id+".ack", []byte("1")); err != nil {
		t.Fatal(err)
	}
	if err := c.PublishRequest("from."+mine.id+".nothing", "to."+victim.id+".ack", []byte("2")); err != nil {
		t.Fatal(err)
	}
	for _, header := range []string{"Nats-Trace-Dest", "traceparent", "Nats-Schedule-Target", "Nats-Expected-Stream"} {
		for _, value := range []string{"to." + victim.id + ".ack", "to." + victim.id + ".directive", "core.report"} {
			m := &nats.Msg{Subject: "from." + mine.id + ".report", Reply: value, Data: []byte("3"), Header: nats.Header{header: {value}}}
			if err := c.PublishMsg(m); err != nil {
				t.Fatal(err)
			}
		}
	}
	if err := c.Flush(); err != nil {
		t.Fatal(err)
	}
	if err := b.Append(t.Context(), "core.report", []byte("after it")); err != nil { // a round through the server
		t.Fatal(err)
	}
	if err := b.ToRouter(victim.id, "ack", []byte("honest")); err != nil {
		t.Fatal(err)
	}
	if got := receive(t, heard, "the honest ack"); got != "to."+victim.id+".ack" {
		t.Errorf("the victim heard %s", got)
	}
	select {
	case got := <-heard:
		t.Errorf("the victim heard %s, which nobody of core said", got)
	default:
	}
}

// TestCredentials lets nobody in who has none, a forged one, somebody else's, one that
// is over, or a revoked one.
func TestCredentials(t *testing.T) {
	b := open(t)
	honest := newRouter(t, b)
	if _, err := honest.dial(b); err != nil {
		t.Fatalf("an honest router is refused: %v", err)
	}
	stranger, key := newKey(t)

	forged := *honest // signed by an account that this operator does not know
	account, err := nkeys.CreateAccount()
	if err != nil {
		t.Fatal(err)
	}
	claims := jwt.NewUserClaims(key)
	claims.Name = honest.id
	if forged.token, err = claims.Encode(account); err != nil {
		t.Fatal(err)
	}
	forged.pair, forged.key = stranger, key

	stolen := *honest // the token without its key
	stolen.pair = stranger

	changed := *honest // one letter of the signature
	changed.token = flip(honest.token)

	revoked := newRouter(t, b)
	if err := b.Revoke(t.Context(), revoked.key); err != nil {
		t.Fatal(err)
	}

	expired := *honest
	if expired.token, err = b.keys.credential(honest.id, honest.key, time.Now().Add(-2*time.Hour), time.Hour); err != nil {
		t.Fatal(err)
	}

	// Who has stolen the key that signs routers' credentials lets in routers, and gives
	// nobody more than a router may.
	inCore, wide := *honest, *honest
	claims = jwt.NewUserClaims(honest.key)
	claims.Name, claims.IssuerAccount = honest.id, b.keys.accounts.Core
	claims.SetScoped(true)
	if inCore.token, err = claims.Encode(b.keys.routers); err != nil {
		t.Fatal(err)
	}
	claims = jwt.NewUserClaims(honest.key)
	claims.Name, claims.IssuerAccount = honest.id, b.keys.accounts.Routers
	claims.Pub.Allow.Add(">")
	if wide.token, err = claims.Encode(b.keys.routers); err != nil {
		t.Fatal(err)
	}

	for name, r := range map[string]*router{"no token": {id: honest.id, pair: stranger, key: key}, "forged": &forged, "stolen": &stolen,
		"changed": &changed, "revoked": revoked, "expired": &expired, "into core's account": &inCore, "with more rights": &wide} {
		t.Run(name, func(t *testing.T) {
			c, err := r.dial(b, nats.MaxReconnects(0))
			if err == nil {
				c.Close()
				t.Error("was let in")
			}
		})
	}
	if _, err := b.Credential(honest.id, honest.key, MaxLife+time.Second); err == nil {
		t.Error("a credential for longer than MaxLife was made")
	}
	for _, id := range []string{"", "all", "*", ">", "a.b", "a b", "{{name()}}", strings.Repeat("a", 65)} {
		if _, err := b.Credential(id, honest.key, time.Hour); err == nil {
			t.Errorf("a credential for router %q was made", id)
		}
		if err := b.ToRouter(id, "directive", nil); err == nil {
			t.Errorf("router %q was told something", id)
		}
	}
	for _, key := range []string{"", b.keys.accounts.Routers, strings.ToLower(honest.key), honest.key[1:]} {
		if _, err := b.Credential(honest.id, key, time.Hour); err == nil {
			t.Errorf("a credential for key %q was made", key)
		}
		if err := b.Revoke(t.Context(), key); err == nil {
			t.Errorf("key %q was revoked", key)
		}
	}
}

// flip changes the last letter but one of a token.
func flip(token string) string {
	b := []byte(token)
	if i := len(b) - 2; b[i] == 'A' {
		b[i] = 'B'
	} else {
		b[i] = 'A'
	}
	return string(b)
}

// TestRevokedWhileConnected ends the connection of a router whose key was revoked, and
// no other's.
func TestRevokedWhileConnected(t *testing.T) {
	b := open(t)
	r, other := newRouter(t, b), newRouter(t, b)
	gone := make(chan struct{})
	r.mustDial(t, b, nats.MaxReconnects(0), nats.NoReconnect(), nats.ClosedHandler(func(*nats.Conn) { close(gone) }))
	stays := other.mustDial(t, b, nats.NoReconnect())
	if err := b.Revoke(t.Context(), r.key); err != nil {
		t.Fatal(err)
	}
	receive(t, gone, "the end of the connection")
	if err := stays.Flush(); err != nil {
		t.Errorf("another router was cut off: %v", err)
	}
}

// TestExpiresWhileConnected ends the connection of a router that does not renew.
func TestExpiresWhileConnected(t *testing.T) {
	b := open(t)
	r := newRouter(t, b)
	var err error
	if r.token, err = b.Credential(r.id, r.key, 2*time.Second); err != nil {
		t.Fatal(err)
	}
	gone := make(chan struct{})
	r.mustDial(t, b, nats.NoReconnect(), nats.ClosedHandler(func(*nats.Conn) { close(gone) }))
	receive(t, gone, "the end of the connection")
}

// TestRevokeMany revokes many at once, of which each is gone when its call returns.
func TestRevokeMany(t *testing.T) {
	b := open(t)
	var all []*router
	for range 40 {
		r := newRouter(t, b)
		r.mustDial(t, b, nats.NoReconnect())
		all = append(all, r)
	}
	var wg sync.WaitGroup
	for _, r := range all {
		wg.Go(func() {
			if err := b.Revoke(t.Context(), r.key); err != nil {
				t.Error(err)
			}
			if c, err := r.dial(b, nats.NoReconnect()); err == nil {
				c.Close()
				t.Error("a revoked router was let in")
			}
		})
	}
	wg.Wait()
	eventually(t, "nobody to be connected", func() bool { st, err := b.Stats(t.Context()); return err == nil && st.Routers == 0 })
	list, err := b.revoked(t.Context())
	if err != nil || len(list) != len(all) {
		t.Errorf("%d keys are revoked, %v, want %d", len(list), err, len(all))
	}
}

// TestRevokedAreForgotten strikes what has expired by itself from the list.
func TestRevokedAreForgotten(t *testing.T) {
	var shift atomic.Int64
	b := open(t, func(c *Config) { c.Now = func() time.Time { return time.Now().Add(time.Duration(shift.Load())) } })
	_, old := newKey(t)
	shift.Store(int64(-2 * MaxLife))
	if err := b.Revoke(t.Context(), old); err != nil {
		t.Fatal(err)
	}
	shift.Store(0)
	_, young := newKey(t)
	if err := b.Revoke(t.Context(), young); err != nil {
		t.Fatal(err)
	}
	list, err := b.revoked(t.Context())
	if err != nil || len(list) != 1 || list[young] == 0 {
		t.Errorf("revoked: %v, %v, want only the young key", list, err)
	}
}
