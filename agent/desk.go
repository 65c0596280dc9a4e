package agent

import (
	"context"
	"fmt"
	"slices"

	"cordon"
	"cordon/agent/control"
	"cordon/agent/home"
	"cordon/agent/incident"
)

// desk answers what the control socket is asked. Each answer is made on the
// pipeline's goroutine, so it is of one moment.
type desk struct{ *live }

// ask makes an answer on the pipeline's goroutine.
func ask[T any](ctx context.Context, l *live, f func() (T, error)) (v T, err error) {
	if stopped := l.Do(ctx, func() { v, err = f() }); stopped != nil {
		return v, stopped
	}
	return v, err
}

// Status says how the agent is.
func (d desk) Status(ctx context.Context) (control.Status, error) {
	return ask(ctx, d.live, func() (control.Status, error) { return d.live.Status(), nil })
}

// Devices lists the home's devices.
func (d desk) Devices(ctx context.Context) ([]control.Device, error) {
	return ask(ctx, d.live, func() ([]control.Device, error) { return d.Household.Devices(), nil })
}

// Incidents lists the open incidents, newest first, and those that are over if all.
func (d desk) Incidents(ctx context.Context, all bool) ([]control.Incident, error) {
	return ask(ctx, d.live, func() ([]control.Incident, error) { return d.Household.Incidents(all), nil })
}

// Why explains all about one device.
func (d desk) Why(ctx context.Context, device string) (control.Explanation, error) {
	return ask(ctx, d.live, func() (control.Explanation, error) {
		return d.Household.Why(device)
	})
}

// Allow lets a device reach a place, and ends the blocks that say otherwise.
func (d desk) Allow(ctx context.Context, r control.AllowRequest) (control.Outcome, error) {
	return ask(ctx, d.live, func() (out control.Outcome, err error) {
		var id string
		if r.Device != "" {
			v, err := control.Find(d.Household.Devices(), r.Device)
			if err != nil {
				return out, err
			}
			id = v.ID
		}
		target, err := control.ParseTarget(r.To)
		if err != nil {
			return out, err
		}
		p := home.Permission{ID: incident.ID("allow", id, r.To, d.Pipeline.Now.String()), Device: id, To: r.To, Target: target,
			Reason: r.Reason, By: r.By, At: d.Pipeline.Now, Expires: d.Pipeline.Now.Add(r.For)}
		if err := d.Permissions.Add(p, d.Pipeline.Now); err != nil {
			return out, err
		}
		d.Asked()
		out.Allowed = []control.Allowed{p.Shown(d.Pipeline.Wall)}
		for _, a := range d.Pipeline.Enforcer.Active(d.Pipeline.Now) {
			if a.Verb != cordon.VerbBlock || !p.Covers(home.Stub(a.Entity.Device), &a) {
				continue
			}
			if err := d.end(ctx, &a, r.By, &out); err != nil {
				return out, err
			}
		}
		if len(out.Ended) == 0 {
			out.Notes = append(out.Notes, "Nothing was blocked there; nothing will be.")
		}
		return out, nil
	})
}

// Quarantine cuts a device off because a person said so.
func (d desk) Quarantine(ctx context.Context, r control.QuarantineRequest) (control.Outcome, error) {
	return ask(ctx, d.live, func() (out control.Outcome, err error) {
		v, err := control.Find(d.Household.Devices(), r.Device)
		if err != nil {
			return out, err
		}
		device := d.Find(v.ID)
		if device == nil {
			device = home.Stub(v.ID)
		}
		switch {
		case device.Gateway:
			return out, &control.Error{Code: control.CodeRefused, Message: "that is the router itself", Hint: "name one of the devices behind it"}
		case device.Class == cordon.LifeLine:
			out.Notes = append(out.Notes, "It is an alarm, a telephone or a medical device: see to it that nobody depends on it now.")
		case device.Relay || device.Class == cordon.Infrastructure:
			out.Notes = append(out.Notes, "Other devices use it to reach the internet: they are cut off with it.")
		}
		reason := r.Reason
		if reason == "" {
			reason = "Somebody asked for it."
		}
		e := cordon.Entity{Device: v.ID}
		a := cordon.Action{ID: incident.ID("act", "by-hand", string(cordon.VerbQuarantine), e.String()), Verb: cordon.VerbQuarantine,
			Mode: cordon.ModeDo, Entity: e, Reason: reason, Purpose: cordon.PurposeSecurity, At: d.Pipeline.Now, Expires: d.Pipeline.Now.Add(r.For)}
		if _, err := d.Pipeline.Enforcer.Apply(ctx, device, &a); err != nil {
			return out, fmt.Errorf("quarantine: %w", err)
		}
		d.By[a.ID] = r.By
		d.Ordered(&a)
		d.Asked()
		out.Begun = []control.Action{d.Shown(&a)}
		return out, nil
	})
}

// Release ends what is in force against a device, or one action or permission.
func (d desk) Release(ctx context.Context, r control.ReleaseRequest) (control.Outcome, error) {
	return ask(ctx, d.live, func() (out control.Outcome, err error) {
		if p, ok := d.Permissions.Remove(r.What); ok {
			d.Asked()
			out.Revoked = []control.Allowed{p.Shown(d.Pipeline.Wall)}
			return out, nil
		}
		active := d.Pipeline.Enforcer.Active(d.Pipeline.Now)
		device := ""
		if !slices.ContainsFunc(active, func(a cordon.Action) bool { return a.ID == r.What }) {
			v, err := control.Find(d.Household.Devices(), r.What)
			if err != nil {
				return out, err
			}
			device = v.ID
		}
		for _, a := range active {
			if a.ID != r.What && (a.Entity.Device != device || a.Verb == cordon.VerbNotify) {
				continue
			}
			if err := d.end(ctx, &a, r.By, &out); err != nil {
				return out, err
			}
		}
		if found := d.Find(device); found != nil { // what an earlier agent left, too
			if err := d.kernel.Free(ctx, found); err != nil {
				return out, fmt.Errorf("release: %w", err)
			}
		}
		if len(out.Ended) == 0 {
			out.Notes = append(out.Notes, "Nothing was in force.")
		}
		return out, nil
	})
}

// end ends an action and notes that in the outcome.
func (d desk) end(ctx context.Context, a *cordon.Action, by string, out *control.Outcome) error {
	if err := d.Pipeline.Enforcer.Release(ctx, a.ID); err != nil {
		return fmt.Errorf("release %s: %w", a.ID, err)
	}
	out.Ended = append(out.Ended, d.Shown(a))
	d.log.Info("released", "id", a.ID, "verb", a.Verb, "by", by)
	d.Released(a, by)
	d.Asked()
	return nil
}

// Doctor says what keeps the agent from its work.
func (d desk) Doctor(ctx context.Context) ([]control.Finding, error) { return d.examine(ctx), nil }
