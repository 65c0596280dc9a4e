package datagram

import (
	"bytes"
	"math/rand/v2"
	"net/netip"
	"testing"

	"github.com/gopacket/gopacket"
	"github.com/gopacket/gopacket/ip4defrag"
	"github.com/gopacket/gopacket/layers"
)

var ends = [][2]netip.AddrPort{
	{netip.MustParseAddrPort("192.168.77.10:40000"), netip.MustParseAddrPort("198.51.100.7:53")},
	{netip.MustParseAddrPort("[fd77::a]:40000"), netip.MustParseAddrPort("[2001:db8::1]:53")},
}

// TestHead compares the headers with those that gopacket makes, checksum
// included.
func TestHead(t *testing.T) {
	for _, e := range ends {
		for n := range 70 {
			payload := make([]byte, n)
			for i := range payload {
				payload[i] = byte(rand.Uint32())
			}
			var head [maxHead]byte
			got := append(head[:putHead(head[:], e[0], e[1], payload):maxHead], payload...)
			want := serialize(t, e[0], e[1], payload)
			if e[0].Addr().Is4() {
				got[10], got[11], want[10], want[11] = 0, 0, 0, 0 // the kernel's to fill in
			}
			if !bytes.Equal(got, want) {
				t.Fatalf("%d bytes\n%x\nwant\n%x", n, got, want)
			}
		}
	}
}

// serialize makes the packet with gopacket.
func serialize(t *testing.T, src, dst netip.AddrPort, payload []byte) []byte {
	t.Helper()
	udp := &layers.UDP{SrcPort: layers.UDPPort(src.Port()), DstPort: layers.UDPPort(dst.Port())}
	var ip gopacket.NetworkLayer
	if src.Addr().Is4() {
		ip = &layers.IPv4{Version: 4, TTL: 64, Protocol: layers.IPProtocolUDP, SrcIP: src.Addr().AsSlice(), DstIP: dst.Addr().AsSlice()}
	} else {
		ip = &layers.IPv6{Version: 6, HopLimit: 64, NextHeader: layers.IPProtocolUDP, SrcIP: src.Addr().AsSlice(), DstIP: dst.Addr().AsSlice()}
	}
	if err := udp.SetNetworkLayerForChecksum(ip); err != nil {
		t.Fatal(err)
	}
	b := gopacket.NewSerializeBuffer()
	err := gopacket.SerializeLayers(b, gopacket.SerializeOptions{FixLengths: true, ComputeChecksums: true},
		ip.(gopacket.SerializableLayer), udp, gopacket.Payload(payload))
	if err != nil {
		t.Fatal(err)
	}
	return b.Bytes()
}

// TestFragments4 puts IPv4 fragments together again with gopacket.
func TestFragments4(t *testing.T) {
	for _, n := range []int{1252, 1253, 3000, MaxPayload - udpLen - ip4Len} {
		payload := bytes.Repeat([]byte("0123456789abc"), n/13+1)[:n]
		defrag := ip4defrag.NewIPv4Defragmenter()
		var whole *layers.IPv4
		err := fragments(ends[0][0], ends[0][1], payload, func(packet []byte) error {
			if len(packet) > fragmentTotal {
				t.Errorf("a fragment of %d bytes", len(packet))
			}
			p := gopacket.NewPacket(bytes.Clone(packet), layers.LayerTypeIPv4, gopacket.Default)
			ip, err := defrag.DefragIPv4(p.NetworkLayer().(*layers.IPv4))
			if ip != nil {
				whole = ip
			}
			return err
		})
		if err != nil || whole == nil {
			t.Fatalf("%d bytes: %v, whole %v", n, err, whole != nil)
		}
		if got := whole.Payload[udpLen:]; !bytes.Equal(got, payload) {
			t.Errorf("%d bytes came out as %d", n, len(got))
		}
	}
}

func BenchmarkHead(b *testing.B) {
	payload := make([]byte, 60)
	var head [maxHead]byte
	for b.Loop() {
		putHead(head[:], ends[0][0], ends[0][1], payload)
	}
}
