package meter_test

import (
	"encoding/binary"
	"net/netip"
	"testing"
	"time"

	"github.com/google/go-cmp/cmp"

	"cordon"
	"cordon/agent/meter"
	"cordon/agent/packet"
)

var (
	camera = packet.MAC{2, 0, 0, 0, 0, 1}
	router = packet.MAC{2, 0, 0, 0, 0, 2}
	home   = netip.MustParsePrefix("192.168.1.0/24")
	home6  = netip.MustParsePrefix("2001:db8:1::/64")
	mine   = netip.MustParseAddr("192.168.1.20")
	mine6  = netip.MustParseAddr("2001:db8:1::20")
	shop   = netip.MustParseAddr("203.0.113.9")
	shop6  = netip.MustParseAddr("2001:db8:f000::9")
)

// rig feeds a meter and keeps what it tells.
type rig struct {
	*meter.Meter
	told []cordon.Traffic
}

func newRig(cfg meter.Config) *rig {
	r := new(rig)
	cfg.Home = func(a netip.Addr) bool { return home.Contains(a) || home6.Contains(a) }
	cfg.Tell = func(t *cordon.Traffic) { r.told = append(r.told, *t) }
	r.Meter = meter.New(cfg)
	r.Advance(start)
	return r
}

const start = cordon.Time(1e18)

// one is a packet of 100 bytes from the first address to the second.
func one(from, to netip.Addr, proto uint8, port uint16) *packet.Packet {
	p := &packet.Packet{Layers: packet.HasMAC | packet.HasIPv4, Src: from, Dst: to, Proto: proto, IPLen: 100, SrcPort: 40000, DstPort: port,
		SrcMAC: camera, DstMAC: router}
	if from.Is6() {
		p.Layers = packet.HasMAC | packet.HasIPv6
	}
	switch proto {
	case packet.ProtoTCP:
		p.Layers |= packet.HasTCP
	case packet.ProtoUDP:
		p.Layers |= packet.HasUDP
	}
	if to == mine || to == mine6 {
		p.SrcMAC, p.DstMAC = router, camera
	}
	return p
}

func tcp(from, to netip.Addr, flags uint8) *packet.Packet {
	p := one(from, to, packet.ProtoTCP, 80)
	p.TCPFlags = flags
	return p
}

func TestCounts(t *testing.T) {
	r := newRig(meter.Config{})
	for _, p := range []*packet.Packet{
		tcp(mine, shop, packet.SYN),
		tcp(shop, mine, packet.SYN|packet.ACK),
		tcp(mine, shop, packet.ACK),
		tcp(shop, mine, packet.RST|packet.ACK), // answers nothing
		one(mine, shop, packet.ProtoUDP, 443),
		one(mine6, shop6, packet.ProtoUDP, 443),
		one(shop6, mine6, packet.ProtoUDP, 40000),
		one(mine, shop, packet.ProtoICMP, 0),
		one(mine, shop, packet.ProtoGRE, 0),
		one(mine, shop, 99, 0),
		one(netip.MustParseAddr("198.51.100.1"), shop, packet.ProtoUDP, 80),            // forged
		one(mine, netip.MustParseAddr("192.168.1.30"), packet.ProtoUDP, 80),            // stays at home
		one(shop, netip.MustParseAddr("192.168.1.30"), packet.ProtoUDP, 80),            // for a device that never sent
		{Layers: packet.HasMAC | packet.HasARP, SrcMAC: camera, DstMAC: router},        // no IP
		{Layers: packet.HasMAC | packet.HasIPv4, SrcMAC: camera, Src: mine, Dst: shop}, // nobody knows to whom
	} {
		r.Packet(p)
	}
	group := one(mine, netip.MustParseAddr("239.255.255.250"), packet.ProtoUDP, 1900)
	group.DstMAC = packet.MAC{1, 0, 0x5e, 0x7f, 0xff, 0xfa}
	r.Packet(group)
	r.Advance(start.Add(499 * time.Millisecond))
	if len(r.told) > 0 {
		t.Fatal("told before the interval's end")
	}
	r.Advance(start.Add(3 * time.Second))
	r.Advance(start.Add(4 * time.Second))
	c := func(n uint64) cordon.Count { return cordon.Count{Packets: n, Bytes: 100 * n} }
	net := netip.MustParsePrefix("203.0.113.0/24")
	top := func(port uint16, packets, back uint64) cordon.Top {
		return cordon.Top{Net: net, Addr: shop, Port: port, Packets: packets, Back: back}
	}
	want := []cordon.Traffic{{
		MAC: cordon.MAC(camera), At: start.Add(500 * time.Millisecond), Span: 500 * time.Millisecond,
		Out: [cordon.Sorts]cordon.Count{c(1), c(1), c(2), c(1), c(1), c(1)}, In: [cordon.Sorts]cordon.Count{c(1), c(0), c(1)},
		Spoofed: c(1), Dests: 2, Ports: 2, Heard: true,
		Top: [cordon.Sorts]cordon.Top{top(80, 1, 1), top(80, 1, 0), {}, top(0, 1, 0), top(0, 1, 0), top(0, 1, 0)},
	}}
	if diff := cmp.Diff(want, r.told, cmp.Comparer(func(a, b netip.Addr) bool { return a == b }), cmp.Comparer(func(a, b netip.Prefix) bool { return a == b })); diff != "" {
		t.Error(diff)
	}
}

// TestTop: where most went is found among much else, with what came back from there.
func TestTop(t *testing.T) {
	r := newRig(meter.Config{})
	for i := range 1000 {
		a := shop.As4()
		a[3] = byte(i)
		r.Packet(one(mine, netip.AddrFrom4(a), packet.ProtoUDP, 7777))
		if i%2 == 0 {
			r.Packet(one(mine, netip.AddrFrom4([4]byte{9, byte(i >> 8), byte(i), 1}), packet.ProtoUDP, uint16(i)))
		}
		if i%10 == 0 {
			r.Packet(one(netip.AddrFrom4(a), mine, packet.ProtoUDP, 40000))
			r.Packet(one(netip.AddrFrom4([4]byte{9, 9, 9, 9}), mine, packet.ProtoUDP, 40000))
		}
	}
	r.Advance(start.Add(time.Second))
	got := r.told[0].Top[cordon.SortUDP]
	if got.Net != netip.MustParsePrefix("203.0.113.0/24") || got.Addr.IsValid() || got.Port != 7777 || got.Packets > 1000 || got.Packets < 900 ||
		got.Back > 100 || got.Back < 90 {
		t.Errorf("most went to %+v", got)
	}
	if d := r.told[0].Dests; d < 200 {
		t.Errorf("%d destinations, want hundreds", d)
	}
}

func TestNoTop(t *testing.T) {
	r := newRig(meter.Config{})
	for i := range 900 {
		r.Packet(one(mine, netip.AddrFrom4([4]byte{9, byte(i % 3), 0, 1}), packet.ProtoUDP, 7777))
	}
	r.Advance(start.Add(time.Second))
	if got := r.told[0].Top[cordon.SortUDP]; got.Net.IsValid() {
		t.Errorf("a majority of a third: %+v", got)
	}
}

// TestSpoofed: before a device has used an address of the home, no source is forged.
func TestSpoofed(t *testing.T) {
	r := newRig(meter.Config{})
	stranger := netip.MustParseAddr("198.51.100.1")
	r.Packet(one(stranger, shop, packet.ProtoUDP, 80))
	r.Packet(one(mine, shop, packet.ProtoUDP, 80))
	r.Packet(one(netip.MustParseAddr("2001:db8:2::1"), shop6, packet.ProtoUDP, 80)) // the other family
	r.Packet(one(stranger, shop, packet.ProtoUDP, 80))
	r.Advance(start.Add(time.Second))
	if got := r.told[0].Spoofed.Packets; got != 1 {
		t.Errorf("%d forged packets, want 1", got)
	}
}

// TestFull: invented MACs do not push out the devices that live here, and give
// their places back.
func TestFull(t *testing.T) {
	r := newRig(meter.Config{Devices: 4})
	feed := func(n uint32) {
		p := one(mine, shop, packet.ProtoUDP, 80)
		binary.BigEndian.PutUint32(p.SrcMAC[2:], n)
		r.Packet(p)
	}
	for n := range uint32(100) {
		feed(n + 1)
	}
	if got := r.Missed(); got != 96 {
		t.Errorf("%d packets missed, want 96", got)
	}
	for second := 1; second < 30; second++ {
		r.Advance(start.Add(time.Duration(second) * time.Second))
		feed(1)
	}
	r.told = nil
	for n := range uint32(3) {
		feed(1000 + n)
	}
	r.Advance(start.Add(time.Minute))
	if len(r.told) != 4 {
		t.Errorf("%d devices told of, want 4", len(r.told))
	}
}

// TestAllocatesNothing, nor does telling.
func TestAllocatesNothing(t *testing.T) {
	m := meter.New(meter.Config{Home: home.Contains, Tell: func(*cordon.Traffic) {}})
	p, now := one(mine, shop, packet.ProtoUDP, 80), start
	if n := testing.AllocsPerRun(1000, func() {
		m.Advance(now)
		m.Packet(p)
		now = now.Add(100 * time.Millisecond)
	}); n != 0 {
		t.Errorf("%v allocations, want none", n)
	}
}

func BenchmarkPacket(b *testing.B) {
	for _, c := range []struct {
		name  string
		dests int
	}{{"one destination", 1}, {"carpet", 1 << 16}} {
		b.Run(c.name, func(b *testing.B) {
			m := meter.New(meter.Config{Home: home.Contains, Tell: func(*cordon.Traffic) {}})
			m.Advance(start)
			packets := make([]*packet.Packet, c.dests)
			for i := range packets {
				packets[i] = one(mine, netip.AddrFrom4([4]byte{9, byte(i >> 8), byte(i), 1}), packet.ProtoUDP, 80)
			}
			b.ReportAllocs()
			n := 0
			for b.Loop() {
				m.Packet(packets[n%len(packets)])
				n++
			}
		})
	}
}
