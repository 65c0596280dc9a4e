package ascii

import (
	"bytes"
	"strings"
	"testing"
)

func TestLower(t *testing.T) {
	for c := range 256 {
		want := byte(c)
		if i := strings.IndexByte("ABCDEFGHIJKLMNOPQRSTUVWXYZ", byte(c)); i >= 0 {
			want = "abcdefghijklmnopqrstuvwxyz"[i]
		}
		if got := Lower(byte(c)); got != want {
			t.Errorf("%q: got %q, want %q", byte(c), got, want)
		}
	}
	if got := AppendLower([]byte("A"), []byte("B[\xc4z")); string(got) != "Ab[\xc4z" {
		t.Errorf("AppendLower: %q", got)
	}
}

func TestFold(t *testing.T) {
	for _, tt := range []struct {
		in, sub       string
		equal, begins bool
		at            int
	}{
		{"", "", true, true, 0},
		{"UPnP/1", "upnp/1", true, true, 0},
		{"Linux UPnP/1.0", "upnp/", false, false, 6},
		{"User-Agent: x", "user-agent", false, true, 0},
		{"upn", "upnp", false, false, -1},
		{"@[", "`{", false, false, -1}, // beside the letters
	} {
		b := []byte(tt.in)
		if got := EqualFold(b, tt.sub); got != tt.equal {
			t.Errorf("EqualFold(%q, %q): %v", tt.in, tt.sub, got)
		}
		if got := HasPrefixFold(b, tt.sub); got != tt.begins {
			t.Errorf("HasPrefixFold(%q, %q): %v", tt.in, tt.sub, got)
		}
		if got := IndexFold(b, tt.sub); got != tt.at {
			t.Errorf("IndexFold(%q, %q): %d, want %d", tt.in, tt.sub, got, tt.at)
		}
	}
}

func TestCutLine(t *testing.T) {
	for _, tt := range []struct {
		in, line, rest string
		whole          bool
	}{
		{"a\r\nb\n", "a", "b\n", true},
		{"a\n", "a", "", true},
		{"\r\n\r\n", "", "\r\n", true},
		{"a\r", "a\r", "", false},
		{"", "", "", false},
	} {
		line, rest, whole := CutLine([]byte(tt.in))
		if string(line) != tt.line || !bytes.Equal(rest, []byte(tt.rest)) || whole != tt.whole {
			t.Errorf("%q: %q, %q, %v", tt.in, line, rest, whole)
		}
	}
}
