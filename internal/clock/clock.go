// Package clock makes a time that never runs backwards out of one that may.
//
// Captures are merged out of order, and a router's clock jumps when NTP first
// answers. Judgement needs durations, so it runs on a steady time; people need
// the wall clock, so what is reported is converted back (Clock). Live, the time
// comes from the kernel's monotonic clock, and the wall clock is believed only once
// it can be right (Epoch). All times are nanoseconds.
package clock

import "time"

// tolerance is how far back a time may lie and still be a packet that was
// captured a little out of order rather than a clock that was set: several
// receive queues are milliseconds apart, clocks are set by more.
const tolerance = 5 * time.Second

// maxSteps bounds how many corrections of the wall clock are remembered.
const maxSteps = 256

// Clock is the pair of the two times. The zero value is ready.
type Clock struct {
	steady, wall int64
	started      bool
	steps        []step // oldest first
	back         uint64
	correction   int64
}

// step says that from steady on, the wall clock is steady + offset.
type step struct{ steady, offset int64 }

// Advance takes the wall time of the next event and returns its steady time.
func (c *Clock) Advance(wall int64) (steady int64) {
	switch {
	case !c.started:
		c.started, c.steady, c.wall = true, wall, wall
	case wall >= c.wall:
		c.steady += wall - c.wall
		c.wall = wall
	case c.wall-wall > int64(tolerance):
		c.wall = wall
		c.back++
		if len(c.steps) == maxSteps {
			c.steps = append(c.steps[:0], c.steps[1:]...)
		}
		c.steps = append(c.steps, step{c.steady, wall - c.steady})
	}
	return c.steady
}

// Steps returns how often the wall clock was set back.
func (c *Clock) Steps() uint64 { return c.back }

// Correct says that the wall clock that Advance was given was wrong from the
// beginning, and by how much: a router boots in 1970 and hears the time later.
// Every moment, also of before, is converted accordingly from now on.
func (c *Clock) Correct(by int64) { c.correction = by }

// Correction returns what Correct was told last.
func (c *Clock) Correction() int64 { return c.correction }

// Wall converts a steady time that Advance has given, or one between two such,
// to wall time.
func (c *Clock) Wall(steady int64) int64 {
	return c.given(steady) + c.correction
}

// given converts a steady time to what Advance was given for it.
func (c *Clock) given(steady int64) int64 {
	for i := len(c.steps) - 1; i >= 0; i-- {
		if c.steps[i].steady <= steady {
			return steady + c.steps[i].offset
		}
	}
	return steady
}
