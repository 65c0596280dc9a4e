package eval

import (
	"encoding/binary"
	"net/netip"
	"time"

	"cordon/agent"
	"cordon/agent/observe/dhcp"
	"cordon/agent/observe/dns"
	"cordon/agent/packet"
)

// disturbance changes a capture in ways that must not change a judgement: other
// addresses and ephemeral ports wherever the agent reads them, another date, and
// one frame in a hundred lost. All of it follows from a seed. Checksums are not
// mended: nothing verifies them.
type disturbance struct {
	remap
	seed  uint64
	moved time.Duration // added to all times
	known bool          // moved is final: the first frame was seen
}

// What a disturbance does to time and to frames.
const (
	maxMove = 2 * 365 * 24 * time.Hour // either way
	lossOf  = 100                      // one frame in so many is lost
)

func newDisturbance(seed uint64, home []netip.Prefix) *disturbance {
	draw := mix(mix(seed) + 1)
	moved := time.Duration(draw%uint64(2*maxMove)) - maxMove
	return &disturbance{remap: *newRemap(seed, home), seed: seed, moved: moved.Truncate(time.Microsecond)}
}

// shift is what was added to the times of the capture.
func (d *disturbance) shift() time.Duration { return d.moved }

// entry returns what is true of the disturbed capture.
func (d *disturbance) entry(e Entry) Entry {
	home := make([]netip.Prefix, len(e.Home))
	for i, p := range e.Home {
		if home[i] = p; p.IsSingleIP() {
			home[i] = netip.PrefixFrom(d.addr(p.Addr()), p.Bits())
		}
	}
	e.Home, e.Device = home, d.addr(e.Device)
	must := make([]Must, len(e.Must))
	for i, m := range e.Must {
		must[i] = m
		must[i].Subject = d.subject(m.Subject)
	}
	e.Must = must
	return e
}

// subject changes a subject that names an address, with or without a port.
func (d *disturbance) subject(s string) string {
	if ap, err := netip.ParseAddrPort(s); err == nil {
		return netip.AddrPortFrom(d.addr(ap.Addr()), d.port(ap.Port())).String()
	}
	if a, err := netip.ParseAddr(s); err == nil {
		return d.addr(a).String()
	}
	return s
}

// source returns src disturbed.
func (d *disturbance) source(src agent.Source) agent.Source {
	return &disturbed{disturbance: d, src: src}
}

// disturbed is a source whose frames are changed in a buffer of its own.
type disturbed struct {
	*disturbance
	src    agent.Source
	frames uint64
	buf    []byte
	packet packet.Packet
	quoted packet.Packet
	dns    dns.Message
}

// Next is agent.Source.
func (s *disturbed) Next(f *packet.Frame) error {
	for {
		if err := s.src.Next(f); err != nil {
			return err
		}
		if !s.known { // no time before 1970: 0 means "always" to the agent
			s.known = true
			if f.Time+int64(s.moved) <= 0 && s.moved < 0 {
				s.moved = -s.moved
			}
		}
		s.frames++
		if mix(s.seed^s.frames<<20)%lossOf != 0 {
			break
		}
	}
	s.buf = append(s.buf[:0], f.Data...)
	f.Data = s.buf
	f.Time += int64(s.moved)
	s.rewrite(f)
	return nil
}

// rewrite changes what the agent's parser finds in a frame. What that cannot
// read, the agent cannot either, and it stays.
func (s *disturbed) rewrite(f *packet.Frame) {
	p := &s.packet
	_ = p.Parse(f) // what was read before an error stays
	switch {
	case p.Has(packet.HasARP):
		b := f.Data[headerAt(f):]
		s.put4(b[14:])
		s.put4(b[24:])
	case p.Any(packet.HasIP):
		quotes := p.Quoted(&s.quoted)
		s.datagram(p, f.Data[headerAt(f):])
		if quotes {
			s.datagram(&s.quoted, p.Payload)
		}
		s.content(p)
	}
}

// headerAt returns where the network header of a frame begins, which Parse has
// found there.
func headerAt(f *packet.Frame) int {
	typ, at := 0, 0
	switch f.Link {
	case packet.LinkEthernet:
		typ, at = 12, 14
	case packet.LinkLinuxSLL:
		typ, at = 14, 16
	case packet.LinkLinuxSLL2:
		typ, at = 0, 20
	case packet.LinkNull, packet.LinkLoop:
		return 4
	default:
		return 0
	}
	for {
		switch binary.BigEndian.Uint16(f.Data[typ:]) {
		case packet.EtherVLAN, packet.EtherQinQ, packet.EtherQinQ1:
			typ, at = at+2, at+4
		case packet.EtherPPPoE:
			return at + 8 // RFC 2516 §4 and the PPP protocol
		default:
			return at
		}
	}
}

// datagram changes the headers of b, which p was parsed from, whole or quoted.
func (s *disturbed) datagram(p *packet.Packet, b []byte) {
	if p.Has(packet.HasIPv4) {
		s.put4(b[12:])
		s.put4(b[16:])
	} else {
		s.put6(b[8:])
		s.put6(b[24:])
	}
	b = b[p.IPHdrLen:]
	if !p.Any(packet.HasTCP | packet.HasUDP) {
		return
	}
	binary.BigEndian.PutUint16(b[0:], s.port(p.SrcPort))
	binary.BigEndian.PutUint16(b[2:], s.port(p.DstPort))
	if p.Has(packet.HasTCP|packet.HasIPv4) && len(b) >= 8 {
		s.follow(b[4:], p.Dst)
		if len(b) >= 12 {
			s.follow(b[8:], p.Src)
		}
	}
}

// follow changes a sequence or acknowledgement number that was made from an
// address, as Mirai's scanner does: the address itself, or one more, as the
// answer to it says (RFC 9293 §3.10.7.3).
func (s *disturbed) follow(b []byte, a netip.Addr) {
	raw := a.As4()
	was := binary.BigEndian.Uint32(raw[:])
	if more := binary.BigEndian.Uint32(b) - was; more <= 1 {
		binary.BigEndian.PutUint32(b, s.v4(was)+more)
	}
}

func (s *disturbed) put4(b []byte) {
	binary.BigEndian.PutUint32(b, s.v4(binary.BigEndian.Uint32(b)))
}

func (s *disturbed) put6(b []byte) {
	a := s.v6([16]byte(b))
	copy(b, a[:])
}

// The ports whose contents carry addresses.
const (
	portDNS        = 53
	portDHCPServer = 67
	portDHCPClient = 68
	portMDNS       = 5353
	portLLMNR      = 5355
)

// content changes the addresses in what the packet carries.
func (s *disturbed) content(p *packet.Packet) {
	b := p.Payload
	switch {
	case p.Has(packet.HasICMPv6):
		s.neighbour(p)
	case p.Has(packet.HasUDP):
		switch p.SrcPort {
		case portDNS, portMDNS, portLLMNR:
			s.answers(b)
		case portDHCPServer, portDHCPClient:
			s.lease(b)
		}
	case p.Has(packet.HasTCP) && p.SrcPort == portDNS:
		for len(b) >= 2 { // as many whole messages as a segment begins with, RFC 1035 §4.2.2
			n := 2 + int(binary.BigEndian.Uint16(b))
			if n > len(b) {
				break
			}
			s.answers(b[2:n])
			b = b[n:]
		}
	}
}

// answers changes the addresses in the records of a DNS message.
func (s *disturbed) answers(b []byte) {
	if s.dns.Parse(b) != nil {
		return
	}
	for r := s.dns.Records(); r.Next(); {
		switch a, ok := r.Addr(); {
		case ok && a.Is4():
			s.put4(r.Data)
		case ok:
			s.put6(r.Data)
		}
	}
}

// neighbour changes the addresses in solicitations, advertisements (RFC 4861
// §4.3, §4.4) and redirects (§4.5).
func (s *disturbed) neighbour(p *packet.Packet) {
	switch p.ICMPType {
	case 137:
		if len(p.Payload) >= 32 {
			s.put6(p.Payload[16:])
		}
		fallthrough
	case 135, 136:
		if len(p.Payload) >= 16 {
			s.put6(p.Payload)
		}
	}
}

// Where a DHCP message has addresses: the fixed header (RFC 2131 §2), and the
// options behind the cookie whose values are lists of them (RFC 2132 §3.5, §3.8,
// §9.1, §9.7).
var leaseFields = [...]int{12, 16, 20, 24}

const leaseOptions = 240

func isLeaseAddr(option byte) bool { return option == 3 || option == 6 || option == 50 || option == 54 }

// lease changes the addresses in a DHCP message.
func (s *disturbed) lease(b []byte) {
	if err := new(dhcp.Message).Parse(b); err == dhcp.ErrShort || err == dhcp.ErrCookie {
		return
	}
	for _, at := range leaseFields {
		s.put4(b[at:])
	}
	for b = b[leaseOptions:]; len(b) >= 2 && b[0] != 255; {
		if b[0] == 0 { // pad
			b = b[1:]
			continue
		}
		n := 2 + int(b[1])
		if n > len(b) {
			return
		}
		for at := 2; isLeaseAddr(b[0]) && at+4 <= n; at += 4 {
			s.put4(b[at:])
		}
		b = b[n:]
	}
}
