package packet

// Header lengths in bytes.
const (
	tcpLen  = 20 // RFC 9293 §3.1, without options
	udpLen  = 8  // RFC 768
	icmpLen = 8  // RFC 792; RFC 4443 §3 and §4 have the same for the messages they define
	greLen  = 4  // RFC 2784 §2.1, without optional fields
)

// transport parses the header that p.Proto announces, if Parse knows it.
func (p *Packet) transport(b []byte, wire int) Error {
	switch p.Proto {
	case ProtoTCP:
		return p.tcp(b, wire)
	case ProtoUDP:
		return p.udp(b, wire)
	case ProtoICMP:
		if p.Has(HasIPv4) {
			return p.icmp(b, wire, HasICMP)
		}
	case ProtoICMPv6:
		if p.Has(HasIPv6) {
			return p.icmp(b, wire, HasICMPv6)
		}
	case ProtoGRE:
		return p.gre(b, wire)
	}
	return p.stop(b, wire, 0)
}

func (p *Packet) tcp(b []byte, wire int) Error {
	if len(b) < tcpLen {
		return p.stop(b, wire, ErrTCPShort)
	}
	header := int(b[12]>>4) * 4
	if header < tcpLen || header > wire {
		return p.stop(b, wire, ErrTCPLength)
	}
	if header > len(b) {
		return p.stop(b, wire, ErrTCPShort)
	}
	p.SrcPort, p.DstPort = be16(b[0:]), be16(b[2:])
	p.Seq, p.Ack = be32(b[4:]), be32(b[8:])
	p.TCPFlags = b[13]
	p.Window = be16(b[14:])
	p.TCPOptions = b[tcpLen:header]
	p.Layers |= HasTCP
	return p.stop(b[header:], wire-header, 0)
}

// udp lets the datagram end where the shorter of the IP and the UDP length says.
func (p *Packet) udp(b []byte, wire int) Error {
	if len(b) < udpLen {
		return p.stop(b, wire, ErrUDPShort)
	}
	n := int(be16(b[4:]))
	switch {
	case n == 0 && p.Has(HasIPv6): // jumbogram, RFC 2675 §4
		n = wire
	case n < udpLen:
		return p.stop(b, wire, ErrUDPLength)
	case n > wire:
		if !p.MoreFrag { // the first fragment has the whole datagram's length
			return p.stop(b, wire, ErrUDPLength)
		}
		n = wire
	}
	p.SrcPort, p.DstPort = be16(b[0:]), be16(b[2:])
	p.Layers |= HasUDP
	return p.stop(b[udpLen:min(n, len(b))], n-udpLen, 0)
}

// icmp parses either version's header; layer says which.
func (p *Packet) icmp(b []byte, wire int, layer Layers) Error {
	if len(b) < icmpLen {
		return p.stop(b, wire, ErrICMPShort)
	}
	p.ICMPType, p.ICMPCode, p.ICMPRest = b[0], b[1], be32(b[4:])
	if isEcho(layer, b[0]) {
		p.SrcPort = be16(b[4:])
	}
	p.Layers |= layer
	return p.stop(b[icmpLen:], wire-icmpLen, 0)
}

// isEcho knows echo request and reply: RFC 792, RFC 4443 §4.
func isEcho(layer Layers, typ uint8) bool {
	if layer == HasICMP {
		return typ == 8 || typ == 0
	}
	return typ == 128 || typ == 129
}

// gre measures the header of RFC 2784 and RFC 2890, and of PPTP's version 1
// (RFC 2637 §4.1), and looks no further.
func (p *Packet) gre(b []byte, wire int) Error {
	const (
		checksum, routing, key, seq = 0x8000, 0x4000, 0x2000, 0x1000
		ack                         = 0x0080 // version 1 only
		version                     = 0x0007
	)
	if len(b) < greLen {
		return p.stop(b, wire, ErrGREShort)
	}
	flags, header := be16(b), greLen
	if flags&version > 1 || flags&routing != 0 {
		return p.stop(b, wire, ErrGREVersion)
	}
	optional := uint16(checksum | key | seq)
	if flags&version == 1 {
		optional |= ack
	}
	for f := flags & optional; f != 0; f &= f - 1 { // each field has 4 bytes
		header += 4
	}
	if header > len(b) {
		return p.stop(b, wire, ErrGREShort)
	}
	p.DstPort = be16(b[2:])
	p.Layers |= HasGRE
	return p.stop(b[header:], wire-header, 0)
}

// MSS returns the maximum segment size that a SYN offers, bytes (RFC 9293
// §3.7.1). It reports false without the option or when an option's length lies.
func (p *Packet) MSS() (uint16, bool) {
	const end, nop, mss = 0, 1, 2 // option kinds, RFC 9293 §3.1
	for o := p.TCPOptions; len(o) > 0; {
		if o[0] == nop {
			o = o[1:]
			continue
		}
		if o[0] == end || len(o) < 2 || o[1] < 2 || int(o[1]) > len(o) {
			return 0, false
		}
		if o[0] == mss {
			if o[1] != 4 {
				return 0, false
			}
			return be16(o[2:]), true
		}
		o = o[o[1]:]
	}
	return 0, false
}
