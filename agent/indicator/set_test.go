package indicator

import (
	"encoding/binary"
	"errors"
	"fmt"
	"io"
	"net/netip"
	"os"
	"path/filepath"
	"strings"
	"sync"
	"testing"
	"time"

	"github.com/google/go-cmp/cmp"

	"cordon"
	"cordon/agent/indicator/feed"
)

var (
	now  = cordon.TimeOf(time.Date(2026, 1, 10, 12, 0, 0, 0, time.UTC))
	late = now.Add(300 * 24 * time.Hour)
)

const columns = "value,type,source,role,confidence,scope,first_seen,last_seen,expires,note\n"

// text is a feed of a text.
func text(name, s string) source {
	return source{name, func() (io.ReadCloser, error) { return io.NopCloser(strings.NewReader(s)), nil }}
}

// open compiles feeds and opens the index.
func open(t testing.TB, sources ...source) (*Set, feed.Report) {
	t.Helper()
	path := filepath.Join(t.TempDir(), "index")
	report, err := compile(path, Options{Now: now, Key: [2]uint64{1, 2}}, sources)
	if err != nil {
		t.Fatal(err)
	}
	s, err := Open(path)
	if err != nil {
		t.Fatal(err)
	}
	t.Cleanup(func() { s.Close() })
	return s, report
}

// answer is "type value confidence", or "" when nothing was found.
func answer(i cordon.Indicator, ok bool) string {
	if !ok {
		return ""
	}
	return fmt.Sprintf("%s %s %d", i.Type, i.Value, i.Confidence)
}

const known = columns + `
evil.example.com,name,,,20
evil.example.com,suffix,,,90
*.example.net,,,,60
*.deep.example.net,,,,10
*.3.4.5.6.7.8.example.org,,,,30
brief.example.com,,,,90,,,,2026-01-10T13:00:00Z
brief.example.com,,a,,40,,,,2026-06-01
198.51.100.1:23,,,,20
198.51.100.1,,,,90
198.51.100.0/24,,,,50
198.51.100.0/28,,,,40
203.0.113.1,,,,30
[2001:db8::1]:23,,,,50
2001:db8::/48,,,,50
2001:db8::/64,,,,55
http://files.example.com/bins.sh,,,,50
http://files.example.com/x?y=1,,,,50
http://files.example.com:8080/,,,,50
http://198.51.100.9/mips,,,,50
http://[2001:db8::9]:81/mips,,,,50
`

// TestOrder shows what is looked up, and what is answered when more than one
// indicator fits.
func TestOrder(t *testing.T) {
	s, report := open(t, text("x", known))
	if s.Len() != 20 || report.Taken != 20 {
		t.Fatalf("%d indicators, %s", s.Len(), report.String())
	}
	for name, want := range map[string]string{
		"evil.example.com":                "name evil.example.com 20",
		"EVIL.Example.COM.":               "name evil.example.com 20",
		"a.evil.example.com":              "suffix evil.example.com 90",
		"notevil.example.com":             "",
		"example.com":                     "",
		"com":                             "",
		"":                                "",
		".":                               "",
		"example.net":                     "suffix example.net 60",
		"a.b.c.d.e.f.g.h.i.example.net":   "suffix example.net 60",
		"a.deep.example.net":              "suffix deep.example.net 10",
		"1.2.3.4.5.6.7.8.example.org":     "suffix 3.4.5.6.7.8.example.org 30",
		"3.4.5.6.7.8.example.org":         "suffix 3.4.5.6.7.8.example.org 30",
		"brief.example.com":               "name brief.example.com 90",
		strings.Repeat("a", 300) + ".net": "",
		"198.51.100.1":                    "",
	} {
		if got := answer(s.Name([]byte(name), now)); got != want {
			t.Errorf("%q: %q, want %q", name, got, want)
		}
	}
	for endpoint, want := range map[string]string{
		"198.51.100.1:23":          "address-port 198.51.100.1:23 20",
		"198.51.100.1:24":          "address 198.51.100.1 90",
		"198.51.100.1:0":           "address 198.51.100.1 90",
		"[::ffff:198.51.100.1]:23": "address-port 198.51.100.1:23 20",
		"198.51.100.2:1":           "prefix 198.51.100.0/28 40",
		"198.51.100.16:1":          "prefix 198.51.100.0/24 50",
		"198.51.101.1:1":           "",
		"203.0.113.1:80":           "address 203.0.113.1 30",
		"203.0.113.2:80":           "",
		"[2001:db8::1]:23":         "address-port [2001:db8::1]:23 50",
		"[2001:db8::1%lan]:23":     "address-port [2001:db8::1]:23 50",
		"[2001:db8::1]:22":         "prefix 2001:db8::/64 55",
		"[2001:db8:0:1::1]:22":     "prefix 2001:db8::/48 50",
		"[2001:db8:1::1]:22":       "",
	} {
		ap := netip.MustParseAddrPort(endpoint)
		if got := answer(s.Endpoint(ap.Addr(), ap.Port(), now)); got != want {
			t.Errorf("%s: %q, want %q", endpoint, got, want)
		}
	}
	if got := answer(s.Endpoint(netip.Addr{}, 80, now)); got != "" {
		t.Errorf("no address: %q", got)
	}
	for _, c := range [][3]string{
		{"files.example.com", "/bins.sh", "url files.example.com/bins.sh 50"},
		{"files.example.com.:80", "/bins.sh", "url files.example.com/bins.sh 50"},
		{"FILES.example.com:80", "/bins.sh?a=b", "url files.example.com/bins.sh 50"},
		{"files.example.com:443", "/bins.sh#top", "url files.example.com/bins.sh 50"},
		{"files.example.com.", "/bins.sh", "url files.example.com/bins.sh 50"},
		{"files.example.com", "/Bins.sh", ""},
		{"files.example.com", "/x?y=1", "url files.example.com/x?y=1 50"},
		{"files.example.com", "/x", ""},
		{"files.example.com:8080", "", "url files.example.com:8080/ 50"},
		{"files.example.com", "", ""},
		{"198.51.100.9", "/mips", "url 198.51.100.9/mips 50"},
		{"[2001:db8::9]:81", "/mips", "url [2001:db8::9]:81/mips 50"},
		{"", "/mips", ""},
		{":80", "/mips", ""},
		{strings.Repeat("a", 9000), "/mips", ""},
	} {
		if got := answer(s.URL([]byte(c[0]), []byte(c[1]), now)); got != c[2] {
			t.Errorf("%.50s %s: %q, want %q", c[0], c[1], got, c[2])
		}
	}
	if s.Damaged() != 0 {
		t.Errorf("%d look-ups met damage", s.Damaged())
	}
}

// TestExpiry: an indicator counts until it expires; then the next best does.
func TestExpiry(t *testing.T) {
	s, _ := open(t, text("x", known))
	for _, c := range []struct {
		at   cordon.Time
		want string
	}{
		{now.Add(time.Hour - 1), "name brief.example.com 90"},
		{now.Add(time.Hour), "name brief.example.com 40"},
		{late, ""},
	} {
		if got := answer(s.Name([]byte("brief.example.com"), c.at)); got != c.want {
			t.Errorf("at %v: %q, want %q", c.at, got, c.want)
		}
	}
}

// TestWhole shows that everything a feed says comes back, and what counts as a
// duplicate.
func TestWhole(t *testing.T) {
	s, report := open(t,
		text("a.csv", columns+"a.example.com,,lab,c2,70,camera,2026-01-01,2026-01-09,2026-02-01,why\n"),
		text("b.csv", columns+"a.example.com,,lab,c2,60,camera,,,2026-03-01,again\na.example.com,,,c2,50\n"),
		text("c.txt", strings.Repeat("b.example.com\n", 5)+"com\n"))
	if report.Taken != 3 || report.Duplicates != 5 || report.Refusals() != 1 || s.Len() != 3 {
		t.Errorf("%d indicators, %s", s.Len(), report.String())
	}
	got, _ := s.Name([]byte("a.example.com"), now)
	day := func(month time.Month, d int) cordon.Time {
		return cordon.TimeOf(time.Date(2026, month, d, 0, 0, 0, 0, time.UTC))
	}
	want := cordon.Indicator{Type: cordon.IndicatorName, Value: "a.example.com", Source: "lab", Role: cordon.RoleC2,
		Confidence: 70, Scope: "camera", FirstSeen: day(1, 1), LastSeen: day(1, 9), Expires: day(2, 1), Note: "why"}
	if diff := cmp.Diff(want, got); diff != "" {
		t.Error(diff)
	}
	got, _ = s.Name([]byte("a.example.com"), day(2, 2))
	if got.Source != "b.csv" || got.Confidence != 50 {
		t.Errorf("after the first expired: %+v", got)
	}
}

// TestSame: the same statements make the same file, in whatever order.
func TestSame(t *testing.T) {
	lines := strings.Split(strings.TrimPrefix(known, columns), "\n")
	var back strings.Builder
	back.WriteString(columns)
	for i := range lines {
		back.WriteString(lines[len(lines)-1-i] + "\n")
	}
	var files []string
	for n, s := range []string{known, back.String()} {
		path := filepath.Join(t.TempDir(), fmt.Sprint(n))
		if _, err := compile(path, Options{Now: now}, []source{text("x", s)}); err != nil {
			t.Fatal(err)
		}
		b, err := os.ReadFile(path)
		if err != nil {
			t.Fatal(err)
		}
		files = append(files, string(b))
	}
	if files[0] != files[1] {
		t.Error("the index depends on the order of the feed")
	}
}

// TestSurplus: statements about one place beyond the eighth are refused, the
// most confident stay.
func TestSurplus(t *testing.T) {
	var b strings.Builder
	b.WriteString(columns)
	for i := range 100 {
		fmt.Fprintf(&b, "a.example.com,,source %d,,%d\n", i, i)
	}
	s, report := open(t, text("x", b.String()))
	if s.Len() != maxPerKey || report.Taken != maxPerKey || report.Refusals() != 100-maxPerKey {
		t.Errorf("%d indicators, %s", s.Len(), report.String())
	}
	if got := answer(s.Name([]byte("a.example.com"), now)); got != "name a.example.com 99" {
		t.Error(got)
	}
}

func TestNone(t *testing.T) {
	empty, _ := open(t, text("x", "com\n"))
	closed, _ := open(t, text("x", known))
	closed.Close()
	for name, s := range map[string]*Set{"zero": {}, "empty": empty, "closed": closed} {
		_, ok1 := s.Name([]byte("evil.example.com"), now)
		_, ok2 := s.Endpoint(netip.MustParseAddr("198.51.100.1"), 23, now)
		_, ok3 := s.URL([]byte("files.example.com"), []byte("/bins.sh"), now)
		if ok1 || ok2 || ok3 {
			t.Errorf("%s: something was found", name)
		}
		if (s.Damaged() > 0) != (name == "closed") {
			t.Errorf("%s: %d met damage", name, s.Damaged())
		}
	}
}

// TestKept: when a feed cannot be read the old index stays, and nothing is left
// lying about; a set that is open survives a new index.
func TestKept(t *testing.T) {
	dir := t.TempDir()
	list, index := filepath.Join(dir, "list"), filepath.Join(dir, "index")
	write := func(s string) {
		if err := os.WriteFile(list, []byte(s), 0o600); err != nil {
			t.Fatal(err)
		}
	}
	write("a.example.com\n")
	if _, err := Compile(index, Options{Now: now}, list); err != nil {
		t.Fatal(err)
	}
	old, err := Open(index)
	if err != nil {
		t.Fatal(err)
	}
	defer old.Close()
	if _, err := Compile(index, Options{Now: now}, list, filepath.Join(dir, "absent")); !errors.Is(err, os.ErrNotExist) {
		t.Errorf("absent feed: %v", err)
	}
	write(`{"objects":[`)
	if _, err := Compile(index, Options{Now: now}, list); !errors.Is(err, io.ErrUnexpectedEOF) {
		t.Errorf("broken feed: %v", err)
	}
	write("b.example.com\n")
	if _, err := Compile(index, Options{Now: now}, list); err != nil {
		t.Fatal(err)
	}
	again, err := Open(index)
	if err != nil {
		t.Fatal(err)
	}
	defer again.Close()
	for name, s := range map[string]*Set{"a.example.com": old, "b.example.com": again} {
		if _, ok := s.Name([]byte(name), now); !ok {
			t.Errorf("%s is gone", name)
		}
	}
	left, err := os.ReadDir(dir)
	if err != nil || len(left) != 2 {
		t.Errorf("left over: %v, %v", left, err)
	}
}

// TestLoad: what is loaded answers, and nothing of it lies about.
func TestLoad(t *testing.T) {
	temp, list := t.TempDir(), filepath.Join(t.TempDir(), "list")
	t.Setenv("TMPDIR", temp)
	if err := os.WriteFile(list, []byte("a.example.com\n"), 0o600); err != nil {
		t.Fatal(err)
	}
	s, report, err := Load(Options{Now: now}, list)
	if err != nil {
		t.Fatal(err)
	}
	defer s.Close()
	if _, ok := s.Name([]byte("a.example.com"), now); !ok || report.Taken != 1 {
		t.Errorf("the name known: %t, %d taken", ok, report.Taken)
	}
	if _, _, err := Load(Options{Now: now}, list+".absent"); !errors.Is(err, os.ErrNotExist) {
		t.Errorf("absent feed: %v", err)
	}
	if left, err := os.ReadDir(temp); err != nil || len(left) > 0 {
		t.Errorf("left behind: %v, %v", left, err)
	}
}

// TestDamage: whatever byte is changed, Open refuses the file or a look-up says
// no and counts it; nothing else is ever answered.
func TestDamage(t *testing.T) {
	s, _ := open(t, text("x", "evil.example.com\n198.51.100.1\n"))
	good, err := os.ReadFile(s.file.Name())
	if err != nil {
		t.Fatal(err)
	}
	path := filepath.Join(t.TempDir(), "index")
	for i := range good {
		bad := append([]byte(nil), good...)
		bad[i] ^= 0x40
		if err := os.WriteFile(path, bad, 0o600); err != nil {
			t.Fatal(err)
		}
		s, err := Open(path)
		if err != nil {
			if !errors.Is(err, ErrFormat) {
				t.Errorf("byte %d: %v", i, err)
			}
			continue
		}
		_, ok1 := s.Name([]byte("evil.example.com"), now)
		_, ok2 := s.Endpoint(netip.MustParseAddr("198.51.100.1"), 0, now)
		if ok1 || ok2 || s.Damaged() != 2 { // both are in the one bucket
			t.Errorf("byte %d: found %v %v, %d damaged", i, ok1, ok2, s.Damaged())
		}
		s.Close()
	}
	for _, n := range []int{0, 1, headerLen - 1, headerLen, len(good) - 1} {
		if err := os.WriteFile(path, good[:n], 0o600); err != nil {
			t.Fatal(err)
		}
		if _, err := Open(path); !errors.Is(err, ErrFormat) {
			t.Errorf("%d bytes of %d: %v", n, len(good), err)
		}
	}
	if _, err := Open(t.TempDir()); !errors.Is(err, ErrFormat) {
		t.Errorf("a folder: %v", err)
	}
	if _, err := Open(filepath.Join(t.TempDir(), "absent")); !errors.Is(err, os.ErrNotExist) {
		t.Errorf("absent: %v", err)
	}
}

func TestConcurrent(t *testing.T) {
	s, _ := open(t, text("x", known))
	var wg sync.WaitGroup
	for range 4 {
		wg.Go(func() {
			for range 200 {
				if got := answer(s.Name([]byte("a.evil.example.com"), now)); got != "suffix evil.example.com 90" {
					t.Error(got)
				}
				s.Endpoint(netip.MustParseAddr("198.51.100.2"), 1, now)
			}
		})
	}
	wg.Wait()
}

// TestSipHash checks the example of the SipHash paper, appendix A.
func TestSipHash(t *testing.T) {
	var b [16]byte
	for i := range b {
		b[i] = byte(i)
	}
	k0, k1 := binary.LittleEndian.Uint64(b[:8]), binary.LittleEndian.Uint64(b[8:])
	if got := sipHash(k0, k1, b[:15]); got != 0xa129ca6149be45e5 {
		t.Errorf("%x", got)
	}
}

// FuzzIndexFile: a file that anybody made opens or does not, and answers or does
// not, but does no harm. Sums are made right so that what is behind them is met.
func FuzzIndexFile(f *testing.F) {
	for _, list := range []string{"com\n", "evil.example.com\n", known} {
		s, _ := open(f, text("x", list))
		b, err := os.ReadFile(s.file.Name())
		if err != nil {
			f.Fatal(err)
		}
		f.Add(b)
	}
	path := filepath.Join(f.TempDir(), "index")
	f.Fuzz(func(t *testing.T, b []byte) {
		if err := os.WriteFile(path, mend(b), 0o600); err != nil {
			t.Fatal(err)
		}
		s, err := Open(path)
		if err != nil {
			if !errors.Is(err, ErrFormat) {
				t.Fatal(err)
			}
			return
		}
		defer s.Close()
		if held := cap(s.table.first) + cap(s.table.place) + cap(s.table.marks); held > len(b) || len(s.buf) > maxBucket {
			t.Fatalf("%d bytes of table and a buffer of %d for a file of %d", held, len(s.buf), len(b))
		}
		if i, ok := s.Name([]byte("a.evil.example.com"), now); ok && i.Value != "a.evil.example.com" && i.Value != "evil.example.com" && i.Value != "example.com" {
			t.Fatalf("%+v", i)
		}
		s.Endpoint(netip.MustParseAddr("198.51.100.1"), 23, now)
		s.Endpoint(netip.MustParseAddr("2001:db8::1"), 23, now)
		s.URL([]byte("files.example.com"), []byte("/bins.sh"), now)
	})
}

// mend makes the sums of an index right, as far as it has the places for them.
func mend(b []byte) []byte {
	var h header
	if len(b) < headerLen {
		return b
	}
	b = append([]byte(nil), b...)
	if _, err := binary.Decode(b, binary.LittleEndian, &h); err != nil || h.Bits > maxBits {
		return b
	}
	if start := h.tableStart(); start <= int64(len(b)) {
		table := b[start:]
		h.Table = sum(table)
		if n := h.firstLen(); len(table) >= 2*n {
			for i := range h.buckets() {
				from, to := headerLen+int64(at(table[n:], i)), headerLen+int64(at(table[n:], i+1))
				if from+bucketHead <= to && to <= start {
					binary.LittleEndian.PutUint32(b[from:], sum(b[from+bucketHead:to]))
				}
			}
		}
	}
	copy(b, h.marshal())
	return b
}
