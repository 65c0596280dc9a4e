package layout

import (
	"net/netip"
	"reflect"

	"github.com/google/nftables"
	"github.com/google/nftables/binaryutil"
	"github.com/google/nftables/expr"
	"golang.org/x/sys/unix"
)

// A rule is written as the parts of a line of `nft`: what a packet must be, one
// after the other, and what then happens to it.
type part []expr.Any

func rule(parts ...part) part {
	var all part
	for _, p := range parts {
		all = append(all, p...)
	}
	return all
}

// field is one thing of a packet that can be looked up, alone or together with
// others, in a set.
type field struct {
	kind nftables.SetDatatype
	load []expr.Any // into register 0 of the field's own
	size uint32     // bytes
	mask []byte     // nil: all of it
}

// firstRegister is the first of the sixteen 32-bit registers, NFT_REG32_00.
const firstRegister = unix.NFT_REG32_00

func payload(kind nftables.SetDatatype, base expr.PayloadBase, offset uint32) field {
	return field{kind: kind, size: kind.Bytes,
		load: []expr.Any{&expr.Payload{Base: base, Offset: offset, Len: kind.Bytes}}}
}

// masked is f with all but the mask's bits zero; in a set it is the network
// that an address is in, or 0 for "any".
func (f field) masked(mask ...byte) field {
	f.mask = mask
	return f
}

// The fields, at the offsets of RFC 791 §3.1, RFC 8200 §3, RFC 9293 §3.1 (the
// ports of UDP are at the same place), RFC 826 and IEEE 802.3.
var (
	etherSource = payload(nftables.TypeEtherAddr, expr.PayloadBaseLLHeader, 6)
	etherDest   = payload(nftables.TypeEtherAddr, expr.PayloadBaseLLHeader, 0)
	source4     = payload(nftables.TypeIPAddr, expr.PayloadBaseNetworkHeader, 12)
	dest4       = payload(nftables.TypeIPAddr, expr.PayloadBaseNetworkHeader, 16)
	source6     = payload(nftables.TypeIP6Addr, expr.PayloadBaseNetworkHeader, 8)
	dest6       = payload(nftables.TypeIP6Addr, expr.PayloadBaseNetworkHeader, 24)
	arpSource   = payload(nftables.TypeIPAddr, expr.PayloadBaseNetworkHeader, 14)
	arpDest     = payload(nftables.TypeIPAddr, expr.PayloadBaseNetworkHeader, 24)
	ndTarget    = payload(nftables.TypeIP6Addr, expr.PayloadBaseTransportHeader, 8)
	sourcePort  = payload(nftables.TypeInetService, expr.PayloadBaseTransportHeader, 0)
	destPort    = payload(nftables.TypeInetService, expr.PayloadBaseTransportHeader, 2)
	icmpType    = payload(nftables.TypeICMP6Type, expr.PayloadBaseTransportHeader, 0)
	tcpFlags    = payload(nftables.TypeTCPFlag, expr.PayloadBaseTransportHeader, 13)
	protocol    = field{kind: nftables.TypeInetProto, size: 1, load: []expr.Any{&expr.Meta{Key: expr.MetaKeyL4PROTO}}}

	destNet4    = dest4.masked(255, 255, 255, 0)
	destNet6    = dest6.masked(255, 255, 255, 255, 255, 255, 0, 0, 0, 0, 0, 0, 0, 0, 0, 0)
	anyProtocol = protocol.masked(0)
	anyPort     = destPort.masked(0, 0)
)

// at returns the expressions that load the field at a register.
func (f field) at(register uint32) part {
	var p part
	for _, e := range f.load {
		switch e := e.(type) {
		case *expr.Payload:
			c := *e
			c.DestRegister = register
			p = append(p, &c)
		case *expr.Meta:
			c := *e
			c.Register = register
			p = append(p, &c)
		}
	}
	if f.mask != nil {
		p = append(p, &expr.Bitwise{SourceRegister: register, DestRegister: register, Len: f.size,
			Mask: f.mask, Xor: make([]byte, f.size)})
	}
	return p
}

// registers returns how many 32-bit registers n bytes take.
func registers(n uint32) uint32 { return (n + 3) / 4 }

// in matches packets whose fields, together, are an element of the set.
func in(s *Set, fields ...field) part {
	p, r := part{}, uint32(firstRegister)
	for _, f := range fields {
		p = append(p, f.at(r)...)
		r += registers(f.size)
	}
	return append(p, &expr.Lookup{SourceRegister: firstRegister, SetName: s.Name})
}

// notIn is the opposite of in.
func notIn(s *Set, fields ...field) part {
	p := in(s, fields...)
	p[len(p)-1].(*expr.Lookup).Invert = true
	return p
}

// is matches packets whose field is value.
func is(f field, value ...byte) part {
	return append(f.at(1), &expr.Cmp{Op: expr.CmpOpEq, Register: 1, Data: value})
}

// isNot is the opposite of is.
func isNot(f field, value ...byte) part {
	p := is(f, value...)
	p[len(p)-1].(*expr.Cmp).Op = expr.CmpOpNeq
	return p
}

// port matches a port.
func port(f field, number uint16) part { return is(f, byte(number>>8), byte(number)) }

// within matches packets whose address is of a network.
func within(f field, p netip.Prefix) part {
	if p.Bits() == p.Addr().BitLen() {
		return is(f, p.Addr().AsSlice()...)
	}
	mask := make([]byte, f.size)
	for i := range p.Bits() {
		mask[i/8] |= 0x80 >> (i % 8)
	}
	return is(f.masked(mask...), p.Masked().Addr().AsSlice()...)
}

func meta(key expr.MetaKey, value ...byte) part {
	return part{&expr.Meta{Key: key, Register: 1}, &expr.Cmp{Op: expr.CmpOpEq, Register: 1, Data: value}}
}

// What a packet is. The netdev hook knows the EtherType, inet the family.
var (
	frame4   = meta(expr.MetaKeyPROTOCOL, 0x08, 0x00)
	frame6   = meta(expr.MetaKeyPROTOCOL, 0x86, 0xdd)
	frameARP = meta(expr.MetaKeyPROTOCOL, 0x08, 0x06)
	packet4  = meta(expr.MetaKeyNFPROTO, unix.NFPROTO_IPV4)
	packet6  = meta(expr.MetaKeyNFPROTO, unix.NFPROTO_IPV6)
	ethernet = meta(expr.MetaKeyIIFTYPE, binaryutil.NativeEndian.PutUint16(unix.ARPHRD_ETHER)...)
	tcp      = is(protocol, unix.IPPROTO_TCP)
	udp      = is(protocol, unix.IPPROTO_UDP)
	icmp6    = is(protocol, unix.IPPROTO_ICMPV6)
	// opening is a TCP packet with SYN and without ACK, noSYN one without SYN.
	opening = rule(tcp, is(tcpFlags.masked(0x12), 0x02))
	noSYN   = rule(tcp, is(tcpFlags.masked(0x02), 0x00))
)

// from matches what came in at an interface.
func from(name string) part {
	b := make([]byte, unix.IFNAMSIZ)
	copy(b, name)
	return meta(expr.MetaKeyIIFNAME, b...)
}

// state matches a state of connection tracking.
func state(bit uint32) part {
	return part{&expr.Ct{Key: expr.CtKeySTATE, Register: 1},
		&expr.Bitwise{SourceRegister: 1, DestRegister: 1, Len: 4, Mask: binaryutil.NativeEndian.PutUint32(bit), Xor: make([]byte, 4)},
		&expr.Cmp{Op: expr.CmpOpNeq, Register: 1, Data: make([]byte, 4)}}
}

// forth matches packets of the direction in which a connection was opened.
var forth = part{&expr.Ct{Key: expr.CtKeyDIRECTION, Register: 1}, &expr.Cmp{Op: expr.CmpOpEq, Register: 1, Data: []byte{0}}}

// What happens to a packet.
var (
	accept = part{&expr.Verdict{Kind: expr.VerdictAccept}}
	drop   = part{&expr.Verdict{Kind: expr.VerdictDrop}}
	back   = part{&expr.Verdict{Kind: expr.VerdictReturn}}
	reset  = part{&expr.Reject{Type: unix.NFT_REJECT_TCP_RST}}
)

func jump(chain string) part { return part{&expr.Verdict{Kind: expr.VerdictJump, Chain: chain}} }

func goTo(chain string) part { return part{&expr.Verdict{Kind: expr.VerdictGoto, Chain: chain}} }

// redirect sends a connection to a port of the router itself.
func redirect(number uint16) part {
	return part{&expr.Immediate{Register: 1, Data: []byte{byte(number >> 8), byte(number)}},
		&expr.Redir{RegisterProtoMin: 1}}
}

// counted counts the packet in one of the table's counters.
func counted(name string) part {
	return part{&expr.Objref{Type: unix.NFT_OBJECT_COUNTER, Name: name}}
}

// complete puts before a rule what its fields depend on, as nft does: an
// Ethernet header, IPv4, IPv6 or ARP. Without it a rule would read the bytes of
// another protocol's header, and nft could not print the fields' names.
func complete(h Hook, r part) part {
	var needs []part
	add := func(p part) {
		for _, n := range append(needs, pairs(r)...) {
			if same(n, p) {
				return
			}
		}
		needs = append(needs, p)
	}
	for _, e := range r {
		load, ok := e.(*expr.Payload)
		switch {
		case !ok:
		case load.Base == expr.PayloadBaseLLHeader:
			add(ethernet)
		case load.Base != expr.PayloadBaseNetworkHeader:
		case load.Len == 16 && h == Ingress:
			add(frame6)
		case load.Len == 16:
			add(packet6)
		case load.Offset == 14 || load.Offset == 24:
			add(frameARP)
		case h == Ingress:
			add(frame4)
		default:
			add(packet4)
		}
	}
	return append(rule(needs...), r...)
}

// pairs returns each two expressions of a rule that follow each other.
func pairs(r part) []part {
	var ps []part
	for i := 0; i+1 < len(r); i++ {
		ps = append(ps, r[i:i+2])
	}
	return ps
}

func same(a, b part) bool { return reflect.DeepEqual(a, b) }
