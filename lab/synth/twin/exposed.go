package twin

import (
	"net/netip"
	"time"

	"cordon/lab/synth/message"
	"cordon/lab/synth/world"
)

// noiseEvery is how often each sort of noise comes, about.
const noiseEvery = 3 * time.Second

// public is the home's address as the internet knows it.
var public = netip.AddrFrom4([4]byte{192, 0, 2, 250})

// BeExposed is a device that the router shows to the whole internet: nodes of
// BitTorrent's DHT ask whoever had the address before, others look for telephone
// exchanges and for telnet, and victims of floods that forge the address answer.
// The device has no part in any of it: datagrams meet silence, segments a reset.
func BeExposed(p *world.Proc, d *world.Device) {
	noises := []func(*world.Proc, *world.Device, world.End){askedForPeers, askedToCall, knocked, blamed}
	for _, noise := range noises {
		p.Go(func(p *world.Proc) {
			for p.Sleep(p.Poisson(noiseEvery)) {
				from := p.World.Far(p.World.Net.Stranger(p.Rand, world.Answers), false)
				p.Go(func(p *world.Proc) { noise(p, d, from) })
			}
		})
	}
}

func askedForPeers(p *world.Proc, d *world.Device, from world.End) {
	id, target := [20]byte(message.Opaque(p.Rand, 20)), [20]byte(message.Opaque(p.Rand, 20))
	t := d.TalkFrom(p, 6881, from, uint16(10000+p.IntN(55000)))
	t.Recv(message.DHTFind(p.Rand, id, target))
	p.Sleep(2 * time.Second)
	t.Recv(message.DHTQuery(p.Rand))
}

func askedToCall(p *world.Proc, d *world.Device, from world.End) {
	d.TalkFrom(p, 5060, from, 5060).Recv(message.SIPOptions(p.Rand, public, from.Addr))
}

func knocked(p *world.Proc, d *world.Device, from world.End) { d.Accept(p, from, 23) }

// blamed is an answer to a SYN that others sent in the device's name.
func blamed(p *world.Proc, d *world.Device, from world.End) {
	if p.IntN(3) == 0 {
		from.Mood = world.Refuses
	}
	port := []uint16{80, 443, 25565}[p.IntN(3)]
	d.Backscatter(p, from, world.Raw{Source: uint16(1024 + p.IntN(60000)), Port: port, Seq: p.Uint32()})
}
