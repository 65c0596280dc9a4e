package load

import (
	"bytes"
	"context"
	"encoding/json"
	"fmt"
	"io"
	"math/rand/v2"
	"net"
	"net/http"
	"sync"
	"time"

	"github.com/nats-io/nkeys"

	"cordon"
	"cordon/agent/uplink"
	"cordon/internal/pause"
	"cordon/wire"
)

// How a router behaves, as an agent does (agent/uplink).
const (
	window    = 4 // batches on their way
	ackWithin = 30 * time.Second
	pingEvery = 30 * time.Second
	pingsLost = 2
)

// router is one of the crowd.
type router struct {
	crowd     *crowd
	home      int
	key       nkeys.KeyPair
	id        string // empty until it is enrolled
	token     string
	site      string
	household // what it has to report about

	mu      sync.Mutex
	conn    *conn              // that stands; nil: none; guarded by mu
	boot    uint32             // guarded by mu
	seq     uint64             // guarded by mu
	batch   uint64             // number of the last one; guarded by mu
	flights map[uint64]*flight // by number; guarded by mu
	pings   int                // without an answer; guarded by mu
	pingAt  time.Time          // guarded by mu
	helloAt time.Time          // zero: nobody asked for another; guarded by mu
}

// flight is a batch on its way.
type flight struct {
	reports []cordon.Report
	first   time.Time // when it was sent first
	sent    time.Time
	acked   func() // nil: nobody waits for it
}

func serial(home int) string { return fmt.Sprintf("LAB-%06d", home) }
func secret(home int) string { return fmt.Sprintf("claim-%06d-of-the-lab", home) }

// from is the address that a router connects from: an address has 28,000 ports for
// connections to another (ip_local_port_range).
func (r *router) from() *net.TCPAddr {
	const each = 8_000
	return &net.TCPAddr{IP: net.IPv4(127, 0, 1, byte(1+r.home/each))}
}

// enrol proves the claim of the router and takes its credential.
func (r *router) enrol(ctx context.Context) error {
	dialer := &net.Dialer{LocalAddr: r.from()}
	client := &http.Client{Timeout: dialWithin, Transport: &http.Transport{TLSClientConfig: r.crowd.secure, DialContext: dialer.DialContext, MaxIdleConns: 1}}
	defer client.CloseIdleConnections()
	public, err := r.key.PublicKey()
	if err != nil {
		return err
	}
	var n wire.Nonce
	if err := r.post(ctx, client, wire.PathChallenge, wire.Challenge{Serial: serial(r.home)}, &n); err != nil {
		return err
	}
	e := wire.Enrolment{Serial: serial(r.home), Model: "Lab", Agent: r.crowd.version(), Key: public, Nonce: n.Nonce, Secret: secret(r.home)}
	if e.Proof, err = r.key.Sign(wire.EnrolmentText(e.Serial, e.Key, e.Nonce)); err != nil {
		return err
	}
	var c wire.Credential
	if err := r.post(ctx, client, wire.PathEnrol, e, &c); err != nil {
		return err
	}
	r.id, r.token = c.Router, c.JWT
	return nil
}

func (r *router) post(ctx context.Context, client *http.Client, path string, in, out any) error {
	b, err := json.Marshal(in)
	if err != nil {
		return err
	}
	req, err := http.NewRequestWithContext(ctx, http.MethodPost, "https://"+r.crowd.core.Address("gateway")+path, bytes.NewReader(b))
	if err != nil {
		return err
	}
	resp, err := client.Do(req)
	if err != nil {
		return err
	}
	defer resp.Body.Close()
	if resp.StatusCode != http.StatusOK {
		why, _ := io.ReadAll(io.LimitReader(resp.Body, 1<<10))
		return fmt.Errorf("%s: %s: %s", path, resp.Status, why)
	}
	return json.NewDecoder(io.LimitReader(resp.Body, wire.MaxEnrol)).Decode(out)
}

// run enrols and holds the line to core until ctx is done.
func (r *router) run(ctx context.Context) {
	wait := uplink.Backoff{Spread: r.crowd.spread}
	for ctx.Err() == nil {
		stood, err := false, error(nil)
		if r.id == "" {
			err = r.admitted(ctx)
		}
		if err == nil {
			stood, err = r.session(ctx)
		}
		if ctx.Err() != nil {
			return
		}
		r.crowd.failed(err)
		if stood {
			pause.For(ctx, wait.Lost())
		} else {
			pause.For(ctx, wait.Next())
		}
	}
}

// admitted enrols as soon as there is room.
func (r *router) admitted(ctx context.Context) error {
	select {
	case r.crowd.door <- struct{}{}:
	case <-ctx.Done():
		return ctx.Err()
	}
	defer func() { <-r.crowd.door }()
	return r.enrol(ctx)
}

// session connects and hears what core says, until the connection breaks. stood says
// that it was there.
func (r *router) session(ctx context.Context) (stood bool, err error) {
	c, err := connect(ctx, r.from(), r.crowd.core.Address("bus"), r.crowd.secure, login{"cordon-agent " + r.crowd.version(), r.token, r.key})
	if err != nil {
		return false, err
	}
	defer context.AfterFunc(ctx, func() { c.Close() })()
	defer c.Close()
	if err := c.write(fmt.Appendf(nil, "SUB to.%s.> 1\r\nSUB to.all.> 2\r\n", r.id)); err != nil {
		return false, err
	}
	if err := r.hello(c); err != nil {
		return false, err
	}
	r.attach(c)
	r.crowd.connected.Add(1)
	defer r.crowd.connected.Add(-1)
	defer r.detach()
	r.crowd.greeted.Add(1)
	r.again(time.Now(), 0)
	return true, c.read(r.hear, r.pong)
}

// hello says what this router has.
func (r *router) hello(c *conn) error {
	h := wire.Hello{Version: wire.Version, Agent: r.crowd.version(), Boot: r.boot}
	b, err := h.Encode()
	if err != nil {
		return err
	}
	return c.publish("from."+r.id+".hello", b)
}

func (r *router) attach(c *conn) {
	r.mu.Lock()
	defer r.mu.Unlock()
	r.conn, r.pings, r.helloAt = c, 0, time.Time{}
	r.pingAt = time.Now().Add(rand.N(pingEvery))
	r.batch = rand.Uint64() >> 1 // as agents do
}

func (r *router) detach() {
	r.mu.Lock()
	defer r.mu.Unlock()
	r.conn = nil
}

func (r *router) pong() {
	r.mu.Lock()
	defer r.mu.Unlock()
	r.pings = 0
}

// hear takes a message from core.
func (r *router) hear(what, data []byte) {
	switch string(what) {
	case "ack":
		number, err := wire.DecodeAck(data)
		if err != nil {
			r.crowd.failed(err)
			return
		}
		r.acknowledged(number)
	case "hello":
		r.mu.Lock()
		defer r.mu.Unlock()
		r.helloAt = time.Now().Add(rand.N(r.crowd.spread))
	default:
		r.crowd.told.Add(1)
	}
}

func (r *router) acknowledged(number uint64) {
	r.mu.Lock()
	f := r.flights[number]
	delete(r.flights, number)
	r.mu.Unlock()
	if f == nil {
		return
	}
	r.crowd.acked.Add(int64(len(f.reports)))
	r.crowd.waits.add(time.Since(f.first))
	if f.acked != nil {
		f.acked()
	}
}

// send sends reports in a batch; if the router is away, as soon as it is back.
func (r *router) send(reports []cordon.Report, acked func()) {
	r.mu.Lock()
	c := r.conn
	for i := range reports {
		r.seq++
		reports[i].ID = cordon.ReportID{Router: r.id, Boot: r.boot, Seq: r.seq}
	}
	now := time.Now()
	f := &flight{reports: reports, first: now, sent: now, acked: acked}
	r.batch++
	number := r.batch
	r.flights[number] = f
	r.mu.Unlock()
	r.crowd.sent.Add(int64(len(reports)))
	if c != nil {
		r.put(c, number, f)
	}
}

// put writes a batch. When that fails the connection is over, and the batch is sent again
// with the next.
func (r *router) put(c *conn, number uint64, f *flight) {
	data, err := wire.EncodeReports(number, f.reports)
	if err == nil {
		err = c.publish("from."+r.id+".report", data)
	}
	if err != nil {
		r.crowd.failed(err)
		c.Close()
	}
}

// again sends batches that wait for their acknowledgement longer than within.
func (r *router) again(now time.Time, within time.Duration) {
	r.mu.Lock()
	c := r.conn
	late := make(map[uint64]*flight)
	for number, f := range r.flights {
		if c != nil && now.Sub(f.sent) >= within {
			delete(r.flights, number)
			r.batch++
			f.sent = now
			late[r.batch] = f
		}
	}
	for number, f := range late {
		r.flights[number] = f
	}
	r.mu.Unlock()
	for number, f := range late {
		r.crowd.repeated.Add(int64(len(f.reports)))
		r.put(c, number, f)
	}
}

// tick does what is due: pings, hellos that were asked for, batches that are late.
func (r *router) tick(now time.Time) {
	r.mu.Lock()
	c := r.conn
	ping, hello := c != nil && now.After(r.pingAt), c != nil && !r.helloAt.IsZero() && now.After(r.helloAt)
	if ping {
		r.pingAt = now.Add(pingEvery)
		r.pings++
	}
	if hello {
		r.helloAt = time.Time{}
	}
	dead, late := r.pings > pingsLost, len(r.flights) > 0
	r.mu.Unlock()
	var err error
	switch {
	case c == nil:
		return
	case dead:
		c.Close()
		return
	case ping:
		err = c.write([]byte("PING\r\n"))
	}
	if hello && err == nil {
		err = r.hello(c)
	}
	if err != nil {
		r.crowd.failed(err)
		c.Close()
	}
	if late {
		r.again(now, ackWithin)
	}
}

// free reports whether a batch can be sent now.
func (r *router) free() bool {
	r.mu.Lock()
	defer r.mu.Unlock()
	return r.conn != nil && len(r.flights) < window
}
