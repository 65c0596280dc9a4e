package load

import (
	"context"
	"crypto/tls"
	"fmt"
	"io"
	"strings"
	"sync"
	"sync/atomic"
	"time"

	"github.com/nats-io/nkeys"

	"cordon/internal/pause"
	"cordon/lab/program"
)

// crowd is all routers.
type crowd struct {
	core    *program.Core
	secure  *tls.Config
	spread  time.Duration // see uplink.DefaultSpread
	routers []*router
	door    chan struct{} // holds a token for each that enrols

	connected, greeted    atomic.Int64
	sent, acked, repeated atomic.Int64 // reports
	told                  atomic.Int64 // directives
	life                  atomic.Int64 // of core: how often it was started
	waits                 times        // from sent to acknowledged, of batches

	mu    sync.Mutex
	wrong map[string]int // what failed, how often; guarded by mu
	alive sync.WaitGroup
}

// enrolAtOnce is how many routers enrol at once; more would only wait in core.
const enrolAtOnce = 64

func newCrowd(n int, core *program.Core, spread time.Duration) *crowd {
	c := &crowd{core: core, spread: spread, door: make(chan struct{}, enrolAtOnce), wrong: make(map[string]int)}
	for home := range n {
		c.routers = append(c.routers, &router{crowd: c, home: home, boot: 1, flights: make(map[uint64]*flight)})
	}
	return c
}

// version is what routers say that they run: another in each life of core, so that it can
// be told whose hello a life has heard.
func (c *crowd) version() string { return fmt.Sprintf("lab-%d", c.life.Load()) }

// list is the routers as an operator has them.
func (c *crowd) list() io.Reader {
	var b strings.Builder
	b.WriteString("serial,claim_secret,account,account_name,site,site_name,area,group,model\n")
	for h := range c.routers {
		fmt.Fprintf(&b, "%s,%s,K-%06d,Family %06d,L-%06d,Home,area-%d,group-%d,Lab\n", serial(h), secret(h), h, h, h, h%100, h%10)
	}
	return strings.NewReader(b.String())
}

// enrol lets every router enrol, and then be there until ctx is done.
func (c *crowd) enrol(ctx context.Context) error {
	roots, err := c.core.Roots()
	if err != nil {
		return err
	}
	c.secure = &tls.Config{RootCAs: roots, ServerName: "localhost", MinVersion: tls.VersionTLS13} // as agents do
	for _, r := range c.routers {
		if r.key, err = nkeys.CreateUser(); err != nil {
			return err
		}
	}
	for _, r := range c.routers {
		c.alive.Go(func() { r.run(ctx) })
	}
	c.alive.Go(func() { c.tick(ctx) })
	return nil
}

// wait returns when all routers have ended.
func (c *crowd) wait() { c.alive.Wait() }

// tick lets the routers do what is due.
func (c *crowd) tick(ctx context.Context) {
	for pause.For(ctx, time.Second) {
		now := time.Now()
		for _, r := range c.routers {
			r.tick(now)
		}
	}
}

// failed notes what went wrong.
func (c *crowd) failed(err error) {
	if err == nil {
		return
	}
	text := err.Error()
	if i := strings.LastIndex(text, ": "); i >= 0 { // what is before names addresses
		text = text[i+2:]
	}
	const most = 100 // different ones
	c.mu.Lock()
	defer c.mu.Unlock()
	if _, known := c.wrong[text]; known || len(c.wrong) < most {
		c.wrong[text]++
	}
}

// troubles says what went wrong since it was asked last.
func (c *crowd) troubles() string {
	c.mu.Lock()
	defer c.mu.Unlock()
	var all []string
	for text, n := range c.wrong {
		all = append(all, fmt.Sprintf("%d × %s", n, text))
	}
	clear(c.wrong)
	return strings.Join(all, "; ")
}

// gatherWithin is how long all may take to be there.
const gatherWithin = 10 * time.Minute

// gathered waits until every router is connected and has said hello, and core knows it.
func (c *crowd) gathered(ctx context.Context, what string, doing func(string, ...any)) error {
	ctx, cancel := context.WithTimeout(ctx, gatherWithin)
	defer cancel()
	n := int64(len(c.routers))
	for {
		is := c.connected.Load()
		doing("%d of %d routers %s", is, n, what)
		if is == n && c.greeted.Load() >= n {
			if m, err := c.core.Metrics(ctx); err == nil && int64(m["cordon_routers_connected"]) == n {
				return nil
			}
		}
		if !pause.For(ctx, 100*time.Millisecond) {
			return fmt.Errorf("%d of %d routers %s: %w; %s", c.connected.Load(), n, what, ctx.Err(), c.troubles())
		}
	}
}
