package attack

import (
	"fmt"
	"net/netip"
	"time"

	"cordon"
	"cordon/lab/synth/dialogue"
	"cordon/lab/synth/message"
	"cordon/lab/synth/world"
)

// aliveEvery is Mirai's keep-alive: six turns of ten seconds, each a little late.
const aliveEvery = 60*time.Second + 40*time.Millisecond

// Burst is the flood of a command: bounded, at an address that nobody has, and
// at the pace of a small device.
const (
	burstPackets = 400
	burstSize    = 512
	burstEvery   = 2 * time.Millisecond
)

// bot is a connection to a server of Mirai's kind.
type bot struct {
	server      world.End
	port        uint16
	id          string
	attackAfter time.Duration // from the log-in to the one command; 0: none
}

// run logs in, keeps the connection alive and obeys.
func (b *bot) run(p *world.Proc, d *world.Device, tell Tell) {
	subject := netip.AddrPortFrom(b.server.Addr, b.port).String()
	tell(Deed{Kind: cordon.C2Keepalive, At: p.Now(), Within: 190 * time.Second, Subject: subject, ActWithin: 190 * time.Second})
	c := d.Dial(p, b.server, b.port)
	if c.Outcome != world.Answers {
		return
	}
	begin := p.Now()
	c.Up(message.MiraiLogin())
	p.Sleep(90 * time.Millisecond)
	c.Up(message.MiraiID(b.id))
	for next := begin.Add(aliveEvery); ; next = next.Add(p.Jitter(aliveEvery, 0.0005)) {
		if at := begin.Add(b.attackAfter); b.attackAfter > 0 && at > p.Now() && at < next {
			p.Sleep(at.Sub(p.Now()))
			b.obey(p, d, c)
		}
		if !p.Sleep(next.Sub(p.Now())) {
			return
		}
		c.Ask(message.MiraiAlive(), message.MiraiAlive())
	}
}

// obey is one command and what the device does then.
func (b *bot) obey(p *world.Proc, d *world.Device, c *world.Conn) {
	target := lair(p, "shop.target.example.org")
	c.Down(message.MiraiCommand(20*time.Second, 0, target.Addr, 7777))
	p.Go(func(p *world.Proc) { burst(p, d, target, 7777) })
}

func burst(p *world.Proc, d *world.Device, to world.End, port uint16) {
	t := d.Talk(p, to, port)
	for range burstPackets {
		t.Send(append([]byte{0}, message.Opaque(p.Rand, burstSize-1)...))
		if !p.Sleep(p.Jitter(burstEvery, 0.2)) {
			return
		}
	}
}

// CallHome is a bot that has nothing to do: a connection to its server's port
// 4441, by address, and a keep-alive every minute.
func CallHome(tell Tell) world.Behaviour {
	return func(p *world.Proc, d *world.Device) {
		b := bot{server: lair(p, "idle.loader.example.net"), port: 4441, id: "camera"}
		b.run(p, d, tell)
	}
}

// CallInVain is a bot whose server is gone: it asks for its name and tries it
// again and again, without an answer.
func CallInVain(p *world.Proc, d *world.Device) {
	const name = "cnc.gone.example.net"
	p.World.Net.Named(name).Mood = world.Silent
	for ok := true; ok; ok = p.Sleep(p.Jitter(5*time.Second, 0.2)) {
		if h, found := d.Resolve(p, name); found {
			d.Try(p, p.World.Far(h, false), 1312, 2)
		}
	}
}

// JoinIRC is a bot that waits in a channel for commands, at a bare address and an
// odd port, and obeys one of them.
func JoinIRC(p *world.Proc, d *world.Device) {
	const nick, channel, master = "[MIPS]abc123", "#load", "boss"
	c := d.Dial(p, lair(p, "irc.loader.example.net"), 6999)
	if c.Outcome != world.Answers {
		return
	}
	i := dialogue.JoinIRC(p, c, "irc.local", nick, channel)
	target := lair(p, "shop.target.example.org")
	for n, command := range []string{".version", ".scanner off", fmt.Sprintf(".udp %s 7777 20", target.Addr), ".stop"} {
		p.Sleep(p.Jitter(25*time.Second, 0.2))
		i.Ping()
		i.Hear(master, channel, command)
		i.Say(channel, []string{"[MIPS] 1.3", "scanner: off", "udp: 20 s", "stopped"}[n])
		if n == 2 {
			p.Go(func(p *world.Proc) { burst(p, d, target, 7777) })
		}
	}
	for p.Sleep(p.Jitter(90*time.Second, 0.1)) {
		i.Ping()
	}
}
