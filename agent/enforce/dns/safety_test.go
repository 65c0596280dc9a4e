package dns_test

import (
	"errors"
	"fmt"
	"os/exec"
	"strings"
	"syscall"
	"testing"
	"time"

	miekg "github.com/miekg/dns"

	"cordon/agent/enforce/dns"
	"cordon/lab/netns"
)

// answered asks both resolvers once, by UDP and TCP, and reports whether all
// answer within a second.
func (b *bed) answered() error {
	for _, how := range []string{"@192.168.77.1", "@203.0.113.1", "@2001:db8:203::1", "@203.0.113.1 +tcp", "@fd77::1 +tcp"} {
		args := append(strings.Fields(how), "other.test", "+time=1")
		if out, err := b.dig(0, args...); err != nil || !strings.Contains(out, "198.51.100.7") {
			return fmt.Errorf("dig %s: %w %s", how, err, out)
		}
	}
	return nil
}

// blocks reports whether the guard stops a blocked name.
func (b *bed) blocks() bool {
	out, _ := b.dig(0, "@203.0.113.1", "blocked.test", "+time=1")
	return strings.Contains(out, "NXDOMAIN")
}

// opensIn demands that DNS works within the time although nobody judges.
func (b *bed) opensIn(within time.Duration) {
	b.t.Helper()
	began := time.Now()
	c, err := b.Devices[0].Dial("udp", "203.0.113.1:53")
	if err != nil {
		b.t.Fatal(err)
	}
	defer c.Close()
	q := new(miekg.Msg)
	q.SetQuestion("blocked.test.", miekg.TypeA)
	answer := make([]byte, 512)
	client := &miekg.Conn{Conn: c}
	open := netns.Holds(within, func() bool {
		_ = c.SetDeadline(time.Now().Add(50 * time.Millisecond))
		if client.WriteMsg(q) != nil {
			return false
		}
		n, err := c.Read(answer)
		return err == nil && n > 4 && answer[3]&0xf == miekg.RcodeSuccess
	})
	took := time.Since(began)
	b.t.Logf("open after %v", took.Round(time.Millisecond))
	if !open || took > within {
		b.t.Errorf("dns does not work without a guard after %v", took)
	}
	if err := b.answered(); err != nil {
		b.t.Error(err)
	}
}

// TestKill shows that the first question after the guard is killed is answered,
// that nothing leaves the router unmasqueraded, and that a new guard takes over.
func TestKill(t *testing.T) {
	t.Parallel()
	b := newBed(t, 1)
	b.countLeaks()
	g := b.guard()
	for range 3 {
		b.mustDig("@203.0.113.1 -b 192.168.77.10#40053 other.test", "198.51.100.7")
		b.mustDig("@192.168.77.1 -b 192.168.77.10#40054 other.test", "198.51.100.7")
		b.mustDig("@203.0.113.1 -b 192.168.77.10#40055 blocked.test", "NXDOMAIN")
		stream, err := b.Devices[0].Dial("tcp", "203.0.113.1:53")
		if err != nil {
			t.Fatal(err)
		}
		g.Kill()
		b.mustDig("@203.0.113.1 -b 192.168.77.10#40053 other.test", "198.51.100.7")
		b.mustDig("@192.168.77.1 -b 192.168.77.10#40054 other.test", "198.51.100.7")
		b.mustDig("@203.0.113.1 -b 192.168.77.10#40055 blocked.test", "198.51.100.7")
		if err := b.answered(); err != nil {
			t.Error(err)
		}
		_, _ = stream.Write([]byte("on a connection of the dead guard"))
		stream.Close()
		g = b.guard()
		if !b.blocks() {
			t.Error("the next guard does not block")
		}
	}
	b.noLeaks()
	if out, err := b.Router.Run("nft", "list", "tables"); err != nil || strings.Count(out, "cordon-dns") != 2 {
		t.Errorf("the guards left the tables %v\n%s", err, out)
	}
}

// TestClear shows that what a killed guard left goes, and that a guard at work is
// left alone.
func TestClear(t *testing.T) {
	t.Parallel()
	b := newBed(t, 1)
	b.routed = true
	g := b.guard()
	clear := func() error { return b.Router.Do(func() error { return dns.Clear() }) }
	if err := clear(); !errors.Is(err, dns.ErrTwice) {
		t.Errorf("beside a guard: %v, want %v", err, dns.ErrTwice)
	}
	g.Kill()
	for range 2 {
		if err := clear(); err != nil {
			t.Fatal(err)
		}
		for _, command := range []string{"nft list tables", "ip rule", "ip -6 rule"} {
			words := strings.Fields(command)
			out, err := b.Router.Run(words[0], words[1:]...)
			if err != nil || strings.Contains(out, "cordon-dns") || strings.Contains(out, "20053") {
				t.Errorf("%s: %v, left\n%s", command, err, out)
			}
		}
	}
	if err := b.answered(); err != nil {
		t.Error(err)
	}
}

// TestStopped shows that a stopped process does not hold DNS up for longer than
// three seconds, and guards again when it goes on.
func TestStopped(t *testing.T) {
	t.Parallel()
	b := newBed(t, 1)
	g := b.guard()
	if err := g.Signal(syscall.SIGSTOP); err != nil {
		t.Fatal(err)
	}
	b.opensIn(3 * time.Second)
	if err := g.Signal(syscall.SIGCONT); err != nil {
		t.Fatal(err)
	}
	netns.Wait(t, 3*time.Second, "the guard blocks again", b.blocks)
}

// TestDeaf shows that the guard opens when the agent does not beat any more.
func TestDeaf(t *testing.T) {
	t.Parallel()
	b := newBed(t, 1)
	g := b.guard()
	if err := g.Signal(syscall.SIGUSR1); err != nil {
		t.Fatal(err)
	}
	b.opensIn(3 * time.Second)
	if !strings.Contains(g.Output(), "the agent does not judge any more") {
		t.Errorf("no reason in %s", g.Output())
	}
}

// TestStuck shows that the guard opens when Decide does not come back.
func TestStuck(t *testing.T) {
	t.Parallel()
	b := newBed(t, 1)
	g := b.guard()
	_, _ = b.dig(0, "@203.0.113.1", "stuck.test", "+time=1")
	b.opensIn(3 * time.Second)
	if !strings.Contains(g.Output(), "a question was not judged in time") {
		t.Errorf("no reason in %s", g.Output())
	}
}

// TestStop shows that a guard that ends leaves nothing, and loses no question.
func TestStop(t *testing.T) {
	t.Parallel()
	for name, wants := range map[string][]string{
		"duplicated": {"table ip cordon-dns", "table ip6 cordon-dns", "fwmark 0x1000000/0x3000000 iif br-lan lookup 20053"},
		"routed": {"table ip cordon-dns", "table ip6 cordon-dns", "fwmark 0x1000000/0x3000000 iif br-lan lookup 20053",
			"local default dev lo table 20053"},
	} {
		t.Run(name, func(t *testing.T) {
			t.Parallel()
			b := newBed(t, 1)
			b.routed = name == "routed"
			b.stops(wants)
		})
	}
}

// stops starts a guard, which makes what is wanted, and stops it.
func (b *bed) stops(wants []string) {
	t := b.t
	things := func() string {
		var all strings.Builder
		for _, command := range []string{"nft list tables", "ip rule", "ip -6 rule", "ip route show table all", "ip -6 route show table all"} {
			words := strings.Fields(command)
			out, err := b.Router.Run(words[0], words[1:]...)
			if err != nil {
				t.Fatal(err)
			}
			all.WriteString(out)
		}
		return all.String()
	}
	before := things()
	g := b.guard()
	during := things()
	for _, want := range wants {
		if !strings.Contains(during, want) {
			t.Errorf("no %q in\n%s", want, during)
		}
	}
	if out, err := b.Router.Run("ip", "rule"); err != nil || !b.routed && strings.Contains(out, "20053") {
		t.Errorf("policy routing, which slows down every packet: %v\n%s", err, out)
	}
	if out, err := b.Router.Run("nft", "list", "table", "ip", "cordon-dns"); err != nil {
		t.Error(err)
	} else {
		t.Logf("%s", out)
	}
	if err := g.Stop(); err != nil {
		t.Errorf("guard ended with %v\n%s", err, g.Output())
	}
	if after := things(); after != before {
		t.Errorf("a guard that ended left\n%s\nwant\n%s", after, before)
	}
	if err := b.answered(); err != nil {
		t.Error(err)
	}
}

// TestTwice shows that a second guard leaves the first alone.
func TestTwice(t *testing.T) {
	t.Parallel()
	b := newBed(t, 1)
	b.guard()
	second := b.start()
	<-second.Done()
	if !strings.Contains(second.Output(), "another dns guard is running") {
		t.Errorf("the second guard said %s", second.Output())
	}
	if !b.blocks() {
		t.Error("the first guard does not block any more")
	}
}

// TestBridgeNF shows that a guard that would lose packets does not intercept.
func TestBridgeNF(t *testing.T) {
	t.Parallel()
	b := newBed(t, 1)
	const key = "net/bridge/bridge-nf-call-iptables"
	if err := b.Router.Sysctl(key, "1"); err != nil {
		t.Skip("no br_netfilter: nothing to guard against")
	}
	g := b.start()
	netns.Wait(t, 5*time.Second, "the guard says that it is open", func() bool {
		return strings.Contains(g.Output(), key)
	})
	b.opensIn(3 * time.Second)
	for range 2 {
		if err := b.Router.Sysctl(key, "0"); err != nil {
			t.Fatal(err)
		}
		netns.Wait(t, 5*time.Second, "the guard blocks", b.blocks)
		if err := b.Router.Sysctl(key, "1"); err != nil {
			t.Fatal(err)
		}
		b.opensIn(3 * time.Second)
	}
}

// TestDisturbed shows that the guard makes again what others have removed.
func TestDisturbed(t *testing.T) {
	t.Parallel()
	commands := []string{"nft delete table ip cordon-dns", "nft flush table ip6 cordon-dns", "nft flush chain ip cordon-dns intercept",
		"ip link set br-lan down"}
	t.Run("duplicated", func(t *testing.T) {
		t.Parallel()
		newBed(t, 1).disturb(append(commands, "nft flush chain ip cordon-dns hand", "ip -6 rule del lookup 20053", "ip -6 route flush table 20053"))
	})
	t.Run("routed", func(t *testing.T) {
		t.Parallel()
		b := newBed(t, 1)
		b.routed = true
		b.disturb(append(commands, "ip rule del lookup 20053", "ip -6 rule del lookup 20053", "ip route flush table 20053",
			"ip -6 route flush table 20053"))
	})
}

// disturb does each, and demands that the guard is as it was soon after.
func (b *bed) disturb(commands []string) {
	t := b.t
	b.guard()
	b.countLeaks()
	for _, command := range commands {
		words := strings.Fields(command)
		if _, err := b.Router.Run(words[0], words[1:]...); err != nil {
			t.Fatal(err)
		}
		if strings.HasSuffix(command, "down") {
			b.Router.IP("link set br-lan up", "addr replace fd77::1/64 dev br-lan nodad")
			b.Devices[0].IP("neigh flush dev eth0")
		}
		netns.Wait(t, 5*time.Second, "the guard blocks again after "+command, func() bool {
			out, _ := b.dig(0, "@2001:db8:203::1", "blocked.test", "+time=1")
			return b.blocks() && strings.Contains(out, "NXDOMAIN")
		})
		if err := b.answered(); err != nil {
			t.Errorf("after %s: %v", command, err)
		}
	}
	b.noLeaks()
}

// TestFirewall shows that the guard works behind a firewall like OpenWrt's: what
// devices may not send to the router is refused, but for DNS, and so is what
// belongs to no connection.
func TestFirewall(t *testing.T) {
	t.Parallel()
	b := newBed(t, 1)
	b.Router.NFT(`table inet fw4 {
		chain input { type filter hook input priority filter; policy drop;
			iif lo accept
			ct state vmap { established : accept, related : accept, invalid : drop }
			iifname "br-lan" meta l4proto { tcp, udp } th dport 53 accept
			meta l4proto ipv6-icmp accept
		}
		chain forward { type filter hook forward priority filter; policy drop;
			ct state vmap { established : accept, related : accept, invalid : drop }
			iifname "br-lan" oifname "wan" accept
		}
		chain output { type filter hook output priority filter; policy drop;
			oif lo accept
			ct state vmap { established : accept, related : accept, invalid : drop }
			oifname { "br-lan", "wan" } accept
		}
	}`)
	for range 2 {
		g := b.guard()
		if err := b.answered(); err != nil {
			t.Error(err)
		}
		if !b.blocks() {
			t.Error("the guard does not block")
		}
		b.mustDig("@203.0.113.1 large.test TXT", "ANSWER: 30", "(TCP)")
		b.mustDig("@192.168.77.1 a.resolve.test", "192.0.2.20")
		g.Kill()
		if err := b.answered(); err != nil {
			t.Errorf("after the guard was killed: %v", err)
		}
	}
}

// TestNoIPv6 shows that a router without IPv6 guards IPv4.
func TestNoIPv6(t *testing.T) {
	t.Parallel()
	b := newBed(t, 1)
	for _, key := range []string{"all", "lo", "br-lan", "wan"} {
		if err := b.Router.Sysctl("net/ipv6/conf/"+key+"/disable_ipv6", "1"); err != nil {
			t.Fatal(err)
		}
	}
	g := b.guard()
	if !strings.Contains(g.Output(), "dns guard without ipv6") {
		t.Errorf("no word of it in %s", g.Output())
	}
	b.mustDig("@203.0.113.1 other.test", "198.51.100.7")
	b.mustDig("@203.0.113.1 +tcp other.test", "198.51.100.7")
	if !b.blocks() {
		t.Error("the guard does not block")
	}
	if err := g.Stop(); err != nil {
		t.Errorf("guard ended with %v\n%s", err, g.Output())
	}
}

// TestCapabilities shows that the guard needs no more than two capabilities.
func TestCapabilities(t *testing.T) {
	t.Parallel()
	b := newBed(t, 1)
	if _, err := exec.LookPath("setpriv"); err != nil {
		t.Skip("needs setpriv")
	}
	g := b.guard("setpriv", "--bounding-set=-all,+net_admin,+net_raw")
	if err := b.answered(); err != nil {
		t.Error(err)
	}
	b.mustDig("@192.168.77.1 a.resolve.test", "192.0.2.20")
	if !b.blocks() {
		t.Error("the guard does not block")
	}
	if err := g.Stop(); err != nil {
		t.Errorf("guard ended with %v\n%s", err, g.Output())
	}
}

// TestValidMark shows that the guard works where the kernel asks for a packet's
// mark on its way back, as wg-quick sets it.
func TestValidMark(t *testing.T) {
	t.Parallel()
	b := newBed(t, 1)
	for _, key := range []string{"all/rp_filter", "all/src_valid_mark", "br-lan/rp_filter", "wan/rp_filter"} {
		if err := b.Router.Sysctl("net/ipv4/conf/"+key, "1"); err != nil {
			t.Fatal(err)
		}
	}
	b.guard()
	if err := b.answered(); err != nil {
		t.Error(err)
	}
	if !b.blocks() {
		t.Error("the guard does not block")
	}
}
