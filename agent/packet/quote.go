package packet

import "math"

// Quoted parses the packet that an ICMP or ICMPv6 error message quotes into q
// and reports whether its IP header was there and sound. Without an error
// message in p it reports false and q is empty.
//
// Routers quote little and change lengths, so the rest is lenient: lengths are
// what the quote claims, and a TCP or UDP header that is cut or lies still
// sets HasTCP or HasUDP, with the ports and, when 8 bytes are there, Seq; all
// else of it stays zero. q may be p itself.
func (p *Packet) Quoted(q *Packet) bool {
	b, v4, ok := p.Payload, p.Has(HasICMP), p.quotes()
	*q = Packet{}
	if !ok {
		return false
	}
	var e Error
	n := math.MaxUint16
	if v4 {
		q.EtherType = EtherIPv4
		b, n, e = q.ipv4Header(b, max(n, len(b)))
	} else {
		q.EtherType = EtherIPv6
		b, n, e = q.ipv6Header(b, max(n+ipv6Len, len(b)))
	}
	q.stop(b, n, 0)
	if q.Any(HasIP) && e == 0 && q.FragOff == 0 {
		q.quotedTransport(b, n)
	}
	return q.Any(HasIP)
}

// quotes reports whether p is an error message: RFC 1122 §3.2.2, RFC 4443 §3.
func (p *Packet) quotes() bool {
	switch {
	case p.Has(HasICMP):
		switch p.ICMPType {
		case 3, 4, 5, 11, 12: // unreachable, source quench, redirect, time exceeded, parameter problem
			return true
		}
	case p.Has(HasICMPv6):
		return p.ICMPType >= 1 && p.ICMPType <= 4 // unreachable, too big, time exceeded, parameter problem
	}
	return false
}

// quotedTransport takes the whole header if it can, else the ports.
func (p *Packet) quotedTransport(b []byte, n int) {
	if p.transport(b, n) == 0 || len(b) < 4 {
		return
	}
	switch p.Proto {
	case ProtoTCP:
		if len(b) >= 8 { // what RFC 792 promises
			p.Seq = be32(b[4:])
		}
		p.Layers |= HasTCP
	case ProtoUDP:
		p.Layers |= HasUDP
	default:
		return
	}
	p.SrcPort, p.DstPort = be16(b[0:]), be16(b[2:])
	p.stop(nil, 0, 0)
}
