package dialogue

import (
	"crypto/aes"
	"crypto/cipher"
	"crypto/hkdf"
	"crypto/sha256"
	"crypto/tls"
	"encoding/binary"
	"net"
	"strings"
	"testing"

	"github.com/google/go-cmp/cmp"

	"cordon"
)

// hello returns the record that a TLS client says first.
func hello(t *testing.T) []byte {
	t.Helper()
	client, server := net.Pipe()
	defer client.Close()
	go tls.Client(client, &tls.Config{ServerName: "Cloud.Example.", NextProtos: []string{"h2", "http/1.1"}}).Handshake()
	b := make([]byte, 8192)
	n, err := server.Read(b)
	if err != nil {
		t.Fatal(err)
	}
	server.Close()
	return b[:n]
}

func TestTLS(t *testing.T) {
	record := hello(t)
	for _, tr := range transports {
		r := newRig(t, Config{})
		c := r.connect(&cordon.Device{})
		tr.send(c, opener, record)
		if diff := cmp.Diff([]string{"tls h2 cloud.example"}, r.facts); diff != "" || !c.over {
			t.Errorf("%s: over %v (-want +got):\n%s", tr.name, c.over, diff)
		}
		r.isEmpty()
	}
}

func TestTLSEnds(t *testing.T) {
	record := hello(t)
	for name, say := range map[string]func(c *conn){
		"the answer comes first": func(c *conn) { c.next(opener, record[:50]); c.next(answerer, []byte("\x16\x03")) },
		"bytes are missing": func(c *conn) {
			c.next(opener, record[:50])
			c.seq[opener] += 50
			c.next(opener, record[100:])
		},
		"longer than a page": func(c *conn) {
			c.next(opener, append([]byte("\x16\x03\x01\x40\x00\x01\x00\x3f\xfc"), make([]byte, pageBytes)...))
			c.next(opener, make([]byte, pageBytes))
		},
	} {
		r := newRig(t, Config{})
		c := r.connect(&cordon.Device{})
		if say(c); !c.over || len(r.facts) != 0 {
			t.Errorf("%s: over %v, %q, want it to be over", name, c.over, r.facts)
		}
		r.isEmpty()
	}
}

// TestPages: with all pages lent out a hello that is split is not read, and counted.
func TestPages(t *testing.T) {
	r := newRig(t, Config{})
	var open []*conn
	for i := range maxPages + 1 {
		c := r.connect(&cordon.Device{Slot: i})
		c.next(opener, []byte("\x16\x03\x01\x02\x00\x01\x00\x01\xfc\x03\x03"))
		open = append(open, c)
	}
	if !open[maxPages].over || open[0].over || r.Stats().Unpaged != 1 {
		t.Errorf("over: first %v, last %v, %+v", open[0].over, open[maxPages].over, r.Stats())
	}
	for _, c := range open {
		c.close()
	}
	r.isEmpty()
}

// expand is HKDF-Expand-Label, RFC 8446 §7.1.
func expand(t *testing.T, key []byte, label string, n int) []byte {
	t.Helper()
	info := append([]byte{0, byte(n), byte(len(label) + 6)}, "tls13 "+label...)
	out, err := hkdf.Expand(sha256.New, key, string(append(info, 0)), n)
	if err != nil {
		t.Fatal(err)
	}
	return out
}

// initial protects a ClientHello as a QUIC client does, RFC 9001 §5.
func initial(t *testing.T, message []byte) []byte {
	t.Helper()
	id := []byte("\x83\x94\xc8\xf0\x3e\x51\x57\x08")
	salt := []byte("\x38\x76\x2c\xf7\xf5\x59\x34\xb3\x4d\x17\x9a\xe6\xa4\xc8\x0c\xad\xcc\xbb\x7f\x0a")
	secret, err := hkdf.Extract(sha256.New, id, salt)
	if err != nil {
		t.Fatal(err)
	}
	secret = expand(t, secret, "client in", 32)
	plain := append([]byte{6, 0, 0x40 | byte(len(message)>>8), byte(len(message))}, message...)
	plain = append(plain, make([]byte, max(0, 1162-len(plain)))...)
	head := append([]byte{0xc3, 0, 0, 0, 1, byte(len(id))}, id...)
	head = append(head, 0, 0)
	head = binary.BigEndian.AppendUint16(head, 0x4000|uint16(4+len(plain)+16))
	head = append(head, 0, 0, 0, 2)
	block, _ := aes.NewCipher(expand(t, secret, "quic key", 16))
	seal, _ := cipher.NewGCM(block)
	nonce := expand(t, secret, "quic iv", 12)
	nonce[11] ^= 2
	b := seal.Seal(head, nonce, plain, head)
	mask := make([]byte, 16)
	block, _ = aes.NewCipher(expand(t, secret, "quic hp", 16))
	block.Encrypt(mask, b[len(head):len(head)+16])
	b[0] ^= mask[0] & 0x0f
	for i := range 4 {
		b[len(head)-4+i] ^= mask[1+i]
	}
	return b
}

func TestQUIC(t *testing.T) {
	r := newRig(t, Config{})
	c := r.datagrams(&cordon.Device{})
	message := hello(t)[5:]
	if len(message) > 1100 { // a post-quantum key share: keep to one datagram
		t.Logf("hello of %d bytes", len(message))
	}
	b := initial(t, message)
	c.next(opener, b)
	c.next(answerer, b) // a server's is not read
	if diff := cmp.Diff([]string{"tls h2 cloud.example"}, r.facts); diff != "" {
		t.Errorf("facts (-want +got):\n%s", diff)
	}
	c.close()
	r.isEmpty()
}

func TestDHT(t *testing.T) {
	id := strings.Repeat("8", 8) + "abcdefghijkl"
	r := newRig(t, Config{})
	c := r.datagrams(&cordon.Device{})
	c.next(opener, []byte("d1:ad2:id20:"+id+"e1:q4:ping1:t2:aa1:y1:qe"))
	c.next(answerer, []byte("d2:ip6:\x01\x02\x03\x04\x05\x061:rd2:id20:"+id+"e1:t2:aa1:y1:re"))
	c.next(opener, []byte("d1:ad2:id20:short"))
	c.next(opener, []byte("d1:ad2:id20:"+id+"third"))
	want := []string{"dht query 3838383838383838" + "6162636465666768696a6b6c by opener", "dht reply 3838383838383838" + "6162636465666768696a6b6c by answerer"}
	if diff := cmp.Diff(want, r.facts); diff != "" {
		t.Errorf("facts (-want +got):\n%s", diff)
	}
	if c.over {
		t.Error("over after one datagram of the answerer")
	}
	if c.next(answerer, []byte("x")); !c.over {
		t.Error("more is wanted after two datagrams of each side")
	}
	r.isEmpty()
}

func TestBeginRefuses(t *testing.T) {
	r := newRig(t, Config{})
	for _, f := range []cordon.Flow{{Proto: 1}, {Proto: 47}, {Proto: 17, PeerPort: 53, Direction: cordon.Outbound}} {
		if id := r.Begin(&f); id != 0 {
			t.Errorf("id %d for %+v, want none", id, f)
		}
	}
}
