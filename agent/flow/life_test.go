package flow

import (
	"fmt"
	"testing"
	"time"

	"github.com/google/go-cmp/cmp"

	"cordon"
	"cordon/agent/packet"
)

func TestNewRefuses(t *testing.T) {
	h := home{&rig{}}
	ev := func(cordon.FlowEvent, *cordon.Flow) {}
	for name, cfg := range map[string]Config{
		"too small":  {Size: 15, Devices: h, Names: h, Event: ev},
		"too big":    {Size: 1<<20 + 1, Devices: h, Names: h, Event: ev},
		"no devices": {Names: h, Event: ev},
		"no names":   {Devices: h, Event: ev},
		"no event":   {Devices: h, Names: h},
	} {
		if _, err := New(cfg); err == nil {
			t.Errorf("%s: no error", name)
		}
	}
}

func TestIdle(t *testing.T) {
	for _, c := range []struct {
		name    string
		packets []packet.Packet
		idle    time.Duration
	}{
		{"unanswered", []packet.Packet{tcp(camera, 4000, server, 80, syn)}, idleUnanswered},
		{"refused", []packet.Packet{udp(camera, 4000, server, 80),
			unreachable(server, 3, udp(camera, 4000, server, 80))}, idleUnanswered},
		{"reset", []packet.Packet{tcp(camera, 4000, server, 80, syn), tcp(server, 80, camera, 4000, rst)}, idleClosed},
		{"connection", connect(camera, 4000, server, 80), idleTCP},
		{"connection that ended", append(connect(camera, 4000, server, 80), tcp(camera, 4000, server, 80, fin)), idleClosed},
		{"datagrams", []packet.Packet{udp(camera, 4000, server, 9999), udp(server, 9999, camera, 4000)}, idleUDP},
		{"DNS", []packet.Packet{udp(camera, 4000, server, 53), udp(server, 53, camera, 4000)}, idleDNS},
	} {
		t.Run(c.name, func(t *testing.T) {
			r := newRig(t, 64)
			r.send(c.packets...)
			r.at(c.idle - 1)
			if n := r.count(cordon.FlowClosed, nil); n != 0 {
				t.Fatalf("closed before %v", c.idle)
			}
			r.at(c.idle + sweepEvery)
			if n := r.count(cordon.FlowClosed, nil); n != 1 {
				t.Errorf("closed %d times after %v, want once", n, c.idle+sweepEvery)
			}
			if r.Stats().Evicted != 0 {
				t.Error("a time-out counts as an eviction")
			}
			r.check()
		})
	}
}

func TestPacketsKeepAFlow(t *testing.T) {
	r := newRig(t, 64)
	r.send(udp(camera, 4000, server, 9999), udp(server, 9999, camera, 4000))
	for d := time.Duration(0); d <= time.Hour; d += 4 * time.Minute {
		r.at(d)
		r.send(udp(server, 9999, camera, 4000))
	}
	if r.count(cordon.FlowClosed, nil) != 0 || r.Stats().Opened != 1 {
		t.Errorf("a flow with a packet every four minutes ended")
	}
}

func TestActive(t *testing.T) {
	r := newRig(t, 64)
	r.send(connect(camera, 4000, server, 80)...)
	for d := time.Duration(0); d < 21*time.Minute; d += 7 * time.Second {
		r.at(d)
	}
	var at []time.Duration
	for _, e := range r.events {
		if e.ev == cordon.FlowActive {
			at = append(at, e.at.Sub(start))
		}
	}
	if len(at) != 4 {
		t.Fatalf("active at %v, want four times in 21 minutes", at)
	}
	last := time.Duration(0)
	for _, d := range at {
		if d-last < activeEvery || d-last > activeEvery+2*sweepEvery {
			t.Errorf("active at %v, %v after the time before", d, d-last)
		}
		last = d
	}
}

func TestForget(t *testing.T) {
	r := newRig(t, 64)
	r.send(connect(camera, 4000, server, 80)...)
	r.send(connect(laptop, 4000, server, 80)...)
	r.send(tcp(camera, 4001, server, 80, syn), tcp(camera, 4002, server, 80, ack, 1))
	d := r.device(camera)
	r.Forget(d)
	if n := r.count(cordon.FlowClosed, func(f *cordon.Flow) bool { return f.Device == d }); n != 3 {
		t.Errorf("%d flows of a forgotten device closed, want 3", n)
	}
	if u, a := r.owns(camera); u != 0 || a != 0 {
		t.Errorf("a forgotten device holds %d + %d flows", u, a)
	}
	if u, a := r.owns(laptop); u != 0 || a != 1 {
		t.Errorf("the other device holds %d + %d flows, want 0 + 1", u, a)
	}
	r.check()

	// The slot goes to another device, which begins with nothing.
	r.devices[addr(camera)] = &cordon.Device{ID: "next", Slot: d.Slot, Generation: d.Generation + 1}
	r.send(tcp(camera, 4000, server, 80, syn))
	if r.last.Device.ID != "next" || !r.last.First {
		t.Errorf("the next device's contact is of %s, first %v", r.last.Device.ID, r.last.First)
	}
	r.check()
	r.Forget(&cordon.Device{Slot: 40, Generation: 1}) // of no flow
	r.check()
}

func TestClose(t *testing.T) {
	r := newRig(t, 64)
	r.send(connect(camera, 4000, server, 80)...)
	r.send(tcp(camera, 4001, server, 80, syn), udp(laptop, 4001, server, 9999))
	r.Close(start.Add(time.Hour))
	r.Close(start.Add(time.Hour))
	if n := r.count(cordon.FlowClosed, nil); n != 3 {
		t.Errorf("%d flows closed, want 3", n)
	}
	r.check()
	r.send(tcp(camera, 4001, server, 80, syn)) // the table stays usable
	r.check()
}

// TestSameAgain: the same packets give the same events.
func TestSameAgain(t *testing.T) {
	run := func() []string {
		r := newRig(t, 64)
		for i := range 3000 {
			r.at(time.Duration(i) * 37 * time.Millisecond)
			src, dst := []string{camera, laptop}[i%2], fmt.Sprintf("20.0.%d.%d", i/7%5, i%91)
			r.send(tcp(src, uint16(i%13), dst, uint16(i%5), syn))
			if i%3 == 0 {
				r.send(tcp(dst, uint16(i%5), src, uint16(i%13), synack))
			}
		}
		r.Close(r.now)
		var log []string
		for _, e := range r.events {
			log = append(log, fmt.Sprint(e.ev, e.at, e.flow.Device.ID, e.flow.Local, e.flow.LocalPort, e.flow.Peer,
				e.flow.PeerPort, e.flow.Outcome, e.flow.First, e.flow.Out, e.flow.In))
		}
		return log
	}
	if diff := cmp.Diff(run(), run()); diff != "" {
		t.Errorf("two runs differ:\n%s", diff)
	}
}
