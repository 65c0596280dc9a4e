package dns_test

import (
	"net"
	"net/netip"
	"os"
	"os/exec"
	"path/filepath"
	"strings"
	"sync"
	"testing"
	"time"

	miekg "github.com/miekg/dns"

	"cordon/lab/netns"
)

// Where the tests' servers are.
var (
	remote4 = netip.MustParseAddr("203.0.113.1")
	remote6 = netip.MustParseAddr("2001:db8:203::1")
)

// bed is a home whose router has dnsmasq as its resolver, with a server on the
// internet.
type bed struct {
	*netns.Home
	t       *testing.T
	remote  *remote
	dnsmasq *netns.Process
	routed  bool // the guards use policy routing
}

// newBed builds the home. What dnsmasq does not know itself it asks the remote
// server for.
func newBed(t *testing.T, devices int) *bed {
	t.Helper()
	return furnish(t, netns.NewHome(t, netns.HomeConfig{Devices: devices}))
}

// furnish puts the servers into a home.
func furnish(t *testing.T, home *netns.Home) *bed {
	t.Helper()
	for _, program := range []string{"dig", "dnsmasq", "conntrack"} {
		if _, err := exec.LookPath(program); err != nil {
			t.Skip("needs " + program)
		}
	}
	b := &bed{Home: home, t: t, remote: newRemote(t, home.Internet)}
	b.dnsmasq = b.Router.Go("dnsmasq", "--keep-in-foreground", "--conf-file=/dev/null", "--user=root", "--no-resolv", "--no-hosts",
		"--pid-file="+filepath.Join(t.TempDir(), "pid"), "--log-queries", "--log-facility=-", "--cache-size=0", "--edns-packet-max=4096",
		"--interface=br-lan", "--server="+remote4.String(), "--local-service",
		"--host-record=local.test,192.0.2.10,2001:db8:1::10", "--host-record=a.resolve.test,192.0.2.20",
		"--host-record=closed.resolve.test,192.0.2.21", "--host-record=blocked.test,192.0.2.30",
		"--txt-record=large.test,"+strings.Repeat("x", 200))
	netns.Wait(t, 10*time.Second, "dnsmasq answers", func() bool {
		out, _ := b.dig(0, "@192.168.77.1", "local.test", "+time=1", "+tries=1")
		return strings.Contains(out, "192.0.2.10")
	})
	return b
}

// guard starts a guard on the router and waits until it is in force.
func (b *bed) guard(through ...string) *netns.Process {
	b.t.Helper()
	p := b.start(through...)
	if !netns.Holds(10*time.Second, func() bool {
		select {
		case <-p.Done():
			b.t.Fatalf("guard ended: %v\n%s", p.Err(), p.Output())
		default:
		}
		return strings.Contains(p.Output(), "dns guard in force")
	}) {
		b.t.Fatalf("the guard is not in force:\n%s", p.Output())
	}
	return p
}

// start starts a guard on the router, through another program if one is named.
func (b *bed) start(through ...string) *netns.Process {
	b.t.Helper()
	self, err := os.Executable()
	if err != nil {
		b.t.Fatal(err)
	}
	command := append(through, self)
	cmd := b.Router.Command(command[0], command[1:]...)
	cmd.Env = append(cmd.Env, asGuard+"=br-lan")
	if b.routed {
		cmd.Env = append(cmd.Env, asRouted+"=1")
	}
	p, err := b.Router.Start(cmd)
	if err != nil {
		b.t.Fatal(err)
	}
	return p
}

// dig asks from a device and returns what dig says.
func (b *bed) dig(device int, args ...string) (string, error) {
	return b.Devices[device].Run("dig", append([]string{"+tries=1", "+time=2"}, args...)...)
}

// mustDig asks from the first device and demands that dig says each of want.
func (b *bed) mustDig(args string, want ...string) string {
	b.t.Helper()
	out, err := b.dig(0, strings.Fields(args)...)
	for _, w := range want {
		if !strings.Contains(out, w) {
			b.t.Errorf("dig %s: %v, no %q in\n%s", args, err, w, out)
		}
	}
	return out
}

// remote is a DNS server on the internet. It answers everything, and remembers
// who asked.
type remote struct {
	mu  sync.Mutex
	saw []sighting
}

// sighting is a question as it arrived.
type sighting struct {
	from netip.AddrPort
	name string
	wire []byte // as it came, UDP only
	tcp  bool
}

func newRemote(t *testing.T, host *netns.Host) *remote {
	t.Helper()
	r := &remote{}
	for _, network := range []string{"udp4", "udp6"} {
		c, err := host.ListenPacket(network, ":53")
		if err != nil {
			t.Fatal(err)
		}
		t.Cleanup(func() { c.Close() })
		go r.serveUDP(c.(*net.UDPConn))
	}
	for _, at := range []netip.Addr{remote4, remote6} {
		l, err := host.Listen("tcp", netip.AddrPortFrom(at, 53).String())
		if err != nil {
			t.Fatal(err)
		}
		s := &miekg.Server{Listener: l, Handler: r}
		go func() { _ = s.ActivateAndServe() }()
		t.Cleanup(func() { _ = s.Shutdown() })
	}
	return r
}

// serveUDP answers datagrams; what is no question is sent back as it is.
func (r *remote) serveUDP(c *net.UDPConn) {
	b := make([]byte, 65535)
	for {
		n, from, err := c.ReadFromUDPAddrPort(b)
		if err != nil {
			return
		}
		s := sighting{from: netip.AddrPortFrom(from.Addr().Unmap(), from.Port()), wire: append([]byte(nil), b[:n]...)}
		var q miekg.Msg
		reply := s.wire
		if q.Unpack(b[:n]) == nil && len(q.Question) == 1 && q.Opcode == 0 {
			s.name = q.Question[0].Name
			size := 512
			if o := q.IsEdns0(); o != nil {
				size = int(o.UDPSize())
			}
			a := answerTo(&q)
			a.Truncate(size)
			reply, _ = a.Pack()
		}
		r.see(s)
		_, _ = c.WriteToUDPAddrPort(reply, from)
	}
}

// ServeDNS answers over TCP.
func (r *remote) ServeDNS(w miekg.ResponseWriter, q *miekg.Msg) {
	from := w.RemoteAddr().(*net.TCPAddr).AddrPort()
	r.see(sighting{from: netip.AddrPortFrom(from.Addr().Unmap(), from.Port()), name: q.Question[0].Name, tcp: true})
	_ = w.WriteMsg(answerTo(q))
}

func (r *remote) see(s sighting) {
	r.mu.Lock()
	defer r.mu.Unlock()
	r.saw = append(r.saw, s)
}

// sightings returns what arrived for a name, "" for what was no question.
func (r *remote) sightings(name string) []sighting {
	r.mu.Lock()
	defer r.mu.Unlock()
	var of []sighting
	for _, s := range r.saw {
		if s.name == name {
			of = append(of, s)
		}
	}
	return of
}

// answerTo makes an answer: an address, or much text for a name with "large".
func answerTo(q *miekg.Msg) *miekg.Msg {
	a := new(miekg.Msg)
	a.SetReply(q)
	if o := q.IsEdns0(); o != nil {
		a.SetEdns0(1232, o.Do())
	}
	h := miekg.RR_Header{Name: q.Question[0].Name, Rrtype: q.Question[0].Qtype, Class: miekg.ClassINET, Ttl: 60}
	switch h.Rrtype {
	case miekg.TypeA:
		a.Answer = append(a.Answer, &miekg.A{Hdr: h, A: net.IPv4(198, 51, 100, 7)})
	case miekg.TypeAAAA:
		a.Answer = append(a.Answer, &miekg.AAAA{Hdr: h, AAAA: net.ParseIP("2001:db8:1::7")})
	case miekg.TypeTXT:
		n := 1
		if strings.HasPrefix(h.Name, "large.") {
			n = 30
		}
		for range n {
			a.Answer = append(a.Answer, &miekg.TXT{Hdr: h, Txt: []string{strings.Repeat("t", 150)}})
		}
	}
	return a
}

// TestPass asks both the router's resolver and a remote server what is permitted.
func TestPass(t *testing.T) {
	t.Parallel()
	b := newBed(t, 1)
	for _, rpFilter := range []string{"0", "1", "1 routed"} {
		rpFilter, b.routed = rpFilter[:1], len(rpFilter) > 1
		for _, key := range []string{"all", "default", "br-lan", "wan", "lo"} {
			if err := b.Router.Sysctl("net/ipv4/conf/"+key+"/rp_filter", rpFilter); err != nil {
				t.Fatal(err)
			}
		}
		g := b.guard()
		for _, edns := range []string{"", " +noedns"} {
			b.mustDig("@192.168.77.1 local.test"+edns, "192.0.2.10", "192.168.77.1#53")
			b.mustDig("@192.168.77.1 local.test AAAA"+edns, "2001:db8:1::10")
			b.mustDig("@192.168.77.1 other.test"+edns, "198.51.100.7")
			b.mustDig("@203.0.113.1 other.test"+edns, "198.51.100.7", "203.0.113.1#53")
			b.mustDig("@203.0.113.1 other.test AAAA"+edns, "2001:db8:1::7")
			b.mustDig("@203.0.113.1 other.test TXT"+edns, "ttt")
			b.mustDig("@203.0.113.1 large.test TXT"+edns, "ANSWER: 30", "(TCP)")
			b.mustDig("@2001:db8:203::1 other.test"+edns, "198.51.100.7")
			b.mustDig("@2001:db8:203::1 large.test TXT"+edns, "ANSWER: 30", "(TCP)")
			b.mustDig("@fd77::1 local.test"+edns, "192.0.2.10")
			b.mustDig("@203.0.113.1 +tcp other.test"+edns, "198.51.100.7")
			b.mustDig("@192.168.77.1 +tcp local.test"+edns, "192.0.2.10")
			b.mustDig("@fd77::1 +tcp local.test"+edns, "192.0.2.10")
		}
		if err := g.Stop(); err != nil {
			t.Errorf("guard ended with %v\n%s", err, g.Output())
		}
	}
	for _, s := range b.remote.sightings("other.test.") {
		if a := s.from.Addr(); a != netns.RouterWAN && a != netns.RouterWAN6 {
			t.Errorf("a question came from %v, want the router", s.from)
		}
	}
}
