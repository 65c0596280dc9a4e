package pipeline

import (
	"context"
	"encoding/binary"
	"testing"

	"cordon"
	"cordon/agent/packet"
)

// nowhere is a sink that keeps nothing.
type nowhere struct{}

func (nowhere) Detection(*cordon.Detection) {}

func (nowhere) Action(*cordon.Action) {}

func (nowhere) Incident(*cordon.Incident) {}

func (nowhere) Device(*cordon.Device) {}

// segment is an Ethernet frame with a TCP segment of a home's device, or of the
// server that it talks to.
func segment(out bool, flags byte, payload int) []byte {
	b := make([]byte, 14+20+20+payload)
	copy(b, "\x02\x00\x00\x00\x00\x01\x02\x00\x00\x00\x00\x02\x08\x00")
	ip, tcp := b[14:], b[34:]
	ip[0], ip[8], ip[9] = 0x45, 64, packet.ProtoTCP
	binary.BigEndian.PutUint16(ip[2:], uint16(40+payload))
	device, server := []byte{192, 168, 1, 20}, []byte{203, 0, 113, 9}
	from, to, sport, dport := device, server, uint16(40000), uint16(8883)
	if !out {
		from, to, sport, dport = server, device, dport, sport
		copy(b[6:], "\x02\x00\x00\x00\x00\x01")
		copy(b, "\x02\x00\x00\x00\x00\x02")
	}
	copy(ip[12:], from)
	copy(ip[16:], to)
	binary.BigEndian.PutUint16(tcp, sport)
	binary.BigEndian.PutUint16(tcp[2:], dport)
	tcp[12], tcp[13] = 5<<4, flags
	return b
}

// established returns a pipeline in which a connection is established, and a function
// that takes a packet of it each way through all stages.
func established(tb testing.TB) (*Pipeline, func()) {
	p, err := New(context.Background(), Config{Source: nothing{}, Sink: nowhere{}})
	if err != nil {
		tb.Fatal(err)
	}
	now := int64(1e18)
	feed := func(b []byte) {
		now += 1e6
		p.Frame(&packet.Frame{Time: now, Link: packet.LinkEthernet, Len: len(b), Data: b})
	}
	feed(segment(true, packet.SYN, 0))
	feed(segment(false, packet.SYN|packet.ACK, 0))
	out, in := segment(true, packet.ACK, 900), segment(false, packet.ACK, 900)
	return p, func() { feed(out); feed(in) }
}

type nothing struct{}

func (nothing) Next(*packet.Frame) error { panic("not read") }

// TestKnownFlowAllocatesNothing takes packets of a known flow through all stages.
func TestKnownFlowAllocatesNothing(t *testing.T) {
	p, exchange := established(t)
	for range 100 {
		exchange()
	}
	if n := testing.AllocsPerRun(10_000, exchange); n != 0 {
		t.Errorf("%v allocations for two packets of a known flow, want none", n)
	}
	if got := p.Flows.Stats().Opened; got != 1 {
		t.Errorf("%d flows, want 1: not the test it should be", got)
	}
}

func BenchmarkKnownFlow(b *testing.B) {
	_, exchange := established(b)
	b.ReportAllocs()
	for b.Loop() {
		exchange()
	}
	b.ReportMetric(float64(b.Elapsed().Nanoseconds())/float64(2*b.N), "ns/packet")
}
