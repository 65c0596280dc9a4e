package clock

import (
	"testing"
	"time"
)

func TestEpoch(t *testing.T) {
	const s = int64(time.Second)
	now := released + 1000*s
	for _, c := range []struct {
		name                  string
		wall, mono, last      int64
		later, laterMono      int64
		begin, by             int64
		trusted, wantsChanged bool
	}{
		{"a clock that is right", now, 5 * s, 0, now + 60*s, 65 * s, now, 0, true, false},
		{"NTP slews", now, 5 * s, 0, now + 61*s, 65 * s, now, 0, true, false},
		{"boot in 1970, set later", 10 * s, 5 * s, 0, now, 65 * s, released, now - released - 60*s, false, true},
		{"boot in 1970, never set", 10 * s, 5 * s, now, 70 * s, 65 * s, now, 0, false, false},
		{"boot in 1970 after a run", 10 * s, 5 * s, now, now + 90*s, 65 * s, now, 30 * s, false, true},
		{"set back by an hour", now + 3600*s, 5 * s, 0, now + 60*s, 65 * s, now + 3600*s, -3600 * s, true, true},
	} {
		e := NewEpoch(c.wall, c.mono, c.last)
		if got := e.At(c.mono); got != c.begin {
			t.Errorf("%s: begins at %d, want %d", c.name, got, c.begin)
		}
		if e.Trusted(c.wall) != c.trusted {
			t.Errorf("%s: trusted %v", c.name, !c.trusted)
		}
		if by, changed := e.Correction(c.later, c.laterMono, 0); by != c.by || changed != c.wantsChanged {
			t.Errorf("%s: corrected by %d s (%v), want %d s", c.name, by/s, changed, c.by/s)
		}
	}
}
