package bus

import (
	"context"
	"fmt"
	"net"
	"os"
	"path/filepath"
	"testing"
	"time"

	"github.com/nats-io/nats-server/v2/server"
	"github.com/nats-io/nats.go"
)

// external is a server that the bus does not start itself.
type external struct {
	t    testing.TB
	conf string
	port int
	*server.Server
}

// newExternal makes keys in dir/keys and starts a server with the configuration that
// ServerConfig writes.
func newExternal(t testing.TB, dir string) *external {
	t.Helper()
	keys := filepath.Join(dir, "keys")
	if err := MakeKeys(keys); err != nil {
		t.Fatal(err)
	}
	text, err := ServerConfig(keys)
	if err != nil {
		t.Fatal(err)
	}
	e := &external{t: t, conf: filepath.Join(dir, "nats-server.conf"), port: -1}
	// Paths of the server's configuration count from its working directory.
	text += fmt.Sprintf("listen: 127.0.0.1:-1\njetstream { store_dir: %q, sync_interval: always }\n", filepath.Join(dir, "jetstream")) +
		fmt.Sprintf("resolver { type: full, dir: %q, interval: \"2m\" }\n", filepath.Join(dir, "accounts"))
	if err := os.WriteFile(e.conf, []byte(text), 0o600); err != nil {
		t.Fatal(err)
	}
	e.start()
	t.Cleanup(func() { e.stop() })
	return e
}

func (e *external) start() {
	e.t.Helper()
	o, err := server.ProcessConfigFile(e.conf)
	if err != nil {
		e.t.Fatal(err)
	}
	o.NoSigs, o.NoLog, o.Port = true, true, e.port
	if e.Server, err = server.NewServer(o); err != nil {
		e.t.Fatal(err)
	}
	go e.Server.Start()
	if !e.ReadyForConnections(within) {
		e.t.Fatal("the server does not start")
	}
	e.port = e.Addr().(*net.TCPAddr).Port
}

func (e *external) stop() {
	e.Shutdown()
	e.WaitForShutdown()
}

// TestExternal does with a server of its own what the embedded one does, and restarts it
// under core and a router: nothing is lost, both are back, and who was revoked stays so.
func TestExternal(t *testing.T) {
	dir := t.TempDir()
	e := newExternal(t, dir)
	b := open(t, func(c *Config) { c.Dir, c.Keys, c.URL = "", filepath.Join(dir, "keys"), e.ClientURL() })
	mine, revoked := newRouter(t, b), newRouter(t, b)
	heard, said, ended := make(chan string, 64), make(chan string, 64), make(chan struct{}, 1)
	c := mine.mustConnect(t, e.ClientURL())
	if _, err := c.Subscribe("to."+mine.id+".ack", func(m *nats.Msg) { heard <- string(m.Data) }); err != nil {
		t.Fatal(err)
	}
	revoked.mustConnect(t, e.ClientURL(), nats.NoReconnect(), nats.ClosedHandler(func(*nats.Conn) { ended <- struct{}{} }))
	if err := b.Revoke(t.Context(), revoked.key); err != nil {
		t.Fatal(err)
	}
	receive(t, ended, "the end of the revoked router's connection")
	background(t, func(ctx context.Context) error {
		return b.FromRouters(ctx, "report", func(_ string, data []byte) { said <- string(data) })
	})
	eventually(t, "the router's presence", func() bool { online, known := b.Connected(mine.id); return online && known })
	for i := range 100 {
		if err := b.Append(t.Context(), "core.report", fmt.Append(nil, i)); err != nil {
			t.Fatal(err)
		}
	}

	e.stop()
	// Each of core's connections notices by itself.
	eventually(t, "core to notice", func() bool { return b.Ready() != nil })
	eventually(t, "an error of what is said", func() bool { return b.ToRouter(mine.id, "ack", nil) != nil })
	e.start()

	eventually(t, "core to be back", func() bool { return b.Ready() == nil })
	eventually(t, "the router to be back", c.IsConnected)
	eventually(t, "its presence", func() bool { online, _ := b.Connected(mine.id); return online })
	if err := c.Publish("from."+mine.id+".report", []byte("after")); err != nil {
		t.Fatal(err)
	}
	if got := receive(t, said, "a report after the restart"); got != "after" {
		t.Errorf("heard %q", got)
	}
	if err := b.ToRouter(mine.id, "ack", []byte("7")); err != nil {
		t.Fatal(err)
	}
	if got := receive(t, heard, "an ack after the restart"); got != "7" {
		t.Errorf("heard %q", got)
	}
	if c, err := revoked.connect(e.ClientURL(), nats.MaxReconnects(0)); err == nil {
		c.Close()
		t.Error("a revoked router was let in after a restart")
	}
	seen := make(map[string]int)
	done := make(chan struct{})
	background(t, func(ctx context.Context) error {
		return b.Consume(ctx, "ingest", "core.report", func(_ context.Context, m [][]byte) error {
			for _, d := range m {
				if seen[string(d)]++; len(seen) == 100 && seen[string(d)] == 1 {
					close(done)
				}
			}
			return nil
		})
	})
	receive(t, done, "everything that was appended")
}

// TestConsumeThroughRestart restarts the server while messages are appended and handled.
func TestConsumeThroughRestart(t *testing.T) {
	dir := t.TempDir()
	e := newExternal(t, dir)
	b := open(t, func(c *Config) { c.Dir, c.Keys, c.URL = "", filepath.Join(dir, "keys"), e.ClientURL() })
	handled := make(chan string, 4096)
	background(t, func(ctx context.Context) error {
		return b.Consume(ctx, "ingest", "core.report", func(_ context.Context, m [][]byte) error {
			for _, d := range m {
				handled <- string(d)
			}
			return nil
		})
	})
	taken := make(map[string]bool)
	for i := range 300 {
		if i == 100 || i == 200 {
			e.stop()
			e.start()
		}
		for { // as the gateway's routers do
			ctx, cancel := context.WithTimeout(t.Context(), 2*time.Second)
			err := b.Append(ctx, "core.report", fmt.Append(nil, i))
			cancel()
			if err == nil {
				break
			}
			if t.Context().Err() != nil {
				t.Fatal(err)
			}
		}
		taken[fmt.Sprint(i)] = true
	}
	for len(taken) > 0 {
		delete(taken, receive(t, handled, fmt.Sprintf("%d messages", len(taken))))
	}
}
