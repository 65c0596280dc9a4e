// Package gate slows down who guesses passwords and tokens.
//
// Addresses have a bucket each: many people may stand behind one, so it is wide.
// Each user has lanes: one for strangers, wherever they come from, and one for each
// browser that logged in as that user before. A lane shuts for longer after each
// failure, never for ever, and it is the strangers' lane that an attacker shuts: the
// owner's own browser, a passkey and a link of the provider still get in. Every table is
// bounded. Only core/auth calls it.
package gate

import (
	"crypto/sha256"
	"fmt"
	"net/netip"
	"sync"
	"time"

	"cordon"
	"cordon/internal/bucket"
)

// Limits of the gates.
const (
	// addressBurst and addressLeak: from one address, 20 log-ins at once and one each
	// 3 s after that.
	addressBurst = 20
	addressLeak  = 3 * time.Second
	// wrongBurst and wrongLeak are for wrong tokens from one address.
	wrongBurst = 30
	wrongLeak  = 2 * time.Second
	// Window is how long a failure is remembered.
	Window = 24 * time.Hour
	// freeFailures go without a pause; then the pause doubles from firstPause. With
	// these, a lane takes fewer than 100 guesses a day, the most that NIST
	// SP 800-63B-4 §3.2.2 allows in a row (TestGuesses).
	freeFailures = 5
	firstPause   = 2 * time.Second
	Stranger     = time.Hour        // the longest pause of the strangers' lane
	Known        = 15 * time.Minute // of a browser that is known

	// maxGates bounds each table.
	maxGates = 50_000
)

// WaitError means that too much was tried.
type WaitError struct {
	After time.Duration // when it may be tried again
}

// Error says how long to wait.
func (e *WaitError) Error() string { return "too many tries: wait " + cordon.Span(e.After) }

// Gates are the gates. They are safe for concurrent use.
type Gates struct {
	mu        sync.Mutex
	addresses map[netip.Prefix]*bucket.Leaky // guarded by mu
	wrong     map[netip.Prefix]*bucket.Leaky // guarded by mu
	lanes     map[string]lane                // guarded by mu
}

// lane is when the next try may come.
type lane struct {
	until cordon.Time
	busy  bool // one is being checked
}

// New returns open gates.
func New() *Gates {
	return &Gates{addresses: make(map[netip.Prefix]*bucket.Leaky), wrong: make(map[netip.Prefix]*bucket.Leaky), lanes: make(map[string]lane)}
}

// network is what counts as one address: a customer has a whole /64 of IPv6.
func network(addr netip.Addr) netip.Prefix {
	addr = addr.Unmap() // ::ffff:192.0.2.1 is no IPv6 customer
	bits := 32
	if addr.Is6() {
		bits = 64
	}
	p, _ := addr.Prefix(bits) // the zero Addr: the zero Prefix, one bucket for all
	return p
}

// Address counts a log-in from addr.
func (g *Gates) Address(now cordon.Time, addr netip.Addr) error {
	g.mu.Lock()
	defer g.mu.Unlock()
	if of(g.addresses, network(addr)).Add(int64(now), addressBurst, addressLeak) {
		return &WaitError{After: addressLeak}
	}
	return nil
}

// Token refuses addresses that sent too many wrong tokens.
func (g *Gates) Token(now cordon.Time, addr netip.Addr) error {
	g.mu.Lock()
	defer g.mu.Unlock()
	b, ok := g.wrong[network(addr)]
	if !ok {
		return nil
	}
	if b.Add(int64(now), wrongBurst, wrongLeak) {
		return &WaitError{After: wrongLeak}
	}
	b.Take(1)
	return nil
}

// WrongToken counts a wrong token.
func (g *Gates) WrongToken(now cordon.Time, addr netip.Addr) {
	g.mu.Lock()
	defer g.mu.Unlock()
	of(g.wrong, network(addr)).Add(int64(now), wrongBurst, wrongLeak)
}

// of returns the bucket of p. A full table forgets one at random: an attacker with so
// many addresses gains nothing by one more.
func of(table map[netip.Prefix]*bucket.Leaky, p netip.Prefix) *bucket.Leaky {
	b, ok := table[p]
	if !ok {
		if len(table) >= maxGates {
			for any := range table {
				delete(table, any)
				break
			}
		}
		b = new(bucket.Leaky)
		table[p] = b
	}
	return b
}

// Enter takes a try on a lane: only one at a time, and none before its pause is over.
func (g *Gates) Enter(now cordon.Time, key string) error {
	g.mu.Lock()
	defer g.mu.Unlock()
	l, ok := g.lanes[key]
	switch {
	case l.until > now:
		return &WaitError{After: l.until.Sub(now)}
	case l.busy:
		return &WaitError{After: time.Second}
	case !ok && len(g.lanes) >= maxGates:
		g.forget(now)
	}
	l.busy = true
	g.lanes[key] = l
	return nil
}

// Leave ends the try; the next may come after pause.
func (g *Gates) Leave(now cordon.Time, key string, pause time.Duration) {
	g.mu.Lock()
	defer g.mu.Unlock()
	if pause <= 0 {
		delete(g.lanes, key)
		return
	}
	g.lanes[key] = lane{until: now.Add(pause)}
}

// forget makes room: lanes that are open go first, else the one that opens soonest.
func (g *Gates) forget(now cordon.Time) {
	var soonest string
	for key, l := range g.lanes {
		switch {
		case l.busy:
		case l.until <= now:
			delete(g.lanes, key)
		case soonest == "" || l.until < g.lanes[soonest].until:
			soonest = key
		}
	}
	if len(g.lanes) >= maxGates {
		delete(g.lanes, soonest)
	}
}

// Pause is how long a lane shuts after n failures within the window.
func Pause(n int, most time.Duration) time.Duration {
	if n <= freeFailures {
		return 0
	}
	return min(most, firstPause<<min(n-freeFailures-1, 20))
}

// Key names a lane of the user with that address. It carries no e-mail address,
// as it is stored, and what strangers type may be anything.
func Key(email, browser string) string {
	sum := sha256.Sum256([]byte(email))
	if browser == "" {
		return fmt.Sprintf("log-in %x", sum[:12])
	}
	return fmt.Sprintf("log-in %x from %x", sum[:12], browser)
}
