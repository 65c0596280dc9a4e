package dns_test

import (
	"bytes"
	"crypto/rand"
	"fmt"
	"io"
	"net"
	"net/netip"
	"slices"
	"strings"
	"testing"
	"time"

	miekg "github.com/miekg/dns"

	"cordon/lab/netns"
)

// pack packs a message that do has changed.
func pack(t *testing.T, name string, do func(*miekg.Msg)) []byte {
	t.Helper()
	m := new(miekg.Msg)
	m.SetQuestion(name, miekg.TypeA)
	if do != nil {
		do(m)
	}
	b, err := m.Pack()
	if err != nil {
		t.Fatal(err)
	}
	return b
}

// padded pads a question so that it does not fit into one packet.
func padded(n int) func(*miekg.Msg) {
	return func(m *miekg.Msg) {
		m.SetEdns0(4096, false)
		m.IsEdns0().Option = []miekg.EDNS0{&miekg.EDNS0_PADDING{Padding: make([]byte, n)}}
	}
}

// strange is what a guard must not touch, although it is about a blocked name.
func strange(t *testing.T) map[string][]byte {
	long := make([]byte, 9000)
	_, _ = rand.Read(long)
	long[2] |= 0x80
	question := pack(t, "blocked.test.", nil)
	return map[string][]byte{
		"a letter":      []byte("x"),
		"noise":         long,
		"half a header": question[:7],
		"half a name":   question[:16],
		"an answer":     pack(t, "blocked.test.", func(m *miekg.Msg) { m.Response = true }),
		"a notify":      pack(t, "blocked.test.", func(m *miekg.Msg) { m.Opcode = miekg.OpcodeNotify }),
		"two questions": pack(t, "blocked.test.", func(m *miekg.Msg) { m.Question = append(m.Question, m.Question[0]) }),
		"class chaos":   pack(t, "blocked.test.", func(m *miekg.Msg) { m.Question[0].Qclass = miekg.ClassCHAOS }),
		"mixed case":    pack(t, "OtHeR.TeSt.", nil),
		"padding":       pack(t, "other.test.", padded(3000)),
		"much padding":  pack(t, "other.test.", padded(20000)),
	}
}

// TestUnchanged shows that what is not a question that the guard can read reaches
// the server byte for byte, also in fragments.
func TestUnchanged(t *testing.T) {
	t.Parallel()
	b := newBed(t, 1)
	b.guard()
	b.countLeaks()
	for what, wire := range strange(t) {
		for _, to := range []netip.Addr{remote4, remote6} {
			c, err := b.Devices[0].Dial("udp", netip.AddrPortFrom(to, 53).String())
			if err != nil {
				t.Fatal(err)
			}
			if _, err := c.Write(wire); err != nil {
				t.Fatal(err)
			}
			_ = c.SetDeadline(time.Now().Add(2 * time.Second))
			if _, err := c.Read(make([]byte, 65535)); err != nil {
				t.Errorf("%s to %s: %v", what, to, err)
			}
			c.Close()
		}
		b.remote.mu.Lock()
		n := 0
		for _, s := range b.remote.saw {
			if bytes.Equal(s.wire, wire) {
				n++
			}
		}
		b.remote.mu.Unlock()
		if n != 2 {
			t.Errorf("%s arrived %d times unchanged, want 2", what, n)
		}
	}
	b.noLeaks()
}

// TestFragments shows that a question is judged although it comes in fragments,
// and that the router's resolver gets it too.
func TestFragments(t *testing.T) {
	t.Parallel()
	b := newBed(t, 1)
	b.guard()
	for _, to := range []string{"203.0.113.1:53", "[2001:db8:203::1]:53", "192.168.77.1:53", "[fd77::1]:53"} {
		for name, want := range map[string]int{"blocked.test.": miekg.RcodeNameError, "other.test.": miekg.RcodeSuccess} {
			c, err := b.Devices[0].Dial("udp", to)
			if err != nil {
				t.Fatal(err)
			}
			_ = c.SetDeadline(time.Now().Add(2 * time.Second))
			if _, err := c.Write(pack(t, name, padded(3000))); err != nil {
				t.Fatal(err)
			}
			a, err := (&miekg.Conn{Conn: c, UDPSize: 4096}).ReadMsg()
			if err != nil || a.Rcode != want {
				t.Errorf("%s at %s: %v %v, want %s", name, to, a, err, miekg.RcodeToString[want])
			}
			c.Close()
		}
	}
}

// TestStream shows what passes a TCP connection: many questions, blocked ones
// among them, in whatever pieces they come.
func TestStream(t *testing.T) {
	t.Parallel()
	b := newBed(t, 1)
	b.guard()
	for _, at := range []string{"203.0.113.1:53", "[2001:db8:203::1]:53", "192.168.77.1:53"} {
		for _, piece := range []int{1, 7, 1000} {
			c, err := b.Devices[0].Dial("tcp", at)
			if err != nil {
				t.Fatal(err)
			}
			var wire []byte
			want := map[uint16]int{}
			for i := range uint16(12) {
				name, rcode := fmt.Sprintf("n%d.other.test.", i), miekg.RcodeSuccess
				if i%3 == 1 {
					name, rcode = "blocked.test.", miekg.RcodeNameError
				}
				q := pack(t, name, func(m *miekg.Msg) { m.Id = i })
				want[i] = rcode
				wire = append(append(wire, byte(len(q)>>8), byte(len(q))), q...)
			}
			for part := range slices.Chunk(wire, piece) {
				if _, err := c.Write(part); err != nil {
					t.Fatal(err)
				}
			}
			_ = c.SetDeadline(time.Now().Add(3 * time.Second))
			for len(want) > 0 {
				a, err := (&miekg.Conn{Conn: c}).ReadMsg()
				if err != nil {
					t.Fatalf("%s in pieces of %d: %v, without answer: %v", at, piece, err, want)
				}
				if rcode, ok := want[a.Id]; !ok || rcode != a.Rcode {
					t.Errorf("answer %d: %s, want %s", a.Id, miekg.RcodeToString[a.Rcode], miekg.RcodeToString[rcode])
				}
				delete(want, a.Id)
			}
			c.Close()
		}
	}
}

// TestOther shows that what is no DNS passes a TCP connection to port 53, whoever
// speaks first.
func TestOther(t *testing.T) {
	t.Parallel()
	b := newBed(t, 1)
	b.guard()
	l, err := b.Internet.Listen("tcp", "198.51.100.99:53")
	if err != nil {
		t.Fatal(err)
	}
	defer l.Close()
	go func() { // greets, then says what it hears
		for {
			c, err := l.Accept()
			if err != nil {
				return
			}
			go func() {
				_, _ = io.WriteString(c, "SSH-2.0-server\r\n")
				_, _ = io.Copy(c, c)
				c.Close()
			}()
		}
	}()
	big := make([]byte, 300000)
	_, _ = rand.Read(big)
	for _, text := range []string{"SSH-2.0-a client that waits\r\n", "GET / HTTP/1.1\r\n\r\n", "\x16\x03\x01\x02\x00\x01\x00\x01\xfc\x03\x03" + string(big)} {
		conn, err := b.Devices[0].Dial("tcp", "198.51.100.99:53")
		if err != nil {
			t.Fatal(err)
		}
		c := conn.(*net.TCPConn)
		_ = c.SetDeadline(time.Now().Add(5 * time.Second))
		hello := make([]byte, len("SSH-2.0-server\r\n"))
		if _, err := io.ReadFull(c, hello); err != nil {
			t.Fatalf("greeting: %q, %v", hello, err)
		}
		go func() {
			_, _ = io.WriteString(c, text)
			_ = c.CloseWrite()
		}()
		got, err := io.ReadAll(c)
		if err != nil || string(got) != text {
			t.Errorf("sent %d bytes, got %d back: %v", len(text), len(got), err)
		}
		c.Close()
	}
	if _, err := b.Devices[0].Run("dig", "+tcp", "+time=1", "+tries=1", "@198.51.100.98", "-p", "54", "x.test"); err == nil {
		t.Error("nobody is there, yet somebody answers")
	}
}

// TestAddress shows that servers see the device's own address where it is not
// masqueraded, by UDP and by TCP, and so does the router's resolver.
func TestAddress(t *testing.T) {
	t.Parallel()
	b := furnish(t, netns.NewHome(t, netns.HomeConfig{Devices: 1, NoNAT: true}))
	b.guard()
	for _, how := range []string{"", " +tcp"} {
		b.mustDig("@203.0.113.1 four.test"+how, "198.51.100.7")
		b.mustDig("@2001:db8:203::1 six.test"+how, "198.51.100.7")
		b.mustDig("@192.168.77.1 large.test TXT"+how, "xxx")
		b.mustDig("@fd77::1 large.test TXT"+how, "xxx")
	}
	for name, want := range map[string]netip.Addr{"four.test.": netns.DeviceIP(0), "six.test.": netns.DeviceIP6(0)} {
		saw := b.remote.sightings(name)
		if len(saw) != 2 || saw[0].from.Addr() != want || saw[1].from.Addr() != want || saw[0].tcp == saw[1].tcp {
			t.Errorf("the server saw %v, want %v by UDP and TCP", saw, want)
		}
	}
	for _, from := range []netip.Addr{netns.DeviceIP(0), netns.DeviceIP6(0)} {
		if n := strings.Count(b.dnsmasq.Output(), "large.test from "+from.String()+"\n"); n != 2 {
			t.Errorf("the router's resolver was asked by %v %d times, want 2: %s", from, n, b.dnsmasq.Output())
		}
	}
	if strings.Contains(b.dnsmasq.Output(), "four.test") {
		t.Error("a question for another server went to the router's resolver")
	}
}

// TestShare shows that one device cannot take all streams.
func TestShare(t *testing.T) {
	t.Parallel()
	b := newBed(t, 2)
	b.guard()
	for range 40 {
		c, err := b.Devices[0].Dial("tcp", "203.0.113.1:53")
		if err != nil {
			continue // shut at once
		}
		defer c.Close()
	}
	netns.Wait(t, 2*time.Second, "another device's stream works", func() bool {
		out, err := b.dig(1, "@203.0.113.1", "+tcp", "other.test")
		return err == nil && strings.Contains(out, "198.51.100.7")
	})
}
