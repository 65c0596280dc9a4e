package ring

import (
	"bytes"
	"encoding/binary"
	"io"
	"net/netip"
	"runtime"
	"slices"
	"testing"
	"time"

	"golang.org/x/sys/unix"

	"cordon"
	"cordon/agent/packet"
	"cordon/lab/cable"
	"cordon/lab/netns"
	"cordon/lab/synth/frame"
)

var (
	camera = cordon.MAC{0x44, 0x19, 0xb6, 0, 0, 1}
	laptop = cordon.MAC{0x44, 0x19, 0xb6, 0, 0, 2}
	router = cordon.MAC{0x02, 0xc0, 0x4d, 0, 0, 1}
)

// rig is a Source at a router's bridge of two ports.
type rig struct {
	*Source
	t      testing.TB
	router *netns.Host
	pairs  [2]cable.Pair
	buffer frame.Buffer
}

func newRig(t testing.TB, edit ...func(*Config)) *rig {
	t.Helper()
	bed := netns.New(t)
	r := &rig{t: t, router: bed.Host("router")}
	r.pairs[0] = cable.Lay(t, bed, r.router, "lan1", bed.Host("camera"), "eth0")
	r.pairs[1] = cable.Lay(t, bed, r.router, "lan2", bed.Host("laptop"), "eth0")
	r.router.IP("link add br-lan type bridge mcast_snooping 0 forward_delay 0",
		"link set lan1 master br-lan", "link set lan2 master br-lan", "link set br-lan up")
	cfg := Config{Poll: 2 * time.Millisecond, Size: 1 << 20, Block: 128 << 10}
	for _, e := range edit {
		e(&cfg)
	}
	r.in(func() (err error) { r.Source, err = New(cfg); return err })
	t.Cleanup(func() { _ = r.Close() })
	r.SetRouter([]cordon.MAC{router})
	r.watch(r.pairs[0].Router.Port, r.pairs[1].Router.Port)
	return r
}

func (r *rig) in(fn func() error) {
	r.t.Helper()
	if err := r.router.Do(fn); err != nil {
		r.t.Fatal(err)
	}
}

func (r *rig) watch(ports ...cordon.Port) {
	r.t.Helper()
	if err := r.SetPorts(ports); err != nil {
		r.t.Fatal(err)
	}
}

// udp makes a datagram that says n.
func (r *rig) udp(src, dst cordon.MAC, n int) []byte {
	net := frame.Net{Src: netip.MustParseAddr("192.168.77.10"), Dst: netip.MustParseAddr("198.51.100.7"), TTL: 64}
	return bytes.Clone(r.buffer.UDP(frame.Link{Src: src, Dst: dst}, net, 4000, 9, binary.BigEndian.AppendUint32(nil, uint32(n))))
}

func (r *rig) send(e *cable.End, b []byte) {
	r.t.Helper()
	if err := e.Send(b); err != nil {
		r.t.Fatal(err)
	}
}

// drain returns the next n frames, and then what more there is. The kernel hands
// a block over a while after its first frame.
func (r *rig) drain(n int) (frames []packet.Frame) {
	r.t.Helper()
	for moments := 0; len(frames) < n || moments < 8; {
		var f packet.Frame
		if err := r.Next(&f); err != nil {
			r.t.Fatal(err)
		}
		if f.Data == nil {
			if moments++; moments > 1000 {
				r.t.Fatalf("%d frames came, want %d", len(frames), n)
			}
			continue
		}
		f.Data = bytes.Clone(f.Data)
		frames = append(frames, f)
	}
	return frames
}

// want drains and compares.
func (r *rig) want(want ...[]byte) {
	r.t.Helper()
	got := r.drain(len(want))
	if len(got) != len(want) {
		r.t.Fatalf("%d frames, want %d", len(got), len(want))
	}
	for i := range want {
		if !bytes.Equal(got[i].Data, want[i]) || got[i].Len != len(want[i]) {
			r.t.Errorf("frame %d of %d bytes is\n%x, want\n%x", i, got[i].Len, got[i].Data, want[i])
		}
	}
}

func TestEveryFrameOnce(t *testing.T) {
	r := newRig(t)
	out := r.udp(camera, router, 1)
	in := r.udp(router, camera, 2)
	across, back := r.udp(camera, laptop, 3), r.udp(laptop, camera, 4)
	all := r.udp(camera, cordon.MAC{0xff, 0xff, 0xff, 0xff, 0xff, 0xff}, 5)
	r.send(r.pairs[0].Device, out)
	r.send(r.pairs[0].Router, in)
	r.send(r.pairs[0].Device, across) // the bridge passes it on
	r.send(r.pairs[1].Device, back)
	r.send(r.pairs[0].Device, all)
	r.want(out, in, across, back, all)
}

// pin keeps the test's goroutine on one processor: what two of them send has no order.
func pin(t *testing.T) {
	t.Helper()
	runtime.LockOSThread()
	var was, one unix.CPUSet
	if err := unix.SchedGetaffinity(0, &was); err != nil {
		t.Fatal(err)
	}
	for cpu := 0; one.Count() == 0; cpu++ {
		if was.IsSet(cpu) {
			one.Set(cpu)
		}
	}
	if err := unix.SchedSetaffinity(0, &one); err != nil {
		t.Fatal(err)
	}
	t.Cleanup(func() {
		if err := unix.SchedSetaffinity(0, &was); err != nil {
			t.Error(err)
		}
		runtime.UnlockOSThread()
	})
}

// TestOrder: what two ports see comes in the order in which it happened.
func TestOrder(t *testing.T) {
	r := newRig(t)
	pin(t)
	var want [][]byte
	for i := range 200 {
		f := r.udp(camera, laptop, i)
		if i%2 == 1 {
			f = r.udp(laptop, camera, i)
		}
		want = append(want, f)
		r.send(r.pairs[i%2].Device, f)
	}
	r.want(want...)
}

func TestPorts(t *testing.T) {
	r := newRig(t)
	r.watch(r.pairs[1].Router.Port)
	f := r.udp(camera, router, 1)
	r.send(r.pairs[0].Device, f)
	r.want()
	r.watch(r.pairs[0].Router.Port)
	r.send(r.pairs[0].Device, f)
	r.want(f)
	r.watch()
	r.send(r.pairs[0].Device, f)
	r.want()
}

func TestTag(t *testing.T) {
	r := newRig(t)
	f := r.udp(camera, router, 1)
	for _, tag := range [][]byte{{0x81, 0x00, 0x60, 0x07}, {0x88, 0xa8, 0x00, 0x09}} {
		tagged := slices.Concat(f[:12], tag, f[12:])
		r.send(r.pairs[0].Device, tagged)
		r.want(tagged)
	}
}

func TestSnap(t *testing.T) {
	r := newRig(t, func(c *Config) { c.Snap = 64 })
	f := append(r.udp(camera, router, 1), make([]byte, 1000)...)
	r.send(r.pairs[0].Device, f)
	got := r.drain(1)
	if len(got) != 1 || got[0].Len != len(f) || !bytes.Equal(got[0].Data, f[:64]) {
		t.Errorf("%d frames, the first %d of %d bytes, want 64 of %d", len(got), len(got[0].Data), got[0].Len, len(f))
	}
}

// TestTime: frames and moments have the monotonic time, which never runs
// backwards.
func TestTime(t *testing.T) {
	const base = int64(1e18)
	r := newRig(t, func(c *Config) { c.Base = base })
	last := clock(1) + base - int64(time.Millisecond) // what two clocks may differ by
	for i := range 50 {
		r.send(r.pairs[0].Device, r.udp(camera, router, i))
		var f packet.Frame
		if err := r.Next(&f); err != nil {
			t.Fatal(err)
		}
		if f.Time < last || f.Time > clock(1)+base {
			t.Fatalf("time %d, want %d to %d", f.Time, last, clock(1)+base)
		}
		last = f.Time
	}
}

// TestFull: what does not fit is counted.
func TestFull(t *testing.T) {
	r := newRig(t, func(c *Config) { c.Size = 128 << 10 })
	const sent = 2000
	for i := range sent {
		r.send(r.pairs[0].Device, r.udp(camera, router, i))
	}
	got := len(r.drain(0))
	st := r.Stats()
	if st.Dropped == 0 || st.Delivered != uint64(got) || st.Frames != sent || st.Frames != st.Dropped+st.Delivered {
		t.Errorf("%+v, %d came; want %d in all, some dropped", st, got, sent)
	}
}

func TestClose(t *testing.T) {
	r := newRig(t, func(c *Config) { c.Poll = time.Hour })
	done := make(chan error)
	go func() {
		var f packet.Frame
		done <- r.Next(&f)
	}()
	if err := r.Close(); err != nil {
		t.Error(err)
	}
	if err := <-done; err != io.EOF {
		t.Errorf("Next after Close: %v, want EOF", err)
	}
	if err := r.Close(); err != nil {
		t.Errorf("closed twice: %v", err)
	}
	if r.Stats().Delivered != 0 {
		t.Error("delivered something")
	}
}

func TestConfig(t *testing.T) {
	for _, c := range []Config{{Block: 100 << 10}, {Block: 64 << 10}, {Size: 1<<20 + 1}, {Size: 1 << 17}, {Snap: 10}, {Snap: 1 << 20}, {Poll: 1}, {Poll: 2 * time.Hour}} {
		if s, err := New(c); err == nil {
			_ = s.Close()
			t.Errorf("%+v was taken", c)
		}
	}
}

func TestTooMany(t *testing.T) {
	r := newRig(t)
	if err := r.SetPorts(make([]cordon.Port, maxPorts+1)); err == nil {
		t.Error("65 ports were taken")
	}
	full := make([]cordon.Port, maxPorts)
	for i := range full {
		full[i].Index = i + 1
	}
	r.SetRouter(make([]cordon.MAC, maxPorts+1))
	if err := r.SetPorts(full); err != nil {
		t.Errorf("64 ports: %v", err)
	}
}

// BenchmarkNext is what a frame costs in user space, the kernel's copy not
// counted, up to its parsed headers.
func BenchmarkNext(b *testing.B) {
	r := newRig(b, func(c *Config) { c.Size, c.Poll = 16<<20, 20*time.Millisecond })
	f := append(r.udp(camera, router, 1), make([]byte, 60)...)
	const each = 5000
	left := 0
	var p packet.Packet
	var got packet.Frame
	b.ReportAllocs()
	for b.Loop() {
		for got.Data = nil; got.Data == nil; {
			if left == 0 {
				b.StopTimer()
				for range each {
					r.send(r.pairs[0].Device, f)
				}
				<-time.After(3 * r.cfg.Poll) // until the kernel has handed the last block over
				left = each
				b.StartTimer()
			}
			if err := r.Next(&got); err != nil {
				b.Fatal(err)
			}
		}
		if err := p.Parse(&got); err != nil {
			b.Fatal(err)
		}
		left--
	}
}
