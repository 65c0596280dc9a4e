package observe

import (
	"encoding/binary"
	"strings"
	"testing"

	peer "github.com/miekg/dns"

	"cordon"
	"cordon/agent/packet"
)

// framed puts TCP's length in front of each message, RFC 1035 §4.2.2.
func framed(messages ...[]byte) []byte {
	var b []byte
	for _, m := range messages {
		b = append(binary.BigEndian.AppendUint16(b, uint16(len(m))), m...)
	}
	return b
}

// segment is one TCP segment of an answer.
func segment(seq uint32, b []byte) *packet.Packet {
	return &packet.Packet{Layers: packet.HasIPv4 | packet.HasTCP, Proto: packet.ProtoTCP, Src: resolver, Dst: device,
		SrcPort: portDNS, DstPort: 40001, TCPFlags: packet.ACK, Seq: seq, Payload: b, PayloadLen: len(b)}
}

func names(facts []fact) string {
	var all []string
	for _, f := range facts {
		all = append(all, f.Name+"="+f.Addrs)
	}
	return strings.Join(all, " ")
}

func TestStreamSplits(t *testing.T) {
	b := framed(
		message(t, "a.example.", peer.TypeA, "a.example. 5 IN A 192.0.2.1"),
		message(t, "b.example.", peer.TypeA, "b.example. 5 IN A 192.0.2.2"),
	)
	const want = "a.example=192.0.2.1 b.example=192.0.2.2"
	const seq = 0xfffffff0 // wraps
	if got := names(collect(New(Config{}), segment(seq, b))); got != want {
		t.Errorf("in one segment: got %q, want %q", got, want)
	}
	for i := range b {
		for j := i; j < len(b); j++ {
			r := New(Config{Streams: 1})
			got := names(collect(r, segment(seq, b[:i]), segment(seq+uint32(i), b[i:j]), segment(seq+uint32(j), b[j:])))
			if got != want {
				t.Fatalf("split at %d and %d: got %q, want %q", i, j, got, want)
			}
			if r.streams.slots[0].used != 0 {
				t.Fatalf("split at %d and %d: the stream is still open", i, j)
			}
		}
	}
}

func TestStreamOrder(t *testing.T) {
	b := framed(message(t, "a.example.", peer.TypeA, "a.example. 5 IN A 192.0.2.1"))
	const want = "a.example=192.0.2.1"
	syn := segment(9, nil)
	syn.TCPFlags = packet.SYN | packet.ACK
	rst := segment(9, nil)
	rst.TCPFlags = packet.RST
	short := segment(5, b[4:8])
	short.PayloadLen = 10
	tests := []struct {
		name    string
		packets []*packet.Packet
		want    string
		broken  uint64
	}{
		{"sent twice", []*packet.Packet{segment(1, b[:9]), segment(1, b[:9]), segment(10, b[9:])}, want, 0},
		{"sent again with more", []*packet.Packet{segment(1, b[:9]), segment(5, b[4:])}, want, 0},
		{"gap", []*packet.Packet{segment(1, b[:9]), segment(11, b[10:]), segment(10, b[9:])}, "", 1},
		{"gap, then the ports again", []*packet.Packet{segment(1, b[:9]), segment(11, b[10:]), syn, segment(10, b)}, want, 1},
		{"reset in between", []*packet.Packet{segment(1, b[:9]), rst, segment(100, b)}, want, 0},
		{"cut by the capture", []*packet.Packet{segment(1, b[:4]), short, segment(15, b[14:])}, "", 1},
	}
	for _, tt := range tests {
		t.Run(tt.name, func(t *testing.T) {
			r := New(Config{})
			if got := names(collect(r, tt.packets...)); got != tt.want {
				t.Errorf("got %q, want %q", got, tt.want)
			}
			if got := r.Stats().StreamsBroken; got != tt.broken {
				t.Errorf("broken streams: got %d, want %d", got, tt.broken)
			}
		})
	}
}

// TestStreamBounds: a message longer than is kept tells what its beginning
// says, and the next one is found.
func TestStreamBounds(t *testing.T) {
	long := message(t, "a.example.", peer.TypeA, "a.example. 5 IN A 192.0.2.1")
	long = append(long, make([]byte, 3*streamBytes)...)
	b := framed(long, message(t, "b.example.", peer.TypeA, "b.example. 5 IN A 192.0.2.2"))
	var packets []*packet.Packet
	for at := 0; at < len(b); at += 1460 {
		packets = append(packets, segment(uint32(at), b[at:min(at+1460, len(b))]))
	}
	if got, want := names(collect(New(Config{}), packets...)), "a.example=192.0.2.1 b.example=192.0.2.2"; got != want {
		t.Errorf("got %q, want %q", got, want)
	}
}

func TestStreamEviction(t *testing.T) {
	b := framed(message(t, "a.example.", peer.TypeA, "a.example. 5 IN A 192.0.2.1"))
	r := New(Config{Streams: 2})
	at := func(port uint16, seq uint32, b []byte) *packet.Packet {
		p := segment(seq, b)
		p.DstPort = port
		return p
	}
	got := names(collect(r, at(1, 0, b[:9]), at(2, 0, b[:9]), at(3, 0, b[:9]), at(2, 9, b[9:]), at(3, 9, b[9:])))
	if want := "a.example=192.0.2.1 a.example=192.0.2.1"; got != want {
		t.Errorf("got %q, want %q", got, want)
	}
	if got := r.Stats().StreamsEvicted; got != 1 {
		t.Errorf("evicted: got %d, want 1", got)
	}
}

func FuzzStream(f *testing.F) {
	b := framed(message(f, "a.example.", peer.TypeA, "a.example. 5 IN A 192.0.2.1"))
	f.Add(b, uint8(3), uint8(5))
	f.Add([]byte{0, 0, 0, 0}, uint8(1), uint8(1))
	f.Fuzz(func(t *testing.T, b []byte, first, second uint8) {
		count := func(r *Reader, packets ...*packet.Packet) (n int) {
			for _, p := range packets {
				r.Facts(p, 0, func(o *cordon.Observation) { check(t)(o); n++ })
			}
			return n
		}
		if len(b) > streamBytes {
			return // kept in part, when split
		}
		i := min(int(first), len(b))
		j := min(i+int(second), len(b))
		whole := count(New(Config{}), segment(0, b))
		split := count(New(Config{}), segment(0, b[:i]), segment(uint32(i), b[i:j]), segment(uint32(j), b[j:]))
		if whole != split {
			t.Fatalf("%d facts in one segment, %d when split at %d and %d", whole, split, i, j)
		}
	})
}
