package report

import (
	"errors"
	"fmt"
	"net/netip"
	"testing"
	"time"

	"cordon"
)

// home is a Home whose time is wall time.
type home struct {
	devices   []*cordon.Device
	incidents []*cordon.Incident
	inForce   []cordon.Action
	health    cordon.Health
	enforced  *cordon.Enforced
}

func (h *home) Devices() []*cordon.Device                        { return h.devices }
func (h *home) Incidents() []*cordon.Incident                    { return h.incidents }
func (h *home) InForce() []cordon.Action                         { return h.inForce }
func (h *home) Wall(t cordon.Time) cordon.Time                   { return t }
func (h *home) WallDevice(d *cordon.Device) *cordon.Device       { c := *d; return &c }
func (h *home) WallIncident(i *cordon.Incident) *cordon.Incident { c := *i; return &c }
func (h *home) Health() *cordon.Health                           { c := h.health; return &c }
func (h *home) By(string) string                                 { return "" }
func (h *home) Enforced() *cordon.Enforced {
	if h.enforced == nil {
		return nil
	}
	c := *h.enforced
	return &c
}

// desk is a Reporter under test.
type desk struct {
	*Reporter
	home   home
	now    cordon.Time
	told   []cordon.Report
	urgent int
}

func newDesk(t *testing.T) *desk {
	t.Helper()
	d := &desk{now: cordon.TimeOf(time.Date(2026, 12, 1, 23, 0, 0, 0, time.UTC))}
	var err error
	d.Reporter, err = New(Config{Home: &d.home, Send: func(r cordon.Report, urgent bool) {
		d.told = append(d.told, r)
		if urgent {
			d.urgent++
		}
	}})
	if err != nil {
		t.Fatal(err)
	}
	return d
}

// pass lets time pass in steps of 100 ms and returns what was told.
func (d *desk) pass(span time.Duration) []cordon.Report {
	d.told, d.urgent = nil, 0
	for end := d.now.Add(span); d.now < end; {
		d.now = d.now.Add(100 * time.Millisecond)
		d.Tick(d.now)
	}
	return d.told
}

func of[T any](told []cordon.Report, what func(*cordon.Report) *T) (list []*T) {
	for i := range told {
		if v := what(&told[i]); v != nil {
			list = append(list, v)
		}
	}
	return list
}

func devices(r *cordon.Report) *cordon.Device       { return r.Device }
func incidents(r *cordon.Report) *cordon.Incident   { return r.Incident }
func actions(r *cordon.Report) *cordon.ActionReport { return r.Action }
func health(r *cordon.Report) *cordon.Health        { return r.Health }
func enforced(r *cordon.Report) *cordon.Enforced    { return r.Enforced }
func summaries(r *cordon.Report) *cordon.Summary    { return r.Summary }

func TestDevices(t *testing.T) {
	d := newDesk(t)
	cam := &cordon.Device{ID: "cam", FirstSeen: d.now}
	d.home.devices = []*cordon.Device{cam, {ID: "router", Gateway: true}}
	if got := of(d.pass(20*time.Second), devices); len(got) != 1 || got[0].ID != "cam" {
		t.Fatalf("told %v", got)
	}
	cam.Name, cam.LastSeen = "Kitchen", d.now
	if got := of(d.pass(5*time.Second), devices); len(got) != 0 {
		t.Errorf("told again within a minute: %v", got)
	}
	cam.Addrs = []netip.Addr{netip.MustParseAddr("192.0.2.1"), netip.MustParseAddr("192.0.2.2")}
	if got := of(d.pass(2*time.Minute), devices); len(got) != 1 || got[0].Name != "Kitchen" {
		t.Errorf("told %v", got)
	}
	cam.Addrs[0], cam.Addrs[1] = cam.Addrs[1], cam.Addrs[0]
	cam.LastSeen = d.now
	if got := of(d.pass(5*time.Hour), devices); len(got) != 0 {
		t.Errorf("told though only used: %v", got)
	}
	if got := of(d.pass(2*time.Hour), devices); len(got) != 1 {
		t.Errorf("not told that it is still there: %v", got)
	}
	for i := range 200 {
		d.home.devices = append(d.home.devices, &cordon.Device{ID: fmt.Sprint(i)})
	}
	if got := of(d.pass(10*time.Second), devices); len(got) > 3*maxDevices {
		t.Errorf("%d at once", len(got))
	}
	if got := of(d.pass(2*time.Minute), devices); len(got) < 200-3*maxDevices {
		t.Errorf("only %d of the others", len(got))
	}
}

func TestIncidents(t *testing.T) {
	d := newDesk(t)
	cam := &cordon.Device{ID: "cam"}
	i := &cordon.Incident{ID: "inc-1", Device: cam, Level: cordon.Watch}
	d.home.incidents = []*cordon.Incident{i}
	d.pass(time.Second)
	d.Detection(&cordon.Detection{Device: cam, Level: cordon.Watch})
	if got := d.pass(400 * time.Millisecond); len(got) != 0 {
		t.Errorf("told at once: %+v", got)
	}
	if got := of(d.pass(300*time.Millisecond), incidents); len(got) != 1 {
		t.Errorf("told %d", len(got))
	}
	i.Level = cordon.Act
	d.Detection(&cordon.Detection{Device: cam, Level: cordon.Act})
	if d.urgent != 1 {
		t.Error("the detection is not urgent")
	}
	d.Action(&cordon.Action{ID: "a", Verb: cordon.VerbBlock, Mode: cordon.ModeDo, Entity: cordon.Entity{Device: "cam"}})
	d.home.inForce = []cordon.Action{{ID: "a"}}
	d.told, d.urgent = nil, 0
	d.Tick(d.now)
	if got := of(d.told, incidents); len(got) != 1 || d.urgent == 0 {
		t.Errorf("act is not told at once: %+v", d.told)
	}
	n := 0
	for range 600 { // a minute of more of the same
		d.Detection(&cordon.Detection{Device: cam, Level: cordon.Watch})
		n += len(of(d.pass(100*time.Millisecond), incidents))
	}
	if n < 3 || n > 8 {
		t.Errorf("more of the same was told %d times in a minute", n)
	}
	d.told = nil
	d.Incident(i)
	if len(d.told) != 1 || !d.told[0].Over {
		t.Errorf("over: %+v", d.told)
	}
}

func TestShadowed(t *testing.T) {
	d := newDesk(t)
	d.Shadowed(&cordon.Detection{Device: &cordon.Device{ID: "cam"}, Level: cordon.Act})
	if len(d.told) != 1 || !d.told[0].Shadowed || d.told[0].Detection == nil {
		t.Errorf("told %+v", d.told)
	}
}

func TestActions(t *testing.T) {
	d := newDesk(t)
	a := cordon.Action{ID: "a", Verb: cordon.VerbQuarantine, Mode: cordon.ModeDo, At: d.now}
	d.Action(&a)
	d.home.inForce = []cordon.Action{a}
	if got := of(d.pass(time.Minute), actions); len(got) != 0 {
		t.Fatalf("%+v", got[0])
	}
	d.home.inForce = nil
	if got := of(d.pass(2*time.Second), actions); len(got) != 1 || got[0].Result != cordon.ResultEnded {
		t.Errorf("end: %+v", got)
	}
	d.told = nil
	for range 5 {
		d.Failed(&a, fmt.Errorf("full: %w", cordon.ErrUnknown))
	}
	a.ID = "b"
	d.Failed(&a, errors.New("full"))
	a.ID = "c"
	d.Refused(&a, "Ada", "too wide")
	d.Refused(&a, "Ada", "too wide")
	var results []cordon.Result
	for _, r := range of(d.told, actions) {
		results = append(results, r.Result)
	}
	if fmt.Sprint(results) != "[unsure failed refused]" {
		t.Errorf("results %v", results)
	}
}

func TestHealth(t *testing.T) {
	d := newDesk(t)
	d.home.health.Mode = "normal"
	n := 0
	for range 60 {
		d.home.health.Resident++
		n += len(of(d.pass(20*time.Second), health))
	}
	if n != 4 {
		t.Errorf("%d times in 20 minutes, want 4", n)
	}
	d.home.health.Parts = []cordon.Part{{Name: "eyes", State: "failed"}}
	if got := of(d.pass(6*time.Second), health); len(got) != 1 {
		t.Errorf("a failure is told %d times", len(got))
	}
}

func TestEnforced(t *testing.T) {
	d := newDesk(t)
	if got := of(d.pass(time.Minute), enforced); len(got) != 0 {
		t.Fatal("told though nothing was desired")
	}
	d.home.enforced = &cordon.Enforced{Version: 1}
	d.Changed()
	if got := of(d.pass(100*time.Millisecond), enforced); len(got) != 1 {
		t.Fatalf("told %d times", len(got))
	}
	for i := range 100 {
		d.home.inForce = append(d.home.inForce, cordon.Action{ID: fmt.Sprint(i), Verb: cordon.VerbBlock, Mode: cordon.ModeDo})
	}
	if got := of(d.pass(2*time.Second), enforced); len(got) != 1 || len(got[0].InForce) != cordon.MaxInForce || d.urgent == 0 {
		t.Errorf("change: %d", len(got))
	}
	if got := of(d.pass(time.Hour), enforced); len(got) != 4 {
		t.Errorf("told %d times an hour, want 4", len(got))
	}
}

func TestRegistered(t *testing.T) {
	for name, want := range map[string]string{
		"www.example.co.uk": "example.co.uk", "EXAMPLE.com.": "example.com", "a.b.c.example.de": "example.de",
		"home.smith.duckdns.org": "duckdns.org", "x.s3.eu-west-1.amazonaws.com": "amazonaws.com", "me.github.io": "github.io",
		"printer.local": "", "nas.lan": "", "fritz.box": "fritz.box", "1.1.168.192.in-addr.arpa": "", "localhost": "", "com": "", "co.uk": "",
		"": "", ".": "", "..": "",
	} {
		if got := Registered(name); got != want {
			t.Errorf("%q is %q, want %q", name, got, want)
		}
	}
}

// TestSummaries: only things are counted, by registered domain, once a day.
func TestSummaries(t *testing.T) {
	d := newDesk(t)
	ask := func(c cordon.Class, id, name string) {
		d.Domains.Observe(&cordon.Observation{Fact: cordon.FactDNSQuery, Device: &cordon.Device{ID: id, Class: c}, Name: []byte(name)}, d.now)
	}
	d.pass(time.Second)
	for i := range 100 {
		ask(cordon.IoT, "cam", "x.cloud.example.com")
		ask(cordon.IoT, "cam", fmt.Sprintf("host%d.com", i))
		ask(cordon.Personal, "phone", "secret.example.com")
		ask(cordon.Unknown, "what", "secret.example.com")
	}
	if got := of(d.pass(59*time.Minute), summaries); len(got) != 0 {
		t.Fatalf("before midnight: %+v", got)
	}
	got := of(d.pass(2*time.Hour), summaries)
	if len(got) != 1 || got[0].Device != "cam" || got[0].Other != 37 || len(got[0].Domains) != maxDomains ||
		got[0].Domains[0] != (cordon.DomainCount{Domain: "example.com", Count: 100}) || got[0].Day.Std().Format(time.DateOnly) != "2026-12-01" {
		t.Errorf("%+v", got)
	}
	if again := of(d.pass(30*time.Hour), summaries); len(again) != 0 {
		t.Errorf("told again: %+v", again)
	}
}

// FuzzRegistered: whatever a device asks for, nothing below a registered domain goes
// out.
func FuzzRegistered(f *testing.F) {
	for _, s := range []string{"a.b.example.com", "x.duckdns.org", "a..b", "\xff.de", ".com"} {
		f.Add(s)
	}
	f.Fuzz(func(t *testing.T, name string) {
		got := Registered(name)
		if got != "" && Registered("secret."+got) != got && Registered(got) != got {
			t.Errorf("%q is %q, which is %q", name, got, Registered(got))
		}
	})
}
