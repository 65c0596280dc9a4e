package agent

import (
	"context"
	"errors"
	"io"
	"time"

	"cordon"
	"cordon/agent/packet"
)

// How often a live agent does what no packet calls for.
const (
	// trafficEvery is how often each device's traffic is judged. Floods have to be
	// limited within a second of their beginning; asking is cheap while no interval of
	// the kernel's is over.
	trafficEvery = 100 * time.Millisecond
	// countEvery is how often the kernel's flow counts are gathered (8,192 flows
	// take about 5 ms).
	countEvery = 10 * time.Second
	// routineEvery is for what is looked after each second: the heartbeat of the DNS
	// guard, the clock, what has to be saved.
	routineEvery = time.Second
)

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
		l.p.frame(&frame)
		l.due(l.p.now)
		if l.changed {
			l.changed = false
			l.publish()
		}
	}
}

// due does what its time has come for.
func (l *live) due(now cordon.Time) {
	l.beat.Store(monotonic())
	if c := l.counter; c != nil {
		if now.Sub(l.judged) >= trafficEvery {
			l.judged = now
			l.check("read traffic", c.Traffic(now, l.p.traffic))
		}
		if now.Sub(l.counted) >= countEvery {
			l.counted = now
			l.check("read flows", c.Flows(l.p.count))
		}
	}
	if now.Sub(l.routined) >= routineEvery {
		l.routined = now
		l.routine(now)
	}
}

// do runs f on the pipeline's goroutine and waits for it.
func (l *live) do(ctx context.Context, f func()) error {
	done := make(chan struct{})
	select {
	case l.calls <- func() { f(); close(done) }:
	case <-ctx.Done():
		return ctx.Err()
	case <-l.stopped:
		return errStopped
	}
	select {
	case <-done:
		return nil
	case <-ctx.Done():
		return ctx.Err()
	case <-l.stopped:
		return errStopped
	}
}
