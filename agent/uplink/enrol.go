package uplink

import (
	"bytes"
	"context"
	"crypto/ed25519"
	"encoding/json"
	"fmt"
	"io"
	"math/rand/v2"
	"net/http"
	"time"

	"cordon"
	"cordon/wire"
)

// enrolWithin is how long core has for one request at its door.
const enrolWithin = 45 * time.Second

// refusals says in words what core's codes mean, and what to do.
var refusals = map[string]trouble{
	wire.RefusedClaim: {why: "core does not know this router, or refused its claim",
		mend: "compare core.serial and the claim's file with the provider's list; a router that was enrolled before with another key (factory reset) needs the operator's consent", patience: refusedFor},
	wire.RefusedRevoked: {why: "this router is revoked", mend: "ask the operator; the home is protected all the same", patience: refusedFor},
	wire.RefusedBusy:    {why: "core has too many requests", mend: "nothing: the router tries again by itself", patience: 10 * time.Second},
	wire.RefusedRequest: {why: "core does not understand this agent", mend: "install the agent that the provider ships", patience: refusedFor},
	wire.RefusedNonce:   {why: "core took too long", mend: "nothing: the router tries again by itself"},
}

// ensureCredential gets a credential if there is none that can be used.
func (l *Uplink) ensureCredential(ctx context.Context) error {
	client := l.client()
	defer client.CloseIdleConnections()
	now, trusted := l.now()
	if !trusted {
		var c wire.Clock
		if err := l.get(ctx, client, wire.PathTime, &c); err == nil {
			l.learn(c.Now.Std())
			now, _ = l.now()
		}
	}
	if l.id.Router == "" {
		return l.enrol(ctx, client)
	}
	if !l.refused && cordon.TimeOf(now) < l.id.Expires {
		return nil
	}
	c, err := l.requestRenewal(ctx, client)
	switch code := codeOf(err); {
	case err == nil:
		l.adopt(c)
		return nil
	case code == wire.RefusedClaim: // core knows another key, or none: after a reset it may take this one
		return l.enrol(ctx, client)
	default:
		return err
	}
}

// enrol proves who this router is, and takes the credential.
func (l *Uplink) enrol(ctx context.Context, client *http.Client) error {
	pair, err := l.id.pair()
	if err != nil {
		return err
	}
	key, err := pair.PublicKey()
	if err != nil {
		return err
	}
	// The key is kept before core knows it: a power cut must not make another.
	l.id.Starts = max(l.id.Starts, l.cfg.Start)
	l.saveIdentity()
	nonce, err := l.nonce(ctx, client)
	if err != nil {
		return err
	}
	text := wire.EnrolmentText(l.cfg.Serial, key, nonce)
	e := wire.Enrolment{Serial: l.cfg.Serial, Model: l.cfg.Model, Agent: l.cfg.Agent, Key: key, Nonce: nonce, Secret: l.cfg.Secret}
	if l.cfg.Key != nil {
		e.Claim = ed25519.Sign(l.cfg.Key, text)
	}
	if e.Proof, err = pair.Sign(text); err != nil {
		return err
	}
	var c wire.Credential
	if err := l.post(ctx, client, wire.PathEnrol, e, &c); err != nil {
		return err
	}
	l.adopt(&c)
	l.log.Info("enrolled", "router", l.id.Router)
	return nil
}

// requestRenewal asks for a new credential for the key that core knows.
func (l *Uplink) requestRenewal(ctx context.Context, client *http.Client) (*wire.Credential, error) {
	pair, err := l.id.pair()
	if err != nil {
		return nil, err
	}
	key, err := pair.PublicKey()
	if err != nil {
		return nil, err
	}
	nonce, err := l.nonce(ctx, client)
	if err != nil {
		return nil, err
	}
	proof, err := pair.Sign(wire.RenewalText(l.id.Router, key, nonce))
	if err != nil {
		return nil, err
	}
	var c wire.Credential
	err = l.post(ctx, client, wire.PathRenew, wire.Renewal{Router: l.id.Router, Key: key, Nonce: nonce, Proof: proof}, &c)
	return &c, err
}

func (l *Uplink) nonce(ctx context.Context, client *http.Client) (string, error) {
	var n wire.Nonce
	err := l.post(ctx, client, wire.PathChallenge, wire.Challenge{Serial: l.cfg.Serial}, &n)
	if err == nil {
		l.learn(n.Now.Std())
	}
	return n.Nonce, err
}

// adopt takes a credential.
func (l *Uplink) adopt(c *wire.Credential) {
	id := l.id
	if id.Router != c.Router || id.Base == 0 {
		if l.notes.Router != c.Router {
			l.notes.forget(c.Router)
			l.told = numbers{}
		}
		id.Base = max(id.Base, baseAt(c.Issued.Std(), l.cfg.Start))
	}
	id.Router, id.Credential, id.Servers, id.Keys = c.Router, c.JWT, c.Servers, c.Keys
	id.Issued, id.Renew, id.Expires = c.Issued, c.Renew, c.Expires
	id.Starts = l.cfg.Start
	l.refused = false
	l.saveIdentity()
	l.note(func(s *Status) { s.Renew = id.Renew })
	l.noteNumbers()
}

// client returns a client of core's door. It is used for a few requests at most.
func (l *Uplink) client() *http.Client {
	return &http.Client{Timeout: enrolWithin, Transport: &http.Transport{TLSClientConfig: tlsConfig(l.cfg, l.host, func() time.Time { now, _ := l.now(); return now }),
		MaxResponseHeaderBytes: 16 << 10, DisableCompression: true, MaxIdleConns: 1},
		CheckRedirect: func(*http.Request, []*http.Request) error { return http.ErrUseLastResponse }}
}

func (l *Uplink) get(ctx context.Context, client *http.Client, path string, out any) error {
	r, err := http.NewRequestWithContext(ctx, http.MethodGet, l.cfg.URL+path, nil)
	if err != nil {
		return err
	}
	return l.exchange(client, r, out)
}

func (l *Uplink) post(ctx context.Context, client *http.Client, path string, in, out any) error {
	b, err := json.Marshal(in)
	if err != nil {
		return err
	}
	r, err := http.NewRequestWithContext(ctx, http.MethodPost, l.cfg.URL+path, bytes.NewReader(b))
	if err != nil {
		return err
	}
	r.Header.Set("Content-Type", "application/json")
	return l.exchange(client, r, out)
}

// exchange sends a request and reads the answer.
func (l *Uplink) exchange(client *http.Client, r *http.Request, out any) error {
	answer, err := client.Do(r)
	if err != nil {
		return explain(err)
	}
	defer answer.Body.Close()
	b, err := io.ReadAll(io.LimitReader(answer.Body, wire.MaxEnrol+1))
	switch {
	case err != nil:
		return explain(err)
	case len(b) > wire.MaxEnrol:
		return &trouble{why: "core's answer is too long", mend: "check core.url: is it the routers' door?"}
	case answer.StatusCode != http.StatusOK:
		return refusal(answer.Status, b)
	}
	if err := json.Unmarshal(b, out); err != nil {
		return &trouble{why: "core's answer cannot be read", mend: "check core.url: is it the routers' door?", err: err}
	}
	return nil
}

// refusal makes a trouble of an answer that refuses.
func refusal(status string, b []byte) error {
	var r wire.Refusal
	if json.Unmarshal(b, &r) != nil || r.Code == "" {
		return &trouble{why: "core answered " + cutText(status, 64), mend: "check core.url: is it the routers' door?"}
	}
	t, known := refusals[r.Code]
	if !known {
		t = trouble{why: "core has failed", mend: "see core's log; the router tries again by itself"}
	}
	t.code, t.err = r.Code, fmt.Errorf("core says: %q", cutText(r.Message, 200))
	return &t
}

// schedule says when the credential is renewed: when core said, and a little later so
// that routers that were enrolled together do not come together again.
func (s *session) schedule() {
	now, _ := s.now()
	s.renewAt = time.Now().Add(s.id.Renew.Std().Sub(now))
	if spare := s.id.Expires.Sub(s.id.Renew) / 4; spare > 0 {
		s.renewAt = s.renewAt.Add(rand.N(spare))
	}
}

// renewed is what became of a renewal.
type renewed struct {
	credential *wire.Credential
	err        error
}

// renewAgain is how long a renewal waits after a failure.
const renewAgain = 10 * time.Minute

// renew asks for a new credential when it is time, beside the connection that stands.
func (s *session) renew(ctx context.Context) {
	if time.Now().Before(s.renewAt) {
		return
	}
	s.renewAt = time.Now().Add(renewAgain/2 + rand.N(renewAgain))
	s.tasks.Go(func() {
		client := s.client()
		defer client.CloseIdleConnections()
		c, err := s.requestRenewal(ctx, client)
		select {
		case s.renewals <- renewed{c, err}:
		case <-ctx.Done():
		}
	})
}

// take takes what became of a renewal. The session ends with errRenewed: a server ends
// a connection with its credential, whatever came later.
func (s *session) take(r renewed) error {
	switch {
	case r.err == nil:
		s.adopt(r.credential)
		return errRenewed
	case codeOf(r.err) == wire.RefusedRevoked:
		return r.err
	}
	s.log.Warn("credential not renewed", "err", r.err)
	return nil
}
