package text

import (
	"strings"
	"testing"
	"unicode/utf8"
)

func TestClean(t *testing.T) {
	for _, c := range []struct {
		in   string
		most int
		want string
	}{
		{"", 0, ""}, {"Küche", 10, "Küche"}, {"Küche", 2, "K"}, {"Küche", 3, "Kü"}, {"a\x00b", 10, "ab"}, {"a\xff\xfeb", 10, "a\uFFFDb"}, {"\uFFFD", 2, ""}, {"abc", 0, ""},
	} {
		if got := Clean(c.in, c.most); got != c.want {
			t.Errorf("%q in %d bytes becomes %q, want %q", c.in, c.most, got, c.want)
		}
	}
}

func FuzzClean(f *testing.F) {
	f.Add("K\xc3\x00\xbcche", 4)
	f.Fuzz(func(t *testing.T, s string, most int) {
		most &= 0xff
		got := Clean(s, most)
		if len(got) > most || !utf8.ValidString(got) || strings.IndexByte(got, 0) >= 0 || Clean(got, most) != got {
			t.Errorf("%q in %d bytes becomes %q", s, most, got)
		}
	})
}
