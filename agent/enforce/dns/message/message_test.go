package message_test

import (
	"bytes"
	"net/netip"
	"strings"
	"testing"
	"time"

	"github.com/google/go-cmp/cmp"
	"github.com/google/go-cmp/cmp/cmpopts"
	miekg "github.com/miekg/dns"

	"cordon/agent/enforce/dns/message"
)

// query packs a question; edns gives it an OPT record.
func query(t testing.TB, name string, typ uint16, edns bool) []byte {
	t.Helper()
	m := new(miekg.Msg)
	m.SetQuestion(name, typ)
	m.CheckingDisabled = true
	if edns {
		m.SetEdns0(4096, true)
	}
	b, err := m.Pack()
	if err != nil {
		t.Fatal(err)
	}
	return b
}

func TestName(t *testing.T) {
	long := strings.Repeat("abcdefghi.", 25) + "abc."
	for name, want := range map[string]string{
		".":                 "",
		"Example.COM.":      "example.com",
		`evil\.com.`:        `evil\.com`,
		`a\\b.test.`:        `a\\b.test`,
		`\000\255.x.`:       "\x00\xff.x",
		"_dns.resolver.x.":  "_dns.resolver.x",
		long:                strings.TrimSuffix(long, "."),
		`\.\.\.\.\.\.\.\..`: `\.\.\.\.\.\.\.\.`,
	} {
		var q message.Question
		b := query(t, name, miekg.TypeTXT, false)
		if !message.Asks(b) || !q.Read(b) || string(q.Name()) != want || q.Type != miekg.TypeTXT || q.Class != message.ClassIN {
			t.Errorf("%s: read %q, type %d, class %d", name, q.Name(), q.Type, q.Class)
		}
	}
}

func TestNoQuestion(t *testing.T) {
	whole := query(t, "example.test.", miekg.TypeA, false)
	change := func(do func(b []byte) []byte) []byte { return do(append([]byte(nil), whole...)) }
	for what, b := range map[string][]byte{
		"nothing":          nil,
		"half a header":    whole[:11],
		"an answer":        change(func(b []byte) []byte { b[2] |= 0x80; return b }),
		"an update":        change(func(b []byte) []byte { b[2] |= 5 << 3; return b }),
		"no question":      change(func(b []byte) []byte { b[5] = 0; return b }),
		"two questions":    change(func(b []byte) []byte { b[5] = 2; return b }),
		"cut in the name":  whole[:15],
		"cut in the class": whole[:len(whole)-1],
		"a pointer":        change(func(b []byte) []byte { b[12] = 0xc0; return b }),
		"a long name": change(func(b []byte) []byte {
			label := append([]byte{63}, make([]byte, 63)...)
			b = append(b[:12:12], label...)
			b = append(append(append(b, label...), label...), label...)
			return append(b, 0, 0, 1, 0, 1)
		}),
	} {
		var q message.Question
		if message.Asks(b) && q.Read(b) {
			t.Errorf("%s: read as %q", what, q.Name())
		}
	}
}

func TestAnswers(t *testing.T) {
	page := [2]netip.Addr{netip.MustParseAddr("192.0.2.1"), netip.MustParseAddr("2001:db8::1")}
	ede := message.Extended{Code: 15, Text: strings.Repeat("ä", 100)}
	for _, edns := range []bool{false, true} {
		for typ, want := range map[uint16]string{miekg.TypeA: "192.0.2.1", miekg.TypeAAAA: "2001:db8::1", miekg.TypeHTTPS: ""} {
			b := query(t, "WwW.example.test.", typ, edns)
			var q message.Question
			if !q.Read(b) {
				t.Fatal("not read")
			}
			before := []byte("before")
			for what, wire := range map[string][]byte{
				"nxdomain": message.AppendNXDomain(before, b, &q, ede), "servfail": message.AppendServFail(before, b, &q),
				"page": message.AppendPage(before, b, &q, page, ede),
			} {
				check(t, what, b, wire[len(before):], want)
			}
		}
	}
}

// check reads an answer with somebody else's parser.
func check(t *testing.T, what string, asked, wire []byte, addr string) {
	t.Helper()
	var q, a miekg.Msg
	if err := q.Unpack(asked); err != nil {
		t.Fatal(err)
	}
	if err := a.Unpack(wire); err != nil {
		t.Fatalf("%s: %v: %x", what, err, wire)
	}
	want := new(miekg.Msg)
	want.SetReply(&q)
	want.RecursionAvailable, want.CheckingDisabled = true, true
	want.Rcode = map[string]int{"nxdomain": 3, "servfail": 2, "page": 0}[what]
	if what == "page" && addr != "" {
		rr, err := miekg.NewRR(q.Question[0].Name + " 10 IN " + miekg.TypeToString[q.Question[0].Qtype] + " " + addr)
		if err != nil {
			t.Fatal(err)
		}
		want.Answer = []miekg.RR{rr}
	}
	if q.IsEdns0() != nil {
		want.SetEdns0(1232, true)
		if what != "servfail" {
			want.IsEdns0().Option = []miekg.EDNS0{&miekg.EDNS0_EDE{InfoCode: 15, ExtraText: strings.Repeat("ä", 90)}}
		}
	}
	if diff := cmp.Diff(want, &a, cmpopts.EquateEmpty(), cmpopts.IgnoreFields(miekg.RR_Header{}, "Rdlength")); diff != "" {
		t.Errorf("%s (-want +got):\n%s", what, diff)
	}
}

func TestAddresses(t *testing.T) {
	var q, a miekg.Msg
	asked := query(t, "x.test.", miekg.TypeA, false)
	if err := q.Unpack(asked); err != nil {
		t.Fatal(err)
	}
	a.SetReply(&q)
	for _, s := range []string{"x.test. 300 IN CNAME y.test.", "y.test. 60 IN A 192.0.2.1", "y.test. 20 IN A 192.0.2.2",
		"y.test. 60 IN A 192.0.2.1", "y.test. 5 IN TXT text", "y.test. 60 IN AAAA 2001:db8::2"} {
		rr, err := miekg.NewRR(s)
		if err != nil {
			t.Fatal(err)
		}
		a.Answer = append(a.Answer, rr)
	}
	wire, err := a.Pack()
	if err != nil {
		t.Fatal(err)
	}
	addrs, ttl, err := message.Addresses(wire)
	want := []netip.Addr{netip.MustParseAddr("192.0.2.1"), netip.MustParseAddr("192.0.2.2"), netip.MustParseAddr("2001:db8::2")}
	if err != nil || ttl != 20*time.Second || cmp.Diff(want, addrs, cmp.Comparer(func(a, b netip.Addr) bool { return a == b })) != "" {
		t.Errorf("got %v, %v, %v", addrs, ttl, err)
	}
	if !message.Answers(wire, asked) {
		t.Error("an answer is not taken")
	}
	for i, what := range map[int]string{0: "another id", 2: "no answer", 13: "another name", 21: "another type"} {
		forged := append([]byte(nil), wire...)
		forged[i] ^= 0x81
		if message.Answers(forged, asked) {
			t.Errorf("%s is taken", what)
		}
	}
}

// FuzzQuestion compares what is read of a question with somebody else's parser,
// and reads the answers to it.
func FuzzQuestion(f *testing.F) {
	f.Add(query(f, "example.test.", miekg.TypeA, true))
	f.Add(query(f, `a\.b\\c\000.test.`, miekg.TypeHTTPS, false))
	f.Add(query(f, ".", miekg.TypeNS, true))
	page := [2]netip.Addr{netip.MustParseAddr("192.0.2.1"), netip.MustParseAddr("2001:db8::1")}
	f.Fuzz(func(t *testing.T, b []byte) {
		var q message.Question
		var m miekg.Msg
		_, _, _ = message.Addresses(b)
		if !message.Asks(b) || !q.Read(b) {
			if m.Unpack(b) == nil && len(m.Question) == 1 && !m.Response && m.Opcode == 0 && plain(b, m.Question[0].Name) {
				t.Fatalf("not read, although it is a question for %s", m.Question[0].Name)
			}
			return
		}
		if m.Unpack(b) == nil && len(m.Question) == 1 {
			name := miekg.CanonicalName(m.Question[0].Name)
			wire := make([]byte, 256)
			n, err := miekg.PackDomainName(name, wire, 0, nil, false)
			if err != nil || text(wire[:n]) != string(q.Name()) || m.Question[0].Qtype != q.Type || m.Question[0].Qclass != q.Class {
				t.Fatalf("read %q %d %d, want %v", q.Name(), q.Type, q.Class, m.Question[0])
			}
		}
		for what, a := range map[string][]byte{
			"nxdomain": message.AppendNXDomain(nil, b, &q, message.Extended{Code: 15, Text: "x"}),
			"servfail": message.AppendServFail(nil, b, &q),
			"page":     message.AppendPage(nil, b, &q, page, message.Extended{Code: 4, Text: strings.Repeat("y", 300)}),
		} {
			if err := m.Unpack(a); err != nil || len(a) > message.MaxAnswer {
				t.Fatalf("%s of %d bytes: %v", what, len(a), err)
			}
			if !message.Answers(a, b) {
				t.Fatalf("%s is no answer", what)
			}
		}
	})
}

// plain reports whether a message has a whole question for the name, without a
// pointer: the other parser also takes less.
func plain(b []byte, name string) bool {
	wire := make([]byte, 256)
	n, err := miekg.PackDomainName(name, wire, 0, nil, false)
	return err == nil && len(b) >= message.HeaderLen+n+4 && bytes.Equal(wire[:n], b[message.HeaderLen:][:n])
}

// text writes a name on the wire as Name does, in lower case already.
func text(wire []byte) string {
	var labels []string
	for len(wire) > 0 && wire[0] != 0 {
		label := string(wire[1 : 1+wire[0]])
		labels = append(labels, strings.NewReplacer(".", `\.`, `\`, `\\`).Replace(label))
		wire = wire[1+wire[0]:]
	}
	return strings.Join(labels, ".")
}

// TestAllocations shows that reading and answering allocates nothing.
func TestAllocations(t *testing.T) {
	b := query(t, "some.name.example.test.", miekg.TypeA, true)
	var q message.Question
	room := make([]byte, 0, message.MaxAnswer)
	if n := testing.AllocsPerRun(100, func() {
		if !message.Asks(b) || !q.Read(b) {
			t.Fatal("not read")
		}
		message.AppendNXDomain(room, b, &q, message.Extended{Code: 15, Text: "x"})
	}); n != 0 {
		t.Errorf("%v allocations", n)
	}
}

func BenchmarkRead(b *testing.B) {
	wire := query(b, "some.name.example.test.", miekg.TypeA, true)
	var q message.Question
	for b.Loop() {
		if !message.Asks(wire) || !q.Read(wire) {
			b.Fatal("not read")
		}
	}
}
