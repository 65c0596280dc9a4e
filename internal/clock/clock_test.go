package clock

import (
	"testing"
	"time"
)

func TestClock(t *testing.T) {
	const s = int64(time.Second)
	var c Clock
	for i, e := range []struct{ wall, steady, reported int64 }{
		{100 * s, 100 * s, 100 * s},
		{103 * s, 103 * s, 103 * s},
		{102 * s, 103 * s, 103 * s}, // a little late: the order of arrival holds
		{104 * s, 104 * s, 104 * s},
		{50 * s, 104 * s, 50 * s}, // the clock was set back
		{60 * s, 114 * s, 60 * s},
		{10 * s, 114 * s, 10 * s},
		{11 * s, 115 * s, 11 * s},
	} {
		steady := c.Advance(e.wall)
		if steady != e.steady {
			t.Errorf("event %d at %d s: steady %d s, want %d s", i, e.wall/s, steady/s, e.steady/s)
		}
		if got := c.Wall(steady); got != e.reported {
			t.Errorf("event %d at %d s: reported as %d s", i, e.wall/s, got/s)
		}
	}
	if c.Steps() != 2 {
		t.Errorf("%d steps back, want 2", c.Steps())
	}
	if got := c.Wall(103 * s); got != 103*s {
		t.Errorf("a moment before the first step is reported as %d s, want 103 s", got/s)
	}
	if got := c.Wall(110 * s); got != 56*s {
		t.Errorf("a moment between the steps is reported as %d s, want 56 s", got/s)
	}
}

func TestClockStepsAreBounded(t *testing.T) {
	var c Clock
	for i := range 10 * maxSteps {
		c.Advance(int64(i%2) * int64(time.Hour))
	}
	if len(c.steps) > maxSteps {
		t.Errorf("%d steps kept, want at most %d", len(c.steps), maxSteps)
	}
}

// TestClockCorrected: a router that booted in 1970 hears the time an hour later;
// what happened before is then told in the right year.
func TestClockCorrected(t *testing.T) {
	const s, year = int64(time.Second), int64(365 * 24 * time.Hour)
	var c Clock
	c.Advance(100 * s)
	c.Advance(3700 * s)
	c.Correct(56 * year)
	if got := c.Wall(100 * s); got != 100*s+56*year {
		t.Errorf("a moment of before is reported as %d s", got/s)
	}
	if got := c.Advance(3701 * s); got != 3701*s {
		t.Errorf("steady time jumped to %d s", got/s)
	}
}
