package store_test

import (
	"context"
	"errors"
	"fmt"
	"net/netip"
	"slices"
	"sync"
	"testing"
	"time"

	"cordon"

	"github.com/google/go-cmp/cmp"
	"github.com/google/go-cmp/cmp/cmpopts"
)

func testDesired(t *testing.T, b *bench) {
	ctx := t.Context()
	h := b.home("1")
	if d := get[cordon.Desired](t)(b.Desired(ctx, "S1")); d.Version != 0 || d.Policy != cordon.PolicyObserve || d.Site != "S1" {
		t.Errorf("at first: %+v", d)
	}
	h.account.Policy = cordon.PolicyAsk
	must(t, b.PutAccount(ctx, &h.account))
	if d := get[cordon.Desired](t)(b.Desired(ctx, "S1")); d.Policy != cordon.PolicyAsk {
		t.Errorf("the account's policy is not the site's, but %q", d.Policy)
	}
	_, err := b.Desired(ctx, "S9")
	wants(t, "of no site", err, cordon.ErrNotFound)

	class := cordon.Personal
	end := b.at().Add(time.Hour)
	want := cordon.Desired{Site: "S1", Version: 1, At: b.at(), Policy: cordon.PolicyProtect,
		Devices:  []cordon.DesiredDevice{{Device: "d", Name: "Phone", Class: &class, Policy: cordon.PolicyOff}},
		Orders:   []cordon.Order{{ID: "o1", Verb: cordon.VerbLimit, Entity: cordon.Entity{Device: "d", Target: target}, Rate: cordon.Rate{Packets: 1}, Reason: "r", By: "Ada", At: b.at(), Expires: end}},
		Allowed:  []cordon.Permission{{ID: "p1", Device: "d", Target: target, Reason: "r", By: "Ada", At: b.at(), Expires: end}},
		Released: []cordon.Release{{Action: "x", Device: "d", By: "Ada", At: b.at(), Expires: end}}}
	got, err := b.ChangeDesired(ctx, "S1", cordon.Audit{Verb: "device.limit", Who: "Ada"}, func(d *cordon.Desired) error {
		d.Policy, d.Devices, d.Orders, d.Allowed, d.Released = want.Policy, want.Devices, want.Orders, want.Allowed, want.Released
		return nil
	})
	must(t, err)
	same := cmpopts.EquateComparable(netip.Addr{}, netip.Prefix{})
	for what, d := range map[string]cordon.Desired{"returned": got, "stored": get[cordon.Desired](t)(b.Desired(ctx, "S1"))} {
		if diff := cmp.Diff(want, d, same); diff != "" {
			t.Errorf("%s (-want +got):\n%s", what, diff)
		}
	}
	mine := errors.New("mine")
	_, err = b.ChangeDesired(ctx, "S1", cordon.Audit{Verb: "refused"}, func(d *cordon.Desired) error { return mine })
	wants(t, "the change's own error", err, mine)
	_, err = b.ChangeDesired(ctx, "S9", cordon.Audit{}, func(*cordon.Desired) error { return nil })
	wants(t, "of no site", err, cordon.ErrNotFound)
	_, err = b.ChangeDesired(ctx, "S1", cordon.Audit{}, func(d *cordon.Desired) error {
		d.Orders = make([]cordon.Order, 100_000)
		return nil
	})
	wants(t, "more than there may be", err, cordon.ErrInvalid)
	lines := get[cordon.Page[cordon.Audit]](t)(b.Audits(ctx, everyone, cordon.Query{})).Items
	if len(lines) != 1 || lines[0].Verb != "device.limit" || lines[0].Account != "A1" || lines[0].Site != "S1" {
		t.Errorf("the record has %+v, want the one change", lines)
	}
	b.clock.add(2 * time.Hour)
	got, err = b.ChangeDesired(ctx, "S1", cordon.Audit{Verb: "x"}, func(d *cordon.Desired) error {
		if len(d.Orders)+len(d.Allowed)+len(d.Released) != 0 {
			t.Errorf("what is over is still desired: %+v", d)
		}
		return nil
	})
	if err != nil || got.Version != 2 {
		t.Errorf("version %d, %v", got.Version, err)
	}
}

func testShadows(t *testing.T, b *bench) {
	ctx := t.Context()
	if s, n, err := b.Shadows(ctx); err != nil || len(s) != 0 || n != 0 {
		t.Errorf("at first: %v, %d, %v", s, n, err)
	}
	want := []cordon.Shadow{{ID: "h1", Kind: "scan.*", Model: "C-100", Agent: "1.0", Reason: "Everywhere.", By: "Ada", At: b.at(), Expires: b.at().Add(time.Hour)},
		{ID: "h2", Kind: "dos.syn", At: b.at(), Expires: b.at().Add(2 * time.Hour)}}
	n := get[uint64](t)(b.ChangeShadows(ctx, cordon.Audit{Verb: "shadow"}, func([]cordon.Shadow) ([]cordon.Shadow, error) { return want, nil }))
	got, m, err := b.Shadows(ctx)
	if diff := cmp.Diff(want, got); diff != "" || n != 1 || m != 1 || err != nil {
		t.Errorf("numbers %d and %d, %v (-want +got):\n%s", n, m, err, diff)
	}
	mine := errors.New("mine")
	_, err = b.ChangeShadows(ctx, cordon.Audit{Verb: "shadow"}, func([]cordon.Shadow) ([]cordon.Shadow, error) { return nil, mine })
	wants(t, "the change's own error", err, mine)
	b.clock.add(90 * time.Minute)
	if got, m, err := b.Shadows(ctx); err != nil || len(got) != 1 || m != 1 {
		t.Errorf("after one is over: %v, %d, %v", got, m, err)
	}
}

func testBehind(t *testing.T, b *bench) {
	ctx := t.Context()
	for i := range 7 {
		h := b.home(fmt.Sprint(i))
		_, err := b.ChangeDesired(ctx, h.site.ID, cordon.Audit{}, func(*cordon.Desired) error { return nil })
		must(t, err)
		if i == 0 {
			b.ingest(h, cordon.Report{Enforced: &cordon.Enforced{Version: 1}})
		}
		must(t, b.Presence(ctx, []cordon.Presence{{Router: h.router.ID, Online: i != 1, At: b.at()}}))
	}
	var seen []string
	for range 5 {
		for _, l := range get[[]cordon.Lag](t)(b.Behind(ctx, 3)) {
			if l.Desired != 1 || l.Enforced != 0 || l.Site != "S"+l.Router[1:] {
				t.Errorf("behind: %+v", l)
			}
			seen = append(seen, l.Router)
		}
	}
	slices.Sort(seen)
	if got := slices.Compact(seen); fmt.Sprint(got) != "[R2 R3 R4 R5 R6]" {
		t.Errorf("behind are %v", got)
	}
	if n := len(get[[]cordon.Lag](t)(b.Behind(ctx, 100))); n != 5 {
		t.Errorf("%d are behind, want 5", n)
	}
}

func testPresence(t *testing.T, b *bench) {
	ctx := t.Context()
	b.home("1")
	b.home("2")
	at := b.at().Add(time.Minute)
	must(t, b.Presence(ctx, []cordon.Presence{{Router: "R1", Online: true, At: at, Agent: "1.2", Wire: 3, Boot: 9}, {Router: "R1", Online: true, At: at + 1000},
		{Router: "nobody", Online: true, At: at}, {Router: "R2", Online: false, At: at}}))
	must(t, b.Presence(ctx, []cordon.Presence{{Router: "R1", Online: false, At: at - 1000}})) // came late
	r := get[cordon.Router](t)(b.Router(ctx, "R1"))
	if !r.Online || r.Agent != "1.2" || r.Wire != 3 || r.Boot != 9 || r.Seen != at+1000 {
		t.Errorf("online %v, agent %q, wire %d, boot %d, seen %s", r.Online, r.Agent, r.Wire, r.Boot, r.Seen)
	}
	yes, no := true, false
	for _, c := range []struct {
		q    cordon.Query
		want int
	}{{cordon.Query{Online: &yes}, 1}, {cordon.Query{Online: &no}, 1}, {cordon.Query{Agent: "1.2"}, 1}, {cordon.Query{Agent: "1.3"}, 0}, {cordon.Query{State: "enrolled", Model: "M1"}, 2},
		{cordon.Query{State: "revoked"}, 0}, {cordon.Query{Text: "SN-"}, 2}, {cordon.Query{Text: "SN-2"}, 1}, {cordon.Query{Router: "R2"}, 1}} {
		if p := get[cordon.Page[cordon.Router]](t)(b.Routers(ctx, everyone, c.q)); len(p.Items) != c.want {
			t.Errorf("%+v: %d routers, want %d", c.q, len(p.Items), c.want)
		}
	}
	// A hello that came after the news that the connection stands.
	must(t, b.Presence(ctx, []cordon.Presence{{Router: "R1", Online: true, At: at - 500, Agent: "1.3", Wire: 3, Boot: 10}}))
	if r, err := b.Router(ctx, "R1"); err != nil || r.Agent != "1.3" || r.Boot != 10 || !r.Online {
		t.Errorf("after a late hello: %+v, %v", r, err)
	}
	var many []cordon.Presence
	for i := range 500 {
		many = append(many, cordon.Presence{Router: fmt.Sprint("X", i), Online: true, At: at})
	}
	must(t, b.Presence(ctx, many))
}

// testRace changes the same things from many sides at once: on PostgreSQL from two
// instances of core.
func testRace(t *testing.T, b *bench) {
	ctx := t.Context()
	h := b.home("1")
	stores := []interface {
		ChangeDesired(context.Context, string, cordon.Audit, func(*cordon.Desired) error) (cordon.Desired, error)
		ChangeShadows(context.Context, cordon.Audit, func([]cordon.Shadow) ([]cordon.Shadow, error)) (uint64, error)
		Ingest(context.Context, []cordon.Report) ([]cordon.Event, error)
		PutDevice(context.Context, *cordon.DeviceRecord) error
	}{b.Store}
	if b.postgres != nil {
		stores = append(stores, b.open(b.database))
	}
	b.ingest(h, cordon.Report{Device: device("02:00:00:00:00:01")})
	var reports []cordon.Report
	for i := range 40 {
		reports = append(reports, h.report(b, cordon.Report{Detection: detection(b, fmt.Sprint("d", i), "02:00:00:00:00:01")}),
			h.report(b, cordon.Report{Device: device("02:00:00:00:00:01")}), h.report(b, cordon.Report{Incident: incident(b, "i1", "02:00:00:00:00:01")}))
	}
	var wg sync.WaitGroup
	var mu sync.Mutex
	events := 0
	const each = 15
	for k := range 6 {
		s := stores[k%len(stores)]
		wg.Go(func() {
			for i := range each {
				if _, err := s.ChangeDesired(ctx, "S1", cordon.Audit{Verb: "x"}, func(d *cordon.Desired) error {
					d.Devices = append(d.Devices, cordon.DesiredDevice{Device: fmt.Sprint(k, "-", i)})
					return nil
				}); err != nil {
					t.Error(err)
				}
				if _, err := s.ChangeShadows(ctx, cordon.Audit{Verb: "y"}, func(all []cordon.Shadow) ([]cordon.Shadow, error) {
					return append(all, cordon.Shadow{ID: fmt.Sprint(k, "-", i), Expires: b.at().Add(time.Hour)}), nil
				}); err != nil {
					t.Error(err)
				}
				got, err := s.Ingest(ctx, reports) // the same from all sides
				if err != nil {
					t.Error(err)
				}
				mu.Lock()
				for _, e := range got {
					if e.Sort == cordon.EventDetection {
						events++
					}
				}
				mu.Unlock()
				if err := s.PutDevice(ctx, &cordon.DeviceRecord{Site: "S1", Device: cordon.Device{ID: "02:00:00:00:00:01"}, Room: "x"}); err != nil {
					t.Error(err)
				}
			}
		})
	}
	wg.Wait()
	d := get[cordon.Desired](t)(b.Desired(ctx, "S1"))
	shadows, n, err := b.Shadows(ctx)
	must(t, err)
	if d.Version != 6*each || len(d.Devices) != 6*each || n != 6*each || len(shadows) != 6*each || events != 40 {
		t.Errorf("version %d with %d devices, number %d with %d shadows, %d events; want %d, and 40 events", d.Version, len(d.Devices), n, len(shadows), events, 6*each)
	}
}
