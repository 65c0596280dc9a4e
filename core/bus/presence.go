package bus

import (
	"context"
	"encoding/base64"
	"encoding/json"
	"fmt"
	"strings"
	"sync"
	"time"

	"github.com/nats-io/nats.go"
)

// connection names a connection of a router: a router that comes back may have a new
// one before the server has noticed that the old one is dead.
type connection struct {
	server string
	id     uint64
}

// connected is who is connected now.
type connected struct {
	mu     sync.Mutex
	by     map[connection]string // → router; guarded by mu
	count  map[string]int        // router → its connections; guarded by mu
	gone   map[connection]bool   // ended while the list is being fetched, else nil; guarded by mu
	came   map[connection]bool   // likewise begun
	silent map[string]int        // server → lists in a row that it did not give; guarded by mu
	known  bool                  // every server has given its list once; guarded by mu
	told   map[*listener]struct{}
	fetch  chan struct{} // asks for the list; holds one
}

// listener is somebody who is told of changes. What it was not told yet is kept per
// router, the last only.
type listener struct {
	mu      sync.Mutex
	changes map[string]change // guarded by mu
	wake    chan struct{}     // holds one
}

type change struct {
	online bool
	at     time.Time
}

func (l *listener) put(router string, c change) {
	l.mu.Lock()
	l.changes[router] = c
	l.mu.Unlock()
	select {
	case l.wake <- struct{}{}:
	default:
	}
}

func (l *listener) take() map[string]change {
	l.mu.Lock()
	defer l.mu.Unlock()
	c := l.changes
	l.changes = make(map[string]change)
	return c
}

func (c *connected) len() int {
	c.mu.Lock()
	defer c.mu.Unlock()
	return len(c.count)
}

// ask has the list fetched again.
func (c *connected) ask() {
	select {
	case c.fetch <- struct{}{}:
	default:
	}
}

// begin and end note a connection. They must be called with mu held.
func (c *connected) begin(on connection, router string, at time.Time) {
	if _, ok := c.by[on]; ok {
		return
	}
	c.by[on] = router
	if c.count[router]++; c.count[router] == 1 {
		c.tell(router, change{true, at})
	}
}

func (c *connected) end(on connection, at time.Time) {
	router, ok := c.by[on]
	if !ok {
		return
	}
	delete(c.by, on)
	if c.count[router]--; c.count[router] == 0 {
		delete(c.count, router)
		c.tell(router, change{false, at})
	}
}

func (c *connected) tell(router string, ch change) {
	for l := range c.told {
		l.put(router, ch)
	}
}

// Presence calls handle with every router that is connected, then with every change,
// one call at a time, until ctx is done. Each instance of core is told everything. A
// router that comes and goes faster than handle returns may be told once.
func (b *Bus) Presence(ctx context.Context, handle func(router string, online bool, at time.Time)) error {
	c, now := &b.connected, b.cfg.Now()
	l := &listener{changes: make(map[string]change), wake: make(chan struct{}, 1)}
	c.mu.Lock()
	for router := range c.count {
		l.put(router, change{true, now})
	}
	c.told[l] = struct{}{}
	c.mu.Unlock()
	defer func() {
		c.mu.Lock()
		delete(c.told, l)
		c.mu.Unlock()
	}()
	for {
		select {
		case <-ctx.Done():
			return ctx.Err()
		case <-l.wake:
		}
		for router, ch := range l.take() {
			handle(router, ch.online, ch.at)
		}
	}
}

// Connected reports whether a router is connected now. Until known is true, it is not
// known of any router that it is not.
func (b *Bus) Connected(router string) (online, known bool) {
	c := &b.connected
	c.mu.Lock()
	defer c.mu.Unlock()
	return c.count[router] > 0, c.known
}

// came is the server's event of a connection that began or ended.
type came struct {
	Server struct {
		ID string `json:"id"`
	} `json:"server"`
	Client struct {
		ID        uint64 `json:"id"`
		IssuerKey string `json:"issuer_key"`
		JWT       string `json:"jwt"`
	} `json:"client"`
	Timestamp time.Time `json:"timestamp"`
}

// eventsWaiting is how many events may wait, so that 64 thousand routers may come at
// once.
const eventsWaiting = 128 << 10

// fetchEvery is how often the list is compared with the server's in any case.
const fetchEvery = 5 * time.Minute

// watch keeps the list of who is connected until ctx is done.
func (b *Bus) watch(ctx context.Context) error {
	b.connected.init()
	issuer, err := b.keys.routers.PublicKey()
	if err != nil {
		return fmt.Errorf("bus: %w", err)
	}
	for _, what := range []string{"CONNECT", "DISCONNECT"} {
		sub, err := b.system.Subscribe("$SYS.ACCOUNT."+b.keys.accounts.Routers+"."+what, func(m *nats.Msg) {
			b.connected.event(m.Data, issuer, strings.HasSuffix(m.Subject, ".CONNECT"))
		})
		if err == nil {
			err = sub.SetPendingLimits(eventsWaiting, -1)
		}
		if err != nil {
			return fmt.Errorf("bus: who is connected: %w", err)
		}
	}
	if err := b.system.Flush(); err != nil {
		return fmt.Errorf("bus: who is connected: %w", err)
	}
	b.done.Go(func() {
		tick := time.NewTicker(fetchEvery)
		defer tick.Stop()
		for {
			if err := b.fetch(ctx, issuer); err != nil && ctx.Err() == nil {
				b.cfg.Log.WarnContext(ctx, "who is connected is not known", "err", err)
				time.AfterFunc(time.Second, b.connected.ask)
			}
			select {
			case <-ctx.Done():
				return
			case <-tick.C:
			case <-b.connected.fetch:
			}
		}
	})
	return nil
}

func (c *connected) init() {
	c.by, c.count = make(map[connection]string), make(map[string]int)
	c.told, c.fetch = make(map[*listener]struct{}), make(chan struct{}, 1)
}

// event takes an event of the server.
func (c *connected) event(data []byte, issuer string, began bool) {
	var e came
	if err := json.Unmarshal(data, &e); err != nil {
		return // our own server: cannot be; the next list mends it
	}
	on := connection{e.Server.ID, e.Client.ID}
	c.mu.Lock()
	defer c.mu.Unlock()
	if !began {
		c.end(on, e.Timestamp)
		if c.gone != nil {
			c.gone[on] = true
		}
		return
	}
	if router := named(e.Client.JWT); router != "" && e.Client.IssuerKey == issuer {
		c.begin(on, router, e.Timestamp)
		if c.came != nil {
			c.came[on] = true
		}
	}
}

// named returns the router in a credential that the server has accepted.
func named(token string) string {
	parts := strings.Split(token, ".")
	if len(parts) != 3 {
		return ""
	}
	body, err := base64.RawURLEncoding.DecodeString(parts[1])
	if err != nil {
		return ""
	}
	var c struct {
		Name string `json:"name"`
	}
	if json.Unmarshal(body, &c) != nil || !isRouter(c.Name) {
		return ""
	}
	return c.Name
}
