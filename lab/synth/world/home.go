package world

import (
	"fmt"
	"math/rand/v2"
	"net/netip"
	"time"

	"cordon"
)

// The home's addresses. The IPv6 prefix is of the documentation range (RFC 3849).
var (
	Prefix4 = netip.MustParsePrefix("192.168.1.0/24")
	Prefix6 = netip.MustParsePrefix("2001:db8:1::/64")
)

// Mood is how a host takes an attempt to contact it.
type Mood uint8

// The moods.
const (
	Answers     Mood = iota
	Refuses          // RST, or ICMP port unreachable
	Silent           // nothing
	Unreachable      // an ICMP error of a router on the way
)

// Home is the router and the devices behind it.
type Home struct {
	Router  *Device
	Devices []*Device
	byAddr  map[netip.Addr]*Device
}

// Device is anything on the LAN side. Make it with Home.Add.
type Device struct {
	Name   string // as it calls itself in DHCP and mDNS
	MAC    cordon.MAC
	System *System
	Addr   netip.Addr
	Link6  netip.Addr // fe80::/10, the zero Addr: no IPv6
	Addr6  netip.Addr // of Prefix6, the zero Addr: no IPv6
	Open   []uint16   // TCP ports that it answers on
	Drops  bool       // closed ports are silent: a firewall
	Shy    bool       // its DHCP tells neither its name nor its system
	Delay  time.Duration

	home       *Home
	random     *rand.Rand
	id         uint16
	ports      int
	neighbours map[netip.Addr]cordon.Time // until when an ARP entry is good
	names      map[string]cordon.Time     // until when a DNS answer is good
}

func newHome(r *rand.Rand) *Home {
	h := &Home{byAddr: make(map[netip.Addr]*Device)}
	h.Router = h.add(r, "router", "3c:a6:2f", Linux, 1)
	h.Router.Link6, h.Router.Addr6 = eui64(netip.MustParsePrefix("fe80::/64"), h.Router.MAC), Prefix6.Addr().Next()
	h.Router.Delay = 150 * time.Microsecond
	h.Router.Open = []uint16{53, 80, 443}
	return h
}

// Add adds a device. maker is the first half of its MAC, "" for a randomised
// one; w's chance gives the rest. With v6 it also has IPv6 addresses.
func (w *World) Add(name, maker string, system *System, v6 bool) *Device {
	h, r := w.Home, w.Random("device "+name)
	d := h.add(r, name, maker, system, len(h.Devices)+20)
	h.Devices = append(h.Devices, d)
	if v6 {
		d.Link6 = eui64(netip.MustParsePrefix("fe80::/64"), d.MAC)
		d.Addr6 = eui64(Prefix6, d.MAC)
		if system != Embedded { // RFC 7217: stable, but not made from the MAC
			d.Addr6 = opaque64(Prefix6, r)
		}
	}
	return d
}

func (h *Home) add(r *rand.Rand, name, maker string, system *System, last int) *Device {
	d := &Device{Name: name, System: system, home: h, random: r, id: uint16(r.Uint32()), ports: r.IntN(20000),
		Addr:       netip.AddrFrom4([4]byte{192, 168, 1, byte(last)}),
		Delay:      time.Millisecond + time.Duration(r.IntN(2500))*time.Microsecond,
		neighbours: make(map[netip.Addr]cordon.Time), names: make(map[string]cordon.Time)}
	bits := r.Uint64()
	for i := range d.MAC {
		d.MAC[i] = byte(bits >> (8 * i))
	}
	d.MAC[0] = d.MAC[0]&^1 | 2
	if maker != "" {
		fmt.Sscanf(maker, "%02x:%02x:%02x", &d.MAC[0], &d.MAC[1], &d.MAC[2])
	}
	h.byAddr[d.Addr] = d
	return d
}

// Behaviour is something a device does, until the end or until it is done.
type Behaviour = func(p *Proc, d *Device)

// At returns the device that has addr, nil if none has.
func (h *Home) At(addr netip.Addr) *Device { return h.byAddr[addr] }

// Listens reports whether d answers on a TCP port.
func (d *Device) Listens(port uint16) bool {
	for _, p := range d.Open {
		if p == port {
			return true
		}
	}
	return false
}

// port returns the next ephemeral port. The stride walks through the range
// before any comes back.
func (d *Device) port() uint16 {
	lo, size := int(d.System.Ports[0]), int(d.System.Ports[1])-int(d.System.Ports[0])
	d.ports += 11
	return uint16(lo + d.ports%size)
}

// nextID returns the id of the next IPv4 packet outside of a connection.
func (d *Device) nextID() uint16 {
	d.id++
	return d.id
}

// eui64 is the address that RFC 4291 App. A makes of a MAC.
func eui64(prefix netip.Prefix, m cordon.MAC) netip.Addr {
	a := prefix.Addr().As16()
	copy(a[8:], []byte{m[0] ^ 2, m[1], m[2], 0xff, 0xfe, m[3], m[4], m[5]})
	return netip.AddrFrom16(a)
}

func opaque64(prefix netip.Prefix, r *rand.Rand) netip.Addr {
	a := prefix.Addr().As16()
	for i := 8; i < 16; i++ {
		a[i] = byte(r.Uint32())
	}
	return netip.AddrFrom16(a)
}

// Host is a machine on the internet.
type Host struct {
	Name  string
	Addr  netip.Addr
	Addr6 netip.Addr // the zero Addr: none
	Hops  uint8      // routers between it and the home
	Delay time.Duration
	Mood  Mood
	Mood6 Mood
}

// Internet is the hosts by name. Named ones live in the documentation prefixes.
type Internet struct {
	random *rand.Rand
	hosts  map[string]*Host
	taken  map[netip.Addr]bool
}

func newInternet(r *rand.Rand) *Internet {
	return &Internet{random: r, hosts: make(map[string]*Host), taken: make(map[netip.Addr]bool)}
}

var documentation = [3][3]byte{{192, 0, 2}, {198, 51, 100}, {203, 0, 113}} // RFC 5737

// Named returns the host of that name. Its address and distance follow from the
// name alone, unless the address is taken.
func (n *Internet) Named(name string) *Host {
	if h, ok := n.hosts[name]; ok {
		return h
	}
	sum := uint32(2166136261) // FNV-1a
	for _, c := range []byte(name) {
		sum = (sum ^ uint32(c)) * 16777619
	}
	h := &Host{Name: name, Hops: uint8(5 + sum>>8%12), Delay: time.Duration(6+sum>>12%60)*time.Millisecond + time.Duration(sum%997)*time.Microsecond}
	for i := sum; ; i++ {
		net, last := documentation[i%3], byte(1+i/3%253)
		h.Addr = netip.AddrFrom4([4]byte{net[0], net[1], net[2], last})
		if !n.taken[h.Addr] || len(n.taken) > 700 {
			break
		}
	}
	n.taken[h.Addr] = true
	n.hosts[name] = h
	return h
}

// far6 is where hosts on the internet have their IPv6 addresses (RFC 3849).
var far6 = netip.MustParsePrefix("2001:db8:f000::/64")

// Somewhere6 returns a random IPv6 address of the internet.
func (n *Internet) Somewhere6(r *rand.Rand) netip.Addr { return opaque64(far6, r) }

// Named6 is Named for a host that has an IPv6 address, too.
func (n *Internet) Named6(name string) *Host {
	h := n.Named(name)
	a := far6.Addr().As16()
	four := h.Addr.As4()
	copy(a[6:8], four[2:])
	a[15] = four[3]
	h.Addr6 = netip.AddrFrom16(a)
	return h
}

// Stranger is a random host that nobody has a name for.
func (n *Internet) Stranger(r *rand.Rand, mood Mood) *Host {
	return &Host{Addr: PublicAddr(r), Hops: uint8(6 + r.IntN(14)), Mood: mood,
		Delay: time.Duration(15+r.IntN(220)) * time.Millisecond}
}
