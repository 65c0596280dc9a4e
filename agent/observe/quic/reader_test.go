package quic

import (
	"bytes"
	"context"
	peer "crypto/tls"
	"encoding/binary"
	"encoding/hex"
	"errors"
	"math/rand/v2"
	"testing"
)

// sampleID and sampleCrypto are the connection id and the CRYPTO frame of RFC
// 9001 §A.2, which RFC 9369 §A.2 uses too.
const (
	sampleID     = "8394c8f03e515708"
	sampleCrypto = "060040f1010000ed0303ebf8fa56f12939b9584a3896472ec40bb863cfd3e868" +
		"04fe3a47f06a2b69484c00000413011302010000c000000010000e00000b6578" +
		"616d706c652e636f6dff01000100000a00080006001d00170018001000070005" +
		"04616c706e000500050100000000003300260024001d00209370b2c9caa47fba" +
		"baf4559fedba753de171fa71f50f1ce15d43e994ec74d748002b000302030400" +
		"0d0010000e0403050306030203080408050806002d00020101001c0002400100" +
		"3900320408ffffffffffffffff05048000ffff07048000ffff08011001048000" +
		"75300901100f088394c8f03e51570806048000ffff"
)

func unhex(t testing.TB, s string) []byte {
	t.Helper()
	b, err := hex.DecodeString(s)
	if err != nil {
		t.Fatal(err)
	}
	return b
}

func varint(v int) []byte { return binary.BigEndian.AppendUint32(nil, 1<<31|uint32(v)) }

// cryptoFrame returns the piece of hello from begin to end.
func cryptoFrame(hello []byte, begin, end int) []byte {
	b := append([]byte{frameCrypto}, varint(begin)...)
	return append(append(b, varint(end-begin)...), hello[begin:end]...)
}

// initial returns a client's Initial packet: the frames padded to n bytes, the
// packet number in four.
func initial(t testing.TB, v version, id, token []byte, number uint32, n int, frames ...[]byte) []byte {
	t.Helper()
	p := packet{id: connectionID{n: uint8(len(id))}}
	for i := range versions {
		if versions[i].id == v.id {
			p.id.version = uint8(i)
		}
	}
	copy(p.id.id[:], id)
	k, err := initialKeys(p.id)
	if err != nil {
		t.Fatal(err)
	}
	plain := bytes.Join(frames, nil)
	plain = append(plain, make([]byte, max(0, n-len(plain)))...)
	b := binary.BigEndian.AppendUint32([]byte{0xc3 | v.initial}, v.id)
	b = append(append(b, byte(len(id))), id...)
	b = append(b, 0)
	b = append(b, byte(len(token))) // up to 63
	b = append(b, token...)
	b = binary.BigEndian.AppendUint16(b, uint16(0x4000+4+len(plain)+k.aead.Overhead()))
	at := len(b)
	b = binary.BigEndian.AppendUint32(b, number)
	nonce := k.iv
	for i := range 4 {
		nonce[ivLen-4+i] ^= b[at+i]
	}
	b = k.aead.Seal(b, nonce[:], plain, b)
	var mask [16]byte
	k.hp.Encrypt(mask[:], b[at+4:at+20])
	b[0] ^= mask[0] & 0x0f
	for i := range 4 {
		b[at+i] ^= mask[1+i]
	}
	return b
}

// TestSamples reads the sample packets of the two RFCs. They are made here and
// compared with the first 32 bytes and the tag there, which covers the rest.
func TestSamples(t *testing.T) {
	for i, sample := range []struct{ begin, tag string }{
		{"c000000001088394c8f03e5157080000449e7b9aec34d1b1c98dd7689fb8ec11", "e221af44860018ab0856972e194cd934"}, // RFC 9001 §A.2
		{"d76b3343cf088394c8f03e5157080000449ea0c95e82ffe67b6abcdb4298b485", "a18b2faa745b6fe189cf772a9f84cbfc"}, // RFC 9369 §A.2
	} {
		frame := unhex(t, sampleCrypto)
		b := initial(t, versions[i], unhex(t, sampleID), nil, 2, 1162, frame)
		if !bytes.HasPrefix(b, unhex(t, sample.begin)) || !bytes.HasSuffix(b, unhex(t, sample.tag)) || len(b) != 1200 {
			t.Errorf("version %#x: the packet made is not the sample: %x", versions[i].id, b)
		}
		hello, err := New(Config{}).Hello(b)
		if err != nil || !bytes.Equal(hello, frame[4:]) {
			t.Errorf("version %#x: %x, %v", versions[i].id, hello, err)
		}
	}
}

// clientHello returns what the standard library's QUIC client begins with: with
// a post-quantum key share, so longer than a datagram.
func clientHello(t testing.TB, name string) []byte {
	t.Helper()
	c := peer.QUICClient(&peer.QUICConfig{TLSConfig: &peer.Config{ServerName: name, NextProtos: []string{"h3"}, MinVersion: peer.VersionTLS13}})
	c.SetTransportParameters([]byte{})
	if err := c.Start(context.Background()); err != nil {
		t.Fatal(err)
	}
	defer c.Close()
	for {
		switch e := c.NextEvent(); e.Kind {
		case peer.QUICWriteData:
			return bytes.Clone(e.Data)
		case peer.QUICNoEvent:
			t.Fatal("no hello")
		}
	}
}

// serverName returns the name that the standard library's server finds.
func serverName(t *testing.T, hello []byte) (name string) {
	t.Helper()
	stop := errors.New("stop")
	s := peer.QUICServer(&peer.QUICConfig{TLSConfig: &peer.Config{MinVersion: peer.VersionTLS13,
		GetConfigForClient: func(h *peer.ClientHelloInfo) (*peer.Config, error) {
			name = h.ServerName
			return nil, stop
		}}})
	if err := s.Start(context.Background()); err != nil {
		t.Fatal(err)
	}
	defer s.Close()
	if err := s.HandleData(peer.QUICEncryptionLevelInitial, hello); err == nil {
		t.Fatal("the server did not read a hello")
	}
	return name
}

var (
	idA = []byte("connection A")
	idB = []byte("connection B, 20 byt")
)

// TestHello gives the pieces of a hello in many ways.
func TestHello(t *testing.T) {
	v1, v2 := versions[0], versions[1]
	hello := clientHello(t, "a.example")
	n := len(hello)
	if n < 1400 {
		t.Fatalf("the hello has %d bytes: it fits a datagram", n)
	}
	whole := cryptoFrame(hello, 0, n)
	first, second := cryptoFrame(hello, 0, 1000), cryptoFrame(hello, 1000, n)
	var pieces [][]byte
	for _, i := range rand.New(rand.NewPCG(1, 2)).Perm((n + 39) / 40) {
		pieces = append(pieces, cryptoFrame(hello, 40*i, min(40*i+50, n)), []byte{framePing, framePadding})
	}
	ack := []byte{frameACKECN, 9, 0, 2, 1, 0, 1, 0, 1, 1, 2, 3}
	a := func(v version, number uint32, frames ...[]byte) []byte {
		return initial(t, v, idA, nil, number, 1100, frames...)
	}
	b := func(number uint32, frames ...[]byte) []byte {
		return initial(t, v1, idB, []byte("token"), number, 1100, frames...)
	}
	cat := func(b ...[]byte) []byte { return bytes.Join(b, nil) }
	tests := []struct {
		name string
		in   [][]byte // all but the last are short
	}{
		{"one datagram", [][]byte{a(v1, 0, whole)}},
		{"version 2", [][]byte{a(v2, 0, whole)}},
		{"two datagrams", [][]byte{a(v1, 0, first), a(v1, 1, second)}},
		{"the later one first", [][]byte{a(v2, 1, second), a(v2, 0, first)}},
		{"one twice", [][]byte{a(v1, 0, first), a(v1, 1, first), a(v1, 2, second)}},
		{"two connections", [][]byte{a(v1, 0, first), b(0, second), b(1, first)}},
		{"pieces in disorder, overlapping", [][]byte{a(v1, 0, pieces[:20]...), a(v1, 1, pieces[20:50]...), a(v1, 2, pieces[50:]...)}},
		{"behind an acknowledgement", [][]byte{a(v1, 7, ack, whole)}},
		{"two packets in a datagram", [][]byte{cat(a(v1, 0, first), a(v1, 1, second))}},
		{"another packet behind it", [][]byte{cat(a(v1, 0, whole), []byte{0xd0, 0, 0, 0, 1})}},
		{"another connection behind it", [][]byte{cat(a(v1, 0, first), b(0, first)), a(v1, 1, second)}},
		{"changed packet behind it", [][]byte{cat(a(v1, 0, first), broken(a(v1, 1, second))), a(v1, 1, second)}},
		{"in front of a close", [][]byte{a(v1, 0, whole, []byte{frameClose, 0xff})}},
	}
	for _, tt := range tests {
		t.Run(tt.name, func(t *testing.T) {
			r := New(Config{Pending: 2})
			for i, d := range tt.in {
				got, err := r.Hello(bytes.Clone(d))
				if i < len(tt.in)-1 {
					if err != ErrShort || !bytes.HasPrefix(hello, got) {
						t.Fatalf("datagram %d: %v, %d bytes", i, err, len(got))
					}
					continue
				}
				if err != nil || !bytes.Equal(got, hello) {
					t.Fatalf("%v, %d bytes of %d", err, len(got), n)
				}
				if name := serverName(t, got); name != "a.example" {
					t.Errorf("a server finds %q", name)
				}
			}
		})
	}
}

// broken returns a packet with its last byte changed.
func broken(b []byte) []byte {
	b[len(b)-1] ^= 1
	return b
}

// TestPending shows that places are bounded and given back.
func TestPending(t *testing.T) {
	hello := clientHello(t, "a.example")
	half := func(id byte, number, begin, end int) []byte {
		return initial(t, versions[0], bytes.Repeat([]byte{id}, 8), nil, uint32(number), 0, cryptoFrame(hello, begin, end))
	}
	r := New(Config{Pending: 2})
	n := len(hello)
	for _, step := range []struct {
		id         byte
		begin, end int
		want       error
	}{
		{1, 0, 500, ErrShort},
		{2, 0, 500, ErrShort},
		{1, 500, 1000, ErrShort},
		{3, 0, 500, ErrShort}, // takes the place of 2
		{1, 1000, n, nil},
		{2, 500, n, ErrShort}, // takes the place that 1 gave back
		{3, 500, n, nil},
		{2, 0, 500, nil},
		{1, 0, 1, ErrShort}, // a new connection with an old id: nothing of before
		{1, 1, 1000, ErrShort},
	} {
		if _, err := r.Hello(half(step.id, 0, step.begin, step.end)); !errors.Is(err, step.want) {
			t.Errorf("%+v: %v", step, err)
		}
	}
}

func TestRefused(t *testing.T) {
	v := versions[0]
	hello := clientHello(t, "a.example")
	long := append([]byte{1, 0, 0x20, 0}, make([]byte, 5000)...)
	one := func(frames ...[]byte) []byte { return initial(t, v, idA, nil, 0, 100, frames...) }
	good := one(cryptoFrame(hello, 0, 100))
	change := func(at int, to byte) []byte {
		b := bytes.Clone(good)
		b[at] = to
		return b
	}
	tests := []struct {
		name string
		in   []byte
		want error
		is   bool
	}{
		{"nothing", nil, ErrInitial, false},
		{"short header", change(0, good[0]&^0x80), ErrInitial, false},
		{"another version", change(4, 2), ErrInitial, false},
		{"handshake packet", change(0, good[0]|0x20), ErrInitial, false},
		{"connection id of 21 bytes", change(5, 21), ErrInitial, false},
		{"another connection id", change(6, 'C'), ErrKey, true},
		{"changed", broken(bytes.Clone(good)), ErrKey, true},
		{"cut", good[:len(good)-1], ErrLength, false},
		{"token over the end", change(6+len(idA)+1, 0x3f), ErrLength, false},
		{"too short to be protected", append(append(bytes.Clone(good[:6+len(idA)+2]), 19), good[:19]...), ErrLength, true},
		{"other handshake message", one(cryptoFrame([]byte{2, 0, 0, 0}, 0, 4)), ErrHello, true},
		{"no crypto", one([]byte{framePing}), ErrShort, true},
		{"stream frame", one([]byte{0x08}), ErrFrame, true},
		{"crypto over the end", one([]byte{frameCrypto, 0, 0x40, 0xff}), ErrLength, true},
		{"piece far away", one([]byte{frameCrypto, 0xff, 0xff, 0xff, 0xff, 0xff, 0xff, 0xff, 0xff, 1, 1}), ErrShort, true},
		{"acknowledgement of everything", one([]byte{frameACK, 0, 0, 0xbf, 0xff, 0xff, 0xff, 0}), ErrLength, true},
		{"long packet", initial(t, v, idA, nil, 0, 2100, nil), ErrLong, true},
	}
	for _, tt := range tests {
		t.Run(tt.name, func(t *testing.T) {
			if _, err := New(Config{}).Hello(tt.in); !errors.Is(err, tt.want) {
				t.Errorf("got %v, want %v", err, tt.want)
			}
			if Is(tt.in) != tt.is {
				t.Errorf("Is: %v", !tt.is)
			}
		})
	}
	r := New(Config{})
	for at := 0; at < maxHello; at += 1000 {
		got, err := r.Hello(initial(t, v, idA, nil, 0, 0, cryptoFrame(long, at, at+1000)))
		if want := error(ErrShort); at < 4000 && err != want || at == 4000 && (err != ErrLong || len(got) != maxHello) {
			t.Errorf("long hello at %d: %v, %d bytes", at, err, len(got))
		}
	}
}

func FuzzQUIC(f *testing.F) {
	frame := unhex(f, sampleCrypto)
	f.Add(initial(f, versions[0], unhex(f, sampleID), nil, 2, 1162, frame), false)
	f.Add(initial(f, versions[1], idA, []byte("token"), 2, 0, frame[:50]), false)
	f.Add(frame, true)
	f.Add(bytes.Join([][]byte{cryptoFrame(frame, 100, 200), cryptoFrame(frame, 4, 150), {frameACK, 1, 0, 0, 1}, frame}, nil), true)
	r := New(Config{Pending: 2})
	f.Fuzz(func(t *testing.T, b []byte, frames bool) {
		if frames { // what no fuzzer finds through the encryption
			b = initial(t, versions[len(b)%2], idA[:len(b)%13], nil, 3, 0, b)
			if len(b) > 1<<14 { // more than the length field written there says
				return
			}
		}
		before := bytes.Clone(b)
		hello, err := r.Hello(b)
		if !bytes.Equal(b, before) {
			t.Fatal("Hello wrote into the datagram")
		}
		if err == nil && (len(hello) < 4 || hello[0] != 1) || len(hello) > maxHello {
			t.Fatalf("a hello of %d bytes", len(hello))
		}
	})
}

// BenchmarkHello is a hello in one datagram of 1,200 bytes, keys included.
func BenchmarkHello(b *testing.B) {
	d := initial(b, versions[0], unhex(b, sampleID), nil, 2, 1162, unhex(b, sampleCrypto))
	r := New(Config{})
	b.ReportAllocs()
	for b.Loop() {
		if _, err := r.Hello(d); err != nil {
			b.Fatal(err)
		}
	}
}

// BenchmarkSecond is the datagram of a connection whose keys are known.
func BenchmarkSecond(b *testing.B) {
	hello := unhex(b, sampleCrypto)[4:]
	d := initial(b, versions[0], idA, nil, 2, 1162, cryptoFrame(hello, 10, len(hello)))
	r := New(Config{})
	b.ReportAllocs()
	for b.Loop() {
		if _, err := r.Hello(d); err != ErrShort {
			b.Fatal(err)
		}
	}
}
