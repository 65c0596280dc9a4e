package twin

import (
	"fmt"
	"time"

	"cordon/lab/synth/message"
	"cordon/lab/synth/world"
)

// stream sends datagrams for a time, so many a second, and every so many of them
// one comes back, as late as the other is far.
type stream struct {
	rate   int
	size   int // of a datagram
	every  int // datagrams that one answers, 0: none is answered
	answer int // its size
	length time.Duration
	head   byte // the first byte of each datagram
}

func (s stream) run(p *world.Proc, t *world.Talk) {
	begin, body, back := p.Now(), message.Opaque(p.Rand, s.size), message.Opaque(p.Rand, max(s.answer, 20))
	body[0], back[0] = s.head, s.head
	for n := 1; p.Since(begin) < s.length; n++ {
		body[1], body[2] = byte(n>>8), byte(n)
		t.Send(body)
		if s.every > 0 && n%s.every == 0 {
			p.After(t.To.Delay, func(p *world.Proc) { t.In(p).Recv(back) })
		}
		if !p.Sleep(p.Jitter(time.Second/time.Duration(s.rate), 0.3)) {
			return
		}
	}
}

// to opens a conversation of datagrams with a named host, nil if nobody knows it.
func to(p *world.Proc, d *world.Device, name string, port uint16) *world.Talk {
	h, ok := d.Resolve(p, name)
	if !ok {
		return nil
	}
	return d.Talk(p, p.World.Far(h, false), port)
}

// streaming is the behaviour of a device that streams to a named host.
func streaming(name string, port uint16, s stream) world.Behaviour {
	return func(p *world.Proc, d *world.Device) {
		if t := to(p, d, name, port); t != nil {
			s.run(p, t)
		}
	}
}

// The conversations that send most of what they say one way. How much comes back
// is what the protocols ask for: see agent/detect/flood, vector.go.
var (
	// TestUDP is a speed test by datagrams: 3,000 a second up, a tenth acknowledged.
	TestUDP = streaming("udp.speed.example.net", 5201, stream{rate: 3000, size: 1000, every: 10, answer: 60, length: 10 * time.Second, head: 0x61})
	// SendPictures is a camera that sends its pictures by RTP; feedback comes every 60
	// ms.
	SendPictures = streaming("relay.camera-cloud.example.com", 40014, stream{rate: 800, size: 1100, every: 48, answer: 90, length: 50 * time.Second, head: 0x80})
	// PlayRemotely is a console whose game somebody plays from elsewhere: pictures go
	// out, moves come in.
	PlayRemotely = streaming("remote.console.example.net", 9296, stream{rate: 1500, size: 1200, every: 25, answer: 60, length: 30 * time.Second, head: 0xfa})
	// UploadQUIC is a big upload by QUIC; every tenth packet is acknowledged.
	UploadQUIC = streaming("drive.example.com", 443, stream{rate: 2500, size: 1250, every: 10, answer: 40, length: 20 * time.Second, head: 0x41})
	// DownloadQUIC is the reverse: few packets go out.
	DownloadQUIC = streaming("video.example.org", 443, stream{rate: 700, size: 40, every: 1, answer: 1250, length: 20 * time.Second, head: 0x41})
	// Meet is a large video call: as much comes as goes.
	Meet = streaming("edge.meet.example.com", 8801, stream{rate: 600, size: 950, every: 1, answer: 980, length: 40 * time.Second, head: 0x80})
)

// BurstFarAway sends ten times a second's worth of datagrams at once every other
// second, to a host so far away that all answers come after the burst.
func BurstFarAway(p *world.Proc, d *world.Device) {
	t := to(p, d, "sync.overseas.example.org", 6121)
	if t == nil {
		return
	}
	t.To.Delay = 340 * time.Millisecond
	for range 20 {
		stream{rate: 3000, size: 600, every: 4, answer: 60, length: 200 * time.Millisecond, head: 0x33}.run(p, t)
		if !p.Sleep(p.Jitter(2*time.Second, 0.2)) {
			return
		}
	}
}

// SendUntilCut sends pictures without a pause, also for four seconds after the line
// was cut, and gives up then.
func SendUntilCut(at time.Duration) world.Behaviour {
	return streaming("relay.camera-cloud.example.com", 40014, stream{rate: 900, size: 1100, every: 30, answer: 90, length: at + 4*time.Second, head: 0x80})
}

// UploadFilm uploads by TCP, a gigabyte or as much of it as there is time for.
func UploadFilm(p *world.Proc, d *world.Device) {
	c := d.Call(p, "upload.video.example.org", 443)
	if c == nil {
		return
	}
	c.Ask(message.ClientHello(p.Rand, "upload.video.example.org"), message.ServerHello(p.Rand, 3000))
	c.Up(message.Finished(p.Rand))
	for begin := p.Now(); p.Since(begin) < 40*time.Second; {
		c.UpBulk(200_000)
		if !p.Sleep(p.Jitter(60*time.Millisecond, 0.3)) {
			return
		}
	}
	c.Close()
}

// SeedTorrent is a client that uploads to thirty peers by uTP (BEP 29): each gets
// thirty datagrams a second and acknowledges every third.
func SeedTorrent(p *world.Proc, d *world.Device) {
	const port = 51413
	for n := range 30 {
		mood := world.Answers
		if n%4 == 3 {
			mood = world.Silent
		}
		peer := p.World.Far(p.World.Net.Stranger(p.Rand, mood), false)
		at := uint16(10000 + p.IntN(50000))
		p.Go(func(p *world.Proc) {
			t := d.TalkFrom(p, port, peer, at)
			if mood == world.Silent {
				for range 4 {
					t.Send(message.Opaque(p.Rand, 20)) // SYN packets that nobody answers
					p.Sleep(3 * time.Second)
				}
				return
			}
			stream{rate: 30, size: 1400, every: 3, answer: 20, length: 60 * time.Second, head: 0x01}.run(p, t)
		})
	}
}

// BackUpAtHome copies a disk to another device of the home, by datagrams that nobody
// acknowledges.
func BackUpAtHome(nas *world.Device) world.Behaviour {
	return func(p *world.Proc, d *world.Device) {
		t := d.Talk(p, nas.Near(false), 2049)
		stream{rate: 3000, size: 1400, length: 15 * time.Second, head: 0x20}.run(p, t)
	}
}

// Prefetch is a browser that looks up all that pages may lead to: a hundred names
// at once, half of them of one content network, some of them gone.
func Prefetch(p *world.Proc, d *world.Device) {
	router := p.World.Home.Router.Near(false)
	for round := 0; ; round++ {
		for n := range 100 {
			name := fmt.Sprintf("www.site%d-%d.example.com", round, n)
			if n%2 == 0 {
				name = fmt.Sprintf("edge%d-%d.cdn.example.net", round, n)
			}
			id, code := uint16(p.Uint32()), uint8(0)
			if n%9 == 8 {
				code = 3
			}
			t, h := d.Talk(p, router, 53), p.World.Net.Stranger(p.Rand, world.Answers)
			t.Send(message.DNSQuery(id, name, message.TypeA))
			p.After(p.Jitter(45*time.Millisecond, 0.8), func(p *world.Proc) {
				if code == 0 {
					t.In(p).Recv(message.DNSAnswer(id, name, message.TypeA, 0, 300, h.Addr))
				} else {
					t.In(p).Recv(message.DNSAnswer(id, name, message.TypeA, code, 300))
				}
			})
			p.Sleep(p.Jitter(3*time.Millisecond, 0.5))
		}
		if !p.Sleep(p.Jitter(900*time.Millisecond, 0.5)) {
			return
		}
	}
}

// CheckSenders is a mail server that asks block lists about who calls: reversed
// addresses, most of which are not listed (RFC 5782 §2.1).
func CheckSenders(p *world.Proc, d *world.Device) {
	router := p.World.Home.Router.Near(false)
	for begin := p.Now(); p.Since(begin) < 20*time.Second; {
		a := world.PublicAddr(p.Rand).As4()
		name, id := fmt.Sprintf("%d.%d.%d.%d.list.example.org", a[3], a[2], a[1], a[0]), uint16(p.Uint32())
		t := d.Talk(p, router, 53)
		t.Send(message.DNSQuery(id, name, message.TypeA))
		p.After(20*time.Millisecond, func(p *world.Proc) { t.In(p).Recv(message.DNSAnswer(id, name, message.TypeA, 3, 300)) })
		if !p.Sleep(p.Poisson(12 * time.Millisecond)) {
			return
		}
	}
}
