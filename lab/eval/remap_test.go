package eval

import (
	"math/rand/v2"
	"net/netip"
	"testing"

	"cordon"
)

func prefixes(all ...string) (p []netip.Prefix) {
	for _, s := range all {
		p = append(p, netip.MustParsePrefix(s))
	}
	return p
}

func TestPermuteIsABijection(t *testing.T) {
	r := newRemap(7, nil)
	for width := 1; width <= 16; width++ {
		seen, moved := make([]bool, 1<<width), 0
		for x := range uint32(1 << width) {
			y := r.permute(domainPort, 3, width, x)
			if y >= 1<<width || seen[y] {
				t.Fatalf("%d bits: %d goes to %d, out of range or taken", width, x, y)
			}
			seen[y] = true
			if x != y {
				moved++
			}
		}
		if width > 4 && moved < 1<<width/2 {
			t.Errorf("%d bits: only %d of %d moved", width, moved, 1<<width)
		}
	}
}

func TestRemapHomeStaysInItsSubnet(t *testing.T) {
	for _, c := range []struct {
		home   []netip.Prefix
		subnet string
	}{
		{nil, "192.168.7.0/24"},
		{nil, "10.1.2.0/24"},
		{prefixes("192.150.186.0/24"), "192.150.186.0/24"},
		{prefixes("176.192.150.3/32"), "176.192.150.0/24"},
		{prefixes("203.9.1.16/28"), "203.9.1.16/28"},
		{prefixes("203.9.1.16/28"), "192.168.7.32/28"},
		{prefixes("2001:db8:1::/64"), "2001:db8:1::77:0/112"},
		{prefixes("2001:db8:1::5/128"), "2001:db8:1::/112"},
		{prefixes("2001:db8:1::40/122"), "2001:db8:1::40/122"},
		{nil, "fd12:3456::/112"},
	} {
		r, subnet := newRemap(1, c.home), netip.MustParsePrefix(c.subnet)
		seen, moved := make(map[netip.Addr]bool), 0
		for a := subnet.Addr(); subnet.Contains(a); a = a.Next() {
			b := r.addr(a)
			if !subnet.Contains(b) || seen[b] {
				t.Fatalf("home %v: %v goes to %v, outside or taken", c.home, a, b)
			}
			if seen[b] = true; a != b {
				moved++
			}
		}
		for _, fixed := range []netip.Addr{subnet.Addr(), subnet.Addr().Next()} {
			if r.addr(fixed) != fixed {
				t.Errorf("home %v: %v goes to %v", c.home, fixed, r.addr(fixed))
			}
		}
		if moved < len(seen)/2 {
			t.Errorf("home %v: only %d of %d in %v moved", c.home, moved, len(seen), subnet)
		}
	}
	if r, broadcast := newRemap(1, nil), netip.MustParseAddr("192.168.7.255"); r.addr(broadcast) != broadcast {
		t.Errorf("broadcast goes to %v", r.addr(broadcast))
	}
}

func TestRemapPublicStaysPublic(t *testing.T) {
	home := prefixes("192.150.186.0/24", "2001:db8:1::/64")
	r := newRemap(2, home)
	random := rand.New(rand.NewPCG(1, 1))
	seen := make(map[uint32]uint32)
	for range 300_000 {
		a := random.Uint32()
		if random.IntN(2) == 0 { // crowd the octets that have special ranges
			a = a&0xffffff | []uint32{100, 127, 169, 172, 192, 198, 203}[random.IntN(7)]<<24
		}
		b := r.v4(a)
		if was, taken := seen[b]; taken && was != a {
			t.Fatalf("%08x and %08x both go to %08x", a, was, b)
		}
		seen[b] = a
		if b>>24 != a>>24 || within(a, reserved4) != within(b, reserved4) || within(a, r.local4) != within(b, r.local4) {
			t.Fatalf("%08x goes to %08x, which is another sort of address", a, b)
		}
		if within(a, reserved4) && a != b {
			t.Fatalf("reserved %08x goes to %08x", a, b)
		}
	}
}

func TestRemapIPv6(t *testing.T) {
	r := newRemap(2, prefixes("2001:db8:1::/64"))
	a, b := r.addr(netip.MustParseAddr("2a00:1450:4001:82b::200e")), r.addr(netip.MustParseAddr("2a00:1450:4001:82b::5"))
	pa, _ := a.Prefix(64)
	pb, _ := b.Prefix(64)
	if pa != pb || pa == netip.MustParsePrefix("2a00:1450:4001:82b::/64") {
		t.Errorf("one subnet goes to %v and %v", pa, pb)
	}
	if isp, _ := a.Prefix(32); isp != netip.MustParsePrefix("2a00:1450::/32") {
		t.Errorf("%v has left its first 32 bits", a)
	}
	for _, s := range []string{"::", "::1", "fe80::1234:5678", "ff02::fb", "ff02::1:ff34:5678", "64:ff9b::1.2.3.4"} {
		if a := netip.MustParseAddr(s); r.addr(a) != a {
			t.Errorf("%v goes to %v", a, r.addr(a))
		}
	}
}

func TestRemapPorts(t *testing.T) {
	r := newRemap(3, nil)
	seen, moved := make(map[uint16]bool), 0
	for p := range 1 << 16 {
		was, is := uint16(p), r.port(uint16(p))
		if seen[is] {
			t.Fatalf("port %d goes to %d, which is taken", was, is)
		}
		seen[is] = true
		if was != is {
			moved++
		}
		if (was < ephemeral || cordon.ProbePort(was) || was == 33434) && was != is {
			t.Errorf("port %d goes to %d", was, is)
		}
	}
	if moved < 32000 {
		t.Errorf("only %d ports moved", moved)
	}
}
