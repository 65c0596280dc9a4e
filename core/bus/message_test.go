package bus

import (
	"context"
	"errors"
	"log/slog"
	"sync/atomic"
	"testing"

	"github.com/nats-io/nats.go/jetstream"
)

// TestSharedWork gives each message to one of two consumers.
func TestSharedWork(t *testing.T) {
	b := open(t)
	const messages = 200
	var taken atomic.Int64
	for range 2 {
		background(t, func(ctx context.Context) error {
			return b.Consume(ctx, "ingest", "core.report", func(_ context.Context, m [][]byte) error {
				taken.Add(int64(len(m)))
				return nil
			})
		})
	}
	for range messages {
		if err := b.Append(t.Context(), "core.report", []byte("x")); err != nil {
			t.Fatal(err)
		}
	}
	eventually(t, "all messages", func() bool { return taken.Load() >= messages })
	if n := taken.Load(); n != messages {
		t.Errorf("%d were taken, want %d", n, messages)
	}
}

// TestComesAgain gives a message again that could not be handled.
func TestComesAgain(t *testing.T) {
	b := open(t)
	var tries atomic.Int64
	background(t, func(ctx context.Context) error {
		return b.Consume(ctx, "ingest", "core.report", func(context.Context, [][]byte) error {
			if tries.Add(1) == 1 {
				return errors.New("the database is away")
			}
			return nil
		})
	})
	if err := b.Append(t.Context(), "core.report", []byte("x")); err != nil {
		t.Fatal(err)
	}
	eventually(t, "the second try", func() bool { return tries.Load() == 2 })
}

// TestListen tells everybody who listens.
func TestListen(t *testing.T) {
	b := open(t)
	var first, second atomic.Int64
	for _, n := range []*atomic.Int64{&first, &second} {
		background(t, func(ctx context.Context) error {
			return b.Listen(ctx, "core.event", func([]byte) { n.Add(1) })
		})
	}
	eventually(t, "both", func() bool { // one may not be listening yet
		if err := b.Announce("core.event", []byte("x")); err != nil {
			t.Fatal(err)
		}
		return first.Load() > 0 && second.Load() > 0
	})
	if err := b.Ready(); err != nil {
		t.Error(err)
	}
	for _, subject := range []string{"", "to.all.directive", "from.x.report", "core.*", ">", "$JS.API.INFO"} {
		if err := b.Announce(subject, nil); err == nil {
			t.Errorf("said %q", subject)
		}
	}
}

// TestSurvives finds after a restart what was acknowledged before, and that nobody came
// back who was revoked.
func TestSurvives(t *testing.T) {
	dir := t.TempDir()
	cfg := Config{Dir: dir, Listen: loopback, MaxStore: 64 << 20, Log: slog.New(slog.DiscardHandler)}
	b, err := Open(t.Context(), cfg)
	if err != nil {
		t.Fatal(err)
	}
	r := newRouter(t, b)
	if err := errors.Join(b.Append(t.Context(), "core.report", []byte("kept")), b.Revoke(t.Context(), r.key)); err != nil {
		t.Fatal(err)
	}
	b.Close()
	b = open(t, func(c *Config) { c.Dir = dir })
	got := make(chan string, 1)
	background(t, func(ctx context.Context) error {
		return b.Consume(ctx, "ingest", "core.report", func(_ context.Context, m [][]byte) error { got <- string(m[0]); return nil })
	})
	if s := receive(t, got, "the message"); s != "kept" {
		t.Errorf("got %q", s)
	}
	if c, err := r.dial(b); err == nil {
		c.Close()
		t.Error("a revoked router was let in after a restart")
	}
}

func BenchmarkAppend(b *testing.B) {
	bus := open(b)
	message := make([]byte, 20<<10) // 200 reports of 100 bytes
	b.SetBytes(int64(len(message)))
	b.ReportAllocs()
	for b.Loop() {
		if err := bus.Append(b.Context(), "core.report", message); err != nil {
			b.Fatal(err)
		}
	}
}

// beyond is a consumer that is beyond where it is.
type beyond struct {
	jetstream.Consumer
	floor uint64
}

func (c beyond) Info(ctx context.Context) (*jetstream.ConsumerInfo, error) {
	i, err := c.Consumer.Info(ctx)
	if err == nil {
		i.AckFloor.Stream = c.floor
	}
	return i, err
}

// TestStrays handles messages that no consumer would be given any more, and no others.
func TestStrays(t *testing.T) {
	b := open(t)
	for i := range 4 {
		if err := b.Append(t.Context(), "core.report", []byte{'0' + byte(i)}); err != nil {
			t.Fatal(err)
		}
	}
	consumer, err := b.js.CreateOrUpdateConsumer(t.Context(), "REPORTS", jetstream.ConsumerConfig{Durable: "ingest", FilterSubject: "core.report", AckPolicy: jetstream.AckExplicitPolicy})
	if err != nil {
		t.Fatal(err)
	}
	var got string
	away := errors.New("the database is away")
	fails := func(context.Context, [][]byte) error { return away }
	if err := b.strays(t.Context(), "REPORTS", beyond{consumer, 3}, "core.report", fails); !errors.Is(err, away) {
		t.Errorf("error %v, want %v", err, away)
	}
	takes := func(_ context.Context, m [][]byte) error { got += string(m[0]); return nil }
	if err := b.strays(t.Context(), "REPORTS", beyond{consumer, 3}, "core.report", takes); err != nil || got != "012" {
		t.Errorf("%q, %v, want the first three", got, err)
	}
	if st, err := b.Stats(t.Context()); err != nil || st.Messages != 1 {
		t.Errorf("%d messages are left, %v, want the one that the consumer will be given", st.Messages, err)
	}
}
