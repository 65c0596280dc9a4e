package dns_test

import (
	"errors"
	"fmt"
	"math/rand/v2"
	"net/netip"
	"strings"
	"testing"

	"github.com/google/go-cmp/cmp"
	peer "github.com/miekg/dns"

	"cordon/agent/observe/dns"
)

// header returns a message that claims the given counts, then body.
func header(questions, answers byte, body string) []byte {
	return append([]byte{0, 1, 0x81, 0x80, 0, questions, 0, answers, 0, 0, 0, 0}, body...)
}

func TestParseErrors(t *testing.T) {
	tests := []struct {
		name string
		in   []byte
		want error
	}{
		{"empty", nil, dns.ErrShort},
		{"cut header", header(0, 0, "")[:11], dns.ErrShort},
		{"no question claimed", header(0, 0, ""), nil},
		{"question claimed, none there", header(1, 0, ""), dns.ErrShort},
		{"255 questions claimed, one there", header(255, 0, "\x01a\x00\x00\x01\x00\x01"), dns.ErrShort},
		{"label over the end", header(1, 0, "\x3fa"), dns.ErrShort},
		{"pointer over the end", header(1, 0, "\xc0"), dns.ErrShort},
		{"reserved label type 01", header(1, 0, "\x41a\x00\x00\x01\x00\x01"), dns.ErrLabel},
		{"reserved label type 10", header(1, 0, "\x81a\x00\x00\x01\x00\x01"), dns.ErrLabel},
		{"name of 256 octets", header(1, 0, strings.Repeat("\x01a", 128)+"\x00\x00\x01\x00\x01"), dns.ErrLength},
	}
	for _, tt := range tests {
		t.Run(tt.name, func(t *testing.T) {
			var m dns.Message
			if err := m.Parse(tt.in); !errors.Is(err, tt.want) {
				t.Errorf("Parse: got %v, want %v", err, tt.want)
			}
		})
	}
}

func TestAppendName(t *testing.T) {
	const fixed = "\x00\x01\x00\x01" // type A, class IN
	long := strings.Repeat("\x3f"+strings.Repeat("x", 63), 3)
	tests := []struct {
		name, body, want string
		err              error
	}{
		{"lower case, no trailing dot", "\x03WwW\x07Example\x03ORG\x00" + fixed, "www.example.org", nil},
		{"root", "\x00" + fixed, "", nil},
		{"bytes kept", "\x04a\x1b.\xff\x00" + fixed, "a\x1b.\xff", nil},
		{"to itself", "\xc0\x0c" + fixed, "", dns.ErrPointer},
		{"forwards", "\xc0\x0e" + fixed, "", dns.ErrPointer},
		{"into the header", "\xc0\x02" + fixed, "", dns.ErrPointer},
		{"loop through a label", "\x01a\xc0\x0c" + fixed, "a", dns.ErrPointer},
		{"longest", long + "\x3d" + strings.Repeat("y", 61) + "\x00" + fixed,
			strings.Repeat(strings.Repeat("x", 63)+".", 3) + strings.Repeat("y", 61), nil},
	}
	for _, tt := range tests {
		t.Run(tt.name, func(t *testing.T) {
			var m dns.Message
			if err := m.Parse(header(1, 0, tt.body)); err != nil {
				t.Fatal(err)
			}
			q, ok := m.Question()
			if !ok {
				t.Fatal("no question")
			}
			got, err := m.AppendName(nil, q.Name)
			if string(got) != tt.want || !errors.Is(err, tt.err) {
				t.Errorf("got %q, %v; want %q, %v", got, err, tt.want, tt.err)
			}
		})
	}
}

// TestLongByPointers builds a name whose parts are short and whose sum is not.
func TestLongByPointers(t *testing.T) {
	part := strings.Repeat("\x3f"+strings.Repeat("x", 63), 3)
	body := part + "\x00\x00\x01\x00\x01" // question, 193 octets
	body += part + "\xc0\x0c" + "\x00\x01\x00\x01\x00\x00\x00\x00\x00\x00"
	var m dns.Message
	if err := m.Parse(header(1, 1, body)); err != nil {
		t.Fatal(err)
	}
	it := m.Records()
	if !it.Next() {
		t.Fatal(it.Err())
	}
	if _, err := m.AppendName(nil, it.Name); err != dns.ErrLength {
		t.Errorf("got %v, want %v", err, dns.ErrLength)
	}
	if m.Equal(it.Name, nameOf(t, &m)) {
		t.Error("a name over 255 octets equals the question")
	}
}

func nameOf(t *testing.T, m *dns.Message) dns.Name {
	t.Helper()
	q, ok := m.Question()
	if !ok {
		t.Fatal("no question")
	}
	return q.Name
}

// record is what both parsers make of one resource record.
type record struct {
	Section             dns.Section
	Name                string
	Type, Class         uint16
	TTL                 uint32
	Addr, Target, Texts string
}

func ours(t testing.TB, b []byte) []record {
	t.Helper()
	var m dns.Message
	if err := m.Parse(b); err != nil {
		t.Fatalf("Parse: %v", err)
	}
	text := func(n dns.Name) string {
		s, err := m.AppendName(nil, n)
		if err != nil {
			t.Fatalf("AppendName: %v", err)
		}
		return string(s)
	}
	var all []record
	it := m.Records()
	for it.Next() {
		r := record{Section: it.Section, Name: text(it.Name), Type: it.Type, Class: it.Class, TTL: it.TTL}
		if a, ok := it.Addr(); ok {
			r.Addr = a.String()
		}
		if n, ok := it.Target(); ok {
			r.Target = text(n)
		}
		if it.Type == dns.TypeTXT {
			for s, rest, ok := dns.NextText(it.Data); ok; s, rest, ok = dns.NextText(rest) {
				r.Texts += string(s) + ";"
			}
		}
		all = append(all, r)
	}
	if it.Err() != nil {
		t.Fatalf("Records: %v", it.Err())
	}
	return all
}

func theirs(t testing.TB, b []byte) []record {
	t.Helper()
	var m peer.Msg
	if err := m.Unpack(b); err != nil {
		t.Fatalf("peer: %v", err)
	}
	clean := func(s string) string { return strings.ToLower(strings.TrimSuffix(s, ".")) }
	var all []record
	for i, section := range [][]peer.RR{m.Answer, m.Ns, m.Extra} {
		for _, rr := range section {
			h := rr.Header()
			r := record{Section: dns.Section(i + 1), Name: clean(h.Name), Type: h.Rrtype, Class: h.Class, TTL: h.Ttl}
			switch rr := rr.(type) {
			case *peer.A:
				r.Addr = netip.MustParseAddr(rr.A.String()).String()
			case *peer.AAAA:
				r.Addr = netip.MustParseAddr(rr.AAAA.String()).String()
			case *peer.CNAME:
				r.Target = clean(rr.Target)
			case *peer.PTR:
				r.Target = clean(rr.Ptr)
			case *peer.SRV:
				r.Target = clean(rr.Target)
			case *peer.TXT:
				r.Texts = strings.Join(rr.Txt, ";") + ";"
			}
			all = append(all, r)
		}
	}
	return all
}

// random returns a message with names that share endings, so that compression
// has work to do.
func random(rng *rand.Rand) *peer.Msg {
	labels := []string{"a", "www", "Camera-7", "cdn", "example", "x9", "_hap", "_tcp", "local", "ORG"}
	name := func() string {
		s := ""
		for range 1 + rng.IntN(5) {
			s += labels[rng.IntN(len(labels))] + "."
		}
		return s
	}
	rr := func() peer.RR {
		h := peer.RR_Header{Name: name(), Class: peer.ClassINET, Ttl: rng.Uint32() >> 1}
		ip := func(n int) []byte {
			b := make([]byte, n)
			for i := range b {
				b[i] = byte(1 + rng.IntN(255))
			}
			return b
		}
		switch rng.IntN(7) {
		case 0:
			h.Rrtype = peer.TypeA
			return &peer.A{Hdr: h, A: ip(4)}
		case 1:
			h.Rrtype = peer.TypeAAAA
			return &peer.AAAA{Hdr: h, AAAA: ip(16)}
		case 2:
			h.Rrtype = peer.TypeCNAME
			return &peer.CNAME{Hdr: h, Target: name()}
		case 3:
			h.Rrtype = peer.TypePTR
			return &peer.PTR{Hdr: h, Ptr: name()}
		case 4:
			h.Rrtype = peer.TypeSRV
			return &peer.SRV{Hdr: h, Port: 80, Target: name()}
		case 5:
			h.Rrtype = peer.TypeTXT
			return &peer.TXT{Hdr: h, Txt: []string{"md=Lamp", fmt.Sprint(rng.IntN(9))}}
		}
		h.Rrtype = peer.TypeMX
		return &peer.MX{Hdr: h, Mx: name()}
	}
	m := new(peer.Msg).SetQuestion(name(), peer.TypeA)
	m.Response, m.Compress = true, rng.IntN(4) > 0
	for _, section := range []*[]peer.RR{&m.Answer, &m.Ns, &m.Extra} {
		for range rng.IntN(6) {
			*section = append(*section, rr())
		}
	}
	return m
}

func TestDifferential(t *testing.T) {
	rng := rand.New(rand.NewPCG(1, 2))
	for i := range 2000 {
		b, err := random(rng).Pack()
		if err != nil {
			t.Fatal(err)
		}
		if diff := cmp.Diff(theirs(t, b), ours(t, b)); diff != "" {
			t.Fatalf("message %d: peer (-), ours (+):\n%s", i, diff)
		}
	}
}

// TestCut cuts a message at every byte: no panic, and a record that is told is
// one of the whole message.
func TestCut(t *testing.T) {
	b, err := random(rand.New(rand.NewPCG(3, 4))).Pack()
	if err != nil {
		t.Fatal(err)
	}
	whole := len(ours(t, b))
	for n := range b {
		if got := exercise(b[:n]); got >= whole {
			t.Errorf("cut to %d of %d bytes: %d records, the whole has %d", n, len(b), got, whole)
		}
	}
}

// exercise calls everything on b and returns the number of records.
func exercise(b []byte) (records int) {
	var (
		m   dns.Message
		buf [255]byte
	)
	if m.Parse(b) != nil {
		return 0
	}
	q, _ := m.Question()
	if s, _ := m.AppendName(buf[:0], q.Name); len(s) > 253 {
		panic("text too long")
	}
	it := m.Records()
	for it.Next() {
		records++
		_, _ = it.Addr()
		if s, _ := m.AppendName(buf[:0], it.Name); len(s) > 253 {
			panic("text too long")
		}
		if m.Equal(it.Name, q.Name) != m.Equal(q.Name, it.Name) {
			panic("Equal is not symmetric")
		}
		if n, ok := it.Target(); ok {
			_, _ = m.AppendName(buf[:0], n)
		}
		for _, rest, ok := dns.NextText(it.Data); ok; _, rest, ok = dns.NextText(rest) {
		}
	}
	return records
}

func answer(t testing.TB) []byte {
	m := new(peer.Msg).SetQuestion("ota.cloud.Example.com.", peer.TypeA)
	m.Response, m.Compress = true, true
	for _, s := range []string{
		"ota.cloud.example.com. 300 IN CNAME edge.cdn.example.net.",
		"edge.cdn.example.net. 60 IN A 192.0.2.1",
		"edge.cdn.example.net. 60 IN A 192.0.2.2",
	} {
		rr, err := peer.NewRR(s)
		if err != nil {
			t.Fatal(err)
		}
		m.Answer = append(m.Answer, rr)
	}
	b, err := m.Pack()
	if err != nil {
		t.Fatal(err)
	}
	return b
}

func TestAllocs(t *testing.T) {
	good, bad := answer(t), header(1, 9, "\xc0\x0c\x00\x01\x00\x01")
	if n := testing.AllocsPerRun(100, func() { exercise(good); exercise(bad) }); n != 0 {
		t.Errorf("%v allocations a message, want 0", n)
	}
}

func BenchmarkParse(b *testing.B) {
	msg := answer(b)
	b.SetBytes(int64(len(msg)))
	b.ReportAllocs()
	for b.Loop() {
		exercise(msg)
	}
}

func FuzzDNS(f *testing.F) {
	f.Add(answer(f))
	f.Add(header(1, 0, "\xc0\x0c\x00\x01\x00\x01"))
	f.Add(header(1, 255, "\x01a\x00\x00\x01\x00\x01"))
	f.Fuzz(func(t *testing.T, b []byte) {
		exercise(b)
		// The peer believes less of the counts, and other pointers; what both can
		// read must be the same.
		var theirs peer.Msg
		if theirs.Unpack(b) != nil || len(theirs.Question) == 0 || strings.Contains(theirs.Question[0].Name, `\`) {
			return
		}
		var m dns.Message
		if m.Parse(b) != nil {
			return
		}
		got, err := m.AppendName(nil, nameOf(t, &m))
		want := strings.ToLower(strings.TrimSuffix(theirs.Question[0].Name, "."))
		if err == nil && string(got) != want {
			t.Fatalf("got %q, want %q", got, want)
		}
	})
}
