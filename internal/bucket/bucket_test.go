package bucket

import (
	"testing"
	"time"
)

func TestLeaky(t *testing.T) {
	for _, c := range []struct {
		name  string
		every time.Duration
		n     int
		over  int // which event overflows first, counted from 1; 0 none
	}{
		{"at once", 0, 10, 6},
		{"one a second", time.Second, 10, 6},
		{"one every five seconds", 5 * time.Second, 20, 10},
		{"as fast as it leaks", 10 * time.Second, 1000, 0},
	} {
		var b Leaky
		first := 0
		for i := range c.n {
			if b.Add(int64(i)*int64(c.every), 5, 10*time.Second) && first == 0 {
				first = i + 1
			}
		}
		if first != c.over {
			t.Errorf("%s: event %d overflows, want %d", c.name, first, c.over)
		}
	}
	var b Leaky
	for range 5 {
		b.Add(0, 5, time.Second)
	}
	b.Take(2)
	for i := range 3 {
		if over := b.Add(0, 5, time.Second); over != (i == 2) {
			t.Errorf("event %d after two were taken out: overflows %v", i+1, over)
		}
	}
	b.Take(100)
	for range 5 {
		if b.Add(0, 5, time.Second) {
			t.Error("an emptied bucket overflows")
		}
	}
}
