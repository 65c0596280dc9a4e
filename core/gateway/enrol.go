package gateway

import (
	"context"
	"crypto/hmac"
	"crypto/rand"
	"crypto/sha256"
	"encoding/base64"
	"encoding/binary"
	"encoding/json"
	"errors"
	"fmt"
	"io"
	"math"
	"net"
	"net/http"
	"net/netip"
	"time"

	"github.com/nats-io/nkeys"
	"golang.org/x/time/rate"

	"cordon"
	"cordon/internal/text"
	"cordon/wire"
)

// What one address and one serial may ask for. A router asks for four things when it
// enrols and for two each twelve hours; many routers may come from one address.
const (
	perAddress   = 20       // requests a second
	addressTimes = 10       // seconds of them at once
	perGuesser   = 1.0 / 30 // claims a second for one serial from one address: nobody tries secrets
	guessBurst   = 5
	perSerial    = 1.0 // claims a second for one serial from anywhere
	serialBurst  = 30
	auditPer     = 1000.0 / 3600 // lines of the record a second about what was refused
	auditBurst   = 1000

	nonceLife = 2 * time.Minute
	maxSerial = 128 // bytes
	maxAbout  = 64  // bytes of a model or version

	atOnce    = 64 // requests that are worked on; each needs the store
	queueFor  = 5 * time.Second
	bodyFor   = 10 * time.Second // to send a body
	busyRetry = "30"             // seconds after which to try again
)

// door is what the HTTPS server remembers.
type door struct {
	secret    [32]byte // of the nonces, which need no memory
	addresses *limits
	guessers  *limits // by serial and address
	serials   *limits
	audits    *rate.Limiter
	working   chan struct{} // holds a token for each request that is worked on
}

func (d *door) init(cfg *Config) error {
	d.addresses = newLimits(rate.Limit(cfg.AddressRate), int(math.Ceil(addressTimes*cfg.AddressRate)))
	d.guessers, d.serials = newLimits(perGuesser, guessBurst), newLimits(perSerial, serialBurst)
	d.audits = rate.NewLimiter(auditPer, auditBurst)
	d.working = make(chan struct{}, atOnce)
	if d.secret = cfg.Secret; d.secret != [32]byte{} {
		return nil
	}
	_, err := rand.Read(d.secret[:])
	return err
}

// work waits until a request may be worked on. Call done at its end.
func (d *door) work(ctx context.Context) (done func(), err error) {
	timer := time.NewTimer(queueFor)
	defer timer.Stop()
	select {
	case d.working <- struct{}{}:
		return func() { <-d.working }, nil
	case <-timer.C:
		return nil, refuse(wire.RefusedBusy, "too many requests at once")
	case <-ctx.Done():
		return nil, ctx.Err()
	}
}

// claims reports whether somebody may show a claim for a serial now.
func (d *door) claims(serial, addr string, now time.Time) bool {
	return d.guessers.allow(serial+" "+addr, 1, now) && d.serials.allow(serial, 1, now)
}

// nonce makes what the next request of a name has to be bound to: the time, and a mark
// that only this gateway can make.
func (d *door) nonce(name string, now time.Time) string {
	b := binary.BigEndian.AppendUint64(nil, uint64(now.UnixNano()))
	return base64.RawURLEncoding.EncodeToString(append(b, d.mark(name, b)...))
}

func (d *door) mark(name string, at []byte) []byte {
	m := hmac.New(sha256.New, d.secret[:])
	m.Write(at)
	io.WriteString(m, name)
	return m.Sum(nil)[:16]
}

// fresh reports whether a nonce was made for that name a moment ago.
func (d *door) fresh(name, nonce string, now time.Time) bool {
	b, err := base64.RawURLEncoding.DecodeString(nonce)
	if err != nil || len(b) != 24 || !hmac.Equal(b[8:], d.mark(name, b[:8])) {
		return false
	}
	age := now.Sub(time.Unix(0, int64(binary.BigEndian.Uint64(b))))
	return age >= 0 && age < nonceLife
}

// Handler is the HTTPS side of the door.
func (g *Gateway) Handler() http.Handler {
	mux := http.NewServeMux()
	mux.HandleFunc("GET "+wire.PathTime, func(w http.ResponseWriter, _ *http.Request) {
		reply(w, wire.Clock{Now: cordon.TimeOf(g.cfg.Now())})
	})
	mux.HandleFunc("POST "+wire.PathChallenge, entry(g, g.challenge))
	mux.HandleFunc("POST "+wire.PathEnrol, entry(g, g.enrol))
	mux.HandleFunc("POST "+wire.PathRenew, entry(g, g.renew))
	return mux
}

// refusal is an error that a router is told.
type refusal struct {
	code   string
	err    error // what only the operator is told
	proven bool  // whoever was refused holds the claim
}

func (r *refusal) Error() string { return r.err.Error() }

func refuse(code, format string, args ...any) error {
	return &refusal{code: code, err: fmt.Errorf(format, args...)}
}

// statuses of refusals.
var statuses = map[string]int{wire.RefusedRequest: http.StatusBadRequest, wire.RefusedClaim: http.StatusForbidden,
	wire.RefusedRevoked: http.StatusForbidden, wire.RefusedNonce: http.StatusConflict, wire.RefusedBusy: http.StatusTooManyRequests,
	wire.RefusedFailed: http.StatusServiceUnavailable}

// What a router, and whoever else asks, is told. It does not say which serials exist.
var messages = map[string]string{wire.RefusedRequest: "the request cannot be read", wire.RefusedClaim: "this router is not expected, or its claim is not the one that is",
	wire.RefusedRevoked: "this router was revoked", wire.RefusedNonce: "the nonce is too old", wire.RefusedBusy: "too many requests",
	wire.RefusedFailed: "core cannot answer now"}

// entry reads a request, asks f and writes its answer.
func entry[In, Out any](g *Gateway, f func(context.Context, *In) (Out, error)) http.HandlerFunc {
	return func(w http.ResponseWriter, r *http.Request) {
		var in In
		out, err := func() (out Out, err error) {
			if !g.door.addresses.allow(host(r.RemoteAddr), 1, g.cfg.Now()) {
				return out, refuse(wire.RefusedBusy, "too many requests of one address")
			}
			http.NewResponseController(w).SetReadDeadline(time.Now().Add(bodyFor)) // not every writer has one
			if err := json.NewDecoder(http.MaxBytesReader(w, r.Body, wire.MaxEnrol)).Decode(&in); err != nil {
				return out, refuse(wire.RefusedRequest, "read request: %w", err)
			}
			done, err := g.door.work(r.Context())
			if err != nil {
				return out, err
			}
			defer done()
			return f(context.WithValue(r.Context(), addrKey{}, host(r.RemoteAddr)), &in)
		}()
		if err == nil {
			reply(w, out)
			return
		}
		no := (*refusal)(nil)
		if !errors.As(err, &no) {
			no = &refusal{code: wire.RefusedFailed, err: err}
			g.cfg.Log.WarnContext(r.Context(), "router not served", "path", r.URL.Path, "err", err)
		}
		g.cfg.Count("door-"+no.code, 1)
		w.Header().Set("Content-Type", "application/json")
		if no.code == wire.RefusedBusy || no.code == wire.RefusedFailed {
			w.Header().Set("Retry-After", busyRetry)
		}
		w.WriteHeader(statuses[no.code])
		json.NewEncoder(w).Encode(wire.Refusal{Code: no.code, Message: messages[no.code]})
	}
}

type addrKey struct{}

// asker is the address of who asks.
func asker(ctx context.Context) string {
	addr, _ := ctx.Value(addrKey{}).(string)
	return addr
}

func reply(w http.ResponseWriter, v any) {
	w.Header().Set("Content-Type", "application/json")
	w.Header().Set("Cache-Control", "no-store")
	json.NewEncoder(w).Encode(v)
}

// host is who asks, for limits: an IPv6 address counts with its /64.
func host(remote string) string {
	h, _, err := net.SplitHostPort(remote)
	if err != nil {
		return remote
	}
	a, err := netip.ParseAddr(h)
	if err != nil {
		return h
	}
	if a = a.Unmap().WithZone(""); a.Is6() {
		p, _ := a.Prefix(64)
		return p.String()
	}
	return a.String()
}

func (g *Gateway) challenge(_ context.Context, c *wire.Challenge) (wire.Nonce, error) {
	if c.Serial == "" || len(c.Serial) > maxSerial {
		return wire.Nonce{}, refuse(wire.RefusedRequest, "serial of %d bytes", len(c.Serial))
	}
	now := g.cfg.Now()
	return wire.Nonce{Nonce: g.door.nonce(c.Serial, now), Now: cordon.TimeOf(now)}, nil
}

// enrol takes a router in that proves its claim.
func (g *Gateway) enrol(ctx context.Context, e *wire.Enrolment) (c wire.Credential, err error) {
	if e.Serial == "" || len(e.Serial) > maxSerial || len(e.Model) > maxAbout || len(e.Agent) > maxAbout || !nkeys.IsValidPublicUserKey(e.Key) {
		return c, refuse(wire.RefusedRequest, "serial, model, agent or key cannot be")
	}
	now := g.cfg.Now()
	if !g.door.fresh(e.Serial, e.Nonce, now) {
		return c, refuse(wire.RefusedNonce, "nonce not made here or too old")
	}
	if !g.door.claims(e.Serial, asker(ctx), now) {
		return c, refuse(wire.RefusedBusy, "too many claims for one serial")
	}
	if !proven(e.Key, wire.EnrolmentText(e.Serial, e.Key, e.Nonce), e.Proof) {
		return c, refuse(wire.RefusedRequest, "the key is not proven")
	}
	r, err := g.cfg.Store.RouterBySerial(ctx, e.Serial)
	switch {
	case errors.Is(err, cordon.ErrNotFound):
		err = refuse(wire.RefusedClaim, "nobody imported a router of this serial")
	case err != nil:
		return c, err
	default:
		err = admits(&r, e, cordon.TimeOf(now))
		if no := (*refusal)(nil); errors.As(err, &no) {
			no.proven = e.Proves(r.Claim)
		}
	}
	if err == nil && r.State != cordon.RouterEnrolled {
		err = g.adopt(ctx, &r, e.Key, now)
	}
	g.audit(ctx, "router.enrol", &r, e.Serial, err)
	if err != nil {
		return c, err
	}
	g.Forget(r.ID)
	return g.credential(r.ID, e.Key)
}

// adopt makes a router known by a key. The key that it had before a reset is off the bus
// first: it may be in somebody else's hands.
func (g *Gateway) adopt(ctx context.Context, r *cordon.Router, key string, now time.Time) error {
	if r.Key != "" && r.Key != key {
		if err := g.cfg.Bus.Revoke(ctx, r.Key); err != nil {
			return err
		}
	}
	err := g.cfg.Store.Enrol(ctx, r.ID, key, cordon.TimeOf(now))
	if errors.Is(err, cordon.ErrConflict) {
		return refuse(wire.RefusedClaim, "claimed by another meanwhile")
	}
	return err
}

// admits reports why a router may not enrol as e says.
func admits(r *cordon.Router, e *wire.Enrolment, now cordon.Time) error {
	switch {
	case !e.Proves(r.Claim): // first: who holds no claim is told nothing else
		return refuse(wire.RefusedClaim, "the claim is not the one that was imported")
	case r.State == cordon.RouterRevoked:
		return refuse(wire.RefusedRevoked, "revoked")
	case r.State == cordon.RouterEnrolled && r.Key != e.Key:
		return refuse(wire.RefusedClaim, "enrolled with another key: reset the router if it lost its own, else somebody stole its claim")
	case r.State != cordon.RouterEnrolled && r.Claim.Expires != 0 && r.Claim.Expires <= now:
		return refuse(wire.RefusedClaim, "the claim expired at %s: import the router again", r.Claim.Expires)
	}
	return nil
}

// renew gives an enrolled router its next credential.
func (g *Gateway) renew(ctx context.Context, n *wire.Renewal) (c wire.Credential, err error) {
	if n.Router == "" || len(n.Router) > maxSerial || !nkeys.IsValidPublicUserKey(n.Key) {
		return c, refuse(wire.RefusedRequest, "router or key cannot be")
	}
	if !g.door.claims(n.Router, asker(ctx), g.cfg.Now()) {
		return c, refuse(wire.RefusedBusy, "too many renewals of one router")
	}
	r, err := g.cfg.Store.Router(ctx, n.Router)
	switch {
	case errors.Is(err, cordon.ErrNotFound):
		return c, refuse(wire.RefusedClaim, "no such router")
	case err != nil:
		return c, err
	case !g.door.fresh(r.Serial, n.Nonce, g.cfg.Now()):
		return c, refuse(wire.RefusedNonce, "nonce not made here or too old")
	case r.Key != n.Key || !proven(n.Key, wire.RenewalText(n.Router, n.Key, n.Nonce), n.Proof):
		err = refuse(wire.RefusedClaim, "not the key of the router")
	case r.State == cordon.RouterRevoked:
		err = refuse(wire.RefusedRevoked, "revoked")
	case r.State != cordon.RouterEnrolled:
		err = refuse(wire.RefusedClaim, "the router was reset")
	}
	if err != nil {
		g.audit(ctx, "router.renew", &r, r.Serial, err)
		return c, err
	}
	return g.credential(r.ID, n.Key)
}

// proven reports whether the holder of an nkey signed a text.
func proven(key string, text, signature []byte) bool {
	pair, err := nkeys.FromPublicKey(key)
	return err == nil && pair.Verify(text, signature) == nil
}

func (g *Gateway) credential(router, key string) (wire.Credential, error) {
	now := g.cfg.Now()
	token, err := g.cfg.Bus.Credential(router, key, CredentialLife)
	if err != nil {
		return wire.Credential{}, err
	}
	c := wire.Credential{Router: router, JWT: token, Servers: g.cfg.Servers, Keys: make(map[string][]byte), Issued: cordon.TimeOf(now),
		Renew: cordon.TimeOf(now.Add(CredentialLife / 2)), Expires: cordon.TimeOf(now.Add(CredentialLife))}
	for id, k := range g.cfg.Keys {
		c.Keys[id] = k
	}
	return c, nil
}

// audit notes who enrolled, and who tried to. A flood of guesses cannot fill the record,
// and so cannot hide in it who holds a claim that is another's.
func (g *Gateway) audit(ctx context.Context, verb string, r *cordon.Router, serial string, err error) {
	no := (*refusal)(nil)
	if err != nil && !(errors.As(err, &no) && no.proven) && !g.door.audits.AllowN(g.cfg.Now(), 1) {
		g.cfg.Count("audit", 1)
		return
	}
	a := cordon.Audit{At: cordon.TimeOf(g.cfg.Now()), Who: "router " + text.Clean(serial, maxSerial), Verb: verb, Account: r.Account, Site: r.Site,
		Object: "router " + r.ID, Addr: asker(ctx), Result: "ok"}
	if err != nil {
		a.Result = err.Error()
	}
	if err := g.cfg.Store.Audit(ctx, a); err != nil {
		g.cfg.Log.ErrorContext(ctx, "audit not written", "verb", verb, "err", err)
	}
}
