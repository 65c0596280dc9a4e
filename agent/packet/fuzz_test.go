package packet

import (
	"reflect"
	"testing"
	"unsafe"
)

func FuzzParse(f *testing.F) {
	for _, s := range seeds(f) {
		f.Add(uint16(s.Link), s.Len, s.Data)
	}
	f.Fuzz(func(t *testing.T, link uint16, size int, data []byte) {
		fr := Frame{Link: LinkType(link), Len: size, Data: data}
		var p, again, q Packet
		err := p.Parse(&fr)
		checkInvariants(t, &p, &fr, err)
		again.VLAN = 1
		if err2 := again.Parse(&fr); err2 != err || !reflect.DeepEqual(p, again) {
			t.Fatalf("second parse differs: %v, then %v", err, err2)
		}
		p.MSS()
		if p.Quoted(&q) != q.Any(HasIP) {
			t.Fatal("quoted without an IP header")
		}
		checkSlices(t, &q, data)
	})
}

// seeds is one frame for each path through Parse.
func seeds(t testing.TB) []Frame {
	ip6 := "60000000 000c 11 ff" + src6 + dst6 + udp4
	return []Frame{
		ether(t, "0800", ip4TCP, tcpSYN),
		ether(t, "8100 0001 88a8 0002 0800", ip4UDP, udp4),
		ether(t, "8864 11 00 0001 002a 0021", ip4TCP, tcpSYN),
		ether(t, "0806", arpReply),
		ether(t, "86dd", ip6),
		ether(t, "86dd 60000000 0024 00 ff", src6, dst6, "3c00 050200000100 2c00 010400000000 1100 0001 00000001", udp4),
		ether(t, "86dd 60000000 0024 33 ff", src6, dst6, "1104 0000 00000001 00000002 aabbccdd aabbccdd aabbccdd", udp4),
		ether(t, "0800 45000026 12344000 402f 0000 c0000201 c6336402 b000 0800 aaaaaaaa bbbbbbbb cccccccc 0101"),
		ether(t, "0800 45000038 00000000 4001 0000 c6336402 c0000201 03010000 00000000", ip4TCP, "9c40 0017 01020304"),
		ether(t, "0800 4600002c 12342000 4006 0000 c0000201 c6336402 94040000 9c40 0017 01020304 00000000 60 02 7210 0000 0000 020405b4"),
		frame(t, LinkLinuxSLL, "0004 0001 0006 020000000001 0000 0800", ip4TCP, tcpSYN),
		frame(t, LinkLinuxSLL2, "0800 0000 00000003 0001 04 06 020000000001 0000", ip4TCP, tcpSYN),
		frame(t, LinkNull, "1e000000", ip6),
		frame(t, LinkRaw, ip6),
	}
}

func checkInvariants(t *testing.T, p *Packet, f *Frame, err error) {
	t.Helper()
	checkSlices(t, p, f.Data)
	if p.PayloadLen < len(p.Payload) || p.PayloadLen > max(f.Len, len(f.Data)) {
		t.Fatalf("payload of %d bytes, %d captured, frame of %d", p.PayloadLen, len(p.Payload), f.Len)
	}
	transport := p.Layers & (HasTCP | HasUDP | HasICMP | HasICMPv6 | HasGRE)
	switch {
	case transport&(transport-1) != 0:
		t.Fatalf("two transports: %b", p.Layers)
	case transport != 0 && !p.Any(HasIP):
		t.Fatalf("transport without IP: %b", p.Layers)
	case p.Has(HasIP), p.Has(HasARP) && p.Any(HasIP):
		t.Fatalf("two network layers: %b", p.Layers)
	case p.Has(HasICMP) && p.Has(HasIPv6), p.Has(HasICMPv6) && p.Has(HasIPv4):
		t.Fatalf("ICMP over the other IP version: %b", p.Layers)
	case transport != 0 && p.FragOff > 0:
		t.Fatal("transport header in a later fragment")
	case transport != 0 && err != nil:
		t.Fatalf("transport and %v", err)
	case p.Any(HasIP|HasARP) && (!p.Src.IsValid() || !p.Dst.IsValid()):
		t.Fatal("no addresses")
	case p.Any(HasIP) && (p.IPHdrLen > p.IPLen || p.IPLen > max(f.Len, len(f.Data))):
		t.Fatalf("datagram of %d bytes, header %d, frame %d", p.IPLen, p.IPHdrLen, f.Len)
	}
}

func checkSlices(t *testing.T, p *Packet, data []byte) {
	t.Helper()
	for _, s := range [][]byte{p.Payload, p.TCPOptions} {
		if len(s) == 0 {
			continue
		}
		at := uintptr(unsafe.Pointer(&s[0])) - uintptr(unsafe.Pointer(&data[0]))
		if at >= uintptr(len(data)) || at+uintptr(len(s)) > uintptr(len(data)) {
			t.Fatalf("slice of %d bytes at %d leaves the frame of %d", len(s), at, len(data))
		}
	}
}

func TestParseDoesNotAllocate(t *testing.T) {
	frames := append(seeds(t), ether(t, "88cc 0207"), ether(t, "0800", ip4TCP))
	var p, q Packet
	var failed error
	n := testing.AllocsPerRun(100, func() {
		for i := range frames {
			if err := p.Parse(&frames[i]); err != nil {
				failed = err
			}
			p.MSS()
			p.Quoted(&q)
		}
	})
	if n != 0 {
		t.Errorf("%v allocations per run", n)
	}
	if failed == nil {
		t.Error("no frame failed; the error path was not measured")
	}
}

func BenchmarkParse(b *testing.B) {
	data := "160301" + "00112233445566778899aabbccddeeff"
	for _, bb := range []struct {
		name  string
		frame Frame
	}{
		{"ipv4-tcp", ether(b, "0800 45000047 12344000 4006 0000 c0000201 c6336402",
			"9c40 01bb 01020304 05060708 80 18 7210 0000 0000 0101080a0000000100000002", data)},
		{"ipv6-udp", ether(b, "86dd 60000000 000c 11 ff", src6, dst6, udp4)},
		{"vlan", ether(b, "8100 0064 0800", ip4TCP, tcpSYN)},
		{"pppoe", ether(b, "8864 11 00 0001 002a 0021", ip4TCP, tcpSYN)},
		{"arp", ether(b, "0806", arpReply)},
	} {
		b.Run(bb.name, func(b *testing.B) {
			var p Packet
			for b.Loop() {
				if err := p.Parse(&bb.frame); err != nil {
					b.Fatal(err)
				}
			}
			b.ReportMetric(float64(b.N)/b.Elapsed().Seconds(), "packets/s")
		})
	}
}
