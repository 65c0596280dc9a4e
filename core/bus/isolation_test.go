package bus

import (
	"context"
	"errors"
	"strings"
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
		"core.>", "$SYS.>", "$JS.>", "_INBOX.>"} {
		t.Run(subject, func(t *testing.T) {
			var refused atomic.Int64
			c := mine.mustDial(t, b, refusals(&refused))
			if _, err := c.Subscribe(subject, func(m *nats.Msg) { t.Errorf("heard %s", m.Subject) }); err != nil {
				t.Fatal(err)
			}
			eventually(t, "the refusal", func() bool { return refused.Load() > 0 })
			if err := b.ToRouter(other.id, "directive", []byte("secret")); err != nil {
				t.Fatal(err)
			}
			if err := c.Flush(); err != nil {
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
		"$JS.API.STREAM.LIST", "$JS.API.STREAM.DELETE.REPORTS", "$SYS.REQ.SERVER.PING", "$SYS.REQ.CLAIMS.UPDATE", "_INBOX.x"} {
		t.Run(subject, func(t *testing.T) {
			var refused atomic.Int64
			c := mine.mustDial(t, b, refusals(&refused))
			if err := c.Publish(subject, []byte("forged")); err != nil {
				t.Fatal(err)
			}
			eventually(t, "the refusal", func() bool { return refused.Load() > 0 })
		})
	}
	// What a router may publish it may publish with any reply subject. Nothing answers.
	c := mine.mustDial(t, b)
	if err := c.PublishRequest("from."+mine.id+".report", "to."+victim.id+".ack", []byte("1")); err != nil {
		t.Fatal(err)
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

	for name, r := range map[string]*router{"no token": {id: honest.id, pair: stranger, key: key}, "forged": &forged, "stolen": &stolen,
		"changed": &changed, "revoked": revoked} {
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
