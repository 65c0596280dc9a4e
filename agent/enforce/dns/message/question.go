// Package message reads DNS questions and makes answers (RFC 1035 §4), on the
// bytes where they lie. Every byte that comes in is a device's, and hostile.
// Package dns, the guard, calls it.
package message

import "encoding/binary"

// HeaderLen is a message's fixed header, bytes, RFC 1035 §4.1.1.
const HeaderLen = 12

const (
	maxLabel = 63  // octets, RFC 1035 §2.3.4
	maxName  = 255 // octets on the wire, RFC 1035 §2.3.4
	// MaxQuestion is the longest question entry on the wire: name, type, class.
	MaxQuestion = maxName + 4
)

// The types and the class that the guard knows by name.
const (
	TypeA    uint16 = 1
	TypeAAAA uint16 = 28
	typeOPT  uint16 = 41 // RFC 6891 §6.1
	ClassIN  uint16 = 1
)

// Question is the first question of a message. It is reused from message to
// message and allocates nothing.
type Question struct {
	Type, Class uint16 // IANA dns-parameters

	end    int // where in the message the question ends
	length int
	// text is what Name returns. Each octet of the wire takes at most two.
	text [2 * maxName]byte
}

// Name is the name asked for: lower case, no dot at the end, a dot or a backslash
// within a label after a backslash. It is valid until the next Read.
func (q *Question) Name() []byte { return q.text[:q.length] }

// Asks reports whether a message is a standard query with one question, which is
// all that the guard judges (RFC 1035 §4.1.1: QR 0, opcode 0).
func Asks(msg []byte) bool {
	return len(msg) >= HeaderLen && msg[2]&0xf8 == 0 && binary.BigEndian.Uint16(msg[4:]) == 1
}

// Read reads the first question of a message with at least a header, and reports
// whether it is whole. A compressed name is none: nothing comes before it that it
// could point to.
func (q *Question) Read(msg []byte) bool {
	at, n := HeaderLen, 0
	for {
		if at >= len(msg) {
			return false
		}
		size := int(msg[at])
		at++
		if size == 0 {
			break
		}
		if size > maxLabel || at+size > len(msg) || at+size-HeaderLen >= maxName {
			return false
		}
		if n > 0 {
			q.text[n] = '.'
			n++
		}
		for _, c := range msg[at : at+size] {
			switch {
			case 'A' <= c && c <= 'Z':
				c += 'a' - 'A'
			case c == '.' || c == '\\':
				// Else "evil.com" as one label would look like two.
				q.text[n] = '\\'
				n++
			}
			q.text[n] = c
			n++
		}
		at += size
	}
	if at+4 > len(msg) {
		return false
	}
	q.Type, q.Class = binary.BigEndian.Uint16(msg[at:]), binary.BigEndian.Uint16(msg[at+2:])
	q.end, q.length = at+4, n
	return true
}

// options is what a query says about EDNS (RFC 6891).
type options struct {
	spoken bool // the query has an OPT record
	do     bool // DNSSEC OK
}

// edns looks for the OPT record behind the question. A message that is cut or
// lies has none.
func edns(msg []byte, end int) options {
	records := 0
	for at := 6; at < HeaderLen; at += 2 {
		records += int(binary.BigEndian.Uint16(msg[at:]))
	}
	for at := end; records > 0; records-- {
		name := at
		at = skipName(msg, at)
		if at < 0 || at+10 > len(msg) {
			return options{}
		}
		if binary.BigEndian.Uint16(msg[at:]) == typeOPT && msg[name] == 0 {
			return options{spoken: true, do: msg[at+6]&0x80 != 0}
		}
		at += 10 + int(binary.BigEndian.Uint16(msg[at+8:]))
	}
	return options{}
}

// skipName returns where the name at at ends, -1 if the message ends before.
func skipName(msg []byte, at int) int {
	for at < len(msg) {
		switch size := int(msg[at]); {
		case size == 0:
			return at + 1
		case size >= 0xc0: // a pointer ends a name, RFC 1035 §4.1.4
			return at + 2
		default:
			at += 1 + size
		}
	}
	return -1
}
