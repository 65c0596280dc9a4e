// Package home has the routes of a home: how it is, its devices and incidents, what its
// router should do, and the stream of what changes. Package api hangs them into its
// table.
package home

import (
	"context"
	"encoding/json"
	"errors"
	"fmt"
	"net/netip"
	"slices"
	"time"

	"cordon"
	"cordon/core/api/desk"
	"cordon/core/api/problem"
	"cordon/core/api/view"
)

// overview is how a home is.
type overview struct {
	Site      string          `json:"site"`
	Name      string          `json:"name"`
	State     string          `json:"state" enum:"well,needs-you,cannot-see" doc:"All is well; a device needs you; the home cannot be seen."`
	Sentence  string          `json:"sentence" doc:"The same in words."`
	Policy    string          `json:"policy" doc:"That counts for the site."`
	Router    overviewRouter  `json:"router"`
	Devices   overviewDevices `json:"devices"`
	Incidents []view.Incident `json:"incidents" nullable:"false" doc:"Open ones of which the customer should know, the newest first; at most 20."`
}

type overviewRouter struct {
	ID     string      `json:"id,omitempty"`
	State  string      `json:"state" doc:"none, expected, enrolled, reset or revoked."`
	Online bool        `json:"online"`
	Seen   time.Time   `json:"seen,omitzero"`
	Lacks  []view.Lack `json:"lacks" nullable:"false" doc:"What keeps it from seeing or isolating."`
}

type overviewDevices struct {
	Known       int  `json:"known"`
	More        bool `json:"more,omitempty" doc:"There are more than were counted."`
	Watched     int  `json:"watched" doc:"Nothing is cut."`
	Limited     int  `json:"limited"`
	Blocked     int  `json:"blocked"`
	Quarantined int  `json:"quarantined"`
}

// maxOpen is how many open incidents an overview shows.
const maxOpen = 20

// Overview is GET /v1/sites/{site}/overview.
func Overview(ctx context.Context, d *desk.Desk, _ *desk.SitePath) (*desk.Record[overview], error) {
	c := desk.CallOf(ctx)
	own := cordon.Scope{Sites: []string{c.Site.ID}}
	r, err := d.Store.RouterOfSite(ctx, c.Site.ID)
	if err != nil && !errors.Is(err, cordon.ErrNotFound) {
		return nil, err
	}
	devices, err := d.Store.Devices(ctx, own, cordon.Query{Site: c.Site.ID, Limit: cordon.MaxLimit})
	if err != nil {
		return nil, err
	}
	incidents, err := d.Store.Incidents(ctx, own, cordon.Query{Site: c.Site.ID, State: "open", Level: cordon.Notify, Limit: maxOpen})
	if err != nil {
		return nil, err
	}
	desired, err := d.Store.Desired(ctx, c.Site.ID)
	if err != nil {
		return nil, err
	}
	if c.Veiled {
		d.Auth.Veil().Site(&c.Site)
		for i := range incidents.Items {
			d.Auth.Veil().Incident(&incidents.Items[i])
		}
	}
	shown := view.OfRouter(&r)
	o := overview{Site: c.Site.ID, Name: c.Site.Name, Policy: string(desired.Policy), Devices: count(devices),
		Router:    overviewRouter{ID: r.ID, State: shown.State, Online: r.Online, Seen: shown.Seen, Lacks: shown.Health.Lacks},
		Incidents: view.Each(incidents.Items, view.OfIncident)}
	if r.ID == "" {
		o.Router.State = "none"
	}
	o.State, o.Sentence = state(&o, &r, desired.Policy)
	return desk.Of(o, 0), nil
}

// count counts devices by what is in force against them.
func count(p cordon.Page[cordon.DeviceRecord]) (n overviewDevices) {
	n.Known, n.More = len(p.Items), p.Next != ""
	for i := range p.Items {
		switch p.Items[i].State {
		case "watched":
			n.Watched++
		case "limited":
			n.Limited++
		case "blocked":
			n.Blocked++
		case "quarantined":
			n.Quarantined++
		}
	}
	return n
}

// state is the one state of a home. What needs the customer comes first, also when the
// router is away: it does not get better by itself.
func state(o *overview, r *cordon.Router, policy cordon.Policy) (state, sentence string) {
	eyes := slices.IndexFunc(r.Health.Parts, func(p cordon.Part) bool { return p.Name == "eyes" && p.State == "failed" })
	switch n := len(o.Incidents); {
	case n == 1:
		return "needs-you", "One device needs you: " + o.Incidents[0].Device.Label + "."
	case n > 1:
		return "needs-you", fmt.Sprintf("%d devices or more need you.", n)
	case o.Devices.Quarantined > 0:
		return "needs-you", "A device is cut off until somebody releases it."
	case r.ID == "":
		return "cannot-see", "No router belongs to this site."
	case r.State == cordon.RouterRevoked:
		return "cannot-see", "The provider no longer accepts this router."
	case r.State != cordon.RouterEnrolled:
		return "cannot-see", "The router has not reported yet."
	case !r.Online:
		return "cannot-see", "The router is not connected. It protects the home by itself, but nobody sees it from here."
	case policy == cordon.PolicyOff:
		return "cannot-see", "Nothing is inspected here: the policy is off."
	case eyes >= 0:
		return "cannot-see", "The router does not see what passes: " + r.Health.Parts[eyes].Why
	}
	return "well", "All is well."
}

// GetDesired is GET /v1/sites/{site}/desired.
func GetDesired(ctx context.Context, d *desk.Desk, _ *desk.SitePath) (*desk.Record[view.Desired], error) {
	c := desk.CallOf(ctx)
	want, err := d.Store.Desired(ctx, c.Site.ID)
	if err != nil {
		return nil, err
	}
	v := view.OfDesired(&want)
	r, err := d.Store.RouterOfSite(ctx, c.Site.ID)
	if err != nil && !errors.Is(err, cordon.ErrNotFound) {
		return nil, err
	}
	e, at, err := d.Store.Enforced(ctx, c.Site.ID)
	if err != nil && !errors.Is(err, cordon.ErrNotFound) {
		return nil, err
	}
	v.Enforced = compare(&want, &r, &e, at)
	return desk.Of(v, int64(want.Version)), nil
}

// compare says what a router does of what it should.
func compare(d *cordon.Desired, r *cordon.Router, e *cordon.Enforced, at cordon.Time) view.Enforced {
	v := view.Enforced{Known: at != 0, Online: r.Online, Version: e.Version, Policy: string(r.Health.Policy), InForce: view.OfInForce(e.InForce),
		Differs: view.Each(e.Refused, func(f *cordon.Refusal) view.Differs { return view.Differs{What: f.What, Why: f.Why} })}
	if at != 0 {
		v.At = at.Std()
	}
	v.Current = v.Known && e.Version >= d.Version || d.Version == 0
	switch {
	case v.Current:
	case !r.Online:
		v.Differs = append(v.Differs, view.Differs{What: "version", Why: "The router is away; it gets the newest when it is back."})
	default:
		v.Differs = append(v.Differs, view.Differs{What: "version", Why: "The router has not taken the newest yet."})
	}
	if !v.Current || !v.Known {
		return v
	}
	for i := range d.Orders {
		o := &d.Orders[i]
		in := slices.ContainsFunc(e.InForce, func(a cordon.Action) bool { return a.ID == o.ID })
		said := slices.ContainsFunc(v.Differs, func(f view.Differs) bool { return f.What == o.ID })
		if !in && !said && o.Expires > at {
			v.Differs = append(v.Differs, view.Differs{What: o.ID, Why: "It is not in force; the router did not say why."})
		}
	}
	return v
}

// destination is a place that a device talked to, as its router remembers it.
type destination struct {
	Name      string     `json:"name,omitempty" doc:"By which the device had asked for it; hostile text."`
	Address   netip.Addr `json:"address"`
	Port      uint16     `json:"port,omitempty"`
	Protocol  uint8      `json:"protocol" doc:"IANA protocol number."`
	Direction string     `json:"direction"`
	Flows     int        `json:"flows"`
	Answered  bool       `json:"answered"`
	BytesOut  uint64     `json:"bytes_out"`
	BytesIn   uint64     `json:"bytes_in"`
	First     time.Time  `json:"first"`
	Last      time.Time  `json:"last"`
}

// sent is a line of a router's ledger of what left the home.
type sent struct {
	Sent   time.Time `json:"sent"`
	Report string    `json:"report" doc:"boot/sequence"`
	Sort   string    `json:"sort"`
	Device string    `json:"device,omitempty"`
	Text   string    `json:"text"`
	Bytes  int       `json:"bytes"`
}

// maxAnswer bounds what a router may answer, in bytes: 256 destinations are 60 KB.
const maxAnswer = 512 << 10

// ask puts a question to the router of a site. The answer passes through: what is in it
// is kept nowhere. A router is not trusted: what does not fit is no answer.
func ask[T any](ctx context.Context, d *desk.Desk, site, what, device string) (*desk.List[T], error) {
	r, err := d.Store.RouterOfSite(ctx, site)
	if errors.Is(err, cordon.ErrNotFound) {
		return nil, problem.New(problem.Away, "no router belongs to this site")
	}
	if err != nil {
		return nil, err
	}
	if r.State != cordon.RouterEnrolled {
		return nil, problem.New(problem.Away, "the router has not enrolled")
	}
	answer, err := d.Line.Ask(ctx, r.ID, what, device)
	switch {
	case errors.Is(err, desk.ErrRefused):
		return nil, problem.Wrap(problem.Router, err.Error(), err)
	case errors.Is(err, context.DeadlineExceeded):
		return nil, problem.Wrap(problem.Away, "", err)
	case err != nil:
		return nil, err
	}
	out := &desk.List[T]{}
	if len(answer) > maxAnswer {
		return nil, problem.New(problem.Router, fmt.Sprintf("its answer has %d bytes", len(answer)))
	}
	if err := json.Unmarshal(answer, &out.Body.Items); err != nil {
		return nil, problem.Wrap(problem.Router, "its answer cannot be read", err)
	}
	if out.Body.Items == nil {
		out.Body.Items = []T{}
	}
	return out, nil
}

// AskLedger is GET /v1/sites/{site}/ledger.
func AskLedger(ctx context.Context, d *desk.Desk, _ *desk.SitePath) (*desk.List[sent], error) {
	return ask[sent](ctx, d, desk.CallOf(ctx).Site.ID, "ledger", "")
}

// AskDestinations is GET /v1/sites/{site}/devices/{device}/destinations.
func AskDestinations(ctx context.Context, d *desk.Desk, _ *desk.DevicePath) (*desk.List[destination], error) {
	c := desk.CallOf(ctx)
	return ask[destination](ctx, d, c.Site.ID, "destinations", c.Device.Device.ID)
}
