package config

import (
	"fmt"
	"net"
	"net/netip"
	"net/url"
	"strings"
	"time"
	"unicode"
	"unicode/utf8"

	"cordon"
	"cordon/internal/document"
)

// file is the file as it is written.
type file struct {
	Dir document.Value[string, aPath] `toml:"dir"`
	API struct {
		Listen   document.Value[netip.AddrPort, aListener] `toml:"listen"`
		URL      document.Value[string, aURL]              `toml:"url"`
		TLSCert  document.Value[string, aPathOrNone]       `toml:"tls_cert"`
		TLSKey   document.Value[string, aPathOrNone]       `toml:"tls_key"`
		Proxies  []document.Value[netip.Prefix, aPrefix]   `toml:"proxies"`
		Provider document.Value[string, document.ALabel]   `toml:"provider"`
	} `toml:"api"`
	Gateway struct {
		Listen   document.Value[netip.AddrPort, aListener] `toml:"listen"`
		Hosts    []document.Value[string, aHost]           `toml:"hosts"`
		Requests document.Value[int, requests]             `toml:"requests_per_address"`
	} `toml:"gateway"`
	Bus struct {
		Listen      document.Value[netip.AddrPort, aListener] `toml:"listen"`
		Servers     []document.Value[string, aServer]         `toml:"servers"`
		URL         document.Value[string, aBusURL]           `toml:"url"`
		Credentials document.Value[string, aPathOrNone]       `toml:"credentials"`
		Replicas    document.Value[int, replicas]             `toml:"replicas"`
		Store       document.Value[int64, megabytes]          `toml:"store_mb"`
	} `toml:"bus"`
	Database struct {
		URL document.Value[string, aDatabase] `toml:"url"`
	} `toml:"database"`
	Policy struct {
		Default document.Value[cordon.Policy, aPolicy] `toml:"default"`
	} `toml:"policy"`
	Retention struct {
		Detections document.Value[time.Duration, days] `toml:"detections"`
		Incidents  document.Value[time.Duration, days] `toml:"incidents"`
		Actions    document.Value[time.Duration, days] `toml:"actions"`
		Devices    document.Value[time.Duration, days] `toml:"devices"`
		Summaries  document.Value[time.Duration, days] `toml:"summaries"`
		Audit      document.Value[time.Duration, days] `toml:"audit"`
	} `toml:"retention_days"`
	Breaker struct {
		Enabled *bool `toml:"enabled"`
	} `toml:"breaker"`
	Webhooks struct {
		Refuse []document.Value[netip.Prefix, aPrefix] `toml:"refuse"`
	} `toml:"webhooks"`
	Operation struct {
		Listen  document.Value[netip.AddrPort, aListener] `toml:"listen"`
		Profile bool                                      `toml:"profile"`
	} `toml:"operation"`
	Log struct {
		Level  document.Value[document.Level, document.ALevel]   `toml:"level"`
		Format document.Value[document.Format, document.AFormat] `toml:"format"`
	} `toml:"log"`
}

// config returns the defaults with what the file says.
func (d *file) config() Config {
	c := Default()
	d.Dir.Set(&c.Dir)
	d.API.Listen.Set(&c.API.Listen)
	d.API.URL.Set(&c.API.URL)
	d.API.TLSCert.Set(&c.API.TLSCert)
	d.API.TLSKey.Set(&c.API.TLSKey)
	c.API.Proxies = document.List(d.API.Proxies)
	d.API.Provider.Set(&c.API.Provider)
	d.Gateway.Listen.Set(&c.Gateway.Listen)
	c.Gateway.Hosts = document.List(d.Gateway.Hosts)
	d.Gateway.Requests.Set(&c.Gateway.Requests)
	d.Bus.Listen.Set(&c.Bus.Listen)
	c.Bus.Servers = document.List(d.Bus.Servers)
	d.Bus.URL.Set(&c.Bus.URL)
	d.Bus.Credentials.Set(&c.Bus.Credentials)
	d.Bus.Replicas.Set(&c.Bus.Replicas)
	d.Bus.Store.Set(&c.Bus.Store)
	d.Database.URL.Set(&c.Database)
	d.Policy.Default.Set(&c.Policy)
	r := &d.Retention
	r.Detections.Set(&c.Retention.Detections)
	r.Incidents.Set(&c.Retention.Incidents)
	r.Actions.Set(&c.Retention.Actions)
	r.Devices.Set(&c.Retention.Devices)
	r.Summaries.Set(&c.Retention.Summaries)
	r.Audit.Set(&c.Retention.Audit)
	if d.Breaker.Enabled != nil {
		c.Breaker = *d.Breaker.Enabled
	}
	c.Webhooks.Refuse = document.List(d.Webhooks.Refuse)
	d.Operation.Listen.Set(&c.Operation.Listen)
	c.Operation.Profile = d.Operation.Profile
	d.Log.Level.Set(&c.Log.Level)
	d.Log.Format.Set(&c.Log.Format)
	return c
}

// The rules.
type (
	aPath       struct{}
	aPathOrNone struct{}
	aListener   struct{}
	aURL        struct{}
	aBusURL     struct{}
	aDatabase   struct{}
	aPrefix     struct{}
	aHost       struct{}
	aServer     struct{}
	aPolicy     struct{}
	replicas    struct{}
	requests    struct{}
	megabytes   struct{}
	days        struct{}
)

func (aPath) Read(s string) (string, error) {
	if s == "" || strings.ContainsRune(s, 0) {
		return "", fmt.Errorf("no path %q: want one, or leave the key out", s)
	}
	return s, nil
}

func (aPathOrNone) Read(s string) (string, error) {
	if s == "" {
		return "", nil
	}
	return aPath{}.Read(s)
}

func (aListener) Read(s string) (netip.AddrPort, error) {
	a, err := netip.ParseAddrPort(s)
	if err != nil {
		return a, fmt.Errorf("no address to listen at %q: want one such as 127.0.0.1:8080, 0.0.0.0:8443 or [::]:4222", s)
	}
	return a, nil
}

func (aURL) Read(s string) (string, error) {
	if s == "" {
		return "", nil
	}
	u, err := url.Parse(s)
	if err != nil || u.Scheme != "https" && u.Scheme != "http" || u.Host == "" || u.User != nil || u.RawQuery != "" || len(s) > 512 {
		return "", fmt.Errorf("no address %q: want one such as https://home.provider.example", s)
	}
	return strings.TrimSuffix(s, "/"), nil
}

func (aBusURL) Read(s string) (string, error) {
	for _, one := range strings.Split(s, ",") {
		u, err := url.Parse(strings.TrimSpace(one))
		if s != "" && (err != nil || u.Scheme != "nats" && u.Scheme != "tls" || u.Host == "" || u.User != nil) {
			return "", fmt.Errorf("no bus %q: want one such as tls://bus.provider.example:4222, or several with commas", s)
		}
	}
	return s, nil
}

func (aDatabase) Read(s string) (string, error) {
	if scheme, _, found := strings.Cut(s, "://"); found && scheme != "postgres" && scheme != "postgresql" {
		return "", fmt.Errorf("no database %q: want a file, or postgres://user@host/name", scheme+"://…")
	}
	return s, nil
}

func (aPrefix) Read(s string) (netip.Prefix, error) {
	p, err := netip.ParsePrefix(s)
	if err != nil {
		return p, fmt.Errorf("no prefix %q: want one such as 192.0.2.0/24", s)
	}
	return p.Masked(), nil
}

func (aHost) Read(s string) (string, error) {
	if _, err := netip.ParseAddr(s); err == nil {
		return s, nil
	}
	odd := func(r rune) bool {
		return r != '-' && r != '.' && (r >= utf8.RuneSelf || !unicode.IsLetter(r) && !unicode.IsDigit(r))
	}
	if s == "" || len(s) > 253 || strings.ContainsFunc(s, odd) { // RFC 1035 §2.3.4
		return "", fmt.Errorf("no host %q: want a name such as gateway.provider.example, or an address", s)
	}
	return s, nil
}

func (aServer) Read(s string) (string, error) {
	host, port, err := net.SplitHostPort(s)
	if err != nil || port == "" {
		return "", fmt.Errorf("no server %q: want one such as bus.provider.example:4222", s)
	}
	_, err = aHost{}.Read(host)
	return s, err
}

func (aPolicy) Read(s string) (cordon.Policy, error) { return cordon.ParsePolicy(s) }

// maxReplicas is what a stream may have (NATS: 5).
const maxReplicas = 5

func (replicas) Read(s string) (int, error) {
	n, err := document.Number(s, "bus.replicas", 1, maxReplicas, "copies")
	return int(n), err
}

func (requests) Read(s string) (int, error) {
	n, err := document.Number(s, "gateway.requests_per_address", 1, 1_000_000, "requests a second")
	return int(n), err
}

func (megabytes) Read(s string) (int64, error) {
	n, err := document.Number(s, "bus.store_mb", 64, 1_000_000, "megabytes")
	return int64(n) * 1e6, err
}

func (days) Read(s string) (time.Duration, error) {
	n, err := document.Number(s, "retention_days", 1, 3660, "days")
	return time.Duration(n) * day, err
}
