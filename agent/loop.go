package agent

import (
	"context"
	"errors"
	"io"
	"time"

	"cordon"
	"cordon/agent/packet"
	"cordon/internal/clock"
)

// routineEvery is how often a live agent does what no packet calls for: the
// heartbeat of the DNS guard, the clock, what has to be saved.
const routineEvery = time.Second

// errStopped says that the agent stops before it could do what was asked.
var errStopped = errors.New("the agent is stopping")

// loop takes frames until ctx is done. It is the only goroutine that touches the
// pipeline; between frames it does what the others ask for.
func (l *live) loop(ctx context.Context) error {
	var frame packet.Frame
	for {
		select {
		case <-ctx.Done():
			return nil
		case f := <-l.calls:
			f()
		default:
		}
		switch err := l.source.Next(&frame); {
		case errors.Is(err, io.EOF):
			return nil
		case err != nil:
			return err
		}
		l.Pipeline.Frame(&frame)
		l.due(l.Pipeline.Now)
		if l.Core != nil {
			l.Core.Tick(l.Pipeline.Now)
		}
		if l.changed {
			l.changed = false
			l.publish()
		}
	}
}

// due does what its time has come for.
func (l *live) due(now cordon.Time) {
	l.beat.Store(clock.Monotonic())
	if now.Sub(l.routined) >= routineEvery {
		l.routined = now
		l.routine(now)
	}
}

// Do runs f on the pipeline's goroutine and waits for it.
func (l *live) Do(ctx context.Context, f func()) error { return handOver(ctx, l.calls, l.stopped, f) }

// handOver has f called by who reads calls, and waits for it.
func handOver(ctx context.Context, calls chan<- func(), stopped <-chan struct{}, f func()) error {
	done := make(chan struct{})
	select {
	case calls <- func() { f(); close(done) }:
	case <-ctx.Done():
		return ctx.Err()
	case <-stopped:
		return errStopped
	}
	select {
	case <-done:
		return nil
	case <-ctx.Done():
		return ctx.Err()
	case <-stopped:
		return errStopped
	}
}
