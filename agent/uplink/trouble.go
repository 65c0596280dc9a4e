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
	code      string // of core's refusal
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

// codeOf returns the code of core's refusal, empty if err is none.
func codeOf(err error) string {
	if t := (*trouble)(nil); errors.As(err, &t) {
		return t.code
	}
	return ""
}

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
		return &trouble{why: "core's certificate is not signed by the CA that is pinned", mend: "check core.ca_file and core.url: another server answers, or core has a new CA", err: err}
	case errors.As(err, &host):
		return &trouble{why: "core's certificate is for another name", mend: "check core.url: use the name that the certificate is for", err: err}
	case errors.As(err, &invalid) && invalid.Reason == x509.Expired:
		return &trouble{why: "core's certificate has expired, or is not valid yet", mend: "check this router's clock, then core's certificate", err: err}
	case errors.As(err, &dns):
		return &trouble{why: "core's name cannot be resolved", mend: "check core.url, and whether this router can resolve names", err: err}
	case errors.Is(err, syscall.ECONNREFUSED):
		return &trouble{why: "nobody answers at core", mend: "check core.url and that core runs; the router tries again by itself", err: err}
	case rejected(err):
		return &trouble{why: "core refused the credential", mend: "the router asks for a new one by itself; if it stays so, ask the operator whether it is revoked", err: err}
	}
	var timeout interface{ Timeout() bool }
	if errors.Is(err, context.DeadlineExceeded) || errors.As(err, &timeout) && timeout.Timeout() || errors.Is(err, nats.ErrTimeout) {
		return &trouble{why: "core does not answer", mend: "check whether this router reaches the internet; it tries again by itself", err: err}
	}
	return &trouble{why: "the connection to core is broken", mend: "nothing, if core is being restarted: the router tries again by itself", err: err}
}

// rejected reports whether core's bus refused the credential.
func rejected(err error) bool {
	return errors.Is(err, nats.ErrAuthorization) || errors.Is(err, nats.ErrAuthExpired) || errors.Is(err, nats.ErrAuthRevoked) ||
		errors.Is(err, nats.ErrAccountAuthExpired)
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
