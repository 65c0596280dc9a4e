package pace_test

import (
	"io"
	"testing"
	"time"

	"cordon/agent/packet"
	"cordon/lab/pace"
)

// times are frames that were captured long ago.
type times []time.Duration

func (f *times) Next(p *packet.Frame) error {
	if len(*f) == 0 {
		return io.EOF
	}
	*p = packet.Frame{Time: int64((*f)[0]), Len: 60, Data: []byte{1}}
	*f = (*f)[1:]
	return nil
}

// TestSource: frames come in their order at times of now, and quiet moments after
// them; time never runs back.
func TestSource(t *testing.T) {
	begin := time.Now()
	s := pace.New(&times{0, time.Hour, time.Hour + 10*time.Millisecond}, time.Hour)
	var last int64
	var got []time.Duration
	for range 8 {
		var f packet.Frame
		if err := s.Next(&f); err != nil {
			t.Fatal(err)
		}
		if f.Time < last {
			t.Errorf("time runs back by %v", time.Duration(last-f.Time))
		}
		last = f.Time
		if f.Len > 0 {
			got = append(got, time.Unix(0, f.Time).Sub(begin).Round(time.Minute))
		}
	}
	if len(got) != 3 || got[0] != -time.Hour || got[1] != 0 || got[2] != 0 {
		t.Errorf("frames at %v", got)
	}
}
