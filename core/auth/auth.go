// Package auth says who somebody is and what he may see and do.
//
// A request comes in; Middleware finds its Subject by a session's cookie or a token.
// May and Scope are the one place that decides, from one table (verb.go, written out in
// docs/roles.md): what the table does not permit is denied. The rest of the package is
// how people prove who they are: passwords, passkeys, tokens, invitations, and what
// keeps strangers from guessing. Only core/api and the command line call it.
package auth

import (
	"context"
	"crypto/rand"
	"errors"
	"fmt"
	"log/slog"
	"net/http"
	"net/netip"
	"net/url"
	"time"

	"cordon"
	"cordon/core/auth/gate"
	"cordon/core/auth/passkey"
	"cordon/core/auth/password"
	"cordon/core/auth/secret"
	"cordon/core/auth/session"
	"cordon/core/auth/veil"
)

// Store keeps people and how they prove who they are. It is safe for concurrent use.
// What is not there is an error that wraps cordon.ErrNotFound.
type Store interface {
	People
	Keys
	session.Store
	Failures
	Records
	Sites
}

// People keeps users. PutUser creates at Version 0, else the Version must be the
// stored one; otherwise, and when the e-mail address is taken, the error wraps
// cordon.ErrConflict. It sets Version.
type People interface {
	User(ctx context.Context, id string) (cordon.User, error)
	UserByEmail(ctx context.Context, email string) (cordon.User, error)
	PutUser(ctx context.Context, u *cordon.User) error
	DeleteUser(ctx context.Context, id string) error // with keys and sessions
}

// Keys keeps passkeys and tokens. To touch one changes what is there, and never brings one
// back that was removed meanwhile.
type Keys interface {
	Passkeys(ctx context.Context, user string) ([]cordon.Passkey, error)
	PutPasskey(ctx context.Context, p *cordon.Passkey) error
	TouchPasskey(ctx context.Context, id, data []byte, used cordon.Time) error
	DeletePasskey(ctx context.Context, id []byte) error
	Tokens(ctx context.Context, user string) ([]cordon.Token, error)
	TokenByHash(ctx context.Context, hash [32]byte) (cordon.Token, error)
	PutToken(ctx context.Context, t *cordon.Token) error
	TouchToken(ctx context.Context, id string, used cordon.Time) error
	// DeleteToken returns an error that wraps cordon.ErrNotFound to all but one of
	// those who delete the same token: what is good for once, is.
	DeleteToken(ctx context.Context, id string) error
}

// Failures counts what went wrong, for all instances of core together.
type Failures interface {
	// CountFailure records a failure and returns how many there were in the window
	// that ends at at, with this one.
	CountFailure(ctx context.Context, key string, at cordon.Time, window time.Duration) (int, error)
	ClearFailures(ctx context.Context, key string) error
}

// Sites says whether an installer still works at a site.
type Sites interface {
	Site(ctx context.Context, id string) (cordon.Site, error)
	PutSite(ctx context.Context, s *cordon.Site) error
}

// Records keeps the record of who changed and looked at what.
type Records interface {
	Audit(ctx context.Context, a cordon.Audit) error
	Audits(ctx context.Context, scope cordon.Scope, q cordon.Query) (cordon.Page[cordon.Audit], error)
}

// Config configures an Auth. Store and URL are required.
type Config struct {
	Store    Store
	URL      string // under which people reach core: "https://cordon.example"; https makes cookies Secure
	Provider string // its name, as people read it; empty: "Cordon"
	// Key signs the cookies of known browsers and makes pseudonyms; 32 bytes, the same
	// for all instances, kept. Empty: a new one at each start.
	Key     []byte
	Proxies []netip.Prefix // whose X-Forwarded-For counts

	Idle     time.Duration // without a request a session ends; 0: 8 hours
	Absolute time.Duration // a session ends in any case; 0: 7 days
	Work     password.Work // how passwords are hashed; zero: password.Default

	// Refuse answers a request that Middleware lets no further; nil: plain text.
	Refuse func(w http.ResponseWriter, r *http.Request, err error)
	Now    func() time.Time // nil: time.Now
	Log    *slog.Logger     // nil: none
}

// Times of sessions. NIST SP 800-63B-4 §2.2.3 (AAL2) wants at most 24 hours in all and an
// hour without activity for federal systems; homes are not asked for more than a
// shop asks, and what is dangerous asks again (Fresh).
const (
	defaultIdle     = 8 * time.Hour
	defaultAbsolute = 7 * 24 * time.Hour
)

// Auth is the part of core that knows people. Its methods are safe for concurrent use.
type Auth struct {
	cfg      Config
	key      secret.Key
	secure   bool // people reach core by TLS
	sessions *session.Sessions
	passkeys *passkey.Ceremonies
	cross    *http.CrossOriginProtection
	hasher   *password.Hasher
	gates    *gate.Gates
}

// New returns an Auth. It starts nothing.
func New(cfg Config) (*Auth, error) {
	u, err := url.Parse(cfg.URL)
	switch {
	case cfg.Store == nil:
		return nil, errors.New("auth needs a store")
	case err != nil || u.Host == "" || u.Scheme != "https" && u.Scheme != "http":
		return nil, fmt.Errorf("auth: address %q: want https://host", cfg.URL)
	case len(cfg.Key) == 0:
		cfg.Key = make([]byte, 32)
		rand.Read(cfg.Key)
	case len(cfg.Key) < 32:
		return nil, fmt.Errorf("auth: key of %d bytes: want 32", len(cfg.Key))
	}
	cfg.fill()
	a := &Auth{cfg: cfg, key: cfg.Key, secure: u.Scheme == "https", gates: gate.New()}
	if a.hasher, err = password.New(cfg.Work); err != nil {
		return nil, err
	}
	origin := u.Scheme + "://" + u.Host
	a.cross = http.NewCrossOriginProtection()
	if err := a.cross.AddTrustedOrigin(origin); err != nil {
		return nil, fmt.Errorf("auth: address %q: %w", cfg.URL, err)
	}
	if a.passkeys, err = passkey.New(passkey.Config{Host: u.Hostname(), Origin: origin, Provider: cfg.Provider,
		Key: a.key.Sum("ceremony"), Once: a.once, Now: cfg.Now, Log: cfg.Log}); err != nil {
		return nil, fmt.Errorf("auth: passkeys of %s: %w", origin, err)
	}
	a.sessions = session.New(session.Config{Store: cfg.Store, Idle: cfg.Idle, Absolute: cfg.Absolute, Now: cfg.Now,
		Token: func() (string, [32]byte) { return secret.New(secret.Session) },
		Hash:  func(token string) ([32]byte, bool) { return secret.Hash(token, secret.Session) }})
	return a, nil
}

// fill sets the defaults.
func (c *Config) fill() {
	if c.Provider == "" {
		c.Provider = "Cordon"
	}
	if c.Idle <= 0 {
		c.Idle = defaultIdle
	}
	if c.Absolute <= 0 {
		c.Absolute = defaultAbsolute
	}
	if c.Now == nil {
		c.Now = time.Now
	}
	if c.Log == nil {
		c.Log = slog.New(slog.DiscardHandler)
	}
	if c.Refuse == nil {
		c.Refuse = func(w http.ResponseWriter, _ *http.Request, err error) {
			http.Error(w, http.StatusText(Status(err)), Status(err))
		}
	}
}

// Veil takes out of records what tells whose home it is, for who sees them Veiled.
func (a *Auth) Veil() veil.Veil { return veil.Veil{Sum: a.key.Sum} }

// now is the time.
func (a *Auth) now() cordon.Time { return cordon.TimeOf(a.cfg.Now()) }

// Status is the HTTP status that fits an error of this package, 500 for others.
func Status(err error) int {
	var wait *WaitError
	switch {
	case errors.As(err, &wait):
		return http.StatusTooManyRequests
	case errors.Is(err, ErrNobody), errors.Is(err, ErrCredentials):
		return http.StatusUnauthorized
	case errors.Is(err, ErrForbidden), errors.Is(err, ErrStale), errors.Is(err, ErrCrossOrigin):
		return http.StatusForbidden
	case errors.Is(err, cordon.ErrNotFound):
		return http.StatusNotFound
	case errors.Is(err, cordon.ErrConflict):
		return http.StatusConflict
	case errors.Is(err, cordon.ErrInvalid):
		return http.StatusUnprocessableEntity
	case errors.Is(err, ErrBusy):
		return http.StatusServiceUnavailable
	default:
		return http.StatusInternalServerError
	}
}

// Errors of who proves who he is.
var (
	// ErrCredentials means that they are wrong: nothing says which part.
	ErrCredentials = errors.New("wrong credentials")
	// ErrStale means that the log-in is too old for this: log in again.
	ErrStale = errors.New("log in again for this")
	// ErrBusy means that too many are logging in: try again in some seconds.
	ErrBusy = password.ErrBusy
	// ErrCrossOrigin means that another web site made the browser send the request.
	ErrCrossOrigin = errors.New("request from another site")
)

// WaitError means that too much was tried: wait for After.
type WaitError = gate.WaitError
