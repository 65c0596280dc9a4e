package home

import (
	"bytes"
	"context"
	"encoding/json"
	"errors"
	"fmt"
	"log/slog"
	"net/netip"
	"slices"
	"testing"
	"time"

	"cordon"
	"cordon/agent/capture/file"
	"cordon/agent/control"
	"cordon/agent/desired"
	"cordon/agent/packet"
	"cordon/agent/pipeline"
	"cordon/lab/synth"
)

// office is a household with core at the other end, on a capture's time.
type office struct {
	Household
	sent   []cordon.Report
	urgent []bool
	unset  bool
	asks   int
	source *file.Reader
}

func (o *office) Report(r cordon.Report, urgent bool) {
	o.sent, o.urgent = append(o.sent, r), append(o.urgent, urgent)
}

func (o *office) Clock() (cordon.Time, bool)           { return o.Pipeline.Wall(o.Pipeline.Now), !o.unset }
func (o *office) Spared() ([]netip.Addr, []string)     { return nil, nil }
func (o *office) Health() *cordon.Health               { return &cordon.Health{Mode: "normal"} }
func (o *office) Status() control.Status               { return control.Status{Mode: "normal"} }
func (o *office) Do(_ context.Context, f func()) error { f(); return nil }
func (o *office) Asked()                               { o.asks++ }
func (o *office) PolicyChanged()                       {}
func (o *office) Check(string, error)                  {}

func newOffice(t *testing.T, scenario string, policy cordon.Policy) *office {
	t.Helper()
	var b bytes.Buffer
	if _, err := synth.Write(&b, scenario, synth.Options{Seed: 3, Duration: 4 * time.Minute, Snap: 400}); err != nil {
		t.Fatal(err)
	}
	o := &office{Household: New("devel", policy, slog.New(slog.DiscardHandler))}
	var err error
	if o.source, err = file.NewReader(&b, "test", file.Config{}); err != nil {
		t.Fatal(err)
	}
	cfg := pipeline.Config{Source: o.source, PolicyOf: o.PolicyOf, Told: o.Household.Told, Allowed: o.Allowed}
	if err := o.Attach(o, o, &cfg); err != nil {
		t.Fatal(err)
	}
	if o.Pipeline, err = pipeline.New(context.Background(), cfg); err != nil {
		t.Fatal(err)
	}
	return o
}

// play takes frames until stop says so, or all.
func (o *office) play(t *testing.T, stop func() bool) {
	t.Helper()
	var f packet.Frame
	for {
		if err := o.source.Next(&f); err != nil {
			return
		}
		o.Pipeline.Frame(&f)
		o.Core.Tick(o.Pipeline.Now)
		if stop != nil && stop() {
			return
		}
	}
}

// idle lets time pass without packets.
func (o *office) idle(span time.Duration) {
	for end := o.Pipeline.Now.Add(span); o.Pipeline.Now < end; {
		o.Pipeline.Frame(&packet.Frame{Time: int64(o.Pipeline.Now.Add(100 * time.Millisecond))})
		o.Core.Tick(o.Pipeline.Now)
	}
}

// sorts counts what was told.
func (o *office) sorts() map[string]int {
	n := make(map[string]int)
	for _, r := range o.sent {
		switch {
		case r.Device != nil:
			n["device"]++
		case r.Detection != nil && r.Shadowed:
			n["shadowed"]++
		case r.Detection != nil:
			n["detection"]++
		case r.Incident != nil:
			n["incident"]++
		case r.Action != nil:
			n["action "+string(r.Action.Result)]++
		case r.Enforced != nil:
			n["enforced"]++
		case r.Health != nil:
			n["health"]++
		}
	}
	return n
}

func (o *office) forget() { o.sent, o.urgent = nil, nil }

// inForce returns the verbs that are done.
func (o *office) inForce() (verbs []string) {
	for _, a := range o.Pipeline.Enforcer.Active(o.Pipeline.Now) {
		if a.Mode == cordon.ModeDo && a.Verb != cordon.VerbNotify {
			verbs = append(verbs, string(a.Verb))
		}
	}
	slices.Sort(verbs)
	return verbs
}

func (o *office) acted() bool { return o.sorts()["action done"] >= 3 }

// infected returns the device that is in trouble.
func (o *office) infected(t *testing.T) *cordon.Device {
	t.Helper()
	open := o.Pipeline.Incidents.Open()
	if len(open) != 1 {
		t.Fatalf("%d incidents", len(open))
	}
	return open[0].Device
}

// TestTold: an infection is told at once, with what was done about it, and the home
// besides.
func TestTold(t *testing.T) {
	o := newOffice(t, "mirai", cordon.PolicyProtect)
	o.play(t, o.acted)
	n := o.sorts()
	if n["detection"] == 0 || n["incident"] == 0 || n["device"] < 3 || n["health"] == 0 || n["enforced"] != 0 {
		t.Errorf("told %v", n)
	}
	i := slices.IndexFunc(o.sent, func(r cordon.Report) bool { return r.Incident != nil && r.Incident.Level == cordon.Act })
	if i < 0 || !o.urgent[i] || o.sent[i].At == 0 || o.sent[i].Doubt != 0 {
		t.Fatalf("the incident is not told at once: %v", n)
	}
	if late := o.sent[i].At.Sub(o.sent[i].Incident.Raised[len(o.sent[i].Incident.Raised)-1].At); late > 100*time.Millisecond {
		t.Errorf("told %v after it was raised", late)
	}
	o.forget()
	o.unset = true
	o.play(t, nil)
	o.idle(2 * time.Hour)
	if n := o.sorts(); n["action ended"] != 1 || n["incident"] == 0 || n["health"] < 20 {
		t.Errorf("told later %v: want the block's end", n)
	}
	if o.sent[0].Doubt == 0 {
		t.Error("the doubt is not told")
	}
}

// TestDesired carries out a desired state, and it ends by itself when core never
// comes again.
func TestDesired(t *testing.T) {
	o := newOffice(t, "mirai", cordon.PolicyObserve)
	o.play(t, func() bool { return len(o.Pipeline.Devices.All()) > 3 })
	var lamp *cordon.Device
	for _, d := range o.Pipeline.Devices.All() {
		if !d.Gateway {
			lamp = d
		}
	}
	wall, _ := o.Clock()
	quarantine := cordon.Order{ID: "order-1", Verb: cordon.VerbQuarantine, Entity: cordon.Entity{Device: lamp.ID}, Reason: "r", By: "Ada", At: wall, Expires: wall.Add(time.Hour)}
	wide := cordon.Order{ID: "order-2", Verb: cordon.VerbBlock, Entity: cordon.Entity{Device: lamp.ID, Target: cordon.Target{Net: netip.MustParsePrefix("203.0.0.0/8")}}, Expires: wall.Add(time.Hour)}
	class := cordon.LifeLine
	d := &cordon.Desired{Version: 7, Policy: cordon.PolicyProtect, Orders: []cordon.Order{quarantine, wide},
		Devices: []cordon.DesiredDevice{{Device: lamp.ID, Name: "Grandma's lamp", Class: &class}}}
	o.forget()
	for range 3 { // the same again changes nothing
		if err := o.Core.Desired(context.Background(), d, []string{"weather"}); err != nil {
			t.Fatal(err)
		}
	}
	if got := o.inForce(); !slices.Equal(got, []string{"quarantine"}) {
		t.Errorf("in force %v", got)
	}
	if lamp.Name != "Grandma's lamp" || lamp.Class != cordon.LifeLine || o.PolicyOf(lamp) != cordon.PolicyProtect {
		t.Errorf("device %+v, policy %s", lamp, o.PolicyOf(lamp))
	}
	var e *cordon.Enforced
	for _, r := range o.sent {
		if r.Enforced != nil {
			e = r.Enforced
		}
		if r.Action != nil && (r.Action.By != "Ada" || r.Action.Action.ID != "order-1" || r.Action.Result != cordon.ResultDone) {
			t.Errorf("action %+v", r.Action)
		}
	}
	if e == nil || e.Version != 7 || len(e.Refused) != 2 || len(e.InForce) != 1 || o.sorts()["action done"] != 1 || o.asks == 0 {
		t.Fatalf("enforced %+v, told %v", e, o.sorts())
	}
	o.idle(2 * time.Hour)
	if got := o.inForce(); len(got) > 0 {
		t.Errorf("in force after its end: %v", got)
	}
	if o.sorts()["action ended"] != 1 {
		t.Errorf("told %v", o.sorts())
	}
	if err := o.Core.Desired(context.Background(), &cordon.Desired{Version: 8}, nil); err != nil {
		t.Fatal(err)
	}
	if o.PolicyOf(lamp) != cordon.PolicyObserve || lamp.Class == cordon.LifeLine {
		t.Error("what is not desired any more still counts")
	}
}

// TestTooManyOrders: core cuts off no more devices in an hour than the guard allows, also
// when it takes the orders back in between; an hour later it may again.
func TestTooManyOrders(t *testing.T) {
	o := newOffice(t, "mirai", cordon.PolicyObserve)
	o.play(t, func() bool { return len(o.Pipeline.Devices.All()) > 3 })
	wall, _ := o.Clock()
	desire := func(version uint64, from, to int) {
		d := &cordon.Desired{Version: version}
		for i := from; i < to; i++ {
			d.Orders = append(d.Orders, cordon.Order{ID: fmt.Sprint("order-", i), Verb: cordon.VerbQuarantine, By: "Ada",
				Entity: cordon.Entity{Device: fmt.Sprintf("02:00:00:00:01:%02x", i)}, Expires: wall.Add(3 * time.Hour)})
		}
		if err := o.Core.Desired(context.Background(), d, nil); err != nil {
			t.Fatal(err)
		}
	}
	desire(1, 0, desired.QuarantinesAnHour-1)
	desire(2, desired.QuarantinesAnHour-1, desired.QuarantinesAnHour+1)
	if got, e := o.inForce(), o.Core.Enforced(); len(got) != 1 || len(e.Refused) != 1 || e.Refused[0].What != "order-5" {
		t.Errorf("in force %v, refused %+v", got, e.Refused)
	}
	o.idle(time.Hour + time.Minute)
	if got, e := o.inForce(), o.Core.Enforced(); len(got) != 2 || len(e.Refused) != 0 {
		t.Errorf("an hour later: in force %v, refused %+v", got, e.Refused)
	}
}

// TestWithdrawn ends an order, and one that somebody at the router released does not
// begin again.
func TestWithdrawn(t *testing.T) {
	o := newOffice(t, "mirai", cordon.PolicyObserve)
	o.play(t, func() bool { return len(o.Pipeline.Devices.All()) > 3 })
	wall, _ := o.Clock()
	order := func(id string) cordon.Order {
		return cordon.Order{ID: id, Verb: cordon.VerbQuarantine, Entity: cordon.Entity{Device: "02:00:00:00:00:77"}, By: "Ada", Expires: wall.Add(time.Hour)}
	}
	desire := func(version uint64, orders ...cordon.Order) {
		if err := o.Core.Desired(context.Background(), &cordon.Desired{Version: version, Orders: orders}, nil); err != nil {
			t.Fatal(err)
		}
	}
	desire(1, order("a"))
	desire(2)
	if got := o.inForce(); len(got) > 0 {
		t.Errorf("in force %v", got)
	}
	desire(3, order("b"))
	a := o.Pipeline.Enforcer.Active(o.Pipeline.Now)[0]
	if err := o.Pipeline.Enforcer.Release(context.Background(), a.ID); err != nil {
		t.Fatal(err)
	}
	o.Released(&a, "root")
	o.forget()
	o.idle(time.Minute)
	if got := o.inForce(); len(got) > 0 {
		t.Errorf("begun again: %v", got)
	}
	if e := o.Core.Enforced(); len(e.Refused) != 1 || e.Refused[0].What != "b" {
		t.Errorf("refused %+v", e.Refused)
	}
	desire(4, order("c"))
	if got := o.inForce(); len(got) != 1 {
		t.Errorf("another order is not begun: %v", got)
	}
}

// TestReleasedAlone: an order of before a restart can be released also where there is no
// line to core any more, and stays released when there is one again.
func TestReleasedAlone(t *testing.T) {
	o := newOffice(t, "calm", cordon.PolicyObserve)
	o.Core = nil
	a := cordon.Action{ID: "order-1", Verb: cordon.VerbQuarantine, Entity: cordon.Entity{Device: "02:00:00:00:00:77"}, Expires: o.Pipeline.Now.Add(time.Hour)}
	o.Orders[a.ID] = true
	o.Released(&a, "root")
	if len(o.Orders) > 0 || len(o.Held) != 1 || o.Held[0].ID != a.ID || o.Held[0].By != "root" {
		t.Errorf("orders %v, held %+v", o.Orders, o.Held)
	}
}

// TestNothingDesired: what core says about something else ends nothing that was restored
// after a restart, as long as nobody has said what is desired.
func TestNothingDesired(t *testing.T) {
	o := newOffice(t, "calm", cordon.PolicyObserve)
	order := cordon.Order{ID: "order-1", Verb: cordon.VerbQuarantine, Entity: cordon.Entity{Device: "02:00:00:00:00:77"}, By: "Ada"}
	a := cordon.Action{ID: order.ID, Verb: order.Verb, Mode: cordon.ModeDo, Entity: order.Entity, At: o.Pipeline.Now, Expires: o.Pipeline.Now.Add(time.Hour)}
	if _, err := o.Pipeline.Enforcer.Apply(context.Background(), Stub(a.Entity.Device), &a); err != nil {
		t.Fatal(err)
	}
	o.Orders[a.ID], o.By[a.ID] = true, order.By
	if err := o.Core.Desired(context.Background(), nil, []string{"weather"}); err != nil {
		t.Fatal(err)
	}
	o.idle(time.Minute)
	if got := o.inForce(); !slices.Equal(got, []string{"quarantine"}) {
		t.Errorf("in force %v", got)
	}
	if e := o.Core.Enforced(); e == nil || e.Version != 0 || len(e.Refused) != 1 || e.Refused[0].What != "weather" {
		t.Errorf("enforced %+v", e)
	}
	if err := o.Core.Desired(context.Background(), &cordon.Desired{Version: 1}, []string{"weather"}); err != nil {
		t.Fatal(err)
	}
	if got, e := o.inForce(), o.Core.Enforced(); len(got) > 0 || e.Version != 1 || len(e.Refused) != 1 {
		t.Errorf("in force %v, enforced %+v", got, e)
	}
}

// TestReleased: what core releases ends, and the scan that goes on does not begin it
// again.
func TestReleased(t *testing.T) {
	o := newOffice(t, "mirai", cordon.PolicyProtect)
	o.play(t, o.acted)
	device := o.infected(t)
	wall, _ := o.Clock()
	d := &cordon.Desired{Version: 1, Policy: cordon.PolicyProtect, Released: []cordon.Release{{Device: device.ID, By: "Ada", At: wall, Expires: wall.Add(time.Hour)}}}
	if err := o.Core.Desired(context.Background(), d, nil); err != nil {
		t.Fatal(err)
	}
	if got := o.inForce(); len(got) > 0 {
		t.Fatalf("in force %v", got)
	}
	o.play(t, nil)
	if got := o.inForce(); len(got) > 0 {
		t.Errorf("begun again: %v", got)
	}
}

// TestShadowed: under a shadow nothing is done, and core hears what was found.
func TestShadowed(t *testing.T) {
	o := newOffice(t, "mirai", cordon.PolicyProtect)
	shadows := []cordon.Shadow{{ID: "s", Kind: "*", Expires: o.Pipeline.Now.Add(100 * 365 * 24 * time.Hour)}}
	if err := o.Core.Shared(context.Background(), 3, shadows, true, nil); err != nil {
		t.Fatal(err)
	}
	o.play(t, nil)
	if n := o.sorts(); n["shadowed"] == 0 || n["detection"] > 0 || n["incident"] > 0 || len(o.inForce()) > 0 {
		t.Errorf("told %v, in force %v", n, o.inForce())
	}
	if e := o.Core.Enforced(); e == nil || e.Shared != 3 {
		t.Errorf("enforced %+v", e)
	}
}

// TestAnswer asks the agent what a portal asks.
func TestAnswer(t *testing.T) {
	o := newOffice(t, "mirai", cordon.PolicyProtect)
	o.play(t, o.acted)
	device := o.infected(t)
	for _, what := range []string{"status", "devices", "incidents", "why", "destinations"} {
		text, err := o.Core.Answer(context.Background(), what, device.ID)
		if err != nil || !json.Valid(text) || len(text) < 20 {
			t.Errorf("%s: %.80s, %v", what, text, err)
		}
	}
	text, err := o.Core.Answer(context.Background(), "destinations", device.ID)
	var list []Destination
	if err := errors.Join(err, json.Unmarshal(text, &list)); err != nil || len(list) == 0 || !list[0].Address.IsValid() {
		t.Errorf("%s: %v", text, err)
	}
	if _, err := o.Core.Answer(context.Background(), "weather", ""); err == nil {
		t.Error("an unknown question is answered")
	}
	if _, err := o.Core.Answer(context.Background(), "why", "nobody"); err == nil {
		t.Error("an unknown device is explained")
	}
}
