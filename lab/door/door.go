// Package door is a core for tests of agents: a routers' door and a bus, with real TLS,
// real credentials and nothing behind them. It can be told to refuse, to forget and
// to keep silent, which the real one does not do on demand.
package door

import (
	"cmp"
	"crypto/ecdsa"
	"crypto/ed25519"
	"crypto/elliptic"
	"crypto/rand"
	"crypto/sha256"
	"crypto/tls"
	"crypto/x509"
	"crypto/x509/pkix"
	"encoding/json"
	"encoding/pem"
	"io"
	"log"
	"math/big"
	"net"
	"net/http"
	"net/http/httptest"
	"strconv"
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

// Core is a core that knows one router. Its exported fields may be changed while it
// runs, within Set; what is listed there may be read within Wait.
type Core struct {
	Roots *x509.CertPool
	PEM   []byte // of the CA
	Key   ed25519.PrivateKey
	Conn  *nats.Conn // as core sees the bus
	Claim cordon.Claim
	Door  string // of the door, https://…
	// Bus is the address that routers are told, if they reach the bus otherwise than this
	// process; empty: its own.
	Bus string

	Known  string // the router's key; empty: whoever comes first
	Refuse string // code with which everybody is refused
	Life   time.Duration
	Mute   bool // nothing is acknowledged

	Reports []cordon.Report // each once
	IDs     map[cordon.ReportID]int
	Batches []uint64 // the numbers that came
	Hellos  []wire.Hello
	Answers []wire.Answer
	Enrols  int
	Renews  int

	t      testing.TB
	mu     sync.Mutex
	tls    *tls.Config
	bus    *server.Server
	signer nkeys.KeyPair // of routers' credentials
}

// Router is what a Core calls the router that it lets in.
const Router = "01jdqrouter"

// Secret is the claim of that router.
const Secret = "secret"

// Certificate returns a CA, in PEM, and the configuration of a server, valid around now
// and for the loopback and other addresses.
func Certificate(t testing.TB, now time.Time, others ...net.IP) (ca []byte, roots *x509.CertPool, server *tls.Config) {
	t.Helper()
	root, rootKey := issue(t, now, nil, nil, nil)
	leaf, key := issue(t, now, root, rootKey, append(others, net.IPv4(127, 0, 0, 1)))
	roots = x509.NewCertPool()
	roots.AddCert(root)
	return pem.EncodeToMemory(&pem.Block{Type: "CERTIFICATE", Bytes: root.Raw}), roots,
		&tls.Config{Certificates: []tls.Certificate{{Certificate: [][]byte{leaf.Raw}, PrivateKey: key}}, MinVersion: tls.VersionTLS13}
}

// issue makes a certificate, of a CA if there is no parent.
func issue(t testing.TB, now time.Time, parent *x509.Certificate, signer *ecdsa.PrivateKey, addrs []net.IP) (*x509.Certificate, *ecdsa.PrivateKey) {
	t.Helper()
	key := must[*ecdsa.PrivateKey](t)(ecdsa.GenerateKey(elliptic.P256(), rand.Reader))
	c := &x509.Certificate{SerialNumber: big.NewInt(1), Subject: pkix.Name{CommonName: "core"}, NotBefore: now.Add(-time.Hour),
		NotAfter: now.Add(48 * time.Hour), IsCA: parent == nil, BasicConstraintsValid: true,
		KeyUsage: x509.KeyUsageDigitalSignature | x509.KeyUsageCertSign, IPAddresses: addrs}
	if parent == nil {
		parent, signer = c, key
	}
	der := must[[]byte](t)(x509.CreateCertificate(rand.Reader, c, parent, key.Public(), signer))
	return must[*x509.Certificate](t)(x509.ParseCertificate(der)), key
}

func must[T any](t testing.TB) func(T, error) T {
	return func(v T, err error) T {
		t.Helper()
		if err != nil {
			t.Fatal(err)
		}
		return v
	}
}

// New starts a core that lives as long as the test. Its certificate is also for other
// addresses.
func New(t testing.TB, others ...net.IP) *Core {
	t.Helper()
	c := &Core{t: t, Life: time.Hour, IDs: make(map[cordon.ReportID]int), Claim: cordon.Claim{SecretHash: sha256.Sum256([]byte(Secret))}}
	c.PEM, c.Roots, c.tls = Certificate(t, time.Now(), others...)
	var err error
	if _, c.Key, err = ed25519.GenerateKey(rand.Reader); err != nil {
		t.Fatal(err)
	}
	c.StartBus(server.RANDOM_PORT)
	door := httptest.NewUnstartedServer(c.handler())
	door.Config.ErrorLog = log.New(io.Discard, "", 0) // whom a test refuses complains
	door.TLS = c.tls
	door.StartTLS()
	t.Cleanup(door.Close)
	c.Door = door.URL
	return c
}

// StartBus starts the bus with an account for routers.
func (c *Core) StartBus(port int) {
	t := c.t
	str, pair := must[string](t), must[nkeys.KeyPair](t)
	if c.signer == nil {
		c.signer = pair(nkeys.CreateAccount())
	}
	operator := pair(nkeys.CreateOperator())
	issuer := str(c.signer.PublicKey())
	o := jwt.NewOperatorClaims(str(operator.PublicKey()))
	account := jwt.NewAccountClaims(issuer)
	resolver := &server.MemAccResolver{}
	if err := resolver.Store(issuer, str(account.Encode(operator))); err != nil {
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
	c.Conn = must[*nats.Conn](t)(nats.Connect(c.bus.ClientURL(), nats.Secure(&tls.Config{RootCAs: c.Roots}), nats.NoReconnect(),
		nats.UserJWT(func() (string, error) { return token, nil }, user.Sign)))
	for what, handle := range map[string]func([]byte){"hello": c.hello, "report": c.report, "answer": c.answer} {
		must[*nats.Subscription](t)(c.Conn.Subscribe("from."+Router+"."+what, func(m *nats.Msg) { handle(m.Data) }))
	}
	if err := c.Conn.Flush(); err != nil {
		t.Fatal(err)
	}
	bus, conn := c.bus, c.Conn
	t.Cleanup(func() { conn.Close(); bus.Shutdown(); bus.WaitForShutdown() })
}

// Address is where the bus listens.
func (c *Core) Address() string { return c.bus.Addr().String() }

// StopBus stops the bus and returns its port.
func (c *Core) StopBus() int {
	c.t.Helper()
	_, port, err := net.SplitHostPort(c.bus.Addr().String())
	if err != nil {
		c.t.Fatal(err)
	}
	c.Conn.Close()
	c.bus.Shutdown()
	c.bus.WaitForShutdown()
	return must[int](c.t)(strconv.Atoi(port))
}

// token makes a credential; allow confines it to a router's subjects.
func (c *Core) token(key string, allow *string, life time.Duration) string {
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

// Set calls f while nothing else looks at the fields.
func (c *Core) Set(f func()) {
	c.mu.Lock()
	defer c.mu.Unlock()
	f()
}

func (c *Core) handler() http.Handler {
	mux := http.NewServeMux()
	mux.HandleFunc("GET "+wire.PathTime, func(w http.ResponseWriter, _ *http.Request) {
		json.NewEncoder(w).Encode(wire.Clock{Now: cordon.TimeOf(time.Now())})
	})
	mux.HandleFunc("POST "+wire.PathChallenge, func(w http.ResponseWriter, _ *http.Request) {
		json.NewEncoder(w).Encode(wire.Nonce{Nonce: "n", Now: cordon.TimeOf(time.Now())})
	})
	mux.HandleFunc("POST "+wire.PathEnrol, func(w http.ResponseWriter, r *http.Request) {
		c.mu.Lock()
		defer c.mu.Unlock()
		var e wire.Enrolment
		json.NewDecoder(r.Body).Decode(&e)
		c.Enrols++
		pair, err := nkeys.FromPublicKey(e.Key)
		switch {
		case c.Refuse != "":
			refuse(w, c.Refuse)
		case err != nil || pair.Verify(wire.EnrolmentText(e.Serial, e.Key, e.Nonce), e.Proof) != nil || !e.Proves(c.Claim) || c.Known != "" && c.Known != e.Key:
			refuse(w, wire.RefusedClaim)
		default:
			c.Known = e.Key
			c.credential(w, e.Key)
		}
	})
	mux.HandleFunc("POST "+wire.PathRenew, func(w http.ResponseWriter, r *http.Request) {
		c.mu.Lock()
		defer c.mu.Unlock()
		var e wire.Renewal
		json.NewDecoder(r.Body).Decode(&e)
		c.Renews++
		pair, err := nkeys.FromPublicKey(e.Key)
		switch {
		case c.Refuse != "":
			refuse(w, c.Refuse)
		case err != nil || pair.Verify(wire.RenewalText(e.Router, e.Key, e.Nonce), e.Proof) != nil || c.Known != e.Key:
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

func (c *Core) credential(w http.ResponseWriter, key string) {
	id, now := Router, cordon.TimeOf(time.Now())
	public := c.Key.Public().(ed25519.PublicKey)
	json.NewEncoder(w).Encode(wire.Credential{Router: id, JWT: c.token(key, &id, c.Life), Servers: []string{"tls://" + cmp.Or(c.Bus, c.bus.Addr().String())},
		Keys: map[string][]byte{wire.KeyID(public): public}, Issued: now, Renew: now.Add(c.Life / 2), Expires: now.Add(c.Life)})
}

func (c *Core) hello(b []byte) {
	h, err := wire.DecodeHello(b)
	if err != nil {
		c.t.Error(err)
	}
	c.Set(func() { c.Hellos = append(c.Hellos, h) })
}

func (c *Core) report(b []byte) {
	n, list, err := wire.DecodeReports(b)
	if err != nil {
		c.t.Error(err)
	}
	c.mu.Lock()
	defer c.mu.Unlock()
	c.Batches = append(c.Batches, n)
	for _, r := range list {
		if r.ID.Router != Router || r.ID.Boot == 0 || r.ID.Seq == 0 {
			c.t.Errorf("report %v", r.ID)
		}
		if c.IDs[r.ID]++; c.IDs[r.ID] == 1 {
			c.Reports = append(c.Reports, r)
		}
	}
	if !c.Mute {
		c.Conn.Publish("to."+Router+".ack", wire.EncodeAck(n))
	}
}

func (c *Core) answer(b []byte) {
	a, err := wire.DecodeAnswer(b)
	if err != nil {
		c.t.Error(err)
	}
	c.Set(func() { c.Answers = append(c.Answers, a) })
}

// Send signs and sends a directive.
func (c *Core) Send(d wire.Directive, subject string) {
	c.t.Helper()
	if d.Expires == 0 {
		d.Expires = cordon.TimeOf(time.Now().Add(time.Hour))
	}
	b, err := wire.Sign(d, c.Key)
	if err != nil {
		c.t.Fatal(err)
	}
	if err := c.Conn.Publish(subject, b); err != nil {
		c.t.Fatal(err)
	}
}

// Wait waits until f holds, of which it calls each with the fields at rest.
func (c *Core) Wait(what string, f func() bool) {
	c.t.Helper()
	Wait(c.t, what, func() bool {
		c.mu.Lock()
		defer c.mu.Unlock()
		return f()
	})
}

// Wait waits until f holds, at most 20 seconds.
func Wait(t testing.TB, what string, f func() bool) {
	t.Helper()
	WaitFor(t, 20*time.Second, what, f)
}

// WaitFor is Wait with another bound, for what takes long on a busy machine.
func WaitFor(t testing.TB, within time.Duration, what string, f func() bool) {
	t.Helper()
	tick := time.NewTicker(5 * time.Millisecond)
	defer tick.Stop()
	for deadline := time.Now().Add(within); !f(); {
		if time.Now().After(deadline) {
			t.Fatalf("in %s it does not happen that %s", within, what)
		}
		<-tick.C
	}
}
