package column

import (
	"cordon"
	"cordon/internal/text"
)

// What people and core ordered, and what routers say of it.

type actionDoc struct {
	ID       string    `json:"id,omitempty"`
	Verb     string    `json:"verb,omitempty"`
	Mode     string    `json:"mode,omitempty"`
	Device   string    `json:"device,omitempty"`
	Target   targetDoc `json:"target,omitzero"`
	Incident string    `json:"incident,omitempty"`
	Reason   string    `json:"reason,omitempty"`
	Purpose  string    `json:"purpose,omitempty"`
	At       int64     `json:"at,omitempty"`
	Expires  int64     `json:"expires,omitempty"`
	Rate     rateDoc   `json:"rate,omitzero"`
}

func actionTo(a *cordon.Action) actionDoc {
	return actionDoc{text.Clean(a.ID, name), text.Clean(string(a.Verb), name), text.Clean(string(a.Mode), name), text.Clean(a.Entity.Device, name),
		targetTo(&a.Entity.Target), text.Clean(a.Incident, name), text.Clean(a.Reason, line), text.Clean(a.Purpose, name), Micros(a.At),
		Micros(a.Expires), rateDoc(a.Rate)}
}

func actionFrom(d *actionDoc) cordon.Action {
	return cordon.Action{ID: d.ID, Verb: cordon.Verb(d.Verb), Mode: cordon.Mode(d.Mode),
		Entity: cordon.Entity{Device: d.Device, Target: targetFrom(d.Target)}, Incident: d.Incident, Reason: d.Reason,
		Purpose: d.Purpose, At: OfMicros(d.At), Expires: OfMicros(d.Expires), Rate: cordon.Rate(d.Rate)}
}

// Action is an action, whole.
func Action(p *cordon.Action) Column {
	return document[cordon.Action, actionDoc]{p, actionTo, func(d actionDoc) cordon.Action { return actionFrom(&d) }}
}

type refusalDoc struct {
	What string `json:"what"`
	Why  string `json:"why"`
}

type enforcedDoc struct {
	Shared  uint64       `json:"shared,omitempty"`
	InForce []actionDoc  `json:"in_force,omitempty"`
	Refused []refusalDoc `json:"refused,omitempty"`
}

// Enforced is what a router says that is in force, but for the version, which has a
// column.
func Enforced(p *cordon.Enforced) Column {
	return document[cordon.Enforced, enforcedDoc]{p, func(e *cordon.Enforced) enforcedDoc {
		return enforcedDoc{e.Shared, each(e.InForce, inForce, actionTo), each(e.Refused, inForce, func(r *cordon.Refusal) refusalDoc {
			return refusalDoc{text.Clean(r.What, name), text.Clean(r.Why, line)}
		})}
	}, func(d enforcedDoc) cordon.Enforced {
		return cordon.Enforced{Version: p.Version, Shared: d.Shared, InForce: each(d.InForce, inForce, actionFrom),
			Refused: each(d.Refused, inForce, func(r *refusalDoc) cordon.Refusal { return cordon.Refusal(*r) })}
	}}
}

type saidDoc struct {
	Device string  `json:"device,omitempty"`
	Name   string  `json:"name,omitempty"`
	Class  *string `json:"class,omitempty"`
	Policy string  `json:"policy,omitempty"`
}

func saidTo(s *cordon.DesiredDevice) saidDoc {
	d := saidDoc{Device: text.Clean(s.Device, name), Name: text.Clean(s.Name, name), Policy: text.Clean(string(s.Policy), name)}
	if s.Class != nil {
		c := s.Class.String()
		d.Class = &c
	}
	return d
}

func saidFrom(d *saidDoc) cordon.DesiredDevice {
	s := cordon.DesiredDevice{Device: d.Device, Name: d.Name, Policy: cordon.Policy(d.Policy)}
	if d.Class != nil {
		c := classOf(*d.Class)
		s.Class = &c
	}
	return s
}

// Said is what people said about a device.
func Said(p *cordon.DesiredDevice) Column {
	return document[cordon.DesiredDevice, saidDoc]{p, saidTo, func(d saidDoc) cordon.DesiredDevice { return saidFrom(&d) }}
}

type orderDoc struct {
	ID      string    `json:"id"`
	Verb    string    `json:"verb"`
	Device  string    `json:"device"`
	Target  targetDoc `json:"target,omitzero"`
	Rate    rateDoc   `json:"rate,omitzero"`
	Reason  string    `json:"reason,omitempty"`
	By      string    `json:"by,omitempty"`
	At      int64     `json:"at"`
	Expires int64     `json:"expires"`
}

type permissionDoc struct {
	ID      string    `json:"id"`
	Device  string    `json:"device,omitempty"`
	Target  targetDoc `json:"target,omitzero"`
	Reason  string    `json:"reason,omitempty"`
	By      string    `json:"by,omitempty"`
	At      int64     `json:"at"`
	Expires int64     `json:"expires"`
}

type releaseDoc struct {
	Action  string `json:"action,omitempty"`
	Device  string `json:"device,omitempty"`
	By      string `json:"by,omitempty"`
	At      int64  `json:"at"`
	Expires int64  `json:"expires"`
}

type desiredDoc struct {
	Devices  []saidDoc       `json:"devices,omitempty"`
	Orders   []orderDoc      `json:"orders,omitempty"`
	Allowed  []permissionDoc `json:"allowed,omitempty"`
	Released []releaseDoc    `json:"released,omitempty"`
}

func desiredTo(d *cordon.Desired) desiredDoc {
	return desiredDoc{
		Devices: each(d.Devices, many, saidTo),
		Orders: each(d.Orders, many, func(o *cordon.Order) orderDoc {
			return orderDoc{text.Clean(o.ID, name), text.Clean(string(o.Verb), name), text.Clean(o.Entity.Device, name), targetTo(&o.Entity.Target),
				rateDoc(o.Rate), text.Clean(o.Reason, line), text.Clean(o.By, name), Micros(o.At), Micros(o.Expires)}
		}),
		Allowed: each(d.Allowed, many, func(p *cordon.Permission) permissionDoc {
			return permissionDoc{text.Clean(p.ID, name), text.Clean(p.Device, name), targetTo(&p.Target), text.Clean(p.Reason, line),
				text.Clean(p.By, name), Micros(p.At), Micros(p.Expires)}
		}),
		Released: each(d.Released, many, func(r *cordon.Release) releaseDoc {
			return releaseDoc{text.Clean(r.Action, name), text.Clean(r.Device, name), text.Clean(r.By, name), Micros(r.At), Micros(r.Expires)}
		}),
	}
}

func desiredFrom(d desiredDoc) cordon.Desired {
	return cordon.Desired{
		Devices: each(d.Devices, many, saidFrom),
		Orders: each(d.Orders, many, func(o *orderDoc) cordon.Order {
			return cordon.Order{ID: o.ID, Verb: cordon.Verb(o.Verb), Entity: cordon.Entity{Device: o.Device, Target: targetFrom(o.Target)},
				Rate: cordon.Rate(o.Rate), Reason: o.Reason, By: o.By, At: OfMicros(o.At), Expires: OfMicros(o.Expires)}
		}),
		Allowed: each(d.Allowed, many, func(p *permissionDoc) cordon.Permission {
			return cordon.Permission{ID: p.ID, Device: p.Device, Target: targetFrom(p.Target), Reason: p.Reason, By: p.By,
				At: OfMicros(p.At), Expires: OfMicros(p.Expires)}
		}),
		Released: each(d.Released, many, func(r *releaseDoc) cordon.Release {
			return cordon.Release{Action: r.Action, Device: r.Device, By: r.By, At: OfMicros(r.At), Expires: OfMicros(r.Expires)}
		}),
	}
}

// Desired is what people and core decided for a site, but for site, version, time and
// policy, which have columns.
func Desired(p *cordon.Desired) Column {
	return document[cordon.Desired, desiredDoc]{p, desiredTo, func(d desiredDoc) cordon.Desired {
		is := desiredFrom(d)
		is.Site, is.Version, is.At, is.Policy = p.Site, p.Version, p.At, p.Policy
		return is
	}}
}

type partDoc struct {
	Name  string `json:"name"`
	State string `json:"state"`
	Why   string `json:"why,omitempty"`
}

type lackDoc struct {
	Name string `json:"name"`
	Text string `json:"text,omitempty"`
	Mend string `json:"mend,omitempty"`
}

type healthDoc struct {
	At       int64             `json:"at,omitempty"`
	Mode     string            `json:"mode,omitempty"`
	Why      string            `json:"why,omitempty"`
	Policy   string            `json:"policy,omitempty"`
	Eyes     string            `json:"eyes,omitempty"`
	Boot     uint32            `json:"boot,omitempty"`
	Uptime   int64             `json:"uptime,omitempty"`
	Resident int64             `json:"resident,omitempty"`
	Devices  uint32            `json:"devices,omitempty"`
	InForce  uint32            `json:"in_force,omitempty"`
	Clock    bool              `json:"clock,omitempty"`
	Lacks    []lackDoc         `json:"lacks,omitempty"`
	Parts    []partDoc         `json:"parts,omitempty"`
	Counters map[string]uint64 `json:"counters,omitempty"`
	Lost     uint64            `json:"lost,omitempty"`
}

// Health is how a router's agent is.
func Health(p *cordon.Health) Column {
	return document[cordon.Health, healthDoc]{p, func(h *cordon.Health) healthDoc {
		counters := h.Counters
		if len(counters) > moments {
			counters = nil
		}
		return healthDoc{Micros(h.At), text.Clean(h.Mode, name), text.Clean(h.Why, line), text.Clean(string(h.Policy), name), text.Clean(h.Eyes, name),
			h.Boot, h.Uptime, h.Resident, h.Devices, h.InForce, h.Clock,
			each(h.Lacks, few, func(l *cordon.Shortcoming) lackDoc {
				return lackDoc{text.Clean(l.Name, name), text.Clean(l.Text, line), text.Clean(l.Mend, line)}
			}),
			each(h.Parts, few, func(p *cordon.Part) partDoc {
				return partDoc{text.Clean(p.Name, name), text.Clean(p.State, name), text.Clean(p.Why, line)}
			}),
			counters, h.Lost}
	}, func(d healthDoc) cordon.Health {
		return cordon.Health{At: OfMicros(d.At), Mode: d.Mode, Why: d.Why, Policy: cordon.Policy(d.Policy), Eyes: d.Eyes, Boot: d.Boot,
			Uptime: d.Uptime, Resident: d.Resident, Devices: d.Devices, InForce: d.InForce, Clock: d.Clock,
			Lacks: each(d.Lacks, few, func(l *lackDoc) cordon.Shortcoming { return cordon.Shortcoming(*l) }), Counters: d.Counters, Lost: d.Lost,
			Parts: each(d.Parts, few, func(p *partDoc) cordon.Part { return cordon.Part(*p) })}
	}}
}
