package webhook

import (
	"errors"
	"net/netip"
	"testing"
)

// TestCheckForm refuses other schemes, users, and the ports of other services. It asks
// nothing of the host: who calls does.
func TestCheckForm(t *testing.T) {
	for u, want := range map[string]bool{
		"https://example.com/x": true, "https://example.com:8443/": true, "https://example.com:443": true, "https://[2606:4700::1]/": true,
		"https://127.0.0.1:8443/": true, "https://example.com:/": true,
		"http://example.com/": false, "https://example.com:22/": false, "https://example.com:0/": false, "https://u:p@example.com/": false,
		"https://u@example.com/": false, "https://example.com/#x": false, "https:example.com": false, "https://:443/": false,
		"gopher://example.com/": false, "https:///x": false, "": false, "https://example.com:70000/": false, "file:///etc/passwd": false,
	} {
		if err := CheckForm(u); (err == nil) != want || err != nil && !errors.Is(err, ErrForbidden) {
			t.Errorf("%q: %v, want permitted %v", u, err, want)
		}
	}
}

// TestCheck takes names and addresses on the public internet only.
func TestCheck(t *testing.T) {
	for u, want := range map[string]bool{
		"https://hook.example.com/x?y=1": true, "https://abc.de": true, "https://8.8.8.8:8443/": true, "https://[2606:4700::1111]/": true,
		"https://xn--mller-kva.example/": true, "https://fe.ed.be": true,
		"http://hook.example.com/": false, "https://localhost/": false, "https://LOCALHOST./": false, "https://core.internal/": false,
		"https://nas.local/": false, "https://intranet/": false, "https://127.0.0.1/": false, "https://127.1/": false,
		"https://0x7f.0.0.1/": false, "https://0x7f000001/": false, "https://2130706433/": false, "https://1.2.3.0x4/": false, "https://10.0.0.1/": false,
		"https://192.168.1.1/": false, "https://169.254.169.254/": false, "https://100.64.0.1/": false, "https://203.0.113.9/": false,
		"https://[::1]/": false, "https://[fe80::1]/": false, "https://[fe80::1%25eth0]/": false, "https://[::ffff:10.0.0.1]/": false,
		"https://[fd00::1]/": false, "https://0.0.0.0/": false, "https://224.0.0.1/": false, "https://255.255.255.255/": false,
		"https://[64:ff9b::a00:1]/": false, "https://[2002:7f00:1::]/": false,
	} {
		if err := Check(u); (err == nil) != want || err != nil && !errors.Is(err, ErrForbidden) {
			t.Errorf("%q: %v, want permitted %v", u, err, want)
		}
	}
}

// TestPublic needs an address.
func TestPublic(t *testing.T) {
	if err := Public(netip.Addr{}); !errors.Is(err, ErrForbidden) {
		t.Errorf("no address: %v", err)
	}
}

// FuzzCheck takes nothing that the form alone refuses, and no address that is not public.
func FuzzCheck(f *testing.F) {
	f.Add("https://[::ffff:127.0.0.1]:8443/x")
	f.Add("https://0x7f.1./")
	f.Fuzz(func(t *testing.T, text string) {
		if Check(text) != nil {
			return
		}
		u, err := parse(text)
		if err != nil {
			t.Fatalf("%q: %v", text, err)
		}
		if a, err := netip.ParseAddr(u.Hostname()); err == nil && Public(a) != nil {
			t.Errorf("%q is taken", text)
		}
	})
}
