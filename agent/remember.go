package agent

import (
	"context"
	"net/netip"
	"slices"
	"strings"
	"time"

	"cordon"
	"cordon/agent/control"
	"cordon/agent/desired"
	"cordon/agent/home"
	"cordon/agent/incident"
	"cordon/agent/state"
	"cordon/internal/clock"
)

// remember opens what survived on flash and takes from it what is needed before
// anything else: how the last runs ended, and which moment is over for sure. A disk
// that cannot be used is no reason not to protect.
func (l *live) remember() (saved state.State, err error) {
	if l.store, err = state.Open(l.cfg.State.Dir, state.Config{Log: l.log}); err != nil {
		return saved, err
	}
	if saved, l.lost = l.store.Load(); l.lost != nil {
		l.log.Error("what was remembered is damaged", "err", l.lost)
	}
	if l.run, err = l.store.Started(); err != nil {
		l.log.Warn("the start could not be noted", "err", err)
	}
	wall := time.Now().UnixNano()
	l.epoch = clock.NewEpoch(wall, clock.Monotonic(), int64(saved.Wall))
	for i := range saved.Devices {
		l.ByHand[saved.Devices[i].ID] = &saved.Devices[i]
	}
	for i := range l.cfg.Devices {
		l.Pin(&l.cfg.Devices[i])
	}
	return saved, nil
}

// restore puts in force again what was when the state was saved, for what is left
// of its time, and what people allowed.
func (l *live) restore(ctx context.Context, saved state.State) {
	now, wall := l.Pipeline.Now, cordon.TimeOf(time.Now())
	trusted := l.epoch.Trusted(int64(wall))
	for _, d := range l.cfg.Devices {
		for _, t := range d.Allow {
			id := d.MAC.String()
			l.Permissions = append(l.Permissions, home.Permission{ID: incident.ID("allow", id, t.Name, t.Peer.String()), Device: id,
				To: control.FormatTarget(t), Target: t, Reason: "It is in the configuration.", At: now})
		}
	}
	for _, a := range saved.Allowed {
		if left := saved.Remaining(a.Expires, a.Left, wall, trusted); left > 0 {
			l.Permissions = append(l.Permissions, home.Permission{ID: a.ID, Device: a.Device, To: control.FormatTarget(a.Target), Target: a.Target,
				Reason: a.Reason, By: a.By, At: now, Expires: now.Add(left)})
		}
	}
	for _, a := range saved.Actions {
		left := saved.Remaining(a.Expires, a.Left, wall, trusted)
		if left <= 0 {
			continue
		}
		again := a.Action
		again.At, again.Expires = now, now.Add(left)
		d := home.Stub(again.Entity.Device)
		d.Addrs = a.Addrs
		if again.Verb == cordon.VerbQuarantine && again.Mode == cordon.ModeDo {
			l.kernel.Restored(d)
		}
		if _, err := l.Pipeline.Enforcer.Apply(ctx, d, &again); err != nil {
			l.Check("put in force again", err)
			continue
		}
		if a.By != "" {
			l.By[a.ID] = a.By
		}
		if a.Order {
			l.Orders[a.ID] = true
		}
		if l.Core != nil {
			told := l.Pipeline.WallAction(again)
			l.Core.Restored(&told, a.By)
		}
	}
	for _, h := range saved.Held {
		if left := saved.Remaining(h.Expires, h.Left, wall, trusted); left > 0 {
			l.Held = append(l.Held, desired.Held{Release: h.Release, ID: h.ID, Verb: h.Verb, Entity: h.Entity, By: h.By,
				Expires: l.Pipeline.Wall(now).Add(left)})
		}
	}
	l.publish()
}

// state is what should survive now.
func (l *live) state() state.State {
	s := state.State{Trusted: l.trusted()}
	now := l.Pipeline.Now
	s.Wall = l.Pipeline.Wall(now)
	for _, a := range l.Pipeline.Enforcer.Active(now) {
		left := a.Expires.Sub(now)
		a.At, a.Expires = l.Pipeline.Wall(a.At), l.Pipeline.Wall(a.Expires)
		s.Actions = append(s.Actions, state.Action{Action: a, By: l.By[a.ID], Order: l.Orders[a.ID], Left: left, Addrs: l.addrsOf(a.Entity.Device)})
	}
	for _, p := range l.Permissions {
		if p.Expires != 0 && !p.Over(now) {
			s.Allowed = append(s.Allowed, state.Allowed{ID: p.ID, Device: p.Device, Target: p.Target, Reason: p.Reason, By: p.By,
				At: l.Pipeline.Wall(p.At), Expires: l.Pipeline.Wall(p.Expires), Left: p.Expires.Sub(now)})
		}
	}
	for _, h := range l.Held {
		if left := h.Expires.Sub(s.Wall); left > 0 {
			s.Held = append(s.Held, state.Held{ID: h.ID, Verb: h.Verb, Entity: h.Entity, Release: h.Release, By: h.By, Expires: h.Expires, Left: left})
		}
	}
	for _, d := range l.ByHand {
		s.Devices = append(s.Devices, *d)
	}
	return s
}

// addrsOf returns the addresses of the device of an ID, as far as they are known.
func (l *live) addrsOf(id string) []netip.Addr {
	for _, d := range l.Pipeline.Devices.All() {
		if d.ID == id {
			return slices.Clone(d.Addrs)
		}
	}
	return nil
}

// save hands the state to whoever writes it. Who is cut off and what a person said
// is written at once: no power cut may undo it.
func (l *live) save() {
	s := l.state()
	var cut strings.Builder
	for _, a := range s.Actions {
		if a.Verb == cordon.VerbQuarantine && a.Mode == cordon.ModeDo {
			cut.WriteString(a.ID + " ")
		}
	}
	if l.urgent || cut.String() != l.cut {
		l.urgent, l.cut = false, cut.String()
		l.store.SaveNow(s)
		return
	}
	l.store.Save(s)
}
