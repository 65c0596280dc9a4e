package bus

import (
	"context"
	"errors"
	"fmt"
	"log/slog"
	"net"
	"net/netip"
	"os"
	"path/filepath"
	"time"

	"github.com/nats-io/jwt/v2"
	"github.com/nats-io/nats-server/v2/server"

	"cordon/internal/medium"
)

// How the embedded server treats connections.
const (
	// handshake is how long TLS and log-in may take, each: as long as an agent waits for both
	// (agent/uplink). Of 18,000 routers that return at once to two processors the last needs
	// half of that (docs/reference/bus.md).
	handshake = 45 * time.Second
	// pingEvery and pingsLost say when a silent router is gone: within 90 s.
	pingEvery = 30 * time.Second
	pingsLost = 2
	// maxPending is what may wait for a connection that reads too slowly, in bytes.
	maxPending = 32 << 20
	// writeWithin is how long a connection may refuse to read.
	writeWithin = 10 * time.Second
	// defaultConnections is the most routers of one server.
	defaultConnections = 64 << 10
	// spareStore is what the server may use beyond the streams, in bytes.
	spareStore  = 64 << 20
	startWithin = 30 * time.Second
)

// embed starts a server in this process.
func embed(cfg *Config, k *keys, turns *turnstile) (*server.Server, error) {
	operator, err := jwt.DecodeOperatorClaims(k.operator)
	if err != nil {
		return nil, fmt.Errorf("embedded server: operator: %w", err)
	}
	accounts, err := resolver(filepath.Join(cfg.Dir, "accounts"), k)
	if err != nil {
		return nil, err
	}
	name, err := os.Hostname()
	if err != nil || name == "" {
		name = "core"
	}
	secured := cfg.TLS
	if secured != nil {
		secured = turns.guard(secured)
	}
	o := &server.Options{
		ServerName: name, NoSigs: true, NoLog: true,
		DontListen:       !cfg.Listen.IsValid(),
		TLSConfig:        secured,
		TLSTimeout:       handshake.Seconds(),
		AuthTimeout:      (2 * handshake).Seconds(),
		PingInterval:     pingEvery,
		MaxPingsOut:      pingsLost,
		MaxPending:       maxPending,
		MaxPayload:       maxMessage,
		MaxConn:          cfg.MaxConnections,
		WriteDeadline:    writeWithin,
		TrustedOperators: []*jwt.OperatorClaims{operator},
		SystemAccount:    k.accounts.System,
		AccountResolver:  accounts,

		JetStream:              true,
		StoreDir:               cfg.Dir,
		JetStreamMaxMemory:     16 << 20,
		JetStreamMaxStore:      cfg.MaxStore + spareStore,
		SyncAlways:             !cfg.unsafe,
		DisableJetStreamBanner: true,
	}
	if cfg.Listen.IsValid() {
		o.Host, o.Port = cfg.Listen.Addr().String(), int(cfg.Listen.Port())
		if o.Port == 0 {
			o.Port = server.RANDOM_PORT
		}
	}
	s, err := server.NewServer(o)
	if err != nil {
		return nil, fmt.Errorf("embedded server: %w", err)
	}
	s.SetLoggerV2(&natsLog{cfg.Log}, false, false, false)
	go s.Start()
	if !s.ReadyForConnections(startWithin) {
		s.Shutdown()
		return nil, fmt.Errorf("embedded server: not ready within %s; is %s taken?", startWithin, cfg.Listen)
	}
	return s, nil
}

// resolver is where the server finds the accounts. What is revoked stays so; everything
// else is written as this version of the program wants it.
func resolver(dir string, k *keys) (*server.DirAccResolver, error) {
	if err := os.MkdirAll(dir, 0o700); err != nil {
		return nil, fmt.Errorf("embedded server: %w", err)
	}
	r, err := server.NewDirAccResolver(dir, 0, time.Hour, server.NoDelete)
	if err != nil {
		return nil, fmt.Errorf("embedded server: accounts: %w", err)
	}
	for _, public := range []string{k.accounts.System, k.accounts.Core, k.accounts.Routers} {
		var revoked jwt.RevocationList
		if old, err := r.Fetch(public); err == nil {
			if c, err := jwt.DecodeAccountClaims(old); err == nil {
				revoked = c.Revocations
			}
		}
		token, err := k.account(public, revoked)
		if err != nil {
			return nil, err
		}
		if err := r.Store(public, token); err != nil {
			return nil, fmt.Errorf("embedded server: accounts: %w", err)
		}
	}
	return r, medium.Sync(dir)
}

// bound returns where the embedded server listens.
func bound(s *server.Server) netip.AddrPort {
	if a, ok := s.Addr().(*net.TCPAddr); ok && a != nil {
		return a.AddrPort()
	}
	return netip.AddrPort{}
}

// natsLog passes the server's own lines on. What it notices is of interest to who looks
// for an error only: which router came and went is told by Presence.
type natsLog struct{ log *slog.Logger }

func (l *natsLog) say(level slog.Level, format string, v []any) {
	if l.log.Enabled(context.Background(), level) {
		l.log.Log(context.Background(), level, "nats", "line", fmt.Sprintf(format, v...))
	}
}

func (l *natsLog) Noticef(format string, v ...any) { l.say(slog.LevelDebug, format, v) }
func (l *natsLog) Warnf(format string, v ...any)   { l.say(slog.LevelWarn, format, v) }
func (l *natsLog) Errorf(format string, v ...any)  { l.say(slog.LevelDebug, format, v) } // also what a router did wrong
func (l *natsLog) Fatalf(format string, v ...any)  { l.say(slog.LevelError, format, v) }
func (l *natsLog) Debugf(format string, v ...any)  {}
func (l *natsLog) Tracef(format string, v ...any)  {}

// checkListen refuses to let routers in without encryption from other machines.
func checkListen(cfg *Config) error {
	if cfg.Listen.IsValid() && cfg.TLS == nil && !cfg.Listen.Addr().IsLoopback() {
		return errors.New("routers from other machines need TLS")
	}
	return nil
}
