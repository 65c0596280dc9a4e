package page

import (
	"context"
	"errors"
	"io"
	"log"
	"net"
	"net/http"
	"net/netip"
	"sync"
	"time"
)

// Bounds of the server. The page is 6 KB and is asked for by few devices, all of
// which are suspect.
const (
	requestTime    = 5 * time.Second // from the connection to the last byte of the request
	answerTime     = 10 * time.Second
	maxHeader      = 8 << 10
	maxConnections = 64
	maxPerDevice   = 8 // a browser opens six at a time
)

// Serve answers on a listener until ctx is done, and closes it. The error is the
// listener's.
func (p *Page) Serve(ctx context.Context, l net.Listener) error {
	s := &http.Server{
		Handler:           p,
		ReadTimeout:       requestTime,
		ReadHeaderTimeout: requestTime,
		WriteTimeout:      answerTime,
		IdleTimeout:       time.Second,
		MaxHeaderBytes:    maxHeader,
		ErrorLog:          log.New(io.Discard, "", 0), // what devices do wrong
	}
	s.SetKeepAlivesEnabled(false)
	stop := context.AfterFunc(ctx, func() { s.Close() })
	defer stop()
	err := s.Serve(&bounded{Listener: l, held: make(map[netip.Addr]int)})
	if errors.Is(err, http.ErrServerClosed) && ctx.Err() != nil {
		return ctx.Err()
	}
	return err
}

// bounded closes connections beyond the bounds at once, so that one device that
// holds many open keeps none of the others from its page.
type bounded struct {
	net.Listener
	mu   sync.Mutex
	held map[netip.Addr]int // guarded by mu
	all  int                // guarded by mu
}

func (b *bounded) Accept() (net.Conn, error) {
	for {
		c, err := b.Listener.Accept()
		if err != nil {
			return nil, err
		}
		from, _ := netip.ParseAddrPort(c.RemoteAddr().String())
		if b.take(from.Addr()) {
			return &held{Conn: c, free: sync.OnceFunc(func() { b.give(from.Addr()) })}, nil
		}
		c.Close()
	}
}

func (b *bounded) take(from netip.Addr) bool {
	b.mu.Lock()
	defer b.mu.Unlock()
	if b.all >= maxConnections || b.held[from] >= maxPerDevice {
		return false
	}
	b.all++
	b.held[from]++
	return true
}

func (b *bounded) give(from netip.Addr) {
	b.mu.Lock()
	defer b.mu.Unlock()
	b.all--
	if b.held[from]--; b.held[from] == 0 {
		delete(b.held, from)
	}
}

// held is a connection that counts.
type held struct {
	net.Conn
	free func()
}

func (h *held) Close() error {
	h.free()
	return h.Conn.Close()
}
