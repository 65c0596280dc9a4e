package twin

import (
	"fmt"
	"time"

	"cordon/lab/synth/dialogue"
	"cordon/lab/synth/message"
	"cordon/lab/synth/world"
)

// Administer is a tool of somebody with servers: every five minutes it logs in by
// SSH at twenty of them within eight seconds, by address, and looks how they are.
func Administer(p *world.Proc, d *world.Device) {
	servers := make([]world.End, 20)
	for i := range servers {
		servers[i] = p.World.Far(p.World.Net.Stranger(p.Rand, world.Answers), false)
	}
	for ok := true; ok; ok = p.Sleep(5 * time.Minute) {
		for i, to := range servers {
			p.After(time.Duration(i)*380*time.Millisecond, func(p *world.Proc) {
				if c := d.Dial(p, to, 22); c.Outcome == world.Answers {
					s := dialogue.OpenSSH(p, c, "OpenSSH_9.6", "OpenSSH_9.2p1")
					s.Login(true)
					s.Show(1500)
					c.Close()
				}
			})
		}
	}
}

// KeepTrying is a recorder whose camera has a new password: it tries the old one
// every ten seconds and is refused.
func KeepTrying(camera *world.Device) world.Behaviour {
	return func(p *world.Proc, d *world.Device) {
		for ok := true; ok; ok = p.Sleep(p.Jitter(10*time.Second, 0.01)) {
			if c := d.Knock(p, camera.Addr, 80, 2); c != nil {
				c.Ask(message.HTTPAsk("GET", camera.Addr.String(), "/stream", "recorder", message.Basic("viewer", "guess1"), ""),
					message.HTTPRefused("camera"))
				c.Close()
			}
		}
	}
}

// manyPorts is the one host that FetchAll and Monitor are about, openPorts where
// it listens, from firstPort on, closedPort where it should and does not.
const (
	manyPorts  = "lab.work.example.org"
	firstPort  = 8000
	openPorts  = 16
	closedPort = 9100
)

// FetchAll is a person's tool that fetches small files all the time, six at once,
// from the services of one host.
func FetchAll(p *world.Proc, d *world.Device) {
	h, ok := d.Resolve(p, manyPorts)
	if !ok {
		return
	}
	to := p.World.Far(h, false)
	for range 6 {
		p.Go(func(p *world.Proc) {
			for p.Sleep(p.Poisson(400 * time.Millisecond)) {
				if c := d.Dial(p, to, uint16(firstPort+p.IntN(openPorts))); c.Outcome == world.Answers {
					path := fmt.Sprintf("/part/%d", p.IntN(1000))
					c.Ask(message.HTTPGet(manyPorts, path, "fetch/2.1"), message.HTTPFile("application/json", message.Opaque(p.Rand, 500+p.IntN(8000))))
					c.Close()
				}
			}
		})
	}
}

// Monitor is a program that asks the same host every five seconds for its state,
// at a port that is closed.
func Monitor(p *world.Proc, d *world.Device) {
	h, ok := d.Resolve(p, manyPorts)
	if !ok {
		return
	}
	to := p.World.Far(h, false)
	to.Mood = world.Refuses
	for p.Sleep(p.Jitter(5*time.Second, 0.01)) {
		d.Try(p, to, closedPort, 0)
	}
}
