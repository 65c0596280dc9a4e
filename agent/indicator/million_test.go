package indicator

import (
	"bytes"
	"encoding/binary"
	"fmt"
	"io"
	"math/bits"
	"net/netip"
	"os"
	"os/exec"
	"path/filepath"
	"runtime"
	"runtime/debug"
	"strconv"
	"strings"
	"testing"

	"cordon"
)

const million = 1_000_000

// made is the i-th of the made-up indicators of series s: names, suffixes,
// addresses with and without port, prefixes and URLs. Series differ in all.
func made(series byte, i int) string {
	var b [9]byte
	b[0] = series
	binary.LittleEndian.PutUint64(b[1:], uint64(i))
	x := sipHash(3, 4, b[:])
	// 128 to 159 in front for series 1, 160 to 191 for others: on the internet
	// as long as it is neither 169.254 nor 172.16
	addr := func() netip.Addr {
		return netip.AddrFrom4([4]byte{128 + 32*(series-1) + byte(x)%8, byte(i >> 16), byte(i >> 8), byte(i)})
	}
	switch i % 10 {
	case 0, 1, 2, 3:
		return fmt.Sprintf("h%x.s%d.example", x, series)
	case 4:
		return fmt.Sprintf("*.h%x.s%d.example", x, series)
	case 5, 6, 7:
		return netip.AddrPortFrom(addr(), uint16(bits.Reverse32(uint32(x))>>16)|1).String()
	case 8:
		return addr().String()
	}
	return fmt.Sprintf("http://h%x.s%d.example/bins/%x", x>>32, series, uint32(x))
}

// madeFeed is a feed of n made-up indicators that is made while it is read.
func madeFeed(n int) source {
	return source{"made", func() (io.ReadCloser, error) {
		i, line := 0, bytes.Buffer{}
		return io.NopCloser(readFunc(func(b []byte) (int, error) {
			for line.Len() == 0 {
				if i == n {
					return 0, io.EOF
				}
				line.WriteString(made(1, i) + "\n")
				i++
			}
			return line.Read(b)
		})), nil
	}}
}

type readFunc func([]byte) (int, error)

func (f readFunc) Read(b []byte) (int, error) { return f(b) }

// ask looks up what made returned as it would show in traffic.
func ask(s *Set, value string) (cordon.Indicator, bool) {
	if rest, ok := strings.CutPrefix(value, "http://"); ok {
		host, path, _ := strings.Cut(rest, "/")
		return s.URL([]byte(host), []byte("/"+path), now)
	}
	if ap, err := netip.ParseAddrPort(value); err == nil {
		return s.Endpoint(ap.Addr(), ap.Port(), now)
	}
	if a, err := netip.ParseAddr(value); err == nil {
		return s.Endpoint(a, 9, now)
	}
	if rest, ok := strings.CutPrefix(value, "*"); ok {
		return s.Name([]byte("www"+rest), now)
	}
	return s.Name([]byte(value), now)
}

// TestMillion holds a million indicators to their budgets of memory, in a
// process of its own so that nothing else counts. VmRSS and VmHWM are read after
// memory that Go holds unused was given back.
func TestMillion(t *testing.T) {
	if dir := os.Getenv("INDICATOR_MILLION"); dir != "" {
		millionChild(t, dir)
		return
	}
	if testing.Short() {
		t.Skip("a million indicators")
	}
	if raceEnabled {
		t.Skip("the race detector's memory would be measured")
	}
	if _, err := os.Stat("/proc/self/clear_refs"); err != nil {
		t.Skip("needs Linux's /proc")
	}
	dir := t.TempDir()
	compileMillion(t, dir)
	cmd := exec.Command(os.Args[0], "-test.run", "^TestMillion$", "-test.v")
	cmd.Env = append(os.Environ(), "INDICATOR_MILLION="+dir)
	out, err := cmd.CombinedOutput()
	t.Logf("%s", out)
	if err != nil {
		t.Error(err)
	}
}

// compileMillion makes the index of a million in dir.
func compileMillion(t *testing.T, dir string) {
	t.Helper()
	report, err := compile(filepath.Join(dir, "index"), Options{Now: now, Key: [2]uint64{5, 6}}, []source{madeFeed(million)})
	if err != nil || report.Taken != million {
		t.Fatal(report.String(), err)
	}
}

// openMillion opens it.
func openMillion(t *testing.T, dir string) *Set {
	t.Helper()
	s, err := Open(filepath.Join(dir, "index"))
	if err != nil {
		t.Fatal(err)
	}
	return s
}

func millionChild(t *testing.T, dir string) {
	checkMillion(t, new(Set), 0) // what look-ups need besides the set
	before := measure(t)
	s := openMillion(t, dir)
	checkMillion(t, s, million)
	opened := measure(t)
	within(t, "heap of a million", opened.heap-before.heap, 2600<<10)
	within(t, "resident of a million", opened.resident-before.resident, 4<<20)

	resetPeak(t)
	compileMillion(t, dir)
	next := openMillion(t, dir)
	peak := statusKB(t, "VmHWM") << 10
	within(t, "peak while a set is in use and the next is made", peak-before.resident, 24<<20)
	if _, ok := ask(s, made(1, 7)); !ok {
		t.Error("the old set lost something")
	}
	s.Close()
	s = nil
	renewed := measure(t)
	// Of what is resident the pages of the test program come and go by themselves.
	within(t, "resident after the old set went", renewed.anonymous-before.anonymous, 5<<20)
	if _, ok := ask(next, made(1, 7)); !ok {
		t.Error("the new set lost something")
	}
}

// checkMillion asks for every 97th of n indicators, and for a million places that
// are not there.
func checkMillion(t *testing.T, s *Set, n int) {
	for i := 0; i < n; i += 97 {
		if got, ok := ask(s, made(1, i)); !ok || !strings.Contains(made(1, i), got.Value) {
			t.Fatalf("%s: %+v", made(1, i), got)
		}
	}
	for i := range million {
		if got, ok := ask(s, made(2, i)); ok {
			t.Fatalf("%s: %+v", made(2, i), got)
		}
	}
	if s.Damaged() != 0 {
		t.Fatalf("%d look-ups met damage", s.Damaged())
	}
}

type memory struct{ heap, resident, anonymous int }

func measure(t *testing.T) memory {
	debug.FreeOSMemory()
	debug.FreeOSMemory() // the first may have left what finalizers hold
	var m runtime.MemStats
	runtime.ReadMemStats(&m)
	return memory{int(m.HeapAlloc), statusKB(t, "VmRSS") << 10, statusKB(t, "RssAnon") << 10}
}

func statusKB(t *testing.T, key string) int {
	b, err := os.ReadFile("/proc/self/status")
	if err != nil {
		t.Fatal(err)
	}
	_, rest, _ := strings.Cut(string(b), "\n"+key+":")
	line, _, _ := strings.Cut(rest, "\n")
	n, err := strconv.Atoi(strings.Fields(line + " x")[0])
	if err != nil {
		t.Fatalf("%s: %v", key, err)
	}
	return n
}

// resetPeak makes VmHWM start again (proc(5), clear_refs).
func resetPeak(t *testing.T) {
	if err := os.WriteFile("/proc/self/clear_refs", []byte("5"), 0); err != nil {
		t.Skipf("needs /proc/self/clear_refs: %v", err)
	}
}

func within(t *testing.T, what string, is, budget int) {
	t.Logf("%s: %d KiB of %d", what, is>>10, budget>>10)
	if is > budget {
		t.Errorf("%s: over the budget", what)
	}
}

// TestAllocations: a look-up allocates nothing, also when the table errs, and
// the texts of what it finds at once.
func TestAllocations(t *testing.T) {
	s, _ := open(t, madeFeed(20_000), text("x", known))
	addr, addr6 := netip.MustParseAddr("192.0.2.99"), netip.MustParseAddr("2001:db8:7::1")
	host, path := []byte("www.Example.org:80"), []byte("/index.html?x")
	name := []byte("a.b.c.d.e.f.g.h.i.example.org")
	wrong := falsePositive(s)
	for what, c := range map[string]struct {
		want float64
		f    func()
	}{
		"name":             {0, func() { s.Name(name, now) }},
		"endpoint":         {0, func() { s.Endpoint(addr, 443, now) }},
		"endpoint of IPv6": {0, func() { s.Endpoint(addr6, 443, now) }},
		"URL":              {0, func() { s.URL(host, path, now) }},
		"table errs":       {0, func() { s.Name(wrong, now) }},
		"hit":              {1, func() { s.Name([]byte("evil.example.com"), now) }},
	} {
		if got := testing.AllocsPerRun(100, c.f); got != c.want {
			t.Errorf("%s: %v allocations, want %v", what, got, c.want)
		}
	}
}

// falsePositive returns a name that is not in s but passes the table.
func falsePositive(s *Set) []byte {
	for i := 0; ; i++ {
		name := fmt.Appendf(nil, "n%d.example.org", i)
		hash := s.h.hash(kindName, name)
		if s.table.has(s.h.bucket(hash), s.h.mark(hash)) {
			return name
		}
	}
}

func BenchmarkSet(b *testing.B) {
	path := filepath.Join(b.TempDir(), "index")
	if _, err := compile(path, Options{Now: now}, []source{madeFeed(million)}); err != nil {
		b.Fatal(err)
	}
	s, err := Open(path)
	if err != nil {
		b.Fatal(err)
	}
	defer s.Close()
	names := make([][]byte, 4096)
	addrs := make([]netip.Addr, len(names))
	for i := range names {
		names[i] = fmt.Appendf(nil, "cdn%d.images.example.org", i)
		addrs[i] = netip.AddrFrom4([4]byte{8, 8, byte(i >> 8), byte(i)})
	}
	wrong, path2 := falsePositive(s), []byte("/index.html")
	for _, c := range []struct {
		name string
		f    func(i int)
	}{
		{"name/miss", func(i int) { s.Name(names[i%len(names)], now) }},
		{"endpoint/miss", func(i int) { s.Endpoint(addrs[i%len(addrs)], 443, now) }},
		{"url/miss", func(i int) { s.URL(names[i%len(names)], path2, now) }},
		{"name/err", func(int) { s.Name(wrong, now) }},
		{"name/hit", func(i int) { ask(s, made(1, i%100_000*10)) }},
	} {
		b.Run(c.name, func(b *testing.B) {
			b.ReportAllocs()
			for i := 0; b.Loop(); i++ {
				c.f(i)
			}
		})
	}
}

func BenchmarkCompile(b *testing.B) {
	path := filepath.Join(b.TempDir(), "index")
	for b.Loop() {
		if _, err := compile(path, Options{Now: now}, []source{madeFeed(100_000)}); err != nil {
			b.Fatal(err)
		}
	}
}
