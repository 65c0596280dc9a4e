// Package frame makes Ethernet frames of bytes: headers, lengths and checksums,
// nothing about who says what. It is called by lab/synth/world for every packet
// of a synthetic capture, so it writes into one buffer and allocates nothing.
package frame

import (
	"encoding/binary"
	"math/bits"
	"net/netip"

	"cordon"
)

// MaxPayload is the largest payload, in bytes, of one frame: an Ethernet frame
// carries 1,500 bytes (IEEE 802.3 §3.2.7), less the smallest IPv4 and UDP headers.
const MaxPayload = 1472

// The IANA protocol numbers of the layers made here.
const (
	protoICMP   = 1
	protoTCP    = 6
	protoUDP    = 17
	protoICMPv6 = 58
)

// The TCP flags (RFC 9293 §3.1).
const (
	FIN = 1 << iota
	SYN
	RST
	PSH
	ACK
)

// Link is the two ends of a frame.
type Link struct{ Src, Dst cordon.MAC }

// Net is the internet header. Both addresses are of one family.
type Net struct {
	Src, Dst netip.Addr
	TTL      uint8
	ID       uint16 // IPv4 only
	MayFrag  bool   // IPv4 only: DF is clear
	Alert    bool   // carries the router alert option (RFC 2113, RFC 2711): IGMP, MLD
}

// Segment is the TCP header.
type Segment struct {
	SrcPort, DstPort uint16
	Seq, Ack         uint32
	Flags            uint8
	Window           uint16
	Options          []byte // a multiple of four bytes, at most 40
}

// Buffer makes frames. What a method returns is valid until the next call.
type Buffer struct {
	b [14 + 60 + 60 + MaxPayload]byte
}

// TCP makes one segment.
func (b *Buffer) TCP(l Link, n Net, s Segment, payload []byte) []byte {
	at := b.network(l, n, protoTCP, 20+len(s.Options)+len(payload))
	h := b.b[at:]
	binary.BigEndian.PutUint16(h[0:], s.SrcPort)
	binary.BigEndian.PutUint16(h[2:], s.DstPort)
	binary.BigEndian.PutUint32(h[4:], s.Seq)
	binary.BigEndian.PutUint32(h[8:], s.Ack)
	h[12] = byte((20 + len(s.Options)) / 4 << 4)
	h[13] = s.Flags
	binary.BigEndian.PutUint16(h[14:], s.Window)
	binary.BigEndian.PutUint32(h[16:], 0) // checksum, urgent pointer
	copy(h[20:], s.Options)
	return b.finish(n, protoTCP, at, at+20+len(s.Options), 16, payload)
}

// UDP makes one datagram.
func (b *Buffer) UDP(l Link, n Net, src, dst uint16, payload []byte) []byte {
	at := b.network(l, n, protoUDP, 8+len(payload))
	h := b.b[at:]
	binary.BigEndian.PutUint16(h[0:], src)
	binary.BigEndian.PutUint16(h[2:], dst)
	binary.BigEndian.PutUint16(h[4:], uint16(8+len(payload)))
	binary.BigEndian.PutUint16(h[6:], 0)
	return b.finish(n, protoUDP, at, at+8, 6, payload)
}

// ICMP makes one message of ICMP, or of ICMPv6 if the addresses are of that
// family; rest is everything behind the checksum.
func (b *Buffer) ICMP(l Link, n Net, kind, code uint8, rest []byte) []byte {
	proto := uint8(protoICMP)
	if n.Src.Is6() {
		proto = protoICMPv6
	}
	at := b.network(l, n, proto, 4+len(rest))
	h := b.b[at:]
	h[0], h[1], h[2], h[3] = kind, code, 0, 0
	return b.finish(n, proto, at, at+4, 2, rest)
}

// IP makes one datagram of a protocol that has no checksum of its own here, as GRE
// (RFC 2784 §2.1).
func (b *Buffer) IP(l Link, n Net, proto uint8, body []byte) []byte {
	at := b.network(l, n, proto, len(body))
	return b.b[:at+copy(b.b[at:], body)]
}

// IGMP makes one message of that protocol (2); it has its own checksum at byte 2.
func (b *Buffer) IGMP(l Link, n Net, message []byte) []byte {
	at := b.network(l, n, 2, len(message))
	copy(b.b[at:], message)
	end := at + len(message)
	binary.BigEndian.PutUint16(b.b[at+2:], ^fold(sum(0, b.b[at:end])))
	return b.b[:end]
}

// ARP makes a request (op 1) or reply (op 2) of RFC 826.
func (b *Buffer) ARP(l Link, op uint16, sender cordon.MAC, senderIP netip.Addr, target cordon.MAC, targetIP netip.Addr) []byte {
	b.ether(l, 0x0806)
	h := b.b[14:]
	copy(h, []byte{0, 1, 8, 0, 6, 4})
	binary.BigEndian.PutUint16(h[6:], op)
	copy(h[8:], sender[:])
	copy(h[14:], senderIP.AsSlice())
	copy(h[18:], target[:])
	copy(h[24:], targetIP.AsSlice())
	return b.b[:42]
}

func (b *Buffer) ether(l Link, kind uint16) {
	copy(b.b[0:], l.Dst[:])
	copy(b.b[6:], l.Src[:])
	binary.BigEndian.PutUint16(b.b[12:], kind)
}

// network writes the Ethernet and the internet header in front of length bytes
// and returns where those begin.
func (b *Buffer) network(l Link, n Net, proto uint8, length int) int {
	if n.Src.Is4() {
		return b.ipv4(l, n, proto, length)
	}
	return b.ipv6(l, n, proto, length)
}

func (b *Buffer) ipv4(l Link, n Net, proto uint8, length int) int {
	b.ether(l, 0x0800)
	h, size := b.b[14:], 20
	if n.Alert {
		size = 24
		copy(h[20:], []byte{0x94, 4, 0, 0})
	}
	h[0], h[1] = 0x40|byte(size/4), 0
	binary.BigEndian.PutUint16(h[2:], uint16(size+length))
	binary.BigEndian.PutUint16(h[4:], n.ID)
	h[6], h[7] = 0x40, 0
	if n.MayFrag {
		h[6] = 0
	}
	h[8], h[9], h[10], h[11] = n.TTL, proto, 0, 0
	src, dst := n.Src.As4(), n.Dst.As4()
	copy(h[12:], src[:])
	copy(h[16:], dst[:])
	binary.BigEndian.PutUint16(h[10:], ^fold(sum(0, h[:size])))
	return 14 + size
}

func (b *Buffer) ipv6(l Link, n Net, proto uint8, length int) int {
	b.ether(l, 0x86dd)
	h, at := b.b[14:], 54
	next := proto
	if n.Alert { // a hop-by-hop header with the option and two bytes of padding
		next, at = 0, at+8
		copy(h[40:], []byte{proto, 0, 5, 2, 0, 0, 1, 0})
	}
	copy(h, []byte{0x60, 0, 0, 0})
	binary.BigEndian.PutUint16(h[4:], uint16(at-54+length))
	h[6], h[7] = next, n.TTL
	src, dst := n.Src.As16(), n.Dst.As16()
	copy(h[8:], src[:])
	copy(h[24:], dst[:])
	return at
}

// finish adds the payload at body and the checksum of the layer that begins at
// top, at top+field, and returns the frame.
func (b *Buffer) finish(n Net, proto uint8, top, body, field int, payload []byte) []byte {
	end := body + copy(b.b[body:], payload)
	var acc uint64
	if proto != protoICMP {
		acc = pseudo(n, proto, end-top)
	}
	c := ^fold(sum(acc, b.b[top:end]))
	if c == 0 && proto == protoUDP {
		c = 0xffff // RFC 768: zero means that there is none
	}
	binary.BigEndian.PutUint16(b.b[top+field:], c)
	return b.b[:end]
}

// pseudo is the sum of the pseudo header (RFC 9293 §3.1, RFC 8200 §8.1).
func pseudo(n Net, proto uint8, length int) uint64 {
	acc := uint64(proto) + uint64(length)
	if n.Src.Is4() {
		src, dst := n.Src.As4(), n.Dst.As4()
		return sum(sum(acc, src[:]), dst[:])
	}
	src, dst := n.Src.As16(), n.Dst.As16()
	return sum(sum(acc, src[:]), dst[:])
}

// sum adds data to the ones' complement sum acc (RFC 1071), eight bytes at a time.
func sum(acc uint64, data []byte) uint64 {
	var carry uint64
	for len(data) >= 8 {
		acc, carry = bits.Add64(acc, binary.BigEndian.Uint64(data), carry)
		data = data[8:]
	}
	var tail [8]byte
	copy(tail[:], data)
	acc, carry = bits.Add64(acc, binary.BigEndian.Uint64(tail[:]), carry)
	return acc + carry
}

func fold(acc uint64) uint16 {
	for acc > 0xffff {
		acc = acc>>16 + acc&0xffff
	}
	return uint16(acc)
}
