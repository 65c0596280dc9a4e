package synth

import (
	"fmt"
	"net/netip"
	"time"

	"cordon/lab/synth/message"
	"cordon/lab/synth/world"
)

// torrent is BitTorrent with so many peers: most are gone, a few refuse, the
// rest trade pieces; all on ports of their own. Others call at the port that it
// has open, and the DHT is asked over UDP all the time.
func torrent(peers int) behaviour {
	return func(p *world.Proc, d *world.Device) {
		const port = 51413
		d.Open = append(d.Open, port)
		p.Go(func(p *world.Proc) { askDHT(p, d, port) })
		for n := range peers {
			h := p.World.Net.Stranger(p.Rand, peerMood(p))
			if n%6 == 5 {
				p.Go(func(p *world.Proc) {
					h.Mood = world.Answers
					trade(p, d.Accept(p, p.World.Far(h, false), port))
				})
			} else {
				p.Go(func(p *world.Proc) { trade(p, d.Try(p, p.World.Far(h, false), peerPort(p), 3)) })
			}
			if !p.Sleep(p.Poisson(180 * time.Millisecond)) {
				return
			}
		}
	}
}

func peerMood(p *world.Proc) world.Mood {
	switch n := p.IntN(20); {
	case n < 11:
		return world.Silent
	case n < 13:
		return world.Refuses
	case n < 14:
		return world.Unreachable
	}
	return world.Answers
}

func peerPort(p *world.Proc) uint16 {
	if p.IntN(3) == 0 {
		return uint16(6881 + p.IntN(9))
	}
	return uint16(10000 + p.IntN(55000))
}

// trade is what two peers do on an open connection.
func trade(p *world.Proc, c *world.Conn) {
	if c.Outcome != world.Answers {
		return
	}
	c.Ask(message.TorrentHandshake(p.Rand), message.TorrentHandshake(p.Rand))
	for piece := range 2 + p.IntN(6) {
		c.Down(append(message.TorrentPiece(piece, 0, 16384), message.Opaque(p.Rand, 16384)...))
		if p.IntN(2) == 0 {
			c.Up(append(message.TorrentPiece(piece+90, 0, 16384), message.Opaque(p.Rand, 16384)...))
		}
		if !p.Sleep(p.Poisson(5 * time.Second)) {
			return
		}
	}
	c.Close()
}

func askDHT(p *world.Proc, d *world.Device, port uint16) {
	for p.Sleep(p.Poisson(250 * time.Millisecond)) {
		h := p.World.Net.Stranger(p.Rand, peerMood(p))
		to := peerPort(p)
		p.Go(func(p *world.Proc) {
			d.TalkFrom(p, port, p.World.Far(h, false), to).Ask(message.DHTQuery(p.Rand), message.DHTReply(p.Rand, 8))
		})
	}
}

// playGame is a game: thirty small datagrams a second, both ways, for some minutes.
func playGame(p *world.Proc, d *world.Device) {
	h, ok := d.Resolve(p, "eu3.game.example.net")
	if !ok {
		return
	}
	t := d.Talk(p, p.World.Far(h, false), 27015)
	for n := range 30 * 120 {
		t.Send(append([]byte{0xfa, byte(n >> 8), byte(n), 0}, message.Opaque(p.Rand, 40+p.IntN(60))...))
		p.Sleep(9 * time.Millisecond)
		t.Recv(append([]byte{0xfa, byte(n >> 8), byte(n), 1}, message.Opaque(p.Rand, 90+p.IntN(200))...))
		if !p.Sleep(p.Jitter(24*time.Millisecond, 0.2)) {
			return
		}
	}
}

// call is a video call: a dozen candidates are checked with STUN, a third of
// them never answer, and the best carries sound and picture for two minutes.
func call(p *world.Proc, d *world.Device) {
	h, ok := d.Resolve(p, "stun.meet.example.com")
	if !ok {
		return
	}
	own := uint16(50000 + p.IntN(9000))
	server := d.TalkFrom(p, own, p.World.Far(h, false), 3478)
	id := [12]byte(message.Opaque(p.Rand, 12))
	server.Ask(message.STUNRequest(id), message.STUNReply(id, netip.AddrPortFrom(netip.MustParseAddr("192.0.2.250"), own)))
	var best *world.Talk
	for i := range 12 {
		mood := world.Answers
		if i%3 == 0 {
			mood = world.Silent
		}
		peer := p.World.Net.Stranger(p.Rand, mood)
		t := d.TalkFrom(p, own, p.World.Far(peer, false), uint16(20000+p.IntN(40000)))
		for range 3 {
			id := [12]byte(message.Opaque(p.Rand, 12))
			if t.Ask(message.STUNRequest(id), message.STUNReply(id, netip.AddrPortFrom(d.Addr, own))) {
				best = t
				break
			}
			p.Sleep(300 * time.Millisecond)
		}
	}
	sendCall(p, best)
}

func sendCall(p *world.Proc, t *world.Talk) {
	for n := range 120 * 50 {
		clock := uint32(n * 960)
		t.Send(message.RTPDatagram(p.Rand, 111, uint16(n), clock, 0x51a7, 70+p.IntN(60)))
		p.Sleep(2 * time.Millisecond)
		t.Recv(message.RTPDatagram(p.Rand, 111, uint16(n), clock, 0xc2b9, 70+p.IntN(60)))
		if n%3 == 0 {
			t.Send(message.RTPDatagram(p.Rand, 96, uint16(n), clock, 0x51a8, 900+p.IntN(200)))
			t.Recv(message.RTPDatagram(p.Rand, 96, uint16(n), clock, 0xc2ba, 900+p.IntN(200)))
		}
		if !p.Sleep(p.Jitter(18*time.Millisecond, 0.1)) {
			return
		}
	}
}

// testSpeed opens sixteen connections at once and fills them, down and then up.
func testSpeed(p *world.Proc, d *world.Device) {
	for i := range 16 {
		p.After(time.Duration(i)*30*time.Millisecond, func(p *world.Proc) {
			c := secure(p, d, fmt.Sprintf("speed%d.example.net", i%4))
			if c == nil {
				return
			}
			c.DownBulk(1 << 20)
			c.UpBulk(1 << 19)
			c.Close()
		})
	}
}

// fetchFTP is a passive FTP session of so many files: each has a port of its own
// on the same server.
func fetchFTP(files int) behaviour {
	return func(p *world.Proc, d *world.Device) {
		h, ok := d.Resolve(p, "ftp.mirror.example.org")
		if !ok {
			return
		}
		to := p.World.Far(h, false)
		c := d.Dial(p, to, 21)
		if c.Outcome != world.Answers {
			return
		}
		c.Down([]byte("220 mirror ready\r\n"))
		c.Ask([]byte("USER anonymous\r\n"), []byte("331 any password will do\r\n"))
		c.Ask([]byte("PASS guest@example.org\r\n"), []byte("230 welcome\r\n"))
		a := h.Addr.As4()
		for i := range files {
			port := uint16(30000 + p.IntN(30000))
			c.Ask([]byte("PASV\r\n"), fmt.Appendf(nil, "227 Entering Passive Mode (%d,%d,%d,%d,%d,%d).\r\n", a[0], a[1], a[2], a[3], port>>8, port&255))
			data := d.Dial(p, to, port)
			if data.Outcome != world.Answers {
				continue
			}
			c.Ask(fmt.Appendf(nil, "RETR file%d\r\n", i), []byte("150 here it comes\r\n"))
			data.Down(message.Opaque(p.Rand, 2000+p.IntN(60000)))
			data.Quit()
			c.Down([]byte("226 done\r\n"))
			if !p.Sleep(p.Poisson(time.Second)) {
				return
			}
		}
		c.Close()
	}
}

// traceRoute sends three datagrams to each hop of the way to a host, each to a
// port of its own.
func traceRoute(p *world.Proc, d *world.Device) {
	h, ok := d.Resolve(p, "www.far.example.org")
	if !ok {
		return
	}
	to := p.World.Far(h, false)
	to.Mood = world.Refuses
	port := uint16(33434)
	for hop := 1; hop <= int(h.Hops)+1; hop++ {
		for range 3 {
			t := d.Talk(p, to, port)
			if hop <= int(h.Hops) {
				t.Trace(hop, hop%4 == 3)
			} else {
				t.Ask(make([]byte, 32), nil)
			}
			port++
			p.Sleep(20 * time.Millisecond)
		}
	}
}

// deadCloud is a device whose maker's cloud is down: it asks for its three names
// and tries them again and again, without an answer.
func deadCloud(p *world.Proc, d *world.Device) {
	for n := 0; ; n++ {
		name := fmt.Sprintf("relay%d.camera-cloud.example.com", n%3)
		p.World.Net.Named(name).Mood = world.Silent
		if h, ok := d.Resolve(p, name); ok {
			for i := range 8 {
				p.After(time.Duration(i)*40*time.Millisecond, func(p *world.Proc) { d.Try(p, p.World.Far(h, false), 8000, 2) })
			}
		}
		if !p.Sleep(p.Jitter(2*time.Second, 0.2)) {
			return
		}
	}
}

// rawCloud is a device with a list of addresses in its firmware: it tries one
// after the other, half of them are down, and it asks no resolver.
func rawCloud(p *world.Proc, d *world.Device) {
	var list []world.End
	for i := range 10 {
		mood := world.Answers
		if i%2 == 0 {
			mood = world.Silent
		}
		list = append(list, p.World.Far(p.World.Net.Stranger(p.Rand, mood), false))
	}
	for n := 0; ; n++ {
		if c := d.Try(p, list[n%len(list)], 8883, 1); c.Outcome == world.Answers {
			c.Ask(message.ClientHello(p.Rand, ""), message.ServerHello(p.Rand, 2600))
			c.Up(message.Finished(p.Rand))
			fetch(c, p, 120, 90)
			c.Close()
		}
		if !p.Sleep(p.Jitter(time.Minute, 0.1)) {
			return
		}
	}
}
