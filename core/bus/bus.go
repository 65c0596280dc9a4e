package bus

import (
	"context"
	"crypto/tls"
	"crypto/x509"
	"errors"
	"fmt"
	"log/slog"
	"net/netip"
	"path/filepath"
	"runtime"
	"sync"
	"sync/atomic"
	"time"

	"github.com/nats-io/nats-server/v2/server"
	"github.com/nats-io/nats.go"
	"github.com/nats-io/nats.go/jetstream"
)

// Config configures a Bus.
type Config struct {
	Dir    string         // of the embedded server's files; required unless URL is set
	Keys   string         // directory of the keys; empty: Dir/keys. Made if they are not there and URL is empty
	Listen netip.AddrPort // where routers come to the embedded server; zero: nowhere. Port 0: any that is free
	TLS    *tls.Config    // of Listen; nil: none, on loopback only

	URL      string         // of an external cluster, several with commas between; empty: the embedded server
	CA       *x509.CertPool // who signs the certificates of the cluster's servers; nil: the system's
	Replicas int            // of streams in the cluster; 0: 1

	MaxStore       int64 // bytes that appended messages may take; 0: 4 GB
	MaxConnections int   // of the embedded server; 0: 65,536

	Now func() time.Time // nil: time.Now
	Log *slog.Logger     // nil: none

	unsafe bool // tests only: acknowledge before the disk has it
}

// ErrFull means that the store has no room: nothing was taken.
var ErrFull = errors.New("the store of the bus is full")

// Bus is a connection to the bus, and the server itself if it is embedded. Its methods
// are safe for concurrent use.
type Bus struct {
	cfg    Config
	keys   *keys
	server *server.Server // nil: external
	turns  *turnstile

	core, routers, system *nats.Conn
	js                    jetstream.JetStream

	connected connected
	revoking  revoking
	lost      atomic.Uint64 // messages that came faster than they were handled

	stop context.CancelFunc
	done sync.WaitGroup
}

// defaultStore is Config.MaxStore if it is not set.
const defaultStore = 4e9

// minWindow is the shortest duplicate window that the server takes.
const minWindow = 100 * time.Millisecond

// Open starts the embedded server, or connects to the external one, and makes the
// streams. Close it.
func Open(ctx context.Context, cfg Config) (*Bus, error) {
	if err := cfg.complete(); err != nil {
		return nil, err
	}
	if cfg.URL == "" {
		if err := MakeKeys(cfg.Keys); err != nil {
			return nil, err
		}
	}
	k, err := loadKeys(cfg.Keys)
	if err != nil {
		return nil, err
	}
	b := &Bus{cfg: cfg, keys: k, turns: newTurnstile(runtime.GOMAXPROCS(0))}
	if cfg.URL == "" {
		if b.server, err = embed(&b.cfg, k, b.turns); err != nil {
			return nil, err
		}
	}
	if err := b.connect(ctx); err != nil {
		b.Close()
		return nil, err
	}
	watching, stop := context.WithCancel(context.WithoutCancel(ctx))
	b.stop = stop
	if err := b.watch(watching); err != nil {
		b.Close()
		return nil, err
	}
	return b, nil
}

// complete checks a configuration and fills in its defaults.
func (cfg *Config) complete() error {
	if cfg.Dir == "" && (cfg.URL == "" || cfg.Keys == "") {
		return errors.New("the bus needs a directory")
	}
	if err := checkListen(cfg); err != nil {
		return err
	}
	if cfg.Keys == "" {
		cfg.Keys = filepath.Join(cfg.Dir, "keys")
	}
	if cfg.MaxStore == 0 {
		cfg.MaxStore = defaultStore
	}
	if cfg.MaxConnections == 0 {
		cfg.MaxConnections = defaultConnections
	}
	if cfg.Replicas == 0 {
		cfg.Replicas = 1
	}
	if cfg.Now == nil {
		cfg.Now = time.Now
	}
	if cfg.Log == nil {
		cfg.Log = slog.New(slog.DiscardHandler)
	}
	return nil
}

// connect makes core's connections, one into each account, and the streams.
func (b *Bus) connect(ctx context.Context) (err error) {
	if b.core, err = b.dial("core", b.keys.accounts.Core); err != nil {
		return err
	}
	if b.routers, err = b.dial("routers", b.keys.accounts.Routers); err != nil {
		return err
	}
	if b.system, err = b.dial("system", b.keys.accounts.System); err != nil {
		return err
	}
	if b.js, err = jetstream.New(b.core); err != nil {
		return fmt.Errorf("bus: %w", err)
	}
	for _, s := range streams {
		if _, err := b.js.CreateOrUpdateStream(ctx, s.config(b.cfg.MaxStore, b.cfg.Replicas)); err != nil {
			return fmt.Errorf("bus: stream %s: %w", s.name, err)
		}
	}
	return nil
}

// How core's own connections behave.
const (
	reconnectWait = 200 * time.Millisecond // between attempts
	reconnectMore = 300 * time.Millisecond // at most, by chance, on top
	corePings     = 5 * time.Second        // an external server that hangs is noticed within 15 s
)

// dial connects to an account.
func (b *Bus) dial(name, account string) (*nats.Conn, error) {
	token, sign, err := b.keys.own(account)
	if err != nil {
		return nil, err
	}
	options := []nats.Option{
		nats.Name("cordon-core " + name),
		nats.UserJWT(func() (string, error) { return token, nil }, sign),
		nats.MaxReconnects(-1), nats.ReconnectWait(reconnectWait), nats.ReconnectJitter(reconnectMore, reconnectMore),
		nats.ReconnectBufSize(-1), // what cannot be said now is an error now
		nats.PingInterval(corePings),
		nats.IgnoreAuthErrorAbort(),
		nats.ErrorHandler(func(_ *nats.Conn, _ *nats.Subscription, err error) {
			b.cfg.Log.Warn("bus", "connection", name, "err", err)
		}),
		nats.DisconnectErrHandler(func(_ *nats.Conn, err error) {
			if err != nil { // nil: closed by us
				b.cfg.Log.Warn("bus lost", "connection", name, "err", err)
			}
		}),
		nats.ReconnectHandler(func(*nats.Conn) {
			b.cfg.Log.Info("bus is back", "connection", name)
			switch name {
			case "system":
				b.connected.ask()
			case "routers":
				b.callRoll()
			}
		}),
	}
	url := b.cfg.URL
	switch {
	case b.server != nil:
		options = append(options, nats.InProcessServer(b.server))
		url = nats.DefaultURL // unused
	case b.cfg.CA != nil:
		options = append(options, nats.Secure(&tls.Config{RootCAs: b.cfg.CA, MinVersion: tls.VersionTLS12}))
	}
	c, err := nats.Connect(url, options...)
	if err != nil {
		return nil, fmt.Errorf("bus: connect to %s as %s: %w", url, name, err)
	}
	return c, nil
}

// Close ends the connections, and the server if it is embedded. What was appended is on
// disk already.
func (b *Bus) Close() {
	if b.stop != nil {
		b.stop()
	}
	for _, c := range []*nats.Conn{b.core, b.routers, b.system} {
		if c != nil {
			c.Close()
		}
	}
	b.done.Wait()
	if b.server != nil {
		b.server.Shutdown()
		b.server.WaitForShutdown()
	}
}

// Addr returns where routers come to the embedded server; zero: nowhere.
func (b *Bus) Addr() netip.AddrPort {
	if b.server == nil {
		return netip.AddrPort{}
	}
	return bound(b.server)
}

// readyWithin is how long the server may take to answer Ready and Stats.
const readyWithin = 3 * time.Second

// Ready returns an error that says why the bus cannot be used now, or nil.
func (b *Bus) Ready() error {
	for name, c := range map[string]*nats.Conn{"core": b.core, "routers": b.routers, "system": b.system} {
		if s := c.Status(); s != nats.CONNECTED {
			return fmt.Errorf("connection %s is %s", name, s)
		}
	}
	_, err := b.Stats(context.Background())
	return err
}

// Stats is what the bus holds.
type Stats struct {
	Routers  int    // connections of routers
	Messages uint64 // appended and not handled yet
	Bytes    uint64 // of them
	Busy     uint64 // connections that the embedded server sent away because too many came at once
	Lost     uint64 // messages of routers and announcements that came faster than they were handled
}

// Stats asks the server what it holds.
func (b *Bus) Stats(ctx context.Context) (Stats, error) {
	ctx, cancel := context.WithTimeout(ctx, readyWithin)
	defer cancel()
	st := Stats{Routers: b.connected.len(), Busy: b.turns.sentAway(), Lost: b.lost.Load()}
	for _, s := range streams {
		on, err := b.js.Stream(ctx, s.name)
		if err != nil {
			return st, fmt.Errorf("stream %s: %w", s.name, err)
		}
		state := on.CachedInfo().State
		st.Messages += state.Msgs
		st.Bytes += state.Bytes
	}
	return st, nil
}
