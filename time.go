package cordon

import (
	"fmt"
	"math"
	"time"
)

// Time is a moment in nanoseconds since the Unix epoch, UTC.
//
// Inside the agent it is the pipeline's own time: it never runs backwards, also
// when the clock of a capture or of a router does. What is reported is
// converted to wall time once, at the border (see internal/clock).
type Time int64

// Std returns t as a time.Time in UTC.
func (t Time) Std() time.Time { return time.Unix(0, int64(t)).UTC() }

// Sub returns t − u.
func (t Time) Sub(u Time) time.Duration { return time.Duration(t - u) }

// Add returns t + d.
func (t Time) Add(d time.Duration) Time { return t + Time(d) }

// TimeOf returns t as a Time.
func TimeOf(t time.Time) Time { return Time(t.UnixNano()) }

// RFC3339 is how Cordon writes a moment for programs: UTC with nanoseconds,
// always nine digits, so that texts sort like times.
const RFC3339 = "2006-01-02T15:04:05.000000000Z07:00"

// String formats t as RFC 3339 in UTC with nanoseconds.
func (t Time) String() string { return t.Std().Format(RFC3339) }

// MarshalText is String, so that JSON carries RFC 3339.
func (t Time) MarshalText() ([]byte, error) { return []byte(t.String()), nil }

// UnmarshalText reads what MarshalText writes.
func (t *Time) UnmarshalText(b []byte) error {
	u, err := time.Parse(time.RFC3339Nano, string(b))
	if err != nil {
		return err
	}
	*t = TimeOf(u)
	return nil
}

// Span says a duration in words that can be read aloud, rounded up: "a second",
// "16 seconds", "15 minutes", "3 hours", "2 days". Exact values belong into
// Evidence.
func Span(d time.Duration) string {
	for _, u := range []struct {
		unit  time.Duration
		most  float64
		words string
	}{{time.Second, 119, "seconds"}, {time.Minute, 119, "minutes"}, {time.Hour, 47, "hours"}} {
		if n := math.Ceil(float64(d) / float64(u.unit)); n <= u.most {
			if n <= 1 && u.unit == time.Second {
				return "a second"
			}
			return fmt.Sprintf("%.0f %s", n, u.words)
		}
	}
	return fmt.Sprintf("%.0f days", math.Ceil(d.Hours()/24))
}
