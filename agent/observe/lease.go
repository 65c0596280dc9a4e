package observe

import (
	"cordon"
	"cordon/agent/observe/dhcp"
	"cordon/agent/observe/dhcp6"
	"cordon/internal/ascii"
)

// lease reads one DHCPv4 message: a client's tells what the client is, a
// server's offer or acknowledgement that its sender is a server. Messages that
// came through a relay agent are about neither side of the packet and tell
// nothing.
func (r *Reader) lease() {
	m := &r.dhcp
	if m.Parse(r.p.Payload) != nil {
		r.stats.Malformed++
		return
	}
	if m.Relay.IsValid() {
		r.stats.Foreign++
		return
	}
	switch {
	case m.Op == dhcp.FromClient && r.p.DstPort == portDHCPServer:
		r.leaseWanted()
	case m.Op == dhcp.FromServer && r.p.SrcPort == portDHCPServer:
		r.leaseGiven()
	}
}

// leaseWanted yields FactDHCP. Client is option 61 or, when there is none and
// the hardware address asked for is not the frame's, that address behind its
// type, which is then the client's identifier (RFC 2131 §4.2): a repeater sends
// for several devices.
func (r *Reader) leaseWanted() {
	m := &r.dhcp
	if m.Type != dhcp.Discover && m.Type != dhcp.Request && m.Type != dhcp.Inform {
		return
	}
	o := r.fact(cordon.FactDHCP)
	o.Name = cut(ascii.AppendLower(r.name[:0], m.Host))
	o.Vendor, o.Params, o.Client = m.Vendor, m.Params, m.ID
	if m.ID == nil && m.Hardware != r.p.SrcMAC && m.Hardware != [6]byte{} {
		r.client[0] = 1 // Ethernet
		copy(r.client[1:], m.Hardware[:])
		o.Client = r.client[:]
	}
	want := m.Requested
	if !want.IsValid() {
		want = m.Client
	}
	if want.IsValid() {
		r.addrs[0] = want
		o.Addrs = r.addrs[:1]
	}
	r.yield(o)
}

// leaseGiven yields FactDHCPServer: Addrs[0] is the server's identifier and
// Addrs[1], if there, the router that it hands out.
func (r *Reader) leaseGiven() {
	m := &r.dhcp
	if m.Type != dhcp.Offer && m.Type != dhcp.ACK {
		return
	}
	o := r.fact(cordon.FactDHCPServer)
	r.addrs[0] = r.p.Src
	if m.Server.IsValid() {
		r.addrs[0] = m.Server
	}
	o.Addrs = r.addrs[:1]
	if m.Router.IsValid() {
		r.addrs[1] = m.Router
		o.Addrs = r.addrs[:2]
	}
	r.yield(o)
}

// lease6 reads one DHCPv6 message of a client and yields FactDHCP: Name is the
// first label of option 39 (RFC 4704 §4), which is what option 12 of DHCPv4
// mostly holds, Vendor the first item of option 16, Params the codes of option 6
// below 256, Client the DUID. What servers say tells nothing: who is the home's
// router, its advertisements do.
func (r *Reader) lease6() {
	m := &r.dhcp6
	if m.Parse(r.p.Payload) != nil {
		r.stats.Malformed++
		return
	}
	switch m.Type {
	case dhcp6.Solicit, dhcp6.Request, dhcp6.Confirm, dhcp6.Renew, dhcp6.Rebind, dhcp6.InformationRequest:
	case dhcp6.RelayForward:
		r.stats.Foreign++
		return
	default:
		return
	}
	o := r.fact(cordon.FactDHCP)
	o.Name = cut(ascii.AppendLower(r.name[:0], m.Host()))
	o.Vendor, o.Client = cut(m.Vendor()), cut(m.Client)
	o.Params = m.AppendRequested(r.text[:0])
	if m.Wanted.IsValid() {
		r.addrs[0] = m.Wanted
		o.Addrs = r.addrs[:1]
	}
	r.yield(o)
}
