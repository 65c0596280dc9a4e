package packet

import (
	"math/rand/v2"
	"net"
	"net/netip"
	"testing"

	"github.com/google/go-cmp/cmp"
	"github.com/gopacket/gopacket"
	"github.com/gopacket/gopacket/layers"
)

// TestParseAsGopacket builds random sound frames with gopacket and wants the
// fields that gopacket decodes from them.
func TestParseAsGopacket(t *testing.T) {
	rnd := rand.New(rand.NewPCG(1, 2))
	seen := Layers(0)
	for i := range 5000 {
		data := randomFrame(t, rnd)
		f := Frame{Link: LinkEthernet, Len: len(data), Data: data}
		var got Packet
		if err := got.Parse(&f); err != nil {
			t.Fatalf("frame %d: %v\n%x", i, err, data)
		}
		if d := cmp.Diff(decode(t, data), got, diffPacket); d != "" {
			t.Fatalf("frame %d (-gopacket +got):\n%s\n%x", i, d, data)
		}
		seen |= got.Layers
	}
	const all = HasMAC | HasVLAN | HasPPPoE | HasARP | HasIPv4 | HasIPv6 | HasTCP | HasUDP | HasICMP | HasICMPv6 | HasGRE
	if seen != all {
		t.Errorf("layers met %b, want %b", seen, all)
	}
}

func randomBytes(r *rand.Rand, n int) []byte {
	b := make([]byte, n)
	for i := range b {
		b[i] = byte(r.Uint32())
	}
	return b
}

func randomFrame(t *testing.T, r *rand.Rand) []byte {
	eth := &layers.Ethernet{SrcMAC: randomBytes(r, 6), DstMAC: randomBytes(r, 6)}
	stack := []gopacket.SerializableLayer{eth}
	typ := &eth.EthernetType
	for range r.IntN(3) {
		tag := &layers.Dot1Q{VLANIdentifier: uint16(r.IntN(4096)), Priority: uint8(r.IntN(8))}
		*typ, typ = layers.EthernetTypeDot1Q, &tag.Type
		stack = append(stack, tag)
	}
	v6 := r.IntN(2) == 0
	switch r.IntN(8) {
	case 0:
		*typ = layers.EthernetTypeARP
		return serialize(t, append(stack, &layers.ARP{
			AddrType: layers.LinkTypeEthernet, Protocol: layers.EthernetTypeIPv4, HwAddressSize: 6, ProtAddressSize: 4,
			Operation: uint16(1 + r.IntN(2)), SourceHwAddress: randomBytes(r, 6), SourceProtAddress: randomBytes(r, 4),
			DstHwAddress: randomBytes(r, 6), DstProtAddress: randomBytes(r, 4)}))
	case 1:
		*typ = layers.EthernetTypePPPoESession
		ppp := layers.PPPTypeIPv4
		if v6 {
			ppp = layers.PPPTypeIPv6
		}
		stack = append(stack, &layers.PPPoE{Version: 1, Type: 1, SessionId: 7}, &layers.PPP{PPPType: ppp, HasPPTPHeader: false})
	default:
		*typ = layers.EthernetTypeIPv4
		if v6 {
			*typ = layers.EthernetTypeIPv6
		}
	}
	ip, net, proto := randomIP(r, v6)
	stack = append(append(stack, ip...), randomTransport(r, net, proto)...)
	return serialize(t, append(stack, gopacket.Payload(randomBytes(r, r.IntN(100)))))
}

func randomIP(r *rand.Rand, v6 bool) ([]gopacket.SerializableLayer, gopacket.NetworkLayer, layers.IPProtocol) {
	protos := []layers.IPProtocol{layers.IPProtocolTCP, layers.IPProtocolUDP, layers.IPProtocolGRE, layers.IPProtocolICMPv4}
	if !v6 {
		proto := protos[r.IntN(4)]
		ip := &layers.IPv4{Version: 4, TTL: uint8(r.Uint32()), Protocol: proto, Id: uint16(r.Uint32()),
			SrcIP: randomBytes(r, 4), DstIP: randomBytes(r, 4), Flags: layers.IPv4DontFragment}
		if r.IntN(4) == 0 {
			ip.Options = []layers.IPv4Option{{OptionType: 148, OptionLength: 4, OptionData: []byte{0, 0}}}
		}
		return []gopacket.SerializableLayer{ip}, ip, proto
	}
	protos[3] = layers.IPProtocolICMPv6
	proto := protos[r.IntN(4)]
	ip := &layers.IPv6{Version: 6, HopLimit: uint8(r.Uint32()), NextHeader: proto, SrcIP: randomBytes(r, 16), DstIP: randomBytes(r, 16)}
	if r.IntN(3) > 0 {
		return []gopacket.SerializableLayer{ip}, ip, proto
	}
	ip.NextHeader = layers.IPProtocolIPv6Destination
	ext := &layers.IPv6Destination{}
	ext.NextHeader = proto
	ext.Options = []*layers.IPv6DestinationOption{{OptionType: 0x1e, OptionData: randomBytes(r, 4+8*r.IntN(4))}}
	return []gopacket.SerializableLayer{ip, ext}, ip, proto
}

func randomTransport(r *rand.Rand, ip gopacket.NetworkLayer, proto layers.IPProtocol) []gopacket.SerializableLayer {
	port := func() uint16 { return uint16(50000 + r.IntN(10000)) } // none that gopacket decodes further
	switch proto {
	case layers.IPProtocolTCP:
		tcp := &layers.TCP{SrcPort: layers.TCPPort(port()), DstPort: layers.TCPPort(port()), Seq: r.Uint32(), Ack: r.Uint32(),
			Window: uint16(r.Uint32()), SYN: r.IntN(2) == 0, ACK: r.IntN(2) == 0, FIN: r.IntN(2) == 0, RST: r.IntN(2) == 0,
			PSH: r.IntN(2) == 0, URG: r.IntN(2) == 0, ECE: r.IntN(2) == 0, CWR: r.IntN(2) == 0}
		if r.IntN(2) == 0 {
			tcp.Options = []layers.TCPOption{
				{OptionType: layers.TCPOptionKindNop},
				{OptionType: layers.TCPOptionKindMSS, OptionLength: 4, OptionData: randomBytes(r, 2)}}
		}
		must(tcp.SetNetworkLayerForChecksum(ip))
		return []gopacket.SerializableLayer{tcp}
	case layers.IPProtocolUDP:
		udp := &layers.UDP{SrcPort: layers.UDPPort(port()), DstPort: layers.UDPPort(port())}
		must(udp.SetNetworkLayerForChecksum(ip))
		return []gopacket.SerializableLayer{udp}
	case layers.IPProtocolGRE:
		return []gopacket.SerializableLayer{&layers.GRE{Protocol: 0x9999, ChecksumPresent: r.IntN(2) == 0,
			KeyPresent: r.IntN(2) == 0, SeqPresent: r.IntN(2) == 0, Key: r.Uint32(), Seq: r.Uint32()}}
	case layers.IPProtocolICMPv4:
		return []gopacket.SerializableLayer{&layers.ICMPv4{TypeCode: layers.CreateICMPv4TypeCode(8, 0), Id: uint16(r.Uint32()), Seq: uint16(r.Uint32())}}
	}
	icmp := &layers.ICMPv6{TypeCode: layers.CreateICMPv6TypeCode(128, 0)}
	must(icmp.SetNetworkLayerForChecksum(ip))
	return []gopacket.SerializableLayer{icmp, &layers.ICMPv6Echo{Identifier: uint16(r.Uint32()), SeqNumber: uint16(r.Uint32())}}
}

func must(err error) {
	if err != nil {
		panic(err)
	}
}

func serialize(t *testing.T, stack []gopacket.SerializableLayer) []byte {
	t.Helper()
	buf := gopacket.NewSerializeBuffer()
	if err := gopacket.SerializeLayers(buf, gopacket.SerializeOptions{FixLengths: true, ComputeChecksums: true}, stack...); err != nil {
		t.Fatal(err)
	}
	return buf.Bytes()
}

// decode makes a Packet of what gopacket reads.
func decode(t *testing.T, data []byte) Packet {
	t.Helper()
	var p Packet
	for _, l := range gopacket.NewPacket(data, layers.LayerTypeEthernet, gopacket.Default).Layers() {
		switch l := l.(type) {
		case *layers.Ethernet:
			p.Layers |= HasMAC
			p.SrcMAC, p.DstMAC, p.EtherType = MAC(l.SrcMAC), MAC(l.DstMAC), uint16(l.EthernetType)
		case *layers.Dot1Q:
			if !p.Has(HasVLAN) {
				p.VLAN = l.VLANIdentifier
			}
			p.Layers |= HasVLAN
			p.EtherType = uint16(l.Type)
		case *layers.PPPoE:
			p.Layers |= HasPPPoE
		case *layers.ARP:
			p.Layers |= HasARP
			p.ARPOp, p.ARPSender, p.ARPTarget = l.Operation, MAC(l.SourceHwAddress), MAC(l.DstHwAddress)
			p.Src, p.Dst = netip.AddrFrom4([4]byte(l.SourceProtAddress)), netip.AddrFrom4([4]byte(l.DstProtAddress))
		case *layers.IPv4:
			p.Layers |= HasIPv4
			p.EtherType, p.Proto, p.TTL = EtherIPv4, uint8(l.Protocol), l.TTL
			p.IPLen, p.IPHdrLen = int(l.Length), int(l.IHL)*4
			p.Src, p.Dst = addr(l.SrcIP), addr(l.DstIP)
		case *layers.IPv6:
			p.Layers |= HasIPv6
			p.EtherType, p.Proto, p.TTL = EtherIPv6, uint8(l.NextHeader), l.HopLimit
			p.IPLen, p.IPHdrLen = int(l.Length)+40, 40
			p.Src, p.Dst = addr(l.SrcIP), addr(l.DstIP)
		case *layers.IPv6Destination:
			p.Proto, p.IPHdrLen = uint8(l.NextHeader), p.IPHdrLen+len(l.Contents)
		default:
			decodeTransport(&p, l)
		}
	}
	p.PayloadLen = len(p.Payload)
	return p
}

func addr(ip net.IP) netip.Addr {
	a, _ := netip.AddrFromSlice(ip)
	return a
}

func decodeTransport(p *Packet, l gopacket.Layer) {
	switch l := l.(type) {
	case *layers.TCP:
		p.Layers |= HasTCP
		p.SrcPort, p.DstPort, p.Seq, p.Ack, p.Window = uint16(l.SrcPort), uint16(l.DstPort), l.Seq, l.Ack, l.Window
		for bit, set := range []bool{l.FIN, l.SYN, l.RST, l.PSH, l.ACK, l.URG, l.ECE, l.CWR} {
			if set {
				p.TCPFlags |= 1 << bit
			}
		}
		p.TCPOptions, p.Payload = l.Contents[20:], l.Payload
	case *layers.UDP:
		p.Layers |= HasUDP
		p.SrcPort, p.DstPort, p.Payload = uint16(l.SrcPort), uint16(l.DstPort), l.Payload
	case *layers.GRE:
		p.Layers |= HasGRE
		p.DstPort, p.Payload = uint16(l.Protocol), l.Payload
	case *layers.ICMPv4:
		p.Layers |= HasICMP
		p.ICMPType, p.ICMPCode = l.TypeCode.Type(), l.TypeCode.Code()
		p.ICMPRest, p.SrcPort, p.Payload = uint32(l.Id)<<16|uint32(l.Seq), l.Id, l.Payload
	case *layers.ICMPv6:
		p.Layers |= HasICMPv6
		p.ICMPType, p.ICMPCode = l.TypeCode.Type(), l.TypeCode.Code()
	case *layers.ICMPv6Echo:
		p.ICMPRest, p.SrcPort, p.Payload = uint32(l.Identifier)<<16|uint32(l.SeqNumber), l.Identifier, l.Payload
	}
}
