package kernel

import (
	"bytes"
	"errors"
	"io"
	"io/fs"
	"strings"
	"testing"

	"github.com/vishvananda/netlink"

	"cordon"
	"cordon/agent/packet"
	"cordon/lab/cable"
	"cordon/lab/synth/frame"
)

// hooksOf runs a test with both ways to be at a port.
func hooksOf(t *testing.T, test func(*testing.T, func(*Config))) {
	t.Run("tcx", func(t *testing.T) { test(t, func(*Config) {}) })
	t.Run("clsact", func(t *testing.T) { test(t, func(c *Config) { c.Classic = true }) })
}

// TestBridge: what a bridge passes on is seen once, from whichever side it comes.
func TestBridge(t *testing.T) {
	hooksOf(t, func(t *testing.T, way func(*Config)) {
		r := newRig(t, 3, way)
		there, back := r.tcp(camera, 4000, laptop, 23, frame.SYN, nil), r.tcp(laptop, 23, camera, 4000, frame.SYN|frame.ACK, nil)
		all := r.frame.ARP(ends(camera, nobody), 1, camera.mac, camera.v4, router.mac, router.v4)
		all = bytes.Clone(all)
		r.send(0, there)
		r.send(1, back)
		r.send(0, all)
		r.send(2, r.tcp(server, 443, camera, 4000, frame.SYN, nil)) // behind another router at the third port
		if got := r.drain(); len(got) != 4 {
			t.Fatalf("%d frames were handed over, want 4", len(got))
		}
		if n := r.Stats().Frames; n != 4 {
			t.Errorf("%d frames were seen, want 4", n)
		}
	})
}

// TestCopies: what the router sends to all ports is handed over once.
func TestCopies(t *testing.T) {
	r := newRig(t, 3)
	bridge := cable.Plug(t, r.router, "br-lan")
	ask := func(who station) []byte {
		return bytes.Clone(r.frame.ARP(ends(router, nobody), 1, router.mac, router.v4, cordon.MAC{}, who.v4))
	}
	for _, who := range []station{camera, laptop} {
		if err := bridge.Send(ask(who)); err != nil {
			t.Fatal(err)
		}
		r.sent += 3
	}
	r.seen()
	got := r.drain()
	if len(got) != 2 || !bytes.Equal(got[0].Data, ask(camera)) || !bytes.Equal(got[1].Data, ask(laptop)) {
		t.Errorf("%d were handed over, want both questions once", len(got))
	}
	if n := r.Stats().Copies; n != 4 {
		t.Errorf("%d copies, want 4", n)
	}
}

// TestPortBack: a port that was gone is watched again, under the index of before
// or another.
func TestPortBack(t *testing.T) {
	hooksOf(t, func(t *testing.T, way func(*Config)) {
		r := newRig(t, 2, way)
		old := r.ports()
		for _, index := range []int{0, old[0].Index} {
			r.router.IP("link del lan1")
			r.watch(r.ports()[1]) // the other port alone, or none of it at all
			pair := relay(t, r, index)
			if index != 0 && pair.Router.Port.Index != index {
				t.Fatalf("index %d, want %d", pair.Router.Port.Index, index)
			}
			r.pairs[0] = pair
			r.watch(r.ports()...)
			r.send(0, r.tcp(camera, 4000+uint16(index), server, 23, frame.SYN, nil))
			r.send(1, r.tcp(laptop, 4000+uint16(index), server, 23, frame.SYN, nil))
			if got := r.drain(); len(got) != 2 {
				t.Fatalf("%d frames after the port came back, want 2", len(got))
			}
		}
	})
}

// TestPortBackUnnoticed: it may be gone and back between two calls of SetPorts.
func TestPortBackUnnoticed(t *testing.T) {
	hooksOf(t, func(t *testing.T, way func(*Config)) {
		r := newRig(t, 1, way)
		index := r.ports()[0].Index
		r.router.IP("link del lan1")
		r.pairs[0] = relay(t, r, index)
		r.watch(r.ports()...)
		r.send(0, r.tcp(camera, 4000, server, 23, frame.SYN, nil))
		if got := r.drain(); len(got) != 1 {
			t.Fatalf("%d frames after the port came back, want 1", len(got))
		}
	})
}

// relay lays the first cable anew, with the given index at the router if it is not 0.
func relay(t *testing.T, r *rig, index int) cable.Pair {
	t.Helper()
	with := ""
	if index != 0 {
		with = " index " + itoa(index)
	}
	device := "device1"
	r.router.IP("link add name lan1" + with + " mtu 1500 type veth peer name eth0 netns " + strings.Replace(r.router.Namespace, "router", device, 1))
	r.router.IP("link set lan1 up")
	if len(r.pairs) > 1 {
		r.router.IP("link set lan1 master br-lan")
	}
	r.first.IP("link set eth0 up")
	return cable.Pair{Router: cable.Plug(t, r.router, "lan1"), Device: cable.Plug(t, r.first, "eth0")}
}

// TestLeaves: a port that is not named any more is left as it was found.
func TestLeaves(t *testing.T) {
	hooksOf(t, func(t *testing.T, way func(*Config)) {
		r := newRig(t, 1, way)
		index := r.ports()[0].Index
		r.watch()
		if n := traces(t, r, index); n != 0 {
			t.Errorf("%d traces are left", n)
		}
		r.watch(r.ports()...)
		r.in(r.Close)
		if n := traces(t, r, index); n != 0 {
			t.Errorf("%d traces are left after Close", n)
		}
	})
}

// TestLeavesOthers: a qdisc and filters of others stay.
func TestLeavesOthers(t *testing.T) {
	r := newRig(t, 1, func(c *Config) { c.Classic = true })
	index := r.ports()[0].Index
	r.watch()
	if out, err := r.router.Run("tc", "qdisc", "add", "dev", "lan1", "clsact"); err != nil {
		t.Fatal(out, err)
	}
	if out, err := r.router.Run("tc", "filter", "add", "dev", "lan1", "ingress", "prio", "7", "protocol", "all", "matchall", "action", "pass"); err != nil {
		t.Skipf("this kernel has no cls_matchall or act_gact, make test-kernels runs one that has: %s", out)
	}
	before := traces(t, r, index)
	r.watch(r.ports()...)
	r.send(0, r.tcp(camera, 4000, server, 23, frame.SYN, nil))
	if got := r.drain(); len(got) != 1 {
		t.Errorf("%d frames beside another's filter, want 1", len(got))
	}
	r.in(r.Close)
	if after := traces(t, r, index); after != before {
		t.Errorf("%d traces, before %d", after, before)
	}
}

// TestTakesOver: what a killed process left behind is replaced, not doubled.
func TestTakesOver(t *testing.T) {
	r := newRig(t, 1, func(c *Config) { c.Classic = true })
	index := r.ports()[0].Index
	clear(r.attached) // what a kill does: nobody detaches
	r.in(r.Close)
	if n := traces(t, r, index); n != 3 {
		t.Fatalf("%d traces of the killed, want a qdisc and two filters", n)
	}
	for _, classic := range []bool{true, false} {
		s, err := New(Config{Home: home, Classic: classic})
		if err != nil {
			t.Fatal(err)
		}
		r.in(func() error { return s.SetPorts(r.ports()) })
		want := 3
		if len(s.attached[index].links) > 0 {
			want = 1 // of tcx there are none, and the qdisc may be others'
		}
		if n := traces(t, r, index); n != want {
			t.Errorf("clsact %t: %d traces, want %d", classic, n, want)
		}
		clear(s.attached)
		r.in(s.Close)
	}
}

// traces counts the clsact qdisc and the filters at a port.
func traces(t *testing.T, r *rig, index int) (n int) {
	t.Helper()
	r.in(func() error {
		nic, err := netlink.LinkByIndex(index)
		if err != nil {
			return err
		}
		qdiscs, err := netlink.QdiscList(nic)
		for _, q := range qdiscs {
			if q.Type() == "clsact" {
				n++
			}
		}
		if n == 0 {
			return err
		}
		for _, h := range hooks {
			filters, err := netlink.FilterList(nic, h.parent)
			if err != nil {
				return err
			}
			n += len(filters)
		}
		return nil
	})
	return n
}

// TestOnePortFails: the others are watched, and the error says which.
func TestOnePortFails(t *testing.T) {
	r := newRig(t, 1)
	err := r.router.Do(func() error {
		return r.SetPorts(append(r.ports(), cordon.Port{Name: "lan9", Index: 4711}))
	})
	if err == nil || !strings.Contains(err.Error(), "lan9") {
		t.Errorf("error %v, want one that names lan9", err)
	}
	r.send(0, r.tcp(camera, 4000, server, 23, frame.SYN, nil))
	if got := r.drain(); len(got) != 1 {
		t.Errorf("%d frames at the port that is there, want 1", len(got))
	}
}

func TestProbe(t *testing.T) {
	r := newRig(t, 1)
	for _, classic := range []bool{false, true} {
		r.in(func() error { return probe(classic) })
	}
	if n := traces(t, r, loopback); n != 0 {
		t.Errorf("%d traces are left", n)
	}
}

func TestClosed(t *testing.T) {
	r := newRig(t, 1)
	r.in(r.Close)
	r.in(r.Close)
	var f packet.Frame
	if err := r.Next(&f); err != io.EOF {
		t.Errorf("Next: %v, want EOF", err)
	}
	if err := r.SetPorts(nil); !errors.Is(err, fs.ErrClosed) {
		t.Errorf("SetPorts: %v", err)
	}
	if err := errors.Join(r.Flows(nil), r.Traffic(1, nil)); err != nil {
		t.Error(err)
	}
	r.Want(apOf(camera.v4, 1), apOf(server.v4, 2), packet.ProtoTCP, true)
}
