package packet

import "net/netip"

// MaxExtensions is how many IPv6 extension headers Parse walks. RFC 8200 §4.1
// orders at most seven kinds before the upper layer; the bound keeps a hostile
// chain cheap.
const MaxExtensions = 8

// Header lengths in bytes.
const (
	ipv4Len = 20 // RFC 791 §3.1, without options
	ipv6Len = 40 // RFC 8200 §3
	extLen  = 8  // RFC 8200 §4, the least extension header
)

// IPv6 next-header values that Parse walks over (RFC 8200 §4, RFC 4302 §2), and
// the one that ends the chain without a payload.
const (
	protoHopByHop    = 0
	protoRouting     = 43
	protoFragment    = 44
	protoAH          = 51
	protoNoNext      = 59
	protoDestination = 60
)

func (p *Packet) ipv4(b []byte, wire int) Error {
	rest, n, e := p.ipv4Header(b, wire)
	if e != 0 || p.FragOff > 0 {
		return p.stop(rest, n, e)
	}
	return p.transport(rest, n)
}

// ipv4Header returns what was captured of the datagram's payload and its length
// on the wire; with an error, its arguments.
func (p *Packet) ipv4Header(b []byte, wire int) ([]byte, int, Error) {
	if len(b) < ipv4Len {
		return b, wire, ErrIPv4Short
	}
	if b[0]>>4 != 4 {
		return b, wire, ErrIPv4Version
	}
	header, total := int(b[0]&15)*4, int(be16(b[2:]))
	if total == 0 {
		total = wire
	}
	if header < ipv4Len || total < header || total > wire {
		return b, wire, ErrIPv4Length
	}
	if header > len(b) {
		return b, wire, ErrIPv4Short
	}
	p.IPLen, p.IPHdrLen = total, header
	if frag := be16(b[6:]); frag&0x3fff != 0 {
		p.fragment(uint32(be16(b[4:])), frag<<3, frag&0x2000 != 0)
	}
	p.TTL, p.Proto = b[8], b[9]
	p.Src = netip.AddrFrom4([4]byte(b[12:16]))
	p.Dst = netip.AddrFrom4([4]byte(b[16:20]))
	p.Layers |= HasIPv4
	return b[header:min(total, len(b))], total - header, 0
}

func (p *Packet) fragment(id uint32, off uint16, more bool) {
	p.Fragment, p.FragID, p.FragOff, p.MoreFrag = true, id, off, more
}

func (p *Packet) ipv6(b []byte, wire int) Error {
	rest, n, e := p.ipv6Header(b, wire)
	if e != 0 || p.FragOff > 0 {
		return p.stop(rest, n, e)
	}
	return p.transport(rest, n)
}

// ipv6Header walks the extension headers too; it returns what ipv4Header does.
func (p *Packet) ipv6Header(b []byte, wire int) ([]byte, int, Error) {
	if len(b) < ipv6Len {
		return b, wire, ErrIPv6Short
	}
	if b[0]>>4 != 6 {
		return b, wire, ErrIPv6Version
	}
	next, total := b[6], ipv6Len+int(be16(b[4:]))
	if total == ipv6Len && next != protoNoNext {
		total = wire
	}
	if total > wire {
		return b, wire, ErrIPv6Length
	}
	p.IPLen, p.IPHdrLen = total, ipv6Len
	p.Proto, p.TTL = next, b[7]
	p.Src = netip.AddrFrom16([16]byte(b[8:24]))
	p.Dst = netip.AddrFrom16([16]byte(b[24:40]))
	p.Layers |= HasIPv6
	b = b[ipv6Len:min(total, len(b))]
	if isExtension(next) {
		return p.extensions(b, total-ipv6Len)
	}
	return b, total - ipv6Len, 0
}

func isExtension(next uint8) bool {
	switch next {
	case protoHopByHop, protoRouting, protoFragment, protoAH, protoDestination:
		return true
	}
	return false
}

// extensions returns at the first header that is none, behind the fragment
// header of a later fragment, or with an error and the header it is about.
func (p *Packet) extensions(b []byte, n int) ([]byte, int, Error) {
	for range MaxExtensions {
		if len(b) < extLen {
			return b, n, ErrExtensionShort
		}
		size := extLen + int(b[1])*8 // RFC 8200 §4.3 and following
		switch p.Proto {
		case protoFragment:
			size = extLen // RFC 8200 §4.5
		case protoAH:
			size = extLen + int(b[1])*4 // RFC 4302 §2.2
		}
		if size > n {
			return b, n, ErrExtensionLength
		}
		if size > len(b) {
			return b, n, ErrExtensionShort
		}
		if p.Proto == protoFragment {
			p.fragment6(b)
		}
		p.Proto = b[0]
		p.IPHdrLen += size
		b, n = b[size:], n-size
		if p.FragOff > 0 || !isExtension(p.Proto) {
			return b, n, 0
		}
	}
	return b, n, ErrExtensionCount
}

// fragment6 reads a fragment header (RFC 8200 §4.5). One with offset 0 and no
// more to come is a whole datagram (RFC 6946).
func (p *Packet) fragment6(b []byte) {
	off := be16(b[2:])
	if more := off&1 != 0; more || off&^7 != 0 {
		p.fragment(be32(b[4:]), off&^7, more)
	}
}
