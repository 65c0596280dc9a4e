package uplink

import (
	"context"
	"strings"
	"sync"
	"testing"
	"time"

	"cordon"
	"cordon/lab/door"
)

// brain is an agent that remembers what it was told.
type brain struct {
	mu      sync.Mutex
	desired []cordon.Desired
	shared  []uint64
	shadows []cordon.Shadow
	unknown []string
}

func (b *brain) Desired(_ context.Context, d *cordon.Desired, unknown []string) error {
	b.mu.Lock()
	defer b.mu.Unlock()
	if d != nil {
		b.desired = append(b.desired, *d)
	}
	b.unknown = append(b.unknown, unknown...)
	return nil
}

func (b *brain) Shared(_ context.Context, n uint64, shadows []cordon.Shadow, about bool, unknown []string) error {
	b.mu.Lock()
	defer b.mu.Unlock()
	b.shared = append(b.shared, n)
	if about {
		b.shadows = shadows
	}
	b.unknown = append(b.unknown, unknown...)
	return nil
}

func (b *brain) Answer(_ context.Context, what, device string) ([]byte, error) {
	if what == "why" {
		return nil, context.Canceled
	}
	return []byte(`"` + strings.Join([]string{what, device}, " ") + `"`), nil
}

func (b *brain) look(f func()) {
	b.mu.Lock()
	defer b.mu.Unlock()
	f()
}

// line is an Uplink at work.
type line struct {
	*Uplink
	*brain
	stop func()
}

func configOf(c *door.Core, dir string) Config {
	return Config{Dir: dir, URL: c.Door, Roots: c.Roots, Serial: "S1", Secret: door.Secret, Agent: "1.0", Start: 1, Spread: time.Millisecond}
}

// start runs an Uplink, after what comes first, until the test ends.
func start(t *testing.T, cfg Config, first ...func(*Uplink)) *line {
	t.Helper()
	u, err := New(cfg)
	if err != nil {
		t.Fatal(err)
	}
	l := &line{Uplink: u, brain: &brain{}}
	u.Attach(l.brain)
	for _, f := range first {
		f(u)
	}
	ctx, cancel := context.WithCancel(context.Background())
	done := make(chan error, 1)
	go func() { done <- u.Run(ctx) }()
	var once sync.Once
	l.stop = func() {
		once.Do(func() {
			cancel()
			if err := <-done; err != nil {
				t.Error(err)
			}
		})
	}
	t.Cleanup(l.stop)
	return l
}

func detection(kind cordon.Kind) cordon.Report {
	return cordon.Report{At: cordon.TimeOf(time.Now()), Detection: &cordon.Detection{ID: "det-1", Kind: kind, Level: cordon.Act, Device: &cordon.Device{ID: "cam"}}}
}
