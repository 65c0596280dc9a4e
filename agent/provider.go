package agent

import (
	"context"
	"fmt"
	"net/netip"
	"slices"
	"time"

	"cordon"
	"cordon/agent/control"
	"cordon/agent/desired"
	"cordon/agent/report"
)

// planEvery is how often what is desired is compared with what is in force: what
// could not be done is tried again, what was ended elsewhere is noticed.
const planEvery = 30 * time.Second

// doubtUnset is how far the times of a report may be off that was made before the
// clock was set: nobody knows how long the router was without power.
const doubtUnset = 365 * 24 * time.Hour

// outbox takes reports; it never waits.
type outbox interface {
	Report(r cordon.Report, urgent bool)
}

// environment is the agent around a household, as its provider needs it.
type environment interface {
	// clock returns the wall time, and whether it is right.
	clock() (cordon.Time, bool)
	// spared returns the addresses and names that no order may block.
	spared() ([]netip.Addr, []string)
	health() *cordon.Health
	status() control.Status
	// do runs f on the pipeline's goroutine.
	do(ctx context.Context, f func()) error
	// asked says that what survives changed, because somebody wanted it.
	asked()
	policyChanged()
	check(doing string, err error)
}

// provider ties a household to core: it has its happenings reported, does what is
// desired, and answers questions. What has no other owner named is owned by the
// pipeline's goroutine.
type provider struct {
	*household
	env      environment
	out      outbox
	reporter *report.Reporter

	site    cordon.Desired // version 0: nothing is desired yet
	unknown []string       // parts of it that this agent does not know
	plan    desired.Plan   // of site
	shadows []cordon.Shadow
	shared  uint64   // number of the last directive to all
	strange []string // of what was told to all, what this agent does not know
	refused []cordon.Refusal

	planned     cordon.Time   // by the pipeline's time
	again       bool          // plan at the next tick
	quarantined []cordon.Time // when orders cut devices off
}

// attach makes a household tell core, and cfg of its pipeline do what core wants.
func (h *household) attach(env environment, out outbox, cfg *Config) error {
	v := &provider{household: h, env: env, out: out}
	reporter, err := report.New(report.Config{Home: v, Send: v.send})
	if err != nil {
		return err
	}
	v.reporter = reporter
	h.core = v
	cfg.Sink = both{h.diary, reporter}
	cfg.Shadowed, cfg.Failed, cfg.Observe = v.shadowed, reporter.Failed, reporter.Domains.Observe
	return nil
}

// both tells two sinks.
type both struct {
	diary *diary
	*report.Reporter
}

func (b both) Detection(d *cordon.Detection) { b.diary.Detection(d); b.Reporter.Detection(d) }

func (b both) Shadowed(d *cordon.Detection) { b.diary.Shadowed(d); b.Reporter.Shadowed(d) }

func (b both) Action(a *cordon.Action) { b.diary.Action(a); b.Reporter.Action(a) }

func (b both) Incident(i *cordon.Incident) { b.diary.Incident(i); b.Reporter.Incident(i) }

// send gives a report its time and hands it on.
func (v *provider) send(r cordon.Report, urgent bool) {
	wall, trusted := v.env.clock()
	r.At = wall
	if !trusted {
		r.Doubt = doubtUnset
	}
	v.out.Report(r, urgent)
}

// Devices, Incidents, InForce, Wall, WallDevice and WallIncident show the home to the
// reporter.
func (v *provider) Devices() []*cordon.Device { return v.p.Devices.All() }

// Incidents returns the open ones.
func (v *provider) Incidents() []*cordon.Incident { return v.p.Incidents.Open() }

// InForce returns what is done, asked for or shown.
func (v *provider) InForce() []cordon.Action { return v.p.Enforcer.Active(v.p.Now) }

// Wall converts the pipeline's time.
func (v *provider) Wall(t cordon.Time) cordon.Time { return v.p.Wall(t) }

// WallDevice returns a copy with wall times.
func (v *provider) WallDevice(d *cordon.Device) *cordon.Device { return v.p.WallDevice(d) }

// WallIncident returns a copy with wall times.
func (v *provider) WallIncident(i *cordon.Incident) *cordon.Incident { return v.p.WallIncident(i) }

// Health says how the agent is.
func (v *provider) Health() *cordon.Health { return v.env.health() }

// By says who ordered an action.
func (v *provider) By(id string) string { return v.by[id] }

// Enforced says what is done of what is desired, nil while nothing is.
func (v *provider) Enforced() *cordon.Enforced {
	if v.site.Version == 0 && v.shared == 0 && len(v.unknown) == 0 {
		return nil
	}
	refused := slices.Concat(v.plan.Refused, v.refused)
	strange := v.strange
	if v.site.Version == 0 { // else the plan names what is unknown
		strange = slices.Concat(v.unknown, v.strange)
	}
	for _, what := range strange {
		refused = append(refused, cordon.Refusal{What: what, Why: "this agent is too old to know it"})
	}
	return &cordon.Enforced{Version: v.site.Version, Shared: v.shared, Refused: refused}
}

// tick does what its time has come for.
func (v *provider) tick(now cordon.Time) {
	if v.site.Version > 0 && (v.again || now.Sub(v.planned) >= planEvery) {
		v.apply()
	}
	v.reporter.Tick(now)
}

// replan looks at what is desired again, soon.
func (v *provider) replan() { v.again = true }

// Desired takes what is desired of the site from now on; nil: as it is, since the
// directive is about what this agent does not know. It is called by the uplink.
func (v *provider) Desired(ctx context.Context, d *cordon.Desired, unknown []string) error {
	return v.env.do(ctx, func() {
		if v.unknown = unknown; d != nil {
			v.site = *d
		}
		if v.site.Version > 0 { // else nobody said yet that what is in force should end
			v.apply()
		}
		v.reporter.Changed()
		v.reporter.Tick(v.p.Now)
	})
}

// Shared takes what is told to all routers: the shadows, if it is about them, and what
// of it this agent does not know.
func (v *provider) Shared(ctx context.Context, number uint64, shadows []cordon.Shadow, about bool, unknown []string) error {
	return v.env.do(ctx, func() {
		v.shared, v.strange = number, unknown
		if about {
			v.shadows = shadows[:min(len(shadows), desired.MaxShadows)]
		}
		v.reporter.Changed()
		v.reporter.Tick(v.p.Now)
	})
}

// shadowed reports whether a shadow lies on a detection.
func (v *provider) shadowed(d *cordon.Detection) bool {
	return len(v.shadows) > 0 && desired.Shadowed(v.shadows, d.Kind, d.Device.Model, version(), v.p.Wall(v.p.Now))
}

// apply makes a plan and carries it out.
func (v *provider) apply() {
	v.planned, v.again, v.refused = v.p.Now, false, nil
	before := v.plan.Devices
	policy := v.sitePolicy()
	v.plan = desired.Make(&v.site, v.unknown, v.world())
	v.held = v.plan.Held
	for _, e := range v.plan.End {
		v.end(e)
	}
	for i := range v.plan.Begin {
		v.begin(&v.plan.Begin[i])
	}
	for id, old := range before {
		if now, still := v.plan.Devices[id]; !still || now.Name != old.Name || !sameClass(now.Class, old.Class) {
			v.p.Devices.Tell(id)
		}
	}
	for id := range v.plan.Devices {
		if _, known := before[id]; !known {
			v.p.Devices.Tell(id)
		}
	}
	if policy != v.sitePolicy() || len(before)+len(v.plan.Devices) > 0 {
		v.env.policyChanged()
	}
	if len(v.plan.End)+len(v.plan.Begin) > 0 {
		v.env.asked()
	}
	v.p.Changed()
}

func sameClass(a, b *cordon.Class) bool { return a == b || a != nil && b != nil && *a == *b }

// world is what a plan depends on.
func (v *provider) world() desired.World {
	now, trusted := v.env.clock()
	addrs, names := v.env.spared()
	w := desired.World{Now: now, Trusted: trusted, Held: v.held, Spared: addrs, Names: names, Device: v.find,
		Pinned: func(id string) *cordon.DesiredDevice {
			if d, ok := v.pinned[id]; ok {
				return &d
			}
			return nil
		}}
	there := make(map[string]bool)
	for _, a := range v.InForce() {
		there[a.ID] = true
		w.InForce = append(w.InForce, desired.InForce{Action: v.p.WallAction(a), By: v.by[a.ID], Order: v.orders[a.ID]})
	}
	for id := range v.orders { // what has ended by itself
		if !there[id] {
			delete(v.orders, id)
			delete(v.by, id)
		}
	}
	return w
}

// end ends an action.
func (v *provider) end(e desired.End) {
	if err := v.p.Enforcer.Release(v.p.Context(), e.ID); err != nil {
		v.env.check("end what core released", err)
		v.refused = append(v.refused, cordon.Refusal{What: e.ID, Why: err.Error()})
		return
	}
	v.diary.log.Info("released", "id", e.ID, "by", e.By)
	delete(v.by, e.ID)
	delete(v.orders, e.ID)
}

// begin puts an order in force.
func (v *provider) begin(b *desired.Begin) {
	told := b.Action
	if why := v.guard(b); why != "" {
		v.refused = append(v.refused, cordon.Refusal{What: b.ID, Why: why})
		v.reporter.Refused(&told, b.By, why)
		return
	}
	a := b.Action
	a.At, a.Expires = v.p.Now, v.p.Now.Add(told.Expires.Sub(told.At))
	device := v.find(a.Entity.Device)
	if device == nil {
		device = stub(a.Entity.Device)
	}
	v.by[a.ID], v.orders[a.ID] = b.By, true
	if _, err := v.p.Enforcer.Apply(v.p.Context(), device, &a); err != nil {
		v.env.check("put an order in force", err)
		v.refused = append(v.refused, cordon.Refusal{What: b.ID, Why: err.Error()})
		v.reporter.Failed(&told, err)
		delete(v.by, a.ID)
		delete(v.orders, a.ID)
		return
	}
	if a.Verb == cordon.VerbQuarantine {
		v.quarantined = append(v.quarantined, v.p.Now)
	}
	v.ordered(&a)
}

// guard refuses more quarantines in an hour than anybody needs.
func (v *provider) guard(b *desired.Begin) string {
	if b.Verb != cordon.VerbQuarantine || slices.ContainsFunc(v.plan.End, func(e desired.End) bool { return e.ID == b.ID }) {
		return ""
	}
	v.quarantined = slices.DeleteFunc(v.quarantined, func(at cordon.Time) bool { return v.p.Now.Sub(at) >= time.Hour })
	if len(v.quarantined) >= desired.QuarantinesAnHour {
		return fmt.Sprintf("%d devices were cut off by order within the last hour already", len(v.quarantined))
	}
	return ""
}

// ordered tells of an action that somebody ordered, here or at core.
func (h *household) ordered(a *cordon.Action) {
	told := h.p.WallAction(*a)
	h.diary.Action(&told)
	if h.core != nil {
		h.core.reporter.Action(&told)
	}
}

// allowedFor returns the views of what core says that a device may reach.
func (v *provider) allowedFor(device string) (views []control.Allowed) {
	now, _ := v.env.clock()
	for _, p := range v.plan.Allowed {
		if p.Expires > now && (p.Device == "" || p.Device == device) {
			views = append(views, control.Allowed{ID: p.ID, Device: p.Device, To: control.FormatTarget(p.Target), Reason: p.Reason,
				By: p.By, At: p.At, Expires: p.Expires})
		}
	}
	return views
}
