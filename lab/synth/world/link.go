package world

import (
	"encoding/binary"
	"fmt"
	"net/netip"
	"time"

	"cordon"
	"cordon/lab/synth/frame"
	"cordon/lab/synth/message"
)

// End is one side of a conversation, as the router's LAN side sees it: a
// machine on the internet has the router's MAC and has lost some of its TTL.
type End struct {
	MAC    cordon.MAC
	Addr   netip.Addr
	TTL    uint8
	Delay  time.Duration // from the LAN side to it and back
	Mood   Mood
	System *System
	Device *Device // nil on the internet
}

// Near returns d's own end, over IPv6 if v6.
func (d *Device) Near(v6 bool) End {
	e := End{MAC: d.MAC, Addr: d.Addr, TTL: d.System.TTL, Delay: d.Delay, System: d.System, Device: d}
	if v6 {
		e.Addr = d.Addr6
	}
	return e
}

// Far returns the end of a host on the internet, over IPv6 if v6.
func (w *World) Far(h *Host, v6 bool) End {
	e := End{MAC: w.Home.Router.MAC, Addr: h.Addr, TTL: 64 - h.Hops, Delay: h.Delay, Mood: h.Mood, System: Server}
	if v6 {
		e.Addr, e.Mood = h.Addr6, h.Mood6
	}
	return e
}

// inHome reports whether addr is on the LAN side.
func inHome(addr netip.Addr) bool {
	return Prefix4.Contains(addr) || Prefix6.Contains(addr) || addr.IsLinkLocalUnicast()
}

// The life of a neighbour entry, and how often and how fast a machine asks
// before it gives up: Linux's base_reachable_time with its stale phase,
// mcast_solicit and retrans_time.
const (
	neighbourLife  = 4 * time.Minute
	neighbourTries = 3
	neighbourGap   = time.Second
)

var broadcast = cordon.MAC{0xff, 0xff, 0xff, 0xff, 0xff, 0xff}

// Reach finds out the MAC of the next hop towards addr with ARP or NDP, unless
// d knows it. Without an answer it reports false, seconds later.
func (d *Device) Reach(p *Proc, addr netip.Addr) bool {
	hop := addr
	switch {
	case inHome(addr):
	case addr.Is4():
		hop = d.home.Router.Addr
	default:
		hop = d.home.Router.Link6
	}
	if d.neighbours[hop] > p.now {
		return true
	}
	owner := d.home.owner(hop)
	for range neighbourTries {
		d.solicit(p, hop)
		if owner != nil {
			p.Sleep(owner.Delay)
			owner.advertise(p, d, hop)
			p.Sleep(d.Delay / 4)
			d.neighbours[hop] = p.now.Add(neighbourLife)
			return true
		}
		p.Sleep(neighbourGap)
	}
	return false
}

func (h *Home) owner(addr netip.Addr) *Device {
	if d := h.byAddr[addr]; d != nil {
		return d
	}
	if h.Router.Link6 == addr || h.Router.Addr6 == addr {
		return h.Router
	}
	for _, d := range h.Devices {
		if d.Link6 == addr || d.Addr6 == addr {
			return d
		}
	}
	return nil
}

// Who asks once who has addr, without waiting for the answer; the owner, if
// there is one, gives it.
func (d *Device) Who(p *Proc, addr netip.Addr) {
	d.solicit(p, addr)
	if owner := d.home.owner(addr); owner != nil && owner != d {
		p.After(owner.Delay, func(p *Proc) { owner.advertise(p, d, addr) })
	}
}

func (d *Device) solicit(p *Proc, addr netip.Addr) {
	w := p.World
	if addr.Is4() {
		p.emit(w.frame.ARP(frame.Link{Src: d.MAC, Dst: broadcast}, 1, d.MAC, d.Addr, cordon.MAC{}, addr))
		return
	}
	from := d.Addr6
	if addr.IsLinkLocalUnicast() {
		from = d.Link6
	}
	d.neighbour(p, 135, from, solicited(addr), addr, 1)
}

func (d *Device) advertise(p *Proc, to *Device, addr netip.Addr) {
	w := p.World
	if addr.Is4() {
		p.emit(w.frame.ARP(frame.Link{Src: d.MAC, Dst: to.MAC}, 2, d.MAC, d.Addr, to.MAC, to.Addr))
		return
	}
	rest := binary.BigEndian.AppendUint32(nil, 0x60000000) // solicited, override
	rest = append(append(rest, addr.AsSlice()...), 2, 1)
	rest = append(rest, d.MAC[:]...)
	dst := to.Addr6
	if addr.IsLinkLocalUnicast() {
		dst = to.Link6
	}
	p.emit(w.frame.ICMP(frame.Link{Src: d.MAC, Dst: to.MAC}, frame.Net{Src: addr, Dst: dst, TTL: 255}, 136, 0, rest))
}

// neighbour sends a neighbour discovery message about target; option 0 carries
// no link-layer address (RFC 4861 §4.3).
func (d *Device) neighbour(p *Proc, kind uint8, src, dst, target netip.Addr, option byte) {
	rest := append(make([]byte, 4), target.AsSlice()...)
	if option != 0 {
		rest = append(append(rest, option, 1), d.MAC[:]...)
	}
	p.emit(p.World.frame.ICMP(frame.Link{Src: d.MAC, Dst: group(dst)}, frame.Net{Src: src, Dst: dst, TTL: 255}, kind, 0, rest))
}

// solicited is the solicited-node multicast address (RFC 4291 §2.7.1).
func solicited(addr netip.Addr) netip.Addr {
	a := addr.As16()
	return netip.AddrFrom16([16]byte{0xff, 2, 11: 1, 12: 0xff, 13: a[13], 14: a[14], 15: a[15]})
}

// group is the MAC of a multicast address (RFC 1112 §6.4, RFC 2464 §7).
func group(addr netip.Addr) cordon.MAC {
	if addr.Is4() {
		a := addr.As4()
		return cordon.MAC{1, 0, 0x5e, a[1] & 0x7f, a[2], a[3]}
	}
	a := addr.As16()
	return cordon.MAC{0x33, 0x33, a[12], a[13], a[14], a[15]}
}

// Cast sends a datagram to a multicast group, or to the broadcast address of
// the home, from the given port.
func (d *Device) Cast(p *Proc, to netip.Addr, ttl uint8, from, port uint16, payload []byte) {
	l := frame.Link{Src: d.MAC, Dst: broadcast}
	if to.IsMulticast() {
		l.Dst = group(to)
	}
	n := frame.Net{Src: d.Addr, Dst: to, TTL: ttl, ID: d.nextID()}
	if to.Is6() {
		n.Src = d.Link6
	}
	p.emit(p.World.frame.UDP(l, n, from, port, payload))
}

// Ping sends one echo request to addr, which answers if it is a device (or,
// on the internet, answers always), and returns without waiting. Nothing is
// sent to a neighbour whose MAC is not known.
func (d *Device) Ping(p *Proc, to End, sequence uint16) {
	if to.Device == nil && inHome(to.Addr) {
		return
	}
	near := d.Near(to.Addr.Is6())
	rest := binary.BigEndian.AppendUint16(binary.BigEndian.AppendUint16(nil, 0x5a00|uint16(d.MAC[5])), sequence)
	rest = append(rest, "abcdefghijklmnopqrstuvwabcdefghi"...)
	request, reply := uint8(8), uint8(0)
	if to.Addr.Is6() {
		request, reply = 128, 129
	}
	p.emit(p.World.frame.ICMP(link(near, to), d.net(near, to), request, 0, rest))
	if to.Mood == Answers {
		p.After(to.Delay, func(p *Proc) {
			p.emit(p.World.frame.ICMP(link(to, near), d.net(to, near), reply, 0, rest))
		})
	}
}

func link(from, to End) frame.Link { return frame.Link{Src: from.MAC, Dst: to.MAC} }

func (d *Device) net(from, to End) frame.Net {
	return frame.Net{Src: from.Addr, Dst: to.Addr, TTL: from.TTL, ID: d.nextID(), MayFrag: true}
}

// The ICMP errors used (RFC 792): type and code.
var (
	hostUnreachable = [2]uint8{3, 1}
	portUnreachable = [2]uint8{3, 3}
	timeExceeded    = [2]uint8{11, 0}
)

// report sends the ICMP error that from makes of a packet of near towards far:
// it quotes the IPv4 header and the first eight bytes behind it (RFC 792).
func (d *Device) report(p *Proc, from, near, far End, kind [2]uint8, proto uint8, ports [2]uint16) {
	if far.Addr.Is6() {
		return // its routers are silent
	}
	be := binary.BigEndian
	quote := []byte{0x45, 0, 0, 28, 0, 1, 0x40, 0, 1, proto, 0, 0}
	quote = append(append(quote, near.Addr.AsSlice()...), far.Addr.AsSlice()...)
	var sum uint32
	for i := 0; i < 20; i += 2 {
		sum += uint32(be.Uint16(quote[i:]))
	}
	be.PutUint16(quote[10:], ^uint16(sum+sum>>16))
	quote = be.AppendUint16(be.AppendUint16(quote, ports[0]), ports[1])
	quote = append(quote, 0, 8, 0, 0)
	p.emit(p.World.frame.ICMP(link(from, near), d.net(from, near), kind[0], kind[1], append(make([]byte, 4), quote...)))
}

// resolverLife is how long a device keeps an answer, the TTL of all names here.
const resolverLife = 5 * time.Minute

// Resolve asks the home's router for a name, unless d knows it, and returns the
// host. It reports false when the resolver does not answer.
func (d *Device) Resolve(p *Proc, name string) (*Host, bool) {
	h := p.World.Net.Named(name)
	if d.names[name] > p.now {
		return h, true
	}
	if len(d.names) >= 4096 {
		clear(d.names)
	}
	kinds := []uint16{message.TypeA}
	if d.Addr6.IsValid() {
		kinds = append(kinds, message.TypeAAAA)
	}
	wait := 300 * time.Microsecond
	if p.IntN(3) > 0 {
		wait = time.Duration(8+p.IntN(40)) * time.Millisecond
	}
	router := d.home.Router.Near(false)
	asked := make([]*Talk, len(kinds))
	for try := range 3 {
		for i, kind := range kinds {
			asked[i] = d.Talk(p, router, 53)
			asked[i].id = uint16(p.Uint32())
			asked[i].Send(message.DNSQuery(asked[i].id, name, kind))
			p.Sleep(120 * time.Microsecond)
		}
		if _, out := p.World.cut(p.now); !out {
			break
		}
		p.Sleep(5 * time.Second)
		if try == 2 {
			return nil, false
		}
	}
	p.Sleep(wait)
	for i, kind := range kinds {
		asked[i].Recv(message.DNSAnswer(asked[i].id, name, kind, 0, 300, h.addrs(kind)...))
		p.Sleep(90 * time.Microsecond)
	}
	d.names[name] = p.now.Add(resolverLife)
	return h, true
}

func (h *Host) addrs(kind uint16) []netip.Addr {
	switch {
	case kind == message.TypeA:
		return []netip.Addr{h.Addr}
	case h.Addr6.IsValid():
		return []netip.Addr{h.Addr6}
	}
	return nil
}

// Talk is a conversation of datagrams that d began.
type Talk struct {
	Port uint16 // d's own
	To   End

	p    *Proc
	near End
	far  uint16
	id   uint16 // of a DNS query
}

// Talk prepares a conversation with a port of another machine, whose MAC it
// finds out.
func (d *Device) Talk(p *Proc, to End, port uint16) *Talk {
	return d.TalkFrom(p, d.port(), to, port)
}

// TalkFrom is Talk from a port of one's choice.
func (d *Device) TalkFrom(p *Proc, from uint16, to End, port uint16) *Talk {
	d.Reach(p, to.Addr)
	return &Talk{Port: from, To: to, p: p, near: d.Near(to.Addr.Is6()), far: port}
}

// In is t in another process, for what happens meanwhile.
func (t *Talk) In(p *Proc) *Talk {
	other := *t
	other.p = p
	return &other
}

// Send sends one datagram.
func (t *Talk) Send(payload []byte) {
	d := t.near.Device
	t.p.emit(t.p.World.frame.UDP(link(t.near, t.To), d.net(t.near, t.To), t.Port, t.far, payload))
}

// Recv is one datagram coming back. Nothing comes while the line is cut.
func (t *Talk) Recv(payload []byte) {
	if _, out := t.p.World.cut(t.p.now); out && t.To.Device == nil {
		return
	}
	d := t.near.Device
	t.p.emit(t.p.World.frame.UDP(link(t.To, t.near), d.net(t.To, t.near), t.far, t.Port, payload))
}

// Ask sends one datagram, waits for the other's time and, if that is in the
// mood, receives another. It reports whether there was an answer.
func (t *Talk) Ask(request, reply []byte) bool {
	t.Send(request)
	t.p.Sleep(t.To.Delay)
	_, out := t.p.World.cut(t.p.now)
	switch {
	case out && t.To.Device == nil:
		return false
	case t.To.Mood == Answers:
		t.Recv(reply)
		return true
	case t.To.Mood == Refuses:
		t.near.Device.report(t.p, t.To, t.near, t.To, portUnreachable, 17, [2]uint16{t.Port, t.far})
	}
	return false
}

// Trace sends one datagram that dies at the given hop on the way and receives
// what the router there, if it is not silent, says about it (traceroute).
func (t *Talk) Trace(hop int, silent bool) {
	d, p := t.near.Device, t.p
	near := t.near
	near.TTL = uint8(hop)
	p.emit(p.World.frame.UDP(link(near, t.To), d.net(near, t.To), t.Port, t.far, make([]byte, 32)))
	if silent {
		return
	}
	router := p.World.Far(p.World.Net.Named(fmt.Sprintf("hop%d.isp.example.net", hop)), false)
	if hop == 1 {
		router = d.home.Router.Near(false)
	}
	router.TTL = uint8(65 - hop)
	p.Sleep(router.Delay)
	d.report(p, router, t.near, t.To, timeExceeded, 17, [2]uint16{t.Port, t.far})
}
