package notify

import (
	"errors"
	"net/netip"
	"testing"

	"cordon/internal/webhook"
)

// TestCheck permits the public internet and nothing else, however it is written.
func TestCheck(t *testing.T) {
	n, err := New(Config{Store: newStore(), Refuse: []netip.Prefix{netip.MustParsePrefix("198.41.0.0/24"),
		netip.MustParsePrefix("2a02:db8::/32"), netip.MustParsePrefix("::ffff:198.41.1.0/120")}})
	if err != nil {
		t.Fatal(err)
	}
	for a, want := range map[string]bool{
		"8.8.8.8": true, "2606:4700::1111": true, "::ffff:8.8.8.8": true, "100.63.255.255": true, "100.128.0.1": true, "172.32.0.1": true,
		"127.0.0.1": false, "127.255.255.254": false, "0.0.0.0": false, "10.1.2.3": false, "172.16.0.1": false, "172.31.255.255": false,
		"192.168.1.1": false, "169.254.169.254": false, "100.64.0.1": false, "100.100.100.200": false, "192.0.0.192": false,
		"168.63.129.16": false, "198.18.0.1": false, "192.0.2.1": false, "224.0.0.1": false, "239.255.255.250": false,
		"255.255.255.255": false, "240.0.0.1": false, "192.88.99.1": false,
		"::": false, "::1": false, "::ffff:127.0.0.1": false, "::ffff:10.0.0.1": false, "::127.0.0.1": false, "::ffff:0:127.0.0.1": false,
		"64:ff9b::7f00:1": false, "64:ff9b::808:808": false, "64:ff9b:1::a00:1": false, "2002:7f00:1::": false, "2002:808:808::1": false,
		"2001::1": false, "2001:db8::1": false, "fe80::1": false, "fe80::1%eth0": false, "fc00::1": false, "fd00:ec2::254": false,
		"ff02::1": false, "100::1": false, "2a00:1::5efe:7f00:1": false, "2a00:1::200:5efe:a00:1": false, "3fff::1": false, "4000::1": false,
		"198.41.0.4": false, "198.41.1.4": false, "::ffff:198.41.0.4": false, "2a02:db8::1": false, "198.41.2.4": true,
	} {
		if err := n.check(netip.MustParseAddr(a)); (err == nil) != want || err != nil && !errors.Is(err, webhook.ErrForbidden) {
			t.Errorf("%s: %v, want permitted: %v", a, err, want)
		}
	}
	if n.check(netip.Addr{}) == nil {
		t.Error("no address is permitted")
	}
}
