package uplink

import (
	"context"
	"crypto/ecdsa"
	"crypto/ed25519"
	"crypto/elliptic"
	"crypto/rand"
	"crypto/sha256"
	"crypto/tls"
	"crypto/x509"
	"crypto/x509/pkix"
	"encoding/json"
	"math/big"
	"net"
	"net/http"
	"net/http/httptest"
	"strings"
	"sync"
	"testing"
	"time"

	"github.com/nats-io/jwt/v2"
	"github.com/nats-io/nats-server/v2/server"
	"github.com/nats-io/nats.go"
	"github.com/nats-io/nkeys"

	"cordon"
	"cordon/wire"
)

// core is a provider in a test: a door and a bus with real TLS and real credentials.
type core struct {
	t      *testing.T
	roots  *x509.CertPool
	tls    *tls.Config
	door   *httptest.Server
	bus    *server.Server
	conn   *nats.Conn
	signer nkeys.KeyPair // of routers' credentials
	issuer string        // the account
	key    ed25519.PrivateKey
	claim  cordon.Claim

	mu      sync.Mutex
	known   string // the router's key
	refuse  string // code with which everybody is refused
	life    time.Duration
	now     func() time.Time
	mute    bool // nothing is acknowledged
	ids     map[cordon.ReportID]int
	reports []cordon.Report
	hellos  []wire.Hello
	answers []wire.Answer
	enrols  int
	renews  int
}

const routerID = "01jdqrouter"

// certificate returns a CA's pool and a server's configuration, valid around now.
func certificate(t *testing.T, now time.Time) (*x509.CertPool, *tls.Config) {
	t.Helper()
	make := func(ca bool, parent *x509.Certificate, signer *ecdsa.PrivateKey) (*x509.Certificate, *ecdsa.PrivateKey) {
		key, err := ecdsa.GenerateKey(elliptic.P256(), rand.Reader)
		if err != nil {
			t.Fatal(err)
		}
		c := &x509.Certificate{SerialNumber: big.NewInt(1), Subject: pkix.Name{CommonName: "core"}, NotBefore: now.Add(-time.Hour), NotAfter: now.Add(48 * time.Hour),
			IsCA: ca, BasicConstraintsValid: true, KeyUsage: x509.KeyUsageDigitalSignature | x509.KeyUsageCertSign, IPAddresses: []net.IP{net.IPv4(127, 0, 0, 1)}}
		if parent == nil {
			parent, signer = c, key
		}
		der, err := x509.CreateCertificate(rand.Reader, c, parent, key.Public(), signer)
		if err != nil {
			t.Fatal(err)
		}
		c, err = x509.ParseCertificate(der)
		if err != nil {
			t.Fatal(err)
		}
		return c, key
	}
	ca, caKey := make(true, nil, nil)
	leaf, key := make(false, ca, caKey)
	pool := x509.NewCertPool()
	pool.AddCert(ca)
	return pool, &tls.Config{Certificates: []tls.Certificate{{Certificate: [][]byte{leaf.Raw}, PrivateKey: key}}, MinVersion: tls.VersionTLS13}
}

func must[T any](t *testing.T) func(T, error) T {
	return func(v T, err error) T {
		t.Helper()
		if err != nil {
			t.Fatal(err)
		}
		return v
	}
}

func newCore(t *testing.T) *core {
	t.Helper()
	c := &core{t: t, life: time.Hour, now: time.Now, ids: make(map[cordon.ReportID]int), claim: cordon.Claim{SecretHash: sha256.Sum256([]byte("secret"))}}
	c.roots, c.tls = certificate(t, time.Now())
	_, c.key, _ = ed25519.GenerateKey(rand.Reader)
	c.startBus(-1)
	c.door = httptest.NewUnstartedServer(c.handler())
	c.door.TLS = c.tls
	c.door.StartTLS()
	t.Cleanup(c.door.Close)
	return c
}

// startBus starts the bus with an account for routers.
func (c *core) startBus(port int) {
	t := c.t
	str, pair := must[string](t), must[nkeys.KeyPair](t)
	if c.signer == nil {
		c.signer = pair(nkeys.CreateAccount())
	}
	operator := pair(nkeys.CreateOperator())
	c.issuer = str(c.signer.PublicKey())
	o := jwt.NewOperatorClaims(str(operator.PublicKey()))
	account := jwt.NewAccountClaims(c.issuer)
	resolver := &server.MemAccResolver{}
	if err := resolver.Store(c.issuer, str(account.Encode(operator))); err != nil {
		t.Fatal(err)
	}
	opts := &server.Options{Host: "127.0.0.1", Port: port, NoSigs: true, NoLog: true, TLSConfig: c.tls, TLSTimeout: 10,
		TrustedOperators: []*jwt.OperatorClaims{must[*jwt.OperatorClaims](t)(jwt.DecodeOperatorClaims(str(o.Encode(operator))))}, AccountResolver: resolver}
	c.bus = must[*server.Server](t)(server.NewServer(opts))
	go c.bus.Start()
	if !c.bus.ReadyForConnections(10 * time.Second) {
		t.Fatal("the bus does not start")
	}
	user := pair(nkeys.CreateUser())
	token := c.token(str(user.PublicKey()), nil, time.Hour)
	c.conn = must[*nats.Conn](t)(nats.Connect(c.bus.ClientURL(), nats.Secure(&tls.Config{RootCAs: c.roots}), nats.NoReconnect(),
		nats.UserJWT(func() (string, error) { return token, nil }, user.Sign)))
	for what, handle := range map[string]func([]byte){"hello": c.hello, "report": c.report, "answer": c.answer} {
		must[*nats.Subscription](t)(c.conn.Subscribe("from."+routerID+"."+what, func(m *nats.Msg) { handle(m.Data) }))
	}
	if err := c.conn.Flush(); err != nil {
		t.Fatal(err)
	}
	bus, conn := c.bus, c.conn
	t.Cleanup(func() { conn.Close(); bus.Shutdown(); bus.WaitForShutdown() })
}

// stopBus stops the bus and returns its port.
func (c *core) stopBus() int {
	_, port, _ := net.SplitHostPort(c.bus.Addr().String())
	c.conn.Close()
	c.bus.Shutdown()
	c.bus.WaitForShutdown()
	n := 0
	for _, d := range port {
		n = n*10 + int(d-'0')
	}
	return n
}

// token makes a credential; allow confines it to a router's subjects.
func (c *core) token(key string, allow *string, life time.Duration) string {
	u := jwt.NewUserClaims(key)
	u.Expires = time.Now().Add(life).Unix()
	if allow != nil {
		u.Name = *allow
		u.Pub.Allow.Add("from." + *allow + ".>")
		u.Sub.Allow.Add("to."+*allow+".>", "to.all.>")
	}
	token, err := u.Encode(c.signer)
	if err != nil {
		c.t.Error(err)
	}
	return token
}

func (c *core) set(f func()) {
	c.mu.Lock()
	defer c.mu.Unlock()
	f()
}

func (c *core) handler() http.Handler {
	mux := http.NewServeMux()
	mux.HandleFunc("GET "+wire.PathTime, func(w http.ResponseWriter, _ *http.Request) {
		json.NewEncoder(w).Encode(wire.Clock{Now: cordon.TimeOf(c.now())})
	})
	mux.HandleFunc("POST "+wire.PathChallenge, func(w http.ResponseWriter, _ *http.Request) {
		json.NewEncoder(w).Encode(wire.Nonce{Nonce: "n", Now: cordon.TimeOf(c.now())})
	})
	mux.HandleFunc("POST "+wire.PathEnrol, func(w http.ResponseWriter, r *http.Request) {
		c.mu.Lock()
		defer c.mu.Unlock()
		var e wire.Enrolment
		json.NewDecoder(r.Body).Decode(&e)
		c.enrols++
		pair, err := nkeys.FromPublicKey(e.Key)
		switch {
		case c.refuse != "":
			refuse(w, c.refuse)
		case err != nil || pair.Verify(wire.EnrolmentText(e.Serial, e.Key, e.Nonce), e.Proof) != nil || !e.Proves(c.claim) || c.known != "" && c.known != e.Key:
			refuse(w, wire.RefusedClaim)
		default:
			c.known = e.Key
			c.credential(w, e.Key)
		}
	})
	mux.HandleFunc("POST "+wire.PathRenew, func(w http.ResponseWriter, r *http.Request) {
		c.mu.Lock()
		defer c.mu.Unlock()
		var e wire.Renewal
		json.NewDecoder(r.Body).Decode(&e)
		c.renews++
		pair, err := nkeys.FromPublicKey(e.Key)
		switch {
		case c.refuse != "":
			refuse(w, c.refuse)
		case err != nil || pair.Verify(wire.RenewalText(e.Router, e.Key, e.Nonce), e.Proof) != nil || c.known != e.Key:
			refuse(w, wire.RefusedClaim)
		default:
			c.credential(w, e.Key)
		}
	})
	return mux
}

func refuse(w http.ResponseWriter, code string) {
	w.WriteHeader(http.StatusForbidden)
	json.NewEncoder(w).Encode(wire.Refusal{Code: code, Message: "no"})
}

func (c *core) credential(w http.ResponseWriter, key string) {
	id, now := routerID, cordon.TimeOf(c.now())
	public := c.key.Public().(ed25519.PublicKey)
	json.NewEncoder(w).Encode(wire.Credential{Router: id, JWT: c.token(key, &id, c.life), Servers: []string{"tls://" + c.bus.Addr().String()},
		Keys: map[string][]byte{wire.KeyID(public): public}, Issued: now, Renew: now.Add(c.life / 2), Expires: now.Add(c.life)})
}

func (c *core) hello(b []byte) {
	h, err := wire.DecodeHello(b)
	if err != nil {
		c.t.Error(err)
	}
	c.set(func() { c.hellos = append(c.hellos, h) })
}

func (c *core) report(b []byte) {
	n, list, err := wire.DecodeReports(b)
	if err != nil {
		c.t.Error(err)
	}
	c.mu.Lock()
	defer c.mu.Unlock()
	for _, r := range list {
		if r.ID.Router != routerID || r.ID.Boot == 0 || r.ID.Seq == 0 {
			c.t.Errorf("report %v", r.ID)
		}
		if c.ids[r.ID]++; c.ids[r.ID] == 1 {
			c.reports = append(c.reports, r)
		}
	}
	if !c.mute {
		c.conn.Publish("to."+routerID+".ack", wire.EncodeAck(n))
	}
}

func (c *core) answer(b []byte) {
	a, err := wire.DecodeAnswer(b)
	if err != nil {
		c.t.Error(err)
	}
	c.set(func() { c.answers = append(c.answers, a) })
}

// send signs and sends a directive.
func (c *core) send(d wire.Directive, subject string) {
	c.t.Helper()
	if d.Expires == 0 {
		d.Expires = cordon.TimeOf(time.Now().Add(time.Hour))
	}
	b, err := wire.Sign(d, c.key)
	if err != nil {
		c.t.Fatal(err)
	}
	if err := c.conn.Publish(subject, b); err != nil {
		c.t.Fatal(err)
	}
}

// wait waits until f holds, under the lock.
func (c *core) wait(what string, f func() bool) {
	c.t.Helper()
	wait(c.t, what, func() bool {
		c.mu.Lock()
		defer c.mu.Unlock()
		return f()
	})
}

func wait(t *testing.T, what string, f func() bool) {
	t.Helper()
	tick := time.NewTicker(5 * time.Millisecond)
	defer tick.Stop()
	for deadline := time.Now().Add(20 * time.Second); !f(); {
		if time.Now().After(deadline) {
			t.Fatalf("in 20 s it does not happen that %s", what)
		}
		<-tick.C
	}
}

// brain is an agent that remembers what it was told.
type brain struct {
	mu      sync.Mutex
	desired []cordon.Desired
	shared  []uint64
	shadows []cordon.Shadow
	unknown []string
}

func (b *brain) Desired(_ context.Context, d *cordon.Desired, unknown []string) error {
	b.mu.Lock()
	defer b.mu.Unlock()
	if d != nil {
		b.desired = append(b.desired, *d)
	}
	b.unknown = append(b.unknown, unknown...)
	return nil
}

func (b *brain) Shared(_ context.Context, n uint64, shadows []cordon.Shadow, about bool, unknown []string) error {
	b.mu.Lock()
	defer b.mu.Unlock()
	b.shared = append(b.shared, n)
	if about {
		b.shadows = shadows
	}
	b.unknown = append(b.unknown, unknown...)
	return nil
}

func (b *brain) Answer(_ context.Context, what, device string) ([]byte, error) {
	if what == "why" {
		return nil, context.Canceled
	}
	return []byte(`"` + strings.Join([]string{what, device}, " ") + `"`), nil
}

func (b *brain) look(f func()) {
	b.mu.Lock()
	defer b.mu.Unlock()
	f()
}

// line is an Uplink at work.
type line struct {
	*Uplink
	*brain
	stop func()
}

func (c *core) config(dir string) Config {
	return Config{Dir: dir, URL: c.door.URL, Roots: c.roots, Serial: "S1", Secret: "secret", Agent: "1.0", Start: 1, Spread: time.Millisecond}
}

func (c *core) start(cfg Config) *line {
	c.t.Helper()
	u, err := New(cfg)
	if err != nil {
		c.t.Fatal(err)
	}
	l := &line{Uplink: u, brain: &brain{}}
	u.Attach(l.brain)
	ctx, cancel := context.WithCancel(context.Background())
	done := make(chan error, 1)
	go func() { done <- u.Run(ctx) }()
	var once sync.Once
	l.stop = func() {
		once.Do(func() {
			cancel()
			if err := <-done; err != nil {
				c.t.Error(err)
			}
		})
	}
	c.t.Cleanup(l.stop)
	return l
}

func detection(kind cordon.Kind) cordon.Report {
	return cordon.Report{At: cordon.TimeOf(time.Now()), Detection: &cordon.Detection{ID: "det-1", Kind: kind, Level: cordon.Act, Device: &cordon.Device{ID: "cam"}}}
}
