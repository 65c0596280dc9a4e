package attack

import (
	"encoding/binary"
	"fmt"
	"net/netip"
	"time"

	"cordon"
	"cordon/lab/synth/frame"
	"cordon/lab/synth/message"
	"cordon/lab/synth/world"
)

// The floods are those of Mirai's published source (detection.md §A1), at the pace
// of a small device. All are bounded, and go to addresses of the documentation
// ranges or to addresses that nobody has.
const (
	floodFor   = 10 * time.Second
	floodEvery = 500 * time.Microsecond // 2,000 packets a second
)

// flood repeats send.
func flood(p *world.Proc, every time.Duration, send func()) {
	begin := p.Now()
	for ok := true; ok && p.Since(begin) < floodFor; ok = p.Sleep(p.Jitter(every, 0.3)) {
		send()
	}
}

// target is the victim: it is overwhelmed, so it does not answer.
func target(p *world.Proc) world.End {
	to := lair(p, "shop.target.example.org")
	to.Mood = world.Silent
	return to
}

// FloodSYN sends SYNs to one port of a host.
func FloodSYN(p *world.Proc, d *world.Device) {
	to := target(p)
	flood(p, floodEvery, func() {
		d.SendRaw(p, to, world.Raw{Source: uint16(1024 + p.IntN(60000)), Port: 80, Seq: p.Uint32(), Window: uint16(p.Uint32()), MSS: true})
	})
}

// FloodACK sends segments with ACK, of no connection, with 512 bytes of nothing.
func FloodACK(p *world.Proc, d *world.Device) {
	to, n := target(p), 0
	flood(p, floodEvery, func() {
		n++
		source := uint16(1024 + n*sourceStep%60000) // each once
		d.SendRaw(p, to, world.Raw{Source: source, Port: 443, Seq: p.Uint32(), Window: uint16(p.Uint32()), ACK: true, Size: 512})
	})
}

// sourceStep walks through the source ports.
const sourceStep = 7919

// FloodUDP is a carpet: datagrams to all the hosts of two dozen networks and to
// thousands of ports that nobody has registered, while the device's own programs go on as
// always.
func FloodUDP(p *world.Proc, d *world.Device) {
	var nets [24]netip.Addr
	for i := range nets {
		nets[i] = world.PublicAddr(p.Rand)
	}
	var body [512]byte
	port := func() uint16 { return uint16(50000 + p.IntN(4000)) }
	flood(p, floodEvery, func() {
		a := nets[p.IntN(len(nets))].As4()
		a[3] = byte(p.IntN(256))
		to := p.World.Far(&world.Host{Addr: netip.AddrFrom4(a), Hops: 12, Mood: world.Silent}, false)
		d.TalkFrom(p, port(), to, port()).Send(body[:])
	})
}

// FloodUDPAt sends datagrams to one port of one host, which is no neighbour of the
// hosts with names.
func FloodUDPAt(p *world.Proc, d *world.Device) {
	t := d.Talk(p, stranger(p, world.Silent), 7777)
	body := message.Opaque(p.Rand, 512)
	flood(p, floodEvery, func() { t.Send(body) })
}

// FloodGRE sends tunnels (RFC 2784) that hold datagrams from anybody to anybody.
func FloodGRE(p *world.Proc, d *world.Device) {
	to := target(p)
	inner := new(frame.Buffer).UDP(frame.Link{}, frame.Net{Src: world.PublicAddr(p.Rand), Dst: world.PublicAddr(p.Rand), TTL: 64}, 52000, 53000, make([]byte, 512))
	clear(inner[14+20+6 : 14+20+8]) // no checksum (RFC 768)
	body := append([]byte{0, 0, 8, 0}, inner[14:]...)
	flood(p, floodEvery, func() { d.SendIP(p, to, 47, body) })
}

// FloodICMP pings a host that does not answer.
func FloodICMP(p *world.Proc, d *world.Device) {
	to, n := target(p), uint16(0)
	flood(p, 2*floodEvery, func() { n++; d.Ping(p, to, n) })
}

// FloodHTTP asks a web server for a page, forty times a second, each time by a new
// connection.
func FloodHTTP(p *world.Proc, d *world.Device) {
	to := lair(p, "shop.target.example.org")
	flood(p, 25*time.Millisecond, func() {
		p.Go(func(p *world.Proc) {
			if c := d.Try(p, to, 80, 1); c.Outcome == world.Answers {
				c.Ask(message.HTTPGet(to.Addr.String(), "/search?q=all", "Mozilla/5.0 (X11; Linux x86_64)"), message.HTTPReply("200 OK", 1200))
				c.Close()
			}
		})
	})
}

// FloodDNS is water torture: names that do not exist, of a domain whose servers are
// meant, by the home's own resolver.
func FloodDNS(p *world.Proc, d *world.Device) {
	router := p.World.Home.Router.Near(false)
	flood(p, 4*time.Millisecond, func() {
		name := fmt.Sprintf("%012x.shop.target.example.org", binary.BigEndian.Uint64(append([]byte{0, 0}, message.Opaque(p.Rand, 6)...)))
		t, id := d.Talk(p, router, 53), uint16(p.Uint32())
		t.Send(message.DNSQuery(id, name, message.TypeA))
		p.After(p.Jitter(40*time.Millisecond, 0.5), func(p *world.Proc) { t.In(p).Recv(message.DNSAnswer(id, name, message.TypeA, 3, 300)) })
	})
}

// Spoof sends SYNs from random addresses.
func Spoof(p *world.Proc, d *world.Device) {
	to := target(p)
	flood(p, floodEvery, func() {
		d.Forge(p, world.PublicAddr(p.Rand), to, world.Raw{Source: uint16(1024 + p.IntN(60000)), Port: 80, Seq: p.Uint32(), Window: 5840})
	})
}

// BeReflector is a device whose discovery service the internet can reach: questions
// that bear the address of a victim come in, and large answers go there.
func BeReflector(p *world.Proc, d *world.Device) {
	victim := target(p)
	ask := message.SSDPSearch("ssdp:all")
	reply := message.SSDPReply(d.Addr, 49152, "upnp:rootdevice", "Linux/3.10 UPnP/1.0 "+d.Name+"/1.0", "5eed0000-0000-4000-8000-000000000002")
	for len(reply) < 1200 {
		reply = append(reply, reply...)
	}
	reply = reply[:1200]
	flood(p, 10*time.Millisecond, func() {
		t := d.TalkFrom(p, 1900, victim, 80)
		t.Recv(ask)
		p.Sleep(d.Delay)
		t.Send(reply)
	})
}

// floods are the vectors that a bot is ordered to use, one after another.
var floods = []struct {
	kind cordon.Kind
	do   world.Behaviour
}{{cordon.DoSSYN, FloodSYN}, {cordon.DoSACK, FloodACK}, {cordon.DoSGRE, FloodGRE}}

// between is how long a bot waits for the next order.
const between = 20 * time.Second

// FloodInTurn is a bot that is ordered to use one vector after another.
func FloodInTurn(tell Tell) world.Behaviour {
	return func(p *world.Proc, d *world.Device) {
		for _, f := range floods {
			tell(Deed{Kind: f.kind, At: p.Now(), Within: 2 * time.Second})
			f.do(p, d)
			if !p.Sleep(between) {
				return
			}
		}
	}
}
