package core

import (
	"context"
	"crypto/ed25519"
	"crypto/x509"
	"errors"
	"fmt"
	"log/slog"
	"net"
	"net/http"
	"os"
	"path/filepath"
	"strconv"
	"syscall"

	"cordon"
	"cordon/core/api"
	"cordon/core/api/live"
	"cordon/core/auth"
	"cordon/core/bus"
	"cordon/core/config"
	"cordon/core/fleet"
	"cordon/core/gateway"
	"cordon/core/keys"
	"cordon/core/notify"
	"cordon/core/push/agents"
	"cordon/core/store"
	"cordon/wire"
)

// Core is the program at the provider. Open it, Run it, Close it.
type Core struct {
	cfg config.Config
	log *slog.Logger

	release  func() error // the directory
	keys     *keys.Keys
	store    *store.Store
	bus      *bus.Bus
	gateway  *gateway.Gateway
	pusher   *agents.Pusher
	breaker  *fleet.Breaker
	notifier *notify.Notifier
	auth     *auth.Auth
	events   *live.Hub
	api      http.Handler
	metrics  *metrics
	doors    []*door
}

// Open opens what core keeps, makes what is not there yet, joins the parts and listens.
// Nobody is answered before Run, and nobody is let in where the configuration has no
// address. A directory is one core's. The error says what to do.
func Open(ctx context.Context, cfg config.Config, log *slog.Logger) (*Core, error) {
	if log == nil {
		log = slog.New(slog.DiscardHandler)
	}
	c := &Core{cfg: cfg, log: log, events: live.New(), metrics: newMetrics()}
	for _, open := range []func(context.Context) error{c.openDir, c.openStore, c.openBus, c.openRouters, c.openPeople, c.openDoors} {
		if err := open(ctx); err != nil {
			c.Close()
			return nil, err
		}
	}
	c.metrics.registry.MustRegister(&state{c})
	return c, nil
}

// Close closes what Open opened. Run must have returned.
func (c *Core) Close() error {
	var err error
	for _, d := range c.doors {
		d.listener.Close() // Run has, if it ran
	}
	if c.bus != nil {
		c.bus.Close()
	}
	if c.store != nil {
		err = c.store.Close()
	}
	if c.release != nil {
		err = errors.Join(err, c.release())
	}
	return err
}

// openDir claims the directory and reads the provider's identity.
func (c *Core) openDir(context.Context) (err error) {
	if c.release, err = Claim(c.cfg.Dir); err != nil {
		return err
	}
	c.keys, err = keys.Open(c.cfg.KeysDir(), c.cfg.Gateway.Hosts, nil)
	return err
}

// Claim makes a directory the caller's until release, so that no two cores write there.
func Claim(dir string) (release func() error, err error) {
	if err := os.MkdirAll(dir, 0o700); err != nil {
		return nil, fmt.Errorf("dir: %w", err)
	}
	f, err := os.OpenFile(filepath.Join(dir, "core.lock"), os.O_CREATE|os.O_RDWR, 0o600)
	if err != nil {
		return nil, fmt.Errorf("dir: %w", err)
	}
	if err := syscall.Flock(int(f.Fd()), syscall.LOCK_EX|syscall.LOCK_NB); err != nil {
		f.Close()
		return nil, fmt.Errorf("directory %s belongs to a core that runs: stop that, or name another with --dir", dir)
	}
	return f.Close, nil
}

func (c *Core) openStore(ctx context.Context) (err error) {
	c.store, err = OpenStore(ctx, c.cfg, c.log)
	return err
}

// OpenStore opens the database that a configuration names. A SQLite file that a core has
// open is refused.
func OpenStore(ctx context.Context, cfg config.Config, log *slog.Logger) (*store.Store, error) {
	return store.Open(ctx, store.Config{Database: cfg.DatabaseURL(), Policy: cfg.Policy, Log: log})
}

func (c *Core) openBus(ctx context.Context) (err error) {
	b := bus.Config{Dir: filepath.Join(c.cfg.Dir, "bus"), Keys: filepath.Join(c.cfg.KeysDir(), "bus"), Listen: c.cfg.Bus.Listen,
		TLS: c.keys.TLS(), MaxStore: c.cfg.Bus.Store, Log: c.log}
	if c.cfg.Bus.URL != "" {
		b.URL, b.Keys, b.Replicas = c.cfg.Bus.URL, c.cfg.Bus.Credentials, c.cfg.Bus.Replicas
		if b.CA, err = x509.SystemCertPool(); err != nil {
			b.CA = x509.NewCertPool()
		}
		b.CA.AppendCertsFromPEM(c.keys.CA)
	}
	c.bus, err = bus.Open(ctx, b)
	return err
}

// openRouters joins what routers say, what they are told, and who judges both.
func (c *Core) openRouters(context.Context) (err error) {
	c.pusher, err = agents.New(agents.Config{Key: c.keys.Directive, Store: c.store, Bus: c.bus, Log: c.log})
	if err != nil {
		return err
	}
	nonces, err := c.keys.Secret("gateway nonces")
	if err != nil {
		return err
	}
	public := c.keys.Directive.Public().(ed25519.PublicKey)
	c.gateway, err = gateway.New(gateway.Config{Store: c.store, Bus: c.bus, Subject: reportSubject, Servers: c.servers(),
		Keys: wire.Keys{wire.KeyID(public): public}, Hello: c.pusher.Hello, Routers: c.store.Routers, Secret: nonces, AddressRate: float64(c.cfg.Gateway.Requests),
		Count: func(reason string, n int) { c.metrics.refused.WithLabelValues(reason).Add(float64(n)) }, Log: c.log})
	if err != nil {
		return err
	}
	c.breaker, err = fleet.New(fleet.Config{Store: c.store, Census: c.census, Push: c.pusher.Shadows, Watch: !c.cfg.Breaker, Log: c.log})
	return err
}

// openPeople joins what people ask for and are told.
func (c *Core) openPeople(context.Context) (err error) {
	secret, err := c.keys.Secret("people")
	if err != nil {
		return err
	}
	url := c.cfg.PublicURL()
	c.auth, err = auth.New(auth.Config{Store: c.store, URL: url, Provider: c.cfg.API.Provider, Key: secret[:], Proxies: c.cfg.API.Proxies,
		Refuse: api.Refuse, Log: c.log})
	if err != nil {
		return err
	}
	c.notifier, err = notify.New(notify.Config{Store: c.store, Refuse: c.cfg.Webhooks.Refuse,
		Observe: func(o notify.Outcome) { c.metrics.webhooks.WithLabelValues(string(o)).Inc() }, Log: c.log})
	if err != nil {
		return err
	}
	c.api, err = api.New(api.Config{Store: people{c.store, c}, Auth: c.auth, Line: line{c}, Events: c.events, URL: url,
		Provider: c.cfg.API.Provider, Policy: c.cfg.Policy, Observe: c.metrics.request, Log: c.log})
	return err
}

// openDoors opens the doors. The socket's is for this machine's commands.
func (c *Core) openDoors(ctx context.Context) error {
	secure, err := certificate(c.cfg.API.TLSCert, c.cfg.API.TLSKey)
	if err != nil {
		return err
	}
	health := operation(c.metrics, c.checks(), c.cfg.Operation.Profile)
	for _, d := range []*door{
		{name: "api", at: c.cfg.API.Listen, handler: c.api, tls: secure, ends: c.events.End},
		{name: "gateway", at: c.cfg.Gateway.Listen, handler: c.gateway.Handler(), tls: c.keys.TLS()},
		{name: "operation", at: c.cfg.Operation.Listen, handler: health},
		{name: "socket", socket: c.cfg.Socket(), handler: c.orders(health), subject: operator},
	} {
		if d.socket == "" && !d.at.IsValid() {
			continue
		}
		if err := d.open(ctx); err != nil {
			return err
		}
		c.doors = append(c.doors, d)
	}
	return nil
}

// Addr is where a door of that name listens: "api", "gateway" or "operation"; "": it
// does not.
func (c *Core) Addr(name string) string {
	for _, d := range c.doors {
		if d.name == name {
			return d.listener.Addr().String()
		}
	}
	return ""
}

// servers is where routers are sent to stay connected.
func (c *Core) servers() []string {
	list := c.cfg.Bus.Servers
	if len(list) == 0 {
		hosts := c.cfg.Gateway.Hosts
		if len(hosts) == 0 {
			hosts = []string{"localhost"}
		}
		for _, h := range hosts {
			list = append(list, net.JoinHostPort(h, strconv.Itoa(int(c.bus.Addr().Port()))))
		}
	}
	urls := make([]string, len(list))
	for i, s := range list {
		urls[i] = "tls://" + s
	}
	return urls
}

// census tells the breaker how many homes there are.
func (c *Core) census(ctx context.Context) (fleet.Census, error) {
	n, err := c.store.Census(ctx)
	return fleet.Census(n), err
}

// firstEmail is how the first administrator logs in.
const firstEmail = "admin@localhost"

// FirstAdministrator makes an administrator if there is nobody at all; else it returns
// nil.
func (c *Core) FirstAdministrator(ctx context.Context) (*Administrator, error) {
	page, err := c.store.Users(ctx, cordon.Scope{All: true}, cordon.Query{Limit: 1})
	if err != nil || len(page.Items) > 0 {
		return nil, err
	}
	password, err := c.auth.MakeAdministrator(auth.With(ctx, operator), firstEmail, "First administrator")
	switch {
	case errors.Is(err, cordon.ErrConflict): // another core was faster
		return nil, nil
	case err != nil:
		return nil, err
	}
	return &Administrator{Email: firstEmail, Password: password}, nil
}
