package live

import (
	"bytes"
	"context"
	"errors"
	"fmt"
	"io"
	"net"
	"net/netip"
	"sync"
	"time"

	"cordon/lab/netns"
	"cordon/lab/synth/message"
)

// AliveEvery is how often a bot of Mirai tells that it is alive.
const AliveEvery = 60 * time.Second

// C2 is a command server of Mirai's kind: it takes the log-in, echoes the
// keep-alives and passes on orders.
type C2 struct {
	listener net.Listener
	wait     sync.WaitGroup

	mu     sync.Mutex
	bots   map[net.Conn]string // connected, with their ids
	alive  int
	last   time.Time
	logins int
}

// StartC2 starts a command server on h. The caller calls Close.
func StartC2(h *netns.Host, at netip.AddrPort) (*C2, error) {
	l, err := h.Listen("tcp", at.String())
	if err != nil {
		return nil, fmt.Errorf("start C2: %w", err)
	}
	c := &C2{listener: l, bots: make(map[net.Conn]string)}
	serve(l, &c.wait, c.bot)
	return c, nil
}

// bot serves one bot.
func (c *C2) bot(conn net.Conn) {
	login := make([]byte, 5)
	if _, err := io.ReadFull(conn, login); err != nil || !bytes.HasPrefix(login, message.MiraiLogin()) {
		return
	}
	id := make([]byte, login[4])
	if _, err := io.ReadFull(conn, id); err != nil {
		return
	}
	c.mu.Lock()
	c.logins++
	c.bots[conn] = string(id)
	c.mu.Unlock()
	defer func() {
		c.mu.Lock()
		defer c.mu.Unlock()
		delete(c.bots, conn)
	}()
	for alive := make([]byte, 2); ; {
		if _, err := io.ReadFull(conn, alive); err != nil {
			return
		}
		c.mu.Lock()
		c.alive, c.last = c.alive+1, time.Now()
		c.mu.Unlock()
		if _, err := conn.Write(alive); err != nil {
			return
		}
	}
}

// Bots returns the ids of the bots that are connected, as far as the server knows.
func (c *C2) Bots() (ids []string) {
	c.mu.Lock()
	defer c.mu.Unlock()
	for _, id := range c.bots {
		ids = append(ids, id)
	}
	return ids
}

// Logins returns how many log-ins there were.
func (c *C2) Logins() int {
	c.mu.Lock()
	defer c.mu.Unlock()
	return c.logins
}

// Alive returns how many keep-alives came, and when the last one did.
func (c *C2) Alive() (n int, last time.Time) {
	c.mu.Lock()
	defer c.mu.Unlock()
	return c.alive, c.last
}

// Order sends bytes to all bots, such as message.MiraiCommand; Bot does not obey.
func (c *C2) Order(b []byte) {
	c.mu.Lock()
	defer c.mu.Unlock()
	for conn := range c.bots {
		_ = conn.SetWriteDeadline(time.Now().Add(time.Second))
		_, _ = conn.Write(b)
	}
}

// Close ends the server and its connections.
func (c *C2) Close() error {
	err := c.listener.Close()
	c.wait.Wait()
	return err
}

// serve gives each connection of l to a goroutine of its own until l is closed,
// which also closes the connections. It returns at once; wait is done when all
// is.
func serve(l net.Listener, wait *sync.WaitGroup, handle func(net.Conn)) {
	wait.Go(func() {
		ctx, cancel := context.WithCancel(context.Background())
		defer cancel()
		for {
			conn, err := l.Accept()
			if errors.Is(err, net.ErrClosed) {
				return
			}
			if err != nil {
				continue
			}
			wait.Go(func() {
				defer closeWith(ctx, conn)()
				handle(conn)
			})
		}
	})
}
