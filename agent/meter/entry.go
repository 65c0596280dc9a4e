package meter

import (
	"math"
	"math/bits"
	"net/netip"

	"cordon"
	"cordon/agent/packet"
)

// entry is what one device did in the interval at hand, about 550 bytes.
type entry struct {
	mac    uint64
	active bool    // something was counted in this interval
	own    [2]bool // it has sent from an address of the home, by family
	used   cordon.Time

	count   [2][cordon.Sorts]cordon.Count // out, in
	spoofed cordon.Count
	dests   distinct
	ports   distinct
	top     [cordon.Sorts]candidate
}

// The directions of entry.count.
const (
	out = iota
	in
)

// The families of entry.own.
const (
	four = iota
	six
)

func family(p *packet.Packet) int {
	if p.Layers&packet.HasIPv6 != 0 {
		return six
	}
	return four
}

// sort returns what p is counted as.
func sort(p *packet.Packet) cordon.Sort {
	switch p.Proto {
	case packet.ProtoTCP:
		if p.TCPFlags&packet.SYN != 0 && p.Layers&packet.HasTCP != 0 {
			return cordon.SortSYN
		}
		return cordon.SortTCP
	case packet.ProtoUDP:
		return cordon.SortUDP
	case packet.ProtoICMP, packet.ProtoICMPv6:
		return cordon.SortICMP
	case packet.ProtoGRE:
		return cordon.SortGRE
	}
	return cordon.SortOther
}

// sent counts a packet towards an address of the internet.
func (e *entry) sent(p *packet.Packet, to *far) {
	e.active, e.own[family(p)] = true, true
	s := sort(p)
	add(&e.count[out][s], p)
	e.dests.add(to.hash)
	port := uint16(0)
	if p.Layers&(packet.HasTCP|packet.HasUDP) != 0 {
		port = p.DstPort
		e.ports.add(uint64(port) * spread)
	}
	e.top[s].vote(to, p.Dst, port)
}

// received counts a packet from an address of the internet. A reset answers nothing.
func (e *entry) received(p *packet.Packet, from *far) {
	if p.Layers&packet.HasTCP != 0 && p.TCPFlags&packet.RST != 0 {
		return
	}
	e.active = true
	s := sort(p)
	add(&e.count[in][s], p)
	if t := &e.top[s]; t.packets > 0 && from.net == t.net {
		t.back++
	}
}

// forged counts a packet whose source is nobody's at home. Before the device has
// used an address of the home of that family, nothing says which ones are.
func (e *entry) forged(p *packet.Packet) {
	if e.own[family(p)] {
		e.active = true
		add(&e.spoofed, p)
	}
}

func add(c *cordon.Count, p *packet.Packet) {
	c.Packets++
	c.Bytes += uint64(p.IPLen)
}

// clear begins a new interval.
func (e *entry) clear() { *e = entry{mac: e.mac, own: e.own, used: e.used} }

// traffic fills t in.
func (e *entry) traffic(t *cordon.Traffic) {
	*t = cordon.Traffic{MAC: mac(e.mac), Out: e.count[out], In: e.count[in], Spoofed: e.spoofed,
		Dests: e.dests.estimate(), Ports: e.ports.estimate(), Heard: true}
	for s := range e.top {
		if c := &e.top[s]; 2*c.packets > e.count[out][s].Packets {
			t.Top[s] = c.top()
		}
	}
}

// mac is the reverse of key.
func mac(key uint64) (m cordon.MAC) {
	for i := range m {
		m[i] = byte(key >> (40 - 8*i))
	}
	return m
}

// candidate finds the network that most packets went to, if there is one: Boyer
// and Moore's majority vote (MJRTY, 1981). What it counts of the winner leaves out
// what came before it last took the lead.
type candidate struct {
	net     uint64     // see far
	addr    netip.Addr // the first of it
	votes   uint32
	port    uint16
	addrs   bool // there were several
	ports   bool
	packets uint64
	back    uint64
}

func (c *candidate) vote(to *far, addr netip.Addr, port uint16) {
	switch {
	case c.net == to.net && c.packets > 0:
		c.votes++
		c.packets++
		c.addrs = c.addrs || c.addr != addr
		c.ports = c.ports || c.port != port
	case c.votes == 0:
		*c = candidate{net: to.net, addr: addr, port: port, votes: 1, packets: 1}
	default:
		c.votes--
	}
}

func (c *candidate) top() cordon.Top {
	length := 24
	if c.addr.Is6() {
		length = 48
	}
	net, err := c.addr.Prefix(length)
	if err != nil {
		return cordon.Top{}
	}
	t := cordon.Top{Net: net, Packets: c.packets, Back: c.back}
	if !c.addrs {
		t.Addr = c.addr
	}
	if !c.ports {
		t.Port = c.port
	}
	return t
}

// distinct estimates how many different things it was shown, by how many of its
// bits are set (Whang et al., A Linear-Time Probabilistic Counting Algorithm,
// 1990).
type distinct [4]uint64

const distinctBits = 256

func (d *distinct) add(hash uint64) {
	d[hash>>62] |= 1 << (hash >> 56 & 63)
}

// estimate saturates where one more bit says nothing any more.
func (d *distinct) estimate() int {
	free := distinctBits
	for _, w := range d {
		free -= bits.OnesCount64(w)
	}
	return int(math.Round(distinctBits * -math.Log(float64(max(free, 1))/distinctBits)))
}
