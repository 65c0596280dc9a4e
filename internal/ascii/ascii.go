// Package ascii compares and changes bytes that network protocols write in ASCII,
// whose letters they take in either case. Bytes above 127 are as they are.
package ascii

import "bytes"

// Lower returns c, a capital letter in lower case.
func Lower(c byte) byte {
	if 'A' <= c && c <= 'Z' {
		c |= 0x20
	}
	return c
}

// AppendLower appends s to dst in lower case.
func AppendLower(dst, s []byte) []byte {
	for _, c := range s {
		dst = append(dst, Lower(c))
	}
	return dst
}

// EqualFold reports whether a and b are equal but for the case of letters.
func EqualFold[A, B ~[]byte | ~string](a A, b B) bool {
	if len(a) != len(b) {
		return false
	}
	for i := range len(a) {
		if Lower(a[i]) != Lower(b[i]) {
			return false
		}
	}
	return true
}

// IndexFold returns where sub first is in b, in either case, −1 if it is not.
func IndexFold(b []byte, sub string) int {
	for i := 0; i+len(sub) <= len(b); i++ {
		if EqualFold(b[i:i+len(sub)], sub) {
			return i
		}
	}
	return -1
}

// HasPrefixFold reports whether b begins with prefix, in either case.
func HasPrefixFold(b []byte, prefix string) bool {
	return len(b) >= len(prefix) && EqualFold(b[:len(prefix)], prefix)
}

// CutLine returns the line that b begins with and what is behind it. A line ends
// with LF, with or without CR; whole is whether the end is there.
func CutLine(b []byte) (line, rest []byte, whole bool) {
	line, rest, whole = bytes.Cut(b, []byte("\n"))
	if !whole {
		return line, nil, false
	}
	return bytes.TrimSuffix(line, []byte("\r")), rest, true
}
