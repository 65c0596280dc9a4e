package tls_test

import (
	"bytes"
	"crypto/ecdh"
	"crypto/rand"
	peer "crypto/tls"
	"encoding/binary"
	"errors"
	"io"
	"net"
	"strings"
	"testing"

	"github.com/google/go-cmp/cmp"

	"cordon/agent/observe/tls"
)

// hello returns the record that the standard library's client begins with.
func hello(t testing.TB, cfg *peer.Config) []byte {
	t.Helper()
	cfg.InsecureSkipVerify = true
	client, server := net.Pipe()
	done := make(chan struct{})
	go func() {
		defer close(done)
		_ = peer.Client(client, cfg).Handshake()
	}()
	b := make([]byte, 5)
	if _, err := io.ReadFull(server, b); err != nil {
		t.Fatal(err)
	}
	b = append(b, make([]byte, binary.BigEndian.Uint16(b[3:]))...)
	if _, err := io.ReadFull(server, b[5:]); err != nil {
		t.Fatal(err)
	}
	server.Close()
	<-done
	return b
}

// said is a Hello as a test writes it.
type said struct {
	Name, ALPN string
	ECH        bool
	Version    uint16
	Need       int
}

func text(h tls.Hello) said { return said{string(h.Name), string(h.ALPN), h.ECH, h.Version, h.Need} }

// TestPeer reads what the standard library's client sends.
func TestPeer(t *testing.T) {
	const name = "Cam-1.example.net"
	tests := []struct {
		name string
		cfg  *peer.Config
		want said
	}{
		{"1.3", &peer.Config{ServerName: name}, said{Name: name, Version: peer.VersionTLS13}},
		{"1.2", &peer.Config{ServerName: name, MaxVersion: peer.VersionTLS12}, said{Name: name, Version: peer.VersionTLS12}},
		{"1.0", &peer.Config{ServerName: name, MinVersion: peer.VersionTLS10, MaxVersion: peer.VersionTLS10}, said{Name: name, Version: peer.VersionTLS10}},
		{"protocols", &peer.Config{ServerName: name, NextProtos: []string{"mqtt", "h2"}}, said{Name: name, ALPN: "mqtt", Version: peer.VersionTLS13}},
		{"no name", &peer.Config{ServerName: "192.0.2.1", NextProtos: []string{"h2"}}, said{ALPN: "h2", Version: peer.VersionTLS13}},
		{"trailing dot", &peer.Config{ServerName: name + "."}, said{Name: name, Version: peer.VersionTLS13}},
		{"hidden name", &peer.Config{ServerName: "secret.example", MinVersion: peer.VersionTLS13,
			EncryptedClientHelloConfigList: echConfig(t, "front.example")}, said{Name: "front.example", ECH: true, Version: peer.VersionTLS13}},
	}
	for _, tt := range tests {
		t.Run(tt.name, func(t *testing.T) {
			b := hello(t, tt.cfg)
			h, err := tls.Parse(b, nil)
			if err != nil {
				t.Fatalf("Parse: %v", err)
			}
			if diff := cmp.Diff(tt.want, text(h)); diff != "" {
				t.Errorf("want (-), got (+):\n%s", diff)
			}
		})
	}
}

// echConfig returns a list of one configuration, RFC 9849 §4.
func echConfig(t *testing.T, public string) []byte {
	t.Helper()
	key, err := ecdh.X25519().GenerateKey(rand.Reader)
	if err != nil {
		t.Fatal(err)
	}
	content := append([]byte{1, 0, 0x20}, vector(2, key.PublicKey().Bytes())...) // id, X25519
	content = append(content, vector(2, []byte{0, 1, 0, 1})...)                  // HKDF-SHA256, AES-128-GCM
	content = append(content, 32)
	content = append(content, vector(1, []byte(public))...)
	content = append(content, 0, 0)
	return vector(2, append([]byte{0xfe, 0x0d}, vector(2, content)...))
}

// vector returns b behind its length in n bytes.
func vector(n int, b []byte) []byte {
	var length [8]byte
	binary.BigEndian.PutUint64(length[:], uint64(len(b)))
	return append(length[8-n:8:8], b...)
}

// extension returns an extension that holds the parts.
func extension(kind uint16, parts ...[]byte) []byte {
	return append(binary.BigEndian.AppendUint16(nil, kind), vector(2, bytes.Join(parts, nil))...)
}

func serverName(kind byte, name string) []byte {
	return extension(0, vector(2, append([]byte{kind}, vector(2, []byte(name))...)))
}

// message returns a ClientHello of TLS 1.2 with the extensions given.
func message(extensions ...[]byte) []byte {
	b := append([]byte{3, 3}, make([]byte, 32)...)
	b = append(b, vector(1, nil)...)
	b = append(b, vector(2, []byte{0x13, 1})...)
	b = append(b, vector(1, []byte{0})...)
	if extensions != nil {
		b = append(b, vector(2, bytes.Join(extensions, nil))...)
	}
	return append([]byte{1}, vector(3, b)...)
}

// records returns the message in records of n bytes each.
func records(message []byte, n int) (b []byte) {
	for len(message) > 0 {
		n = min(n, len(message))
		b = append(append(b, 22, 3, 1), vector(2, message[:n])...)
		message = message[n:]
	}
	return b
}

func TestParseHandshake(t *testing.T) {
	const tls12, tls13 = 0x0303, 0x0304
	name := serverName(0, "a.example")
	lying := message(name)
	lying[len(lying)-len("a.example")-1]++ // the length of the name
	tests := []struct {
		name string
		in   []byte
		want said
		err  error
	}{
		{"no extensions", message(), said{Version: tls12}, nil},
		{"name, and what follows the message", append(message(name), 2, 0), said{Name: "a.example", Version: tls12}, nil},
		{"the first of two names", message(name, serverName(0, "b.example")), said{Name: "a.example", Version: tls12}, nil},
		{"name of another type", message(serverName(1, "a.example")), said{Version: tls12}, nil},
		{"name with a blank", message(serverName(0, "a example")), said{Version: tls12}, nil},
		{"name with an escape", message(serverName(0, "a\x1b[2J")), said{Version: tls12}, nil},
		{"empty name", message(serverName(0, "")), said{Version: tls12}, nil},
		{"only a dot", message(serverName(0, ".")), said{Version: tls12}, nil},
		{"256 bytes of name", message(serverName(0, strings.Repeat("a", 256))), said{Version: tls12}, nil},
		{"255 bytes of name", message(serverName(0, strings.Repeat("a", 255))), said{Name: strings.Repeat("a", 255), Version: tls12}, nil},
		{"protocols behind a greased one", message(extension(16, vector(2, []byte("\x02\x0a\x0a\x00\x02h2\x08http/1.1")))),
			said{ALPN: "h2", Version: tls12}, nil},
		{"versions: greased, draft, 1.2, 1.3", message(extension(43, vector(1, []byte{0xfa, 0xfa, 0x7f, 28, 3, 3, 3, 4}))),
			said{Version: tls13}, nil},
		{"versions: only drafts", message(extension(43, vector(1, []byte{0x7f, 28}))), said{Version: tls12}, nil},
		{"encrypted", message(extension(0xfe0d, []byte{0})), said{ECH: true, Version: tls12}, nil},
		{"unknown extension", message(extension(0x0a0a, []byte{1, 2}), name), said{Name: "a.example", Version: tls12}, nil},
		{"name over its list", lying, said{Version: tls12}, tls.ErrLength},
		{"what is there before a lie", message(name, extension(16, []byte{9, 9})), said{Name: "a.example", Version: tls12}, tls.ErrLength},
		{"cut in the second extension", message(name, extension(16, []byte("\x00\x03\x02h2")))[:70],
			said{Name: "a.example", Version: tls12, Need: 4}, tls.ErrShort},
		{"half a header", []byte{1, 0}, said{Need: 2}, tls.ErrShort},
		{"nothing", nil, said{Need: 4}, tls.ErrShort},
		{"server hello", []byte{2, 0, 0, 0}, said{}, tls.ErrType},
		{"length 0", []byte{1, 0, 0, 0}, said{}, tls.ErrLength},
	}
	for _, tt := range tests {
		t.Run(tt.name, func(t *testing.T) {
			h, err := tls.ParseHandshake(tt.in)
			if !errors.Is(err, tt.err) {
				t.Errorf("got error %v, want %v", err, tt.err)
			}
			if diff := cmp.Diff(tt.want, text(h)); diff != "" {
				t.Errorf("want (-), got (+):\n%s", diff)
			}
		})
	}
}

// TestRecords reads a message in records of every size: with room to join them
// it comes out whole, without as far as the room goes.
func TestRecords(t *testing.T) {
	m := message(serverName(0, "a.example"), extension(16, []byte("\x00\x03\x02h2")))
	want := said{Name: "a.example", ALPN: "h2", Version: 0x0303}
	scratch := make([]byte, len(m))
	for n := 1; n < len(m); n++ {
		h, err := tls.Parse(records(m, n), scratch)
		if err != nil || text(h) != want {
			t.Errorf("records of %d: %+v, %v", n, text(h), err)
		}
		if _, err := tls.Parse(records(m, n), scratch[:len(m)-1]); err != tls.ErrScratch {
			t.Errorf("records of %d without room: %v", n, err)
		}
	}
	between := records(m, 20)
	between[25] = 23 // application data where the second handshake record was
	if _, err := tls.Parse(between, scratch); err != tls.ErrRecord {
		t.Errorf("another record in between: %v", err)
	}
}

// TestSplit gives a post-quantum hello, which is longer than a segment, byte by
// byte: until the end it is short, needs no more than is missing, and what it
// says never changes.
func TestSplit(t *testing.T) {
	b := hello(t, &peer.Config{ServerName: "a.example", NextProtos: []string{"h2"},
		CurvePreferences: []peer.CurveID{peer.X25519MLKEM768}})
	if len(b) <= 1400 {
		t.Fatalf("the hello has %d bytes: it fits a segment", len(b))
	}
	want := said{Name: "a.example", ALPN: "h2", Version: 0x0304}
	named := 0
	for n := range b {
		h, err := tls.Parse(b[:n], nil)
		if err != tls.ErrShort || h.Need < 1 || h.Need > len(b)-n {
			t.Fatalf("%d of %d bytes: %v, need %d", n, len(b), err, h.Need)
		}
		if h.Name != nil {
			named++
		}
		if h.Name != nil && string(h.Name) != want.Name || h.ALPN != nil && string(h.ALPN) != want.ALPN {
			t.Fatalf("%d of %d bytes: %+v", n, len(b), text(h))
		}
	}
	if h, err := tls.Parse(b, nil); err != nil || text(h) != want {
		t.Errorf("whole: %+v, %v", text(h), err)
	}
	if named < 1000 { // the key share comes behind the name
		t.Errorf("named by %d beginnings only", named)
	}
}

func TestNoHello(t *testing.T) {
	for _, tt := range []struct {
		name, in string
		err      error
	}{
		{"alert", "\x15\x03\x01\x00\x02\x02\x28", tls.ErrRecord},
		{"server hello", "\x16\x03\x03\x00\x5a\x02\x00", tls.ErrType},
		{"version 2", "\x16\x02\x00", tls.ErrRecord},
		{"empty record", "\x16\x03\x01\x00\x00\x01", tls.ErrRecord},
		{"record too long", "\x16\x03\x01\x40\x01\x01", tls.ErrRecord},
		{"HTTP", "GET / HTTP/1.1", tls.ErrRecord},
		{"SSL 2.0 format, lengths that do not add up", "\x80\x20\x01\x03\x01\x00\x06\x00\x00\x00\x10", tls.ErrRecord},
		{"SSL 2.0 only", "\x80\x1f\x01\x00\x02\x00\x06\x00\x00\x00\x10", tls.ErrRecord},
	} {
		if _, err := tls.Parse([]byte(tt.in), nil); err != tt.err {
			t.Errorf("%s: %v, want %v", tt.name, err, tt.err)
		}
	}
}

func TestOld(t *testing.T) {
	b := append([]byte("\x80\x1f\x01\x03\x01\x00\x06\x00\x00\x00\x10"), make([]byte, 22)...)
	if h, err := tls.Parse(b, nil); err != nil || text(h) != (said{Version: peer.VersionTLS10}) {
		t.Errorf("%+v, %v", text(h), err)
	}
}

func TestAllocs(t *testing.T) {
	b := hello(t, &peer.Config{ServerName: "a.example", NextProtos: []string{"h2"}})
	split := records(b[5:], 100)
	bad := bytes.Clone(b)
	bad[0] = 0
	var scratch [4096]byte
	var named int
	n := testing.AllocsPerRun(10, func() {
		for n := range b {
			h, err := tls.Parse(b[:n], scratch[:])
			if err == nil {
				panic("no error")
			}
			named += len(h.Name)
		}
		if _, err := tls.Parse(bad, nil); err == nil {
			panic("no error")
		}
		if _, err := tls.Parse(split, scratch[:]); err != nil {
			panic(err)
		}
	})
	if n != 0 || named == 0 {
		t.Errorf("%v allocations, want 0; %d bytes of names", n, named)
	}
}

func FuzzTLS(f *testing.F) {
	b := hello(f, &peer.Config{ServerName: "a.example", NextProtos: []string{"h2"}})
	f.Add(b)
	f.Add(b[:len(b)/2])
	f.Add(records(b[5:], 50))
	f.Add(records(message(serverName(0, "a.example"), extension(0xfe0d, []byte{0})), 1000))
	f.Fuzz(func(t *testing.T, b []byte) {
		before := bytes.Clone(b)
		h, err := tls.Parse(b, make([]byte, 4096))
		if !bytes.Equal(b, before) {
			t.Fatal("Parse wrote into its input")
		}
		if len(h.Name) > 255 || len(h.ALPN) > 255 {
			t.Fatalf("name of %d bytes, protocol of %d", len(h.Name), len(h.ALPN))
		}
		if (err == tls.ErrShort) != (h.Need > 0) {
			t.Fatalf("error %v, need %d", err, h.Need)
		}
		if err == nil { // more bytes behind it change nothing
			again, err := tls.Parse(append(before, 0), make([]byte, 4096))
			if err != nil || text(again) != text(h) {
				t.Fatalf("with one byte more: %+v, %v; before %+v", text(again), err, text(h))
			}
		}
	})
}

func BenchmarkParse(b *testing.B) {
	m := hello(b, &peer.Config{ServerName: "a.example", NextProtos: []string{"h2"}})
	b.ReportAllocs()
	for b.Loop() {
		if _, err := tls.Parse(m, nil); err != nil {
			b.Fatal(err)
		}
	}
}
