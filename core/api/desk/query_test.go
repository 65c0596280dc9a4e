package desk

import (
	"errors"
	"testing"
	"time"

	"cordon/core/api/problem"
)

// TestMatch compares what If-Match says with the stored version.
func TestMatch(t *testing.T) {
	for _, c := range []struct {
		header   string
		optional bool
		want     *problem.Kind
	}{
		{`"7.abc"`, false, nil},
		{`W/"7.abc.gz"`, false, nil},
		{`"7"`, false, nil},
		{"7", false, nil},
		{"*", false, nil},
		{`"6.abc", "7.def"`, false, nil},
		{"", true, nil},
		{"", false, problem.Precondition},
		{`"6.abc"`, true, problem.Changed},
		{`"77.abc"`, false, problem.Changed},
		{`"abc.7"`, false, problem.Changed},
		{`""`, true, problem.Changed},
		{`"99999999999999999999"`, false, problem.Changed},
	} {
		err := Match{c.header}.Check(7, c.optional)
		var p *problem.Problem
		if c.want == nil && err != nil || c.want != nil && (!errors.As(err, &p) || p.Code != c.want.Code) {
			t.Errorf("%q: %v", c.header, err)
		}
	}
}

// TestTime keeps what cannot be kept within what can.
func TestTime(t *testing.T) {
	for _, year := range []int{-5, 1, 1969, 2201, 9999, 300_000} {
		if got := Time(time.Date(year, 1, 1, 0, 0, 0, 0, time.UTC)).Std().Year(); got != 1970 && got != 2200 {
			t.Errorf("%d became %d", year, got)
		}
	}
	if now := time.Now(); !Time(now).Std().Equal(now) {
		t.Error("a time of today changed")
	}
}

// TestLooks is one line for who looks again and again, and bounded.
func TestLooks(t *testing.T) {
	l, now := newLooks(), time.Unix(1e9, 0)
	for n, c := range []struct {
		key   string
		after time.Duration
		add   bool
		seen  bool
	}{{"a", 0, false, false}, {"a", 0, true, false}, {"a", time.Minute, true, true}, {"b", 0, true, false}, {"a", lookEvery, true, false},
		{"a", 0, true, true}} {
		now = now.Add(c.after)
		if l.seen(c.key, now) != c.seen {
			t.Errorf("%d: %q after %v: want %v", n, c.key, c.after, c.seen)
		}
		if c.add {
			l.add(c.key)
		}
	}
	for n := range maxLooks + 10 {
		l.add(string(rune(n)))
	}
	if len(l.keys) > maxLooks {
		t.Errorf("%d are remembered", len(l.keys))
	}
}
