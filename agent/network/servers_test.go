package network

import (
	"context"
	"errors"
	"net/netip"
	"strings"
	"testing"
	"testing/fstest"

	"github.com/google/go-cmp/cmp"
)

// TestConfigured shows in which files resolvers and time servers are found.
func TestConfigured(t *testing.T) {
	file := func(text string) *fstest.MapFile { return &fstest.MapFile{Data: []byte(text)} }
	root := fstest.MapFS{
		"etc/resolv.conf":                    file("search lan\n; old\nnameserver 127.0.0.1\nnameserver fe80::1%eth1\n"),
		"tmp/resolv.conf.d/resolv.conf.auto": file("# Interface wan\nnameserver 192.0.2.53\nnameserver 192.0.2.54\n"),
		"etc/dnsmasq.d/up.conf":              file("server=192.0.2.55\nserver=/lan/192.0.2.56#5353\nserver=192.0.2.57@eth1\nport=53\nserver=/block/\n"),
		"etc/config/dhcp":                    file("config dnsmasq\n\tlist server '192.0.2.58'\n\tlist server '/x.example/192.0.2.59'\n\toption domain 'lan'\n"),
		"etc/config/system":                  file("config timeserver 'ntp'\n\toption enabled '1'\n\tlist server '0.pool.example'\n\tlist server '192.0.2.123'\n"),
		"etc/chrony/chrony.conf":             file("pool 2.pool.example iburst maxsources 4\n! server old.example\nserver time.example. prefer\nmakestep 1 3\n"),
		"etc/systemd/timesyncd.conf":         file("[Time]\nNTP=a.example b.example\n#NTP=c.example\nFallbackNTP=<script>\n"),
		"etc/ntp.conf":                       file("server 127.127.1.0\npeer d.example\n"),
	}
	resolvers, times := configured(root)
	var got []string
	for _, a := range resolvers {
		got = append(got, a.String())
	}
	want := []string{"192.0.2.53", "192.0.2.54", "192.0.2.55", "192.0.2.56", "192.0.2.57", "192.0.2.58", "192.0.2.59", "fe80::1"}
	if diff := cmp.Diff(want, got); diff != "" {
		t.Errorf("resolvers (-want +got):\n%s", diff)
	}
	want = []string{"0.pool.example", "127.127.1.0", "192.0.2.123", "2.pool.example", "a.example", "b.example", "d.example", "time.example"}
	if diff := cmp.Diff(want, times); diff != "" {
		t.Errorf("time servers (-want +got):\n%s", diff)
	}
}

// TestResolve shows that a pool's earlier addresses stay, that a failing name does
// no harm, and that what is no longer configured goes.
func TestResolve(t *testing.T) {
	answers := map[string]string{"pool.example": "192.0.2.1"}
	asked := 0
	lookup := func(_ context.Context, name string) ([]netip.Addr, error) {
		asked++
		if a, ok := answers[name]; ok {
			return []netip.Addr{netip.MustParseAddr(a)}, nil
		}
		return nil, errors.New("no such host")
	}
	s := servers{known: make(map[string]answer)}
	names := []string{"192.0.2.9", "gone.example", "pool.example"}
	s.addrs(names)
	if !s.resolve(t.Context(), lookup, true) || s.resolve(t.Context(), lookup, true) {
		t.Error("the first answer is news, the same one again is not")
	}
	answers["pool.example"] = "192.0.2.2"
	if !s.resolve(t.Context(), lookup, true) {
		t.Error("another answer is news")
	}
	want := []netip.Addr{netip.MustParseAddr("192.0.2.9"), netip.MustParseAddr("192.0.2.2"), netip.MustParseAddr("192.0.2.1")}
	if diff := cmp.Diff(want, s.addrs(names), compareAddrs); diff != "" {
		t.Errorf("addresses (-want +got):\n%s", diff)
	}
	asked = 0
	if s.resolve(t.Context(), lookup, false); asked != 1 {
		t.Errorf("asked for %d names between the hours, want only the one without an answer", asked)
	}
	s.addrs(nil)
	s.resolve(t.Context(), lookup, true)
	if len(s.known) != 0 {
		t.Errorf("keeps %d names that nobody wants", len(s.known))
	}
	s.addrs([]string{"pool.example"})
	for k := range 100 {
		answers["pool.example"] = netip.AddrFrom4([4]byte{192, 0, 2, byte(k)}).String()
		s.resolve(t.Context(), lookup, true)
	}
	if got := len(s.addrs([]string{"pool.example"})); got != maxAnswers {
		t.Errorf("keeps %d addresses of one name, want %d", got, maxAnswers)
	}
}

// FuzzFiles holds the readers of configuration files to names and addresses that
// can be used.
func FuzzFiles(f *testing.F) {
	for _, s := range []string{"nameserver 192.0.2.1", "server=/a/192.0.2.1#53@eth0", "\tlist server 'a.example'", "NTP=a b",
		"interface=wlan0\nap_isolate=1", "option flow_offloading_hw '1'"} {
		f.Add([]byte(s))
	}
	f.Fuzz(func(t *testing.T, text []byte) {
		for _, a := range parseResolvers(text) {
			if !a.IsValid() || a.IsLoopback() || a.Zone() != "" {
				t.Errorf("resolver %v", a)
			}
		}
		for _, name := range parseTimes(text) {
			if name == "" || strings.ContainsAny(name, " \t/'\"\x00") {
				t.Errorf("time server %q", name)
			}
		}
		parseHostapd(text)
		uciOption(text, "x")
	})
}
