// Package text mends texts of others, so that every database, log and page takes them.
package text

import (
	"strings"
	"unicode/utf8"
)

// Clean returns s as valid UTF-8 without NUL, at most most bytes, cut between characters.
func Clean(s string, most int) string {
	if Sound(s, most) {
		return s
	}
	s = strings.ReplaceAll(strings.ToValidUTF8(s, "\uFFFD"), "\x00", "")
	return Cut(s, most)
}

// Sound reports whether a text needs no mending.
func Sound(s string, most int) bool {
	return len(s) <= most && utf8.ValidString(s) && strings.IndexByte(s, 0) < 0
}

// Cut returns the beginning of s, at most most bytes, cut between characters.
func Cut(s string, most int) string {
	if len(s) <= most {
		return s
	}
	for most > 0 && !utf8.RuneStart(s[most]) {
		most--
	}
	return s[:most]
}
