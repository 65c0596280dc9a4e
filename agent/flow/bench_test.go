package flow

import (
	"testing"
	"time"

	"cordon"
	"cordon/agent/packet"
)

// quiet is a rig that keeps no events.
func quiet(t testing.TB, size int) *rig {
	r := newRig(t, size, func(c *Config) { c.Event = func(cordon.FlowEvent, *cordon.Flow) {} })
	r.told[addr(server)] = true
	return r
}

func TestKnownFlowAllocatesNothing(t *testing.T) {
	r := quiet(t, 1024)
	r.send(connect(camera, 4000, server, 443)...)
	out, in := tcp(camera, 4000, server, 443, ack, 1), tcp(server, 443, camera, 4000, ack, 1)
	n := testing.AllocsPerRun(1000, func() {
		r.Packet(&out, r.now)
		r.Packet(&in, r.now)
		r.Advance(r.now.Add(time.Millisecond))
	})
	if n != 0 {
		t.Errorf("%v allocations for two packets of a known flow, want none", n)
	}
}

// TestNewFlowAllocatesNothing: once the table is warm, neither does a flow that
// opens, is answered, refused, falls silent, is read, or is evicted.
func TestNewFlowAllocatesNothing(t *testing.T) {
	r := quiet(t, 1024)
	r.cfg.Talk = deaf{}
	packets := connect(camera, 4000, server, 23)
	packets = append(packets, tcp(camera, 4000, server, 23, ack, 1), tcp(server, 23, camera, 4000, rst),
		tcp(laptop, 4000, server, 80, syn), unreachable("198.51.100.1", 1, tcp(laptop, 4000, server, 80, syn)),
		udp(laptop, 4000, server, 9999, 1), tcp(server, 80, laptop, 1, synack), echo(camera, server, 1, false))
	i, p := 0, packet.Packet{}
	run := func() {
		for k := range packets {
			p = packets[k]
			if isHome(p.Src) {
				p.Dst = stranger(i)
			} else {
				p.Src = stranger(i)
			}
			r.Packet(&p, r.now)
		}
		i++
		r.Advance(r.now.Add(time.Millisecond))
	}
	for range 5000 {
		run()
	}
	if n := testing.AllocsPerRun(2000, run); n != 0 {
		t.Errorf("%v allocations for a handful of new flows, want none", n)
	}
}

func BenchmarkKnownFlow(b *testing.B) {
	r := quiet(b, DefaultSize)
	var packets []packet.Packet
	for i := range uint16(1000) {
		r.send(connect(camera, 4000+i, server, 443)...)
		packets = append(packets, tcp(camera, 4000+i, server, 443, ack, 1), tcp(server, 443, camera, 4000+i, ack, 1))
	}
	b.ReportAllocs()
	i := 0
	for b.Loop() {
		r.Packet(&packets[i], r.now)
		if i++; i == len(packets) {
			i = 0
		}
	}
}

// BenchmarkNewFlow is a connection: four packets, and the eviction of another.
func BenchmarkNewFlow(b *testing.B) {
	r := quiet(b, DefaultSize)
	packets := append(connect(camera, 4000, server, 443), tcp(camera, 4000, server, 443, fin))
	b.ReportAllocs()
	i, p := 0, packet.Packet{}
	for b.Loop() {
		i++
		for k := range packets {
			p = packets[k]
			if isHome(p.Src) {
				p.Dst = stranger(i & 0xffffff)
			} else {
				p.Src = stranger(i & 0xffffff)
			}
			r.Packet(&p, r.now)
		}
	}
}

// BenchmarkFlood is a SYN to another stranger each time.
func BenchmarkFlood(b *testing.B) {
	r := quiet(b, DefaultSize)
	p := tcp(camera, 6000, victim, 23, syn)
	b.ReportAllocs()
	i := 0
	for b.Loop() {
		i++
		p.Dst = stranger(i & 0xffffff)
		r.Packet(&p, r.now)
		r.Advance(r.now.Add(10 * time.Microsecond))
	}
}

// deaf is a Talk that wants to hear everything and keeps nothing.
type deaf struct{}

func (deaf) Begin(*cordon.Flow) int32 { return 1 }

func (deaf) Said(*cordon.Flow, int32, *packet.Packet, bool, cordon.Time) bool { return true }

func (deaf) End(int32) {}
