package fleet

import "testing"

// TestCheckTarget takes addresses on the public internet only.
func TestCheckTarget(t *testing.T) {
	for url, want := range map[string]bool{
		"https://hook.example.com/x?y=1": true, "https://abc.de": true, "https://203.0.113.9:8443/": true, "https://[2001:db8::1]/": true,
		"https://xn--mller-kva.example/": true, "https://fe.ed.be": true,
		"http://hook.example.com/": false, "ftp://hook.example.com/": false, "https:///x": false, "https:hook.example.com": false, "": false,
		"https://user@hook.example.com/": false, "https://hook.example.com/#x": false, "https://localhost/": false, "https://LOCALHOST./": false,
		"https://core.internal/": false, "https://nas.local/": false, "https://intranet/": false, "https://127.0.0.1/": false, "https://127.1/": false,
		"https://0x7f.0.0.1/": false, "https://0x7f000001/": false, "https://2130706433/": false, "https://1.2.3.0x4/": false, "https://10.0.0.1/": false,
		"https://192.168.1.1/": false, "https://169.254.169.254/": false, "https://[::1]/": false, "https://[fe80::1]/": false,
		"https://[fe80::1%25eth0]/": false, "https://[::ffff:10.0.0.1]/": false, "https://[fd00::1]/": false, "https://0.0.0.0/": false,
		"https://224.0.0.1/": false, "https://255.255.255.255/": false, "https://[64:ff9b::a00:1]/": true, // the caller looks again
	} {
		if err := checkTarget(url); (err == nil) != want {
			t.Errorf("%q: %v, want permitted %v", url, err, want)
		}
	}
}
