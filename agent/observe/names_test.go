package observe

import (
	"encoding/binary"
	"math/rand/v2"
	"net/netip"
	"strings"
	"testing"
	"time"

	"cordon"
)

func told(d *cordon.Device, at time.Duration, ttl uint32, name string, addrs ...netip.Addr) *cordon.Observation {
	return &cordon.Observation{Fact: cordon.FactDNSAnswer, Device: d, At: cordon.Time(at), Name: []byte(name), TTL: ttl, Addrs: addrs}
}

func numbered(n uint32) netip.Addr {
	return netip.AddrFrom4([4]byte(binary.BigEndian.AppendUint32(nil, 192<<24+n)))
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
			names.Learn(told(d, time.Minute, tt.ttl, "a.example", a))
			end := cordon.Time(time.Minute + tt.want)
			if !names.Resolved(d, a, end) || names.Resolved(d, a, end+1) {
				t.Errorf("does not end at %v", end.Sub(0))
			}
			names.Learn(told(d, 2*time.Minute, 1, "b.example", a))
			if got, ok := names.Lookup(d, a, end); !ok || got != "b.example" {
				t.Errorf("after a shorter answer: got %q, %v; want the name b.example and the longer life", got, ok)
			}
		})
	}
}

func TestNamesKeys(t *testing.T) {
	names := NewNames(16)
	a, mapped := netip.MustParseAddr("192.0.2.1"), netip.MustParseAddr("::ffff:192.0.2.1")
	d := &cordon.Device{Slot: 1, Generation: 1}
	names.Learn(told(d, 0, 60, "a.example", a, netip.MustParseAddr("0.0.0.0")))
	other := told(d, 0, 60, "b.example", numbered(9))
	other.Fact = cordon.FactMDNS
	names.Learn(other)
	names.Learn(told(nil, 0, 60, "c.example", numbered(10)))
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
	if names.Len() != 1 {
		t.Errorf("Len: got %d, want 1", names.Len())
	}
}

func TestNamesTail(t *testing.T) {
	long := strings.Repeat("x", 60)
	for in, want := range map[string]string{
		"a.example":               "a.example",
		long + ".ab":              long + ".ab",
		"q." + long + ".ab":       long + ".ab",
		long + ".cdn.example.org": "cdn.example.org",
		"abcd.e" + long + ".ab":   "e" + long + ".ab",
		strings.Repeat("y", 90):   strings.Repeat("y", 64),
	} {
		names, d := NewNames(0), &cordon.Device{}
		names.Learn(told(d, 0, 60, in, numbered(1)))
		if got, _ := names.Lookup(d, numbered(1), 0); got != want {
			t.Errorf("%q: got %q, want %q", in, got, want)
		}
	}
}

// TestNamesBounds lets one device fill its quarter, then others the table.
func TestNamesBounds(t *testing.T) {
	names := NewNames(64)
	greedy, quiet := &cordon.Device{Slot: 1}, &cordon.Device{Slot: 2}
	names.Learn(told(quiet, 0, 60, "quiet.example", numbered(0)))
	for i := range uint32(100) {
		names.Learn(told(greedy, 0, 60, "a.example", numbered(i)))
	}
	if got := names.Len(); got != 17 {
		t.Errorf("Len: got %d, want a quarter for one device and 1", got)
	}
	if names.Evicted() != 84 {
		t.Errorf("Evicted: got %d, want 84", names.Evicted())
	}
	if names.Resolved(greedy, numbered(83), 0) || !names.Resolved(greedy, numbered(84), 0) || !names.Resolved(quiet, numbered(0), 0) {
		t.Error("a device over its quota must lose its own oldest bindings")
	}
	for slot := 3; slot < 8; slot++ {
		names.Learn(told(quiet, 0, 60, "quiet.example", numbered(0)))
		for i := range uint32(16) {
			names.Learn(told(&cordon.Device{Slot: slot}, 0, 60, "a.example", numbered(i)))
		}
	}
	if names.Len() != 64 {
		t.Errorf("Len: got %d, want 64", names.Len())
	}
	if !names.Resolved(quiet, numbered(0), 0) || names.Resolved(greedy, numbered(99), 0) {
		t.Error("a full table must lose what was renewed longest ago")
	}
	before := names.Evicted()
	names.Learn(told(&cordon.Device{Slot: 9}, time.Hour, 60, "a.example", numbered(1)))
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
		names.Learn(told(d, 0, 60, "a.example", a))
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
		if kept != names.Len() || held != names.Len() || kept > 32 {
			t.Fatalf("found %d, held %d, Len %d", kept, held, names.Len())
		}
	}
}

func TestNamesAllocateNothing(t *testing.T) {
	names, d := NewNames(16), &cordon.Device{Slot: 1}
	i := uint32(0)
	addrs := make([]netip.Addr, 1)
	o := told(d, 0, 60, "a.example", addrs...)
	n := testing.AllocsPerRun(1000, func() {
		i++
		addrs[0] = netip.AddrFrom4([4]byte{192, 0, byte(i >> 8), byte(i)})
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
	b.ReportAllocs()
	for i := uint32(0); b.Loop(); i++ {
		addrs[0] = netip.AddrFrom4([4]byte{192, byte(i >> 16), byte(i >> 8), byte(i)})
		names.Learn(o)
	}
}

func BenchmarkResolved(b *testing.B) {
	names, d := NewNames(0), &cordon.Device{Slot: 1}
	for i := range uint32(1024) {
		names.Learn(told(d, 0, 60, "a.example", numbered(i)))
	}
	b.ReportAllocs()
	for i := uint32(0); b.Loop(); i++ {
		names.Resolved(d, netip.AddrFrom4([4]byte{0, 0, byte(i>>8) & 7, byte(i)}), 0)
	}
}
