package conntrack_test

import (
	"encoding/binary"
	"net/netip"
	"reflect"
	"testing"

	"cordon"
	"cordon/agent/enforce/nft/conntrack"
	"cordon/lab/netns"
)

func tuple(from, to string, proto uint8) conntrack.Tuple {
	s, d := netip.MustParseAddrPort(from), netip.MustParseAddrPort(to)
	return conntrack.Tuple{Source: s.Addr(), Dest: d.Addr(), SourcePort: s.Port(), DestPort: d.Port(), Proto: proto}
}

func TestFits(t *testing.T) {
	out := conntrack.Connection{Orig: tuple("192.168.1.10:40000", "192.0.2.7:23", 6), Reply: tuple("192.0.2.7:23", "203.0.113.2:40000", 6)}
	in := conntrack.Connection{Orig: tuple("192.0.2.7:1234", "203.0.113.2:8080", 6), Reply: tuple("192.168.1.10:80", "192.0.2.7:1234", 6)}
	device := []netip.Addr{netip.MustParseAddr("192.168.1.10")}
	for _, c := range []struct {
		name    string
		match   conntrack.Match
		out, in bool
	}{
		{"the device", conntrack.Match{Devices: device}, true, true},
		{"another device", conntrack.Match{Devices: []netip.Addr{netip.MustParseAddr("192.168.1.11")}}, false, false},
		{"the peer", conntrack.Match{Devices: device, Peer: netip.MustParsePrefix("192.0.2.7/32")}, true, true},
		{"its network", conntrack.Match{Devices: device, Peer: netip.MustParsePrefix("192.0.2.0/24")}, true, true},
		{"another peer", conntrack.Match{Devices: device, Peer: netip.MustParsePrefix("192.0.2.8/32")}, false, false},
		{"the router as peer", conntrack.Match{Devices: device, Peer: netip.MustParsePrefix("203.0.113.2/32")}, false, false},
		{"the peer's port", conntrack.Match{Devices: device, Ports: []uint16{22, 23}}, true, false},
		{"its own port", conntrack.Match{Devices: device, Local: 80}, false, true},
		{"the protocol", conntrack.Match{Devices: device, Proto: 6, Ports: []uint16{1234}}, false, true},
		{"another protocol", conntrack.Match{Devices: device, Proto: 17}, false, false},
	} {
		if got := c.match.Fits(&out); got != c.out {
			t.Errorf("%s: what the device began %t, want %t", c.name, got, c.out)
		}
		if got := c.match.Fits(&in); got != c.in {
			t.Errorf("%s: what began outside %t, want %t", c.name, got, c.in)
		}
	}
}

// TestOf: an action ends what its device has with its target; a limit ends nothing.
func TestOf(t *testing.T) {
	device := []netip.Addr{netip.MustParseAddr("192.168.1.10"), netip.MustParseAddr("fd00::10")}
	peer, network := netip.MustParseAddr("::ffff:192.0.2.7"), netip.MustParsePrefix("192.0.2.9/24")
	for _, c := range []struct {
		verb   cordon.Verb
		target cordon.Target
		device []netip.Addr
		want   []conntrack.Match
	}{
		{cordon.VerbQuarantine, cordon.Target{}, device, []conntrack.Match{{Devices: device}}},
		{cordon.VerbBlock, cordon.Target{Peer: peer, Proto: 6, Ports: []uint16{23}}, device,
			[]conntrack.Match{{Devices: device, Peer: netip.MustParsePrefix("192.0.2.7/32"), Proto: 6, Ports: []uint16{23}}}},
		{cordon.VerbBlock, cordon.Target{Net: network}, device, []conntrack.Match{{Devices: device, Peer: network.Masked()}}},
		{cordon.VerbBlock, cordon.Target{LocalPort: 80}, device, []conntrack.Match{{Devices: device, Local: 80}}},
		{cordon.VerbBlock, cordon.Target{Peer: peer}, nil, nil},
		{cordon.VerbBlock, cordon.Target{Proto: 6, Stray: true}, device, nil},
		{cordon.VerbLimit, cordon.Target{Peer: peer}, device, nil},
	} {
		got := conntrack.Of(&cordon.Action{Verb: c.verb, Entity: cordon.Entity{Target: c.target}}, c.device)
		if !reflect.DeepEqual(got, c.want) {
			t.Errorf("%s of %+v: %+v, want %+v", c.verb, c.target, got, c.want)
		}
	}
}

// TestWith: a place with a port is that port, one without is all.
func TestWith(t *testing.T) {
	m := conntrack.With([]netip.AddrPort{netip.MustParseAddrPort("192.0.2.7:23"), netip.MustParseAddrPort("192.0.2.8:0")})
	for peer, want := range map[string]bool{"192.0.2.7:23": true, "192.0.2.7:80": false, "192.0.2.8:80": true, "192.0.2.9:23": false} {
		c := conntrack.Connection{Orig: tuple("192.168.1.10:40000", peer, 6), Reply: tuple(peer, "203.0.113.2:40000", 6)}
		if got := m.Fits(&c); got != want {
			t.Errorf("%s is meant: %t, want %t", peer, got, want)
		}
	}
}

// TestCut compares with the entries that conntrack(8) makes.
func TestCut(t *testing.T) {
	bed := netns.New(t)
	h := bed.Host("router")
	for _, line := range [][]string{
		{"-s", "192.168.1.10", "-d", "192.0.2.7", "-p", "tcp", "--sport", "40000", "--dport", "23", "--state", "ESTABLISHED", "-t", "600"},
		{"-s", "192.168.1.10", "-d", "192.0.2.7", "-p", "udp", "--sport", "40000", "--dport", "53", "-t", "600"},
		{"-s", "192.168.1.11", "-d", "192.0.2.7", "-p", "udp", "--sport", "40000", "--dport", "53", "-t", "600"},
		{"-s", "fd00::10", "-d", "2001:db8::7", "-p", "udp", "--sport", "40000", "--dport", "53", "-t", "600"},
	} {
		if _, err := h.Run("conntrack", append([]string{"-I"}, line...)...); err != nil {
			t.Fatal(err)
		}
	}
	var table *conntrack.Table
	if err := h.Do(func() (err error) { table, err = conntrack.Open(); return err }); err != nil {
		t.Fatal(err)
	}
	defer table.Close()
	for _, c := range []struct {
		match conntrack.Match
		want  int
	}{
		{conntrack.Match{Devices: []netip.Addr{netip.MustParseAddr("192.168.1.10")}, Proto: 6}, 1},
		{conntrack.Match{Devices: []netip.Addr{netip.MustParseAddr("192.168.1.10"), netip.MustParseAddr("fd00::10")}}, 2},
		{conntrack.Match{Devices: []netip.Addr{netip.MustParseAddr("192.168.1.10")}}, 0},
		{conntrack.Match{}, 1},
	} {
		if n, err := table.Count(&c.match); err != nil || n != c.want {
			t.Errorf("%+v: counted %d, %v, want %d", c.match, n, err, c.want)
		}
		if n, err := table.Cut(&c.match); err != nil || n != c.want {
			t.Errorf("%+v: cut %d, %v, want %d", c.match, n, err, c.want)
		}
	}
}

// entry is an entry as the kernel writes it, built attribute by attribute.
func entry(source, dest netip.Addr) []byte {
	attr := func(kind uint16, value []byte) []byte {
		b := binary.NativeEndian.AppendUint16(nil, uint16(4+len(value)))
		b = append(binary.NativeEndian.AppendUint16(b, kind), value...)
		for len(b)%4 != 0 {
			b = append(b, 0)
		}
		return b
	}
	ip := func(a, b netip.Addr) []byte {
		return attr(1|0x8000, append(attr(1, a.AsSlice()), attr(2, b.AsSlice())...))
	}
	proto := attr(2|0x8000, append(attr(1, []byte{6}), append(attr(2, []byte{0x9c, 0x40}), attr(3, []byte{0, 23})...)...))
	return append(attr(1|0x8000, append(ip(source, dest), proto...)), attr(2|0x8000, append(ip(dest, source), proto...))...)
}

func FuzzParse(f *testing.F) {
	f.Add(entry(netip.MustParseAddr("192.168.1.10"), netip.MustParseAddr("192.0.2.7")))
	f.Add([]byte{})
	f.Add([]byte{4, 0, 1, 0x80, 3, 0, 2, 0})
	f.Fuzz(func(t *testing.T, b []byte) {
		var c conntrack.Connection
		if conntrack.Parse(b, &c) && !(c.Orig.Source.IsValid() && c.Reply.Dest.IsValid()) {
			t.Errorf("an entry without addresses: %+v", c)
		}
	})
}

func TestParse(t *testing.T) {
	var c conntrack.Connection
	if !conntrack.Parse(entry(netip.MustParseAddr("192.168.1.10"), netip.MustParseAddr("192.0.2.7")), &c) {
		t.Fatal("not read")
	}
	if want := tuple("192.168.1.10:40000", "192.0.2.7:23", 6); c.Orig != want {
		t.Errorf("read %+v, want %+v", c.Orig, want)
	}
}
