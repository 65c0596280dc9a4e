// Package packet turns a captured frame into parsed headers.
//
// A frame of any link type that a home's capture uses comes in; a Packet whose
// slices alias the frame goes out. Nothing is copied and nothing is allocated,
// so the frame must stay untouched for as long as the Packet is used. The
// package is a leaf: every stage of the agent may import it, and it imports
// nothing of Cordon.
//
// Every byte is hostile: a cut or lying header is an Error, and what was parsed
// up to there stays valid (see Packet.Layers).
//
// How the files follow a frame: link.go (link layer, tags, PPPoE, ARP), ip.go,
// transport.go; quote.go reads the packet inside an ICMP error.
package packet

import "net/netip"

// MAC is an IEEE 802 48-bit address.
type MAC [6]byte

// Frame is one frame as a source hands it over. Data is valid until the
// source's next call.
type Frame struct {
	Time int64    // nanoseconds since the Unix epoch, UTC
	Link LinkType // how Data begins
	Len  int      // bytes on the wire; more than len(Data) when the capture cut the frame
	Data []byte
}

// LinkType says how a frame begins: the LINKTYPE_ values of the pcap registry.
type LinkType uint16

// The link types that Parse takes.
const (
	LinkNull      LinkType = 0   // BSD loopback: address family in the writer's byte order
	LinkEthernet  LinkType = 1   // Ethernet II
	LinkRawBSD12  LinkType = 12  // raw IP as some BSDs number it
	LinkRawBSD14  LinkType = 14  // raw IP as OpenBSD numbers it
	LinkRaw       LinkType = 101 // raw IP, version from the first nibble
	LinkLoop      LinkType = 108 // OpenBSD loopback: address family in network byte order
	LinkLinuxSLL  LinkType = 113 // Linux cooked capture, version 1
	LinkIPv4      LinkType = 228 // raw IPv4
	LinkIPv6      LinkType = 229 // raw IPv6
	LinkLinuxSLL2 LinkType = 276 // Linux cooked capture, version 2
)

// Layers says which parts of a Packet are filled in.
type Layers uint16

// Layer bits. HasMAC is set when SrcMAC means something (cooked captures have
// a source address only, and DstMAC stays zero).
const (
	HasMAC Layers = 1 << iota
	HasVLAN
	HasPPPoE
	HasARP
	HasIPv4
	HasIPv6
	HasTCP
	HasUDP
	HasICMP
	HasICMPv6
	HasGRE
)

// HasIP matches a packet of either IP version.
const HasIP = HasIPv4 | HasIPv6

// TCP flags, RFC 9293 §3.1.
const (
	FIN uint8 = 1 << iota
	SYN
	RST
	PSH
	ACK
	URG
	ECE
	CWR
)

// Protocol numbers that Parse looks into (IANA protocol-numbers).
const (
	ProtoICMP   uint8 = 1
	ProtoTCP    uint8 = 6
	ProtoUDP    uint8 = 17
	ProtoGRE    uint8 = 47
	ProtoICMPv6 uint8 = 58
)

// EtherTypes that Parse looks into (IANA ieee-802-numbers).
const (
	EtherIPv4  uint16 = 0x0800
	EtherARP   uint16 = 0x0806
	EtherVLAN  uint16 = 0x8100 // IEEE 802.1Q
	EtherQinQ  uint16 = 0x88a8 // IEEE 802.1ad service tag
	EtherQinQ1 uint16 = 0x9100 // service tag of switches older than 802.1ad
	EtherIPv6  uint16 = 0x86dd
	EtherPPPoE uint16 = 0x8864 // session stage, RFC 2516 §4
)

// Packet is one parsed frame. A field means something only when the layer it
// belongs to is in Layers. The zero value is ready for Parse, which resets it.
type Packet struct {
	Layers Layers

	SrcMAC, DstMAC MAC
	VLAN           uint16 // outermost VLAN id (802.1Q or QinQ)
	EtherType      uint16 // innermost EtherType (after VLAN tags and PPPoE)

	// IP. For ARP, Src and Dst are the sender's and the target's protocol address.
	Src, Dst netip.Addr
	Proto    uint8  // transport protocol, after IPv6 extension headers
	TTL      uint8  // or hop limit
	IPLen    int    // the datagram's length by its own header, bytes; see Parse on length 0
	IPHdrLen int    // network header with options or extension headers, bytes
	FragID   uint32 // identification, when Fragment
	Fragment bool   // a fragment; with FragOff > 0 no transport header is parsed
	FragOff  uint16 // bytes
	MoreFrag bool

	// Transport. ICMP echo carries its identifier in SrcPort (DstPort is 0);
	// GRE carries its protocol type in DstPort.
	SrcPort, DstPort uint16
	TCPFlags         uint8
	Seq, Ack         uint32
	Window           uint16
	TCPOptions       []byte // undecoded; see MSS
	ICMPType         uint8  // ICMP or ICMPv6
	ICMPCode         uint8
	ICMPRest         uint32 // bytes 4 to 7 of the ICMP header; Payload begins behind them

	ARPOp     uint16 // 1 request, 2 reply (RFC 826)
	ARPSender MAC
	ARPTarget MAC

	// Payload is what was captured behind the last parsed header; PayloadLen is
	// its length on the wire by the IP (and UDP) header, so PayloadLen >
	// len(Payload) when the capture cut the frame. Ethernet padding is in
	// neither. Without an IP header both reach to the frame's end.
	Payload    []byte
	PayloadLen int
}

// Has reports whether all of the given layers were parsed.
func (p *Packet) Has(l Layers) bool { return p.Layers&l == l }

// Any reports whether one of the given layers was parsed.
func (p *Packet) Any(l Layers) bool { return p.Layers&l != 0 }
