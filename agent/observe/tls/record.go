package tls

import "encoding/binary"

// Of the record layer, RFC 8446 §5.1.
const (
	recordHeaderLen = 5       // type, version, length
	recordHandshake = 22      // the type
	maxRecord       = 1 << 14 // bytes of plaintext
)

// isOld reports whether b begins with a ClientHello in the format of SSL 2.0
// that offers a later version (RFC 5246 §E.2): old cameras send it. Its three
// lengths must add up to that of the record. It has no extensions.
func isOld(b []byte) bool {
	const fixed = 11 // lengths and versions in front of the rest, bytes
	if len(b) < fixed || b[0]&0x80 == 0 || b[2] != clientHello || b[3] != 3 {
		return false
	}
	number := binary.BigEndian.Uint16
	return int(number(b)&0x7fff) == fixed-2+int(number(b[5:]))+int(number(b[7:]))+int(number(b[9:]))
}

// isRecord reports whether what is there of a header is one of a handshake.
func isRecord(b []byte) bool {
	if len(b) > 0 && b[0] != recordHandshake ||
		len(b) > 1 && b[1] != 3 || len(b) > 2 && b[2] > 4 {
		return false
	}
	if len(b) < recordHeaderLen {
		return true
	}
	n := binary.BigEndian.Uint16(b[3:])
	return n > 0 && n <= maxRecord
}

// Parse reads the ClientHello in the records that b begins with. With ErrShort
// what is there has been read: Name is valid if it is set; a caller that wants
// the rest gives all bytes again when it has Need more.
//
// A message that is spread over several records, as censorship makes some
// clients do, is joined in scratch, which then must be as long as the message
// and be kept for as long as the Hello is used.
func Parse(b, scratch []byte) (Hello, error) {
	if isOld(b) {
		return Hello{Version: binary.BigEndian.Uint16(b[3:])}, nil
	}
	message, broken := join(b, scratch)
	h, err := ParseHandshake(message)
	if err == ErrShort && broken != 0 {
		h.Need, err = 0, broken
	}
	return h, err
}

// join returns what is there of the first handshake message in b.
func join(b, scratch []byte) (message []byte, err Error) {
	for first := true; ; first = false {
		if !isRecord(b) {
			return message, ErrRecord
		}
		if len(b) < recordHeaderLen {
			return message, 0
		}
		end := recordHeaderLen + int(binary.BigEndian.Uint16(b[3:]))
		part := b[recordHeaderLen:min(end, len(b))]
		switch {
		case first:
			message = part
		case len(message)+len(part) > len(scratch):
			return message, ErrScratch
		default:
			copy(scratch, message) // onto itself from the third record on
			copy(scratch[len(message):], part)
			message = scratch[:len(message)+len(part)]
		}
		if end > len(b) || len(message) >= headerLen && len(message) >= messageLen(message) {
			return message, 0
		}
		b = b[end:]
	}
}
