package kernel

import (
	"bytes"
	"encoding/binary"
	"slices"
	"testing"

	"cordon/agent/packet"
	"cordon/lab/synth/frame"
)

// tagged puts a VLAN tag into a frame.
func tagged(f []byte, kind, id uint16) []byte {
	tag := binary.BigEndian.AppendUint16(binary.BigEndian.AppendUint16(nil, kind), id)
	return slices.Concat(f[:12], tag, f[12:])
}

// extended puts extension headers between the IPv6 and the transport header of a
// frame: a list of numbers and bodies, of which the first two bytes are set.
func extended(f []byte, headers ...[]byte) []byte {
	ip, next := bytes.Clone(f[14:54]), f[20]
	var chain []byte
	for i, h := range headers {
		follow := next
		if i+1 < len(headers) {
			follow = headers[i+1][0]
		}
		if i == 0 {
			ip[6] = h[0]
		}
		b := bytes.Clone(h)
		kind := b[0]
		b[0] = follow
		switch kind {
		case 44:
		case 51:
			b[1] = byte(len(b)/4 - 2)
		default:
			b[1] = byte(len(b)/8 - 1)
		}
		chain = append(chain, b...)
	}
	binary.BigEndian.PutUint16(ip[4:], uint16(len(f)-54+len(chain)))
	return slices.Concat(f[:14], ip, chain, f[54:])
}

func header(kind byte, n int) []byte { return append([]byte{kind}, make([]byte, n-1)...) }

// TestFlowsByHeader: however its header is wrapped, a flow is found, and its
// packets beyond the first are counted.
func TestFlowsByHeader(t *testing.T) {
	r := newRig(t, 1)
	const bare = 5 // handed over: the first; counted: the rest
	tcp6 := func(sport uint16) []byte {
		return bytes.Clone(r.frame.TCP(ends(camera, server), net6(camera, server),
			frame.Segment{SrcPort: sport, DstPort: 443, Flags: frame.ACK, Window: 1}, nil))
	}
	first := header(44, 8) // a whole datagram in a fragment header (RFC 6946), then a first fragment
	more := header(44, 8)
	more[3] = 1
	options := r.tcp(camera, 4001, server, 443, frame.ACK, nil)
	options = slices.Concat(options[:34], []byte{7, 7, 4, 0, 0, 0, 0, 0}, options[34:])
	options[14] = 0x47
	binary.BigEndian.PutUint16(options[16:], 48)
	for _, c := range []struct {
		name  string
		sport uint16
		v6    bool
		bytes uint64
		frame []byte
	}{
		{"IPv4", 4000, false, 40, r.tcp(camera, 4000, server, 443, frame.ACK, nil)},
		{"IPv4 options", 4001, false, 48, options},
		{"padding", 4002, false, 40, append(r.tcp(camera, 4002, server, 443, frame.ACK, nil), make([]byte, 20)...)},
		{"VLAN", 4003, false, 40, tagged(r.tcp(camera, 4003, server, 443, frame.ACK, nil), 0x8100, 7)},
		{"QinQ", 4004, false, 40, tagged(tagged(r.tcp(camera, 4004, server, 443, frame.ACK, nil), 0x8100, 7), 0x88a8, 9)},
		{"IPv6", 4005, true, 60, tcp6(4005)},
		{"IPv6 hop by hop", 4006, true, 76, extended(tcp6(4006), header(0, 16))},
		{"IPv6 four headers", 4007, true, 60 + 8 + 24 + 16 + 12, extended(tcp6(4007), header(0, 8), header(60, 24), header(43, 16), header(51, 12))},
		{"IPv6 whole fragment", 4008, true, 68, extended(tcp6(4008), first)},
		{"IPv6 first fragment", 4009, true, 68, extended(tcp6(4009), more)},
		{"IPv6 in VLAN", 4010, true, 60, tagged(tcp6(4010), 0x8100, 7)},
	} {
		t.Run(c.name, func(t *testing.T) {
			for range bare {
				r.send(0, c.frame)
			}
			got := r.drain()
			if len(got) != 1 || !bytes.Equal(got[0].Data, c.frame) || got[0].Len != len(c.frame) {
				t.Fatalf("handed over %d, the first %x, want\n%x", len(got), got[0].Data, c.frame)
			}
			src, dst := camera.v4, server.v4
			if c.v6 {
				src, dst = camera.v6, server.v6
			}
			n := r.count(src, c.sport, dst, 443, packet.ProtoTCP)
			if n.Packets != bare-1 || n.Bytes != (bare-1)*c.bytes || n.Flags != packet.ACK {
				t.Errorf("counted %d packets, %d bytes, flags %x; want %d, %d, %x", n.Packets, n.Bytes, n.Flags, bare-1, (bare-1)*c.bytes, packet.ACK)
			}
		})
	}
}

// TestLyingHeaders: what lies about its lengths is counted as odd, and nothing else.
func TestLyingHeaders(t *testing.T) {
	r := newRig(t, 1)
	good := r.tcp(camera, 4000, server, 443, frame.ACK, nil)
	good6 := bytes.Clone(r.frame.TCP(ends(camera, server), net6(camera, server), frame.Segment{SrcPort: 1, DstPort: 2, Flags: frame.ACK}, nil))
	change := func(b []byte, at int, v ...byte) []byte {
		b = bytes.Clone(b)
		copy(b[at:], v)
		return b
	}
	many := make([][]byte, 9)
	for i := range many {
		many[i] = header(60, 8)
	}
	all := [][]byte{
		change(good, 14, 0x55), change(good, 14, 0x44), change(good, 16, 0xff, 0xff), change(good, 16, 0, 10),
		change(good, 46, 0x40), good[:30], good[:40], change(good6, 14, 0x50), change(good6, 18, 0xff, 0), good6[:50],
		change(good6, 20, 60), extended(good6, header(60, 8))[:58],
		change(good, 6, 0xff), // a group for a source
	}
	for _, f := range all {
		r.send(0, f)
	}
	if got := r.drain(); len(got) != 0 {
		t.Errorf("%d were handed over, the first %x", len(got), got[0].Data)
	}
	if n := r.Stats().Odd; n != uint64(len(all)) {
		t.Errorf("%d counted as odd, want %d", n, len(all))
	}
	r.send(0, extended(good6, many...)) // ends in a header that is not looked at
	if n := len(r.counts()); n > 1 {
		t.Errorf("%d flows counted", n)
	}
}

// TestLaterFragments belong to no flow that could be told.
func TestLaterFragments(t *testing.T) {
	r := newRig(t, 1)
	f := r.udp(camera, 4000, server, 9, payload)
	binary.BigEndian.PutUint16(f[20:], 0x2003)
	r.send(0, f)
	if got := r.drain(); len(got) != 0 {
		t.Errorf("%d handed over", len(got))
	}
}

// TestTagInMetadata: most network cards take the VLAN tag out of the frame.
func TestTagInMetadata(t *testing.T) {
	r := newRig(t, 1)
	f := r.tcp(camera, 4000, server, 443, frame.SYN, nil)
	r.send(0, tagged(f, 0x8100, 0x6007)) // the kernel takes it out on receipt
	got := r.drain()
	if len(got) != 1 || !bytes.Equal(got[0].Data, tagged(f, 0x8100, 0x6007)) {
		t.Fatalf("got %x", got)
	}
	var p packet.Packet
	if err := p.Parse(&got[0]); err != nil || p.VLAN != 7 {
		t.Errorf("VLAN %d, %v", p.VLAN, err)
	}
}

// TestSizeClasses: frames of each size come whole up to the largest class, with
// their length on the wire.
func TestSizeClasses(t *testing.T) {
	r := newRig(t, 1)
	for i, n := range []int{0, 1, 85, 86, 87, 213, 214, 215, 469, 470, 471, 1458, 2005, 2006, 2007, 3000, 4053, 4054, 4055, 60000} {
		f := make([]byte, 42+n)
		copy(f, r.udp(camera, uint16(4000+i), server, 9, nil))
		binary.BigEndian.PutUint16(f[16:], uint16(28+n))
		binary.BigEndian.PutUint16(f[38:], uint16(8+n))
		for k := 42; k < len(f); k++ {
			f[k] = byte(k)
		}
		other := bytes.Clone(f) // another flow
		other[34] ^= 0x40
		for _, f := range [][]byte{f, tagged(other, 0x8100, 7)} {
			r.send(0, f)
			got := r.drain()
			if len(got) != 1 {
				t.Fatalf("%d bytes: %d handed over, %+v", len(f), len(got), r.Stats())
			}
			g := got[0]
			if g.Len != len(f) || len(g.Data) < min(len(f), 4096) || !bytes.Equal(g.Data, f[:len(g.Data)]) {
				t.Fatalf("%d bytes: %d of %d were handed over", len(f), len(g.Data), g.Len)
			}
		}
	}
}

// TestMark: a SYN whose sequence number is its destination is of Mirai.
func TestMark(t *testing.T) {
	r := newRig(t, 1)
	dst := server.v4.As4()
	f := bytes.Clone(r.frame.TCP(ends(camera, server), net4(camera, server),
		frame.Segment{SrcPort: 4000, DstPort: 23, Seq: binary.BigEndian.Uint32(dst[:]), Flags: frame.SYN}, nil))
	r.send(0, f)
	var why []uint8
	for b := r.ring.next(); b != nil; b = r.ring.next() {
		rec, _ := recordOf(b)
		why = append(why, rec.why)
	}
	if !slices.Equal(why, []uint8{whyUrgent}) {
		t.Errorf("handed over for %v, want %v", why, whyUrgent)
	}
}
