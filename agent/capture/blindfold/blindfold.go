// Package blindfold is the eyes in safe mode: nothing is seen, time passes.
package blindfold

import (
	"time"

	"cordon"
	"cordon/agent/packet"
)

// every is how often the pipeline's clock is moved on.
const every = 20 * time.Millisecond

// Source gives frames in which nothing was seen.
type Source struct {
	now  func() int64
	tick *time.Ticker
}

// New returns a Source on which it is now, Unix nanoseconds, at each frame.
func New(now func() int64) *Source { return &Source{now, time.NewTicker(every)} }

// Next waits a moment.
func (s *Source) Next(f *packet.Frame) error {
	<-s.tick.C
	*f = packet.Frame{Time: s.now()}
	return nil
}

// SetPorts does nothing.
func (s *Source) SetPorts([]cordon.Port) error { return nil }

// Close ends it.
func (s *Source) Close() error { s.tick.Stop(); return nil }
