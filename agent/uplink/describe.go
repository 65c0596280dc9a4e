package uplink

import (
	"fmt"
	"time"

	"cordon"
)

// line describes a report for the ledger.
func (l *Uplink) line(r *cordon.Report, size int) Line {
	now, _ := l.now()
	v := Line{Sent: cordon.TimeOf(now), Report: fmt.Sprintf("%d/%d", r.ID.Boot, r.ID.Seq), Bytes: size}
	switch {
	case r.Device != nil:
		d := r.Device
		v.Sort, v.Device = "device", d.ID
		v.Text = fmt.Sprintf("%s, %s, %d addresses", d.Label(), d.Class, len(d.Addrs))
	case r.Detection != nil:
		d := r.Detection
		v.Sort, v.Text = "detection", fmt.Sprintf("%s at %s: %s", d.Kind, d.Level, d.Subject)
		if d.Device != nil {
			v.Device = d.Device.ID
		}
		if r.Shadowed {
			v.Text += " (under a shadow)"
		}
	case r.Incident != nil:
		i := r.Incident
		v.Sort, v.Text = "incident", fmt.Sprintf("%s at %s, %d moments", i.ID, i.Level, len(i.Timeline))
		if i.Device != nil {
			v.Device = i.Device.ID
		}
		if r.Over {
			v.Text += ", over"
		}
	case r.Action != nil:
		a := r.Action
		v.Sort, v.Device = "action", a.Action.Entity.Device
		v.Text = fmt.Sprintf("%s (%s) %s", a.Action.Verb, a.Action.Mode, a.Result)
	case r.Enforced != nil:
		e := r.Enforced
		v.Sort, v.Text = "enforced", fmt.Sprintf("version %d, %d actions in force, %d refused", e.Version, len(e.InForce), len(e.Refused))
	case r.Health != nil:
		h := r.Health
		v.Sort, v.Text = "health", fmt.Sprintf("mode %s, %d devices, %d actions in force", h.Mode, h.Devices, h.InForce)
	case r.Summary != nil:
		s := r.Summary
		v.Sort, v.Device = "summary", s.Device
		v.Text = fmt.Sprintf("%s: %d domains, such as %s", s.Day.Std().Format(time.DateOnly), len(s.Domains), first(s.Domains))
	}
	return v
}

func first(list []cordon.DomainCount) string {
	if len(list) == 0 {
		return "none"
	}
	return list[0].Domain
}

// shift corrects the times of a report that was made before the clock was set.
func shift(r *cordon.Report, by time.Duration) {
	add := func(all ...*cordon.Time) {
		for _, t := range all {
			if *t != 0 {
				*t = t.Add(by)
			}
		}
	}
	device := func(d *cordon.Device) {
		if d != nil {
			add(&d.FirstSeen, &d.LastSeen)
		}
	}
	add(&r.At)
	device(r.Device)
	if d := r.Detection; d != nil {
		add(&d.At, &d.Since)
		device(d.Device)
	}
	if i := r.Incident; i != nil {
		add(&i.Opened, &i.Last)
		device(i.Device)
		for k := range i.Raised {
			add(&i.Raised[k].At)
		}
		for k := range i.Timeline {
			add(&i.Timeline[k].At)
		}
		for k := range i.Marks {
			add(&i.Marks[k].Since)
		}
	}
	if a := r.Action; a != nil {
		add(&a.Action.At, &a.Action.Expires)
	}
	if e := r.Enforced; e != nil {
		for k := range e.InForce {
			add(&e.InForce[k].At, &e.InForce[k].Expires)
		}
	}
	if h := r.Health; h != nil {
		add(&h.At)
	}
}
