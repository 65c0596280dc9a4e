package ident

import (
	"testing"
	"time"
)

func TestNew(t *testing.T) {
	at := time.Date(2026, 1, 2, 3, 4, 5, 0, time.UTC)
	a, b, later := New(at), New(at), New(at.Add(time.Millisecond))
	if a == b || a >= later || b >= later {
		t.Errorf("%s, %s and, made later, %s: want different names that sort by time", a, b, later)
	}
	for _, s := range []string{a, b, later} {
		if !Valid(s) {
			t.Errorf("%q is not valid", s)
		}
	}
	for _, s := range []string{"", a[1:], a + "0", "../../../../../../etc/pass", "ilou" + a[4:]} {
		if Valid(s) {
			t.Errorf("%q is valid", s)
		}
	}
}
