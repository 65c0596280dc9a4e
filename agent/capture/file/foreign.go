package file

import (
	"bytes"
	"fmt"
	"unicode/utf8"
)

// lookAhead is how many bytes a guess at a foreign file takes.
const lookAhead = 256

// lookalikes are the first bytes of what people take for captures.
var lookalikes = []struct{ head, what string }{
	{"\x28\xb5\x2f\xfd", "zstd data; decompress it first"},
	{"\xfd7zXZ\x00", "xz data; decompress it first"},
	{"BZh", "bzip2 data; decompress it first"},
	{"\x04\x22\x4d\x18", "lz4 data; decompress it first"},
	{"\x1f\x8b", "gzip data twice over; decompress it first"},
	{"PK\x03\x04", "a zip archive; unpack it first"},
	{"7z\xbc\xaf\x27\x1c", "a 7z archive; unpack it first"},
	{"snoop\x00\x00\x00", "a snoop capture; convert it with editcap -F pcap"},
	{"GMBU", "a Network Monitor capture; convert it with editcap -F pcap"},
	{"RTSS", "a Network Monitor capture; convert it with editcap -F pcap"},
	{"XCP\x00", "a NetXRay capture; convert it with editcap -F pcap"},
	{"TRSNIFF data", "a Sniffer capture; convert it with editcap -F pcap"},
	{"\x7fELF", "a program"},
	{"MZ", "a program"},
	{"%PDF", "a PDF document"},
	{"\x89PNG", "a picture"},
	{"SQLite format 3\x00", "an SQLite database"},
}

func isGzip(b []byte) bool { return len(b) > 1 && b[0] == 0x1f && b[1] == 0x8b }

// foreign wraps ErrForeign with what a file that begins with b looks like.
func foreign(b []byte) error {
	for _, l := range lookalikes {
		if bytes.HasPrefix(b, []byte(l.head)) {
			return fmt.Errorf("%w: it looks like %s", ErrForeign, l.what)
		}
	}
	switch {
	case len(b) < magicLen:
		return fmt.Errorf("%w: it has %d bytes only", ErrForeign, len(b))
	case isText(b):
		return fmt.Errorf("%w: it looks like text", ErrForeign)
	case len(bytes.Trim(b, "\x00")) == 0:
		return fmt.Errorf("%w: it begins with zeros", ErrForeign)
	}
	return fmt.Errorf("%w: it begins with %x", ErrForeign, b[:magicLen])
}

// isText allows a rune cut at the end.
func isText(b []byte) bool {
	for len(b) > 0 {
		c, n := utf8.DecodeRune(b)
		if c == utf8.RuneError && n == 1 && utf8.FullRune(b) {
			return false
		}
		if c < ' ' && c != '\n' && c != '\r' && c != '\t' {
			return false
		}
		b = b[n:]
	}
	return true
}
