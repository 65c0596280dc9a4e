package playback

import (
	"hash/fnv"
	"net/netip"
	"slices"

	"cordon"
	"cordon/agent/packet"
	"cordon/lab/cable"
)

// etherLen is the length of an Ethernet header, IEEE 802.3 §3.1.1.
const etherLen = 14

// wrapper makes Ethernet frames of a capture's frames.
type wrapper struct {
	home    []netip.Prefix
	routers []cordon.MAC
}

// inside reports whether an address is of the home; without prefixes the private
// ones are.
func (w *wrapper) inside(a netip.Addr) bool {
	if len(w.home) == 0 {
		return a.IsPrivate() || a.IsLinkLocalUnicast() || a.IsMulticast() || a.IsUnspecified()
	}
	return a.IsMulticast() || a.IsUnspecified() || a.IsLinkLocalUnicast() ||
		slices.ContainsFunc(w.home, func(p netip.Prefix) bool { return p.Contains(a) })
}

// learn notes who the router is: packets from outside come from its MAC.
func (w *wrapper) learn(f *packet.Frame) {
	var p packet.Packet
	if f.Link != packet.LinkEthernet || p.Parse(f) != nil || !p.Any(packet.HasIP) {
		return
	}
	if mac := cordon.MAC(p.SrcMAC); !w.inside(p.Src) && w.inside(p.Dst) && !slices.Contains(w.routers, mac) {
		w.routers = append(w.routers, mac)
	}
}

// wrap returns what is sent for a frame, and whether from the router. A frame
// without Ethernet header gets one with made-up MACs, one that the capture cut is
// filled up; nil is a frame that no wire carries.
func (w *wrapper) wrap(f *packet.Frame) (wire []byte, out, wrapped, filled bool) {
	n := max(f.Len, len(f.Data))
	wire = make([]byte, n)
	filled = copy(wire, f.Data) < n
	if f.Link != packet.LinkEthernet {
		var p packet.Packet
		if p.Parse(f) != nil || !p.Any(packet.HasIP) {
			return nil, false, false, false
		}
		wire, out, wrapped = w.dress(f, &p, n), !w.inside(p.Src), true
	} else if n >= etherLen {
		out = slices.Contains(w.routers, cordon.MAC(wire[6:12]))
	}
	if len(wire) < etherLen || len(wire) > cable.MTU+etherLen {
		return nil, false, false, false
	}
	return wire, out, wrapped, filled
}

// dress puts an Ethernet header before the datagram of a frame of another link
// type.
func (w *wrapper) dress(f *packet.Frame, p *packet.Packet, n int) []byte {
	at := len(f.Data) - len(p.Payload) - transportLen(p) - p.IPHdrLen
	if at < 0 {
		at = 0
	}
	src, dst := w.mac(p.Src), w.mac(p.Dst)
	kind := packet.EtherIPv4
	if p.Has(packet.HasIPv6) {
		kind = packet.EtherIPv6
	}
	wire := slices.Concat(dst[:], src[:], []byte{byte(kind >> 8), byte(kind)}, f.Data[at:])
	return append(wire, make([]byte, max(n-at+etherLen-len(wire), 0))...)
}

// transportLen is the length of the transport header that was parsed.
func transportLen(p *packet.Packet) int {
	switch {
	case p.Has(packet.HasTCP):
		return 20 + len(p.TCPOptions)
	case p.Any(packet.HasUDP | packet.HasICMP | packet.HasICMPv6):
		return 8
	}
	return 0
}

// mac makes up a MAC: each address of the home has one, and all others are behind
// the router's.
func (w *wrapper) mac(a netip.Addr) cordon.MAC {
	switch {
	case a.IsMulticast():
		return cordon.MAC{0x01, 0x00, 0x5e, 0, 0, 1}
	case !w.inside(a):
		return cordon.MAC{0x02, 0xc0, 0x4d, 0, 0, 1}
	}
	h := fnv.New32a()
	_, _ = h.Write(a.AsSlice())
	n := h.Sum32()
	return cordon.MAC{0x06, 0, byte(n >> 24), byte(n >> 16), byte(n >> 8), byte(n)}
}
