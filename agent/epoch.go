package agent

import (
	"time"

	"golang.org/x/sys/unix"
)

// released is a moment before which no router runs this program: a clock that says
// an earlier one was never set. Nanoseconds.
var released = time.Date(2026, time.November, 1, 0, 0, 0, 0, time.UTC).UnixNano()

// clockStep is by how much the wall clock may differ from what the agent makes of
// the time since it started before it counts as set: NTP slews smaller errors.
const clockStep = int64(2 * time.Second)

// epoch makes the pipeline's time of the kernel's monotonic clock. A router boots
// in 1970 and is told the time later; the pipeline must not see that jump, since
// every action would end at once. What it reports is corrected afterwards, for the
// whole of this run (see clock.Correct).
type epoch struct {
	base  int64 // added to the monotonic clock
	floor int64 // the wall clock cannot be right before it
}

// newEpoch begins at the wall clock, or at the last moment known to be over if the
// wall clock is older than that. Nanoseconds.
func newEpoch(wall, mono, lastWall int64) epoch {
	floor := max(released, lastWall)
	return epoch{base: max(wall, floor) - mono, floor: floor}
}

// at returns the pipeline's time at a moment of the monotonic clock.
func (e epoch) at(mono int64) int64 { return e.base + mono }

// correction returns by how much what was reported so far is wrong, given what the
// wall clock says now, and whether it has changed.
func (e epoch) correction(wall, mono, known int64) (by int64, changed bool) {
	if wall < e.floor {
		return known, false
	}
	by = wall - e.at(mono)
	if d := by - known; d > -clockStep && d < clockStep {
		return known, false
	}
	return by, true
}

// trusted reports whether the wall clock can be right.
func (e epoch) trusted(wall int64) bool { return wall >= e.floor }

// monotonic returns CLOCK_MONOTONIC, by which the kernel stamps what the eyes see.
func monotonic() int64 {
	var t unix.Timespec
	if unix.ClockGettime(unix.CLOCK_MONOTONIC, &t) != nil {
		return 0
	}
	return t.Nano()
}
