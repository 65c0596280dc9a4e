package observe

import (
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
	typeSolicitation  = 135
	typeAdvertisement = 136
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
// an advertisement FactAddress. Duplicate address detection (source ::, RFC
// 4862 §5.4.2) tells nothing, like an ARP probe, and neither does an
// advertisement with another link-layer address than the frame's.
func (r *Reader) ndp() {
	p := r.p
	// A hop limit below 255 means that it came through a router, RFC 4861 §7.1.
	if p.TTL != 255 || p.ICMPCode != 0 || p.Src.IsUnspecified() {
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

// linkAddr returns the target link-layer address option of an advertisement,
// RFC 4861 §4.6.1.
func linkAddr(options []byte) (mac packet.MAC, ok bool) {
	for len(options) >= 8 {
		n := 8 * int(options[1])
		if n == 0 || n > len(options) {
			break
		}
		if options[0] == 2 {
			return packet.MAC(options[2:8]), true
		}
		options = options[n:]
	}
	return mac, false
}
