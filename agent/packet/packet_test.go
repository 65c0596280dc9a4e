package packet

import (
	"errors"
	"net/netip"
	"reflect"
	"strings"
	"testing"

	"github.com/google/go-cmp/cmp"
)

var diffPacket = cmp.Options{
	cmp.Comparer(func(a, b netip.Addr) bool { return a == b }),
	cmp.Comparer(func(a, b []byte) bool { return string(a) == string(b) }),
}

// synPacket is what every link type makes of ip4TCP + tcpSYN.
func synPacket(change func(*Packet)) Packet {
	p := Packet{
		Layers: HasMAC | HasIPv4 | HasTCP, SrcMAC: mac1, DstMAC: mac2, EtherType: EtherIPv4,
		Src: a4, Dst: b4, Proto: ProtoTCP, TTL: 64, IPLen: 40, IPHdrLen: 20,
		SrcPort: 40000, DstPort: 23, TCPFlags: SYN, Seq: 0x01020304, Window: 0x7210,
	}
	if change != nil {
		change(&p)
	}
	return p
}

// udpPacket is what the frames with udp4 over IPv6 have in common.
func udpPacket(change func(*Packet)) Packet {
	p := Packet{
		Layers: HasMAC | HasIPv6 | HasUDP, SrcMAC: mac1, DstMAC: mac2, EtherType: EtherIPv6,
		Src: a6, Dst: b6, Proto: ProtoUDP, TTL: 255, IPLen: 52, IPHdrLen: 40,
		SrcPort: 5353, DstPort: 53, Payload: []byte{0xde, 0xad, 0xbe, 0xef}, PayloadLen: 4,
	}
	change(&p)
	return p
}

func noMAC(p *Packet) { p.Layers &^= HasMAC; p.SrcMAC, p.DstMAC = MAC{}, MAC{} }

func TestParseLink(t *testing.T) {
	ipTCP := ip4TCP + tcpSYN
	for _, tt := range []struct {
		name  string
		frame Frame
		want  Packet
	}{
		{"ethernet", ether(t, "0800", ipTCP), synPacket(nil)},
		{"ethernet with padding", ether(t, "0800", ipTCP, "aaaaaaaaaaaa"), synPacket(nil)},
		{"802.1q", ether(t, "8100 2064 0800", ipTCP), synPacket(func(p *Packet) { p.Layers |= HasVLAN; p.VLAN = 100 })},
		{"priority tag", ether(t, "8100 e000 0800", ipTCP), synPacket(func(p *Packet) { p.Layers |= HasVLAN })},
		{"qinq", ether(t, "88a8 0007 8100 0064 0800", ipTCP), synPacket(func(p *Packet) { p.Layers |= HasVLAN; p.VLAN = 7 })},
		{"four tags", ether(t, "9100 0001 9100 0002 88a8 0003 8100 0004 0800", ipTCP),
			synPacket(func(p *Packet) { p.Layers |= HasVLAN; p.VLAN = 1 })},
		{"pppoe", ether(t, "8864 11 00 0001 002a 0021", ipTCP, "aaaa"), synPacket(func(p *Packet) { p.Layers |= HasPPPoE })},
		{"pppoe in a vlan", ether(t, "8100 0007 8864 11 00 0001 002a 0021", ipTCP),
			synPacket(func(p *Packet) { p.Layers |= HasPPPoE | HasVLAN; p.VLAN = 7 })},
		{"cooked", frame(t, LinkLinuxSLL, "0004 0001 0006 020000000001 0000 0800", ipTCP), synPacket(func(p *Packet) { p.DstMAC = MAC{} })},
		{"cooked loopback", frame(t, LinkLinuxSLL, "0000 0304 0006 000000000000 0000 0800", ipTCP), synPacket(noMAC)},
		{"cooked without address", frame(t, LinkLinuxSLL, "0000 0200 0000 0000000000000000 0800", ipTCP), synPacket(noMAC)},
		{"cooked with tag", frame(t, LinkLinuxSLL, "0004 0001 0006 020000000001 0000 8100 0005 0800", ipTCP),
			synPacket(func(p *Packet) { p.DstMAC = MAC{}; p.Layers |= HasVLAN; p.VLAN = 5 })},
		{"cooked 2", frame(t, LinkLinuxSLL2, "0800 0000 00000003 0001 04 06 020000000001 0000", ipTCP), synPacket(func(p *Packet) { p.DstMAC = MAC{} })},
		{"null little-endian", frame(t, LinkNull, "02000000", ipTCP), synPacket(noMAC)},
		{"null big-endian", frame(t, LinkNull, "00000002", ipTCP), synPacket(noMAC)},
		{"loop", frame(t, LinkLoop, "00000002", ipTCP), synPacket(noMAC)},
		{"raw", frame(t, LinkRaw, ipTCP), synPacket(noMAC)},
		{"raw 12", frame(t, LinkRawBSD12, ipTCP), synPacket(noMAC)},
		{"raw 14", frame(t, LinkRawBSD14, ipTCP), synPacket(noMAC)},
		{"ipv4", frame(t, LinkIPv4, ipTCP), synPacket(noMAC)},
		{"ipv6", frame(t, LinkIPv6, "60000000 000c 11 ff", src6, dst6, udp4), udpPacket(noMAC)},
		{"raw ipv6", frame(t, LinkRaw, "60000000 000c 11 ff", src6, dst6, udp4), udpPacket(noMAC)},
		{"null freebsd ipv6", frame(t, LinkNull, "1c000000", "60000000 000c 11 ff", src6, dst6, udp4), udpPacket(noMAC)},
		{"null darwin ipv6", frame(t, LinkNull, "0000001e", "60000000 000c 11 ff", src6, dst6, udp4), udpPacket(noMAC)},
		{"pppoe ipv6", ether(t, "8864 11 00 0001 0036 0057", "60000000 000c 11 ff", src6, dst6, udp4),
			udpPacket(func(p *Packet) { p.Layers |= HasPPPoE })},
		{"arp", ether(t, "0806", arpReply, "000000000000"), Packet{
			Layers: HasMAC | HasARP, SrcMAC: mac1, DstMAC: mac2, EtherType: EtherARP,
			Src: a4, Dst: b4, ARPOp: 2, ARPSender: mac1, ARPTarget: mac2}},
	} {
		t.Run(tt.name, func(t *testing.T) { checkParse(t, tt.frame, tt.want) })
	}
}

func checkParse(t *testing.T, f Frame, want Packet) {
	t.Helper()
	got := Packet{VLAN: 99, PayloadLen: 99, Layers: HasGRE} // Parse must reset
	if err := got.Parse(&f); err != nil {
		t.Fatalf("parse: %v", err)
	}
	if d := cmp.Diff(want, got, diffPacket); d != "" {
		t.Errorf("packet (-want +got):\n%s", d)
	}
}

func TestParseIP(t *testing.T) {
	udp6 := func(next, ext string, extLen int, change func(*Packet)) (Frame, Packet) {
		plen := []string{"000c", "0014", "001c", "0024"}[extLen/8]
		return ether(t, "86dd 60000000", plen, next, "ff", src6, dst6, ext, udp4), udpPacket(func(p *Packet) {
			p.IPLen, p.IPHdrLen = 52+extLen, 40+extLen
			if change != nil {
				change(p)
			}
		})
	}
	type row struct {
		name  string
		frame Frame
		want  Packet
	}
	var rows []row
	add := func(name string, f Frame, p Packet) { rows = append(rows, row{name, f, p}) }
	six := func(name, next, ext string, extLen int, change func(*Packet)) {
		f, p := udp6(next, ext, extLen, change)
		add(name, f, p)
	}

	add("ipv4 options", ether(t, "0800", "4600002c 12344000 4006 0000 c0000201 c6336402 94040000", tcpSYN),
		synPacket(func(p *Packet) { p.IPLen, p.IPHdrLen = 44, 24 }))
	add("ipv4 total length 0", ether(t, "0800", "45000000 12344000 4006 0000 c0000201 c6336402", tcpSYN, "0102"),
		synPacket(func(p *Packet) { p.IPLen, p.Payload, p.PayloadLen = 42, []byte{1, 2}, 2 }))
	add("ipv4 first fragment", ether(t, "0800", "45000028 12342000 4006 0000 c0000201 c6336402", tcpSYN),
		synPacket(func(p *Packet) { p.Fragment, p.FragID, p.MoreFrag = true, 0x1234, true }))
	add("ipv4 later fragment", ether(t, "0800", "45000018 123420b9 4006 0000 c0000201 c6336402 01020304"),
		synPacket(func(p *Packet) {
			*p = Packet{Layers: HasMAC | HasIPv4, SrcMAC: mac1, DstMAC: mac2, EtherType: EtherIPv4,
				Src: a4, Dst: b4, Proto: ProtoTCP, TTL: 64, IPLen: 24, IPHdrLen: 20,
				Fragment: true, FragID: 0x1234, FragOff: 1480, MoreFrag: true, Payload: []byte{1, 2, 3, 4}, PayloadLen: 4}
		}))
	add("ipv4 other protocol", ether(t, "0800", "45000016 00000000 0159 0000 c0000201 c6336402 0506 ffff"),
		Packet{Layers: HasMAC | HasIPv4, SrcMAC: mac1, DstMAC: mac2, EtherType: EtherIPv4, Src: a4, Dst: b4,
			Proto: 89, TTL: 1, IPLen: 22, IPHdrLen: 20, Payload: []byte{5, 6}, PayloadLen: 2})

	six("ipv6", "11", "", 0, nil)
	six("ipv6 hop by hop", "00", "11 00 050200000100", 8, nil)
	six("ipv6 routing of 16", "2b", "11 01 0000 00000000 0000000000000000", 16, nil)
	six("ipv6 destination and hop by hop", "00", "3c 00 050200000100 11 00 010400000000", 16, nil)
	six("ipv6 authentication", "33", "11 04 0000 00000001 00000002 aabbccdd aabbccdd aabbccdd", 24, nil)
	six("ipv6 atomic fragment", "2c", "11 00 0000 0000abcd", 8, nil)
	six("ipv6 first fragment", "2c", "11 00 0001 0000abcd", 8, func(p *Packet) {
		p.Fragment, p.FragID, p.MoreFrag = true, 0xabcd, true
	})
	six("ipv6 later fragment", "2c", "11 00 05a8 0000abcd", 8, func(p *Packet) {
		p.Fragment, p.FragID, p.FragOff = true, 0xabcd, 1448
		p.Layers &^= HasUDP
		p.SrcPort, p.DstPort = 0, 0
		p.Payload, p.PayloadLen = unhex(t, udp4), 12
	})
	add("ipv6 payload length 0", ether(t, "86dd 60000000 0000 11 ff", src6, dst6, udp4), udpPacket(func(*Packet) {}))
	add("ipv6 no next header", ether(t, "86dd 60000000 0000 3b ff", src6, dst6, "0000"), udpPacket(func(p *Packet) {
		p.Layers &^= HasUDP
		p.Proto, p.SrcPort, p.DstPort, p.IPLen, p.Payload, p.PayloadLen = 59, 0, 0, 40, nil, 0
	}))
	mapped := "00000000000000000000ffffc0000201"
	add("ipv6 with a mapped address", ether(t, "86dd 60000000 000c 11 ff", mapped, dst6, udp4), udpPacket(func(p *Packet) {
		p.Src = netip.MustParseAddr("::ffff:192.0.2.1")
	}))
	for _, r := range rows {
		t.Run(r.name, func(t *testing.T) { checkParse(t, r.frame, r.want) })
	}
}

func TestParseTransport(t *testing.T) {
	ip4 := func(total, proto, rest string) Frame {
		return ether(t, "0800", "4500", total, "12344000 40", proto, "0000 c0000201 c6336402", rest)
	}
	base := func(layer Layers, proto uint8, iplen int, change func(*Packet)) Packet {
		return synPacket(func(p *Packet) {
			*p = Packet{Layers: HasMAC | HasIPv4 | layer, SrcMAC: mac1, DstMAC: mac2, EtherType: EtherIPv4,
				Src: a4, Dst: b4, Proto: proto, TTL: 64, IPLen: iplen, IPHdrLen: 20}
			change(p)
		})
	}
	icmp6 := func(rest string) Frame {
		return ether(t, "86dd 60000000 0008 3a ff", src6, dst6, rest)
	}
	base6 := func(change func(*Packet)) Packet {
		return udpPacket(func(p *Packet) {
			p.Layers = HasMAC | HasIPv6 | HasICMPv6
			p.Proto, p.IPLen, p.SrcPort, p.DstPort, p.Payload, p.PayloadLen = ProtoICMPv6, 48, 0, 0, nil, 0
			change(p)
		})
	}
	ones := []byte{1, 1}
	for _, tt := range []struct {
		name  string
		frame Frame
		want  Packet
	}{
		{"tcp options and payload", ip4("002e", "06", "9c40 0017 01020304 0a0b0c0d 60 18 7210 0000 0000 020405b4 0101"),
			synPacket(func(p *Packet) {
				p.IPLen, p.Ack, p.TCPFlags = 46, 0x0a0b0c0d, PSH|ACK
				p.TCPOptions, p.Payload, p.PayloadLen = []byte{2, 4, 5, 0xb4}, ones, 2
			})},
		{"udp", ip4("001e", "11", "14e9 0035 000a 0000 0101"), base(HasUDP, ProtoUDP, 30, func(p *Packet) {
			p.SrcPort, p.DstPort, p.Payload, p.PayloadLen = 5353, 53, ones, 2
		})},
		{"udp shorter than ip", ip4("0020", "11", "14e9 0035 000a 0000 01010000"), base(HasUDP, ProtoUDP, 32, func(p *Packet) {
			p.SrcPort, p.DstPort, p.Payload, p.PayloadLen = 5353, 53, ones, 2
		})},
		{"icmp echo", ip4("001e", "01", "08 00 f7ff 1234 0001 0101"), base(HasICMP, ProtoICMP, 30, func(p *Packet) {
			p.ICMPType, p.ICMPRest, p.SrcPort, p.Payload, p.PayloadLen = 8, 0x12340001, 0x1234, ones, 2
		})},
		{"icmp too big", ip4("001c", "01", "03 04 0000 0000 05dc"), base(HasICMP, ProtoICMP, 28, func(p *Packet) {
			p.ICMPType, p.ICMPCode, p.ICMPRest = 3, 4, 1500
		})},
		{"icmpv6 over ipv4 is not parsed", ip4("001c", "3a", "80 00 0000 0000 05dc"), base(0, ProtoICMPv6, 28, func(p *Packet) {
			p.Payload, p.PayloadLen = unhex(t, "80000000000005dc"), 8
		})},
		{"icmpv6 echo reply", icmp6("81 00 0000 1234 0001"), base6(func(p *Packet) {
			p.ICMPType, p.ICMPRest, p.SrcPort = 129, 0x12340001, 0x1234
		})},
		{"icmpv6 router solicitation", icmp6("85 00 0000 0000 0000"), base6(func(p *Packet) { p.ICMPType = 133 })},
		{"gre", ip4("001a", "2f", "0000 6558 0101"), base(HasGRE, ProtoGRE, 26, func(p *Packet) {
			p.DstPort, p.Payload, p.PayloadLen = 0x6558, ones, 2
		})},
		{"gre with everything", ip4("0026", "2f", "b000 0800 aaaaaaaa bbbbbbbb cccccccc 0101"), base(HasGRE, ProtoGRE, 38, func(p *Packet) {
			p.DstPort, p.Payload, p.PayloadLen = 0x0800, ones, 2
		})},
		{"gre of pptp", ip4("0026", "2f", "3081 880b aaaaaaaa bbbbbbbb cccccccc 0101"), base(HasGRE, ProtoGRE, 38, func(p *Packet) {
			p.DstPort, p.Payload, p.PayloadLen = 0x880b, ones, 2
		})},
	} {
		t.Run(tt.name, func(t *testing.T) { checkParse(t, tt.frame, tt.want) })
	}
}

// TestParseCut cuts a frame behind each byte: within the payload that is no
// error, within a header it is that header's, and PayloadLen stays the wire's.
func TestParseCut(t *testing.T) {
	f := ether(t, "0800 45000030 12344000 4006 0000 c0000201 c6336402",
		"9c40 0017 01020304 00000000 60 02 7210 0000 0000 020405b4 01020304")
	for n := range len(f.Data) + 1 {
		cut := f
		cut.Data = f.Data[:n]
		var p Packet
		err := p.Parse(&cut)
		want, layers := error(nil), HasMAC|HasIPv4|HasTCP
		switch {
		case n < 14:
			want, layers = ErrLinkShort, 0
		case n < 34:
			want, layers = ErrIPv4Short, HasMAC
		case n < 58:
			want, layers = ErrTCPShort, HasMAC|HasIPv4
		}
		if err != want || p.Layers != layers {
			t.Errorf("cut at %d: layers %b, %v; want %b, %v", n, p.Layers, err, layers, want)
		}
		if want == nil && (p.PayloadLen != 4 || len(p.Payload) != n-58) {
			t.Errorf("cut at %d: payload %d of %d", n, len(p.Payload), p.PayloadLen)
		}
	}
}

func TestParseErrors(t *testing.T) {
	tags := strings.Repeat("8100 0001", MaxVLAN+1)
	ip6 := func(plen, next, rest string) Frame {
		return ether(t, "86dd 60000000", plen, next, "ff", src6, dst6, rest)
	}
	ip4 := func(total, proto, rest string) Frame {
		return ether(t, "0800", "4500", total, "12344000 40", proto, "0000 c0000201 c6336402", rest)
	}
	hops := strings.Repeat("0000 000000000000", MaxExtensions)
	for _, tt := range []struct {
		name   string
		frame  Frame
		want   Error
		layers Layers
		rest   int // payload left, bytes
	}{
		{"link type", frame(t, 147, ip4TCP), ErrLink, 0, 20},
		{"ethernet", frame(t, LinkEthernet, macs, "08"), ErrLinkShort, 0, 13},
		{"empty", frame(t, LinkEthernet), ErrLinkShort, 0, 0},
		{"raw empty", frame(t, LinkRaw), ErrLinkShort, 0, 0},
		{"cooked", frame(t, LinkLinuxSLL, "0004 0001 0006 020000000001 0000 08"), ErrLinkShort, 0, 15},
		{"cooked 2", frame(t, LinkLinuxSLL2, "0800 0000 00000003 0001 04 06 020000000001 00"), ErrLinkShort, 0, 19},
		{"loop", frame(t, LinkLoop, "000002"), ErrLinkShort, 0, 3},
		{"family", frame(t, LinkNull, "07000000", ip4TCP), ErrFamily, 0, 20},
		{"802.3", ether(t, "0026 4242 03 0000"), ErrLLC, HasMAC, 5},
		{"ethertype", ether(t, "88cc 0207"), ErrEtherType, HasMAC, 2},
		{"pppoe discovery", ether(t, "8863 1109 0000 0000"), ErrEtherType, HasMAC, 6},
		{"vlan", ether(t, "8100 0001 08"), ErrVLANShort, HasMAC, 3},
		{"inner vlan", ether(t, "8100 0001 8100 0001 08"), ErrVLANShort, HasMAC | HasVLAN, 3},
		{"vlan depth", ether(t, tags, "0800"), ErrVLANDepth, HasMAC | HasVLAN, 4},
		{"pppoe", ether(t, "8864 11 00 0001 0002 00"), ErrPPPoEShort, HasMAC, 7},
		{"pppoe version", ether(t, "8864 21 00 0001 0002 0021"), ErrPPPoEVersion, HasMAC, 8},
		{"pppoe code", ether(t, "8864 11 09 0001 0002 0021"), ErrPPPoEVersion, HasMAC, 8},
		{"pppoe long", ether(t, "8864 11 00 0001 0003 0021"), ErrPPPoELength, HasMAC, 8},
		{"pppoe no room", ether(t, "8864 11 00 0001 0001 0021"), ErrPPPoELength, HasMAC, 8},
		{"pppoe bounds ip", ether(t, "8864 11 00 0001 0029 0021", ip4TCP, tcpSYN), ErrIPv4Length, HasMAC | HasPPPoE, 39},
		{"lcp", ether(t, "8864 11 00 0001 0006 c021 09000000 ffff"), ErrPPPProtocol, HasMAC | HasPPPoE, 4},
		{"arp", ether(t, "0806 0001 0800 06 04 0002 020000000001 c000"), ErrARPShort, HasMAC, 16},
		{"arp start", ether(t, "0806 0001"), ErrARPShort, HasMAC, 2},
		{"arp hardware", ether(t, "0806 0006", arpReply[4:]), ErrARPFormat, HasMAC, 28},
		{"arp address length", ether(t, "0806 0001 0800 08", arpReply[12:]), ErrARPFormat, HasMAC, 28},
		{"raw version", frame(t, LinkRaw, "55000028"), ErrIPVersion, 0, 4},
		{"ipv4", ether(t, "0800 45000028 12344000 4006 0000 c0000201 c633"), ErrIPv4Short, HasMAC, 18},
		{"ipv4 version", ether(t, "0800 65000028 12344000 4006 0000 c0000201 c6336402"), ErrIPv4Version, HasMAC, 20},
		{"ipv4 header length", ether(t, "0800 44000014 12344000 4006 0000 c0000201 c6336402"), ErrIPv4Length, HasMAC, 20},
		{"ipv4 total below header", ether(t, "0800 46000017 12344000 4006 0000 c0000201 c6336402 00000000"), ErrIPv4Length, HasMAC, 24},
		{"ipv4 total above wire", ip4("0029", "06", tcpSYN), ErrIPv4Length, HasMAC, 40},
		{"ipv6", ether(t, "86dd 60000000 000c 11 ff", src6), ErrIPv6Short, HasMAC, 24},
		{"ipv6 version", ether(t, "86dd 40000000 0000 3b ff", src6, dst6), ErrIPv6Version, HasMAC, 40},
		{"ipv6 length", ip6("000d", "11", udp4), ErrIPv6Length, HasMAC, 52},
		{"extension", ip6("0004", "00", "11000000"), ErrExtensionShort, HasMAC | HasIPv6, 4},
		{"extension length", ip6("0008", "00", "1101000000000000"), ErrExtensionLength, HasMAC | HasIPv6, 8},
		{"extension count", ip6("0044", "00", hops+"3b000000"), ErrExtensionCount, HasMAC | HasIPv6, 4},
		{"tcp", ip4("0027", "06", tcpSYN[:len(tcpSYN)-2]), ErrTCPShort, HasMAC | HasIPv4, 19},
		{"tcp offset low", ip4("0028", "06", "9c40 0017 01020304 00000000 40 02 7210 0000 0000"), ErrTCPLength, HasMAC | HasIPv4, 20},
		{"tcp offset high", ip4("0028", "06", "9c40 0017 01020304 00000000 60 02 7210 0000 0000 00000000"), ErrTCPLength, HasMAC | HasIPv4, 20},
		{"udp", ip4("001b", "11", "14e9 0035 0008 00"), ErrUDPShort, HasMAC | HasIPv4, 7},
		{"udp low", ip4("001c", "11", "14e9 0035 0007 0000"), ErrUDPLength, HasMAC | HasIPv4, 8},
		{"udp zero", ip4("001c", "11", "14e9 0035 0000 0000"), ErrUDPLength, HasMAC | HasIPv4, 8},
		{"udp high", ip4("001c", "11", "14e9 0035 0009 0000"), ErrUDPLength, HasMAC | HasIPv4, 8},
		{"icmp", ip4("001b", "01", "0800 0000 0000 00"), ErrICMPShort, HasMAC | HasIPv4, 7},
		{"icmpv6", ip6("0004", "3a", "80000000"), ErrICMPShort, HasMAC | HasIPv6, 4},
		{"gre", ip4("0017", "2f", "0000 08"), ErrGREShort, HasMAC | HasIPv4, 3},
		{"gre key", ip4("001a", "2f", "2000 0800 0000"), ErrGREShort, HasMAC | HasIPv4, 6},
		{"gre version", ip4("0018", "2f", "0002 0800"), ErrGREVersion, HasMAC | HasIPv4, 4},
		{"gre routing", ip4("0018", "2f", "4000 0800"), ErrGREVersion, HasMAC | HasIPv4, 4},
	} {
		t.Run(tt.name, func(t *testing.T) {
			var p Packet
			err := p.Parse(&tt.frame)
			var e Error
			if !errors.As(err, &e) || e != tt.want {
				t.Fatalf("error %v, want %v", err, tt.want)
			}
			if p.Layers != tt.layers {
				t.Errorf("layers %b, want %b", p.Layers, tt.layers)
			}
			if len(p.Payload) != tt.rest {
				t.Errorf("payload of %d bytes, want %d", len(p.Payload), tt.rest)
			}
		})
	}
}

// TestParseFirstFragmentUDP: the UDP length is the whole datagram's.
func TestParseFirstFragmentUDP(t *testing.T) {
	f := ether(t, "0800 45000020 00012000 4011 0000 c0000201 c6336402 14e9 0035 0bb8 0000 deadbeef")
	var p Packet
	if err := p.Parse(&f); err != nil {
		t.Fatal(err)
	}
	if p.DstPort != 53 || p.PayloadLen != 4 {
		t.Errorf("port %d, payload %d; want 53, 4", p.DstPort, p.PayloadLen)
	}
}

func TestErrorText(t *testing.T) {
	seen := map[string]Error{}
	for e := Error(1); int(e) < Errors; e++ {
		s := e.Error()
		if other, dup := seen[s]; s == "" || dup {
			t.Errorf("error %d: text %q, same as %d", e, s, other)
		}
		seen[s] = e
	}
	if got := Error(255).Error(); got != Error(0).Error() {
		t.Errorf("unknown error is %q", got)
	}
}

func TestMSS(t *testing.T) {
	for _, tt := range []struct {
		name, options string
		want          uint16
		ok            bool
	}{
		{"none", "", 0, false},
		{"first", "020405b4", 1460, true},
		{"behind others", "0101 0402 080a0000000000000000 0303070204 058c", 1420, true},
		{"behind the end", "00 020405b4", 0, false},
		{"kind alone", "0101 02", 0, false},
		{"length 0", "0300 020405b4", 0, false},
		{"length 1", "0301 020405b4", 0, false},
		{"length beyond", "030a 0204", 0, false},
		{"mss of 3", "020305 0101", 0, false},
		{"mss cut", "01 0204 05", 0, false},
	} {
		t.Run(tt.name, func(t *testing.T) {
			p := Packet{TCPOptions: unhex(t, tt.options)}
			if got, ok := p.MSS(); got != tt.want || ok != tt.ok {
				t.Errorf("MSS %d, %v; want %d, %v", got, ok, tt.want, tt.ok)
			}
		})
	}
}

func TestQuoted(t *testing.T) {
	error4 := func(typ, quote string) Frame { // a total length of 0 takes what is there
		return ether(t, "0800 45000000 00000000 4001 0000 c6336402 c0000201", typ, "000000 00000000", quote)
	}
	error6 := func(typ, quote string) Frame {
		return ether(t, "86dd 60000000 0000 3a ff", dst6, src6, typ, "000000 00000000", quote)
	}
	quoteTCP := "450005dc 12344000 4006 0000 c0000201 c6336402 9c40 0017 01020304"
	quote6 := "60000000 05a0 11 40" + src6 + dst6 + "14e9 0035 05a0 0000"
	tcp4 := Packet{Layers: HasIPv4 | HasTCP, EtherType: EtherIPv4, Src: a4, Dst: b4, Proto: ProtoTCP, TTL: 64,
		IPLen: 1500, IPHdrLen: 20, SrcPort: 40000, DstPort: 23, Seq: 0x01020304}
	udp6 := Packet{Layers: HasIPv6 | HasUDP, EtherType: EtherIPv6, Src: a6, Dst: b6, Proto: ProtoUDP, TTL: 64,
		IPLen: 1480, IPHdrLen: 40, SrcPort: 5353, DstPort: 53, PayloadLen: 1432}
	with := func(p Packet, change func(*Packet)) Packet { change(&p); return p }
	for _, tt := range []struct {
		name  string
		frame Frame
		ok    bool
		want  Packet
	}{
		{"unreachable", error4("03", quoteTCP), true, tcp4},
		{"time exceeded", error4("0b", quoteTCP), true, tcp4},
		{"whole header", error4("03", ip4TCP+tcpSYN), true, synPacket(noMAC)},
		{"ports only", error4("03", quoteTCP[:len(quoteTCP)-9]), true, with(tcp4, func(p *Packet) { p.Seq = 0 })},
		{"less than ports", error4("03", "450005dc 12344000 4006 0000 c0000201 c6336402 9c40 00"), true,
			with(tcp4, func(p *Packet) {
				p.Layers, p.SrcPort, p.DstPort, p.Seq = HasIPv4, 0, 0, 0
				p.Payload, p.PayloadLen = []byte{0x9c, 0x40, 0}, 1480
			})},
		{"later fragment", error4("03", "450005dc 123400b9 4006 0000 c0000201 c6336402 9c40 0017"), true,
			with(tcp4, func(p *Packet) {
				p.Layers, p.SrcPort, p.DstPort, p.Seq = HasIPv4, 0, 0, 0
				p.Fragment, p.FragID, p.FragOff = true, 0x1234, 1480
				p.Payload, p.PayloadLen = []byte{0x9c, 0x40, 0, 0x17}, 1480
			})},
		{"udp length beyond", error4("03", "4500001c 00000000 4011 0000 c0000201 c6336402 14e9 0035 0bb8 0000"), true,
			Packet{Layers: HasIPv4 | HasUDP, EtherType: EtherIPv4, Src: a4, Dst: b4, Proto: ProtoUDP, TTL: 64,
				IPLen: 28, IPHdrLen: 20, SrcPort: 5353, DstPort: 53}},
		{"echo", error4("0b", "4500001c 00000000 0101 0000 c0000201 c6336402 0800 0000 1234 0001"), true,
			Packet{Layers: HasIPv4 | HasICMP, EtherType: EtherIPv4, Src: a4, Dst: b4, Proto: ProtoICMP, TTL: 1,
				IPLen: 28, IPHdrLen: 20, SrcPort: 0x1234, ICMPType: 8, ICMPRest: 0x12340001}},
		{"ipv6 unreachable", error6("01", quote6), true, udp6},
		{"ipv6 too big", error6("02", quote6), true, udp6},
		{"ipv6 extension cut", error6("03", "60000000 05a0 00 40"+src6+dst6+"1100"), true,
			Packet{Layers: HasIPv6, EtherType: EtherIPv6, Src: a6, Dst: b6, TTL: 64, IPLen: 1480, IPHdrLen: 40,
				Payload: []byte{0x11, 0}, PayloadLen: 1440}},
		{"no error message", error4("08", quoteTCP), false, Packet{}},
		{"ipv6 no error message", error6("87", quote6), false, Packet{}},
		{"no icmp", ether(t, "0800", ip4TCP, tcpSYN), false, Packet{}},
	} {
		t.Run(tt.name, func(t *testing.T) {
			var p Packet
			if err := p.Parse(&tt.frame); err != nil {
				t.Fatal(err)
			}
			q := Packet{VLAN: 7}
			if ok := p.Quoted(&q); ok != tt.ok {
				t.Errorf("quoted %v, want %v", ok, tt.ok)
			}
			if d := cmp.Diff(tt.want, q, diffPacket); d != "" {
				t.Errorf("quoted (-want +got):\n%s", d)
			}
			if p.Quoted(&p); !reflect.DeepEqual(p, q) {
				t.Error("quoting into itself differs")
			}
		})
	}
	f := error4("03", "65000028 12344000")
	var p, q Packet
	if err := p.Parse(&f); err != nil || p.Quoted(&q) || q.Layers != 0 {
		t.Errorf("a broken quote was taken: %v, layers %b", err, q.Layers)
	}
}
