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

// backoff gives waits with full jitter: each is anything up to a window, which doubles.
type backoff struct {
	spread time.Duration
	window time.Duration
}

// next returns the wait after a failure.
func (b *backoff) next() time.Duration {
	b.window = min(max(2*b.window, waitFirst), waitMost)
	return rand.N(b.window)
}

// lost returns the wait after a connection that stood has broken.
func (b *backoff) lost() time.Duration {
	b.window = max(b.spread, time.Millisecond)
	return rand.N(b.window)
}

// reset forgets what failed.
func (b *backoff) reset() { b.window = 0 }
