package gate

import (
	"errors"
	"net/netip"
	"testing"
	"time"

	"cordon"
)

const start = cordon.Time(1_800_000_000e9)

// guesses returns how many tries a lane takes in a day of somebody who tries as often
// as he may.
func guesses(most time.Duration) (n int) {
	g := New()
	for now := start; now < start.Add(24*time.Hour); n++ {
		err := g.Enter(now, "lane")
		if wait := (*WaitError)(nil); errors.As(err, &wait) {
			now = now.Add(wait.After)
			n--
			continue
		}
		g.Leave(now, "lane", Pause(n+1, most))
	}
	return n
}

// TestGuesses holds the pauses to fewer than 100 guesses a day for strangers.
func TestGuesses(t *testing.T) {
	if n := guesses(Stranger); n < 10 || n >= 100 {
		t.Errorf("%d guesses a day", n)
	}
	if s, k := guesses(Stranger), guesses(Known); k <= s {
		t.Errorf("a known browser has %d tries a day, strangers %d", k, s)
	}
}

// TestLanes shuts one lane and no other, and not for ever.
func TestLanes(t *testing.T) {
	g := New()
	if err := g.Enter(start, "a"); err != nil {
		t.Fatal(err)
	}
	if g.Enter(start, "a") == nil {
		t.Error("two tries at once")
	}
	g.Leave(start, "a", time.Minute)
	if err := g.Enter(start, "b"); err != nil {
		t.Errorf("another's lane: %v", err)
	}
	if g.Enter(start.Add(time.Minute-1), "a") == nil {
		t.Error("a try before the pause is over")
	}
	if err := g.Enter(start.Add(time.Minute), "a"); err != nil {
		t.Errorf("the pause does not end: %v", err)
	}
	if a, b := Key("anna@example.org", ""), Key("anna@example.org", "browser"); a == b || Key("bert@example.org", "") == a {
		t.Error("two people, or two browsers, share a lane")
	}
}

// TestAddress bounds what one address may try, a /64 for IPv6, and leaves others alone.
func TestAddress(t *testing.T) {
	for _, c := range []struct{ first, same, other string }{
		{"192.0.2.1", "::ffff:192.0.2.1", "192.0.2.2"}, {"2001:db8::1", "2001:db8::ffff:1", "2001:db8:0:1::1"},
	} {
		g := New()
		n := 0
		for g.Address(start, netip.MustParseAddr(c.first)) == nil && n < 1000 {
			n++
		}
		if n != addressBurst {
			t.Errorf("%s: %d log-ins at once, want %d", c.first, n, addressBurst)
		}
		if g.Address(start, netip.MustParseAddr(c.same)) == nil {
			t.Errorf("%s is not what %s is", c.same, c.first)
		}
		if err := g.Address(start, netip.MustParseAddr(c.other)); err != nil {
			t.Errorf("%s: %v", c.other, err)
		}
		if err := g.Address(start.Add(time.Minute), netip.MustParseAddr(c.first)); err != nil {
			t.Errorf("%s a minute later: %v", c.first, err)
		}
	}
}

// TestBounded makes room for more than fits, and keeps lanes that are shut.
func TestBounded(t *testing.T) {
	g := New()
	if err := g.Enter(start, "victim"); err != nil {
		t.Fatal(err)
	}
	g.Leave(start, "victim", time.Hour)
	for i := range maxGates + 10 {
		key := Key(time.Duration(i).String(), "")
		if err := g.Enter(start, key); err != nil {
			t.Fatal(err)
		}
		g.Leave(start, key, time.Second)
	}
	if len(g.lanes) > maxGates {
		t.Errorf("%d lanes", len(g.lanes))
	}
	if g.Enter(start, "victim") == nil {
		t.Error("a crowd of others opened a lane")
	}
}
