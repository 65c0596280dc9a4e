package attack

import (
	"time"

	"cordon/lab/synth/message"
	"cordon/lab/synth/world"
)

// Bootstrap is where nodes of BitTorrent's DHT begin, bots and others: host names
// as the clients have them built in. In a capture they have made-up addresses.
var Bootstrap = []string{"router.bittorrent.com", "dht.transmissionbt.com", "router.utorrent.com"}

// JoinDHT is a bot of Mozi's kind: it asks the nodes of BitTorrent's DHT for each
// other, all from one port, and names itself with eights (detection.md §A3).
func JoinDHT(p *world.Proc, d *world.Device) {
	const port = 14737
	id := [20]byte(append([]byte("88888888"), message.Opaque(p.Rand, 12)...))
	for _, name := range Bootstrap {
		if h, ok := d.Resolve(p, name); ok {
			askNode(p, d, port, p.World.Far(h, false), 6881, id)
		}
	}
	for p.Sleep(p.Poisson(400 * time.Millisecond)) {
		mood := world.Answers
		if p.IntN(5) < 3 {
			mood = world.Silent
		}
		to := stranger(p, mood)
		p.Go(func(p *world.Proc) { askNode(p, d, port, to, uint16(10000+p.IntN(55000)), id) })
	}
}

func askNode(p *world.Proc, d *world.Device, own uint16, to world.End, port uint16, id [20]byte) {
	d.TalkFrom(p, own, to, port).Ask(message.DHTFind(p.Rand, id, id), message.DHTReply(p.Rand, 8))
}

// hidePorts is what a bot of Hide and Seek's kind scans, besides random ports.
var hidePorts = []uint16{23, 23, 23, 2323, 8080}

// HideAndSeek is a bot that looks for its like: every second nine bytes, always
// the same, from one port to a random port of a random host, which does not
// answer; and one connection, by the kernel, to a port with a known hole. So the
// capture of 2018-03-09 shows it.
func HideAndSeek(p *world.Proc, d *world.Device) {
	own, hello := uint16(1024+p.IntN(30000)), message.Opaque(p.Rand, 9)
	for ok := true; ok; ok = p.Sleep(p.Jitter(time.Second, 0.01)) {
		d.TalkFrom(p, own, stranger(p, world.Silent), uint16(32768+p.IntN(32768))).Send(hello)
		port := uint16(10000 + p.IntN(55000))
		if p.IntN(4) > 0 {
			port = hidePorts[p.IntN(len(hidePorts))]
		}
		to := p.World.Far(p.World.Net.Stranger(p.Rand, scanned(p)), false)
		p.After(700*time.Microsecond, func(p *world.Proc) { attempt(p, d, to, port, 3) })
	}
}
