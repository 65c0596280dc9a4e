package flow

import (
	"testing"
	"time"

	"cordon/agent/packet"
)

// other is a device that waits for nothing itself.
const other = "192.168.1.77"

func TestLine(t *testing.T) {
	data := tcp(camera, 4000, server, 443, ack, 1)
	resolved := tcp(laptop, 5000, victim, 443, syn)
	for _, c := range []struct {
		name string
		sent []packet.Packet // at 10 s, after a connection to server was answered
		then []packet.Packet // at 12 s
		down bool            // at 20 s
	}{
		{"nothing is owed", nil, nil, false},
		{"data nobody answers", []packet.Packet{data}, nil, true},
		{"data that is answered", []packet.Packet{data}, []packet.Packet{tcp(server, 443, camera, 4000, ack)}, false},
		{"an acknowledgement owes no answer", []packet.Packet{tcp(camera, 4000, server, 443, ack)}, nil, false},
		{"a contact that DNS led to", []packet.Packet{resolved}, nil, true},
		{"such a contact, answered", []packet.Packet{resolved}, []packet.Packet{tcp(victim, 443, laptop, 5000, synack)}, false},
		{"such a contact, refused", []packet.Packet{resolved}, []packet.Packet{tcp(victim, 443, laptop, 5000, rst)}, false},
		{"a contact that nobody asked for", []packet.Packet{tcp(laptop, 5000, "20.0.0.1", 443, syn)}, nil, false},
		{"data to a neighbour", []packet.Packet{udp(camera, 1, laptop, 2, 1)}, nil, false},
		{"another flow's packet comes in", []packet.Packet{data},
			[]packet.Packet{tcp(server, 5000, laptop, 80, syn)}, false},
		{"backscatter comes in", []packet.Packet{data}, []packet.Packet{tcp("20.0.0.1", 80, laptop, 1, rst)}, false},
		{"a packet for the router comes in", []packet.Packet{data}, []packet.Packet{tcp("20.0.0.1", 80, router, 1, syn)}, false},
		{"an error comes in from the internet", []packet.Packet{resolved},
			[]packet.Packet{unreachable("198.51.100.1", 1, resolved)}, false},
		{"the home's router says that it knows no way", []packet.Packet{resolved},
			[]packet.Packet{unreachable(router, 0, resolved)}, true},
		{"only a neighbour speaks", []packet.Packet{data}, []packet.Packet{udp(laptop, 1, camera, 2, 1)}, true},
	} {
		t.Run(c.name, func(t *testing.T) {
			r := newRig(t, 64)
			r.told[addr(victim)] = true
			r.send(connect(camera, 4000, server, 443)...)
			r.at(10 * time.Second)
			r.send(c.sent...)
			r.at(12 * time.Second)
			if r.Down(r.device(other), r.now) {
				t.Error("down after two seconds")
			}
			r.send(c.then...)
			r.at(20 * time.Second)
			if got := r.Down(r.device(other), r.now); got != c.down {
				t.Errorf("down %v, want %v", got, c.down)
			}
			r.send(tcp(server, 443, camera, 4000, ack))
			if r.Down(r.device(other), r.now) {
				t.Error("still down after a packet came in")
			}
		})
	}
}

// TestLineAfterResolvedTransfer: the last packet of a transfer is mostly the
// device's acknowledgement. The quiet that follows is no outage.
func TestLineAfterResolvedTransfer(t *testing.T) {
	r := newRig(t, 64)
	r.told[addr(server)] = true
	r.send(connect(camera, 4000, server, 443)...)
	r.send(tcp(server, 443, camera, 4000, ack, 1), tcp(camera, 4000, server, 443, ack))
	r.send(udp(camera, 4000, server, 443, 1), udp(server, 443, camera, 4000, 1), udp(camera, 4000, server, 443, 1))
	r.at(time.Minute)
	if r.Down(r.device(other), r.now) {
		t.Error("down after a transfer that ended well")
	}
}

// TestLineDuringAScan: however much nobody answers, a scan alone is no outage.
func TestLineDuringAScan(t *testing.T) {
	r := newRig(t, 1024)
	for i := range 60 {
		r.at(time.Duration(i) * time.Second)
		r.flood(tcp(camera, 6000, victim, 23, syn), 100)
		r.flood(udp(camera, 6000, victim, 23, 1), 100)
		if r.Down(r.device(other), r.now) {
			t.Fatalf("down after %d seconds of scanning", i)
		}
	}
}

// TestOwnWaitingIsNoOutage: a bot whose server is gone must not hide its scan by
// waiting for it.
func TestOwnWaitingIsNoOutage(t *testing.T) {
	r := newRig(t, 64)
	r.told[addr(server)] = true
	r.send(tcp(camera, 4000, server, 443, syn))
	r.at(2 * time.Second)
	r.send(tcp(camera, 4000, server, 443, syn))
	r.at(10 * time.Second)
	if r.Down(r.device(camera), r.now) {
		t.Error("down for the device that waits")
	}
	if !r.Down(r.device(laptop), r.now) {
		t.Error("not down for another device")
	}
}
