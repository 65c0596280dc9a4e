package fleet

import (
	"context"
	"errors"
	"fmt"
	"slices"
	"strings"
	"sync"
	"testing"
	"testing/synctest"
	"time"

	"cordon"

	"pgregory.net/rapid"
)

const start = cordon.Time(1_800_000_000e9)

// store is a store in memory.
type store struct {
	mu         sync.Mutex
	detections []cordon.DetectionRecord
	incidents  []cordon.IncidentRecord
	audits     []cordon.Audit
	shadows    []cordon.Shadow
	number     uint64
	down       error
}

func (s *store) Detections(_ context.Context, scope cordon.Scope, q cordon.Query) (p cordon.Page[cordon.DetectionRecord], err error) {
	for _, d := range s.detections {
		if scope.All && d.Detection.At >= q.Since && d.Detection.Level >= q.Level {
			p.Items = append(p.Items, d)
		}
	}
	return p, s.down
}

func (s *store) Incidents(_ context.Context, _ cordon.Scope, q cordon.Query) (p cordon.Page[cordon.IncidentRecord], err error) {
	p.Items = s.incidents
	return p, s.down
}

func (s *store) Audits(_ context.Context, _ cordon.Scope, q cordon.Query) (p cordon.Page[cordon.Audit], err error) {
	for _, a := range s.audits {
		if a.Verb == q.Verb && a.At >= q.Since {
			p.Items = append(p.Items, a)
		}
	}
	return p, s.down
}

func (s *store) Router(_ context.Context, id string) (cordon.Router, error) {
	return cordon.Router{ID: id, Agent: "1.0"}, s.down
}

func (s *store) Shadows(context.Context) ([]cordon.Shadow, uint64, error) {
	s.mu.Lock()
	defer s.mu.Unlock()
	return slices.Clone(s.shadows), s.number, s.down
}

func (s *store) ChangeShadows(_ context.Context, a cordon.Audit, change func([]cordon.Shadow) ([]cordon.Shadow, error)) (uint64, error) {
	s.mu.Lock()
	defer s.mu.Unlock()
	list, err := change(slices.Clone(s.shadows))
	if err != nil {
		return 0, err
	}
	s.shadows = list
	s.audits = append(s.audits, a)
	s.number++
	return s.number, nil
}

// bed is a breaker with a store and a clock of its own.
type bed struct {
	*Breaker
	t      *testing.T
	store  *store
	now    cordon.Time
	pushed int
	census Census
}

func newBed(t *testing.T, c Census) *bed {
	t.Helper()
	d := &bed{t: t, store: new(store), now: start, census: c}
	d.Breaker = d.another()
	return d
}

// another returns another breaker on the same store.
func (d *bed) another() *Breaker {
	b, err := New(Config{Store: d.store, Now: func() time.Time { return d.now.Std() },
		Census: func(context.Context) (Census, error) { return d.census, nil }, Push: func(context.Context) error { d.pushed++; return nil }})
	if err != nil {
		d.t.Fatal(err)
	}
	return b
}

// check judges and returns the rules in shadow.
func (d *bed) check() (rules []Rule) {
	d.t.Helper()
	if err := d.Check(d.t.Context()); err != nil {
		d.t.Fatal(err)
	}
	list, _, _ := d.store.Shadows(d.t.Context())
	for _, s := range list {
		if s.Expires > d.now {
			rules = append(rules, Rule{s.Kind, s.Model, s.Agent})
		}
	}
	return rules
}

// detection is what home's router reports of its only device.
func detection(home int, k cordon.Kind, model string, at cordon.Time) cordon.Report {
	return cordon.Report{ID: cordon.ReportID{Router: fmt.Sprintf("router-%d", home)}, At: at, Detection: &cordon.Detection{Kind: k, At: at, Since: at, Confirmed: true,
		Level: cordon.Act, Device: &cordon.Device{ID: "02:00:00:00:00:01", Model: model}, Target: cordon.Target{Ports: []uint16{23}}}}
}

// block is what home's router did about it.
func block(home int, at cordon.Time) cordon.Report {
	return cordon.Report{ID: cordon.ReportID{Router: fmt.Sprintf("router-%d", home)}, At: at, Action: &cordon.ActionReport{Result: cordon.ResultDone,
		Action: cordon.Action{Verb: cordon.VerbBlock, Mode: cordon.ModeDo, At: at, Entity: cordon.Entity{Device: "02:00:00:00:00:01", Target: cordon.Target{Ports: []uint16{23}}}}}}
}

// many makes a report of each of n homes, spread evenly over d before now.
func (d *bed) many(n int, span time.Duration, make func(home int, at cordon.Time) cordon.Report) (all []cordon.Report) {
	for i := range n {
		all = append(all, make(i, d.now.Add(-span*time.Duration(i)/time.Duration(max(n, 1)))))
	}
	return all
}

func of(k cordon.Kind, model string) func(int, cordon.Time) cordon.Report {
	return func(home int, at cordon.Time) cordon.Report { return detection(home, k, model, at) }
}

// TestTrips is the rules of §A5, each from both sides.
func TestTrips(t *testing.T) {
	big := Census{Homes: 300_000, Models: map[string]int{"Cam 1": 250_000, "Rare": 400}, Agents: map[string]int{"1.0": 290_000}}
	horizontal := cordon.ScanHorizontal
	for _, c := range []struct {
		name   string
		census Census
		tell   func(d *bed) []cordon.Report
		want   *Rule
	}{
		{"a thousandth", big, func(d *bed) []cordon.Report { return d.many(300, 4*time.Minute, of(horizontal, "Cam 1")) }, nil},
		{"more", big, func(d *bed) []cordon.Report { return d.many(301, 4*time.Minute, of(horizontal, "Cam 1")) }, &Rule{horizontal, "Cam 1", "1.0"}},
		{"more, slowly", big, func(d *bed) []cordon.Report { return d.many(301, 20*time.Minute, of(horizontal, "Cam 1")) }, nil},
		{"model unknown", big, func(d *bed) []cordon.Report { return d.many(301, time.Minute, of(horizontal, "")) }, &Rule{horizontal, "", "1.0"}},
		{"of every model a few", big, func(d *bed) []cordon.Report {
			return d.many(301, time.Minute, func(home int, at cordon.Time) cordon.Report {
				return detection(home, horizontal, fmt.Sprint("model ", home%50), at)
			})
		}, &Rule{horizontal, "", "1.0"}},
		{"a rare model", big, func(d *bed) []cordon.Report { return d.many(21, time.Minute, of(horizontal, "Rare")) }, &Rule{horizontal, "Rare", "1.0"}},
		{"a twentieth of a rare model", big, func(d *bed) []cordon.Report { return d.many(20, time.Minute, of(horizontal, "Rare")) }, nil},
		{"twelve homes, nine", Census{Homes: 12}, func(d *bed) []cordon.Report { return d.many(9, time.Minute, of(horizontal, "Cam 1")) }, nil},
		{"twelve homes, ten", Census{Homes: 12}, func(d *bed) []cordon.Report { return d.many(10, time.Minute, of(horizontal, "Cam 1")) }, &Rule{horizontal, "Cam 1", "1.0"}},
		{"one home, often", Census{Homes: 12}, func(d *bed) []cordon.Report {
			return d.many(500, time.Minute, func(_ int, at cordon.Time) cordon.Report { return detection(0, horizontal, "Cam 1", at) })
		}, nil},
		{"nobody counted the homes", Census{}, func(d *bed) []cordon.Report { return d.many(10, time.Minute, of(horizontal, "")) }, &Rule{horizontal, "", "1.0"}},

		{"an epidemic with a signature", big, func(d *bed) []cordon.Report { return d.many(5000, time.Minute, of(cordon.ScanMirai, "Cam 1")) }, nil},
		{"an epidemic with an indicator", big, func(d *bed) []cordon.Report { return d.many(5000, time.Minute, of(cordon.C2Indicator, "Cam 1")) }, nil},
		{"an indicator of low confidence", big, func(d *bed) []cordon.Report {
			return d.many(301, time.Minute, func(home int, at cordon.Time) cordon.Report {
				r := detection(home, cordon.C2Indicator, "Cam 1", at)
				r.Detection.Confirmed = false
				return r
			})
		}, &Rule{cordon.C2Indicator, "Cam 1", "1.0"}},
		{"what devices expose", big, func(d *bed) []cordon.Report { return d.many(5000, time.Minute, of(cordon.PostureService, "Cam 1")) }, nil},
		{"below what disturbs anybody", big, func(d *bed) []cordon.Report {
			return d.many(500, time.Minute, func(home int, at cordon.Time) cordon.Report {
				r := detection(home, horizontal, "Cam 1", at)
				r.Detection.Level = cordon.Watch
				return r
			})
		}, nil},

		{"supported by another family", big, func(d *bed) []cordon.Report {
			return append(d.many(1000, time.Minute, of(horizontal, "Cam 1")), d.many(1000, time.Minute, of(cordon.ScanMirai, "Cam 1"))...)
		}, &Rule{horizontal, "Cam 1", "1.0"}}, // the same family is no support
		{"really supported", big, func(d *bed) []cordon.Report {
			return append(d.many(1000, time.Minute, of(horizontal, "Cam 1")), d.many(1000, time.Minute, of(cordon.C2Indicator, "Cam 1"))...)
		}, nil},
		{"supported, in one home of 200", big, func(d *bed) []cordon.Report {
			return append(d.many(1501, time.Minute, of(horizontal, "Cam 1")), d.many(1501, time.Minute, of(cordon.C2Indicator, "Cam 1"))...)
		}, &Rule{horizontal, "Cam 1", "1.0"}},
		{"supported, and it blocks", big, func(d *bed) []cordon.Report {
			return slices.Concat(d.many(301, time.Minute, of(horizontal, "Cam 1")), d.many(301, time.Minute, of(cordon.C2Indicator, "Cam 1")), d.many(301, 0, block))
		}, &Rule{horizontal, "Cam 1", "1.0"}},

		{"all at once, two days ago", big, func(d *bed) []cordon.Report {
			return d.many(5000, time.Minute, func(home int, at cordon.Time) cordon.Report {
				return detection(home, horizontal, "Cam 1", at.Add(-48*time.Hour))
			})
		}, nil},
		{"clocks ahead", big, func(d *bed) []cordon.Report {
			return d.many(301, time.Minute, func(home int, at cordon.Time) cordon.Report {
				return detection(home, horizontal, "Cam 1", at.Add(time.Hour))
			})
		}, &Rule{horizontal, "Cam 1", "1.0"}},
	} {
		t.Run(c.name, func(t *testing.T) {
			d := newBed(t, c.census)
			d.Watch(c.tell(d))
			got := d.check()
			switch {
			case c.want == nil && len(got) > 0:
				t.Errorf("in shadow: %v, %s", got, d.store.shadows[0].Reason)
			case c.want != nil && (len(got) != 1 || got[0] != *c.want):
				t.Errorf("in shadow: %v, want %v", got, *c.want)
			case c.want != nil && (d.pushed != 1 || d.store.shadows[0].Reason == "" || d.store.shadows[0].Expires <= d.now || d.store.shadows[0].By != ""):
				t.Errorf("pushed %d times: %+v", d.pushed, d.store.shadows[0])
			}
			d.check() // again, with nothing new
			if len(got) > 0 && d.pushed != 1 {
				t.Errorf("pushed %d times", d.pushed)
			}
		})
	}
}

// TestChronic does not count homes that have been infected for long.
func TestChronic(t *testing.T) {
	d := newBed(t, Census{Homes: 12_000})
	for range 100 { // one more each hour, all of them every hour
		d.Watch(d.many(100, 0, func(home int, at cordon.Time) cordon.Report {
			if at < start.Add(time.Duration(home)*time.Hour) {
				return cordon.Report{}
			}
			return detection(home, cordon.ScanHorizontal, "Cam 1", at)
		}))
		if got := d.check(); len(got) > 0 {
			t.Fatalf("in shadow: %v, %s", got, d.store.shadows[0].Reason)
		}
		d.now = d.now.Add(time.Hour)
	}
}

// TestOverruled demotes what people say is wrong.
func TestOverruled(t *testing.T) {
	for _, c := range []struct {
		overruled int
		as        cordon.Closing
		want      int
	}{{21, cordon.ClosedFalseAlarm, 1}, {21, cordon.ClosedExpected, 1}, {20, cordon.ClosedFalseAlarm, 0}, {100, cordon.ClosedMended, 0}} {
		d := newBed(t, Census{Homes: 300_000})
		d.Watch(d.many(100, 72*time.Hour, of(cordon.ScanVertical, "Cam 1")))
		if got := d.check(); len(got) > 0 {
			t.Fatalf("in shadow before anybody said anything: %v", got)
		}
		for home := range c.overruled {
			d.Closed(cordon.IncidentRecord{Router: fmt.Sprintf("router-%d", home), Closed: c.as,
				Incident: cordon.Incident{Device: &cordon.Device{ID: "02:00:00:00:00:01"}, Marks: []cordon.Mark{{Kind: cordon.ScanVertical}}}})
		}
		if got := d.check(); len(got) != c.want {
			t.Errorf("%d of 100 said %s: in shadow %v", c.overruled, c.as, got)
		}
	}
}

// TestProlonged keeps a shadow while its rule still fires as widely, and no longer.
func TestProlonged(t *testing.T) {
	d := newBed(t, Census{Homes: 12})
	storm := func(n int) { d.Watch(d.many(n, time.Minute, of(cordon.ScanHorizontal, "Cam 1"))) }
	storm(12)
	if got := d.check(); len(got) != 1 {
		t.Fatalf("in shadow: %v", got)
	}
	reason := d.store.shadows[0].Reason
	for minute := range 3 * 24 * 60 { // it goes on, every six hours
		d.now = d.now.Add(time.Minute)
		if minute%360 == 0 {
			storm(12)
		}
		if got := d.check(); len(got) != 1 || got[0] != (Rule{cordon.ScanHorizontal, "Cam 1", "1.0"}) {
			t.Fatalf("minute %d: in shadow %v", minute, got)
		}
	}
	if s := d.store.shadows[0]; s.At != start || !strings.HasSuffix(s.Reason, reason) || len(s.Reason) > 3*len(reason) {
		t.Errorf("after three days: %+v", s)
	}
	for range 60 * 60 { // it is over
		d.now = d.now.Add(time.Minute)
		d.check()
	}
	if got := d.check(); len(got) != 0 {
		t.Errorf("two and a half days after the last: in shadow %v", got)
	}
}

// TestLifted leaves alone what somebody lifted, also after a restart, for a day.
func TestLifted(t *testing.T) {
	d := newBed(t, Census{Homes: 12})
	d.Watch(d.many(12, time.Minute, of(cordon.ScanHorizontal, "Cam 1")))
	if got := d.check(); len(got) != 1 {
		t.Fatalf("in shadow: %v", got)
	}
	d.store.shadows = nil
	again := func(after time.Duration, homes int) []Rule {
		d.now = d.now.Add(after)
		reports := d.many(12, time.Minute, func(home int, at cordon.Time) cordon.Report {
			return detection(home+homes, cordon.ScanHorizontal, "Cam 1", at)
		})
		for _, r := range reports {
			d.store.detections = append(d.store.detections, cordon.DetectionRecord{Router: r.ID.Router, Agent: "1.0", Detection: *r.Detection})
		}
		d.Watch(reports)
		return d.check()
	}
	if got := again(time.Minute, 100); len(got) != 0 {
		t.Errorf("lifted, and back: %v", got)
	}
	d.Breaker = d.another()
	if err := d.Load(t.Context()); err != nil {
		t.Fatal(err)
	}
	if got := again(time.Minute, 200); len(got) != 0 {
		t.Errorf("lifted, and back after a restart: %v", got)
	}
	if got := again(liftedLife, 300); len(got) != 1 {
		t.Errorf("a day later: %v", got)
	}
}

// TestRestart concludes after a restart what it would have concluded without.
func TestRestart(t *testing.T) {
	d := newBed(t, Census{Homes: 12})
	reports := d.many(12, 4*time.Minute, of(cordon.ScanHorizontal, "Cam 1"))
	for _, r := range reports[:7] {
		d.store.detections = append(d.store.detections, cordon.DetectionRecord{Router: r.ID.Router, Agent: "1.0", Detection: *r.Detection})
	}
	d.store.down = errors.New("away")
	if err := d.Load(t.Context()); err == nil {
		t.Error("nothing was loaded, and no error")
	}
	d.store.down = nil
	if err := d.Load(t.Context()); err != nil {
		t.Fatal(err)
	}
	d.Watch(reports[7:])
	d.store.down = errors.New("away")
	if err := d.Check(t.Context()); err == nil {
		t.Error("nothing was judged, and no error")
	}
	d.store.down = nil
	if got := d.check(); len(got) != 1 {
		t.Errorf("in shadow: %v", got)
	}
}

// TestInstances makes one shadow of two that trip at once.
func TestInstances(t *testing.T) {
	d := newBed(t, Census{Homes: 12})
	other := d.another()
	reports := d.many(12, time.Minute, of(cordon.ScanHorizontal, "Cam 1"))
	d.Watch(reports)
	other.Watch(reports)
	d.check()
	if err := other.trip(t.Context(), verdict{Rule{cordon.ScanHorizontal, "Cam 1", "1.0"}, "the same", shadowLife}, d.now); err != nil {
		t.Error(err)
	}
	if err := other.Check(t.Context()); err != nil {
		t.Error(err)
	}
	if len(d.store.shadows) != 1 || len(d.store.audits) != 1 {
		t.Errorf("%d shadows, %d lines of the record", len(d.store.shadows), len(d.store.audits))
	}
}

// TestCut leaves no part of a character: nobody could sign it for routers.
func TestCut(t *testing.T) {
	for _, c := range []struct{ text, want string }{
		{"Cam 1", "Cam 1"},
		{strings.Repeat("x", maxText), strings.Repeat("x", maxText)},
		{strings.Repeat("x", maxText-1) + "ü", strings.Repeat("x", maxText-1)},
		{strings.Repeat("x", maxText-2) + "üü", strings.Repeat("x", maxText-2) + "ü"},
		{strings.Repeat("x", maxText-3) + "\U0001F4A1", strings.Repeat("x", maxText-3)},
		{strings.Repeat("\x80", maxText+1), ""},
	} {
		if got := cut(c.text); got != c.want {
			t.Errorf("%q is cut to %q", c.text, got)
		}
	}
}

// TestBounded lets no router fill the book, and no storm go beyond it.
func TestBounded(t *testing.T) {
	d := newBed(t, Census{Homes: 12})
	var flood []cordon.Report
	for i := range maxWaiting + 5 {
		r := detection(0, cordon.ScanHorizontal, strings.Repeat("x", 200)+fmt.Sprint(i), d.now)
		r.Detection.Device.ID = fmt.Sprint("device ", i)
		flood = append(flood, r)
	}
	d.Watch(flood)
	d.check()
	if d.book.size != perHome || d.Dropped() != 5 {
		t.Errorf("%d firings of one home, %d dropped", d.book.size, d.Dropped())
	}
	d.Watch(d.many(12, time.Minute, of(cordon.ScanVertical, "Cam 1")))
	if got := d.check(); len(got) != 1 {
		t.Errorf("beside the flood: %v", got)
	}
	d.now = d.now.Add(remembered + time.Hour)
	d.check()
	if d.book.size != 0 || len(d.book.homes) != 0 || len(d.book.blocks) != 0 {
		t.Errorf("a week later %d firings, %d homes", d.book.size, len(d.book.homes))
	}
}

// TestOrder concludes the same from the same reports in any order, told at once or in
// parts.
func TestOrder(t *testing.T) {
	rapid.Check(t, func(r *rapid.T) {
		kinds := []cordon.Kind{cordon.ScanHorizontal, cordon.ScanVertical, cordon.C2Keepalive, cordon.C2Indicator}
		var reports []cordon.Report
		for range rapid.IntRange(0, 150).Draw(r, "reports") {
			home := rapid.IntRange(0, 25).Draw(r, "home")
			at := start.Add(-time.Duration(rapid.IntRange(0, 3600*30).Draw(r, "age")) * time.Second)
			if rapid.Bool().Draw(r, "recent") {
				at = start.Add(-time.Duration(rapid.IntRange(0, 700).Draw(r, "seconds")) * time.Second)
			}
			if rapid.IntRange(0, 4).Draw(r, "block") == 0 {
				reports = append(reports, block(home, at))
				continue
			}
			reports = append(reports, detection(home, rapid.SampledFrom(kinds).Draw(r, "kind"), rapid.SampledFrom([]string{"", "a", "b"}).Draw(r, "model"), at))
		}
		conclude := func(reports []cordon.Report, parts int) []string {
			d := newBed(t, Census{Homes: 26})
			for i := range parts {
				d.Watch(reports[len(reports)*i/parts : len(reports)*(i+1)/parts])
				if err := d.take(t.Context(), d.now); err != nil {
					r.Fatal(err)
				}
			}
			d.check()
			var all []string
			for _, s := range d.store.shadows {
				all = append(all, fmt.Sprint(Rule{s.Kind, s.Model, s.Agent}, s.Reason))
			}
			return all
		}
		want := conclude(reports, 1)
		mixed := rapid.Permutation(reports).Draw(r, "order")
		if got := conclude(mixed, rapid.IntRange(1, 5).Draw(r, "parts")); !slices.Equal(got, want) {
			r.Fatalf("in another order %q, want %q", got, want)
		}
	})
}

// TestRun puts a rule into shadow everywhere within the five seconds of §A5, and tries
// again when routers could not be told.
func TestRun(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		s := new(store)
		ctx, cancel := context.WithCancel(t.Context())
		defer cancel()
		var tripped time.Time
		tries := 0
		b, err := New(Config{Store: s, Census: func(context.Context) (Census, error) { return Census{Homes: 12}, nil },
			Push: func(context.Context) error {
				if tries++; tries == 1 {
					return errors.New("bus away")
				}
				tripped = time.Now()
				return nil
			}})
		if err != nil {
			t.Fatal(err)
		}
		done := make(chan error)
		go func() { done <- b.Run(ctx) }()
		time.Sleep(time.Hour) // of the bubble's own time
		began := time.Now()
		for home := range 12 {
			b.Watch([]cordon.Report{detection(home, cordon.ScanHorizontal, "Cam 1", cordon.TimeOf(time.Now()))})
		}
		time.Sleep(10 * time.Second)
		synctest.Wait()
		if tries != 2 || tripped.Sub(began) > 5*time.Second {
			t.Errorf("%d tries, %v", tries, tripped.Sub(began))
		}
		cancel()
		if err := <-done; err != nil {
			t.Error(err)
		}
	})
}

// TestParseRule reads what it wrote.
func TestParseRule(t *testing.T) {
	for _, r := range []Rule{{cordon.ScanSlow, "", ""}, {cordon.DoSSYN, `Cam "1", agent`, "1.0-rc1"}, {cordon.DoSSYN, "Kamera ü \xff\n", ""}} {
		if got, ok := parseRule("rule " + r.String()); !ok || got != r {
			t.Errorf("%q is read as %q", r, got)
		}
	}
	for _, s := range []string{"", "rule ", "router R1", "rule x, model"} {
		if r, ok := parseRule(s); ok {
			t.Errorf("%q is read as %q", s, r)
		}
	}
}

// BenchmarkCheck judges a storm in 300,000 homes: 20,000 firings in the book.
func BenchmarkCheck(b *testing.B) {
	d := &bed{store: new(store), now: start, census: Census{Homes: 300_000}}
	d.Breaker, _ = New(Config{Store: d.store, Watch: true, Now: func() time.Time { return d.now.Std() },
		Census: func(context.Context) (Census, error) { return d.census, nil }})
	d.Watch(d.many(20_000, 4*time.Minute, of(cordon.C2Indicator, "Cam 1")))
	if err := d.Check(b.Context()); err != nil {
		b.Fatal(err)
	}
	for b.Loop() {
		d.dirty = true
		if err := d.Check(b.Context()); err != nil {
			b.Fatal(err)
		}
	}
}
