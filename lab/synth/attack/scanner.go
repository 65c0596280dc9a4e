package attack

import (
	"net/netip"
	"time"

	"cordon/lab/synth/world"
)

// Mirai's scanner, from its published source as detection.md §A1 tells it: 160
// SYNs in one burst a second, port 23 and every tenth time 2323, the sequence
// number is the destination, no options, one source port for its life.
const (
	MiraiBurst = 160
	miraiEvery = time.Second
)

// MiraiScan is the scanner of Mirai. One in 60 of the addresses refuses, one in
// 150 has telnet: the kernel, which knows of no connection, resets that.
func MiraiScan(p *world.Proc, d *world.Device) {
	scanMirai(p, d, func(world.End, uint16) {})
}

// scanMirai is MiraiScan that says who will answer.
func scanMirai(p *world.Proc, d *world.Device, found func(to world.End, port uint16)) {
	source := uint16(1024 + p.IntN(60000))
	for ok := true; ok; {
		next := p.Now().Add(miraiEvery)
		for range MiraiBurst {
			port := uint16(23)
			if p.IntN(10) == 0 {
				port = 2323
			}
			to := p.World.Far(p.World.Net.Stranger(p.Rand, scanned(p)), false)
			d.SendRaw(p, to, world.MiraiSYN(p, to, source, port))
			if to.Mood == world.Answers {
				found(to, port)
			}
			p.Sleep(p.Jitter(18*time.Microsecond, 0.4))
		}
		ok = p.Sleep(next.Sub(p.Now()))
	}
}

// scanned is how a random address takes a SYN to telnet.
func scanned(p *world.Proc) world.Mood {
	switch n := p.IntN(300); {
	case n < 5:
		return world.Refuses
	case n < 7:
		return world.Answers
	}
	return world.Silent
}

// wormPorts are what a worm with a few old exploits tries, telnet most often.
var wormPorts = []uint16{23, 23, 8080, 37215}

// SocketScan is a worm that scans with the kernel's sockets: random sequence
// numbers, all the options, SYNs sent again. About 12 attempts a second.
func SocketScan(p *world.Proc, d *world.Device) {
	for ok := true; ok; ok = p.Sleep(p.Poisson(80 * time.Millisecond)) {
		port := wormPorts[p.IntN(len(wormPorts))]
		h := p.World.Net.Stranger(p.Rand, scanned(p))
		p.Go(func(p *world.Proc) { attempt(p, d, p.World.Far(h, false), port, 2) })
	}
}

// attempt opens a connection and, if that works, looks for a moment and leaves.
func attempt(p *world.Proc, d *world.Device, to world.End, port uint16, retries int) {
	c := d.Try(p, to, port, retries)
	if c.Outcome != world.Answers {
		return
	}
	if port == 23 {
		c.Down([]byte("\xff\xfd\x01\xff\xfd\x1f\xff\xfb\x01\xff\xfb\x03login: "))
	}
	p.Sleep(p.Poisson(time.Second))
	c.Close()
}

// SlowScan is one attempt every six minutes, so as not to be seen.
func SlowScan(p *world.Proc, d *world.Device) {
	for ok := true; ok; ok = p.Sleep(p.Jitter(6*time.Minute, 0.1)) {
		attempt(p, d, p.World.Far(p.World.Net.Stranger(p.Rand, scanned(p)), false), 23, 1)
	}
}

// The rest of a scan that hides: each round is one probe of telnet and one of each
// of so many ports that nobody looks for.
const (
	junkPorts = 40
	junkStep  = 1237 // keeps them apart
	junkEvery = 10 * time.Millisecond
)

// HiddenScan scans telnet with the kernel's sockets, two or three hosts a second,
// among forty times as many connections to junk ports of other hosts.
func HiddenScan(p *world.Proc, d *world.Device) {
	ports := []uint16{23}
	for n := range junkPorts {
		ports = append(ports, uint16(10000+n*junkStep+p.IntN(junkStep)))
	}
	for n := 0; ; n++ {
		to, port := stranger(p, scanned(p)), ports[n%len(ports)]
		p.Go(func(p *world.Proc) { attempt(p, d, to, port, 1) })
		if !p.Sleep(p.Jitter(junkEvery, 0.5)) {
			return
		}
	}
}

// deadTelnet is how a random address takes a SYN where next to nothing answers:
// one in so many refuses.
const deadTelnet = 2000

// DeafScan scans telnet with the kernel's sockets, about 15 hosts a second, and
// finds nothing.
func DeafScan(p *world.Proc, d *world.Device) {
	for ok := true; ok; ok = p.Sleep(p.Poisson(time.Second / 15)) {
		mood := world.Silent
		if p.IntN(deadTelnet) == 0 {
			mood = world.Refuses
		}
		to := stranger(p, mood)
		p.Go(func(p *world.Proc) { attempt(p, d, to, 23, 2) })
	}
}

// The size of a block of BlockScan and its pace: 200 SYNs a second.
const (
	blockHosts = 64
	blockPorts = 200
	blockEvery = 5 * time.Millisecond
)

// BlockScan tries the first 200 ports of 64 addresses in a row, in random order,
// with SYNs as scanners of the whole internet make them, and then those of the
// next block. Every fourth address is in use and has SSH and a web server.
func BlockScan(p *world.Proc, d *world.Device) {
	source := uint16(33000 + p.IntN(28000))
	for {
		to := stranger(p, world.Silent)
		block := to.Addr.As4()
		for _, n := range p.Perm(blockHosts * blockPorts) {
			host, port := n%blockHosts, uint16(1+n/blockHosts)
			block[3] = block[3]&^(blockHosts-1) | byte(host)
			to.Addr, to.Mood = netip.AddrFrom4(block), world.Silent
			switch {
			case host%4 > 0:
			case port == 22 || port == 80:
				to.Mood = world.Answers
			default:
				to.Mood = world.Refuses
			}
			d.SendRaw(p, to, world.Raw{Source: source, Port: port, Seq: p.Uint32(), Window: 1024, MSS: true})
			if !p.Sleep(p.Jitter(blockEvery, 0.5)) {
				return
			}
		}
	}
}

// PortScan tries 1,000 ports of one host with SYNs as nmap makes them: one
// source port, one option, window 1024.
func PortScan(target *world.Device) world.Behaviour {
	return scanPorts(target, world.Raw{Window: 1024, MSS: true})
}

// FINScan is PortScan with nmap's FIN instead of the SYN, and no option.
func FINScan(target *world.Device) world.Behaviour {
	return scanPorts(target, world.Raw{Window: 1024, FIN: true})
}

func scanPorts(target *world.Device, r world.Raw) world.Behaviour {
	return func(p *world.Proc, d *world.Device) {
		r := r
		r.Source, r.Seq = uint16(33000+p.IntN(28000)), p.Uint32()
		to := target.Near(false)
		for _, n := range p.Perm(1000) {
			r.Port = uint16(1 + n)
			d.SendRaw(p, to, r)
			if !p.Sleep(p.Jitter(3*time.Millisecond, 0.6)) {
				return
			}
		}
	}
}

// lanAddr is the i-th address of the home.
func lanAddr(i int) netip.Addr { return netip.AddrFrom4([4]byte{192, 168, 1, byte(i)}) }

// ArpSweep asks for every address of the home, about 40 a second.
func ArpSweep(p *world.Proc, d *world.Device) {
	for i := 1; i < 255; i++ {
		if a := lanAddr(i); a != d.Addr {
			d.Who(p, a)
			p.Sleep(p.Jitter(25*time.Millisecond, 0.3))
		}
	}
}

// PingSweep pings every address of the home, sixteen at a time; nothing goes out
// to those whose MAC nobody tells.
func PingSweep(p *world.Proc, d *world.Device) {
	for i := 1; i < 255; i++ {
		a := lanAddr(i)
		if a == d.Addr {
			continue
		}
		p.Go(func(p *world.Proc) {
			if d.Reach(p, a) {
				d.Ping(p, p.World.Home.At(a).Near(false), uint16(i))
			}
		})
		p.Sleep(p.Jitter(60*time.Millisecond, 0.3))
	}
}

// LateralScan looks for neighbours by ARP and then tries the doors that worms
// of TV boxes know: telnet, Android's debug bridge, file sharing. It comes back
// every five minutes.
func LateralScan(p *world.Proc, d *world.Device) {
	for ok := true; ok; ok = p.Sleep(5 * time.Minute) {
		ArpSweep(p, d)
		for _, n := range p.World.Home.Devices {
			if n == d {
				continue
			}
			for _, port := range []uint16{23, 5555, 445} {
				p.Go(func(p *world.Proc) { d.Knock(p, n.Addr, port, 1).Close() })
				p.Sleep(p.Jitter(120*time.Millisecond, 0.5))
			}
		}
	}
}
