package dns_test

import (
	"net/netip"
	"strings"
	"testing"

	"cordon/lab/netns"
)

// TestRefuse shows that a blocked name does not exist, whoever is asked, and that
// a device that speaks EDNS is told why.
func TestRefuse(t *testing.T) {
	t.Parallel()
	b := newBed(t, 1)
	b.guard()
	for _, at := range []string{"192.168.77.1", "203.0.113.1", "fd77::1", "2001:db8:203::1", "198.18.0.1"} {
		b.mustDig("@"+at+" x.blocked.test", "NXDOMAIN", "EDE: 15 (Blocked): (stopped for your safety)", "x.blocked.test.", at+"#53")
		b.mustDig("@"+at+" BLOCKED.test AAAA", "NXDOMAIN", "BLOCKED.test.", "EDE: 15")
		b.mustDig("@"+at+" filtered.test TXT +dnssec", "NXDOMAIN", "EDE: 17 (Filtered)", "flags: do")
		if out := b.mustDig("@"+at+" blocked.test +noedns", "NXDOMAIN"); strings.Contains(out, "OPT") {
			t.Errorf("an answer with EDNS to a question without: %s", out)
		}
		if at != "198.18.0.1" { // nobody is there to accept a connection
			b.mustDig("@"+at+" blocked.test +tcp", "NXDOMAIN", "EDE: 15", at+"#53")
		}
	}
	if saw := b.remote.sightings("blocked.test."); saw != nil {
		t.Errorf("a blocked question reached the server: %v", saw)
	}
	// The device's own address and port, used for a refusal, go on to be
	// masqueraded.
	b.countLeaks()
	for _, name := range []string{"blocked.test", "other.test", "blocked.test", "other.test"} {
		b.mustDig("@203.0.113.1 -b 192.168.77.10#40053 "+name, "203.0.113.1#53")
	}
	b.noLeaks()
	if saw := b.remote.sightings("other.test."); len(saw) != 2 || saw[1].from != netip.AddrPortFrom(netns.RouterWAN, 40053) {
		t.Errorf("the server saw %v, want the router's address and the device's port", saw)
	}
}

// TestRedirect shows that a redirected name has the page's addresses and nothing
// else.
func TestRedirect(t *testing.T) {
	t.Parallel()
	b := newBed(t, 1)
	b.guard()
	for _, how := range []string{"@192.168.77.1", "@203.0.113.1", "@2001:db8:203::1", "@203.0.113.1 +tcp"} {
		b.mustDig(how+" www.page.test", "NOERROR", "10\tIN\tA\t192.168.77.1", "EDE: 4 (Forged Answer)")
		b.mustDig(how+" www.page.test AAAA", "NOERROR", "10\tIN\tAAAA\tfd77::1")
		b.mustDig(how+" www.page.test TYPE65", "NOERROR", "ANSWER: 0")
	}
}

// TestResolve shows that the router's resolver is asked instead of the one that
// the device chose, and that its answer is open before the device has it.
func TestResolve(t *testing.T) {
	t.Parallel()
	b := newBed(t, 1)
	g := b.guard()
	for i, how := range []string{"@192.168.77.1", "@203.0.113.1", "@2001:db8:203::1", "@203.0.113.1 +tcp", "@198.18.0.9"} {
		b.mustDig(how+" a.resolve.test", "NOERROR", "192.0.2.20")
		if got := strings.Count(g.Output(), "a.resolve.test [192.0.2.20]"); got != i+1 {
			t.Fatalf("%s: %d answers were opened before the device had them, want %d\n%s", how, got, i+1, g.Output())
		}
	}
	if want := "opened 44:19:b6:00:00:10 192.168.77.10 a.resolve.test"; !strings.Contains(g.Output(), want) {
		t.Errorf("no %q in %s", want, g.Output())
	}
	b.mustDig("@203.0.113.1 other.resolve.test", "198.51.100.7") // dnsmasq asks the remote server
	b.mustDig("@203.0.113.1 closed.resolve.test", "SERVFAIL")
	b.mustDig("@203.0.113.1 text.resolve.test TXT", "NOERROR", "ttt") // no addresses: nothing to open
	if saw := b.remote.sightings("a.resolve.test."); saw != nil {
		t.Errorf("the server that the device asked was asked: %v", saw)
	}
}

// TestWho shows that Decide is told who asks what.
func TestWho(t *testing.T) {
	t.Parallel()
	b := newBed(t, 2)
	g := b.guard()
	out, err := b.Router.Run("ip", "-o", "-6", "addr", "show", "br-lan", "scope", "link")
	if err != nil || len(strings.Fields(out)) < 4 {
		t.Fatalf("link-local address of br-lan: %v %s", err, out)
	}
	local := strings.TrimSuffix(strings.Fields(out)[3], "/64")
	for i, device := range []string{"44:19:b6:00:00:10", "44:19:b6:00:00:11"} {
		for _, at := range []string{"192.168.77.1", "fd77::1", local} {
			from := netns.DeviceIP(i).String()
			if strings.Contains(at, ":") {
				from = netns.DeviceIP6(i).String()
			}
			to := at
			if at == local {
				to, from = at+"%eth0", "fe80:"
			}
			if out, err := b.dig(i, "@"+to, "Who.Test", "-t", "TXT"); err != nil || !strings.Contains(out, "NOERROR") {
				t.Errorf("dig @%s: %v %s", to, err, out)
			}
			want := "who " + device + " " + from
			if !strings.Contains(g.Output(), want) {
				t.Errorf("asked %s: no %q in\n%s", at, want, g.Output())
			}
		}
	}
	if !strings.Contains(g.Output(), ":53 who.test 16\n") {
		t.Errorf("the question is not told: %s", g.Output())
	}
}

// countLeaks begins to count what leaves the router with an address of the home's.
func (b *bed) countLeaks() {
	b.t.Helper()
	b.Internet.NFT(`table inet leaks {
		counter leaked { }
		chain seen { type filter hook prerouting priority raw;
			ip saddr 192.168.0.0/16 counter name leaked
			ip6 saddr fd00::/8 counter name leaked
		}
	}`)
}

// noLeaks demands that nothing did.
func (b *bed) noLeaks() {
	b.t.Helper()
	out, err := b.Internet.Run("nft", "list", "counters")
	if err != nil || !strings.Contains(out, "packets 0 bytes 0") {
		b.t.Errorf("packets left the router as they came: %v %s", err, out)
	}
}
