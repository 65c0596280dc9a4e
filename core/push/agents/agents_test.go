package agents

import (
	"context"
	"crypto/ed25519"
	"crypto/sha256"
	"fmt"
	"slices"
	"sync"
	"testing"
	"testing/synctest"
	"time"

	"cordon"
	"cordon/wire"
)

// shelf is a store with one site and what is desired of it.
type shelf struct {
	mu       sync.Mutex
	desired  cordon.Desired
	enforced uint64
	shadows  []cordon.Shadow
	number   uint64
}

func (s *shelf) Desired(context.Context, string) (cordon.Desired, error) {
	s.mu.Lock()
	defer s.mu.Unlock()
	return s.desired, nil
}

func (s *shelf) Router(_ context.Context, id string) (cordon.Router, error) {
	return cordon.Router{ID: id, Site: "site"}, nil
}

func (s *shelf) RouterOfSite(_ context.Context, site string) (cordon.Router, error) {
	if site != "site" {
		return cordon.Router{}, cordon.ErrNotFound
	}
	return cordon.Router{ID: "router", Site: site}, nil
}

func (s *shelf) Shadows(context.Context) ([]cordon.Shadow, uint64, error) {
	return s.shadows, s.number, nil
}

func (s *shelf) Behind(context.Context, int) ([]cordon.Lag, error) {
	s.mu.Lock()
	defer s.mu.Unlock()
	if s.enforced >= s.desired.Version {
		return nil, nil
	}
	return []cordon.Lag{{Site: "site", Router: "router", Desired: s.desired.Version, Enforced: s.enforced}}, nil
}

func (s *shelf) set(desired, enforced uint64) {
	s.mu.Lock()
	defer s.mu.Unlock()
	s.desired.Version, s.enforced = desired, enforced
}

// line keeps what was sent.
type line struct {
	t    *testing.T
	keys wire.Keys
	mu   sync.Mutex
	sent []wire.Directive
}

func (l *line) ToRouter(router, what string, data []byte) error { return l.take(router, what, data) }
func (l *line) ToAll(what string, data []byte) error            { return l.take(wire.All, what, data) }

func (l *line) take(router, what string, data []byte) error {
	d, err := wire.Open(data, l.keys, router, cordon.TimeOf(time.Now()))
	if err != nil || what != "directive" {
		l.t.Errorf("%s to %s: %v", what, router, err)
	}
	l.mu.Lock()
	defer l.mu.Unlock()
	l.sent = append(l.sent, d)
	return nil
}

func (l *line) take1() []wire.Directive {
	l.mu.Lock()
	defer l.mu.Unlock()
	sent := l.sent
	l.sent = nil
	return sent
}

func newPusher(t *testing.T) (*Pusher, *shelf, *line) {
	t.Helper()
	seed := sha256.Sum256([]byte("key"))
	key := ed25519.NewKeyFromSeed(seed[:])
	public := key.Public().(ed25519.PublicKey)
	s := &shelf{}
	l := &line{t: t, keys: wire.Keys{wire.KeyID(public): public}}
	p, err := New(Config{Key: key, Store: s, Bus: l})
	if err != nil {
		t.Fatal(err)
	}
	return p, s, l
}

// TestSite sends what is desired, without what is over.
func TestSite(t *testing.T) {
	p, s, l := newPusher(t)
	now := cordon.TimeOf(time.Now())
	s.desired = cordon.Desired{Site: "site", Version: 3, Policy: cordon.PolicyProtect, Orders: []cordon.Order{
		{ID: "over", Verb: cordon.VerbQuarantine, Entity: cordon.Entity{Device: "d"}, Expires: now},
		{ID: "now", Verb: cordon.VerbQuarantine, Entity: cordon.Entity{Device: "d"}, Expires: now.Add(time.Hour)}}}
	if err := p.Site(t.Context(), "site"); err != nil {
		t.Fatal(err)
	}
	sent := l.take1()
	if len(sent) != 1 || sent[0].Number != 3 || sent[0].Receiver != "router" || len(sent[0].Desired.Orders) != 1 || sent[0].Desired.Orders[0].ID != "now" {
		t.Errorf("sent %+v", sent)
	}
	if err := p.Site(t.Context(), "without a router"); err != nil || len(l.take1()) != 0 {
		t.Errorf("a site without a router: %v", err)
	}
}

// TestHello sends a router what it has not, and nothing that it has.
func TestHello(t *testing.T) {
	p, s, l := newPusher(t)
	s.desired, s.number = cordon.Desired{Site: "site", Version: 3}, 7
	s.shadows = []cordon.Shadow{{ID: "s", Kind: "scan.*", Expires: 1}}
	for _, c := range []struct {
		desired, shared uint64
		want            []uint64
	}{{3, 7, nil}, {2, 7, []uint64{3}}, {3, 0, []uint64{7}}, {0, 0, []uint64{3, 7}}, {9, 9, nil}} {
		if err := p.Hello(t.Context(), "router", wire.Hello{Desired: c.desired, Shared: c.shared}); err != nil {
			t.Fatal(err)
		}
		sent := l.take1()
		if len(sent) != len(c.want) {
			t.Errorf("has %d and %d: %d directives, want %v", c.desired, c.shared, len(sent), c.want)
			continue
		}
		for i, d := range sent {
			if d.Number != c.want[i] {
				t.Errorf("has %d and %d: number %d, want %d", c.desired, c.shared, d.Number, c.want[i])
			}
		}
	}
	if err := p.Shadows(t.Context()); err != nil {
		t.Fatal(err)
	}
	if sent := l.take1(); len(sent) != 1 || sent[0].Receiver != wire.All || len(sent[0].Shadows.List) != 1 {
		t.Errorf("sent %+v", sent)
	}
}

// TestRepair sends again to a router that fell behind, ever less often, and stops when
// it has caught up.
func TestRepair(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		p, s, l := newPusher(t)
		s.set(1, 0)
		ctx, cancel := context.WithCancel(t.Context())
		ended := make(chan error, 1)
		go func() { ended <- p.Run(ctx) }()
		after := func(d time.Duration) int { time.Sleep(d); synctest.Wait(); return len(l.take1()) }
		if n := after(repairEvery + time.Second); n != 0 {
			t.Errorf("sent %d times although it was sent just now", n)
		}
		if n := after(firstWait + repairEvery); n != 1 {
			t.Errorf("sent %d times, want once", n)
		}
		if n := after(24 * time.Hour); n < 100 || n > 24*6+20 {
			t.Errorf("sent %d times in a day, want about every %s", n, mostWait)
		}
		s.set(1, 1)
		if n := after(24 * time.Hour); n != 0 {
			t.Errorf("sent %d times to a router that has it", n)
		}
		cancel()
		<-ended
	})
}

// crowd is a store of many routers, all of them behind, that names them in pages as
// core/store does: each goes on where the last one ended.
type crowd struct {
	shelf
	behind []cordon.Lag // by id
	from   int
}

func (c *crowd) Behind(_ context.Context, limit int) ([]cordon.Lag, error) {
	if c.from > len(c.behind) {
		c.from = 0
	}
	page := append([]cordon.Lag(nil), c.behind[c.from:min(c.from+limit, len(c.behind))]...)
	page = append(page, c.behind[:min(c.from, limit-len(page))]...)
	if len(page) < limit || len(page) == 0 {
		c.from = 0
		return page, nil
	}
	c.from = slices.Index(c.behind, page[limit-1]) + 1
	return page, nil
}

// TestRepairCrowd sends to everybody within an hour, however many are behind.
func TestRepairCrowd(t *testing.T) {
	for _, routers := range []int{100, batch, 600, 2 * batch, 5000} {
		synctest.Test(t, func(t *testing.T) {
			p, _, sent := newCrowd(t, routers)
			begin := time.Now()
			for len(sent) < routers && time.Since(begin) < time.Hour {
				time.Sleep(repairEvery)
				if err := p.repair(t.Context()); err != nil {
					t.Fatal(err)
				}
			}
			if len(sent) != routers {
				t.Errorf("of %d routers %d were sent what they should do", routers, len(sent))
			}
			t.Logf("%d routers were sent what they should do within %s", routers, time.Since(begin))
		})
	}
}

// TestRepairForgets remembers nobody for ever who caught up while others hold the pages
// full.
func TestRepairForgets(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		p, c, _ := newCrowd(t, 2*batch)
		turn := func(within time.Duration) {
			for begin := time.Now(); time.Since(begin) < within; time.Sleep(repairEvery) {
				if err := p.repair(t.Context()); err != nil {
					t.Fatal(err)
				}
			}
		}
		turn(time.Minute)
		if n := len(p.tries); n != 2*batch {
			t.Errorf("%d routers are remembered, %d are behind", n, 2*batch)
		}
		c.behind = c.behind[:batch]
		turn(forgetAfter + 2*mostWait)
		if n := len(p.tries); n != batch {
			t.Errorf("%d routers are remembered, %d are behind", n, batch)
		}
	})
}

func newCrowd(t *testing.T, routers int) (*Pusher, *crowd, sentTo) {
	t.Helper()
	p, _, _ := newPusher(t)
	c, sent := &crowd{}, make(sentTo)
	for i := range routers {
		id := fmt.Sprintf("r%05d", i)
		c.behind = append(c.behind, cordon.Lag{Site: id, Router: id, Desired: 1})
	}
	p.cfg.Store, p.cfg.Bus = c, sent
	return p, c, sent
}

// sentTo is a bus that counts what each router was sent.
type sentTo map[string]int

func (s sentTo) ToRouter(router, _ string, _ []byte) error { s[router]++; return nil }
func (s sentTo) ToAll(string, []byte) error                { return nil }
