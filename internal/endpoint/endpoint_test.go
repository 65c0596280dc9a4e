package endpoint

import (
	"net/netip"
	"strings"
	"testing"
)

func TestParse(t *testing.T) {
	for _, c := range []struct {
		in   string
		want Endpoint
	}{
		{"update.example", Endpoint{Name: "update.example"}},
		{"Update.Example.", Endpoint{Name: "update.example"}},
		{" update.example:443 ", Endpoint{Name: "update.example", Port: 443}},
		{"_dns.resolver.example", Endpoint{Name: "_dns.resolver.example"}},
		{"192.0.2.7", Endpoint{Addr: netip.MustParseAddr("192.0.2.7")}},
		{"192.0.2.7:443", Endpoint{Addr: netip.MustParseAddr("192.0.2.7"), Port: 443}},
		{"::ffff:192.0.2.7", Endpoint{Addr: netip.MustParseAddr("192.0.2.7")}},
		{"2001:db8::7", Endpoint{Addr: netip.MustParseAddr("2001:db8::7")}},
		{"[2001:db8::7]:443", Endpoint{Addr: netip.MustParseAddr("2001:db8::7"), Port: 443}},
	} {
		got, err := Parse(c.in)
		if err != nil || got != c.want {
			t.Errorf("Parse(%q) = %v, %v, want %v", c.in, got, err, c.want)
		}
		if back, err := Parse(got.String()); err != nil || back != got {
			t.Errorf("Parse(%q) = %v, %v, want what it came from, %v", got.String(), back, err, got)
		}
	}
}

func TestParseRefuses(t *testing.T) {
	for in, why := range map[string]string{
		"":                         "no name",
		"com":                      "top-level",
		"a..example":               "no name",
		"-a.example":               "no name",
		"a b.example":              "no name",
		"a/b.example":              "no name",
		"*.example":                "no name",
		"bücher.example":           "xn--",
		"update.example:0":         "no port",
		"update.example:65536":     "no port",
		"update.example:":          "no port",
		"192.0.2":                  "no address",
		"192.0.2.300":              "no address",
		"2001:db8:1:2:3:4:5:6:443": "brackets",
		"[192.0.2.7]:443":          "brackets",
		"[2001:db8::7:443":         "brackets",
		"fe80::1%eth0":             "zone",
		"0.0.0.0":                  "one host",
		"224.0.0.251":              "one host",
		"255.255.255.255":          "one host",
		strings.Repeat("a", 300):   "too long",
	} {
		if got, err := Parse(in); err == nil || !strings.Contains(err.Error(), why) {
			t.Errorf("Parse(%q) = %v, %v, want an error with %q", in, got, err, why)
		}
	}
}

func FuzzParse(f *testing.F) {
	for _, s := range []string{"update.example:443", "192.0.2.7", "[2001:db8::7]:443", "a..b", "::", ":"} {
		f.Add(s)
	}
	f.Fuzz(func(t *testing.T, s string) {
		got, err := Parse(s)
		if err != nil {
			return
		}
		if (got.Name == "") != got.Addr.IsValid() {
			t.Errorf("Parse(%q) = %+v: want a name or an address", s, got)
		}
		if back, err := Parse(got.String()); err != nil || back != got {
			t.Errorf("Parse(%q) = %v, %v, which reads back as %v", s, got, err, back)
		}
	})
}
