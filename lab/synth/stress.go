package synth

import (
	"fmt"
	"time"

	"cordon/lab/synth/message"
	"cordon/lab/synth/world"
)

// floodRate is new flows a second: what a router's tables must stand.
const floodRate = 100_000

// floodFlows opens a new flow every 10 µs, for a time: random hosts on the
// telnet port, random sequence numbers, no answers.
func floodFlows(length time.Duration) behaviour {
	return func(p *world.Proc, d *world.Device) {
		begin := p.Now()
		for ok := true; ok && p.Since(begin) < length; ok = p.Sleep(time.Second / floodRate) {
			to := p.World.Far(p.World.Net.Stranger(p.Rand, world.Silent), false)
			d.SendRaw(p, to, world.Raw{Source: uint16(1024 + p.IntN(64000)), Port: 23, Seq: p.Uint32(), Window: 5840})
		}
	}
}

// crowd fills the home with so many more devices, each with a little to do.
func (p *play) crowd(devices int) {
	systems := []*world.System{world.Tiny, world.Embedded, world.Android, world.Linux, world.Windows, world.Apple}
	makers := []string{"5c:cf:7f", "44:19:b6", "", "00:11:32", "f8:b1:56", ""}
	for i := range devices {
		kind := i % len(systems)
		d := p.Add(fmt.Sprintf("device-%03d", i), makers[kind], systems[kind], kind > 1)
		does := keepCloud(fmt.Sprintf("c%d.cloud.example.com", i%20), 30*time.Second)
		switch {
		case i%3 == 0:
			does = switchPlug
		case i%9 == 2:
			does = browse
		}
		p.live(d, time.Duration(i)*70*time.Millisecond, does)
	}
}

// busyDevices is how many devices of the bench work at a time. Together they
// send about 23,000 packets a second, 140 Mbit/s.
const busyDevices = 40

// busy is a day pressed into minutes: mostly long connections with data both
// ways, and all the time new ones with their DNS questions and TLS hellos.
func (p *play) busy() {
	for i := range busyDevices {
		d := p.Add(fmt.Sprintf("busy-%02d", i), []string{"f8:b1:56", "a8:23:fe", "44:65:0d"}[i%3], world.Linux, i%4 == 0)
		work := []behaviour{streamDown, streamUp, manyPages, manyDatagrams, manySmall}[i%5]
		p.live(d, time.Duration(i)*50*time.Millisecond, work)
	}
}

func streamDown(p *world.Proc, d *world.Device) {
	for p.Sleep(time.Second) {
		c := secure(p, d, fmt.Sprintf("down%d.example.net", p.IntN(50)), "h2")
		for n := 0; c != nil && n < 200 && p.Sleep(p.Jitter(900*time.Millisecond, 0.3)); n++ {
			fetch(c, p, 400, 450_000+p.IntN(300_000))
		}
		c.Close()
	}
}

func streamUp(p *world.Proc, d *world.Device) {
	for p.Sleep(time.Second) {
		c := secure(p, d, fmt.Sprintf("up%d.example.net", p.IntN(50)))
		for n := 0; c != nil && n < 200 && p.Sleep(p.Jitter(800*time.Millisecond, 0.3)); n++ {
			fetch(c, p, 200_000+p.IntN(200_000), 300)
		}
		c.Close()
	}
}

func manyPages(p *world.Proc, d *world.Device) {
	for p.Sleep(p.Poisson(320 * time.Millisecond)) {
		name := fmt.Sprintf("www%d.site%d.example.com", p.IntN(20), p.IntN(30))
		p.Go(func(p *world.Proc) { page(p, d, name) })
	}
}

func manyDatagrams(p *world.Proc, d *world.Device) {
	for p.Sleep(p.Poisson(900 * time.Millisecond)) {
		name := fmt.Sprintf("q%d.example.org", p.IntN(100))
		p.Go(func(p *world.Proc) { quic(p, d, name, 20+p.IntN(30)) })
	}
}

func manySmall(p *world.Proc, d *world.Device) {
	h, ok := d.Resolve(p, fmt.Sprintf("mqtt%d.example.com", p.IntN(9)))
	if !ok {
		return
	}
	for range 40 {
		p.Go(func(p *world.Proc) {
			c := d.Dial(p, p.World.Far(h, false), 1883)
			c.Ask(message.MQTTConnect(d.Name, 60), message.MQTTConnAck())
			for p.Sleep(p.Jitter(120*time.Millisecond, 0.5)) {
				c.Ask(message.MQTTPublish("tele/"+d.Name, fmt.Sprintf(`{"w":%d}`, p.IntN(999))), message.MQTTPong())
			}
		})
		p.Sleep(50 * time.Millisecond)
	}
}
