package world

import (
	"encoding/binary"
	"net/netip"
	"time"

	"cordon"
	"cordon/lab/synth/frame"
	"cordon/lab/synth/message"
)

// leaseSeconds is short, so that renewals show up in captures of minutes.
const leaseSeconds = 600

var (
	unspecified4 = netip.IPv4Unspecified()
	everybody4   = netip.AddrFrom4([4]byte{255, 255, 255, 255})
	allNodes     = netip.IPv6LinkLocalAllNodes()
	allRouters   = netip.IPv6LinkLocalAllRouters()
	allReports   = netip.MustParseAddr("ff02::16") // MLDv2 routers (RFC 3810 §5.2.14)
	igmpReports  = netip.MustParseAddr("224.0.0.22")
	mdnsGroup    = netip.MustParseAddr("224.0.0.251")
)

// Boot brings d up: a lease, the addresses defended, IPv6 configured, the groups
// joined. From then on it renews its lease until the end.
func (d *Device) Boot(p *Proc) {
	d.lease(p)
	for range 2 {
		d.announce(p)
		p.Sleep(p.Jitter(150*time.Millisecond, 0.3))
	}
	d.join(p)
	if d.Link6.IsValid() {
		d.configure6(p)
	}
	p.After(leaseSeconds/2*time.Second, d.renew)
}

// lease is the four messages of RFC 2131 §3.1.
func (d *Device) lease(p *Proc) {
	l := d.leaseOf(p)
	d.dhcpUp(p, unspecified4, everybody4, broadcast, message.DHCP(message.DHCPDiscover, l))
	p.Sleep(p.Jitter(20*time.Millisecond, 0.5))
	d.dhcpDown(p, message.DHCP(message.DHCPOffer, l))
	p.Sleep(p.Jitter(4*time.Millisecond, 0.5))
	d.dhcpUp(p, unspecified4, everybody4, broadcast, message.DHCP(message.DHCPRequest, l))
	p.Sleep(p.Jitter(8*time.Millisecond, 0.5))
	d.dhcpDown(p, message.DHCP(message.DHCPAck, l))
	p.Sleep(p.Jitter(3*time.Millisecond, 0.5))
}

func (d *Device) leaseOf(p *Proc) message.Lease {
	l := message.Lease{Transaction: p.Uint32(), MAC: d.MAC, Addr: d.Addr, Server: d.home.Router.Addr, Seconds: leaseSeconds,
		Host: d.Name, Vendor: d.System.Vendor, Params: d.System.Params}
	if d.Shy {
		l.Host, l.Vendor = "", ""
	}
	return l
}

func (d *Device) renew(p *Proc) {
	for {
		l := d.leaseOf(p)
		l.Renew = true
		d.Reach(p, l.Server)
		d.dhcpUp(p, d.Addr, l.Server, d.home.Router.MAC, message.DHCP(message.DHCPRequest, l))
		d.home.Router.Who(p, d.Addr) // its own entry has lapsed as well
		p.Sleep(p.Jitter(6*time.Millisecond, 0.5))
		d.dhcpDown(p, message.DHCP(message.DHCPAck, l))
		if !p.Sleep(leaseSeconds / 2 * time.Second) {
			return
		}
	}
}

func (d *Device) dhcpUp(p *Proc, from, to netip.Addr, mac cordon.MAC, payload []byte) {
	n := frame.Net{Src: from, Dst: to, TTL: d.System.TTL, ID: d.nextID()}
	p.emit(p.World.frame.UDP(frame.Link{Src: d.MAC, Dst: mac}, n, 68, 67, payload))
}

func (d *Device) dhcpDown(p *Proc, payload []byte) {
	r := d.home.Router
	n := frame.Net{Src: r.Addr, Dst: d.Addr, TTL: 64, ID: r.nextID()}
	p.emit(p.World.frame.UDP(frame.Link{Src: r.MAC, Dst: d.MAC}, n, 67, 68, payload))
}

// announce defends the address (RFC 5227 §2.3): a request for it by itself.
func (d *Device) announce(p *Proc) {
	p.emit(p.World.frame.ARP(frame.Link{Src: d.MAC, Dst: broadcast}, 1, d.MAC, d.Addr, cordon.MAC{}, d.Addr))
}

// join reports the membership of the mDNS group (IGMPv3, RFC 3376 §4.2).
func (d *Device) join(p *Proc) {
	report := []byte{0x22, 0, 0, 0, 0, 0, 0, 1, 4, 0, 0, 0, 224, 0, 0, 251}
	n := frame.Net{Src: d.Addr, Dst: igmpReports, TTL: 1, ID: d.nextID(), Alert: true}
	p.emit(p.World.frame.IGMP(frame.Link{Src: d.MAC, Dst: group(igmpReports)}, n, report))
}

// configure6 is stateless configuration (RFC 4862 §5.4, §5.5).
func (d *Device) configure6(p *Proc) {
	d.join6(p, solicited(d.Link6))
	d.neighbour(p, 135, netip.IPv6Unspecified(), solicited(d.Link6), d.Link6, 0)
	p.Sleep(time.Second)
	d.solicitRouter(p)
	p.Sleep(p.Jitter(30*time.Millisecond, 0.9))
	d.home.Router.advertiseRouter(p)
	p.Sleep(p.Jitter(5*time.Millisecond, 0.5))
	d.join6(p, solicited(d.Addr6))
	d.neighbour(p, 135, netip.IPv6Unspecified(), solicited(d.Addr6), d.Addr6, 0)
	p.Sleep(time.Second)
}

func (d *Device) join6(p *Proc, to netip.Addr) {
	rest := append([]byte{0, 0, 0, 1, 4, 0, 0, 0}, to.AsSlice()...)
	n := frame.Net{Src: d.Link6, Dst: allReports, TTL: 1, Alert: true}
	p.emit(p.World.frame.ICMP(frame.Link{Src: d.MAC, Dst: group(allReports)}, n, 143, 0, rest))
}

func (d *Device) solicitRouter(p *Proc) {
	rest := append([]byte{0, 0, 0, 0, 1, 1}, d.MAC[:]...)
	n := frame.Net{Src: d.Link6, Dst: allRouters, TTL: 255}
	p.emit(p.World.frame.ICMP(frame.Link{Src: d.MAC, Dst: group(allRouters)}, n, 133, 0, rest))
}

// advertiseRouter tells the prefix and the MAC (RFC 4861 §4.2, §4.6).
func (d *Device) advertiseRouter(p *Proc) {
	be := binary.BigEndian
	rest := be.AppendUint16([]byte{64, 0}, 1800)
	rest = append(rest, make([]byte, 8)...)
	rest = append(append(rest, 1, 1), d.MAC[:]...)
	rest = append(rest, 3, 4, 64, 0xc0)
	rest = be.AppendUint32(be.AppendUint32(rest, 7200), 3600)
	rest = append(append(rest, 0, 0, 0, 0), Prefix6.Addr().AsSlice()...)
	n := frame.Net{Src: d.Link6, Dst: allNodes, TTL: 255}
	p.emit(p.World.frame.ICMP(frame.Link{Src: d.MAC, Dst: group(allNodes)}, n, 134, 0, rest))
}

// MDNS sends a multicast DNS message.
func (d *Device) MDNS(p *Proc, payload []byte) { d.Cast(p, mdnsGroup, 255, 5353, 5353, payload) }
