package eval

import (
	"bytes"
	"crypto/sha256"
	"encoding/binary"
	"net/netip"
	"slices"
	"testing"
	"time"

	"github.com/google/go-cmp/cmp"

	"cordon"
	"cordon/agent"
	"cordon/agent/capture/file"
	"cordon/agent/observe/dhcp"
	"cordon/agent/observe/dns"
	"cordon/agent/packet"
	"cordon/lab/synth"
)

// capture returns a synthetic capture as a source.
func capture(t *testing.T, scenario string, length time.Duration) agent.Source {
	t.Helper()
	var b bytes.Buffer
	if _, err := synth.Write(&b, scenario, synth.Options{Seed: 1, Duration: length}); err != nil {
		t.Fatal(err)
	}
	r, err := file.NewReader(&b, scenario, file.Config{})
	if err != nil {
		t.Fatal(err)
	}
	return file.Merge(r)
}

// tap keeps the last frame that went through it.
type tap struct {
	agent.Source
	frame packet.Frame
	count int
}

func (s *tap) Next(f *packet.Frame) error {
	err := s.Source.Next(f)
	s.frame = *f
	s.frame.Data = slices.Clone(f.Data)
	s.count++
	return err
}

// addresses returns every address that the agent reads in a frame, in order.
func addresses(f *packet.Frame) (all []netip.Addr) {
	var p, q packet.Packet
	_ = p.Parse(f)
	all = append(all, p.Src, p.Dst)
	if p.Quoted(&q) {
		all = append(all, q.Src, q.Dst)
	}
	var d dns.Message
	if p.Has(packet.HasUDP) && (p.SrcPort == 53 || p.SrcPort == 5353) && d.Parse(p.Payload) == nil {
		for r := d.Records(); r.Next(); {
			if a, ok := r.Addr(); ok {
				all = append(all, a)
			}
		}
	}
	var l dhcp.Message
	if p.Has(packet.HasUDP) && (p.SrcPort == 67 || p.SrcPort == 68) && l.Parse(p.Payload) == nil {
		all = append(all, l.Client, l.Requested, l.Server, l.Router)
	}
	if p.Has(packet.HasICMPv6) && (p.ICMPType == 135 || p.ICMPType == 136) && len(p.Payload) >= 16 {
		all = append(all, netip.AddrFrom16([16]byte(p.Payload)))
	}
	return all
}

func TestDisturbedFramesAreConsistent(t *testing.T) {
	for _, scenario := range []string{"mirai", "busy"} {
		t.Run(scenario, func(t *testing.T) {
			home := prefixes("192.168.1.0/24", "2001:db8:1::/64")
			d := newDisturbance(5, home)
			source := &tap{Source: capture(t, scenario, 40*time.Second)}
			disturbed := d.source(source)
			var f packet.Frame
			kept, marks, named, v6 := 0, 0, 0, 0
			for ; disturbed.Next(&f) == nil; kept++ {
				was := addresses(&source.frame)
				want := make([]netip.Addr, len(was))
				for i, a := range was {
					want[i] = d.addr(a)
				}
				if is := addresses(&f); !slices.Equal(is, want) {
					t.Fatalf("frame %d: addresses %v became %v, want %v", source.count, was, is, want)
				}
				if f.Time-source.frame.Time != int64(d.moved) || len(f.Data) != len(source.frame.Data) {
					t.Fatalf("frame %d: moved by %v, want %v", source.count, f.Time-source.frame.Time, d.moved)
				}
				var a, b packet.Packet
				_, _ = a.Parse(&source.frame), b.Parse(&f)
				if marked(&a) {
					marks++
				}
				if marked(&a) != marked(&b) || a.Layers != b.Layers || b.SrcPort != d.port(a.SrcPort) && !b.Any(packet.HasICMP|packet.HasICMPv6) {
					t.Fatalf("frame %d: became another packet:\n%s", source.count, cmp.Diff(a.TCPFlags, b.TCPFlags))
				}
				if len(was) > 2 && a.Has(packet.HasUDP) {
					named++
				}
				if a.Has(packet.HasIPv6) {
					v6++
				}
			}
			lost := source.count - 1 - kept
			if share := float64(lost) / float64(source.count); share < 0.003 || share > 0.02 {
				t.Errorf("lost %d of %d frames", lost, source.count)
			}
			if scenario == "mirai" && marks < 100 || named == 0 || v6 == 0 {
				t.Errorf("saw %d Mirai SYNs, %d answers and leases, %d IPv6 packets: too few to show anything", marks, named, v6)
			}
		})
	}
}

// marked reports whether p is a SYN as Mirai's scanner writes it.
func marked(p *packet.Packet) bool {
	a := p.Dst.Unmap()
	return p.Has(packet.HasTCP) && p.TCPFlags == packet.SYN && a.Is4() && netip.AddrFrom4(be(p.Seq)) == a
}

func be(x uint32) (b [4]byte) {
	binary.BigEndian.PutUint32(b[:], x)
	return b
}

func TestDisturbanceIsDeterministic(t *testing.T) {
	digest := func(seed uint64) [32]byte {
		h := sha256.New()
		source := newDisturbance(seed, nil).source(capture(t, "mirai", 15*time.Second))
		for f := (packet.Frame{}); source.Next(&f) == nil; {
			h.Write(binary.BigEndian.AppendUint64(f.Data, uint64(f.Time)))
		}
		return [32]byte(h.Sum(nil))
	}
	first, again, other := digest(1), digest(1), digest(2)
	if first != again {
		t.Error("one seed gives two captures")
	}
	if first == other {
		t.Error("two seeds give one capture")
	}
}

// frames is a source of given frames.
type frames []packet.Frame

func (s *frames) Next(f *packet.Frame) error {
	if len(*s) == 0 {
		return errEnd
	}
	*f, *s = (*s)[0], (*s)[1:]
	return nil
}

var errEnd = endError("end")

type endError string

func (e endError) Error() string { return string(e) }

func TestNoTimeBefore1970(t *testing.T) {
	for seed := range uint64(20) {
		source := newDisturbance(seed, nil).source(&frames{{Time: 0}, {Time: 1}})
		if f := (packet.Frame{}); source.Next(&f) == nil && f.Time <= 0 {
			t.Errorf("seed %d: a frame of 1970 is now at %d", seed, f.Time)
		}
	}
}

// ipv4 returns a datagram.
func ipv4(proto byte, src, dst string, payload ...byte) []byte {
	b := []byte{0x45, 0, 0, byte(20 + len(payload)), 0, 0, 0, 0, 64, proto, 0, 0}
	s, d := netip.MustParseAddr(src).As4(), netip.MustParseAddr(dst).As4()
	return slices.Concat(b, s[:], d[:], payload)
}

func tcp(src, dst uint16, seq, ack uint32, flags byte) []byte {
	b := binary.BigEndian.AppendUint16(binary.BigEndian.AppendUint16(nil, src), dst)
	b = binary.BigEndian.AppendUint32(binary.BigEndian.AppendUint32(b, seq), ack)
	return append(b, 0x50, flags, 0, 0, 0, 0, 0, 0)
}

func number(a netip.Addr) uint32 {
	b := a.As4()
	return binary.BigEndian.Uint32(b[:])
}

// disturb returns the packet that comes of data.
func disturb(t *testing.T, d *disturbance, link packet.LinkType, data []byte) (p packet.Packet) {
	t.Helper()
	s := d.source(nil).(*disturbed)
	f := packet.Frame{Link: link, Len: len(data), Data: slices.Clone(data)}
	s.rewrite(&f)
	if err := p.Parse(&f); err != nil {
		t.Fatalf("link type %d: %v", link, err)
	}
	return p
}

func TestDisturbedMirai(t *testing.T) {
	d := newDisturbance(9, nil)
	bot, victim := "192.168.1.20", "45.67.89.10"
	to := number(netip.MustParseAddr(victim))
	newTo := number(d.addr(netip.MustParseAddr(victim)))
	if to == newTo {
		t.Fatal("the victim keeps its address: take another seed")
	}
	syn := ipv4(6, bot, victim, tcp(40000, 23, to, 0, packet.SYN)...)
	if p := disturb(t, d, packet.LinkRaw, syn); p.Seq != newTo || p.SrcPort != d.port(40000) || p.DstPort != 23 {
		t.Errorf("SYN: seq %08x from port %d, want %08x from %d", p.Seq, p.SrcPort, newTo, d.port(40000))
	}
	answer := disturb(t, d, packet.LinkRaw, ipv4(6, victim, bot, tcp(23, 40000, 77, to+1, packet.SYN|packet.ACK)...))
	if answer.Ack != newTo+1 || answer.Seq != 77 || answer.DstPort != d.port(40000) {
		t.Errorf("SYN-ACK: ack %08x, want %08x; seq %d", answer.Ack, newTo+1, answer.Seq)
	}
	p := disturb(t, d, packet.LinkRaw, ipv4(1, "10.0.0.1", bot, append([]byte{3, 1, 0, 0, 0, 0, 0, 0}, syn[:28]...)...))
	var q packet.Packet
	if !p.Quoted(&q) || q.Seq != newTo || q.SrcPort != d.port(40000) || q.Src != d.addr(netip.MustParseAddr(bot)) {
		t.Errorf("quote: %v:%d seq %08x, want seq %08x", q.Src, q.SrcPort, q.Seq, newTo)
	}
	ordinary := disturb(t, d, packet.LinkRaw, ipv4(6, bot, victim, tcp(40000, 23, 12345, 0, packet.SYN)...))
	if ordinary.Seq != 12345 {
		t.Errorf("an ordinary SYN's sequence number became %d", ordinary.Seq)
	}
}

func TestDisturbedLinks(t *testing.T) {
	d := newDisturbance(9, nil)
	ip := ipv4(17, "192.168.1.20", "45.67.89.10", 0xc3, 0x50, 0, 99, 0, 8, 0, 0)
	mac := make([]byte, 12)
	for _, c := range []struct {
		name string
		link packet.LinkType
		head []byte
	}{
		{"ethernet", packet.LinkEthernet, append(mac, 8, 0)},
		{"tagged", packet.LinkEthernet, append(mac, 0x81, 0, 0, 7, 8, 0)},
		{"double tagged", packet.LinkEthernet, append(mac, 0x88, 0xa8, 0, 7, 0x81, 0, 0, 9, 8, 0)},
		{"PPPoE", packet.LinkEthernet, append(mac, 0x88, 0x64, 0x11, 0, 0, 1, 0, byte(2+len(ip)), 0, 0x21)},
		{"cooked", packet.LinkLinuxSLL, append(make([]byte, 14), 8, 0)},
		{"cooked 2", packet.LinkLinuxSLL2, append([]byte{8, 0}, make([]byte, 18)...)},
		{"cooked 2 tagged", packet.LinkLinuxSLL2, append(append([]byte{0x81, 0}, make([]byte, 18)...), 0, 7, 8, 0)},
		{"loopback", packet.LinkNull, []byte{2, 0, 0, 0}},
		{"raw", packet.LinkRaw, nil},
		{"IPv4", packet.LinkIPv4, nil},
	} {
		p := disturb(t, d, c.link, slices.Concat(c.head, ip))
		want := [2]netip.Addr{d.addr(netip.MustParseAddr("192.168.1.20")), d.addr(netip.MustParseAddr("45.67.89.10"))}
		if got := [2]netip.Addr{p.Src, p.Dst}; got != want || p.SrcPort != d.port(50000) {
			t.Errorf("%s: %v port %d, want %v port %d", c.name, got, p.SrcPort, want, d.port(50000))
		}
	}
}

// TestDisturbedContents gives addresses in all the places where a packet carries
// them, and checks each.
func TestDisturbedContents(t *testing.T) {
	d := newDisturbance(9, nil)
	old, public := netip.MustParseAddr("10.0.0.77"), netip.MustParseAddr("45.67.89.10")
	six := netip.MustParseAddr("2a00:1450:4001:82b::200e")
	v4, p4, v6 := old.AsSlice(), public.AsSlice(), six.AsSlice()
	if d.addr(old) == old || d.addr(public) == public || d.addr(six) == six {
		t.Fatal("an address keeps itself: take another seed")
	}
	udp := func(port byte, payload []byte) []byte {
		n := 8 + len(payload)
		return slices.Concat([]byte{0, port, 0, 99, byte(n >> 8), byte(n), 0, 0}, payload)
	}
	whole := func(proto byte, payload []byte) []byte {
		b := ipv4(proto, "8.8.8.8", "192.168.1.20", payload...)
		binary.BigEndian.PutUint16(b[2:], uint16(len(b)))
		return b
	}
	answer := slices.Concat([]byte{0, 1, 0x80, 0, 0, 0, 0, 2, 0, 0, 0, 0},
		[]byte{0, 0, 1, 0, 1, 0, 0, 0, 9, 0, 4}, p4, []byte{0, 0, 28, 0, 1, 0, 0, 0, 9, 0, 16}, v6)
	lease := slices.Concat([]byte{2, 1, 6, 0}, make([]byte, 8), v4, v4, v4, v4, make([]byte, 208), []byte{0x63, 0x82, 0x53, 0x63},
		[]byte{0, 50, 4}, v4, []byte{12, 4}, v4, []byte{54, 4}, v4, []byte{3, 8}, v4, p4, []byte{6, 4}, p4, []byte{255})
	ndp := func(kind byte, targets ...[]byte) []byte {
		body := slices.Concat(append([][]byte{{kind, 0, 0, 0, 0, 0, 0, 0}}, targets...)...)
		return slices.Concat([]byte{0x60, 0, 0, 0, 0, byte(len(body)), 58, 255}, v6, v6, body)
	}
	for _, c := range []struct {
		name string
		ip   []byte
		kept int // how often an address is text, not an address
	}{
		{"DNS", whole(17, udp(53, answer)), 0},
		{"mDNS", whole(17, append([]byte{0x14, 0xe9}, udp(0, answer)[2:]...)), 0},
		{"DNS over TCP", whole(6, slices.Concat(tcp(53, 99, 1, 1, packet.ACK), []byte{0, byte(len(answer))}, answer, []byte{0, byte(len(answer))}, answer)), 0},
		{"DHCP", whole(17, udp(67, lease)), 1},
		{"solicitation", ndp(135, v6), 0},
		{"advertisement", ndp(136, v6), 0},
		{"redirect", ndp(137, v6, v6), 0},
	} {
		count := func(b []byte, addrs ...[]byte) (n int) {
			for _, a := range addrs {
				n += bytes.Count(b, a)
			}
			return n
		}
		s := d.source(nil).(*disturbed)
		f := packet.Frame{Link: packet.LinkRaw, Len: len(c.ip), Data: slices.Clone(c.ip)}
		s.rewrite(&f)
		before, kept := count(c.ip, v4, p4, v6), count(f.Data, v4, p4, v6)
		changed := count(f.Data, d.addr(old).AsSlice(), d.addr(public).AsSlice(), d.addr(six).AsSlice())
		if kept != c.kept || changed != before-c.kept {
			t.Errorf("%s: of %d addresses %d changed and %d kept, want %d kept", c.name, before, changed, kept, c.kept)
		}
	}
}

func TestDisturbedEntry(t *testing.T) {
	d := newDisturbance(4, prefixes("176.192.150.3/32", "10.0.0.0/8"))
	host, peer := netip.MustParseAddr("176.192.150.3"), netip.MustParseAddr("92.222.66.137")
	got := d.entry(Entry{Home: d.home, Device: host, Must: []Must{
		{Any: []cordon.Kind{cordon.C2Keepalive}, Subject: "92.222.66.137:23"}, {Subject: "telnet (23, 2323)"}}})
	want := Entry{Home: []netip.Prefix{netip.PrefixFrom(d.addr(host), 32), netip.MustParsePrefix("10.0.0.0/8")}, Device: d.addr(host),
		Must: []Must{{Any: []cordon.Kind{cordon.C2Keepalive}, Subject: d.addr(peer).String() + ":23"}, {Subject: "telnet (23, 2323)"}}}
	if diff := cmp.Diff(want, got, cmp.Comparer(func(a, b netip.Addr) bool { return a == b }),
		cmp.Comparer(func(a, b netip.Prefix) bool { return a == b })); diff != "" {
		t.Errorf("entry (-want +got):\n%s", diff)
	}
	if got.Device == host {
		t.Error("the device keeps its address: take another seed")
	}
}

func FuzzRewrite(f *testing.F) {
	f.Add(uint16(packet.LinkEthernet), append(make([]byte, 12), 8, 6, 0, 1, 8, 0, 6, 4))
	f.Add(uint16(packet.LinkRaw), ipv4(6, "192.168.1.20", "45.67.89.10", tcp(40000, 23, 1, 0, 2)...))
	f.Add(uint16(packet.LinkRaw), ipv4(17, "8.8.8.8", "192.168.1.20", 0, 53, 0x90, 0, 0, 20, 0, 0, 0, 0, 0x80, 0, 0, 0, 0, 1, 0, 0, 0, 0))
	d := newDisturbance(1, nil)
	f.Fuzz(func(t *testing.T, link uint16, data []byte) {
		was := packet.Frame{Link: packet.LinkType(link), Len: len(data), Data: data}
		is := was
		is.Data = slices.Clone(data)
		d.source(nil).(*disturbed).rewrite(&is)
		var a, b packet.Packet
		ea, eb := a.Parse(&was), b.Parse(&is)
		if ea != eb || a.Layers != b.Layers || b.Src != d.addr(a.Src) || b.Dst != d.addr(a.Dst) {
			t.Errorf("%v, %v, %v → %v became %v, %v, %v → %v", ea, a.Layers, a.Src, a.Dst, eb, b.Layers, b.Src, b.Dst)
		}
	})
}
