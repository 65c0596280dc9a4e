package uplink

import (
	"context"
	"crypto/tls"
	"errors"
	"fmt"
	"net"
	"net/url"
	"time"
)

// Finding is what was found about the way to core.
type Finding struct {
	OK   bool
	Text string // one sentence
	Mend string // what to do about it, one sentence; empty if OK
}

// examineWithin is how long core has to answer the doctor.
const examineWithin = 10 * time.Second

// Examine looks whether core answers, and is the one that is pinned. It works whether
// or not an agent runs, and changes nothing.
func Examine(ctx context.Context, cfg Config) Finding {
	ctx, cancel := context.WithTimeout(ctx, examineWithin)
	defer cancel()
	u, err := url.Parse(cfg.URL)
	if err != nil {
		return Finding{Text: fmt.Sprintf("core.url: %v", err), Mend: "want https://host[:port]"}
	}
	port := u.Port()
	if port == "" {
		port = "443"
	}
	d := tls.Dialer{Config: tlsConfig(cfg, u.Hostname(), func() time.Time { return later(time.Now(), cfg.Floor) })}
	conn, err := d.DialContext(ctx, "tcp", net.JoinHostPort(u.Hostname(), port))
	if err != nil {
		t := explain(err)
		return Finding{Text: t.Error(), Mend: t.mend}
	}
	if err := conn.Close(); err != nil && !errors.Is(err, net.ErrClosed) {
		return Finding{Text: fmt.Sprintf("the connection to core broke: %v", err), Mend: "try again"}
	}
	return Finding{OK: true, Text: "core answers at " + cfg.URL + " with a certificate of the CA that is pinned"}
}

// tlsConfig is how core is recognised: by the pinned CA only, and by a time at which a
// router in 1970 does not refuse it.
func tlsConfig(cfg Config, name string, now func() time.Time) *tls.Config {
	return &tls.Config{RootCAs: cfg.Roots, ServerName: name, MinVersion: tls.VersionTLS13, Time: now}
}

func (l *Uplink) tls() *tls.Config {
	return tlsConfig(l.cfg, "", func() time.Time { now, _ := l.now(); return now })
}
