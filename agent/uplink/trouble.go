package uplink

import (
	"context"
	"crypto/x509"
	"errors"
	"net"
	"syscall"
	"time"

	"github.com/nats-io/nats.go"
)

// trouble is why core is not reached, with what to do about it.
type trouble struct {
	why, mend string
	patience  time.Duration // least time before the next try; 0: the back-off's
	err       error
}

func (t *trouble) Error() string {
	if t.err != nil {
		return t.why + ": " + t.err.Error()
	}
	return t.why
}

func (t *trouble) Unwrap() error { return t.err }

// refusedFor is how long a router waits that core does not want: a person has to do
// something first.
const refusedFor = time.Minute

// patience returns the least time to wait after an error.
func patience(err error) time.Duration {
	if t := (*trouble)(nil); errors.As(err, &t) {
		return t.patience
	}
	return 0
}

// explain makes a trouble of an error of the network, of TLS or of the bus.
func explain(err error) *trouble {
	var t *trouble
	var dns *net.DNSError
	var authority x509.UnknownAuthorityError
	var host x509.HostnameError
	var invalid x509.CertificateInvalidError
	switch {
	case errors.As(err, &t):
		return t
	case errors.As(err, &authority):
		return &trouble{"core's certificate is not signed by the CA that is pinned", "check core.ca_file and core.url: another server answers, or core has a new CA", 0, err}
	case errors.As(err, &host):
		return &trouble{"core's certificate is for another name", "check core.url: use the name that the certificate is for", 0, err}
	case errors.As(err, &invalid) && invalid.Reason == x509.Expired:
		return &trouble{"core's certificate has expired, or is not valid yet", "check this router's clock, then core's certificate", 0, err}
	case errors.As(err, &dns):
		return &trouble{"core's name cannot be resolved", "check core.url, and whether this router can resolve names", 0, err}
	case errors.Is(err, syscall.ECONNREFUSED):
		return &trouble{"nobody answers at core", "check core.url and that core runs; the router tries again by itself", 0, err}
	case errors.Is(err, nats.ErrAuthorization), errors.Is(err, nats.ErrAuthExpired), errors.Is(err, nats.ErrAuthRevoked),
		errors.Is(err, nats.ErrAccountAuthExpired):
		return &trouble{"core refused the credential", "the router asks for a new one by itself; if it stays so, ask the operator whether it is revoked", 0, err}
	}
	var timeout interface{ Timeout() bool }
	if errors.Is(err, context.DeadlineExceeded) || errors.As(err, &timeout) && timeout.Timeout() || errors.Is(err, nats.ErrTimeout) {
		return &trouble{"core does not answer", "check whether this router reaches the internet; it tries again by itself", 0, err}
	}
	return &trouble{"the connection to core is broken", "nothing, if core is being restarted: the router tries again by itself", 0, err}
}

// failed notes why the line does not stand.
func (l *Uplink) failed(err error) {
	t := explain(err)
	l.note(func(s *Status) {
		s.State = StateAway
		if l.id.Router == "" {
			s.State = StateEnrolling
		}
		if s.Why != t.why {
			l.log.Warn("core is away", "why", t.why, "err", t.err)
		}
		s.Why, s.Mend = t.why, t.mend
	})
}
