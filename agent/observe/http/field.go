package http

import (
	"bytes"

	"cordon/internal/ascii"
)

// maxLines bounds the header lines read. Browsers send about twenty.
const maxLines = 128

// fields goes through the header lines of b, RFC 9112 §5.
type fields struct {
	b          []byte // what comes next
	key, value []byte // of the line; one that begins with a blank goes on with the key before
	lines      int
	complete   bool // the empty line was there: b is the body
}

// next reads a whole line and reports whether there was one.
func (f *fields) next() bool {
	line, rest, whole := ascii.CutLine(f.b) // RFC 9112 §2.2
	if !whole || f.lines == maxLines {
		return false
	}
	f.b = rest
	if len(line) == 0 {
		f.complete = true
		return false
	}
	f.lines++
	if line[0] != ' ' && line[0] != '\t' {
		f.key = nil
		i := bytes.IndexByte(line, ':')
		if i < 0 {
			i = len(line)
		} else {
			f.key = trim(line[:i])
			i++
		}
		line = line[i:]
	}
	f.value = trim(line)
	return true
}

// trim returns b without blanks around it, nil when nothing is left.
func trim(b []byte) []byte {
	if b = bytes.Trim(b, " \t\r"); len(b) == 0 {
		return nil
	}
	return b[:len(b):len(b)]
}

func set(to *[]byte, value []byte) {
	if *to == nil {
		*to = value
	}
}

// isProtocol reports whether b is HTTP/1.0, HTTP/1.1 or a later HTTP/1.
func isProtocol(b []byte) bool {
	return len(b) == len(protocol)+1 && string(b[:len(protocol)]) == protocol && '0' <= b[len(protocol)] && b[len(protocol)] <= '9'
}

// isToken reports whether b is a token, RFC 9110 §5.6.2.
func isToken(b []byte) bool {
	for _, c := range b {
		switch {
		case 'a' <= c && c <= 'z', 'A' <= c && c <= 'Z', '0' <= c && c <= '9':
		case bytes.IndexByte([]byte("!#$%&'*+-.^_`|~"), c) >= 0:
		default:
			return false
		}
	}
	return len(b) > 0
}

// isBasic reports whether the value of Authorization is of the Basic scheme.
func isBasic(value []byte) bool {
	scheme, _, _ := bytes.Cut(value, []byte(" "))
	return ascii.EqualFold(scheme, "basic")
}

// number reads a decimal number, −1 for none or one of more than 18 digits.
func number(b []byte) (n int64) {
	if len(b) == 0 || len(b) > 18 {
		return -1
	}
	for _, c := range b {
		if c < '0' || c > '9' {
			return -1
		}
		n = 10*n + int64(c-'0')
	}
	return n
}
