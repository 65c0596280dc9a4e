package flow

import (
	"bytes"
	"testing"
	"time"

	"cordon"
)

func wantHeads(yes bool) func(*Config) {
	return func(c *Config) { c.Head = func(*cordon.Flow) bool { return yes } }
}

func TestHeads(t *testing.T) {
	r := newRig(t, 64, wantHeads(true))
	r.send(connect(camera, 4000, server, 23)...)
	r.want("opened", "answered")
	r.send(tcp(server, 23, camera, 4000, ack, []byte("login: ")...))
	r.send(tcp(camera, 4000, server, 23, ack, []byte("root")...))
	r.send(tcp(camera, 4000, server, 23, ack), tcp(camera, 4000, server, 23, ack, []byte("\r\n")...))
	r.want("head", "head", "head")
	if a, b := string(r.last.Head[0]), string(r.last.Head[1]); a != "root\r\n" || b != "login: " {
		t.Errorf("heads %q and %q", a, b)
	}
	r.send(tcp(camera, 4000, server, 23, ack, bytes.Repeat([]byte{'x'}, 1000)...))
	if got := len(r.last.Head[0]); got != headBytes {
		t.Errorf("a head of %d bytes, want %d", got, headBytes)
	}
	r.want("head")
	r.send(tcp(camera, 4000, server, 23, ack, 'y'))
	r.want() // that side is full
	r.Close(r.now)
	if got := string(r.last.Head[1]); got != "login: " {
		t.Errorf("the end shows head %q", got)
	}
}

// TestHeadOfInbound: the first head is of the side that began.
func TestHeadOfInbound(t *testing.T) {
	r := newRig(t, 64, wantHeads(true))
	r.send(connect(server, 4000, camera, 23)...)
	r.send(tcp(server, 4000, camera, 23, ack, 'a'), tcp(camera, 23, server, 4000, ack, 'b'))
	if a, b := string(r.last.Head[0]), string(r.last.Head[1]); a != "a" || b != "b" {
		t.Errorf("heads %q and %q, want a and b", a, b)
	}
	r.send(udp(camera, 4000, server, 9999, 'c'))
	if a := string(r.last.Head[0]); a != "c" {
		t.Errorf("head %q of a first datagram, want c", a)
	}
}

func TestHeadsOnlyWhenWanted(t *testing.T) {
	for _, edit := range []func(*Config){wantHeads(false), func(*Config) {}} {
		r := newRig(t, 64, edit)
		r.send(connect(camera, 4000, server, 23)...)
		r.send(tcp(camera, 4000, server, 23, ack, 'a'))
		r.want("opened", "answered")
		if r.heads.made != 0 {
			t.Errorf("%d heads made for nobody", r.heads.made)
		}
	}
}

func TestHeadsAreBounded(t *testing.T) {
	r := newRig(t, 8192, wantHeads(true))
	for i := range uint16(1000) {
		r.send(connect(camera, 4000+i, server, 23)...)
		r.send(tcp(camera, 4000+i, server, 23, ack, 'a'))
	}
	if got := r.count(cordon.FlowHead, nil); got != headFlows {
		t.Errorf("%d flows have heads, want %d", got, headFlows)
	}
	// A flow that had none from the beginning does not get one in the middle.
	r.at(idleTCP + 3*sweepEvery)
	r.send(connect(camera, 4000, server, 23)...)
	r.send(tcp(camera, 4000, server, 23, ack, 'b'))
	if got := string(r.last.Head[0]); got != "b" {
		t.Errorf("head %q after the others ended, want b", got)
	}
	if r.heads.made > headFlows {
		t.Errorf("%d heads made, want at most %d", r.heads.made, headFlows)
	}
}

// TestHeadsOfAScan: a scan that nobody answers takes no heads from those who
// speak.
func TestHeadsOfAScan(t *testing.T) {
	r := newRig(t, 8192, wantHeads(true))
	r.flood(tcp(camera, 6000, victim, 23, syn), 1000)
	r.send(connect(laptop, 4000, server, 23)...)
	r.send(tcp(laptop, 4000, server, 23, ack, 'a'))
	if got := string(r.last.Head[0]); got != "a" {
		t.Errorf("head %q during a scan, want a", got)
	}
}

func TestHeadsAreReleased(t *testing.T) {
	r := newRig(t, 64, wantHeads(true))
	full := bytes.Repeat([]byte{'x'}, headBytes)
	for i := range 3 * headFlows {
		port := uint16(4000 + i)
		r.at(time.Duration(i) * time.Second)
		r.send(connect(camera, port, server, 23)...)
		r.send(tcp(camera, port, server, 23, ack, full...), tcp(server, 23, camera, port, ack, full...))
		if n := len(r.last.Head[0]) + len(r.last.Head[1]); n != 2*headBytes {
			t.Fatalf("flow %d has %d bytes of heads", i, n)
		}
		r.send(tcp(camera, port, server, 23, ack, 'y'))
	}
	if r.heads.made != 1 {
		t.Errorf("%d heads made for flows one after the other, want 1", r.heads.made)
	}
	if got := r.count(cordon.FlowHead, nil); got != 2*3*headFlows {
		t.Errorf("%d events, want two for each flow", got)
	}
	r.check()
}
