package home

import (
	"context"
	"fmt"
	"net/netip"
	"slices"
	"time"

	"cordon"
	"cordon/agent/control"
	"cordon/agent/desired"
	"cordon/agent/pipeline"
	"cordon/agent/report"
)

// planEvery is how often what is desired is compared with what is in force: what
// could not be done is tried again, what was ended elsewhere is noticed.
const planEvery = 30 * time.Second

// doubtUnset is how far the times of a report may be off that was made before the
// clock was set: nobody knows how long the router was without power.
const doubtUnset = 365 * 24 * time.Hour

// Outbox takes reports; it never waits.
type Outbox interface {
	Report(r cordon.Report, urgent bool)
}

// Environment is the agent around a Household, as its Provider needs it.
type Environment interface {
	// Clock returns the wall time, and whether it is right.
	Clock() (cordon.Time, bool)
	// Spared returns the addresses and names that no order may block.
	Spared() ([]netip.Addr, []string)
	Health() *cordon.Health
	Status() control.Status
	// Do runs f on the pipeline's goroutine.
	Do(ctx context.Context, f func()) error
	// Asked says that what survives changed, because somebody wanted it.
	Asked()
	PolicyChanged()
	Check(doing string, err error)
}

// Provider ties a household to core: it has its happenings reported, does what is
// desired, and answers questions. What has no other owner named is owned by the
// pipeline's goroutine.
type Provider struct {
	*Household
	env      Environment
	out      Outbox
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

// Attach makes a household tell core, and cfg of its pipeline do what core wants.
func (h *Household) Attach(env Environment, out Outbox, cfg *pipeline.Config) error {
	v := &Provider{Household: h, env: env, out: out}
	reporter, err := report.New(report.Config{Home: front{v}, Send: v.send})
	if err != nil {
		return err
	}
	v.reporter = reporter
	h.Core = v
	cfg.Sink = both{h.Diary, reporter}
	cfg.Shadowed, cfg.Failed, cfg.Observe = v.shadowed, reporter.Failed, reporter.Domains.Observe
	return nil
}

// both tells two sinks.
type both struct {
	diary *Diary
	*report.Reporter
}

func (b both) Detection(d *cordon.Detection) { b.diary.Detection(d); b.Reporter.Detection(d) }

func (b both) Shadowed(d *cordon.Detection) { b.diary.Shadowed(d); b.Reporter.Shadowed(d) }

func (b both) Action(a *cordon.Action) { b.diary.Action(a); b.Reporter.Action(a) }

func (b both) Incident(i *cordon.Incident) { b.diary.Incident(i); b.Reporter.Incident(i) }

// send gives a report its time and hands it on.
func (v *Provider) send(r cordon.Report, urgent bool) {
	wall, trusted := v.env.Clock()
	r.At = wall
	if !trusted {
		r.Doubt = doubtUnset
	}
	v.out.Report(r, urgent)
}

// InForce returns what is done, asked for or shown.
func (v *Provider) InForce() []cordon.Action { return v.Pipeline.Enforcer.Active(v.Pipeline.Now) }

// front shows the home to the reporter.
type front struct{ *Provider }

// Devices returns those of the home.
func (f front) Devices() []*cordon.Device { return f.Pipeline.Devices.All() }

// Incidents returns the open ones.
func (f front) Incidents() []*cordon.Incident { return f.Pipeline.Incidents.Open() }

// Wall converts the pipeline's time.
func (f front) Wall(t cordon.Time) cordon.Time { return f.Pipeline.Wall(t) }

// WallDevice returns a copy with wall times.
func (f front) WallDevice(d *cordon.Device) *cordon.Device { return f.Pipeline.WallDevice(d) }

// WallIncident returns a copy with wall times.
func (f front) WallIncident(i *cordon.Incident) *cordon.Incident { return f.Pipeline.WallIncident(i) }

// Health says how the agent is.
func (f front) Health() *cordon.Health { return f.env.Health() }

// By says who ordered an action.
func (f front) By(id string) string { return f.Provider.By[id] }

// Enforced says what is done of what is desired, nil while nothing is.
func (v *Provider) Enforced() *cordon.Enforced {
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

// Tick does what its time has come for.
func (v *Provider) Tick(now cordon.Time) {
	if v.site.Version > 0 && (v.again || now.Sub(v.planned) >= planEvery) {
		v.apply()
	}
	v.reporter.Tick(now)
}

// replan looks at what is desired again, soon.
func (v *Provider) replan() { v.again = true }

// Desired takes what is desired of the site from now on; nil: as it is, since the
// directive is about what this agent does not know. It is called by the uplink.
func (v *Provider) Desired(ctx context.Context, d *cordon.Desired, unknown []string) error {
	return v.env.Do(ctx, func() {
		if v.unknown = unknown; d != nil {
			v.site = *d
		}
		if v.site.Version > 0 { // else nobody said yet that what is in force should end
			v.apply()
		}
		v.reporter.Changed()
		v.reporter.Tick(v.Pipeline.Now)
	})
}

// Shared takes what is told to all routers: the shadows, if it is about them, and what
// of it this agent does not know.
func (v *Provider) Shared(ctx context.Context, number uint64, shadows []cordon.Shadow, about bool, unknown []string) error {
	return v.env.Do(ctx, func() {
		v.shared, v.strange = number, unknown
		if about {
			v.shadows = shadows[:min(len(shadows), desired.MaxShadows)]
		}
		v.reporter.Changed()
		v.reporter.Tick(v.Pipeline.Now)
	})
}

// shadowed reports whether a shadow lies on a detection.
func (v *Provider) shadowed(d *cordon.Detection) bool {
	return len(v.shadows) > 0 && desired.Shadowed(v.shadows, d.Kind, d.Device.Model, v.version, v.Pipeline.Wall(v.Pipeline.Now))
}

// Restored says that an action of before a restart is in force again. Times are wall times.
func (v *Provider) Restored(a *cordon.Action, by string) { v.reporter.Restored(a, by) }

// apply makes a plan and carries it out.
func (v *Provider) apply() {
	v.planned, v.again, v.refused = v.Pipeline.Now, false, nil
	before := v.plan.Devices
	policy := v.SitePolicy()
	v.plan = desired.Make(&v.site, v.unknown, v.world())
	v.Held = v.plan.Held
	for _, e := range v.plan.End {
		v.end(e)
	}
	for i := range v.plan.Begin {
		v.begin(&v.plan.Begin[i])
	}
	for id, old := range before {
		if now, still := v.plan.Devices[id]; !still || now.Name != old.Name || !sameClass(now.Class, old.Class) {
			v.Pipeline.Devices.Tell(id)
		}
	}
	for id := range v.plan.Devices {
		if _, known := before[id]; !known {
			v.Pipeline.Devices.Tell(id)
		}
	}
	if policy != v.SitePolicy() || len(before)+len(v.plan.Devices) > 0 {
		v.env.PolicyChanged()
	}
	if len(v.plan.End)+len(v.plan.Begin) > 0 {
		v.env.Asked()
	}
	v.Pipeline.Changed()
}

func sameClass(a, b *cordon.Class) bool { return a == b || a != nil && b != nil && *a == *b }

// world is what a plan depends on.
func (v *Provider) world() desired.World {
	now, trusted := v.env.Clock()
	addrs, names := v.env.Spared()
	w := desired.World{Now: now, Trusted: trusted, Held: v.Held, Spared: addrs, Names: names, Device: v.Find,
		Pinned: func(id string) *cordon.DesiredDevice {
			if d, ok := v.pinned[id]; ok {
				return &d
			}
			return nil
		}}
	there := make(map[string]bool)
	for _, a := range v.InForce() {
		there[a.ID] = true
		w.InForce = append(w.InForce, desired.InForce{Action: v.Pipeline.WallAction(a), By: v.By[a.ID], Order: v.Orders[a.ID]})
	}
	for id := range v.Orders { // what has ended by itself
		if !there[id] {
			delete(v.Orders, id)
			delete(v.By, id)
		}
	}
	return w
}

// end ends an action.
func (v *Provider) end(e desired.End) {
	if err := v.Pipeline.Enforcer.Release(v.Pipeline.Context(), e.ID); err != nil {
		v.env.Check("end what core released", err)
		v.refused = append(v.refused, cordon.Refusal{What: e.ID, Why: err.Error()})
		return
	}
	v.Diary.log.Info("released", "id", e.ID, "by", e.By)
	delete(v.By, e.ID)
	delete(v.Orders, e.ID)
}

// begin puts an order in force.
func (v *Provider) begin(b *desired.Begin) {
	told := b.Action
	if why := v.guard(b); why != "" {
		v.refused = append(v.refused, cordon.Refusal{What: b.ID, Why: why})
		v.reporter.Refused(&told, b.By, why)
		return
	}
	a := b.Action
	a.At, a.Expires = v.Pipeline.Now, v.Pipeline.Now.Add(told.Expires.Sub(told.At))
	device := v.Find(a.Entity.Device)
	if device == nil {
		device = Stub(a.Entity.Device)
	}
	v.By[a.ID], v.Orders[a.ID] = b.By, true
	if _, err := v.Pipeline.Enforcer.Apply(v.Pipeline.Context(), device, &a); err != nil {
		v.env.Check("put an order in force", err)
		v.refused = append(v.refused, cordon.Refusal{What: b.ID, Why: err.Error()})
		v.reporter.Failed(&told, err)
		delete(v.By, a.ID)
		delete(v.Orders, a.ID)
		return
	}
	if a.Verb == cordon.VerbQuarantine {
		v.quarantined = append(v.quarantined, v.Pipeline.Now)
	}
	v.Ordered(&a)
}

// guard refuses more quarantines in an hour than anybody needs.
func (v *Provider) guard(b *desired.Begin) string {
	if b.Verb != cordon.VerbQuarantine || slices.ContainsFunc(v.plan.End, func(e desired.End) bool { return e.ID == b.ID }) {
		return ""
	}
	v.quarantined = slices.DeleteFunc(v.quarantined, func(at cordon.Time) bool { return v.Pipeline.Now.Sub(at) >= time.Hour })
	if len(v.quarantined) >= desired.QuarantinesAnHour {
		return fmt.Sprintf("%d devices were cut off by order within the last hour already", len(v.quarantined))
	}
	return ""
}

// Ordered tells of an action that somebody ordered, here or at core.
func (h *Household) Ordered(a *cordon.Action) {
	told := h.Pipeline.WallAction(*a)
	h.Diary.Action(&told)
	if h.Core != nil {
		h.Core.reporter.Action(&told)
	}
}

// allowedFor returns the views of what core says that a device may reach.
func (v *Provider) allowedFor(device string) (views []control.Allowed) {
	now, _ := v.env.Clock()
	for _, p := range v.plan.Allowed {
		if p.Expires > now && (p.Device == "" || p.Device == device) {
			views = append(views, control.Allowed{ID: p.ID, Device: p.Device, To: control.FormatTarget(p.Target), Reason: p.Reason,
				By: p.By, At: p.At, Expires: p.Expires})
		}
	}
	return views
}
