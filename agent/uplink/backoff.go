package uplink

import (
	"math/rand/v2"
	"time"
)

// How long a router waits before it tries to reach core again.
const (
	waitFirst = time.Second
	waitMost  = 5 * time.Minute
	// DefaultSpread is over what time routers come back that were all cut off at once:
	// a core that was restarted must not be run over by a city.
	DefaultSpread = 30 * time.Second
)

// Backoff gives waits with full jitter: each is anything up to a window, which doubles.
// The zero value is ready.
type Backoff struct {
	Spread time.Duration // see DefaultSpread
	window time.Duration
}

// Next returns the wait after a failure.
func (b *Backoff) Next() time.Duration {
	b.window = min(max(2*b.window, waitFirst), waitMost)
	return rand.N(b.window)
}

// Lost returns the wait after a connection that stood has broken. Who tries before core is
// back waits as long once more, not longer: a restart takes a second or two, and whoever
// tried in it would else be the last to return.
func (b *Backoff) Lost() time.Duration {
	spread := max(b.Spread, time.Millisecond)
	b.window = spread / 2
	return rand.N(spread)
}

// Reset forgets what failed.
func (b *Backoff) Reset() { b.window = 0 }
