package quic

import "encoding/binary"

// Frame types that an Initial packet may hold, RFC 9000 §12.4.
const (
	framePadding = 0x00
	framePing    = 0x01
	frameACK     = 0x02
	frameACKECN  = 0x03
	frameCrypto  = 0x06
	frameClose   = 0x1c
)

// maxHello is the longest hello read, in bytes, of a longer one its beginning.
// Those with post-quantum key shares have about 1,800.
const maxHello = 4096

// stream is the beginning of a CRYPTO stream, put together from pieces that come
// in any order: clients cut their hello on purpose.
type stream struct {
	have int                   // bytes without a gap
	far  bool                  // seen has bits
	seen [maxHello / 64]uint64 // bytes beyond have, a bit each
	buf  [maxHello]byte
}

func (s *stream) reset() {
	s.have = 0
	if s.far {
		s.far, s.seen = false, [maxHello / 64]uint64{}
	}
}

// frames collects the CRYPTO frames among the frames in b.
func (s *stream) frames(b []byte) Error {
	f := fields{b: b}
	for !f.short && f.at < len(b) {
		switch kind := f.varint(); kind {
		case framePadding:
			for f.at < len(b) && b[f.at] == framePadding { // most of a datagram
				f.at++
			}
		case framePing:
		case frameACK, frameACKECN:
			f.ack(kind == frameACKECN)
		case frameCrypto:
			at, n := f.varint(), f.varint()
			begin := f.at
			if f.skip(n); !f.short {
				s.add(at, b[begin:f.at])
			}
		case frameClose:
			return 0 // nothing comes behind it
		default:
			return ErrFrame
		}
	}
	if f.short {
		return ErrLength
	}
	return 0
}

// ack skips an ACK frame, RFC 9000 §19.3.
func (f *fields) ack(ecn bool) {
	f.varint() // largest acknowledged
	f.varint() // delay
	ranges := f.varint()
	f.varint() // first range
	for ; ranges > 0 && !f.short; ranges-- {
		f.varint()
		f.varint()
	}
	if ecn {
		f.varint()
		f.varint()
		f.varint()
	}
}

// add puts data at offset at, as much of it as fits.
func (s *stream) add(at uint64, data []byte) {
	if at >= maxHello {
		return
	}
	begin := int(at)
	end := begin + copy(s.buf[begin:], data)
	if begin > s.have {
		s.far = true
		for i := begin; i < end; i++ {
			s.seen[i/64] |= 1 << (i % 64)
		}
		return
	}
	s.have = max(s.have, end)
	for s.far && s.have < maxHello && s.seen[s.have/64]>>(s.have%64)&1 != 0 {
		s.have++
	}
}

// hello returns the ClientHello once it is there, before that its beginning.
func (s *stream) hello() ([]byte, Error) {
	const clientHello, headerLen = 1, 4 // RFC 8446 §4
	b := s.buf[:s.have]
	if len(b) > 0 && b[0] != clientHello {
		return nil, ErrHello
	}
	if len(b) < headerLen {
		return b, ErrShort
	}
	n := headerLen + int(binary.BigEndian.Uint32(b)&0xffffff)
	switch {
	case n <= len(b):
		return b[:n], 0
	case len(b) == maxHello:
		return b, ErrLong
	}
	return b, ErrShort
}
