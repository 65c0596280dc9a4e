package flow

import (
	"testing"
	"time"

	"cordon"
	"cordon/agent/packet"
)

// counted makes a count of one direction, its newest packet at start + at.
func counted(src string, sport uint16, dst string, dport uint16, proto, flags uint8, packets, bytes uint64, at time.Duration) *packet.FlowCount {
	return &packet.FlowCount{Src: addr(src), Dst: addr(dst), SrcPort: sport, DstPort: dport, Proto: proto, Flags: flags,
		Packets: packets, Bytes: bytes, Last: int64(start.Add(at))}
}

func TestCount(t *testing.T) {
	r := newRig(t, 64)
	r.send(connect(camera, 4000, server, 443)...)
	r.at(10 * time.Second)
	r.Count(counted(camera, 4000, server, 443, packet.ProtoTCP, ack, 100, 9000, 8*time.Second), r.now)
	r.Count(counted(server, 443, camera, 4000, packet.ProtoTCP, ack, 200, 90000, 9*time.Second), r.now)
	r.Close(r.now)
	f := r.last
	if want := (cordon.Count{Packets: 102, Bytes: 9120}); f.Out != want {
		t.Errorf("out %v, want %v", f.Out, want)
	}
	if want := (cordon.Count{Packets: 201, Bytes: 90060}); f.In != want {
		t.Errorf("in %v, want %v", f.In, want)
	}
	if want := start.Add(9 * time.Second); f.Last != want {
		t.Errorf("last at +%v, want +9s", f.Last.Sub(start))
	}
	r.want("opened", "answered", "closed")
}

func TestCountOpensNothing(t *testing.T) {
	r := newRig(t, 64)
	r.Count(counted(camera, 4000, server, 443, packet.ProtoTCP, ack, 5, 500, 0), r.now)
	r.want()
	if s := r.Stats(); s.Unmatched != 1 || s.Opened != 0 {
		t.Errorf("unmatched %d, opened %d, want 1 and 0", s.Unmatched, s.Opened)
	}
}

// TestCountOfAnswers: frames may have been left out because there were too many.
func TestCountOfAnswers(t *testing.T) {
	for _, c := range []struct {
		name  string
		flags uint8
		want  string
	}{{"an answer", synack, "answered"}, {"a refusal", rst | ack, "refused"}, {"an answer and an end", synack | rst, "answered"}} {
		t.Run(c.name, func(t *testing.T) {
			r := newRig(t, 64)
			r.send(tcp(camera, 4000, server, 23, syn))
			r.Count(counted(camera, 4000, server, 23, packet.ProtoTCP, syn, 1, 40, 0), r.now)
			r.Count(counted(server, 23, camera, 4000, packet.ProtoTCP, c.flags, 2, 80, 0), r.now)
			r.want("opened", c.want)
		})
	}
}

func TestCountEndsAFlow(t *testing.T) {
	r := newRig(t, 64)
	r.send(connect(camera, 4000, server, 443)...)
	r.Count(counted(server, 443, camera, 4000, packet.ProtoTCP, fin, 1, 40, 0), r.now)
	r.at(idleClosed + sweepEvery)
	r.want("opened", "answered", "closed")
}

// TestCountOfMidstream: both sides were heard, one of them by its count.
func TestCountOfMidstream(t *testing.T) {
	r := newRig(t, 64)
	r.send(tcp(camera, 4000, server, 443, ack, 1))
	r.Count(counted(server, 443, camera, 4000, packet.ProtoTCP, ack, 1, 40, 0), r.now)
	if unanswered, answered := r.owns(camera); unanswered != 0 || answered != 1 {
		t.Errorf("%d unanswered and %d answered, want 0 and 1", unanswered, answered)
	}
}

// TestLineByCount: a packet that was only counted shows that the line worked when
// it came, and not what happened since.
func TestLineByCount(t *testing.T) {
	r := newRig(t, 64)
	r.send(connect(camera, 4000, server, 443)...)
	r.at(5 * time.Second)
	r.send(tcp(camera, 4000, server, 443, ack, 1))
	r.at(20 * time.Second)
	r.Count(counted(server, 443, camera, 4000, packet.ProtoTCP, ack, 1, 40, 4*time.Second), r.now)
	if !r.Down(r.device(other), r.now) {
		t.Error("an old packet shows that the line is up")
	}
	r.Count(counted(server, 443, camera, 4000, packet.ProtoTCP, ack, 1, 40, 6*time.Second), r.now)
	if r.Down(r.device(other), r.now) {
		t.Error("an answer shows nothing")
	}
}

func TestWant(t *testing.T) {
	var calls []bool
	l := newListener(t)
	l.enough = 2
	r := newRig(t, 64, listening(l), func(c *Config) {
		c.Want = func(f *cordon.Flow, on bool) {
			if f.Peer != addr(server) || f.LocalPort != 4000 {
				t.Errorf("wants %v:%d", f.Peer, f.LocalPort)
			}
			calls = append(calls, on)
		}
	})
	expect := func(want ...bool) {
		t.Helper()
		if len(calls) != len(want) {
			t.Fatalf("told %v, want %v", calls, want)
		}
		for i := range want {
			if calls[i] != want[i] {
				t.Fatalf("told %v, want %v", calls, want)
			}
		}
	}
	r.send(connect(camera, 4000, server, 23)...)
	expect()
	data := tcp(camera, 4000, server, 23, ack, 'x')
	r.send(data)
	expect(true)
	r.send(data, data, data)
	expect(true, false)
	r.Close(r.now)
	expect(true, false)
}

// TestWantEndsWithTheFlow: what is still read when a flow ends is wanted no more.
func TestWantEndsWithTheFlow(t *testing.T) {
	wanted := 0
	r := newRig(t, 64, listening(newListener(t)), func(c *Config) {
		c.Want = func(_ *cordon.Flow, on bool) {
			if on {
				wanted++
			} else {
				wanted--
			}
		}
	})
	for i := range uint16(200) {
		r.send(connect(camera, 4000+i, server, 23)...)
		r.send(tcp(camera, 4000+i, server, 23, ack, 'x'))
	}
	if _, answered := r.owns(camera); wanted != answered {
		t.Errorf("%d flows wanted, %d are there", wanted, answered)
	}
	r.Close(r.now)
	if wanted != 0 {
		t.Errorf("%d flows wanted at the end", wanted)
	}
}

// TestCountAllocatesNothing: nor does it with a flow that is not known.
func TestCountAllocatesNothing(t *testing.T) {
	r := quiet(t, 1024)
	r.send(connect(camera, 4000, server, 443)...)
	known := counted(camera, 4000, server, 443, packet.ProtoTCP, ack, 1, 40, 0)
	unknown := counted(camera, 4001, server, 443, packet.ProtoTCP, ack, 1, 40, 0)
	if n := testing.AllocsPerRun(1000, func() { r.Count(known, r.now); r.Count(unknown, r.now) }); n != 0 {
		t.Errorf("%v allocations for two counts, want none", n)
	}
}
