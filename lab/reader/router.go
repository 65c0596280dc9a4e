package reader

import (
	"bufio"
	"bytes"
	"context"
	"fmt"
	"math/rand/v2"
	"net/http"
	"strings"
	"time"

	"cordon"
	"cordon/agent/uplink"
	"cordon/internal/pause"
	"cordon/lab/records"

	"golang.org/x/time/rate"
)

// router is a router's line to core, with what its home has to report.
type router struct {
	line *uplink.Uplink
	home int // its number in package records
	turn int
	next []cordon.Report
}

// obedient is an agent that is told and does nothing.
type obedient struct{}

func (obedient) Desired(context.Context, *cordon.Desired, []string) error { return nil }
func (obedient) Shared(context.Context, uint64, []cordon.Shadow, bool, []string) error {
	return nil
}
func (obedient) Answer(context.Context, string, string) ([]byte, error) { return []byte("[]"), nil }

// connect imports routers that nobody knew before and makes their lines. Their homes are
// in areas whose lists are compared (census).
func (o *office) connect(ctx context.Context) error {
	roots, err := o.stage.core.Roots()
	if err != nil {
		return err
	}
	var list strings.Builder
	list.WriteString("serial,claim_secret,account,account_name,site,site_name,area,group,model\n")
	day := time.Now().Unix()
	for i := range o.cfg.Routers {
		serial := fmt.Sprintf("LIVE%d-%03d", day, i)
		fmt.Fprintf(&list, "%s,secret-of-%s,KL%s,Live family,LL%s,Live home,%s,%s,Box 3\n", serial, serial, serial, serial,
			records.Area((i%len(censuses))*(i%len(censuses))), records.Group(i))
		line, err := uplink.New(uplink.Config{URL: "https://" + o.stage.core.Address("gateway"), Roots: roots, Serial: serial,
			Secret: "secret-of-" + serial, Start: 1, Spread: time.Second})
		if err != nil {
			return err
		}
		line.Attach(obedient{})
		o.routers = append(o.routers, &router{line: line, home: o.cfg.Homes + i})
	}
	var result struct{ Created int }
	err = o.admin.get(ctx, &request{route: "POST /v1/routers/import", path: "/v1/routers/import", body: csv(list.String())}, &result)
	if err == nil && result.Created != o.cfg.Routers {
		err = fmt.Errorf("%d of %d were imported", result.Created, o.cfg.Routers)
	}
	return err
}

// enrolWithin is how long all routers may take to enrol and have a first report
// acknowledged.
const enrolWithin = time.Minute

// reported waits until each router has.
func (o *office) reported(ctx context.Context) error {
	ctx, cancel := context.WithTimeout(ctx, enrolWithin)
	defer cancel()
	for _, r := range o.routers {
		for r.line.Status().Sent == 0 {
			if !pause.For(ctx, 20*time.Millisecond) {
				return fmt.Errorf("a router is not served (%s: %s): %w", r.line.Status().State, r.line.Status().Why, context.Cause(ctx))
			}
		}
	}
	return nil
}

// report lets routers report in turn until ctx is done.
func (o *office) report(ctx context.Context) error {
	pace := rate.NewLimiter(rate.Limit(o.cfg.Reports), 1)
	for n := 0; len(o.routers) > 0 && pace.Wait(ctx) == nil; n++ {
		r := o.routers[n%len(o.routers)]
		report := r.report(o.cfg)
		r.line.Report(report, report.Incident != nil || report.Detection != nil)
		o.sent.Add(1)
	}
	return nil
}

// report returns what the home has to report next: its devices, changed a little, then a
// new incident with its detections and what was done, and again.
func (r *router) report(cfg Config) cordon.Report {
	if len(r.next) == 0 {
		r.turn++
		r.next = records.Home(records.Size{Seed: cfg.Seed + uint64(r.turn), Homes: 1, Devices: cfg.Devices, Incidents: 1, Now: time.Now()}, r.home, "")
		for i := range r.next {
			rename(&r.next[i], fmt.Sprintf("-%d", r.turn))
		}
	}
	report := r.next[0]
	r.next = r.next[1:]
	return report
}

// rename makes an incident and what belongs to it another one than that of the turn
// before.
func rename(r *cordon.Report, end string) {
	switch {
	case r.Incident != nil:
		r.Incident.ID += end
		for i := range r.Incident.Timeline {
			r.Incident.Timeline[i].Ref += end
		}
	case r.Detection != nil:
		r.Detection.ID += end
	case r.Action != nil:
		r.Action.Action.ID += end
		r.Action.Action.Incident += end
	}
}

// listen has the stream of events open until ctx is done, beside what p asks.
func (o *office) listen(ctx context.Context, p person, seed int) error {
	p.rng = rand.New(rand.NewPCG(o.cfg.Seed, uint64(seed))) // p's own is p's
	for ctx.Err() == nil {
		if err := o.stream(ctx, &p); err != nil && ctx.Err() == nil {
			return fmt.Errorf("events: %w", err)
		}
	}
	return nil
}

// stream reads one stream to its end.
func (o *office) stream(ctx context.Context, p *person) error {
	resp, err := p.send(ctx, &request{route: "GET /v1/events", path: "/v1/events"})
	if err != nil {
		return err
	}
	defer resp.Body.Close()
	if resp.StatusCode != http.StatusOK {
		return &refusal{resp.StatusCode, resp.Status}
	}
	for lines := bufio.NewScanner(resp.Body); lines.Scan(); {
		if bytes.HasPrefix(lines.Bytes(), []byte("data: ")) {
			o.heard.Add(1)
		}
	}
	return nil // cut off for being slow, or core ended: it comes again
}
