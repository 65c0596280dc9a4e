package flow

import (
	"fmt"
	"testing"
	"time"

	"cordon"
	"cordon/agent/packet"
)

func TestDirection(t *testing.T) {
	for _, c := range []struct {
		name      string
		p         packet.Packet
		device    string
		direction cordon.Direction
		local     string
		service   uint16
		midstream bool
	}{
		{"a device calls the internet", tcp(camera, 4000, server, 443, syn), camera, cordon.Outbound, camera, 443, false},
		{"the internet calls a device", tcp(server, 4000, camera, 23, syn), camera, cordon.Inbound, camera, 23, false},
		{"a device calls another", tcp(laptop, 4000, camera, 80, syn), laptop, cordon.Lateral, laptop, 80, false},
		{"a device calls the router", tcp(laptop, 4000, router, 80, syn), laptop, cordon.Lateral, laptop, 80, false},
		{"the router calls a device", tcp(router, 4000, camera, 80, syn), camera, cordon.Inbound, camera, 80, false},
		{"a device calls nobody", tcp(laptop, 4000, "192.168.1.99", 80, syn), laptop, cordon.Lateral, laptop, 80, false},
		{"a datagram", udp(camera, 4000, server, 9999), camera, cordon.Outbound, camera, 9999, false},
		{"a datagram from outside", udp(server, 4000, camera, 5000), camera, cordon.Inbound, camera, 5000, false},
		{"to the broadcast address of the net", udp(camera, 137, "192.168.1.255", 137), camera, cordon.Lateral, camera, 137, false},

		{"data of a device", tcp(camera, 4000, server, 443, ack, 1), camera, cordon.Outbound, camera, 443, true},
		{"data for a device", tcp(server, 443, camera, 4000, ack, 1), camera, cordon.Outbound, camera, 443, true},
		{"data of a device's service", tcp(camera, 23, server, 4000, ack, 1), camera, cordon.Inbound, camera, 23, true},
		{"data for a device's service", tcp(server, 4000, camera, 23, ack, 1), camera, cordon.Inbound, camera, 23, true},
		{"a device answers a SYN that was missed", tcp(camera, 23, server, 4000, synack), camera, cordon.Inbound, camera, 23, true},
		{"a device answers another", tcp(camera, 80, laptop, 4000, synack), laptop, cordon.Lateral, laptop, 80, true},
		{"a device's DNS answers another", udp(camera, 53, laptop, 4000), laptop, cordon.Lateral, laptop, 53, true},
		{"the router's DNS answers", udp(router, 53, laptop, 4000), laptop, cordon.Lateral, laptop, 53, true},
	} {
		t.Run(c.name, func(t *testing.T) {
			r := newRig(t, 64)
			r.send(c.p)
			r.want("opened")
			f := r.last
			if f.Device != r.device(c.device) || f.Direction != c.direction || f.Local != addr(c.local) ||
				f.Service() != c.service || f.Midstream != c.midstream {
				t.Errorf("%v of %s from %v, service %d, midstream %v; want %v of %s from %s, %d, %v",
					f.Direction, f.Device.ID, f.Local, f.Service(), f.Midstream,
					c.direction, c.device, c.local, c.service, c.midstream)
			}
			out, in := f.Out.Packets, f.In.Packets
			if fromDevice := c.p.Src == f.Local; out+in != 1 || fromDevice != (out == 1) {
				t.Errorf("counted as %d out and %d in", out, in)
			}
			if c.midstream != (f.Outcome == cordon.Answered) || f.First && f.Midstream {
				t.Errorf("outcome %v, first %v of a flow that is midstream: %v", f.Outcome, f.First, f.Midstream)
			}
			r.check()
		})
	}
}

func TestNobodysFlows(t *testing.T) {
	r := newRig(t, 64)
	for _, p := range []packet.Packet{
		tcp(server, 4000, victim, 80, syn),         // passes by
		tcp(router, 4000, server, 80, syn),         // the router's own
		tcp(server, 4000, router, 80, syn),         // to the router
		tcp(server, 4000, "192.168.1.99", 80, syn), // to a device that never spoke
	} {
		r.send(p)
	}
	r.want()
	if got := r.Stats().Unowned; got != 4 {
		t.Errorf("%d packets of nobody counted, want 4", got)
	}
}

func TestBackscatter(t *testing.T) {
	r := newRig(t, 64)
	for _, p := range []packet.Packet{
		tcp(server, 80, camera, 4000, synack),
		tcp(server, 80, camera, 4001, rst),
		tcp(server, 80, camera, 4002, rst|ack),
		udp(server, 53, camera, 4003),
		echo(server, camera, 9, true),
		unreachable(server, 3, tcp(camera, 4004, server, 80, syn)),
	} {
		r.send(p)
	}
	r.want()
	if got := r.Stats(); got.Unsought != 5 || got.Opened != 0 {
		t.Errorf("%+v, want 5 unsought and none opened", got)
	}
}

func TestFirst(t *testing.T) {
	r := newRig(t, 1024)
	port := uint16(10000)
	first := func(dst string, dport uint16) bool {
		port++
		r.send(tcp(camera, port, dst, dport, syn))
		return r.last.First
	}
	for _, c := range []struct {
		dst   string
		port  uint16
		first bool
	}{
		{server, 23, true}, {server, 23, false},
		{server, 2323, false}, // the same class
		{server, 80, true}, {server, 443, false},
		{server, 4567, true}, // a class of its own
		{victim, 23, true},
	} {
		if got := first(c.dst, c.port); got != c.first {
			t.Errorf("%s port %d: first %v, want %v", c.dst, c.port, got, c.first)
		}
	}
	r.send(udp(camera, 5000, server, 23))
	if !r.last.First {
		t.Error("another protocol is no first contact")
	}
	r.send(tcp(laptop, 5000, server, 23, syn))
	if !r.last.First {
		t.Error("another device's first contact is none")
	}
	r.send(tcp(server, 5000, camera, 23, syn))
	if r.last.First {
		t.Error("being called is a first contact")
	}
	r.at(29 * time.Minute)
	if first(server, 23) {
		t.Error("forgot a contact after 29 minutes")
	}
	r.at(29*time.Minute + 2*firstTurn + time.Second)
	if !first(server, 23) {
		t.Error("remembers a contact for more than two turns")
	}
}

// TestFirstOfManyHosts: the memory may take a fresh contact for a known one, but
// rarely.
func TestFirstOfManyHosts(t *testing.T) {
	r := newRig(t, 1024)
	const n = 20000
	for i := range n {
		r.send(tcp(camera, 4000, fmt.Sprintf("20.%d.%d.7", i>>8, i&255), 23, syn))
	}
	known := r.count(cordon.FlowOpened, func(f *cordon.Flow) bool { return !f.First })
	if known > n*2/100 {
		t.Errorf("%d of %d first contacts taken for known, want at most 2 %%", known, n)
	}
}

func TestResolved(t *testing.T) {
	r := newRig(t, 64)
	r.told[addr(server)] = true
	r.send(tcp(camera, 4000, server, 443, syn))
	if !r.last.Resolved {
		t.Error("a contact that DNS led to is not resolved")
	}
	r.send(tcp(camera, 4000, victim, 443, syn))
	if r.last.Resolved {
		t.Error("a contact that DNS did not lead to is resolved")
	}
	r.send(tcp(server, 5000, camera, 443, syn))
	if r.last.Resolved {
		t.Error("an inbound flow is resolved")
	}
}

// TestAnswersShowWhoBringsThem: the devices are asked about the first packet of
// each side, so that the router and a neighbour that only answer are known.
func TestAnswersShowWhoBringsThem(t *testing.T) {
	r := newRig(t, 64)
	var asked []string
	r.ends = func(p *packet.Packet) { asked = append(asked, p.Src.String()) }
	r.send(connect(camera, 4000, server, 443)...)
	r.send(tcp(server, 443, camera, 4000, ack, 1), tcp(camera, 4000, server, 443, ack, 1))
	if len(asked) != 2 || asked[0] != camera || asked[1] != server {
		t.Errorf("asked about packets of %v, want one of each side", asked)
	}
}

// TestForgottenWhileAnswered: asking about the first answer may forget the very
// device that it is for.
func TestForgottenWhileAnswered(t *testing.T) {
	r := newRig(t, 64)
	r.send(tcp(camera, 4000, laptop, 80, syn))
	r.ends = func(*packet.Packet) {
		r.ends = nil
		r.Forget(r.device(camera))
		delete(r.devices, addr(camera))
	}
	r.send(tcp(laptop, 80, camera, 4000, synack))
	r.check()
	if r.names[1] != "closed" {
		t.Errorf("events %v, want the flow to close", r.names)
	}
}
