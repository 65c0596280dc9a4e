package people

import (
	"context"
	"fmt"
	"testing"
	"time"

	"cordon"
	"cordon/core/fleet"
	"cordon/core/store"
)

// TestBreaker trips on what the store was told, and again does not, after a restart and
// when somebody lifted it.
func TestBreaker(t *testing.T) { both(t, testBreaker) }

func testBreaker(t *testing.T, s *store.Store, c *clock) {
	ctx := t.Context()
	now := cordon.TimeOf(c.now())
	must(t, s.PutAccount(ctx, &cordon.Account{ID: "acc", Sort: cordon.Household, Created: now}))
	var reports []cordon.Report
	for i := range 12 {
		id := fmt.Sprintf("%02d", i)
		must(t, s.PutSite(ctx, &cordon.Site{ID: "site" + id, Account: "acc", Created: now}))
		must(t, s.PutRouter(ctx, &cordon.Router{ID: "router" + id, Serial: "S" + id, Site: "site" + id, State: cordon.RouterEnrolled, Created: now}))
		must(t, s.Presence(ctx, []cordon.Presence{{Router: "router" + id, Online: true, At: now, Agent: "1.0"}}))
		reports = append(reports, cordon.Report{ID: cordon.ReportID{Router: "router" + id, Boot: 1, Seq: 1}, At: now, Detection: &cordon.Detection{
			ID: "det" + id, Kind: cordon.ScanHorizontal, At: now, Since: now, Confirmed: true, Level: cordon.Act, Sentence: "It scans.",
			Device: &cordon.Device{ID: "02:00:00:00:00:01", Model: "Cam 1", FirstSeen: now, LastSeen: now}, Target: cordon.Target{Proto: 6, Ports: []uint16{23}}}})
	}
	breaker := func() *fleet.Breaker {
		b, err := fleet.New(fleet.Config{Store: s, Now: c.now, Census: func(context.Context) (fleet.Census, error) { return fleet.Census{Homes: 12}, nil }})
		must(t, err)
		return b
	}
	_, err := s.Ingest(ctx, reports[:7])
	must(t, err)
	b := breaker()
	must(t, b.Load(ctx))
	_, err = s.Ingest(ctx, reports[7:])
	must(t, err)
	b.Watch(reports[7:])
	must(t, b.Check(ctx))
	list, number, err := s.Shadows(ctx)
	must(t, err)
	if len(list) != 1 || list[0].Kind != cordon.ScanHorizontal || list[0].Model != "Cam 1" || list[0].Agent != "1.0" || list[0].By != "" || number == 0 {
		t.Fatalf("in shadow, number %d: %+v", number, list)
	}

	again := breaker() // another instance, or the same after a restart
	must(t, again.Load(ctx))
	again.Watch(reports[:1])
	must(t, again.Check(ctx))
	if _, n, err := s.Shadows(ctx); err != nil || n != number {
		t.Errorf("changed again: number %d, %v", n, err)
	}

	c.add(time.Minute)
	_, err = s.ChangeShadows(ctx, cordon.Audit{ID: "lift", At: cordon.TimeOf(c.now()), Verb: "shadow.change", Result: "ok"},
		func([]cordon.Shadow) ([]cordon.Shadow, error) { return nil, nil })
	must(t, err)
	lifted := breaker()
	must(t, lifted.Load(ctx))
	lifted.Watch(reports[:1])
	must(t, lifted.Check(ctx))
	if list, _, err := s.Shadows(ctx); err != nil || len(list) != 0 {
		t.Errorf("lifted, and back after a restart: %+v, %v", list, err)
	}
}
