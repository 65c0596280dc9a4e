package secret

import (
	"strings"
	"testing"
)

// TestToken finds the hash of what was made, and of nothing else.
func TestToken(t *testing.T) {
	token, hash := New("cordon_")
	other, _ := New("cordon_")
	if token == other || !strings.HasPrefix(token, "cordon_") {
		t.Errorf("%q and %q", token, other)
	}
	if got, ok := Hash(token, "cordon_"); !ok || got != hash {
		t.Errorf("hash %x, %v", got, ok)
	}
	for _, wrong := range []string{"", "cordon_", token[:len(token)-1], token + "0", "other_" + strings.TrimPrefix(token, "cordon_"),
		strings.ToUpper(token), flip(token)} {
		if _, ok := Hash(wrong, "cordon_"); ok {
			t.Errorf("%q could have been made", wrong)
		}
	}
}

func flip(s string) string {
	b := []byte(s)
	if i := len(b) / 2; b[i] == 'a' {
		b[i] = 'b'
	} else {
		b[i] = 'a'
	}
	return string(b)
}

// TestSign opens for the purpose and holder that were signed.
func TestSign(t *testing.T) {
	k := Key("0123456789abcdef0123456789abcdef")
	text := k.Sign("browser", "anna", "")
	nonce, ok := k.Open("browser", "anna", text)
	if !ok || nonce == "" {
		t.Fatalf("%q is not opened", text)
	}
	if again := k.Sign("browser", "anna", nonce); again != text {
		t.Errorf("%q, want %q", again, text)
	}
	for _, c := range []struct {
		key                   Key
		purpose, holder, text string
	}{{k, "browser", "bert", text}, {k, "session", "anna", text}, {Key("another key of thirty-two bytes!"), "browser", "anna", text},
		{k, "browser", "anna", flip(text)}, {k, "browser", "anna", ""}, {k, "browsera", "nna", text}} {
		if _, ok := c.key.Open(c.purpose, c.holder, c.text); ok {
			t.Errorf("%s for %s opens %q", c.purpose, c.holder, c.text)
		}
	}
}

func FuzzHash(f *testing.F) {
	token, _ := New("cordon_")
	f.Add(token)
	f.Fuzz(func(t *testing.T, s string) {
		Hash(s, "cordon_")
		Key("k").Open("p", "h", s)
	})
}
