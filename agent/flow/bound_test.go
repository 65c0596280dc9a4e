package flow

import (
	"encoding/binary"
	"net/netip"
	"testing"
	"time"

	"cordon"
	"cordon/agent/packet"
)

// stranger returns the i-th of many addresses on the internet.
func stranger(i int) netip.Addr {
	var b [4]byte
	binary.BigEndian.PutUint32(b[:], 20<<24+uint32(i))
	return netip.AddrFrom4(b)
}

// flood sends n packets like p, each to another stranger.
func (r *rig) flood(p packet.Packet, n int) {
	for i := range n {
		p.Dst = stranger(i)
		r.Packet(&p, r.now)
	}
}

// alive reports whether a flow of a device to a peer is in the table.
func (r *rig) alive(src string, sport uint16, dst string, dport uint16) bool {
	p := tcp(src, sport, dst, dport, ack)
	i, _ := r.lookup(&p, sport, dport)
	return i != 0
}

// TestFloods: whatever a device pours out, it keeps its own conversations and
// everybody else theirs.
func TestFloods(t *testing.T) {
	const n = 100_000
	for _, c := range []struct {
		name string
		p    packet.Packet
	}{
		{"SYN", tcp(camera, 6000, victim, 23, syn)},
		{"UDP", udp(camera, 6000, victim, 23)},
		{"UDP from a low port", udp(camera, 53, victim, 2300)},
		{"ACK", tcp(camera, 6000, victim, 23, ack)},
		{"ACK to high ports", tcp(camera, 23, victim, 6000, ack)},
		{"FIN", tcp(camera, 6000, victim, 23, packet.FIN)},
		{"SYN-ACK", tcp(camera, 23, victim, 6000, synack)},
		{"ping", echo(camera, victim, 1, false)},
	} {
		t.Run(c.name, func(t *testing.T) {
			r := newRig(t, 1024)
			r.send(connect(camera, 4000, server, 443)...)
			r.send(connect(laptop, 4000, server, 443)...)
			r.send(udp(laptop, 5000, server, 9999), udp(server, 9999, laptop, 5000))
			r.at(time.Minute) // the flows above are not used since
			r.flood(c.p, n)
			if !r.alive(camera, 4000, server, 443) || !r.alive(laptop, 4000, server, 443) {
				t.Error("the flood evicted a flow that was answered")
			}
			if n := r.count(cordon.FlowEvicted, func(f *cordon.Flow) bool { return f.Device != r.device(camera) }); n != 0 {
				t.Errorf("the flood evicted %d flows of other devices", n)
			}
			if u, _ := r.owns(camera); u > 1024/unansweredShare {
				t.Errorf("%d unanswered flows of one device, want at most %d", u, 1024/unansweredShare)
			}
			s := r.Stats()
			if s.Opened != n+3 || s.Evicted != uint64(r.count(cordon.FlowEvicted, nil)) ||
				s.Evicted != n-1024/unansweredShare {
				t.Errorf("%+v after %d flows", s, n)
			}
			r.check()
		})
	}
}

// TestFloodFromOutside: a stranger who calls a device keeps within its share.
func TestFloodFromOutside(t *testing.T) {
	r := newRig(t, 1024)
	r.send(connect(camera, 4000, server, 443)...)
	p := tcp(server, 6000, camera, 23, ack)
	for i := range 10_000 {
		p.Src = stranger(i)
		r.Packet(&p, r.now)
	}
	if !r.alive(camera, 4000, server, 443) {
		t.Error("a flood of ACKs from outside evicted a flow that was answered")
	}
	r.check()
}

func TestMidstreamSettlesWhenBothSpoke(t *testing.T) {
	r := newRig(t, 64)
	r.send(tcp(camera, 4000, server, 443, ack, 1))
	if u, a := r.owns(camera); u != 1 || a != 0 {
		t.Errorf("one side of a connection: %d unanswered and %d answered, want 1 and 0", u, a)
	}
	r.send(tcp(server, 443, camera, 4000, ack, 1))
	if u, a := r.owns(camera); u != 0 || a != 1 {
		t.Errorf("both sides of a connection: %d unanswered and %d answered, want 0 and 1", u, a)
	}
	r.check()
}

// TestQuota: no device holds more than a quarter, answered or not.
func TestQuota(t *testing.T) {
	const size = 64
	r := newRig(t, size)
	for i := range uint16(200) {
		r.send(connect(camera, 4000+i, server, 443)...)
		if u, a := r.owns(camera); u+a > size/deviceShare {
			t.Fatalf("%d flows of one device, want at most %d", u+a, size/deviceShare)
		}
		r.check()
	}
	if got, want := r.Stats().Evicted, uint64(200-size/deviceShare); got != want {
		t.Errorf("%d evicted, want %d", got, want)
	}
}

// TestSecondChance: of the answered flows the ones in use are spared.
func TestSecondChance(t *testing.T) {
	const size = 64
	r := newRig(t, size)
	r.send(connect(camera, 4000, server, 443)...) // the oldest
	for i := range uint16(100) {
		r.at(time.Duration(i) * time.Second)
		r.send(tcp(camera, 4000, server, 443, ack, 1))
		r.send(connect(camera, 5000+i, server, 443)...)
	}
	if !r.alive(camera, 4000, server, 443) {
		t.Error("a flow in use was evicted before ones that were not")
	}
	if r.Stats().Evicted == 0 {
		t.Error("nothing was evicted, so nothing was shown")
	}
}

// TestFullTable: when the table is full the largest owner pays, with what nobody
// answered first.
func TestFullTable(t *testing.T) {
	const size = 64
	r := newRig(t, size)
	devices := []string{"192.168.1.20", "192.168.1.21", "192.168.1.22", "192.168.1.23"}
	for _, d := range devices {
		r.device(d)
		for i := range uint16(size / deviceShare) {
			r.send(connect(d, 4000+i, server, 443)...)
		}
	}
	if r.free != 0 || r.Stats().Evicted != 0 {
		t.Fatalf("the table is not just full: free %d, %+v", r.free, r.Stats())
	}
	r.send(connect(camera, 4000, server, 443)...)
	last := r.events[len(r.events)-3]
	if last.ev != cordon.FlowEvicted || last.flow.Device == r.device(camera) {
		t.Errorf("%s of %s, want an eviction of one of the large owners", eventNames[last.ev], last.flow.Device.ID)
	}
	// From now on a small owner never pays.
	for i := range uint16(10) {
		r.send(connect(laptop, 4000+i, server, 443)...)
	}
	if !r.alive(camera, 4000, server, 443) {
		t.Error("the only flow of a small owner was evicted")
	}
	r.check()
}

// TestFullTableUnanswered: of the largest owner, what nobody answered goes first.
func TestFullTableUnanswered(t *testing.T) {
	const size = 64
	r := newRig(t, size)
	for _, d := range []string{"192.168.1.20", "192.168.1.21", "192.168.1.22", "192.168.1.23"} {
		r.device(d)
		for i := range uint16(size/deviceShare - 2) {
			r.send(connect(d, 4000+i, server, 443)...)
		}
		r.send(tcp(d, 6000, server, 23, syn), tcp(d, 6001, server, 23, syn))
	}
	for i := range uint16(8) {
		r.send(connect(laptop, 4000+i, server, 443)...)
	}
	if n := r.count(cordon.FlowEvicted, func(f *cordon.Flow) bool { return f.Outcome == cordon.Answered }); n != 0 {
		t.Errorf("%d answered flows evicted while there were unanswered ones", n)
	}
	if r.Stats().Evicted != 8 {
		t.Errorf("%d evicted, want 8", r.Stats().Evicted)
	}
	r.check()
}
