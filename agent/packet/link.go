package packet

import (
	"encoding/binary"
	"math/bits"
	"net/netip"
)

// MaxVLAN is how many VLAN tags Parse takes. IEEE 802.1ad needs two; four leave
// room for a provider's own stacking and bound the work on a hostile frame.
const MaxVLAN = 4

// minEtherType is the least EtherType; below is an IEEE 802.3 length (§3.2.6).
const minEtherType = 0x0600

// Header lengths in bytes.
const (
	etherLen = 14 // IEEE 802.3 §3.1.1
	tagLen   = 4  // IEEE 802.1Q §9.3, without the EtherType before it
	sllLen   = 16 // LINKTYPE_LINUX_SLL of the pcap registry
	sll2Len  = 20 // LINKTYPE_LINUX_SLL2 of the pcap registry
	loopLen  = 4  // LINKTYPE_NULL and LINKTYPE_LOOP of the pcap registry
	pppoeLen = 6  // RFC 2516 §4
	pppLen   = 2  // RFC 1661 §2, the protocol field uncompressed as RFC 2516 §7 wants
	arpLen   = 28 // RFC 826 for Ethernet and IPv4
)

// PPP protocol numbers (IANA ppp-numbers).
const (
	pppIPv4 = 0x0021
	pppIPv6 = 0x0057
)

// ARPHRD_ values of cooked captures (Linux if_arp.h).
const arphrdLoopback = 772

func be16(b []byte) uint16 { return binary.BigEndian.Uint16(b) }
func be32(b []byte) uint32 { return binary.BigEndian.Uint32(b) }

// Parse resets p and fills it from f. It returns nil or an Error; what was
// parsed before the error stays valid, the Layers bits say what that is, and
// Payload begins at the header that was refused.
//
// A frame that the capture cut (len(f.Data) < f.Len) within its payload is no
// error. An IP header whose length field is 0 (segmentation offload, or an IPv6
// jumbogram of RFC 2675) reaches to the frame's end. A length field that claims
// more than the wire carried is an error, as it is for a receiver.
func (p *Packet) Parse(f *Frame) error {
	*p = Packet{}
	if e := p.link(f.Link, f.Data, max(f.Len, len(f.Data))); e != 0 {
		return e
	}
	return nil
}

// In every layer function b is the captured part from the layer's header on and
// wire its length on the wire; wire >= len(b).

func (p *Packet) link(link LinkType, b []byte, wire int) Error {
	switch link {
	case LinkEthernet:
		return p.ethernet(b, wire)
	case LinkLinuxSLL:
		return p.cooked(b, wire)
	case LinkLinuxSLL2:
		return p.cooked2(b, wire)
	case LinkNull, LinkLoop:
		return p.loopback(b, wire)
	case LinkRaw, LinkRawBSD12, LinkRawBSD14:
		return p.raw(b, wire)
	case LinkIPv4:
		return p.network(EtherIPv4, b, wire)
	case LinkIPv6:
		return p.network(EtherIPv6, b, wire)
	}
	return p.stop(b, wire, ErrLink)
}

// stop ends the parse: b is the payload behind the last good header.
func (p *Packet) stop(b []byte, wire int, e Error) Error {
	p.Payload, p.PayloadLen = b, wire
	return e
}

func (p *Packet) ethernet(b []byte, wire int) Error {
	if len(b) < etherLen {
		return p.stop(b, wire, ErrLinkShort)
	}
	p.DstMAC, p.SrcMAC = MAC(b[0:6]), MAC(b[6:12])
	p.Layers = HasMAC
	return p.network(be16(b[12:]), b[etherLen:], wire-etherLen)
}

func (p *Packet) cooked(b []byte, wire int) Error {
	if len(b) < sllLen {
		return p.stop(b, wire, ErrLinkShort)
	}
	p.cookedMAC(be16(b[2:]), int(be16(b[4:])), MAC(b[6:12]))
	return p.network(be16(b[14:]), b[sllLen:], wire-sllLen)
}

func (p *Packet) cooked2(b []byte, wire int) Error {
	if len(b) < sll2Len {
		return p.stop(b, wire, ErrLinkShort)
	}
	p.cookedMAC(be16(b[8:]), int(b[11]), MAC(b[12:18]))
	return p.network(be16(b[0:]), b[sll2Len:], wire-sll2Len)
}

// cookedMAC takes the sender's address of a cooked capture when it is one.
func (p *Packet) cookedMAC(hardware uint16, size int, mac MAC) {
	if size == len(mac) && hardware != arphrdLoopback {
		p.SrcMAC = mac
		p.Layers |= HasMAC
	}
}

// loopback takes either byte order for both link types: LINKTYPE_NULL has its
// writer's, and writers of LINKTYPE_LOOP do not all keep to the network's.
func (p *Packet) loopback(b []byte, wire int) Error {
	if len(b) < loopLen {
		return p.stop(b, wire, ErrLinkShort)
	}
	family := be32(b)
	if family > 0xffff {
		family = bits.ReverseBytes32(family)
	}
	b, wire = b[loopLen:], wire-loopLen
	switch family {
	case 2: // AF_INET everywhere
		return p.network(EtherIPv4, b, wire)
	case 10, 23, 24, 28, 30: // AF_INET6 of Linux, Windows, NetBSD and OpenBSD, FreeBSD, Darwin
		return p.network(EtherIPv6, b, wire)
	}
	return p.stop(b, wire, ErrFamily)
}

func (p *Packet) raw(b []byte, wire int) Error {
	if len(b) == 0 {
		return p.stop(b, wire, ErrLinkShort)
	}
	switch b[0] >> 4 {
	case 4:
		return p.network(EtherIPv4, b, wire)
	case 6:
		return p.network(EtherIPv6, b, wire)
	}
	return p.stop(b, wire, ErrIPVersion)
}

// network parses what an EtherType announces.
func (p *Packet) network(typ uint16, b []byte, wire int) Error {
	p.EtherType = typ
	switch typ {
	case EtherIPv4:
		return p.ipv4(b, wire)
	case EtherIPv6:
		return p.ipv6(b, wire)
	case EtherVLAN, EtherQinQ, EtherQinQ1:
		return p.vlan(b, wire)
	case EtherARP:
		return p.arp(b, wire)
	case EtherPPPoE:
		return p.pppoe(b, wire)
	}
	if typ < minEtherType {
		return p.stop(b, wire, ErrLLC)
	}
	return p.stop(b, wire, ErrEtherType)
}

// vlan takes all tags at once, so that it calls network no more than once.
func (p *Packet) vlan(b []byte, wire int) Error {
	for range MaxVLAN {
		if len(b) < tagLen {
			return p.stop(b, wire, ErrVLANShort)
		}
		if !p.Has(HasVLAN) {
			p.VLAN = be16(b) & 0x0fff
			p.Layers |= HasVLAN
		}
		p.EtherType = be16(b[2:])
		b, wire = b[tagLen:], wire-tagLen
		switch p.EtherType {
		case EtherVLAN, EtherQinQ, EtherQinQ1:
			continue
		}
		return p.network(p.EtherType, b, wire)
	}
	return p.stop(b, wire, ErrVLANDepth)
}

func (p *Packet) pppoe(b []byte, wire int) Error {
	if len(b) < pppoeLen+pppLen {
		return p.stop(b, wire, ErrPPPoEShort)
	}
	if b[0] != 0x11 || b[1] != 0 { // version 1, type 1, code of the session stage
		return p.stop(b, wire, ErrPPPoEVersion)
	}
	n := int(be16(b[4:]))
	if n < pppLen || n > wire-pppoeLen {
		return p.stop(b, wire, ErrPPPoELength)
	}
	p.Layers |= HasPPPoE
	protocol := be16(b[pppoeLen:])
	b, wire = b[pppoeLen+pppLen:], n-pppLen
	b = b[:min(len(b), wire)]
	switch protocol {
	case pppIPv4:
		return p.network(EtherIPv4, b, wire)
	case pppIPv6:
		return p.network(EtherIPv6, b, wire)
	}
	return p.stop(b, wire, ErrPPPProtocol)
}

func (p *Packet) arp(b []byte, wire int) Error {
	if len(b) < 8 {
		return p.stop(b, wire, ErrARPShort)
	}
	// Hardware type 1, protocol type IPv4, address lengths 6 and 4.
	if be32(b) != 1<<16|uint32(EtherIPv4) || be16(b[4:]) != 6<<8|4 {
		return p.stop(b, wire, ErrARPFormat)
	}
	if len(b) < arpLen {
		return p.stop(b, wire, ErrARPShort)
	}
	p.ARPOp = be16(b[6:])
	p.ARPSender, p.Src = MAC(b[8:14]), netip.AddrFrom4([4]byte(b[14:18]))
	p.ARPTarget, p.Dst = MAC(b[18:24]), netip.AddrFrom4([4]byte(b[24:28]))
	p.Layers |= HasARP
	return p.stop(nil, 0, 0) // what follows is padding
}
