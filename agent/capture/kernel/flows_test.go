package kernel

import (
	"encoding/binary"
	"testing"
	"time"

	"github.com/cilium/ebpf"

	"cordon/agent/packet"
	"cordon/lab/synth/frame"
)

// later lets time pass for the program.
func (r *rig) later(d time.Duration) { r.SetAhead(int64(r.live.Shift) + int64(d)) }

// TestCounts: what is handed over and what is counted are together what was sent.
func TestCounts(t *testing.T) {
	r := newRig(t, 1)
	r.connect(4000, 443)
	out, in := r.tcp(camera, 4000, server, 443, frame.ACK|frame.PSH, payload), r.tcp(server, 443, camera, 4000, frame.ACK, make([]byte, 1000))
	handed := 0
	var sum, back packet.FlowCount
	for round := range 3 {
		for range 20 {
			r.send(0, out)
			r.out(0, in)
			r.out(0, in)
		}
		handed += len(r.drain())
		o, i := r.count(camera.v4, 4000, server.v4, 443, packet.ProtoTCP), r.count(server.v4, 443, camera.v4, 4000, packet.ProtoTCP)
		if i.Packets != 0 {
			t.Errorf("round %d: counts were told twice", round)
		}
		sum.Packets, sum.Bytes, sum.Flags = sum.Packets+o.Packets, sum.Bytes+o.Bytes, sum.Flags|o.Flags
	}
	_ = back
	if handed != 16 {
		t.Errorf("%d handed over, want 8 of each side", handed)
	}
	ack := uint64(1) // of the handshake, without payload
	if want := uint64(60-8) + ack; sum.Packets != want || sum.Bytes != 52*uint64(40+len(payload))+40 {
		t.Errorf("%d packets of %d bytes counted, want %d of %d", sum.Packets, sum.Bytes, want, 52*(40+len(payload))+40)
	}
	if sum.Flags != packet.ACK|packet.PSH {
		t.Errorf("flags %x", sum.Flags)
	}
}

// TestCountsOfBothSides: each direction is told by itself, and when it was.
func TestCountsOfBothSides(t *testing.T) {
	const base = int64(1e18)
	r := newRig(t, 1, func(c *Config) { c.Base = base })
	r.connect(4000, 443)
	for range 4 {
		r.out(0, r.tcp(server, 443, camera, 4000, frame.ACK, nil))
	}
	from := r.Now()
	all := r.counts()
	in := all[packet.FlowCount{Src: server.v4, Dst: camera.v4, SrcPort: 443, DstPort: 4000, Proto: packet.ProtoTCP}]
	out := all[packet.FlowCount{Src: camera.v4, Dst: server.v4, SrcPort: 4000, DstPort: 443, Proto: packet.ProtoTCP}]
	if in.Packets != 4 || out.Packets != 1 || len(all) != 2 {
		t.Errorf("%d in, %d out, %d counts; want 4, 1, 2", in.Packets, out.Packets, len(all))
	}
	if age := time.Duration(from - in.Last); age < 0 || age > 5*time.Second {
		t.Errorf("the newest was %v ago", age)
	}
}

// TestCountsOfOthers: echoes and protocols without ports are told as
// packet.Packet has their ports.
func TestCountsOfOthers(t *testing.T) {
	r := newRig(t, 1)
	ping := func(a, b station, kind uint8) []byte {
		return append([]byte(nil), r.frame.ICMP(ends(a, b), net4(a, b), kind, 0, []byte{0x12, 0x34, 0, 1})...)
	}
	gre := append([]byte(nil), r.frame.IP(ends(camera, server), net4(camera, server), 47, []byte{0, 0, 8, 0})...)
	for range 20 {
		r.send(0, ping(camera, server, 8))
		r.out(0, ping(server, camera, 0))
		r.send(0, gre)
	}
	all := r.counts()
	for _, k := range []packet.FlowCount{
		{Src: camera.v4, Dst: server.v4, SrcPort: 0x1234, Proto: packet.ProtoICMP},
		{Src: server.v4, Dst: camera.v4, SrcPort: 0x1234, Proto: packet.ProtoICMP},
		{Src: camera.v4, Dst: server.v4, Proto: packet.ProtoGRE},
	} {
		if all[k].Packets == 0 {
			t.Errorf("nothing counted of %+v, but of %v", k, all)
		}
	}
}

// TestSample: of a flow that lasts, a packet a second is shown, headers at least.
func TestSample(t *testing.T) {
	r := newRig(t, 1)
	r.connect(4000, 443)
	data := r.tcp(camera, 4000, server, 443, frame.ACK, make([]byte, 1000))
	for range 20 {
		r.send(0, data)
	}
	if got := r.drain(); len(got) != 8 {
		t.Fatalf("%d of the beginning, want 8", len(got))
	}
	for range 5 {
		r.later(time.Second + 20*time.Millisecond)
		for range 10 {
			r.send(0, data)
		}
		got := r.parsed()
		if len(got) != 1 || got[0].PayloadLen != 1000 || !got[0].Has(packet.HasTCP) {
			t.Fatalf("%d shown of a second, want 1 with its lengths", len(got))
		}
	}
}

// TestSmall: small payloads of a slow flow are shown between the seconds too.
func TestSmall(t *testing.T) {
	r := newRig(t, 1)
	r.connect(4000, 443)
	beat := r.tcp(camera, 4000, server, 443, frame.ACK, []byte{0, 0})
	for range 20 {
		r.send(0, beat)
	}
	r.drain()
	for range 5 {
		r.later(300 * time.Millisecond)
		r.send(0, beat)
		r.send(0, beat)
		if got := r.drain(); len(got) != 1 {
			t.Fatalf("%d shown, want 1", len(got))
		}
	}
}

// TestBeginsAgain: after a pause, and when its ports are used again, a flow's
// beginning is shown anew.
func TestBeginsAgain(t *testing.T) {
	for _, c := range []struct {
		name  string
		again func(*rig)
		shown int
	}{
		{"at once", func(*rig) {}, 0},
		{"after a pause", func(r *rig) { r.later(11 * time.Second) }, 8},
		{"another connection", func(r *rig) { r.connect(4000, 443) }, 8},
	} {
		t.Run(c.name, func(t *testing.T) {
			r := newRig(t, 1)
			r.connect(4000, 443)
			data := r.tcp(camera, 4000, server, 443, frame.ACK, payload)
			for range 20 {
				r.send(0, data)
			}
			r.drain()
			c.again(r)
			for range 20 {
				r.send(0, data)
			}
			if got := r.drain(); len(got) != c.shown {
				t.Errorf("%d shown, want %d", len(got), c.shown)
			}
		})
	}
}

func TestWant(t *testing.T) {
	for _, v6 := range []bool{false, true} {
		r := newRig(t, 1)
		a, b := apOf(camera.v4, 4000), apOf(server.v4, 23)
		data := r.tcp(camera, 4000, server, 23, frame.ACK, payload)
		if v6 {
			a, b = apOf(camera.v6, 4000), apOf(server.v6, 23)
			data = append([]byte(nil), r.frame.TCP(ends(camera, server), net6(camera, server),
				frame.Segment{SrcPort: 4000, DstPort: 23, Flags: frame.ACK}, payload)...)
		}
		for range 8 {
			r.send(0, data)
		}
		r.drain()
		shown := func() int {
			for range 10 {
				r.send(0, data)
			}
			return len(r.drain())
		}
		steps := []struct {
			do   func()
			want int
		}{
			{func() {}, 0},
			{func() { r.Want(a, b, packet.ProtoTCP, true) }, 10},
			{func() { r.Want(b, a, packet.ProtoTCP, true) }, 10}, // two want it, named either way round
			{func() { r.Want(a, b, packet.ProtoTCP, false) }, 10},
			{func() { r.Want(a, b, packet.ProtoTCP, false) }, 0},
			{func() { r.Want(a, b, packet.ProtoTCP, false) }, 0},
			{func() { r.Want(a, b, packet.ProtoUDP, true) }, 0},
		}
		for i, s := range steps {
			s.do()
			if got := shown(); got != s.want {
				t.Errorf("IPv6 %t, step %d: %d shown, want %d", v6, i, got, s.want)
			}
		}
	}
}

// TestScanPushesOutItsOwn: however many contacts nobody answers, an answered flow
// stays, with its counts.
func TestScanPushesOutItsOwn(t *testing.T) {
	r := newRig(t, 1, func(c *Config) { c.Flows, c.Pending, c.Rate = 64, 64, -1 })
	r.connect(4000, 443)
	syn := r.tcp(camera, 5000, server, 23, frame.SYN, nil)
	for i := range 3000 {
		binary.BigEndian.PutUint32(syn[30:], uint32(0x08000000+i))
		if err := r.pairs[0].Device.Send(syn); err != nil {
			t.Fatal(err)
		}
		r.sent++
	}
	r.seen()
	if got := len(r.drain()); got != 3000 {
		t.Errorf("%d SYNs handed over, want 3000", got)
	}
	r.send(0, r.tcp(camera, 4000, server, 443, frame.ACK, nil))
	if got := r.drain(); len(got) != 0 {
		t.Error("the answered flow was forgotten: its packet was new")
	}
	if n := r.count(camera.v4, 4000, server.v4, 443, packet.ProtoTCP); n.Packets != 2 {
		t.Errorf("%d packets counted, want 2", n.Packets)
	}
	st := r.Stats()
	if st.Flows != 1 || st.Pending > 64 || st.Evicted < 2900 || st.Answered != 1 || st.Opened < 3001 {
		t.Errorf("%+v", st)
	}
}

// TestForgottenFlow: one that had to go is shown from its beginning again.
func TestForgottenFlow(t *testing.T) {
	r := newRig(t, 1, func(c *Config) { c.Flows, c.Pending, c.Rate = 16, 16, -1 })
	for i := range uint16(2000) {
		r.connect(10000+i, 443)
	}
	r.send(0, r.tcp(camera, 10000, server, 443, frame.ACK, nil))
	if got := r.drain(); len(got) != 1 {
		t.Errorf("%d handed over of a forgotten flow, want its packet", len(got))
	}
}

// TestCap: each device and direction has a cap of its own; what is over it is
// counted.
func TestCap(t *testing.T) {
	r := newRig(t, 1, func(c *Config) { c.Rate, c.Burst, c.FlowBurst = 1, 80, 1000 })
	r.send(0, r.udp(laptop, 5000, server, 53, payload))
	r.send(0, r.udp(camera, 5000, server, 53, payload))
	r.drain()
	r.later(11 * time.Second) // no strangers any more
	ask := r.udp(camera, 5000, server, 53, payload)
	for range 200 {
		r.send(0, ask)
	}
	if got := len(r.drain()); got < 70 || got > 76 {
		t.Errorf("%d handed over, want the 7/8 of the burst that facts may use", got)
	}
	r.out(0, r.udp(server, 53, camera, 5000, payload))
	r.send(0, r.udp(laptop, 5000, server, 53, payload))
	if got := len(r.drain()); got != 2 {
		t.Errorf("%d handed over of the other direction and the other device, want 2", got)
	}
	dst := server.v4.As4()
	for i := range 20 {
		r.send(0, append([]byte(nil), r.frame.TCP(ends(camera, server), net4(camera, server),
			frame.Segment{SrcPort: uint16(6000 + i), DstPort: 23, Seq: binary.BigEndian.Uint32(dst[:]), Flags: frame.SYN}, nil)...))
	}
	if got := len(r.drain()); got < 9 || got > 11 {
		t.Errorf("%d SYNs of Mirai handed over, want the last 1/8 of the burst", got)
	}
	if n := r.Stats().Capped; n < 125 || n > 145 {
		t.Errorf("%d capped", n)
	}
	r.later(time.Second)
	for range 50 {
		r.send(0, ask)
	}
	if got := len(r.drain()); got > 5 {
		t.Errorf("%d a second later, want at most the rate", got)
	}
}

// TestStrangers: a flood of invented MACs gets no cap for each.
func TestStrangers(t *testing.T) {
	r := newRig(t, 1, func(c *Config) { c.Rate, c.Burst = 1, 80 })
	r.send(0, r.udp(camera, 5000, server, 53, payload))
	r.drain()
	r.later(11 * time.Second)
	r.send(0, r.udp(camera, 5000, server, 53, payload)) // it lives here
	r.drain()
	f := r.udp(laptop, 5000, server, 53, payload)
	for i := range 1000 {
		binary.BigEndian.PutUint32(f[8:], uint32(i))
		r.send(0, f)
	}
	if got := len(r.drain()); got > 80 {
		t.Errorf("%d handed over of a thousand strangers, want at most a burst", got)
	}
	r.send(0, r.udp(camera, 5000, server, 53, payload))
	if got := len(r.drain()); got != 1 {
		t.Error("a device that lives here was blinded by strangers")
	}
}

// TestFlowBurst: one flow cannot use its device's cap up.
func TestFlowBurst(t *testing.T) {
	r := newRig(t, 1, func(c *Config) { c.Rate, c.Burst, c.FlowBurst = 1000, 2000, 20 })
	fin := r.tcp(camera, 4000, server, 443, frame.FIN|frame.ACK, nil)
	for range 100 {
		r.send(0, fin)
	}
	if got := len(r.drain()); got < 20 || got > 40 {
		t.Errorf("%d of one flow handed over, want 20 a second", got)
	}
	if r.Stats().Limited == 0 {
		t.Error("nothing counted as limited")
	}
}

// TestRingFull: what does not fit is counted, of its flow too.
func TestRingFull(t *testing.T) {
	r := newRig(t, 1, func(c *Config) { c.Ring, c.Rate, c.Payloads = 1<<16, -1, 1<<30 })
	data := r.tcp(camera, 4000, server, 443, frame.ACK, make([]byte, 1000))
	const sent = 200
	for range sent {
		r.send(0, data)
	}
	got := len(r.drain())
	st := r.Stats()
	n := r.count(camera.v4, 4000, server.v4, 443, packet.ProtoTCP)
	if got == 0 || got == sent || st.Full != uint64(sent-got) || st.Handed != uint64(got) || n.Packets != st.Full {
		t.Errorf("%d handed over, %d counted, %+v", got, n.Packets, st)
	}
	r.send(0, data)
	if len(r.drain()) != 1 {
		t.Error("the ring stays full")
	}
}

// TestTimes: frames and moments have the kernel's time and the base.
func TestTimes(t *testing.T) {
	const base = int64(1e18)
	r := newRig(t, 1, func(c *Config) { c.Base = base })
	last := r.Now()
	for range 20 {
		r.send(0, r.udp(camera, 5000, server, 53, payload))
		for moments := 0; moments < 2; {
			var f packet.Frame
			if err := r.Next(&f); err != nil {
				t.Fatal(err)
			}
			if f.Time < last || f.Time > r.Now() {
				t.Fatalf("time %d, want %d to %d", f.Time, last, r.Now())
			}
			last = f.Time
			if f.Data == nil {
				moments++
			}
		}
	}
}

// TestSingly: a kernel without batches gives the same.
func TestSingly(t *testing.T) {
	r := newRig(t, 1)
	for i := range uint16(100) {
		r.connect(4000+i, 443)
	}
	in := func(read func(*ebpf.Map, func(*key, *flow)) error) map[key]flow {
		all := make(map[key]flow)
		if err := read(r.objects.Flows, func(k *key, f *flow) { all[*k] = *f }); err != nil {
			t.Fatal(err)
		}
		return all
	}
	one := in(singly[key, flow])
	many := in(func(m *ebpf.Map, tell func(*key, *flow)) error {
		return each(m, make([]key, 16), make([]flow, 16), tell)
	})
	if len(one) != 100 || len(many) != 100 {
		t.Fatalf("%d one by one, %d in batches, want 100", len(one), len(many))
	}
	for k, f := range one {
		if many[k] != f {
			t.Errorf("%+v: one by one %+v, in a batch %+v", k, f, many[k])
		}
	}
}
