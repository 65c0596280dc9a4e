package flow

import (
	"testing"

	"cordon"
	"cordon/agent/packet"
)

// listener is a Talk that writes down what it is told.
type listener struct {
	t      testing.TB
	refuse bool // Begin wants nothing
	enough int  // payloads after which no more is wanted; 0 never
	next   int32
	said   map[int32][]string
	open   map[int32]bool
}

func newListener(t testing.TB) *listener {
	return &listener{t: t, said: make(map[int32][]string), open: make(map[int32]bool)}
}

func (l *listener) Begin(*cordon.Flow) int32 {
	if l.refuse {
		return 0
	}
	l.next++
	l.open[l.next] = true
	return l.next
}

func (l *listener) Said(_ *cordon.Flow, id int32, p *packet.Packet, byOpener bool, _ cordon.Time) bool {
	if !l.open[id] {
		l.t.Errorf("said to %d, which is not open", id)
	}
	who := "peer: "
	if byOpener {
		who = "opener: "
	}
	l.said[id] = append(l.said[id], who+string(p.Payload))
	return l.enough == 0 || len(l.said[id]) < l.enough
}

func (l *listener) End(id int32) {
	if !l.open[id] {
		l.t.Errorf("end of %d, which is not open", id)
	}
	delete(l.open, id)
}

func (l *listener) want(id int32, lines ...string) {
	l.t.Helper()
	if len(l.said[id]) != len(lines) {
		l.t.Fatalf("heard %q, want %q", l.said[id], lines)
	}
	for i, line := range lines {
		if l.said[id][i] != line {
			l.t.Errorf("heard %q, want %q", l.said[id][i], line)
		}
	}
}

func listening(l *listener) func(*Config) { return func(c *Config) { c.Talk = l } }

func TestTalk(t *testing.T) {
	l := newListener(t)
	r := newRig(t, 64, listening(l))
	r.send(connect(camera, 4000, server, 23)...)
	if l.next != 0 {
		t.Error("asked before anything was said")
	}
	r.send(tcp(server, 23, camera, 4000, ack, []byte("login: ")...))
	r.send(tcp(camera, 4000, server, 23, ack), tcp(camera, 4000, server, 23, ack, []byte("root")...))
	l.want(1, "peer: login: ", "opener: root")
	r.Close(r.now)
	if len(l.open) != 0 {
		t.Errorf("%d left open at the end", len(l.open))
	}
}

func TestTalkOfInbound(t *testing.T) {
	l := newListener(t)
	r := newRig(t, 64, listening(l))
	r.send(connect(server, 4000, camera, 23)...)
	r.send(tcp(server, 4000, camera, 23, ack, 'a'), tcp(camera, 23, server, 4000, ack, 'b'))
	l.want(1, "opener: a", "peer: b")
	r.send(udp(camera, 4000, server, 9999, 'c'))
	l.want(2, "opener: c")
}

func TestTalkEndsWhenEnoughWasSaid(t *testing.T) {
	l := newListener(t)
	l.enough = 2
	r := newRig(t, 64, listening(l))
	r.send(connect(camera, 4000, server, 23)...)
	for range 5 {
		r.send(tcp(camera, 4000, server, 23, ack, 'x'))
	}
	l.want(1, "opener: x", "opener: x")
	if len(l.open) != 0 {
		t.Error("still open after enough was said")
	}
}

func TestTalkUnwanted(t *testing.T) {
	l := newListener(t)
	l.refuse = true
	r := newRig(t, 64, listening(l))
	r.send(connect(camera, 4000, server, 23)...)
	r.send(tcp(camera, 4000, server, 23, ack, 'x'))
	l.refuse = false
	r.send(tcp(camera, 4000, server, 23, ack, 'y'))
	if len(l.said) != 0 {
		t.Errorf("heard %q of a flow that is not to be read", l.said)
	}
}

// TestTalkOfAScan: what nobody answers is never asked about.
func TestTalkOfAScan(t *testing.T) {
	l := newListener(t)
	r := newRig(t, 8192, listening(l))
	r.flood(tcp(camera, 6000, victim, 23, syn), 1000)
	if l.next != 0 {
		t.Errorf("asked %d times during a scan", l.next)
	}
}

// TestTalkOfEvicted: a flow that has to go ends its reading.
func TestTalkOfEvicted(t *testing.T) {
	l := newListener(t)
	r := newRig(t, 64, listening(l))
	for i := range uint16(1000) {
		r.send(connect(camera, 4000+i, server, 23)...)
		r.send(tcp(camera, 4000+i, server, 23, ack, 'a'))
	}
	if l.next != 1000 || len(l.open) > 64 {
		t.Errorf("%d were read, %d are still open", l.next, len(l.open))
	}
}
