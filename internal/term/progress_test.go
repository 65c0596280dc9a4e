package term

import (
	"strings"
	"testing"
	"time"
)

func TestProgress(t *testing.T) {
	var out strings.Builder
	p := NewProgress(&out, true, 29_100_000, "B")
	start := time.Unix(1_700_000_000, 0)
	shows := func(want string) {
		t.Helper()
		if got := out.String(); got != want {
			t.Errorf("drawn %q, want %q", got, want)
		}
		out.Reset()
	}
	p.Done()
	shows("")
	p.Set(0, start)
	shows("\r[........................]   0 % of 29.1 MB\x1b[K")
	p.Set(1_000_000, start.Add(99*time.Millisecond))
	shows("")
	p.Set(14_550_000, start.Add(100*time.Millisecond))
	shows("\r[############............]  50 % of 29.1 MB\x1b[K")
	p.Set(99_000_000, start.Add(200*time.Millisecond))
	shows("\r[########################] 100 % of 29.1 MB\x1b[K")
	p.Done()
	shows("\r\x1b[K")
	p.Done()
	shows("")
}

func TestProgressElsewhere(t *testing.T) {
	var out strings.Builder
	p := NewProgress(&out, false, 100, "packets")
	p.Set(50, time.Unix(1_700_000_000, 0))
	p.Done()
	if out.Len() != 0 {
		t.Errorf("not a terminal, but %q is written", out.String())
	}
}

func TestProgressWithoutTotal(t *testing.T) {
	for _, c := range []struct {
		done int64
		unit string
		want string
	}{
		{7, "packets", "7 packets"},
		{1_000, "packets", "1.0 thousand packets"},
		{1_300_000, "packets", "1.3 million packets"},
		{999, "B", "999 B"},
		{2_500_000_000, "B", "2.5 GB"},
	} {
		var out strings.Builder
		NewProgress(&out, true, 0, c.unit).Set(c.done, time.Unix(1_700_000_000, 0))
		if got, want := out.String(), "\r"+c.want+"\x1b[K"; got != want {
			t.Errorf("%d %s: drawn %q, want %q", c.done, c.unit, got, want)
		}
	}
}
