package dialogue

import (
	"bytes"
	"fmt"
	"net/netip"
	"strings"
	"testing"
	"time"

	"github.com/google/go-cmp/cmp"

	"cordon"
	"cordon/agent/packet"
)

// start is when the tests' packets begin: any moment far from 0.
const start = cordon.Time(1_700_000_000 * time.Second)

// user and secret are what clients log in with in the tests.
const (
	user   = "Xadmin7"
	secret = "hunter2wq"
)

// rig is a table, the flows that it is shown, and what it told.
type rig struct {
	*Table
	t     testing.TB
	now   cordon.Time
	facts []string
	kept  []byte // all bytes of all facts
	mute  bool   // count only
	told  int
}

func newRig(t testing.TB, cfg Config) *rig {
	r := &rig{t: t, now: start}
	cfg.Yield = r.yield
	r.Table = New(cfg)
	return r
}

var factNames = map[cordon.Fact]string{cordon.FactTLS: "tls", cordon.FactHTTPRequest: "request",
	cordon.FactHTTPResponse: "response", cordon.FactLogin: "login", cordon.FactShell: "shell",
	cordon.FactExploit: "exploit", cordon.FactIRC: "irc", cordon.FactDHT: "dht", cordon.FactSmall: "small"}

func (r *rig) yield(o *cordon.Observation) {
	r.told++
	if o.At != r.now || o.Flow == nil || o.Device != o.Flow.Device {
		r.t.Errorf("fact %v at %v of %v: want its flow, device and time", o.Fact, o.At, o.Flow)
	}
	if r.mute {
		return
	}
	words := []string{factNames[o.Fact]}
	for _, b := range [][]byte{o.Service, o.Name, o.Path, o.Model} {
		if len(b) > 0 {
			words = append(words, string(b))
		}
	}
	if o.Fact == cordon.FactLogin {
		words = append(words, o.Login.String())
	}
	if o.Status != 0 {
		words = append(words, fmt.Sprint(o.Status))
	}
	if len(o.Data) > 0 {
		words = append(words, fmt.Sprintf("%x", o.Data))
	}
	if o.Fact == cordon.FactSmall || o.Fact == cordon.FactDHT {
		words = append(words, [...]string{"by answerer", "by opener"}[b2i(o.Opener)])
	}
	r.facts = append(r.facts, strings.Join(words, " "))
	r.kept = append(r.kept, bytes.Join([][]byte{o.Service, o.Name, o.Path, o.Model, o.Data, o.Agent, o.Vendor}, []byte{0})...)
}

func b2i(b bool) int {
	if b {
		return 1
	}
	return 0
}

// conn is a flow that is spoken in.
type conn struct {
	r    *rig
	flow cordon.Flow
	id   int32
	over bool
	seq  [2]uint32
	p    packet.Packet
}

// connect opens a TCP flow of a device.
func (r *rig) connect(d *cordon.Device) *conn {
	c := &conn{r: r}
	c.flow = cordon.Flow{Device: d, Proto: packet.ProtoTCP, Direction: cordon.Outbound, PeerPort: 2300,
		Peer: netip.MustParseAddr("198.51.100.7"), FirstSeq: 0xfffffff0} // the numbers wrap
	c.seq = [2]uint32{c.flow.FirstSeq + 1, 77}
	c.id = r.Begin(&c.flow)
	return c
}

// datagrams opens a UDP flow.
func (r *rig) datagrams(d *cordon.Device) *conn {
	c := r.connect(d)
	r.End(c.id)
	c.flow.Proto = packet.ProtoUDP
	c.id = r.Begin(&c.flow)
	return c
}

// say sends a segment of side k, at a place of its own choice if seq is not that
// which comes next.
func (c *conn) say(k int, seq uint32, b []byte) {
	if c.over || c.id == 0 {
		return
	}
	c.p = packet.Packet{Layers: packet.HasIPv4 | packet.HasTCP, Seq: seq, Ack: c.seq[1-k], TCPFlags: packet.ACK,
		Payload: b, PayloadLen: len(b)}
	if c.flow.Proto == packet.ProtoUDP {
		c.p.Layers = packet.HasIPv4 | packet.HasUDP
	}
	if !c.r.Said(&c.flow, c.id, &c.p, k == opener, c.r.now) {
		c.over = true
		c.r.End(c.id)
	}
}

// next sends what comes next.
func (c *conn) next(k int, b []byte) {
	seq := c.seq[k]
	c.seq[k] += uint32(len(b))
	c.say(k, seq, b)
}

// close ends the flow.
func (c *conn) close() {
	if !c.over && c.id != 0 {
		c.over = true
		c.r.End(c.id)
	}
}

// line is a segment of a script: "> " begins what the opener says and "< " what
// the answerer says.
func line(t testing.TB, text string) (k int, b []byte) {
	t.Helper()
	switch text[:2] {
	case "> ":
		return opener, []byte(text[2:])
	case "< ":
		return answerer, []byte(text[2:])
	}
	t.Fatalf("line %q: want > or <", text)
	return 0, nil
}

// transports are the ways in which the same bytes may come.
var transports = []struct {
	name string
	send func(c *conn, k int, b []byte)
}{
	{"whole", func(c *conn, k int, b []byte) { c.next(k, b) }},
	{"every packet twice", func(c *conn, k int, b []byte) {
		seq := c.seq[k]
		c.next(k, b)
		c.say(k, seq, b)
	}},
	{"sent again with more", func(c *conn, k int, b []byte) {
		seq, half := c.seq[k], len(b)/2
		c.next(k, b[:half])
		c.seq[k] += uint32(len(b) - half)
		c.say(k, seq, b)
		c.say(k, seq-1, []byte{0}) // a keep-alive probe, old
	}},
	{"byte by byte", func(c *conn, k int, b []byte) {
		for i := range b {
			c.next(k, b[i:i+1])
		}
	}},
}

// want plays a script over the transports and compares the facts.
func want(t *testing.T, script, facts []string, only ...string) {
	t.Helper()
	for _, tr := range transports {
		if len(only) > 0 && !strings.Contains(strings.Join(only, ","), tr.name) {
			continue
		}
		r := newRig(t, Config{})
		c := r.connect(&cordon.Device{ID: "camera"})
		for _, text := range script {
			r.now = r.now.Add(time.Second)
			k, b := line(t, text)
			tr.send(c, k, b)
		}
		c.close()
		if diff := cmp.Diff(facts, r.facts); diff != "" {
			t.Errorf("%s (-want +got):\n%s", tr.name, diff)
		}
		r.keepsNoSecret()
		r.isEmpty()
	}
}

// keepsNoSecret looks for names and passwords in what was told and in the memory
// of conversations that are over.
func (r *rig) keepsNoSecret() {
	r.t.Helper()
	for _, word := range []string{user, secret, "WGFkbWluNzpodW50ZXIyd3E="} {
		if bytes.Contains(r.kept, []byte(word)) {
			r.t.Errorf("%q is in a fact", word)
		}
		for i := range r.talks {
			for k := range r.talks[i].sides {
				if bytes.Contains(r.talks[i].sides[k].line[:], []byte(word)) {
					r.t.Errorf("%q is still in a line", word)
				}
			}
		}
		for p := r.pages.free; p != nil; p = p.next {
			if bytes.Contains(p.bytes[:], []byte(word)) {
				r.t.Errorf("%q is still in a page", word)
			}
		}
		if bytes.Contains(r.text[:], []byte(word)) {
			r.t.Errorf("%q is still in the table", word)
		}
	}
}

// isEmpty checks that everything was given back.
func (r *rig) isEmpty() {
	r.t.Helper()
	free, pages, seats := 0, 0, 0
	for i := r.free; i != 0; i = r.talks[i].next {
		free++
	}
	for p := r.pages.free; p != nil; p = p.next {
		pages++
	}
	for i := r.empty; i != 0; i = r.seats[i].next {
		seats++
	}
	if free != len(r.talks)-1 || pages != r.pages.made || seats != len(r.seats)-1 {
		r.t.Errorf("%d of %d conversations, %d of %d pages, %d of %d seats were given back",
			free, len(r.talks)-1, pages, r.pages.made, seats, len(r.seats)-1)
	}
}
