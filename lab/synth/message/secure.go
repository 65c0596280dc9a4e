package message

import (
	"math/rand/v2"
)

// The TLS record types (RFC 8446 §5.1).
const (
	recordChangeCipher = 20
	recordHandshake    = 22
	recordApplication  = 23
)

// ClientHello is a TLS 1.3 hello, in its record, for the named server (RFC 8446
// §4.1.2), with the extensions that browsers and device libraries share.
func ClientHello(r *rand.Rand, server string, protocols ...string) []byte {
	h := random(r, []byte{3, 3}, 32)
	h = random(r, append(h, 32), 32) // legacy session id
	suites := []uint16{0x1301, 0x1302, 0x1303, 0xc02b, 0xc02f, 0xc02c, 0xc030, 0xcca9, 0xcca8, 0x009c}
	h = be.AppendUint16(h, uint16(2*len(suites)))
	for _, s := range suites {
		h = be.AppendUint16(h, s)
	}
	h = append(h, 1, 0)
	h = vector16(h, helloExtensions(r, server, protocols))
	return handshake(1, h)
}

func helloExtensions(r *rand.Rand, server string, protocols []string) []byte {
	var e []byte
	if server != "" {
		e = extension(e, 0, vector16(nil, vector16([]byte{0}, []byte(server))))
	}
	e = extension(e, 23, nil)
	e = extension(e, 0xff01, []byte{0})
	e = extension(e, 10, []byte{0, 6, 0, 29, 0, 23, 0, 24})
	e = extension(e, 11, []byte{1, 0})
	e = extension(e, 35, nil)
	if len(protocols) > 0 {
		var list []byte
		for _, p := range protocols {
			list = append(append(list, byte(len(p))), p...)
		}
		e = extension(e, 16, vector16(nil, list))
	}
	e = extension(e, 13, []byte{0, 16, 4, 3, 8, 4, 4, 1, 5, 3, 8, 5, 5, 1, 8, 6, 6, 1})
	share := random(r, []byte{0, 36, 0, 29, 0, 32}, 32)
	e = extension(e, 51, share)
	e = extension(e, 45, []byte{1, 1})
	return extension(e, 43, []byte{4, 3, 4, 3, 3})
}

// ServerHello answers ClientHello: the hello, the change of cipher for
// middleboxes and size bytes of what is encrypted from there on.
func ServerHello(r *rand.Rand, size int) []byte {
	h := random(r, []byte{3, 3}, 32)
	h = random(r, append(h, 32), 32)
	h = append(h, 0x13, 1, 0)
	e := extension(nil, 43, []byte{3, 4})
	e = extension(e, 51, random(r, []byte{0, 29, 0, 32}, 32))
	b := handshake(2, vector16(h, e))
	b = append(b, recordChangeCipher, 3, 3, 0, 1, 1)
	return append(b, Sealed(r, size)...)
}

// Finished is the client's last message of the handshake.
func Finished(r *rand.Rand) []byte {
	return append([]byte{recordChangeCipher, 3, 3, 0, 1, 1}, Sealed(r, 53)...)
}

// Sealed is size bytes of TLS application data, in records of at most 16 KiB.
func Sealed(r *rand.Rand, size int) []byte {
	b := make([]byte, 0, size+5*(size>>14+1))
	for size > 0 {
		n := min(size, 16384)
		b = be.AppendUint16(append(b, recordApplication, 3, 3), uint16(n))
		b = random(r, b, n)
		size -= n
	}
	return b
}

// SealedHeader is the first five bytes of a record of size bytes.
func SealedHeader(size int) []byte {
	return be.AppendUint16([]byte{recordApplication, 3, 3}, uint16(size))
}

// QUICInitial is a datagram of 1,200 bytes with the long header of QUIC version
// 1 (RFC 9000 §17.2.2) and opaque bytes where the encrypted hello would be.
func QUICInitial(r *rand.Rand, destination, source []byte) []byte {
	b := append([]byte{0xc3, 0, 0, 0, 1, byte(len(destination))}, destination...)
	b = append(append(b, byte(len(source))), source...)
	b = append(b, 0) // no token
	rest := 1200 - len(b) - 2
	b = be.AppendUint16(b, 0x4000|uint16(rest))
	return random(r, b, rest)
}

// QUICShort is a datagram of a running connection (RFC 9000 §17.3.1).
func QUICShort(r *rand.Rand, destination []byte, size int) []byte {
	b := append([]byte{0x40 | byte(r.UintN(64))&^0x18}, destination...)
	return random(r, b, max(size-len(b), 20))
}

func handshake(kind byte, body []byte) []byte {
	b := be.AppendUint16([]byte{recordHandshake, 3, 1}, uint16(len(body)+4))
	b = append(b, kind, byte(len(body)>>16))
	return append(be.AppendUint16(b, uint16(len(body))), body...)
}

func extension(b []byte, kind uint16, body []byte) []byte {
	return vector16(be.AppendUint16(b, kind), body)
}

// vector16 appends body behind its length in two bytes.
func vector16(b, body []byte) []byte {
	return append(be.AppendUint16(b, uint16(len(body))), body...)
}

func random(r *rand.Rand, b []byte, n int) []byte {
	for ; n >= 8; n -= 8 {
		b = be.AppendUint64(b, r.Uint64())
	}
	for ; n > 0; n-- {
		b = append(b, byte(r.Uint32()))
	}
	return b
}
