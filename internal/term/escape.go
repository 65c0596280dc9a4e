// Package term makes text from outside safe to print on a terminal, and draws a
// progress bar there.
//
// Names that devices, servers and feeds choose go in; text that cannot move the
// cursor, change colours, hide, reorder or forge lines comes out. Whoever prints
// such a name on a terminal calls Escape or Cut, once, at the last moment.
package term

import (
	"strings"
	"unicode"
	"unicode/utf8"
)

// Escape returns s with everything replaced that a terminal would obey or not
// show: bytes that are no UTF-8, control characters and DEL as \xNN, other
// invisible or reordering characters (C1 controls, bidirectional overrides and
// isolates, zero-width characters, separators) as \u{NNNN}, and the backslash,
// so that nobody can forge an escape, as \\. Everything else stays. Text that is
// safe already is returned as it is.
func Escape(s string) string {
	if isSafe(s) {
		return s
	}
	var out strings.Builder
	out.Grow(len(s) + 16)
	for s != "" {
		var piece string
		piece, s = next(s)
		out.WriteString(piece)
	}
	return out.String()
}

// ellipsis ends what Cut cuts.
const ellipsis = "…"

// Cut is Escape with an end: at most n characters are returned (an escape is
// several; a character of an East Asian script may be two columns wide), the
// last one an ellipsis when something is missing. An escape is never cut apart.
// No more of s is read than that needs.
func Cut(s string, n int) string {
	if n <= 0 {
		return ""
	}
	var out strings.Builder
	used, kept := 0, 0 // characters written, bytes written when room for the ellipsis was still there
	for s != "" {
		var piece string
		piece, s = next(s)
		used += utf8.RuneCountInString(piece)
		if used > n {
			return out.String()[:kept] + ellipsis
		}
		out.WriteString(piece)
		if used < n {
			kept = out.Len()
		}
	}
	return out.String()
}

func isSafe(s string) bool {
	for i := 0; i < len(s); {
		r, size := utf8.DecodeRuneInString(s[i:])
		if r == utf8.RuneError && size == 1 || r == '\\' || !isVisible(r) {
			return false
		}
		i += size
	}
	return true
}

// next takes one character off s and returns it as it may be printed.
func next(s string) (piece, rest string) {
	r, size := utf8.DecodeRuneInString(s)
	piece, rest = s[:size], s[size:]
	switch {
	case r == utf8.RuneError && size == 1, r < ' ', r == 0x7f:
		piece = `\x` + hex(rune(piece[0]), 2)
	case r == '\\':
		piece = `\\`
	case !isVisible(r):
		piece = `\u{` + hex(r, 4) + `}`
	}
	return piece, rest
}

// isVisible reports whether r is printed as a mark of its own, or on the letter
// before it, without moving anything else. unicode.IsPrint refuses controls,
// format characters (Cf: also bidirectional and zero-width ones), separators but
// the space, private use and what is not assigned.
func isVisible(r rune) bool {
	if r < utf8.RuneSelf {
		return r >= ' ' && r < 0x7f
	}
	return unicode.IsPrint(r) && !unicode.Is(blank, r)
}

// blank lists the characters that count as printable and show nothing: Unicode's
// Default_Ignorable_Code_Point (UAX #44) as far as it is not of category Cf or
// unassigned, and the empty Braille pattern. The variation selectors 15 and 16,
// which emoji need, may stay.
var blank = &unicode.RangeTable{
	R16: []unicode.Range16{
		{Lo: 0x034f, Hi: 0x034f, Stride: 1}, // combining grapheme joiner
		{Lo: 0x115f, Hi: 0x1160, Stride: 1}, // Hangul fillers
		{Lo: 0x17b4, Hi: 0x17b5, Stride: 1}, // Khmer inherent vowels
		{Lo: 0x180b, Hi: 0x180f, Stride: 1}, // Mongolian selectors
		{Lo: 0x2800, Hi: 0x2800, Stride: 1}, // Braille blank
		{Lo: 0x3164, Hi: 0x3164, Stride: 1}, // Hangul filler
		{Lo: 0xfe00, Hi: 0xfe0d, Stride: 1}, // variation selectors 1 to 14
		{Lo: 0xffa0, Hi: 0xffa0, Stride: 1}, // half-width Hangul filler
	},
	R32: []unicode.Range32{
		{Lo: 0xe0100, Hi: 0xe01ef, Stride: 1}, // variation selectors 17 to 256
	},
}

// hex writes r with at least the given number of digits.
func hex(r rune, digits int) string {
	const set = "0123456789abcdef"
	var out []byte
	for shift := 20; shift >= 0; shift -= 4 {
		if digit := r >> shift & 0xf; digit != 0 || len(out) > 0 || shift < 4*digits {
			out = append(out, set[digit])
		}
	}
	return string(out)
}
