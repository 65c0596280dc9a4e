package frame

import (
	"bytes"
	"math/rand/v2"
	"net/netip"
	"testing"

	"github.com/gopacket/gopacket"
	"github.com/gopacket/gopacket/layers"

	"cordon"
)

var (
	ends = Link{Src: cordon.MAC{2, 0, 0, 0, 0, 1}, Dst: cordon.MAC{2, 0, 0, 0, 0, 2}}
	four = Net{Src: netip.MustParseAddr("192.168.1.20"), Dst: netip.MustParseAddr("203.0.113.7"), TTL: 63, ID: 77}
	six  = Net{Src: netip.MustParseAddr("2001:db8:1::20"), Dst: netip.MustParseAddr("2001:db8:f::7"), TTL: 63}
)

// decode fails unless another decoder reads the frame whole and finds every
// checksum right.
func decode(t *testing.T, frame []byte) gopacket.Packet {
	t.Helper()
	p := gopacket.NewPacket(frame, layers.LinkTypeEthernet, gopacket.Default)
	if err := p.ErrorLayer(); err != nil {
		t.Fatalf("%v\n%v", err.Error(), p)
	}
	for _, l := range p.Layers() {
		if l, ok := l.(interface {
			SetNetworkLayerForChecksum(gopacket.NetworkLayer) error
		}); ok {
			if err := l.SetNetworkLayerForChecksum(p.NetworkLayer()); err != nil {
				t.Fatal(err)
			}
		}
	}
	if err, wrong := p.VerifyChecksums(); err != nil || len(wrong) > 0 {
		t.Fatalf("checksums: %v %v\n%v", err, wrong, p)
	}
	return p
}

// Every length has its own carry and padding in the checksum.
func TestChecksumsOfAllLengths(t *testing.T) {
	var b Buffer
	r := rand.New(rand.NewPCG(1, 2))
	payload := make([]byte, 1440)
	for i := range payload {
		payload[i] = byte(r.Uint32())
	}
	options := []byte{2, 4, 5, 0xb4}
	for _, n := range []Net{four, six} {
		for size := 0; size <= 1440; size += 1 + size/100 {
			p := decode(t, b.TCP(ends, n, Segment{SrcPort: 40001, DstPort: 40002, Seq: 0xfffffff0, Ack: 9, Flags: ACK | PSH, Window: 502, Options: options}, payload[:size]))
			tcp := p.TransportLayer().(*layers.TCP)
			if tcp.Seq != 0xfffffff0 || tcp.Window != 502 || !tcp.PSH || tcp.SYN || !bytes.Equal(tcp.Payload, payload[:size]) {
				t.Fatalf("%v", p)
			}
			p = decode(t, b.UDP(ends, n, 40001, 40002, payload[:size]))
			if udp := p.TransportLayer().(*layers.UDP); int(udp.Length) != 8+size || !bytes.Equal(udp.Payload, payload[:size]) {
				t.Fatalf("%v", p)
			}
			decode(t, b.ICMP(ends, n, 8, 0, payload[:max(size, 4)]))
		}
	}
}

func TestHeaders(t *testing.T) {
	var b Buffer
	n := four
	n.MayFrag = true
	ip := decode(t, b.UDP(ends, n, 1, 2, nil)).NetworkLayer().(*layers.IPv4)
	if ip.Flags != 0 || ip.Id != 77 || ip.TTL != 63 {
		t.Errorf("want id 77, TTL 63 and no DF: %+v", ip)
	}
	ip = decode(t, b.UDP(ends, four, 1, 2, nil)).NetworkLayer().(*layers.IPv4)
	if ip.Flags != layers.IPv4DontFragment {
		t.Errorf("want DF: %+v", ip)
	}
	n = six
	n.Alert = true
	p := decode(t, b.ICMP(ends, n, 143, 0, []byte{0, 0, 0, 0}))
	if p.Layer(layers.LayerTypeIPv6HopByHop) == nil || p.Layer(layers.LayerTypeICMPv6) == nil {
		t.Errorf("want a hop-by-hop header and ICMPv6: %v", p)
	}
	p = decode(t, b.ARP(ends, 2, ends.Src, four.Src, ends.Dst, four.Dst))
	arp, _ := p.Layer(layers.LayerTypeARP).(*layers.ARP)
	if arp == nil || arp.Operation != 2 || !bytes.Equal(arp.SourceHwAddress, ends.Src[:]) || !bytes.Equal(arp.DstProtAddress, four.Dst.AsSlice()) {
		t.Errorf("want an ARP reply: %v", p)
	}
	n = four
	n.Alert = true
	p = decode(t, b.IGMP(ends, n, []byte{0x22, 0, 0, 0, 0, 0, 0, 0}))
	if ip := p.NetworkLayer().(*layers.IPv4); ip.IHL != 6 || ip.Protocol != layers.IPProtocolIGMP {
		t.Errorf("want IGMP with the router alert option: %v", p)
	}
}

// A UDP checksum that comes out as zero is sent as 0xffff (RFC 768).
func TestUDPChecksumIsNeverZero(t *testing.T) {
	var b Buffer
	for i := range 1 << 16 {
		f := b.UDP(ends, four, 1, 2, []byte{byte(i >> 8), byte(i)})
		if f[40] == 0 && f[41] == 0 {
			t.Fatalf("payload %04x: no checksum", i)
		}
	}
}

func TestNothingIsAllocated(t *testing.T) {
	var b Buffer
	payload := make([]byte, 1000)
	if n := testing.AllocsPerRun(100, func() { b.TCP(ends, four, Segment{Flags: ACK}, payload) }); n != 0 {
		t.Errorf("%v allocations a frame, want none", n)
	}
}
