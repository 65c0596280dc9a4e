package datagram

import (
	"encoding/binary"
	"math/bits"
	"math/rand/v2"
	"net/netip"
)

// Header lengths in bytes.
const (
	ip4Len      = 20 // RFC 791 §3.1, no options
	ip6Len      = 40 // RFC 8200 §3
	fragmentLen = 8  // RFC 8200 §4.5
	udpLen      = 8  // RFC 768
	maxHead     = ip6Len + udpLen
)

const (
	protoUDP      = 17
	protoFragment = 44
	hops          = 64 // Linux sends its own packets with as many
	// fragmentTotal is the largest IP packet that the guard makes of a datagram
	// that does not fit the link, bytes: every link takes it (RFC 8200 §5). The
	// kernel puts the fragments together again for connection tracking and cuts
	// them anew.
	fragmentTotal = 1280
)

// putHead writes the IP and UDP headers of a datagram to h, which has room for
// maxHead bytes, and returns their length. Both addresses are of one family. The
// kernel fills in IPv4's checksum and identification.
func putHead(h []byte, src, dst netip.AddrPort, payload []byte) int {
	n := ip4Len
	if src.Addr().Is6() {
		n = ip6Len
		putIP6(h, src.Addr(), dst.Addr(), protoUDP, udpLen+len(payload))
	} else {
		putIP4(h, src.Addr(), dst.Addr(), udpLen+len(payload))
	}
	udp := h[n : n+udpLen]
	binary.BigEndian.PutUint16(udp[0:], src.Port())
	binary.BigEndian.PutUint16(udp[2:], dst.Port())
	binary.BigEndian.PutUint16(udp[4:], uint16(udpLen+len(payload)))
	udp[6], udp[7] = 0, 0
	// The pseudo header: addresses, protocol, length.
	s := sum(protoUDP+uint64(udpLen+len(payload)), h[n-2*src.Addr().BitLen()/8:n])
	c := ^fold(sum(sum(s, udp), payload))
	if c == 0 {
		c = 0xffff // RFC 768: 0 means that there is none
	}
	binary.BigEndian.PutUint16(udp[6:], c)
	return n + udpLen
}

func putIP4(h []byte, src, dst netip.Addr, length int) {
	clear(h[:ip4Len])
	h[0], h[8], h[9] = 0x45, hops, protoUDP
	binary.BigEndian.PutUint16(h[2:], uint16(ip4Len+length))
	s, d := src.As4(), dst.As4()
	copy(h[12:], s[:])
	copy(h[16:], d[:])
}

func putIP6(h []byte, src, dst netip.Addr, next byte, length int) {
	clear(h[:8])
	h[0], h[6], h[7] = 0x60, next, hops
	binary.BigEndian.PutUint16(h[4:], uint16(length))
	s, d := src.As16(), dst.As16()
	copy(h[8:], s[:])
	copy(h[24:], d[:])
}

// sum adds b to a ones' complement sum (RFC 1071), an odd byte at the end padded.
func sum(s uint64, b []byte) uint64 {
	var carry uint64
	for len(b) >= 8 {
		s, carry = bits.Add64(s, binary.BigEndian.Uint64(b), 0)
		s += carry
		b = b[8:]
	}
	if len(b) > 0 {
		var rest [8]byte
		copy(rest[:], b)
		s, carry = bits.Add64(s, binary.BigEndian.Uint64(rest[:]), 0)
		s += carry
	}
	return s
}

// fold brings a sum to 16 bits.
func fold(s uint64) uint16 {
	s = s>>32 + s&0xffffffff
	s = s>>16 + s&0xffff
	s = s>>16 + s&0xffff
	return uint16(s>>16 + s&0xffff)
}

// fragments cuts a datagram into IP packets that fit every link and hands each
// to send. It is for the rare datagram that does not fit as it is.
func fragments(src, dst netip.AddrPort, payload []byte, send func(packet []byte) error) error {
	var head [maxHead]byte
	n := putHead(head[:], src, dst, payload)
	datagram := append(append(make([]byte, 0, udpLen+len(payload)), head[n-udpLen:n]...), payload...)
	id := rand.Uint32() | 1<<16 | 1
	ip := n - udpLen
	room := fragmentTotal - ip
	if ip == ip6Len {
		room -= fragmentLen
	}
	room &^= 7 // RFC 791 §3.2, RFC 8200 §4.5: in units of 8 bytes
	packet := make([]byte, fragmentTotal)
	for at := 0; at < len(datagram); at += room {
		part := datagram[at:min(at+room, len(datagram))]
		more := at+len(part) < len(datagram)
		begin := putFragmentHead(packet, src.Addr(), dst.Addr(), at, len(part), more, id)
		if err := send(packet[:begin+copy(packet[begin:], part)]); err != nil {
			return err
		}
	}
	return nil
}

// putFragmentHead writes the headers of one fragment and returns their length.
func putFragmentHead(h []byte, src, dst netip.Addr, at, length int, more bool, id uint32) int {
	if src.Is4() {
		putIP4(h, src, dst, length)
		binary.BigEndian.PutUint16(h[4:], uint16(id))
		field := uint16(at / 8)
		if more {
			field |= 0x2000 // MF
		}
		binary.BigEndian.PutUint16(h[6:], field)
		return ip4Len
	}
	putIP6(h, src, dst, protoFragment, fragmentLen+length)
	field := uint16(at)
	if more {
		field |= 1
	}
	h[ip6Len], h[ip6Len+1] = protoUDP, 0
	binary.BigEndian.PutUint16(h[ip6Len+2:], field)
	binary.BigEndian.PutUint32(h[ip6Len+4:], id)
	return ip6Len + fragmentLen
}
