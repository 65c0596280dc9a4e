package window

import (
	"testing"
	"time"
)

func TestRecent(t *testing.T) {
	var r Recent
	for i := range 10 {
		r.Add(int64(i) * int64(time.Second))
	}
	now := int64(9 * time.Second)
	for _, c := range []struct {
		n    int
		d    time.Duration
		want bool
	}{
		{10, 9 * time.Second, true},
		{10, 8 * time.Second, false},
		{11, time.Hour, false},
		{1, 0, true},
	} {
		if got := r.Reached(c.n, now, c.d); got != c.want {
			t.Errorf("Reached(%d, 9 s, %v) = %v, want %v", c.n, c.d, got, c.want)
		}
	}
	if got := r.Since(10); got != 0 {
		t.Errorf("Since(10) = %d, want 0", got)
	}
	r.Undo()
	if r.Reached(10, now, time.Hour) {
		t.Error("10 events are left of 10 after one was taken back")
	}
}

func TestRecentForgetsTheOldest(t *testing.T) {
	var r Recent
	for i := range 3 * Max {
		r.Add(int64(i))
	}
	if got := r.Since(Max); got != 2*Max {
		t.Errorf("oldest kept %d, want %d", got, 2*Max)
	}
}

func TestRemove(t *testing.T) {
	var s Distinct
	for i := range 5 {
		s.AddKey(uint64(10+i), int64(i), time.Minute)
	}
	if !s.Remove(12) || s.Remove(12) || s.Remove(99) {
		t.Error("removed what is not there, or not what is")
	}
	if s.Reached(5, 4, time.Minute) || !s.Reached(4, 4, time.Minute) || s.Since(2) != 3 || s.Since(3) != 1 {
		t.Errorf("after 12 was removed: %d left, the last two since %d, three since %d", s.n, s.Since(2), s.Since(3))
	}
	if s.AddKey(14, 5, time.Minute) || !s.AddKey(12, 5, time.Minute) {
		t.Error("14 is forgotten, or 12 is not")
	}
}

func TestDistinct(t *testing.T) {
	var s Distinct
	for i := range 20 {
		s.AddKey(uint64(i%4), int64(i), time.Minute)
	}
	if s.Reached(5, 20, time.Minute) || !s.Reached(4, 20, time.Minute) {
		t.Errorf("20 events of 4 keys: counted %d", s.n)
	}
	if !s.AddKey(1, int64(2*time.Minute), time.Minute) {
		t.Error("a key older than the window still counts as known")
	}
}
