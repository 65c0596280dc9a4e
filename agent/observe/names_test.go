package observe

import (
	"encoding/binary"
	"fmt"
	"math/rand/v2"
	"net/netip"
	"strings"
	"testing"
	"time"

	"cordon"
	"cordon/agent/observe/dns"
)

func told(d *cordon.Device, at time.Duration, ttl uint32, name string, addrs ...netip.Addr) *cordon.Observation {
	return &cordon.Observation{Fact: cordon.FactDNSAnswer, Device: d, At: cordon.Time(at), Name: []byte(name), DNSType: dns.TypeA, TTL: ttl, Addrs: addrs}
}

func asked(d *cordon.Device, at time.Duration, qtype uint16, name string) *cordon.Observation {
	return &cordon.Observation{Fact: cordon.FactDNSQuery, Device: d, At: cordon.Time(at), Name: []byte(name), DNSType: qtype}
}

// learn is a question and its answer.
func (t *Names) learn(o *cordon.Observation) {
	if o.Device != nil {
		t.Learn(asked(o.Device, time.Duration(o.At), dns.TypeA, string(o.Name)))
	}
	t.Learn(o)
}

// size is how many bindings are kept, also those that ended and were not yet
// evicted.
func (t *Names) size() int { return int(t.age.size) }

func numbered(n uint32) netip.Addr {
	return netip.AddrFrom4([4]byte(binary.BigEndian.AppendUint32(nil, 192<<24+n)))
}

func TestNamesName(t *testing.T) {
	long := strings.Repeat("x", 60)
	for in, want := range map[string]string{
		"a.example":               "a.example",
		"q." + long + ".ab":       long + ".ab",
		long + ".cdn.example.org": "cdn.example.org",
		"abcd.e" + long + ".ab":   "e" + long + ".ab",
		strings.Repeat("y", 90):   strings.Repeat("y", 64),
	} {
		names, d := NewNames(0), &cordon.Device{}
		names.learn(told(d, 0, 60, in, numbered(1)))
		if got := names.Name(d, numbered(1), 0); got != want {
			t.Errorf("%q: got %q, want %q", in, got, want)
		}
		if got := names.Name(d, numbered(2), 0); got != "" {
			t.Errorf("an address that nobody told has the name %q", got)
		}
	}
}

func TestNamesLife(t *testing.T) {
	a := netip.MustParseAddr("192.0.2.1")
	tests := []struct {
		name string
		ttl  uint32
		want time.Duration
	}{
		{"short TTL", 5, 10 * time.Minute},
		{"hour", 3600, time.Hour},
		{"week", 7 * 86400, 24 * time.Hour},
	}
	for _, tt := range tests {
		t.Run(tt.name, func(t *testing.T) {
			names, d := NewNames(8), &cordon.Device{Slot: 3, Generation: 1}
			names.learn(told(d, time.Minute, tt.ttl, "a.example", a))
			end := cordon.Time(time.Minute + tt.want)
			if !names.Resolved(d, a, end) || names.Resolved(d, a, end+1) {
				t.Errorf("does not end at %v", end.Sub(0))
			}
			names.learn(told(d, 2*time.Minute, 1, "b.example", a))
			if !names.Resolved(d, a, end) {
				t.Error("a shorter answer has shortened it")
			}
		})
	}
}

func TestNamesKeys(t *testing.T) {
	names := NewNames(16)
	a, mapped := netip.MustParseAddr("192.0.2.1"), netip.MustParseAddr("::ffff:192.0.2.1")
	d := &cordon.Device{Slot: 1, Generation: 1}
	names.learn(told(d, 0, 60, "a.example", a, netip.MustParseAddr("0.0.0.0")))
	other := told(d, 0, 60, "b.example", numbered(9))
	other.Fact = cordon.FactMDNS
	names.learn(other)
	names.learn(told(nil, 0, 60, "c.example", numbered(10)))
	for _, tt := range []struct {
		name string
		d    cordon.Device
		addr netip.Addr
		want bool
	}{
		{"told", cordon.Device{Slot: 1, Generation: 1}, a, true},
		{"as a mapped address", cordon.Device{Slot: 1, Generation: 1}, mapped, true},
		{"another device", cordon.Device{Slot: 2, Generation: 1}, a, false},
		{"the next device of the slot", cordon.Device{Slot: 1, Generation: 2}, a, false},
		{"another address", cordon.Device{Slot: 1, Generation: 1}, numbered(1), false},
		{"the unspecified address", cordon.Device{Slot: 1, Generation: 1}, netip.MustParseAddr("0.0.0.0"), false},
		{"announced only", cordon.Device{Slot: 1, Generation: 1}, numbered(9), false},
		{"no address", cordon.Device{Slot: 1, Generation: 1}, netip.Addr{}, false},
	} {
		if got := names.Resolved(&tt.d, tt.addr, 0); got != tt.want {
			t.Errorf("%s: got %v, want %v", tt.name, got, tt.want)
		}
	}
	if names.size() != 1 {
		t.Errorf("size: got %d, want 1", names.size())
	}
}

// TestNamesAsked: only an answer to a question of the same device binds.
func TestNamesAsked(t *testing.T) {
	d, other := &cordon.Device{Slot: 1, Generation: 1}, &cordon.Device{Slot: 2}
	next := &cordon.Device{Slot: 1, Generation: 2}
	answer := told(d, 30*time.Second, 60, "a.example", numbered(1))
	text := told(d, 30*time.Second, 60, "a.example", numbered(1))
	text.DNSType = dns.TypeTXT
	for _, tt := range []struct {
		name   string
		asked  *cordon.Observation
		answer *cordon.Observation
		want   bool
	}{
		{"asked", asked(d, 0, dns.TypeA, "a.example"), answer, true},
		{"asked for the other version's", asked(d, 0, dns.TypeAAAA, "a.example"), answer, true},
		{"not asked", asked(nil, 0, dns.TypeA, "a.example"), answer, false},
		{"another name", asked(d, 0, dns.TypeA, "b.example"), answer, false},
		{"another device", asked(other, 0, dns.TypeA, "a.example"), answer, false},
		{"the next device of the slot", asked(d, 0, dns.TypeA, "a.example"), told(next, 1, 60, "a.example", numbered(1)), false},
		{"for no address", asked(d, 0, dns.TypeTXT, "a.example"), answer, false},
		{"an answer to another question", asked(d, 0, dns.TypeA, "a.example"), text, false},
		{"too late", asked(d, 0, dns.TypeA, "a.example"), told(d, 30*time.Second+1, 60, "a.example", numbered(1)), false},
	} {
		names := NewNames(8)
		names.Learn(tt.asked)
		names.Learn(tt.answer)
		if got := names.Resolved(tt.answer.Device, numbered(1), answer.At); got != tt.want {
			t.Errorf("%s: got %v, want %v", tt.name, got, tt.want)
		}
	}
}

// TestNamesQuestionLost: the next try, or the next answer, repairs a question
// that the capture has lost.
func TestNamesQuestionLost(t *testing.T) {
	names, d := NewNames(8), &cordon.Device{}
	names.Learn(told(d, time.Second, 60, "a.example", numbered(1)))
	if names.Resolved(d, numbered(1), cordon.Time(time.Second)) {
		t.Error("believed without a question")
	}
	names.learn(told(d, 5*time.Second, 60, "a.example", numbered(1)))
	names.Learn(told(d, 6*time.Second, 60, "a.example", numbered(2))) // and once more
	if now := cordon.Time(6 * time.Second); !names.Resolved(d, numbered(1), now) || !names.Resolved(d, numbered(2), now) {
		t.Error("not learnt from the next try")
	}
}

// TestNamesManyQuestions: a device may ask for maxQuestions names at once, as
// often as it likes; of more, the oldest are forgotten.
func TestNamesManyQuestions(t *testing.T) {
	name := func(i int) string { return fmt.Sprintf("%d.example", i) }
	for _, tt := range []struct{ n, first int }{{maxQuestions, 0}, {maxQuestions + 1, 1}} {
		names, d := NewNames(4*maxQuestions+8), &cordon.Device{}
		for i := range 3 * tt.n {
			names.Learn(asked(d, time.Duration(i), dns.TypeA, name(i/3)))
		}
		for i := range tt.n {
			names.Learn(told(d, time.Second, 60, name(i), numbered(uint32(i))))
			if got, want := names.Resolved(d, numbered(uint32(i)), 0), i >= tt.first; got != want {
				t.Errorf("question %d of %d: answer believed %v, want %v", i, tt.n, got, want)
			}
		}
	}
}

// TestNamesBounds lets one device fill its quarter, then others the table.
func TestNamesBounds(t *testing.T) {
	names := NewNames(64)
	greedy, quiet := &cordon.Device{Slot: 1}, &cordon.Device{Slot: 2}
	names.learn(told(quiet, 0, 60, "quiet.example", numbered(0)))
	for i := range uint32(100) {
		names.learn(told(greedy, 0, 60, "a.example", numbered(i)))
	}
	if got := names.size(); got != 17 {
		t.Errorf("size: got %d, want a quarter for one device and 1", got)
	}
	if names.Evicted() != 84 {
		t.Errorf("Evicted: got %d, want 84", names.Evicted())
	}
	if names.Resolved(greedy, numbered(83), 0) || !names.Resolved(greedy, numbered(84), 0) || !names.Resolved(quiet, numbered(0), 0) {
		t.Error("a device over its quota must lose its own oldest bindings")
	}
	for slot := 3; slot < 8; slot++ {
		names.learn(told(quiet, 0, 60, "quiet.example", numbered(0)))
		for i := range uint32(16) {
			names.learn(told(&cordon.Device{Slot: slot}, 0, 60, "a.example", numbered(i)))
		}
	}
	if names.size() != 64 {
		t.Errorf("size: got %d, want 64", names.size())
	}
	if !names.Resolved(quiet, numbered(0), 0) || names.Resolved(greedy, numbered(99), 0) {
		t.Error("a full table must lose what was renewed longest ago")
	}
	before := names.Evicted()
	names.learn(told(&cordon.Device{Slot: 9}, time.Hour, 60, "a.example", numbered(1)))
	if names.Evicted() != before {
		t.Error("a binding that had ended counts as evicted")
	}
}

// TestNamesModel compares with a map, and the lists with the table.
func TestNamesModel(t *testing.T) {
	type key struct {
		slot int
		addr netip.Addr
	}
	rng := rand.New(rand.NewPCG(5, 6))
	names, model := NewNames(32), map[key]bool{}
	for range 5000 {
		d, a := &cordon.Device{Slot: rng.IntN(9)}, numbered(rng.Uint32N(20))
		names.learn(told(d, 0, 60, "a.example", a))
		model[key{d.Slot, a}] = true
		if !names.Resolved(d, a, 0) {
			t.Fatal("just learnt, not there")
		}
		kept, held := 0, 0
		for k := range model {
			if names.Resolved(&cordon.Device{Slot: k.slot}, k.addr, 0) {
				kept++
			}
		}
		for _, n := range names.held {
			held += int(n)
			if n > 8 {
				t.Fatalf("a device holds %d of 32", n)
			}
		}
		if kept != names.size() || held != names.size() || kept > 32 {
			t.Fatalf("found %d, held %d, size %d", kept, held, names.size())
		}
	}
}

func TestNamesAllocateNothing(t *testing.T) {
	names, d := NewNames(16), &cordon.Device{Slot: 1}
	i := uint32(0)
	addrs := make([]netip.Addr, 1)
	o, q := told(d, 0, 60, "a.example", addrs...), asked(d, 0, dns.TypeA, "a.example")
	names.Learn(q)
	n := testing.AllocsPerRun(1000, func() {
		i++
		addrs[0] = netip.AddrFrom4([4]byte{192, 0, byte(i >> 8), byte(i)})
		names.Learn(q)
		names.Learn(o)
		if !names.Resolved(d, addrs[0], 0) {
			t.Fatal("not learnt")
		}
	})
	if n != 0 {
		t.Errorf("%v allocations, want 0", n)
	}
}

func BenchmarkLearn(b *testing.B) {
	names, d := NewNames(0), &cordon.Device{Slot: 1}
	addrs := make([]netip.Addr, 1)
	o := told(d, 0, 60, "edge.cdn.example.net", addrs...)
	names.learn(o)
	b.ReportAllocs()
	for i := uint32(0); b.Loop(); i++ {
		addrs[0] = netip.AddrFrom4([4]byte{192, byte(i >> 16), byte(i >> 8), byte(i)})
		names.Learn(o)
	}
}

func BenchmarkResolved(b *testing.B) {
	names, d := NewNames(0), &cordon.Device{Slot: 1}
	for i := range uint32(1024) {
		names.learn(told(d, 0, 60, "a.example", numbered(i)))
	}
	b.ReportAllocs()
	for i := uint32(0); b.Loop(); i++ {
		names.Resolved(d, netip.AddrFrom4([4]byte{0, 0, byte(i>>8) & 7, byte(i)}), 0)
	}
}
