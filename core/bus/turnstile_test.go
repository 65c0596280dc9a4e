package bus

import (
	"crypto/tls"
	"io"
	"net"
	"slices"
	"strings"
	"sync"
	"testing"
	"testing/synctest"
	"time"

	"github.com/nats-io/nats.go"

	"cordon/lab/door"
)

// TestTurnstile lets whoever came last begin first, no faster than turns end, and sends away
// who has waited too long.
func TestTurnstile(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		const fit = int(queueFor / beginEvery)
		turns := newTurnstile(1)
		var mu sync.Mutex
		var began []int
		var last time.Duration
		come := time.Now()
		for i := range fit + 100 {
			go func() {
				err := turns.pass()
				mu.Lock()
				defer mu.Unlock()
				if err == nil {
					began, last = append(began, i), max(last, time.Since(come))
				}
			}()
			if i < 100 {
				synctest.Wait()
			}
		}
		time.Sleep(2 * queueFor)
		synctest.Wait()
		if n := len(began); n < fit || n > fit+1 || turns.sentAway() != uint64(fit+100-n) || last > queueFor+beginEvery {
			t.Errorf("%d began, the last after %v, %d were sent away", n, last, turns.sentAway())
		}
		if began[0] != 0 || slices.Contains(began[1:], 1) {
			t.Error("who came first and could not begin at once was not the one to be sent away")
		}
		if err := turns.pass(); err != nil || turns.free != 1 || turns.waiting.Len() != 0 {
			t.Errorf("when all is quiet: %v, %d turns, %d wait", err, turns.free, turns.waiting.Len())
		}
	})
}

// TestOverTLS lets a crowd in that recognises the server, and nobody without TLS.
func TestOverTLS(t *testing.T) {
	_, roots, secured := door.Certificate(t, time.Now())
	b := open(t, func(c *Config) { c.TLS = secured })
	var all sync.WaitGroup
	for range 20 {
		r := newRouter(t, b)
		all.Go(func() {
			c, err := r.dial(b, nats.Secure(&tls.Config{RootCAs: roots}), nats.Timeout(within))
			if err != nil {
				t.Error(err)
				return
			}
			defer c.Close()
			if err := c.Flush(); err != nil {
				t.Error(err)
			}
		})
	}
	all.Wait()
	conn, err := net.Dial("tcp", b.Addr().String())
	if err != nil {
		t.Fatal(err)
	}
	defer conn.Close()
	conn.SetDeadline(time.Now().Add(within))
	if _, err := io.WriteString(conn, "CONNECT {}\r\nPING\r\n"); err != nil {
		t.Fatal(err)
	}
	said, err := io.ReadAll(conn)
	if !strings.HasPrefix(string(said), "INFO ") || strings.Contains(string(said), "PONG") {
		t.Errorf("without TLS the server says %q, %v", said, err)
	}
	if st, err := b.Stats(t.Context()); err != nil || st.Busy != 0 {
		t.Errorf("%+v, %v", st, err)
	}
}
