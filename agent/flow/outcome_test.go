package flow

import (
	"testing"
	"time"

	"cordon"
	"cordon/agent/packet"
)

func TestOutcomeOfTCP(t *testing.T) {
	out := tcp(camera, 4000, server, 23, syn)
	for _, c := range []struct {
		name    string
		answer  packet.Packet
		event   string
		outcome cordon.Outcome
	}{
		{"answered", tcp(server, 23, camera, 4000, synack), "answered", cordon.Answered},
		{"reset", tcp(server, 23, camera, 4000, rst|ack), "refused", cordon.Refused},
		{"reset without ACK", tcp(server, 23, camera, 4000, rst), "refused", cordon.Refused},
		{"port unreachable", unreachable(server, 3, out), "refused", cordon.Refused},
		{"host unreachable, says a router on the way", unreachable("198.51.100.1", 1, out), "refused", cordon.Refused},
		{"filtered by the home's router", unreachable(router, 13, out), "refused", cordon.Refused},
	} {
		t.Run(c.name, func(t *testing.T) {
			r := newRig(t, 64)
			r.send(out)
			if r.last.Outcome != cordon.Pending {
				t.Errorf("begins %v, want pending", r.last.Outcome)
			}
			r.at(time.Second)
			r.send(c.answer)
			r.want("opened", c.event)
			if r.last.Outcome != c.outcome || r.last.Late {
				t.Errorf("outcome %v, late %v; want %v in time", r.last.Outcome, r.last.Late, c.outcome)
			}
			r.at(10 * time.Second)
			for _, name := range r.names {
				if name == "silent" {
					t.Error("falls silent after it was answered or refused")
				}
			}
		})
	}
}

func TestErrorsThatRefuseNothing(t *testing.T) {
	out := udp(camera, 4000, server, 4433, make([]byte, 1300)...)
	for _, c := range []struct {
		name string
		p    packet.Packet
	}{
		{"fragmentation needed", unreachable("198.51.100.1", 4, out)},
		{"the home's router knows no way: the line is down", unreachable(router, 0, out)},
		{"the home's router does not reach the host", unreachable(router, 1, out)},
		{"about another flow", unreachable(server, 3, udp(camera, 4001, server, 4433))},
	} {
		t.Run(c.name, func(t *testing.T) {
			r := newRig(t, 64)
			r.send(out, c.p)
			r.want("opened")
			r.send(udp(server, 4433, camera, 4000))
			r.want("answered")
		})
	}
}

func TestUnreachableNeighbour(t *testing.T) {
	r := newRig(t, 64)
	out := tcp(camera, 4000, "192.168.1.99", 80, syn)
	r.send(out, unreachable(router, 1, out))
	r.want("opened", "refused")
}

func TestUnreachableIPv6(t *testing.T) {
	out := tcp(camera6, 4000, server6, 80, syn)
	out.IPLen = 80
	r := newRig(t, 64)
	r.send(out, unreachable("2001:db8::1", 4, out))
	r.want("opened", "refused")

	r = newRig(t, 64)
	r.send(out, unreachable("fd00::1", 0, out)) // no route, says the home's own router
	r.want("opened")
}

func TestUnreachableEcho(t *testing.T) {
	r := newRig(t, 64)
	out := echo(camera, victim, 77, false)
	r.send(out, unreachable("203.0.113.1", 1, out))
	r.want("opened", "refused")
}

func TestSilence(t *testing.T) {
	r := newRig(t, 64)
	r.send(tcp(camera, 4000, server, 23, syn))
	r.at(silentAfter - 1)
	r.want("opened")
	r.at(silentAfter)
	r.want("silent")
	r.at(4 * time.Second)
	r.send(tcp(server, 23, camera, 4000, synack))
	r.want("answered")
	if !r.last.Late {
		t.Error("an answer after the silence is not late")
	}
}

func TestSilenceThenRefused(t *testing.T) {
	r := newRig(t, 64)
	r.send(tcp(camera, 4000, server, 23, syn))
	r.at(5 * time.Second)
	r.send(tcp(server, 23, camera, 4000, rst|ack))
	r.want("opened", "silent", "refused")
}

func TestSilenceGoesByAge(t *testing.T) {
	r := newRig(t, 64)
	r.send(tcp(camera, 4000, server, 23, syn))
	r.at(time.Second)
	r.send(tcp(camera, 4001, server, 23, syn), tcp(camera, 4002, server, 23, syn))
	r.send(tcp(server, 23, camera, 4001, synack))
	r.at(3500 * time.Millisecond)
	r.want("opened", "opened", "opened", "answered", "silent")
	r.at(4 * time.Second)
	r.want("silent")
	if r.last.LocalPort != 4002 {
		t.Errorf("port %d fell silent last, want 4002", r.last.LocalPort)
	}
}

func TestRetransmissionIsNoFlow(t *testing.T) {
	r := newRig(t, 64)
	p := tcp(camera, 4000, server, 23, syn)
	r.send(p)
	r.at(time.Second)
	r.send(p)
	r.at(3 * time.Second)
	r.send(p)
	r.want("opened", "silent")
	r.send(tcp(server, 23, camera, 4000, synack))
	if r.last.Resent != 2 || r.last.Out.Packets != 3 {
		t.Errorf("resent %d of %d packets, want 2 of 3", r.last.Resent, r.last.Out.Packets)
	}
	for range 300 {
		r.send(p)
	}
	r.Close(r.now)
	if r.last.Resent != 255 {
		t.Errorf("resent %d, want it to stop at 255", r.last.Resent)
	}
}

func TestOpenerGivesUp(t *testing.T) {
	r := newRig(t, 64)
	r.send(tcp(camera, 4000, server, 23, syn), tcp(camera, 4000, server, 23, rst))
	r.at(3 * time.Second)
	r.want("opened", "silent") // its own reset answers nothing
	r.at(idleClosed + sweepEvery)
	r.want("closed")
}

func TestPortsUsedAgain(t *testing.T) {
	for _, end := range []packet.Packet{tcp(camera, 4000, server, 80, fin), tcp(server, 80, camera, 4000, fin),
		tcp(server, 80, camera, 4000, rst), tcp(camera, 4000, server, 80, rst)} {
		r := newRig(t, 64)
		r.send(connect(camera, 4000, server, 80)...)
		r.send(end)
		r.want("opened", "answered")
		r.send(tcp(camera, 4000, server, 80, ack)) // the last ACK opens nothing
		r.want()
		r.send(tcp(camera, 4000, server, 80, syn))
		r.want("closed", "opened")
		if r.last.Out.Packets != 1 || r.last.Outcome != cordon.Pending || r.last.Resent != 0 {
			t.Errorf("the second connection begins with %d packets, %v, %d resent",
				r.last.Out.Packets, r.last.Outcome, r.last.Resent)
		}
	}
}

func TestUDP(t *testing.T) {
	r := newRig(t, 64)
	r.send(udp(camera, 4000, server, 53), udp(server, 53, camera, 4000))
	r.want("opened", "answered")
	r.send(udp(camera, 4000, server, 9999))
	r.at(silentAfter)
	r.want("opened", "silent")
}

func TestEcho(t *testing.T) {
	r := newRig(t, 64)
	r.send(echo(camera, server, 77, false))
	if f := r.last; f.LocalPort != 77 || f.PeerPort != 0 || f.Proto != packet.ProtoICMP || !f.First {
		t.Errorf("echo flow %+v, want the identifier in LocalPort and no PeerPort", f)
	}
	r.send(echo(camera, server, 77, false), echo(server, camera, 77, true))
	r.want("opened", "answered")
	r.send(echo(camera, server, 78, false))
	r.want("opened")
	if r.last.First {
		t.Error("a ping with another identifier is a first contact again")
	}
	r.send(echo(camera6, server6, 5, false), echo(server6, camera6, 5, true))
	r.want("opened", "answered")
	r.send(echo(server, camera, 79, true), echo(server6, camera6, 80, true))
	r.want()
	if r.Stats().Unsought != 2 {
		t.Errorf("%d replies to nothing counted, want 2", r.Stats().Unsought)
	}
}

func TestIPv6(t *testing.T) {
	r := newRig(t, 64)
	r.send(connect(camera6, 4000, server6, 443)...)
	r.want("opened", "answered")
	f := r.last
	if f.Device != r.device(camera) || f.Local != addr(camera6) || f.Peer != addr(server6) || f.Direction != cordon.Outbound {
		t.Errorf("flow of %v from %v to %v, %v", f.Device.ID, f.Local, f.Peer, f.Direction)
	}
}

func TestProtocolsWithoutPorts(t *testing.T) {
	r := newRig(t, 64)
	gre := ip(camera, server, packet.ProtoGRE, 100)
	gre.Layers |= packet.HasGRE
	gre.DstPort = 0x0800 // GRE's protocol type
	back := gre
	back.Src, back.Dst = gre.Dst, gre.Src
	r.send(gre)
	if r.last.PeerPort != 0 || r.last.LocalPort != 0 {
		t.Errorf("GRE flow with ports %d and %d", r.last.LocalPort, r.last.PeerPort)
	}
	r.send(back)
	r.want("opened", "answered")
	r.send(ip(camera, server, 50, 100), ip(server, camera, 50, 100)) // ESP
	r.want("opened", "answered")
}

func TestPortZero(t *testing.T) {
	r := newRig(t, 64)
	r.send(tcp(camera, 0, server, 0, syn), tcp(server, 0, camera, 0, synack))
	r.send(udp(camera, 0, server, 0), udp(server, 0, camera, 0))
	r.want("opened", "answered", "opened", "answered")
}

func TestSameAddressAtBothEnds(t *testing.T) {
	r := newRig(t, 64)
	p := tcp(camera, 80, camera, 80, syn) // the "land" attack
	r.send(p, p)
	r.want("opened")
	r.check()
}

func TestNotTracked(t *testing.T) {
	r := newRig(t, 64)
	r.send(udp(camera, 5353, "224.0.0.251", 5353), udp(camera, 68, "255.255.255.255", 67),
		udp("0.0.0.0", 68, router, 67), udp(camera6, 5353, "ff02::fb", 5353), udp("224.0.0.1", 1, camera, 2))
	r.send(packet.Packet{Layers: packet.HasARP, Src: addr(camera), Dst: addr(router)}, packet.Packet{})
	r.want()
	late := udp(camera, 0, server, 0)
	late.Fragment, late.FragOff = true, 1480
	r.send(late)
	r.want()
	if r.Stats().Fragments != 1 {
		t.Errorf("%d fragments counted, want 1", r.Stats().Fragments)
	}
}

func TestCounts(t *testing.T) {
	r := newRig(t, 64)
	r.send(connect(camera, 4000, server, 80)...)
	r.send(tcp(camera, 4000, server, 80, ack, make([]byte, 100)...))
	for range 3 {
		r.send(tcp(server, 80, camera, 4000, ack, make([]byte, 1000)...))
	}
	r.at(time.Minute)
	r.send(tcp(camera, 4000, server, 80, ack))
	r.Close(start.Add(2 * time.Minute))
	f := r.last
	if (f.Out != cordon.Count{Packets: 4, Bytes: 60 + 60 + 160 + 60}) || (f.In != cordon.Count{Packets: 4, Bytes: 60 + 3*1060}) {
		t.Errorf("out %+v, in %+v", f.Out, f.In)
	}
	if f.Begin != start || f.Last != start.Add(time.Minute) {
		t.Errorf("from %v to %v, want a minute from %v", f.Begin, f.Last, start)
	}
	if got := r.device(camera).LastSeen; got != start.Add(time.Minute) {
		t.Errorf("the device was last seen at %v, want at its last packet", got)
	}
}

func TestBare(t *testing.T) {
	r := newRig(t, 64)
	p := tcp(camera, 4000, server, 23, syn)
	p.Seq = 0xc6336407
	for _, c := range []struct {
		hdr, n int
		bare   bool
	}{{20, 40, true}, {20, 44, false}, {24, 44, false}, {24, 40, false}, {20, 60, false}} {
		p.SrcPort++
		p.IPHdrLen, p.IPLen = c.hdr, c.n
		r.send(p)
		if r.last.Bare != c.bare || r.last.FirstSeq != p.Seq {
			t.Errorf("SYN of %d bytes, header %d: bare %v, seq %#x", c.n, c.hdr, r.last.Bare, r.last.FirstSeq)
		}
	}
	p6 := tcp(camera6, 4000, server6, 23, syn)
	p6.IPHdrLen, p6.IPLen = 20, 40
	r.send(p6)
	if r.last.Bare {
		t.Error("an IPv6 SYN is bare")
	}
}
