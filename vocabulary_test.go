package cordon_test

import (
	"regexp"
	"slices"
	"strings"
	"testing"
	"time"

	"cordon"
)

func TestKinds(t *testing.T) {
	technique := regexp.MustCompile(`^T\d{4}(\.\d{3})?$`)
	seen := make(map[cordon.Kind]bool)
	for _, k := range cordon.Kinds() {
		if seen[k] {
			t.Errorf("%s is listed twice", k)
		}
		seen[k] = true
		if k.Family() == "" || !technique.MatchString(k.Technique()) {
			t.Errorf("%s: family %q, technique %q", k, k.Family(), k.Technique())
		}
		if group, name, ok := strings.Cut(string(k), "."); !ok || group == "" || name == "" {
			t.Errorf("%s is not family.judgement", k)
		}
	}
	if f := cordon.Kind("scan.other").Family(); f != "" {
		t.Errorf("an unknown kind has the family %q", f)
	}
}

func TestKindMatch(t *testing.T) {
	for _, c := range []struct {
		pattern string
		want    bool
	}{
		{"*", true}, {"scan.*", true}, {"scan.mirai", true}, {"scan", false}, {"dos.*", false}, {"scan.mira", false},
	} {
		if got := cordon.ScanMirai.Match(c.pattern); got != c.want {
			t.Errorf("scan.mirai matches %q: %v, want %v", c.pattern, got, c.want)
		}
	}
}

func TestPortClasses(t *testing.T) {
	owner := make(map[uint16]string)
	for _, c := range cordon.PortClasses() {
		for _, p := range c.Ports {
			if other, taken := owner[p]; taken {
				t.Errorf("port %d is in %s and in %s", p, other, c.Name)
			}
			owner[p] = c.Name
			if got := cordon.ClassOfPort(p).Name; got != c.Name {
				t.Errorf("port %d is of class %q, want %q", p, got, c.Name)
			}
			if cordon.ClassKey(p) != c.Ports[0] {
				t.Errorf("port %d has the key %d, want its class's, %d", p, cordon.ClassKey(p), c.Ports[0])
			}
			if cordon.WebPort(p) != c.Web || cordon.ProbePort(p) != c.Probe {
				t.Errorf("port %d: web %v, probe %v; its class says %v, %v", p, cordon.WebPort(p), cordon.ProbePort(p), c.Web, c.Probe)
			}
		}
	}
	lone := cordon.ClassOfPort(40404)
	if lone.Probe || lone.Web || !slices.Equal(lone.Ports, []uint16{40404}) || cordon.ClassKey(40404) != 40404 {
		t.Errorf("a port without a class: %+v", lone)
	}
}

func TestTimeText(t *testing.T) {
	at := cordon.TimeOf(time.Date(2026, 3, 1, 6, 0, 0, 120, time.FixedZone("CET", 3600)))
	b, err := at.MarshalText()
	if err != nil || string(b) != "2026-03-01T05:00:00.000000120Z" {
		t.Errorf("written as %s, %v", b, err)
	}
	var back cordon.Time
	if err := back.UnmarshalText(b); err != nil || back != at {
		t.Errorf("read back as %v, %v; want %v", back, err, at)
	}
	if err := back.UnmarshalText([]byte("noon")); err == nil {
		t.Error("noon is taken for a time")
	}
}

func TestParsePolicy(t *testing.T) {
	for _, s := range []string{"off", "observe", "ask", "protect"} {
		if p, err := cordon.ParsePolicy(s); err != nil || string(p) != s {
			t.Errorf("%q: %q, %v", s, p, err)
		}
	}
	if _, err := cordon.ParsePolicy("Protect"); err == nil {
		t.Error("a policy that does not exist is taken")
	}
}

func TestDeviceLabel(t *testing.T) {
	for _, c := range []struct {
		d    cordon.Device
		want string
	}{
		{cordon.Device{ID: "02:00:00:00:00:01", Name: "cam", Maker: "Acme"}, "cam"},
		{cordon.Device{ID: "02:00:00:00:00:01", Maker: "Acme"}, "Acme device"},
		{cordon.Device{ID: "192.0.2.7"}, "device 192.0.2.7"},
	} {
		if got := c.d.Label(); got != c.want {
			t.Errorf("label %q, want %q", got, c.want)
		}
	}
}

func TestSpan(t *testing.T) {
	for d, want := range map[time.Duration]string{
		0:                       "a second",
		203 * time.Microsecond:  "a second",
		1500 * time.Millisecond: "2 seconds",
		119 * time.Second:       "119 seconds",
		2 * time.Minute:         "2 minutes",
		90 * time.Minute:        "90 minutes",
		5 * time.Hour:           "5 hours",
		50 * time.Hour:          "3 days",
	} {
		if got := cordon.Span(d); got != want {
			t.Errorf("%v is said as %q, want %q", d, got, want)
		}
	}
}

// TestLevelText reads every level that is written, and nothing else.
func TestLevelText(t *testing.T) {
	for _, l := range []cordon.Level{cordon.None, cordon.Watch, cordon.Notify, cordon.Act} {
		text, err := l.MarshalText()
		if err != nil {
			t.Fatal(err)
		}
		var got cordon.Level
		if err := got.UnmarshalText(text); err != nil || got != l {
			t.Errorf("%s is read as %s, %v", text, got, err)
		}
	}
	if err := new(cordon.Level).UnmarshalText([]byte("panic")); err == nil {
		t.Error("a level that there is not is read")
	}
}
