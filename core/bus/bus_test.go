package bus

import (
	"context"
	"log/slog"
	"net/netip"
	"sync"
	"testing"
	"time"

	"github.com/nats-io/nats.go"
	"github.com/nats-io/nkeys"

	"cordon/internal/ident"
)

var loopback = netip.MustParseAddrPort("127.0.0.1:0")

// within bounds every wait of these tests.
const within = 20 * time.Second

// open starts a bus with an embedded server in a directory of its own.
func open(t testing.TB, change ...func(*Config)) *Bus {
	t.Helper()
	cfg := Config{Dir: t.TempDir(), Listen: loopback, MaxStore: 64 << 20, Log: slog.New(slog.NewTextHandler(t.Output(), nil))}
	for _, f := range change {
		f(&cfg)
	}
	b, err := Open(t.Context(), cfg)
	if err != nil {
		t.Fatal(err)
	}
	t.Cleanup(b.Close)
	return b
}

// router is somebody at the routers' door.
type router struct {
	id, key, token string
	pair           nkeys.KeyPair
}

func newRouter(t testing.TB, b *Bus) *router {
	t.Helper()
	r := &router{id: ident.New(time.Now())}
	r.pair, r.key = newKey(t)
	var err error
	if r.token, err = b.Credential(r.id, r.key, time.Hour); err != nil {
		t.Fatal(err)
	}
	return r
}

func newKey(t testing.TB) (nkeys.KeyPair, string) {
	t.Helper()
	pair, err := nkeys.CreateUser()
	if err != nil {
		t.Fatal(err)
	}
	public, err := pair.PublicKey()
	if err != nil {
		t.Fatal(err)
	}
	return pair, public
}

// connect connects as a router.
func (r *router) connect(url string, options ...nats.Option) (*nats.Conn, error) {
	return nats.Connect(url, append([]nats.Option{
		nats.UserJWT(func() (string, error) { return r.token, nil }, r.pair.Sign),
		nats.MaxReconnects(-1), nats.ReconnectWait(20 * time.Millisecond), nats.IgnoreAuthErrorAbort(),
	}, options...)...)
}

func (r *router) mustConnect(t testing.TB, url string, options ...nats.Option) *nats.Conn {
	t.Helper()
	c, err := r.connect(url, options...)
	if err != nil {
		t.Fatal(err)
	}
	t.Cleanup(c.Close)
	return c
}

// dial connects to the embedded server.
func (r *router) dial(b *Bus, options ...nats.Option) (*nats.Conn, error) {
	return r.connect("nats://"+b.Addr().String(), options...)
}

func (r *router) mustDial(t testing.TB, b *Bus, options ...nats.Option) *nats.Conn {
	t.Helper()
	return r.mustConnect(t, "nats://"+b.Addr().String(), options...)
}

// background runs f until the test ends.
func background(t testing.TB, f func(ctx context.Context) error) {
	t.Helper()
	ctx, cancel := context.WithCancel(context.WithoutCancel(t.Context()))
	var wg sync.WaitGroup
	wg.Go(func() {
		if err := f(ctx); err != nil && ctx.Err() == nil {
			t.Errorf("ended by itself: %v", err)
		}
	})
	t.Cleanup(func() { cancel(); wg.Wait() })
}

// receive takes one value, or fails.
func receive[T any](t testing.TB, from <-chan T, what string) T {
	t.Helper()
	select {
	case v := <-from:
		return v
	case <-time.After(within):
		t.Fatalf("waited %s for %s", within, what)
		panic("unreachable")
	}
}

// eventually waits until a condition holds.
func eventually(t testing.TB, what string, holds func() bool) {
	t.Helper()
	deadline := time.After(within)
	tick := time.NewTicker(10 * time.Millisecond)
	defer tick.Stop()
	for !holds() {
		select {
		case <-tick.C:
		case <-deadline:
			t.Fatalf("waited %s for %s", within, what)
		}
	}
}

func TestRoundTrip(t *testing.T) {
	b := open(t)
	r := newRouter(t, b)
	said := make(chan string, 1)
	background(t, func(ctx context.Context) error {
		return b.FromRouters(ctx, "report", func(id string, data []byte) {
			select {
			case said <- id + " " + string(data):
			default: // said often enough
			}
		})
	})
	seen := make(chan string, 4)
	background(t, func(ctx context.Context) error {
		return b.Presence(ctx, func(id string, online bool, _ time.Time) {
			if online {
				seen <- "+" + id
			} else {
				seen <- "-" + id
			}
		})
	})
	c := r.mustDial(t, b)
	if got := receive(t, seen, "presence"); got != "+"+r.id {
		t.Errorf("presence %s, want +%s", got, r.id)
	}
	heard := make(chan string, 4)
	for _, s := range []string{"to." + r.id + ".>", "to.all.>"} {
		if _, err := c.Subscribe(s, func(m *nats.Msg) { heard <- m.Subject + " " + string(m.Data) }); err != nil {
			t.Fatal(err)
		}
	}
	eventually(t, "the report", func() bool { // nobody may be listening yet
		if err := c.Publish("from."+r.id+".report", []byte("hello")); err != nil {
			t.Fatal(err)
		}
		return len(said) > 0
	})
	if got, want := <-said, r.id+" hello"; got != want {
		t.Errorf("heard %q, want %q", got, want)
	}
	if err := b.ToRouter(r.id, "ack", []byte("1")); err != nil {
		t.Fatal(err)
	}
	if got, want := receive(t, heard, "the ack"), "to."+r.id+".ack 1"; got != want {
		t.Errorf("heard %q, want %q", got, want)
	}
	if err := b.ToAll("directive", []byte("2")); err != nil {
		t.Fatal(err)
	}
	if got, want := receive(t, heard, "the directive"), "to.all.directive 2"; got != want {
		t.Errorf("heard %q, want %q", got, want)
	}
	if err := b.Ready(); err != nil {
		t.Error(err)
	}
	if err := b.Revoke(t.Context(), r.key); err != nil {
		t.Fatal(err)
	}
	if got := receive(t, seen, "absence"); got != "-"+r.id {
		t.Errorf("presence %s, want -%s", got, r.id)
	}
}

// TestHelloOfBefore hears of a router that was connected before core listened, and again
// when core's connection was lost: nobody may have heard what it said meanwhile.
func TestHelloOfBefore(t *testing.T) {
	b := open(t)
	r := newRouter(t, b)
	c := r.mustDial(t, b)
	say := func(m *nats.Msg) {
		if err := c.Publish("from."+r.id+".hello", []byte("again")); err != nil {
			t.Error(err)
		}
	}
	if _, err := c.Subscribe("to.all.hello", say); err != nil {
		t.Fatal(err)
	}
	if err := c.Publish("from."+r.id+".hello", []byte("to nobody")); err != nil {
		t.Fatal(err)
	}
	if err := c.Flush(); err != nil {
		t.Fatal(err)
	}
	heard := make(chan string, 4)
	background(t, func(ctx context.Context) error {
		return b.FromRouters(ctx, "hello", func(id string, data []byte) { heard <- id + " " + string(data) })
	})
	want := r.id + " again"
	if got := receive(t, heard, "the hello"); got != want {
		t.Errorf("heard %q, want %q", got, want)
	}
	if err := b.routers.ForceReconnect(); err != nil {
		t.Fatal(err)
	}
	if got := receive(t, heard, "the hello after the connection was lost"); got != want {
		t.Errorf("heard %q, want %q", got, want)
	}
}

func TestAppendConsume(t *testing.T) {
	b := open(t)
	if err := b.Append(t.Context(), "core.report", []byte("x")); err != nil {
		t.Fatal(err)
	}
	got := make(chan string, 1)
	background(t, func(ctx context.Context) error {
		return b.Consume(ctx, "ingest", "core.report", func(_ context.Context, m [][]byte) error {
			for _, d := range m {
				got <- string(d)
			}
			return nil
		})
	})
	if s := receive(t, got, "a message"); s != "x" {
		t.Errorf("got %q", s)
	}
}
