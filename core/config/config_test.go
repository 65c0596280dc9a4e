package config

import (
	"net/netip"
	"os"
	"regexp"
	"strings"
	"testing"

	"github.com/google/go-cmp/cmp"
	"github.com/google/go-cmp/cmp/cmpopts"
)

var comparers = cmp.Options{
	cmpopts.EquateEmpty(),
	cmp.Comparer(func(a, b netip.Prefix) bool { return a == b }),
	cmp.Comparer(func(a, b netip.AddrPort) bool { return a == b }),
}

// TestReference holds the reference file to the defaults, and an empty file too.
func TestReference(t *testing.T) {
	for name, text := range map[string]string{"reference.toml": Reference, "an empty file": ""} {
		got, err := Parse(strings.NewReader(text))
		if err != nil {
			t.Fatalf("%s: %v", name, err)
		}
		if diff := cmp.Diff(Default(), got, comparers); diff != "" {
			t.Errorf("%s differs from the defaults (-default +file):\n%s", name, diff)
		}
	}
}

// TestReferenceListsEveryKey looks for each key of the tags in the reference file.
func TestReferenceListsEveryKey(t *testing.T) {
	source, err := os.ReadFile("file.go")
	if err != nil {
		t.Fatal(err)
	}
	keys := regexp.MustCompile("toml:\"([a-z_]+)\"").FindAllStringSubmatch(string(source), -1)
	if len(keys) < 30 {
		t.Fatalf("%d keys found in file.go", len(keys))
	}
	for _, k := range keys {
		if !regexp.MustCompile(`(?m)^(\[` + k[1] + `\]|` + k[1] + ` = )`).MatchString(Reference) {
			t.Errorf("reference.toml does not list %q", k[1])
		}
	}
}

// TestRefused shows what an operator reads who made a mistake.
func TestRefused(t *testing.T) {
	for _, c := range []struct{ name, text, want string }{
		{"unknown key", "[api]\nlissten = \"127.0.0.1:1\"\n", `line 2: no key "api.lissten"`},
		{"no address", "\n[api]\nlisten = \"8080\"\n", `line 3: api.listen: no address to listen at "8080"`},
		{"open without TLS", "[api]\nlisten = \"0.0.0.0:8080\"\n", "without encryption"},
		{"half a certificate", "[api]\ntls_cert = \"a.pem\"\n", "belong together"},
		{"database", "[database]\nurl = \"mysql://a:secret@b/c\"\n", `no database "mysql://…"`},
		{"days", "[retention_days]\naudit = 0\n", "want days from 1 to 3660"},
		{"bus without credentials", "[bus]\nurl = \"tls://bus.example:4222\"\n", "needs bus.credentials"},
		{"user in URL", "[api]\nurl = \"https://a:b@c\"\n", "no address"},
		{"not TOML", "[api", "line 1"},
	} {
		t.Run(c.name, func(t *testing.T) {
			_, err := Parse(strings.NewReader(c.text))
			if err == nil || !strings.Contains(err.Error(), c.want) {
				t.Errorf("error %v, want one with %q", err, c.want)
			}
			if err != nil && strings.Contains(err.Error(), "secret") {
				t.Errorf("error %q tells a password", err)
			}
		})
	}
}

// TestBehindProxy takes an open listener whose public address is encrypted.
func TestBehindProxy(t *testing.T) {
	c, err := Parse(strings.NewReader("[api]\nlisten = \"0.0.0.0:8080\"\nurl = \"https://home.provider.example/\"\n"))
	if err != nil {
		t.Fatal(err)
	}
	if c.PublicURL() != "https://home.provider.example" {
		t.Errorf("public URL %q", c.PublicURL())
	}
}

// FuzzParse holds Parse to: no panic, and what it takes it takes whole.
func FuzzParse(f *testing.F) {
	f.Add(Reference)
	f.Fuzz(func(t *testing.T, text string) {
		c, err := Parse(strings.NewReader(text))
		if err == nil && !c.API.Listen.IsValid() {
			t.Errorf("taken without a listener")
		}
	})
}
