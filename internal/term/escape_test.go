package term

import (
	"strings"
	"testing"
	"unicode/utf8"
)

func TestEscape(t *testing.T) {
	for _, c := range []struct{ name, in, want string }{
		{"plain", "Kitchen camera #2", "Kitchen camera #2"},
		{"letters of the world", "Küche 厨房 кухня مطبخ 📷", "Küche 厨房 кухня مطبخ 📷"},
		{"emoji with selector", "❤️", "❤️"},
		{"empty", "", ""},
		{"colour", "\x1b[31mred\x1b[0m", `\x1b[31mred\x1b[0m`},
		{"title", "\x1b]0;owned\a", `\x1b]0;owned\x07`},
		{"lines", "a\r\nb\tc", `a\x0d\x0ab\x09c`},
		{"nul and del", "\x00\x7f", `\x00\x7f`},
		{"C1 as one byte", "\x9b31m", `\x9b31m`},
		{"C1 as UTF-8", "\u009b31m", `\u{009b}31m`},
		{"no UTF-8", "a\xffb\xc3", `a\xffb\xc3`},
		{"overlong", "\xc0\xaf", `\xc0\xaf`},
		{"surrogate", "\xed\xa0\x80", `\xed\xa0\x80`},
		{"bidi override", "cam\u202egpj", `cam\u{202e}gpj`},
		{"bidi isolates", "\u2066a\u2069", `\u{2066}a\u{2069}`},
		{"marks", "a\u200eb\u061c", `a\u{200e}b\u{061c}`},
		{"zero width", "a\u200bb\u200d\ufeff", `a\u{200b}b\u{200d}\u{feff}`},
		{"soft hyphen", "a\u00adb", `a\u{00ad}b`},
		{"separators", "a\u2028b\u2029\u00a0", `a\u{2028}b\u{2029}\u{00a0}`},
		{"fillers", "\u3164\u2800", `\u{3164}\u{2800}`},
		{"tags", "\U000e0041", `\u{e0041}`},
		{"private use, not assigned", "\ue000\U0010ffff", `\u{e000}\u{10ffff}`},
		{"replacement character itself", "\ufffd", "\ufffd"},
		{"forged escape", `\x1b`, `\\x1b`},
	} {
		if got := Escape(c.in); got != c.want {
			t.Errorf("%s: Escape(%q) = %q, want %q", c.name, c.in, got, c.want)
		}
	}
}

func TestCut(t *testing.T) {
	for _, c := range []struct {
		in   string
		n    int
		want string
	}{
		{"camera", 6, "camera"},
		{"camera", 5, "came…"},
		{"camera", 1, "…"},
		{"camera", 0, ""},
		{"camera", -1, ""},
		{"", 3, ""},
		{"厨房摄像头", 3, "厨房…"},
		{"ab\x1bcd", 8, `ab\x1bcd`},
		{"ab\x1bcd", 7, `ab\x1b…`},
		{"ab\x1bcd", 6, `ab…`},
		{"ab\x1b", 6, `ab\x1b`},
		{"ab\x1b", 5, `ab…`},
	} {
		if got := Cut(c.in, c.n); got != c.want {
			t.Errorf("Cut(%q, %d) = %q, want %q", c.in, c.n, got, c.want)
		}
	}
}

func TestEscapeAllocates(t *testing.T) {
	if n := testing.AllocsPerRun(100, func() { Escape("Kitchen camera 厨房") }); n != 0 {
		t.Errorf("Escape of safe text allocates %v times", n)
	}
}

func FuzzEscape(f *testing.F) {
	f.Add("Kitchen \x1b[31m camera\u202e", 7)
	f.Add(`\x1b\`, 3)
	f.Fuzz(func(t *testing.T, s string, n int) {
		got := Escape(s)
		if !utf8.ValidString(got) {
			t.Errorf("Escape(%q) = %q: no UTF-8", s, got)
		}
		for _, r := range got {
			if r != ' ' && !isVisible(r) {
				t.Errorf("Escape(%q) = %q: lets %U through", s, got, r)
			}
		}
		if back := unescape(got); back != s {
			t.Errorf("Escape(%q) = %q, which reads back as %q", s, got, back)
		}
		n %= 1 << 10
		short := Cut(s, n)
		if utf8.RuneCountInString(short) > max(n, 0) {
			t.Errorf("Cut(%q, %d) = %q: too long", s, n, short)
		}
		if body, cut := strings.CutSuffix(short, ellipsis); short != got && n > 0 && (!cut || !strings.HasPrefix(got, body)) {
			t.Errorf("Cut(%q, %d) = %q: no beginning of %q", s, n, short, got)
		}
	})
}

// unescape reads what Escape writes: nothing is lost, nothing can be forged.
func unescape(s string) string {
	var out strings.Builder
	for s != "" {
		switch {
		case strings.HasPrefix(s, `\\`):
			out.WriteByte('\\')
			s = s[2:]
		case strings.HasPrefix(s, `\x`):
			out.WriteByte(byte(number(s[2:4])))
			s = s[4:]
		case strings.HasPrefix(s, `\u{`):
			end := strings.IndexByte(s, '}')
			out.WriteRune(rune(number(s[3:end])))
			s = s[end+1:]
		default:
			out.WriteByte(s[0])
			s = s[1:]
		}
	}
	return out.String()
}

func number(digits string) (n int) {
	for _, d := range digits {
		n = n<<4 | strings.IndexRune("0123456789abcdef", d)
	}
	return n
}
