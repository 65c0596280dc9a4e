// Package config reads core's configuration file.
//
// TOML comes in, a Config of valid values goes out. A key that is not known is an
// error that names the line, and so is a value that cannot be. What the file leaves
// out has its default, so an empty file is a whole configuration: a core for one
// machine that only this machine reaches. reference.toml lists every key.
package config

import (
	_ "embed"
	"errors"
	"fmt"
	"io"
	"net/netip"
	"net/url"
	"os"
	"path/filepath"
	"strings"
	"time"

	"cordon"
	"cordon/internal/document"
)

// Path is where the configuration is looked for when nobody says where.
const Path = "/etc/cordon/core.toml"

// Config is core's configuration. Default has every default.
type Config struct {
	Dir       string // keys, bus and database live below it
	API       API
	Gateway   Gateway
	Bus       Bus
	Database  string // path of a SQLite file, or postgres://…; empty: Dir/core.db
	Policy    cordon.Policy
	Retention cordon.Retention
	Breaker   bool // whether the circuit breaker acts by itself
	Webhooks  Webhooks
	Operation Operation
	Log       Log
}

// API configures the door of people and their programs.
type API struct {
	Listen   netip.AddrPort
	URL      string // under which people reach it; empty: http://Listen
	TLSCert  string // file, PEM; empty: no TLS
	TLSKey   string
	Proxies  []netip.Prefix // whose X-Forwarded-For counts
	Provider string         // name of the provider, as people read it
}

// Gateway configures the routers' door.
type Gateway struct {
	Listen netip.AddrPort
	Hosts  []string // names and addresses under which routers reach it, besides localhost
	// Requests is how many requests a second one address may make there. Many homes may
	// share one, behind a carrier's translation of addresses.
	Requests int
}

// Bus configures what routers stay connected to.
type Bus struct {
	Listen      netip.AddrPort // of the embedded server
	Servers     []string       // where routers are sent: "host:port"; empty: the gateway's hosts and Listen's port
	URL         string         // of an external cluster; empty: the embedded server
	Credentials string         // directory with its credentials, made by 'cordon-core bus'
	Replicas    int            // copies of what reports take, on servers of that cluster
	Store       int64          // bytes that reports may take while the database is away
}

// Webhooks configures how customers' programs are told.
type Webhooks struct {
	Refuse []netip.Prefix // networks that no webhook may reach, besides all that are not public
}

// Operation configures the page of health and metrics.
type Operation struct {
	Listen  netip.AddrPort
	Profile bool // whether /debug/pprof answers there, for who looks for what costs time
}

// Log configures what is logged, to standard error.
type Log = document.Log

// day is 24 hours.
const day = 24 * time.Hour

// Default returns the configuration of an empty file.
func Default() Config {
	local := func(port uint16) netip.AddrPort {
		return netip.AddrPortFrom(netip.AddrFrom4([4]byte{127, 0, 0, 1}), port)
	}
	return Config{
		Dir:       "data",
		API:       API{Listen: local(8080), Provider: "Your provider"},
		Gateway:   Gateway{Listen: local(8443), Requests: 20},
		Bus:       Bus{Listen: local(4222), Replicas: 1, Store: 4e9},
		Policy:    cordon.PolicyObserve,
		Retention: cordon.Retention{Detections: 90 * day, Incidents: 365 * day, Actions: 365 * day, Devices: 180 * day, Summaries: 30 * day, Audit: 730 * day},
		Breaker:   true,
		Operation: Operation{Listen: local(8081)},
		Log:       Log{Level: document.LevelInfo, Format: document.FormatText},
	}
}

// PublicURL returns the address under which people reach the API.
func (c *Config) PublicURL() string {
	switch {
	case c.API.URL != "":
		return c.API.URL
	case c.API.TLSCert != "":
		return "https://" + c.API.Listen.String()
	case c.API.Listen.Addr().IsLoopback(): // browsers give passkeys to names only
		return fmt.Sprintf("http://localhost:%d", c.API.Listen.Port())
	default:
		return "http://" + c.API.Listen.String()
	}
}

// KeysDir is where the provider's identity lives.
func (c *Config) KeysDir() string { return filepath.Join(c.Dir, "keys") }

// Socket is where a core that runs takes orders from its own machine.
func (c *Config) Socket() string { return filepath.Join(c.Dir, "core.sock") }

// DatabaseURL is the database, with its default.
func (c *Config) DatabaseURL() string {
	if c.Database != "" {
		return c.Database
	}
	return filepath.Join(c.Dir, "core.db")
}

// Postgres reports whether the database is PostgreSQL, else it is a file of SQLite's.
func (c *Config) Postgres() bool { return strings.Contains(c.Database, "://") }

// Reference is a configuration file with every key, its meaning and its default.
//
//go:embed reference.toml
var Reference string

// Load reads the configuration from a file.
func Load(path string) (Config, error) {
	f, err := os.Open(path)
	if err != nil {
		return Config{}, fmt.Errorf("configuration: %w", err)
	}
	defer f.Close()
	cfg, err := Parse(f)
	if err != nil {
		return Config{}, fmt.Errorf("configuration %s: %w", path, err)
	}
	return cfg, nil
}

// Parse reads a configuration. Its error names the line and the key, and what to do.
func Parse(r io.Reader) (Config, error) {
	var d file
	if err := document.Decode(r, &d, "cordon-core config"); err != nil {
		return Config{}, err
	}
	c := d.config()
	return c, c.Check()
}

// Check refuses what no single value shows to be wrong.
func (c *Config) Check() error {
	if (c.API.TLSCert == "") != (c.API.TLSKey == "") {
		return errors.New("api.tls_cert and api.tls_key belong together: name both, or none")
	}
	u, err := url.Parse(c.PublicURL())
	if err != nil {
		return fmt.Errorf("api.url: %w", err)
	}
	if !c.API.Listen.Addr().IsLoopback() && c.API.TLSCert == "" && u.Scheme != "https" {
		return fmt.Errorf("api.listen %s is reached from other machines without encryption: name api.tls_cert and api.tls_key, "+
			"or, behind a proxy that encrypts, the https address of that as api.url", c.API.Listen)
	}
	if c.Bus.URL != "" && c.Bus.Credentials == "" {
		return errors.New("bus.url needs bus.credentials: 'cordon-core bus' makes them and the servers' configuration")
	}
	return nil
}
