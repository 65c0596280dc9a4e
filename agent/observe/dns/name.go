package dns

import (
	"encoding/binary"

	"cordon/internal/ascii"
)

// maxName is the longest name on the wire, octets with lengths and root
// (RFC 1035 §3.1).
const maxName = 255

// Name is a place in a Message where a domain name begins. It means something
// with that Message only.
type Name struct {
	at  uint16 // of the next label
	run uint16 // where this run of labels began; a pointer must go below it
}

func nameAt(at int) Name { return Name{at: uint16(at), run: uint16(at)} }

// Label returns the first label of n as it is on the wire, aliasing the
// message, and the name behind it. The root has an empty label.
//
// A pointer must go below the beginning of the run of labels that it ends ("a
// prior occurrence", RFC 1035 §4.1.4), so no chain of pointers can loop.
func (m *Message) Label(n Name) (label []byte, rest Name, err error) {
	b := m.data
	for {
		at := int(n.at)
		if at >= len(b) {
			return nil, n, ErrShort
		}
		c := b[at]
		switch c & 0xc0 {
		case 0:
			end := at + 1 + int(c)
			if end > len(b) {
				return nil, n, ErrShort
			}
			return b[at+1 : end], Name{at: uint16(end), run: n.run}, nil
		case 0xc0:
			if at+2 > len(b) {
				return nil, n, ErrShort
			}
			to := binary.BigEndian.Uint16(b[at:]) & 0x3fff
			if to >= n.run || to < headerLen {
				return nil, n, ErrPointer
			}
			n = Name{at: to, run: to}
		default:
			return nil, n, ErrLabel
		}
	}
}

// AppendName appends n to dst as text: labels joined by dots, ASCII letters in
// lower case, no trailing dot, every other byte as it is (also a dot within a
// label). It appends at most 253 bytes. After an error dst has what was read.
func (m *Message) AppendName(dst []byte, n Name) ([]byte, error) {
	octets, begin := 1, len(dst)
	for {
		label, rest, err := m.Label(n)
		if err != nil || len(label) == 0 {
			return dst, err
		}
		if octets += 1 + len(label); octets > maxName {
			return dst, ErrLength
		}
		if len(dst) > begin {
			dst = append(dst, '.')
		}
		dst = ascii.AppendLower(dst, label)
		n = rest
	}
}

// Equal reports whether a and b are the same name, in either case of letters
// (RFC 4343 §3).
// A broken name equals none but itself.
func (m *Message) Equal(a, b Name) bool {
	for octets := 1; octets <= maxName; {
		if m.place(a) == m.place(b) {
			return true
		}
		la, ra, errA := m.Label(a)
		lb, rb, errB := m.Label(b)
		if errA != nil || errB != nil || !ascii.EqualFold(la, lb) {
			return false
		}
		if len(la) == 0 {
			return true
		}
		octets += 1 + len(la)
		a, b = ra, rb
	}
	return false
}

// place returns where n goes on: behind its pointer, if one comes next. Most
// names of an answer are one pointer to the question, and so known as equal.
func (m *Message) place(n Name) uint16 {
	if b := m.data; int(n.at)+1 < len(b) && b[n.at]&0xc0 == 0xc0 {
		return binary.BigEndian.Uint16(b[n.at:]) & 0x3fff
	}
	return n.at
}

// skipName returns the offset behind the name that begins at at, without
// following its pointer.
func (m *Message) skipName(at int) (int, error) {
	for begin := at; at-begin < maxName; {
		if at >= len(m.data) {
			return at, ErrShort
		}
		c := m.data[at]
		switch {
		case c == 0:
			return at + 1, nil
		case c&0xc0 == 0xc0:
			return at + 2, nil // the caller reads on and finds out if it is short
		case c&0xc0 != 0:
			return at, ErrLabel
		}
		at += 1 + int(c)
	}
	return at, ErrLength
}
