package quic

import "encoding/binary"

// version is what differs between the versions.
type version struct {
	id      uint32
	initial byte // the packet type of Initial, where it is in the first byte
	salt    string
	// Labels of HKDF-Expand-Label, encoded (RFC 8446 §7.1).
	key, iv, hp string
}

// versions are those read: RFC 9001 §5.2 and RFC 9369 §3.
var versions = [...]version{
	{
		id: 1, initial: 0x00,
		salt: "\x38\x76\x2c\xf7\xf5\x59\x34\xb3\x4d\x17\x9a\xe6\xa4\xc8\x0c\xad\xcc\xbb\x7f\x0a",
		key:  "\x00\x10\x0etls13 quic key\x00", iv: "\x00\x0c\x0dtls13 quic iv\x00", hp: "\x00\x10\x0dtls13 quic hp\x00",
	},
	{
		id: 0x6b3343cf, initial: 0x10,
		salt: "\x0d\xed\xe3\xde\xf7\x00\xa6\xdb\x81\x93\x81\xbe\x6e\x26\x9d\xcb\xf9\xbd\x2e\xd9",
		key:  "\x00\x10\x10tls13 quicv2 key\x00", iv: "\x00\x0c\x0ftls13 quicv2 iv\x00", hp: "\x00\x10\x0ftls13 quicv2 hp\x00",
	},
}

// maxID is the longest connection id of these versions, in bytes (RFC 9000
// §17.2).
const maxID = 20

// connectionID is what a client's first packets have in common and their keys
// follow from: the version and the id that the client made up for the server.
type connectionID struct {
	version uint8 // in versions
	n       uint8
	id      [maxID]byte
}

func (c *connectionID) bytes() []byte { return c.id[:c.n] }

// packet is where an Initial packet has its parts.
type packet struct {
	id     connectionID
	number int // offset of the packet number, where the protected part begins
	end    int // offset behind the packet
}

// Bits of the first byte, RFC 9000 §17.2.
const (
	formBits = 0xc0 // long header, and the bit that tells QUIC from others
	typeBits = 0x30
)

// parse reads the header of the Initial packet that b begins with, RFC 9000
// §17.2.2, up to the packet number, which is protected.
func parse(b []byte) (p packet, err Error) {
	if len(b) < 7 || b[0]&formBits != formBits {
		return p, ErrInitial
	}
	v := versionOf(binary.BigEndian.Uint32(b[1:]))
	if v < 0 || b[0]&typeBits != versions[v].initial {
		return p, ErrInitial
	}
	// The id is the client's choice, at least 8 bytes, or after a Retry the
	// server's, which may be empty.
	n := int(b[5])
	if n > maxID {
		return p, ErrInitial
	}
	f := fields{b: b, at: 6}
	p.id.version, p.id.n = uint8(v), uint8(n)
	copy(p.id.id[:], f.take(n))
	if n = int(f.uint8()); n > maxID {
		return p, ErrInitial
	}
	f.skip(uint64(n))
	f.skip(f.varint()) // token
	length := f.varint()
	p.number = f.at
	f.skip(length)
	p.end = f.at
	if f.short {
		return p, ErrLength
	}
	return p, 0
}

func versionOf(id uint32) int {
	for i := range versions {
		if versions[i].id == id {
			return i
		}
	}
	return -1
}

// fields reads fields from b. After one that is not there all is zero.
type fields struct {
	b     []byte
	at    int
	short bool
}

func (f *fields) skip(n uint64) {
	if f.short = f.short || n > uint64(len(f.b)-f.at); !f.short {
		f.at += int(n)
	}
}

func (f *fields) take(n int) []byte {
	at := f.at
	if f.skip(uint64(n)); f.short {
		return nil
	}
	return f.b[at:f.at]
}

func (f *fields) uint8() uint8 {
	if b := f.take(1); b != nil {
		return b[0]
	}
	return 0
}

// varint reads a number of 1, 2, 4 or 8 bytes, RFC 9000 §16.
func (f *fields) varint() uint64 {
	first := f.uint8()
	v := uint64(first & 0x3f)
	for _, c := range f.take(1<<(first>>6) - 1) {
		v = v<<8 | uint64(c)
	}
	return v
}
