package observe

import (
	"iter"
	"net/netip"

	"cordon"
	"cordon/agent/packet"
)

// ARP operations (RFC 826).
const (
	arpRequest = 1
	arpReply   = 2
)

// ICMPv6 types of neighbour discovery (RFC 4861 §4).
const (
	typeRouterAdvertisement = 134
	typeSolicitation        = 135
	typeAdvertisement       = 136
)

// arp reads one ARP packet: a request is FactARP, a reply or an announcement
// (sender = target, RFC 5227 §2.3) FactAddress. A probe (sender 0.0.0.0, RFC
// 5227 §2.1) tells nothing: the address may turn out to be taken. Neither does
// a reply in which the sender's address is not the frame's: a proxy's or a
// forger's.
func (r *Reader) arp() {
	p := r.p
	if !p.Src.Is4() || p.Src.IsUnspecified() || !p.Dst.Is4() {
		return
	}
	switch {
	case p.Src == p.Dst && p.ARPOp == arpRequest, p.ARPOp == arpReply:
		if p.Has(packet.HasMAC) && p.ARPSender != p.SrcMAC {
			r.stats.Foreign++
			return
		}
		r.address(cordon.FactAddress, p.Src)
	case p.ARPOp == arpRequest:
		r.address(cordon.FactARP, p.Dst)
	}
}

// ndp reads one neighbour discovery message: a solicitation is FactNeighbour,
// an advertisement FactAddress, a router's advertisement FactPrefix. Duplicate address detection (source ::, RFC
// 4862 §5.4.2) tells nothing, like an ARP probe, and neither does an
// advertisement with another link-layer address than the frame's.
func (r *Reader) ndp() {
	p := r.p
	// A hop limit below 255 means that it came through a router, RFC 4861 §7.1.
	if p.TTL != 255 || p.ICMPCode != 0 || p.Src.IsUnspecified() {
		return
	}
	if p.ICMPType == typeRouterAdvertisement {
		r.advertised()
		return
	}
	if len(p.Payload) < 16 {
		r.stats.Malformed++
		return
	}
	target := netip.AddrFrom16([16]byte(p.Payload))
	switch {
	case target.IsMulticast() || target.IsUnspecified() || target.Is4In6():
		r.stats.Malformed++
	case p.ICMPType == typeSolicitation:
		r.address(cordon.FactNeighbour, target)
	case p.ICMPType == typeAdvertisement:
		if mac, ok := linkAddr(p.Payload[16:]); ok && p.Has(packet.HasMAC) && mac != p.SrcMAC {
			r.stats.Foreign++
			return
		}
		r.address(cordon.FactAddress, target)
	}
}

// Options of neighbour discovery (RFC 4861 §4.6).
const (
	optTargetLinkAddr = 2
	optPrefix         = 3
)

// advertised reads a router advertisement (RFC 4861 §4.2): every prefix that is
// on the link (§4.6.2) is a FactPrefix.
func (r *Reader) advertised() {
	p := r.p
	if !p.Src.IsLinkLocalUnicast() || len(p.Payload) < 8 {
		r.stats.Malformed++
		return
	}
	const onLink = 0x80
	for kind, o := range options(p.Payload[8:]) {
		if kind != optPrefix || len(o) != 32 || o[3]&onLink == 0 || o[2] > 128 {
			continue
		}
		f := r.fact(cordon.FactPrefix)
		f.Bits = o[2]
		r.addrs[0] = netip.AddrFrom16([16]byte(o[16:]))
		f.Addrs = r.addrs[:1]
		r.yield(f)
	}
}

// linkAddr returns the target link-layer address option of an advertisement,
// RFC 4861 §4.6.1.
func linkAddr(b []byte) (mac packet.MAC, ok bool) {
	for kind, o := range options(b) {
		if kind == optTargetLinkAddr {
			return packet.MAC(o[2:8]), true
		}
	}
	return mac, false
}

// options goes through the options of a neighbour discovery message, type and
// length included, up to the first that lies about its length.
func options(b []byte) iter.Seq2[uint8, []byte] {
	return func(yield func(uint8, []byte) bool) {
		for len(b) >= 8 {
			n := 8 * int(b[1])
			if n == 0 || n > len(b) || !yield(b[0], b[:n]) {
				return
			}
			b = b[n:]
		}
	}
}
