package store_test

import (
	"fmt"
	"math"
	"net/netip"
	"strings"
	"testing"
	"time"

	"cordon"

	"github.com/google/go-cmp/cmp"
	"github.com/google/go-cmp/cmp/cmpopts"
)

// device is a device with something in every field that is stored.
func device(id string) *cordon.Device {
	d := &cordon.Device{ID: id, HasMAC: true, Randomised: true, Relay: true, Gateway: true, Name: "Cam " + id, Maker: "Acme", Model: "C-100",
		Class: cordon.IoT, Reasons: []string{"it says so"}, Addrs: []netip.Addr{netip.MustParseAddr("192.168.77.10"), netip.MustParseAddr("fd77::10")},
		FirstSeen: cordon.TimeOf(start.Add(-time.Hour)), LastSeen: cordon.TimeOf(start)}
	fmt.Sscanf(id, "%02x:%02x:%02x:%02x:%02x:%02x", &d.MAC[0], &d.MAC[1], &d.MAC[2], &d.MAC[3], &d.MAC[4], &d.MAC[5])
	return d
}

var target = cordon.Target{Proto: 6, Ports: []uint16{23, 2323}, LocalPort: 7, Peer: netip.MustParseAddr("203.0.113.7"),
	Net: netip.MustParsePrefix("203.0.113.0/24"), Name: "c2.example", Stray: true}

func detection(b *bench, id, device_ string) *cordon.Detection {
	return &cordon.Detection{ID: id, Kind: cordon.ScanMirai, Device: device(device_), At: b.at(), Since: b.at().Add(-time.Minute), Confirmed: true,
		Sentence: "It scans.", Level: cordon.Act, Subject: "telnet (23, 2323)", Target: target, Rate: cordon.Rate{Packets: 1, Connections: 2}, Life: time.Hour,
		Evidence: []cordon.Evidence{{Name: "targets", Value: 12.5, Threshold: 3, Unit: "hosts", Window: time.Minute}}, PeerName: "c2.example", Samples: []string{"192.0.2.1"}}
}

func incident(b *bench, id, device_ string) *cordon.Incident {
	return &cordon.Incident{ID: id, Device: device(device_), Level: cordon.Notify, Opened: b.at().Add(-time.Minute), Last: b.at(), Odds: 4.25,
		Raised:   []cordon.Raise{{Level: cordon.Notify, At: b.at()}},
		Timeline: []cordon.Moment{{At: b.at(), Level: cordon.Notify, Kind: cordon.ScanMirai, Technique: "T1595.001", Subject: "telnet", Text: "It scans.", Ref: "d1", Count: 3}},
		Omitted:  2, Kinds: []cordon.Kind{cordon.ScanMirai, cordon.DoSSYN}, Marks: []cordon.Mark{{Kind: cordon.ScanMirai, Level: cordon.Act, Since: b.at()}},
		Verbs: []cordon.Verb{cordon.VerbBlock}, Mode: cordon.ModeDo, Story: "A story.", Told: "One sentence."}
}

func action(b *bench, id, device_ string, v cordon.Verb, r cordon.Result) *cordon.ActionReport {
	return &cordon.ActionReport{By: "Ada", Result: r, Error: "why", Action: cordon.Action{ID: id, Verb: v, Mode: cordon.ModeDo,
		Entity: cordon.Entity{Device: device_, Target: target}, Incident: "i1", Reason: "It scans.", Purpose: cordon.PurposeSecurity, At: b.at(),
		Expires: b.at().Add(time.Hour), Rate: cordon.Rate{Packets: 5}}}
}

func health(b *bench) *cordon.Health {
	return &cordon.Health{At: b.at(), Mode: "normal", Why: "no reason", Policy: cordon.PolicyProtect, Eyes: "kernel", Boot: 1, Uptime: 5, Resident: 1 << 40, Devices: 3,
		InForce: 1, Clock: true, Lacks: []cordon.Shortcoming{{Name: "hardware-offload", Text: "It is on.", Mend: "Switch it off."}},
		Parts: []cordon.Part{{Name: "eyes", State: "ok", Why: "yes"}}, Counters: map[string]uint64{"frames": math.MaxUint64}, Lost: 9}
}

// everything is a report of each sort about a device.
func everything(b *bench, id string) []cordon.Report {
	return []cordon.Report{{Device: device(id)}, {Detection: detection(b, "d1", id), Shadowed: true}, {Incident: incident(b, "i1", id)},
		{Action: action(b, "x1", id, cordon.VerbBlock, cordon.ResultDone)}, {Health: health(b)},
		{Enforced: &cordon.Enforced{Version: 0, Shared: 3, InForce: []cordon.Action{action(b, "x1", id, cordon.VerbBlock, cordon.ResultDone).Action},
			Refused: []cordon.Refusal{{What: "o1", Why: "The guard forbids it."}}}},
		{Summary: &cordon.Summary{Day: b.at().Add(-24 * time.Hour), Device: id, Class: cordon.IoT, Maker: "Acme", Model: "C-100",
			Domains: []cordon.DomainCount{{Domain: "acme.example", Count: 7}}, Other: 1}}}
}

func testRecords(t *testing.T, b *bench) {
	ctx := t.Context()
	h := b.home("1")
	const mac = "02:00:00:00:00:01"
	reports := everything(b, mac)
	events := b.ingest(h, reports...)
	var sorts []string
	for _, e := range events {
		sorts = append(sorts, fmt.Sprintf("%s %s %s", e.Sort, e.ID, e.Level))
		if e.Account != "A1" || e.Site != "S1" || e.At != b.at() {
			t.Errorf("event of %s at %s at %s", e.Account, e.Site, e.At)
		}
	}
	if diff := cmp.Diff([]string{"device " + mac + " none", "incident i1 notify", "detection d1 act", "action x1 none", "router R1 none", "router R1 none"}, sorts); diff != "" {
		t.Errorf("events (-want +got):\n%s", diff)
	}
	same := cmp.Options{cmpopts.EquateComparable(netip.Addr{}, netip.Prefix{})}
	check := func(what string, want, got any) {
		t.Helper()
		if diff := cmp.Diff(want, got, same); diff != "" {
			t.Errorf("%s (-want +got):\n%s", what, diff)
		}
	}
	d := get[cordon.DeviceRecord](t)(b.Device(ctx, "S1", mac))
	check("device", cordon.DeviceRecord{Site: "S1", Account: "A1", Area: "north", Device: *reports[0].Device, State: "blocked", Level: cordon.Notify, Updated: b.at(), Version: d.Version}, d)
	check("detection", cordon.DetectionRecord{Site: "S1", Account: "A1", Area: "north", Router: "R1", Shadowed: true, Detection: *reports[1].Detection, Received: b.at()},
		get[cordon.DetectionRecord](t)(b.Detection(ctx, "S1", "d1")))
	check("incident", cordon.IncidentRecord{Site: "S1", Account: "A1", Area: "north", Router: "R1", Incident: *reports[2].Incident, Received: b.at(), Version: 1},
		get[cordon.IncidentRecord](t)(b.Incident(ctx, "S1", "i1")))
	check("actions", []cordon.ActionRecord{{Site: "S1", Account: "A1", Area: "north", Router: "R1", ActionReport: *reports[3].Action, Updated: b.at()}},
		get[cordon.Page[cordon.ActionRecord]](t)(b.Actions(ctx, everyone, cordon.Query{})).Items)
	r := get[cordon.Router](t)(b.Router(ctx, "R1"))
	check("health", *reports[4].Health, r.Health)
	if r.Seen != b.at() || r.Boot != 1 {
		t.Errorf("router seen at %s, boot %d", r.Seen, r.Boot)
	}
	e, at, err := b.Enforced(ctx, "S1")
	must(t, err)
	check("enforced", *reports[5].Enforced, e)
	if at != b.at() {
		t.Errorf("enforced at %s", at)
	}
	_, err = b.Device(ctx, "S1", "nobody")
	wants(t, "a device that is not there", err, cordon.ErrNotFound)
	if st := b.Stats(); st.Stored != uint64(len(reports)) || st.Doubled+st.Refused != 0 {
		t.Errorf("counted %+v", st)
	}
}

func testDevices(t *testing.T, b *bench) {
	ctx := t.Context()
	h := b.home("1")
	const mac = "02:00:00:00:00:01"
	b.ingest(h, cordon.Report{Device: device(mac)})
	d := get[cordon.DeviceRecord](t)(b.Device(ctx, "S1", mac))
	class := cordon.LifeLine
	d.Said, d.Room = cordon.DesiredDevice{Device: mac, Name: "Front door", Class: &class, Policy: cordon.PolicyAsk}, "Hall"
	old := d
	must(t, b.PutDevice(ctx, &d))
	wants(t, "put an old version", b.PutDevice(ctx, &old), cordon.ErrConflict)
	wants(t, "put what is not there", b.PutDevice(ctx, &cordon.DeviceRecord{Site: "S1", Device: cordon.Device{ID: "x"}}), cordon.ErrNotFound)
	news := device(mac)
	news.Name, news.Model = "Cam 2", "C-200"
	b.ingest(h, cordon.Report{Device: news})
	is := get[cordon.DeviceRecord](t)(b.Device(ctx, "S1", mac))
	if is.Label() != "Front door" || is.Room != "Hall" || is.Device.Model != "C-200" || *is.Said.Class != cordon.LifeLine || is.Version != d.Version+1 {
		t.Errorf("after the next report: %+v", is)
	}
	for text, want := range map[string]int{"front": 1, "Cam": 0, "acme": 1, "02:00": 1, "192.168.77": 1} {
		if p := get[cordon.Page[cordon.DeviceRecord]](t)(b.Devices(ctx, everyone, cordon.Query{Text: text})); len(p.Items) != want {
			t.Errorf("%q finds %d devices, want %d", text, len(p.Items), want)
		}
	}
}

func testIncidents(t *testing.T, b *bench) {
	ctx := t.Context()
	h := b.home("1")
	const mac = "02:00:00:00:00:01"
	level := func(what string, want cordon.Level) {
		t.Helper()
		if d := get[cordon.DeviceRecord](t)(b.Device(ctx, "S1", mac)); d.Level != want {
			t.Errorf("%s: the device is at %s, want %s", what, d.Level, want)
		}
	}
	one, two := incident(b, "i1", mac), incident(b, "i2", mac)
	two.Level = cordon.Act
	b.ingest(h, cordon.Report{Incident: one}, cordon.Report{Incident: two}) // before the device itself
	level("two incidents", cordon.Act)
	b.ingest(h, cordon.Report{Incident: two, Over: true})
	level("one is over", cordon.Notify)
	i := get[cordon.IncidentRecord](t)(b.Incident(ctx, "S1", "i1"))
	wants(t, "close an old version", b.CloseIncident(ctx, "S1", "i1", cordon.ClosedMended, "Ada", "", i.Version+1), cordon.ErrConflict)
	wants(t, "close as nonsense", b.CloseIncident(ctx, "S1", "i1", "nonsense", "Ada", "", i.Version), cordon.ErrInvalid)
	wants(t, "close what is not there", b.CloseIncident(ctx, "S1", "i9", cordon.ClosedMended, "Ada", "", 0), cordon.ErrNotFound)
	must(t, b.CloseIncident(ctx, "S1", "i1", cordon.ClosedExpected, "Ada", "It was me.", i.Version))
	level("the other is closed", cordon.None)
	b.ingest(h, cordon.Report{Incident: one}, cordon.Report{Device: device(mac)})
	level("the closed one is reported again", cordon.None)
	i = get[cordon.IncidentRecord](t)(b.Incident(ctx, "S1", "i1"))
	if i.Closed != cordon.ClosedExpected || i.By != "Ada" || i.Note != "It was me." || i.Version != 3 {
		t.Errorf("closed: %+v", i)
	}
	for _, c := range []struct {
		q    cordon.Query
		want int
	}{
		{cordon.Query{State: "open"}, 0}, {cordon.Query{State: "over"}, 2}, {cordon.Query{State: "nonsense"}, 0}, {cordon.Query{Level: cordon.Act}, 1},
		{cordon.Query{Level: cordon.Watch}, 2}, {cordon.Query{Kind: cordon.DoSSYN}, 2}, {cordon.Query{Kind: "dos.*"}, 2}, {cordon.Query{Kind: "dos.sy"}, 0},
		{cordon.Query{Kind: "dos%"}, 0}, {cordon.Query{Kind: "*"}, 2}, {cordon.Query{Device: mac}, 2}, {cordon.Query{Router: "R1"}, 2}, {cordon.Query{Router: "R2"}, 0},
		{cordon.Query{Area: "north", Group: "pilot", Site: "S1", Account: "A1"}, 2}, {cordon.Query{Since: one.Opened, Until: one.Opened + 1000}, 2}, {cordon.Query{Until: one.Opened}, 0},
	} {
		if p := get[cordon.Page[cordon.IncidentRecord]](t)(b.Incidents(ctx, everyone, c.q)); len(p.Items) != c.want {
			t.Errorf("%+v: %d incidents, want %d", c.q, len(p.Items), c.want)
		}
	}
}

// testOrder gives reports in the wrong order.
func testOrder(t *testing.T, b *bench) {
	ctx := t.Context()
	h := b.home("1")
	var reports []cordon.Report
	for n := range 3 {
		d := device("02:00:00:00:00:01")
		d.Model = fmt.Sprintf("M%d", n)
		i := incident(b, "i1", d.ID)
		i.Story = d.Model
		a := action(b, "x1", d.ID, cordon.VerbBlock, cordon.ResultDone)
		a.Error = d.Model
		he := health(b)
		he.Why = d.Model
		for _, r := range []cordon.Report{{Device: d}, {Incident: i}, {Action: a}, {Health: he}, {Enforced: &cordon.Enforced{Version: uint64(n)}}} {
			reports = append(reports, h.report(b, r))
		}
		if n == 0 { // the agent starts anew
			h.boot, h.seq = h.boot+1, 0
		}
	}
	for _, batch := range [][]cordon.Report{reports[5:10], reports[10:15], reports[5:10], reports[0:5], {}} {
		_, err := b.Ingest(ctx, batch)
		must(t, err)
	}
	d := get[cordon.DeviceRecord](t)(b.Device(ctx, "S1", "02:00:00:00:00:01"))
	i := get[cordon.IncidentRecord](t)(b.Incident(ctx, "S1", "i1"))
	a := get[cordon.Page[cordon.ActionRecord]](t)(b.Actions(ctx, everyone, cordon.Query{})).Items[0]
	r := get[cordon.Router](t)(b.Router(ctx, "R1"))
	if got := []string{d.Device.Model, i.Incident.Story, a.Error, r.Health.Why, fmt.Sprint("M", r.Enforced)}; fmt.Sprint(got) != "[M2 M2 M2 M2 M2]" {
		t.Errorf("an older report replaced a newer one: %v", got)
	}
	if st := b.Stats(); st.Stored != 15 || st.Doubled != 5 {
		t.Errorf("counted %+v, want 15 stored and 5 doubled", st)
	}
}

func testDoubles(t *testing.T, b *bench) {
	h := b.home("1")
	var reports []cordon.Report
	for i := range 450 {
		reports = append(reports, h.report(b, cordon.Report{Detection: detection(b, fmt.Sprint("d", i), "02:00:00:00:00:01")}))
	}
	for round, want := range []int{450, 0} {
		events, err := b.Ingest(t.Context(), reports)
		must(t, err)
		if len(events) != want {
			t.Errorf("round %d: %d events, want %d", round, len(events), want)
		}
	}
	strangers := []cordon.Report{{ID: cordon.ReportID{Router: "nobody", Boot: 1, Seq: 1}, Detection: detection(b, "x", "02:00:00:00:00:01")}}
	must(t, b.PutRouter(t.Context(), &cordon.Router{ID: "R2", Serial: "SN2", State: cordon.RouterExpected}))
	strangers = append(strangers, cordon.Report{ID: cordon.ReportID{Router: "R2", Boot: 1, Seq: 1}, Detection: detection(b, "x", "02:00:00:00:00:01")})
	must(t, b.Revoke(t.Context(), "R1", ""))
	strangers = append(strangers, h.report(b, cordon.Report{Detection: detection(b, "x", "02:00:00:00:00:01")}))
	events, err := b.Ingest(t.Context(), strangers)
	must(t, err)
	if st := b.Stats(); len(events) != 0 || st.Stored != 450 || st.Doubled != 450 || st.Refused != 3 {
		t.Errorf("%d events of strangers, counted %+v", len(events), st)
	}
}

// testIdentities lets a router lose its memory, so that its numbers begin anew.
func testIdentities(t *testing.T, b *bench) {
	ctx := t.Context()
	h := b.home("1")
	model := func(m string) *cordon.Device {
		d := device("02:00:00:00:00:01")
		d.Model = m
		return d
	}
	h.boot = 57
	b.ingest(h, cordon.Report{Device: model("old")})
	late := h.report(b, cordon.Report{Device: model("late")})
	late2 := h.report(b, cordon.Report{Detection: detection(b, "late", "02:00:00:00:00:01")})
	b.clock.add(time.Hour)
	must(t, b.Reset(ctx, "R1"))
	must(t, b.Enrol(ctx, "R1", "U2", b.at()))
	h.boot, h.seq = 57, 0
	b.clock.add(time.Minute)
	for _, r := range []cordon.Report{h.report(b, cordon.Report{Device: model("new")}), late, late2} { // two were still under way
		_, err := b.Ingest(ctx, []cordon.Report{r})
		must(t, err)
	}
	if d := get[cordon.DeviceRecord](t)(b.Device(ctx, "S1", "02:00:00:00:00:01")); d.Device.Model != "new" {
		t.Errorf("the device is %q", d.Device.Model)
	}
	_, err := b.Detection(ctx, "S1", "late")
	must(t, err) // stored all the same
	h.boot, h.seq = 1, 0
	h.boot = 58
	r := h.report(b, cordon.Report{Device: model("1970"), At: 5, Doubt: time.Hour})
	if events, err := b.Ingest(ctx, []cordon.Report{r}); err != nil || len(events) != 1 {
		t.Errorf("a report with a doubtful time: %v, %v", events, err)
	}
}

func testInForce(t *testing.T, b *bench) {
	h := b.home("1")
	macs := []string{"02:00:00:00:00:01", "02:00:00:00:00:02", "02:00:00:00:00:03"}
	for _, mac := range macs {
		b.ingest(h, cordon.Report{Device: device(mac)})
	}
	states := func(what string, want ...string) {
		t.Helper()
		for i, mac := range macs {
			if d := get[cordon.DeviceRecord](t)(b.Device(t.Context(), "S1", mac)); d.State != want[i] {
				t.Errorf("%s: device %d is %s, want %s", what, i+1, d.State, want[i])
			}
		}
	}
	of := func(id, mac string, v cordon.Verb, r cordon.Result) cordon.Report {
		return cordon.Report{Action: action(b, id, mac, v, r)}
	}
	would := of("x5", macs[2], cordon.VerbQuarantine, cordon.ResultDone)
	would.Action.Action.Mode = cordon.ModeWould
	b.ingest(h, of("x1", macs[0], cordon.VerbLimit, cordon.ResultDone), of("x2", macs[0], cordon.VerbQuarantine, cordon.ResultDone),
		of("x3", macs[1], cordon.VerbBlock, cordon.ResultUnsure), of("x4", macs[2], cordon.VerbBlock, cordon.ResultFailed), would)
	states("begun", "quarantined", "blocked", "watched")
	b.ingest(h, of("x2", macs[0], cordon.VerbQuarantine, cordon.ResultEnded), of("x3", macs[1], cordon.VerbBlock, cordon.ResultEnded))
	states("ended", "limited", "watched", "watched")
	all := &cordon.Enforced{Version: 1}
	for i, v := range []cordon.Verb{cordon.VerbBlock, cordon.VerbQuarantine, cordon.VerbLimit} {
		all.InForce = append(all.InForce, action(b, fmt.Sprint("y", i), macs[1], v, cordon.ResultDone).Action)
	}
	b.ingest(h, cordon.Report{Enforced: all})
	states("what the router says is in force", "watched", "quarantined", "watched")
	b.ingest(h, cordon.Report{Enforced: &cordon.Enforced{Version: 2}})
	states("nothing is", "watched", "watched", "watched")
	b.ingest(h, of("x6", macs[0], cordon.VerbQuarantine, cordon.ResultDone))
	full := &cordon.Enforced{Version: 3}
	for i := range cordon.MaxInForce {
		full.InForce = append(full.InForce, action(b, fmt.Sprint("z", i), macs[1], cordon.VerbBlock, cordon.ResultDone).Action)
	}
	b.ingest(h, cordon.Report{Enforced: full})
	states("as much as can be said is", "quarantined", "blocked", "watched")
}

// testHostile reports what nobody in his right mind would.
func testHostile(t *testing.T, b *bench) {
	h := b.home("1")
	nasty := "\x00'; DROP TABLE devices; -- \xff\xfe" + strings.Repeat("ü", 100_000)
	d := device("02:00:00:00:00:01")
	d.Name, d.Model, d.Maker, d.Reasons = nasty, nasty, nasty, []string{nasty}
	d.FirstSeen, d.LastSeen = math.MinInt64, math.MaxInt64
	long := device(nasty)
	i := incident(b, nasty, d.ID)
	i.Device, i.Odds, i.Story, i.Told = nil, math.NaN(), nasty, nasty
	for range 5000 {
		i.Timeline = append(i.Timeline, cordon.Moment{Text: nasty[:200]})
		i.Kinds = append(i.Kinds, cordon.Kind(nasty[:200]))
	}
	x := detection(b, "", "")
	x.Device, x.Evidence[0].Value, x.Kind, x.Target.Ports = nil, math.Inf(1), cordon.Kind(nasty), make([]uint16, 60_000)
	a := action(b, nasty, nasty, cordon.Verb(nasty), cordon.Result(nasty))
	he := health(b)
	he.Mode = nasty
	s := &cordon.Summary{Day: math.MaxInt64, Device: nasty, Maker: nasty}
	reports := []cordon.Report{{Device: d}, {Device: long}, {Incident: i}, {Detection: x}, {Action: a}, {Health: he}, {Summary: s},
		{Enforced: &cordon.Enforced{Version: math.MaxUint64, InForce: []cordon.Action{a.Action}}}, {}}
	for k := range reports {
		reports[k] = h.report(b, reports[k])
		reports[k].At = math.MinInt64
	}
	reports[8].ID.Seq, reports[8].ID.Boot = math.MaxUint64, math.MaxUint32
	_, err := b.Ingest(t.Context(), reports)
	must(t, err)
	got := get[cordon.DeviceRecord](t)(b.Device(t.Context(), "S1", "02:00:00:00:00:01"))
	if n := len(got.Device.Name); n == 0 || n > 512 || strings.ContainsRune(got.Device.Name, 0) {
		t.Errorf("a name of %d bytes", n)
	}
	if p := get[cordon.Page[cordon.DeviceRecord]](t)(b.Devices(t.Context(), everyone, cordon.Query{Text: "'; drop", Limit: 1})); len(p.Items) != 1 {
		t.Errorf("the nasty name is found %d times", len(p.Items))
	}
	var many []cordon.Report
	for n := range uint64(300) { // a router that invents boots and numbers
		many = append(many, cordon.Report{ID: cordon.ReportID{Router: "R1", Boot: 1000 + uint32(n), Seq: 1}, Health: he},
			cordon.Report{ID: cordon.ReportID{Router: "R1", Boot: 9, Seq: 3 * n}, Health: he})
	}
	for range 2 {
		_, err = b.Ingest(t.Context(), many)
		must(t, err)
	}
}
