package flood

import (
	"bytes"
	"fmt"
	"testing"
	"time"

	"cordon"
)

func TestSplit(t *testing.T) {
	for _, c := range []struct{ name, domain, label string }{
		{"a1b2.example.com", "example.com", "a1b2"},
		{"x.a1b2.shop.example.com", "example.com", "x.a1b2.shop"},
		{"a1b2.shop.co.uk", "shop.co.uk", "a1b2"},
		{"a1b2.shop.de", "shop.de", "a1b2"},
		{"www.bbc.uk", "www.bbc.uk", ""}, // taken for a name one level further down
		{"example.com", "example.com", ""},
		{"com", "", ""},
		{"", "", ""},
		{"9.113.0.203.in-addr.arpa", "", ""},
	} {
		if domain, label := split([]byte(c.name)); string(domain) != c.domain || string(label) != c.label {
			t.Errorf("%s: %q and %q, want %q and %q", c.name, domain, label, c.domain, c.label)
		}
	}
}

func FuzzSplit(f *testing.F) {
	for _, s := range []string{"a.example.com", "a.shop.co.uk", ".", "..", "a..uk", ".arpa", "x"} {
		f.Add([]byte(s))
	}
	f.Fuzz(func(t *testing.T, name []byte) {
		domain, label := split(name)
		if len(label) > 0 && !bytes.Equal(name, bytes.Join([][]byte{label, domain}, []byte("."))) {
			t.Errorf("%q: %q and %q", name, label, domain)
		}
		isWord(label)
	})
}

// ask lets a device ask n times a second for names that name makes, for a time, and
// be told code about each; it returns what was detected.
func ask(n int, length time.Duration, code uint8, name func(i int) string) (told []cordon.Detection) {
	d := New(Config{Report: func(det cordon.Detection) { told = append(told, det) }})
	o := cordon.Observation{Device: &cordon.Device{ID: "d", Generation: 1}}
	now := cordon.Time(1e18)
	for i := range int(float64(n) * length.Seconds()) {
		o.Name = []byte(name(i))
		o.Fact = cordon.FactDNSQuery
		d.Observe(&o, now)
		o.Fact, o.RCode = cordon.FactDNSAnswer, code
		d.Observe(&o, now)
		now = now.Add(time.Second / time.Duration(n))
	}
	return told
}

func TestTorture(t *testing.T) {
	made := func(i int) string { return fmt.Sprintf("x%07x.shop.example.org", uint32(i)*2654435761) }
	for _, c := range []struct {
		name string
		told int
		got  []cordon.Detection
	}{
		{"water torture", 2, ask(300, 10*time.Second, 3, made)},
		{"a lot of it", 2, ask(20000, 4*time.Second, 3, made)},
		{"at the rate", 2, ask(60, 10*time.Second, 2, made)},
		{"below the rate", 0, ask(40, 10*time.Second, 3, made)},
		{"for a second", 0, ask(60, time.Second, 3, made)},
		{"names that exist: a tunnel, a browser", 0, ask(300, 10*time.Second, 0, made)},
		{"one name again and again", 0, ask(300, 10*time.Second, 3, func(int) string { return "gone.shop.example.org" })},
		{"many domains", 0, ask(300, 10*time.Second, 3, func(i int) string { return fmt.Sprintf("www.shop%d.org", i) })},
		{"a block list", 0, ask(300, 10*time.Second, 3, func(i int) string { return fmt.Sprintf("%d.%d.113.203.zen.example.org", i%256, i/256) })},
		{"a block list of IPv6", 0, ask(300, 10*time.Second, 3, func(i int) string { return fmt.Sprintf("%x.%x.%x.a.list.example.org", i%16, i/16%16, i/256) })},
		{"reverse look-ups", 0, ask(300, 10*time.Second, 3, func(i int) string { return fmt.Sprintf("%d.113.0.203.in-addr.arpa", i) })},
	} {
		if len(c.got) != c.told {
			t.Errorf("%s: %d detections, want %d", c.name, len(c.got), c.told)
		}
		for i, d := range c.got {
			if d.Kind != cordon.DoSDNS || d.Confirmed != (i == 1) || d.Samples[0] != "example.org" || d.Rate.Packets != 5 || d.Target.Ports[0] != 53 {
				t.Errorf("%s: %+v", c.name, d)
			}
		}
	}
}
