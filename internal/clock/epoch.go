package clock

import (
	"time"

	"golang.org/x/sys/unix"
)

// released is a moment before which no router runs this program: a clock that says
// an earlier one was never set. Nanoseconds.
var released = time.Date(2026, time.November, 1, 0, 0, 0, 0, time.UTC).UnixNano()

// Released returns that moment.
func Released() time.Time { return time.Unix(0, released) }

// clockStep is by how much the wall clock may differ from what the agent makes of
// the time since it started before it counts as set: NTP slews smaller errors.
const clockStep = int64(2 * time.Second)

// Epoch makes a time for Clock.Advance of the kernel's monotonic clock. A router boots
// in 1970 and is told the time later; judgement must not see that jump, since every
// action would end at once. What was reported is corrected afterwards, for the whole
// of the run (Clock.Correct). It never changes, so any goroutine may use it.
type Epoch struct {
	base  int64 // added to the monotonic clock
	floor int64 // the wall clock cannot be right before it
}

// NewEpoch begins at the wall clock, or at the last moment known to be over if the
// wall clock is older than that.
func NewEpoch(wall, mono, lastWall int64) Epoch {
	floor := max(released, lastWall)
	return Epoch{base: max(wall, floor) - mono, floor: floor}
}

// Base returns what is added to the monotonic clock.
func (e Epoch) Base() int64 { return e.base }

// Floor returns the last moment known to be over when the epoch began.
func (e Epoch) Floor() int64 { return e.floor }

// At returns the time at a moment of the monotonic clock.
func (e Epoch) At(mono int64) int64 { return e.base + mono }

// Now returns the time now.
func (e Epoch) Now() int64 { return e.At(Monotonic()) }

// Correction returns by how much what was reported so far is wrong, given what the
// wall clock says at a moment of the monotonic clock and the correction that is known,
// and whether that has changed.
func (e Epoch) Correction(wall, mono, known int64) (by int64, changed bool) {
	if wall < e.floor {
		return known, false
	}
	by = wall - e.At(mono)
	if d := by - known; d > -clockStep && d < clockStep {
		return known, false
	}
	return by, true
}

// Trusted reports whether the wall clock can be right.
func (e Epoch) Trusted(wall int64) bool { return wall >= e.floor }

// Monotonic returns CLOCK_MONOTONIC, by which the kernel stamps what the agent's eyes
// see; 0 if the kernel does not say.
func Monotonic() int64 {
	var t unix.Timespec
	if unix.ClockGettime(unix.CLOCK_MONOTONIC, &t) != nil {
		return 0
	}
	return t.Nano()
}
