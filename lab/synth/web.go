package synth

import (
	"fmt"
	"net/netip"
	"time"

	"cordon/lab/synth/message"
	"cordon/lab/synth/world"
)

// secure resolves name, opens a connection to port 443 and shakes hands. It
// returns nil when any of that fails.
func secure(p *world.Proc, d *world.Device, name string, protocols ...string) *world.Conn {
	h, ok := d.Resolve(p, name)
	if !ok {
		return nil
	}
	v6 := d.Addr6.IsValid() && h.Addr6.IsValid() && h.Mood6 == world.Answers
	return shake(p, d, p.World.Far(h, v6), name, 443, protocols...)
}

// shake opens a connection to an end that is known and shakes hands.
func shake(p *world.Proc, d *world.Device, to world.End, name string, port uint16, protocols ...string) *world.Conn {
	c := d.Dial(p, to, port)
	if c.Outcome != world.Answers {
		return nil
	}
	c.Ask(message.ClientHello(p.Rand, name, protocols...), message.ServerHello(p.Rand, 2400+p.IntN(1800)))
	c.Up(message.Finished(p.Rand))
	return c
}

// fetch is one request and its answer on an open connection.
func fetch(c *world.Conn, p *world.Proc, up, down int) {
	c.UpBulk(up)
	p.Sleep(p.Jitter(25*time.Millisecond, 0.8))
	c.DownBulk(down)
}

// browse is a person reading: a page every half minute or so, each with its
// main server and a few others, and QUIC to some of them.
func browse(p *world.Proc, d *world.Device) {
	for n := 0; ; n++ {
		site := fmt.Sprintf("www.site%d.example.com", p.IntN(40))
		p.World.Net.Named6(site)
		p.Go(func(p *world.Proc) { page(p, d, site) })
		for i := range 2 + p.IntN(5) {
			other := fmt.Sprintf("cdn%d.assets%d.example.net", i, p.IntN(25))
			p.After(time.Duration(60+p.IntN(400))*time.Millisecond, func(p *world.Proc) { page(p, d, other) })
		}
		if p.IntN(2) == 0 {
			p.After(300*time.Millisecond, func(p *world.Proc) { quic(p, d, "video.example.org", 10+p.IntN(40)) })
		}
		if !p.Sleep(p.Poisson(25 * time.Second)) {
			return
		}
	}
}

// page loads a page or what belongs to one over TLS.
func page(p *world.Proc, d *world.Device, site string) {
	c := secure(p, d, site, "h2", "http/1.1")
	if c == nil {
		return
	}
	for range 1 + p.IntN(6) {
		fetch(c, p, 200+p.IntN(900), 2000+int(p.ExpFloat64()*60000))
		p.Sleep(p.Poisson(400 * time.Millisecond))
	}
	p.Sleep(time.Duration(5+p.IntN(20)) * time.Second)
	c.Close()
}

// quic is a conversation of so many rounds on UDP port 443.
func quic(p *world.Proc, d *world.Device, name string, rounds int) {
	h, ok := d.Resolve(p, name)
	if !ok {
		return
	}
	ours, theirs := message.Opaque(p.Rand, 8), message.Opaque(p.Rand, 8)
	t := d.Talk(p, p.World.Far(h, false), 443)
	if !t.Ask(message.QUICInitial(p.Rand, theirs, ours), message.QUICInitial(p.Rand, ours, theirs)) {
		return
	}
	long := message.QUICShort(p.Rand, ours, 1250)
	for range rounds {
		t.Send(message.QUICShort(p.Rand, theirs, 36+p.IntN(40)))
		p.Sleep(t.To.Delay)
		for range 4 + p.IntN(12) {
			t.Recv(long)
			p.Sleep(60 * time.Microsecond)
		}
		if !p.Sleep(p.Poisson(30 * time.Millisecond)) {
			return
		}
	}
}

// restoreTabs opens count pages at once, as a browser does after a crash. Names
// are asked for first; every fifth server is dead and never answers.
func restoreTabs(count int) behaviour {
	return func(p *world.Proc, d *world.Device) {
		for i := range count {
			name := fmt.Sprintf("tab%d.example.org", i)
			if i%5 == 4 {
				p.World.Net.Named(name).Mood = world.Silent
			}
			p.After(time.Duration(i*8+p.IntN(20))*time.Millisecond, func(p *world.Proc) { page(p, d, name) })
		}
	}
}

// eyeballs tries sites over IPv6 first, which is broken on the way, and falls
// back to IPv4 after 250 ms (RFC 8305 §5).
func eyeballs(p *world.Proc, d *world.Device) {
	for i := range 24 {
		name := fmt.Sprintf("dual%d.example.com", i)
		p.World.Net.Named6(name).Mood6 = world.Silent
		p.Go(func(p *world.Proc) {
			h, ok := d.Resolve(p, name)
			if !ok {
				return
			}
			tryBoth(p, d, h, name)
		})
		if !p.Sleep(p.Poisson(6 * time.Second)) {
			return
		}
	}
}

// tryBoth fetches something from a host whose IPv6 is silent.
func tryBoth(p *world.Proc, d *world.Device, h *world.Host, name string) {
	p.Go(func(p *world.Proc) { d.Try(p, p.World.Far(h, true), 443, 1) })
	p.Sleep(250 * time.Millisecond)
	if c := shake(p, d, p.World.Far(h, false), name, 443, "h2"); c != nil {
		fetch(c, p, 500, 20000)
		c.Close()
	}
}

// pageHosts is how many hosts a rich page is made of.
const pageHosts = 30

// browsePrivately is a person reading, a rich page every 20 s or so, where IPv6
// leads nowhere. Names are asked for over TLS, at an address that the browser has
// built in (RFC 8484), and so nobody at home knows them.
func browsePrivately(p *world.Proc, d *world.Device) {
	resolver := &world.Host{Addr: netip.AddrFrom4([4]byte{192, 0, 2, 53}), Hops: 9, Delay: 12 * time.Millisecond}
	names := shake(p, d, p.World.Far(resolver, false), "doh.example.net", 443, "h2")
	for site := 0; names != nil; site++ {
		for n := range pageHosts {
			fetch(names, p, 130, 260)
			h := p.World.Net.Stranger(p.Rand, world.Answers)
			h.Addr6, h.Mood6 = p.World.Net.Somewhere6(p.Rand), world.Silent
			p.Go(func(p *world.Proc) { tryBoth(p, d, h, fmt.Sprintf("part%d.site%d.example.org", n, site)) })
		}
		if !p.Sleep(p.Poisson(20 * time.Second)) {
			return
		}
	}
}

// probePage is a web page whose script looks for boxes on the visitor's LAN:
// 192.168.1.1 to .20 on three ports, six attempts at a time.
func probePage(p *world.Proc, d *world.Device) {
	page(p, d, "www.curious.example.com")
	for i := range 40 {
		addr := netip.AddrFrom4([4]byte{192, 168, 1, byte(1 + i)})
		for _, port := range []uint16{80, 8080, 443} {
			p.Go(func(p *world.Proc) { d.Knock(p, addr, port, 1).Close() })
			p.Sleep(p.Jitter(50*time.Millisecond, 0.5))
		}
	}
}

// askClock is NTP: four questions at boot, then one every minute or so.
func askClock(p *world.Proc, d *world.Device) {
	h, ok := d.Resolve(p, "pool.ntp.example.org")
	if !ok {
		return
	}
	for n := 0; ; n++ {
		seconds := uint32(p.Now().Std().Unix() + 2208988800)
		d.TalkFrom(p, 123, p.World.Far(h, false), 123).Ask(message.NTP(3, seconds), message.NTP(4, seconds))
		wait := 64 * time.Second
		if n < 4 {
			wait = 2 * time.Second
		}
		if !p.Sleep(p.Jitter(wait, 0.05)) {
			return
		}
	}
}
