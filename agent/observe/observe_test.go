package observe

import (
	"net/netip"
	"strings"
	"testing"

	"github.com/google/go-cmp/cmp"
	peer "github.com/miekg/dns"

	"cordon"
	"cordon/agent/packet"
)

var (
	device   = netip.MustParseAddr("192.168.1.10")
	resolver = netip.MustParseAddr("192.168.1.1")
	multi    = netip.MustParseAddr("224.0.0.251")
	mac      = packet.MAC{2, 0, 0, 0, 0, 7}
)

// fact is an observation as a test writes it: what the slices hold.
type fact struct {
	Fact           cordon.Fact
	Peer           string
	Name           string
	Addrs          string
	Type           uint16
	RCode          uint8
	TTL            uint32
	Vendor, Params string
	Client         string
	Service, Model string
}

func collect(r *Reader, packets ...*packet.Packet) []fact {
	var all []fact
	for i, p := range packets {
		if !Wants(p) {
			continue
		}
		r.Facts(p, cordon.Time(i), func(o *cordon.Observation) {
			var addrs []string
			for _, a := range o.Addrs {
				addrs = append(addrs, a.String())
			}
			all = append(all, fact{o.Fact, o.Peer.String(), string(o.Name), strings.Join(addrs, " "), o.DNSType, o.RCode,
				o.TTL, string(o.Vendor), string(o.Params), string(o.Client), string(o.Service), string(o.Model)})
		})
	}
	return all
}

func udp(src netip.Addr, srcPort uint16, dst netip.Addr, dstPort uint16, payload []byte) *packet.Packet {
	l := packet.HasMAC | packet.HasUDP | packet.HasIPv4
	if src.Is6() {
		l = packet.HasMAC | packet.HasUDP | packet.HasIPv6
	}
	return &packet.Packet{Layers: l, SrcMAC: mac, Src: src, Dst: dst, Proto: packet.ProtoUDP,
		SrcPort: srcPort, DstPort: dstPort, Payload: payload, PayloadLen: len(payload)}
}

// message packs a DNS message: a question, then records in the peer's text
// form; those behind "--" go into the additional section.
func message(t testing.TB, question string, qtype uint16, records ...string) []byte {
	t.Helper()
	m := new(peer.Msg)
	if question != "" {
		m.SetQuestion(question, qtype)
	}
	m.Compress, m.Response = true, len(records) > 0
	to := &m.Answer
	for _, s := range records {
		if s == "--" {
			to = &m.Extra
			continue
		}
		rr, err := peer.NewRR(s)
		if err != nil {
			t.Fatal(err)
		}
		if rr != nil {
			*to = append(*to, rr)
		}
	}
	b, err := m.Pack()
	if err != nil {
		t.Fatal(err)
	}
	return b
}

// response is message with an RCODE, and a response also without records.
func response(t testing.TB, rcode byte, question string, qtype uint16, records ...string) []byte {
	b := message(t, question, qtype, append([]string{""}, records...)...)
	b[3] |= rcode
	return b
}

func TestDomain(t *testing.T) {
	ask := func(b []byte) *packet.Packet { return udp(device, 40000, resolver, portDNS, b) }
	told := func(b []byte) *packet.Packet { return udp(resolver, portDNS, device, 40000, b) }
	chained := message(t, "A.example.org.", peer.TypeA,
		"a.example.org. 5 IN CNAME b.example.net.", "b.example.net. 900 IN CNAME c.example.net.",
		"c.example.net. 300 IN A 192.0.2.1", "C.example.net. 60 IN A 192.0.2.2", "other.example. 1 IN A 192.0.2.9")
	many := []string{}
	for range 40 {
		many = append(many, "a.example.org. 5 IN A 192.0.2.1")
	}
	tests := []struct {
		name string
		in   *packet.Packet
		want []fact
	}{
		{"query", ask(message(t, "WWW.Example.org.", peer.TypeAAAA)),
			[]fact{{Fact: cordon.FactDNSQuery, Peer: "192.168.1.1", Name: "www.example.org", Type: peer.TypeAAAA}}},
		{"answer through aliases", told(chained),
			[]fact{{Fact: cordon.FactDNSAnswer, Peer: "192.168.1.1", Name: "a.example.org", Type: peer.TypeA,
				Addrs: "192.0.2.1 192.0.2.2", TTL: 60}}},
		{"aliases out of order", told(message(t, "a.example.org.", peer.TypeAAAA,
			"c.example.net. 300 IN AAAA 2001:db8::1", "b.example.net. 9 IN CNAME c.example.net.", "a.example.org. 5 IN CNAME b.example.net.")),
			[]fact{{Fact: cordon.FactDNSAnswer, Peer: "192.168.1.1", Name: "a.example.org", Type: peer.TypeAAAA,
				Addrs: "2001:db8::1", TTL: 300}}},
		{"aliases in a circle", told(message(t, "a.example.", peer.TypeA, "b.example. 9 IN CNAME a.example.", "a.example. 5 IN CNAME b.example.")),
			[]fact{{Fact: cordon.FactDNSAnswer, Peer: "192.168.1.1", Name: "a.example", Type: peer.TypeA}}},
		{"additional section does not count", told(message(t, "a.example.", peer.TypeA, "--", "a.example. 5 IN A 192.0.2.1")),
			[]fact{{Fact: cordon.FactDNSAnswer, Peer: "192.168.1.1", Name: "a.example", Type: peer.TypeA}}},
		{"more addresses than are told", told(message(t, "a.example.org.", peer.TypeA, many...)),
			[]fact{{Fact: cordon.FactDNSAnswer, Peer: "192.168.1.1", Name: "a.example.org", Type: peer.TypeA,
				Addrs: strings.TrimSpace(strings.Repeat("192.0.2.1 ", MaxAddrs)), TTL: 5}}},
		{"no such name", told(response(t, 3, "x.example.", peer.TypeA)),
			[]fact{{Fact: cordon.FactDNSAnswer, Peer: "192.168.1.1", Name: "x.example", Type: peer.TypeA, RCode: 3}}},
		{"cut among the answers", told(chained[:len(chained)-35]),
			[]fact{{Fact: cordon.FactDNSAnswer, Peer: "192.168.1.1", Name: "a.example.org", Type: peer.TypeA,
				Addrs: "192.0.2.1", TTL: 300}}},
		{"answer to port 53", ask(chained), nil},
		{"query from port 53", told(message(t, "a.example.", peer.TypeA)), nil},
		{"not DNS", ask([]byte("hello, this is no DNS at all")), nil},
		{"other port", udp(device, 1, resolver, 54, chained), nil},
	}
	for _, tt := range tests {
		t.Run(tt.name, func(t *testing.T) {
			if diff := cmp.Diff(tt.want, collect(New(Config{}), tt.in)); diff != "" {
				t.Errorf("want (-), got (+):\n%s", diff)
			}
		})
	}
}

func TestNeighbour(t *testing.T) {
	arp := func(op uint16, sender, target string) *packet.Packet {
		return &packet.Packet{Layers: packet.HasMAC | packet.HasARP, SrcMAC: mac, ARPSender: mac, ARPOp: op,
			Src: netip.MustParseAddr(sender), Dst: netip.MustParseAddr(target)}
	}
	proxy := arp(arpReply, "192.168.1.30", "192.168.1.1")
	proxy.ARPSender = packet.MAC{2, 0, 0, 0, 0, 8}
	ndp := func(kind uint8, src, target, options string) *packet.Packet {
		a := netip.MustParseAddr(target).As16()
		return &packet.Packet{Layers: packet.HasMAC | packet.HasIPv6 | packet.HasICMPv6, SrcMAC: mac, TTL: 255, ICMPType: kind,
			Src: netip.MustParseAddr(src), Dst: netip.MustParseAddr("ff02::1"), Payload: append(a[:], options...)}
	}
	far := ndp(typeSolicitation, "fe80::1", "fe80::2", "")
	far.TTL = 64
	advert := func(src string, flags byte) *packet.Packet {
		p := ndp(typeRouterAdvertisement, src, "::", "")
		prefix := netip.MustParseAddr("2001:db8:7::").As16()
		p.Payload = append([]byte{0, 0, 0, 0, 0, 0, 0, 0, 1, 1, 2, 0, 0, 0, 0, 7, 3, 4, 64, flags, 0, 0, 1, 0, 0, 0, 1, 0, 0, 0, 0, 0}, prefix[:]...)
		return p
	}
	short := ndp(typeSolicitation, "fe80::1", "fe80::2", "")
	short.Payload = short.Payload[:15]
	tests := []struct {
		name string
		in   *packet.Packet
		want []fact
	}{
		{"request", arp(arpRequest, "192.168.1.10", "192.168.1.20"), []fact{{Fact: cordon.FactARP, Peer: "192.168.1.20", Addrs: "192.168.1.20"}}},
		{"reply", arp(arpReply, "192.168.1.10", "192.168.1.1"), []fact{{Fact: cordon.FactAddress, Peer: "192.168.1.1", Addrs: "192.168.1.10"}}},
		{"announcement", arp(arpRequest, "192.168.1.10", "192.168.1.10"), []fact{{Fact: cordon.FactAddress, Peer: "192.168.1.10", Addrs: "192.168.1.10"}}},
		{"probe", arp(arpRequest, "0.0.0.0", "192.168.1.10"), nil},
		{"proxy", proxy, nil},
		{"reverse ARP", arp(3, "192.168.1.10", "192.168.1.1"), nil},
		{"solicitation", ndp(typeSolicitation, "fe80::1", "fe80::2", "\x01\x01\x02\x00\x00\x00\x00\x07"),
			[]fact{{Fact: cordon.FactNeighbour, Peer: "ff02::1", Addrs: "fe80::2"}}},
		{"duplicate address detection", ndp(typeSolicitation, "::", "fe80::2", ""), nil},
		{"advertisement", ndp(typeAdvertisement, "fe80::1", "2001:db8::1", "\x02\x01\x02\x00\x00\x00\x00\x07"),
			[]fact{{Fact: cordon.FactAddress, Peer: "ff02::1", Addrs: "2001:db8::1"}}},
		{"proxy advertisement", ndp(typeAdvertisement, "fe80::1", "2001:db8::1", "\x01\x01\x02\x00\x00\x00\x00\x07\x02\x01\x02\x00\x00\x00\x00\x08"), nil},
		{"router advertisement", advert("fe80::1", 0xc0), []fact{{Fact: cordon.FactPrefix, Peer: "ff02::1", Addrs: "2001:db8:7::"}}},
		{"prefix that is not on the link", advert("fe80::1", 0x40), nil},
		{"router advertisement from afar", advert("2001:db8::1", 0xc0), nil},
		{"multicast target", ndp(typeSolicitation, "fe80::1", "ff02::2", ""), nil},
		{"through a router", far, nil},
		{"short", short, nil},
	}
	for _, tt := range tests {
		t.Run(tt.name, func(t *testing.T) {
			if diff := cmp.Diff(tt.want, collect(New(Config{}), tt.in)); diff != "" {
				t.Errorf("want (-), got (+):\n%s", diff)
			}
		})
	}
}

// samples is one packet of each kind.
func samples(t testing.TB) []*packet.Packet {
	tcp := segment(1, framed(message(t, "a.example.", peer.TypeA, "a.example. 5 IN A 192.0.2.1")))
	return []*packet.Packet{
		udp(resolver, portDNS, device, 40000, message(t, "a.example.", peer.TypeA, "a.example. 9 IN CNAME b.example.", "b.example. 5 IN A 192.0.2.1")),
		udp(device, portMDNS, multi, portMDNS, lamp(t)),
		udp(device, portDHCPClient, resolver, portDHCPServer, lease(1, "\x35\x01\x03\x0c\x03Cam")),
		udp(resolver, portDHCPServer, device, portDHCPClient, lease(2, "\x35\x01\x05\x36\x04\xc0\xa8\x01\x01")),
		udp(local6, 546, servers6, portDHCP6Server, []byte("\x01xid\x00\x01\x00\x02id\x00\x06\x00\x02\x00\x17\x00\x27\x00\x05\x00\x03Cam")),
		udp(device, 40000, multi, portSSDP, []byte("M-SEARCH * HTTP/1.1\r\nST: ssdp:all\r\n\r\n")),
		udp(device, portSSDP, multi, 40000, []byte("HTTP/1.1 200 OK\r\nST: urn:a\r\nLOCATION: http://192.168.1.10/\r\nSERVER: a UPnP/1.0 TV/1\r\n\r\n")),
		tcp,
		{Layers: packet.HasARP, ARPOp: arpRequest, Src: device, Dst: resolver},
		{Layers: packet.HasICMPv6 | packet.HasIPv6, ICMPType: typeSolicitation, TTL: 255, Src: netip.MustParseAddr("fe80::1"), Payload: make([]byte, 16)},
	}
}

func TestFactsAllocatesNothing(t *testing.T) {
	r, packets, facts := New(Config{}), samples(t), 0
	count := func(*cordon.Observation) { facts++ }
	n := testing.AllocsPerRun(100, func() {
		for _, p := range packets {
			r.Facts(p, 0, count)
		}
	})
	if n != 0 {
		t.Errorf("%v allocations for %d packets, want 0", n, len(packets))
	}
	if facts < 8*100 {
		t.Errorf("only %d facts: the measurement did not do the work", facts)
	}
}

// TestCut cuts each sample at every byte and corrupts every byte.
func TestCut(t *testing.T) {
	r := New(Config{})
	for _, p := range samples(t) {
		whole := p.Payload
		for n := range whole {
			p.Payload = whole[:n]
			r.Facts(p, 0, check(t))
			bad := append([]byte(nil), whole...)
			for _, c := range []byte{0, 0xc0, 0xff} {
				bad[n] = c
				p.Payload = bad
				r.Facts(p, 0, check(t))
			}
		}
	}
}

// check is what holds for every observation.
func check(t testing.TB) func(*cordon.Observation) {
	return func(o *cordon.Observation) {
		if o.Fact == 0 || o.Device != nil {
			t.Errorf("fact %d, device %v", o.Fact, o.Device)
		}
		for _, s := range [][]byte{o.Name, o.Service, o.Model, o.Vendor, o.Client, o.Params} {
			if len(s) > MaxText {
				t.Errorf("fact %d: text of %d bytes", o.Fact, len(s))
			}
		}
		if len(o.Addrs) > MaxAddrs {
			t.Errorf("fact %d: %d addresses", o.Fact, len(o.Addrs))
		}
	}
}

func FuzzFacts(f *testing.F) {
	for _, p := range samples(f) {
		f.Add(uint16(p.Layers), p.SrcPort, p.DstPort, p.ICMPType, p.Payload)
	}
	f.Fuzz(func(t *testing.T, layers, srcPort, dstPort uint16, kind uint8, payload []byte) {
		p := &packet.Packet{Layers: packet.Layers(layers), SrcPort: srcPort, DstPort: dstPort, ICMPType: kind, TTL: 255,
			ARPOp: uint16(kind), Src: device, Dst: resolver, Payload: payload, PayloadLen: len(payload)}
		Wants(p)
		New(Config{Streams: 2}).Facts(p, 0, check(t))
	})
}

func BenchmarkFacts(b *testing.B) {
	r, p := New(Config{}), samples(b)[0]
	nothing := func(*cordon.Observation) {}
	b.ReportAllocs()
	for b.Loop() {
		r.Facts(p, 0, nothing)
	}
}

func BenchmarkMDNS(b *testing.B) {
	r, p := New(Config{}), samples(b)[1]
	nothing := func(*cordon.Observation) {}
	b.ReportAllocs()
	for b.Loop() {
		r.Facts(p, 0, nothing)
	}
}
