package kernel

import (
	"encoding/binary"
	"os"
	"testing"
	"time"

	"github.com/cilium/ebpf"

	"cordon/agent/packet"
	"cordon/lab/synth/frame"
)

// loaded is a Source that is at no port: its program is run by BPF_PROG_TEST_RUN.
func loaded(tb testing.TB, edit ...func(*Config)) *rig {
	tb.Helper()
	if os.Geteuid() != 0 {
		tb.Skip("needs root")
	}
	cfg := Config{Home: home, Poll: time.Millisecond, Seed: 7}
	for _, e := range edit {
		e(&cfg)
	}
	s, err := New(cfg)
	if err != nil {
		tb.Fatal(err)
	}
	tb.Cleanup(func() { _ = s.Close() })
	return &rig{Source: s, t: tb}
}

// run runs the program on a frame.
func run(tb testing.TB, p *ebpf.Program, f []byte, repeat int) time.Duration {
	tb.Helper()
	_, d, err := p.Benchmark(f, repeat, nil)
	if err != nil {
		tb.Fatal(err)
	}
	return d
}

// padded is a frame of 106 bytes, as ../shared measured with.
func padded(f []byte) []byte { return append(f, make([]byte, max(106-len(f), 0))...) }

// BenchmarkProgramKnownFlow is what a packet of a known flow costs in the kernel.
func BenchmarkProgramKnownFlow(b *testing.B) {
	for _, c := range []struct {
		name string
		make func(*rig) []byte
	}{
		{"tcp", func(r *rig) []byte { return r.tcp(camera, 4000, server, 443, frame.ACK, payload) }},
		{"ack", func(r *rig) []byte { return r.tcp(camera, 4000, server, 443, frame.ACK, nil) }},
		{"udp", func(r *rig) []byte { return r.udp(camera, 4000, server, 443, payload) }},
		{"tcp6", func(r *rig) []byte {
			return r.frame.TCP(ends(camera, server), net6(camera, server), frame.Segment{SrcPort: 4000, DstPort: 443, Flags: frame.ACK}, payload)
		}},
	} {
		b.Run(c.name, func(b *testing.B) {
			r := loaded(b)
			f := padded(c.make(r))
			back := append([]byte(nil), f...)
			swap(back)
			run(b, r.objects.Incoming, f, 20)
			run(b, r.objects.Outgoing, back, 20)
			run(b, r.objects.Incoming, f, 20)
			var sum time.Duration
			n := 0
			for b.Loop() {
				sum += run(b, r.objects.Incoming, f, 10000)
				n++
			}
			b.ReportMetric(float64(sum.Nanoseconds())/float64(n), "ns/packet")
		})
	}
}

// swap turns a frame round.
func swap(f []byte) {
	exchange := func(a, b, n int) {
		for i := range n {
			f[a+i], f[b+i] = f[b+i], f[a+i]
		}
	}
	exchange(0, 6, 6)
	if f[14]>>4 == 4 {
		exchange(26, 30, 4)
		exchange(34, 36, 2)
	} else {
		exchange(22, 38, 16)
		exchange(54, 56, 2)
	}
}

// BenchmarkProgramNewFlow is what the first packet of a flow costs, handed over
// and, with no room left for frames, only counted.
func BenchmarkProgramNewFlow(b *testing.B) {
	for name, rate := range map[string]int{"handed": -1, "capped": 1} {
		b.Run(name, func(b *testing.B) {
			r := loaded(b, func(c *Config) { c.Rate, c.Burst, c.Ring = rate, 8, 16<<20 })
			f := padded(r.tcp(camera, 4000, server, 23, frame.SYN, nil))
			const each = 20000
			var sum time.Duration
			n, dst := 0, uint32(1<<24)
			for b.Loop() {
				for range each {
					dst++
					binary.BigEndian.PutUint32(f[30:], dst)
					sum += run(b, r.objects.Incoming, f, 1)
				}
				var p packet.Frame
				for p.Data = f; p.Data != nil; {
					if err := r.Next(&p); err != nil {
						b.Fatal(err)
					}
				}
				n += each
			}
			b.ReportMetric(float64(sum.Nanoseconds())/float64(n), "ns/packet")
		})
	}
}

// BenchmarkNext is what a frame that was handed over costs in user space, up to
// its parsed headers.
func BenchmarkNext(b *testing.B) {
	r := loaded(b, func(c *Config) { c.Rate, c.Ring = -1, 16<<20 })
	f := padded(r.udp(camera, 4000, server, 53, payload))
	var p packet.Packet
	var got packet.Frame
	left := 0
	b.ReportAllocs()
	for b.Loop() {
		if left == 0 {
			b.StopTimer()
			run(b, r.objects.Incoming, f, 40000)
			left = 40000
			b.StartTimer()
		}
		if err := r.Next(&got); err != nil || got.Data == nil {
			b.Fatal(err, left)
		}
		if err := p.Parse(&got); err != nil {
			b.Fatal(err)
		}
		left--
	}
}

// BenchmarkFlows is a sweep of 8,192 flows of which each was busy.
func BenchmarkFlows(b *testing.B) {
	r := loaded(b, func(c *Config) { c.Rate, c.Ring = -1, 16<<20 })
	f := r.udp(camera, 4000, server, 9, payload)
	back := append([]byte(nil), f...)
	swap(back)
	touch := func(n int) {
		for i := range n {
			binary.BigEndian.PutUint32(f[30:], uint32(1<<24+i))
			binary.BigEndian.PutUint32(back[26:], uint32(1<<24+i))
			run(b, r.objects.Incoming, f, 12)
			run(b, r.objects.Outgoing, back, 12)
		}
	}
	touch(9000)
	told := 0
	b.ReportAllocs()
	for b.Loop() {
		b.StopTimer()
		touch(9000)
		b.StartTimer()
		if err := r.Flows(func(*packet.FlowCount) { told++ }); err != nil {
			b.Fatal(err)
		}
	}
	st := r.Stats()
	b.ReportMetric(float64(st.Flows+st.Pending), "flows")
	b.ReportMetric(float64(told)/float64(b.N), "counts")
}
