package home

import (
	"slices"

	"cordon"
	"cordon/agent/control"
	"cordon/agent/state"
)

// Permission is a place that somebody said a device may reach, whatever happens.
type Permission struct {
	ID      string
	Device  string // empty: all
	To      string // as it was said
	Target  cordon.Target
	Reason  string
	By      string
	At      cordon.Time
	Expires cordon.Time // 0: it is in the configuration and lasts as long
}

// Permissions is what is allowed.
type Permissions []Permission

// Add takes a permission.
func (list *Permissions) Add(p Permission, now cordon.Time) error {
	*list = slices.DeleteFunc(*list, func(old Permission) bool { return old.Over(now) || old.ID == p.ID })
	if len(*list) >= state.MaxAllowed {
		return &control.Error{Code: control.CodeRefused, Message: "too much is allowed already", Hint: "release a permission first"}
	}
	*list = append(*list, p)
	return nil
}

// Remove ends a permission.
func (list *Permissions) Remove(id string) (p Permission, ok bool) {
	i := slices.IndexFunc(*list, func(p Permission) bool { return p.ID == id && p.Expires != 0 })
	if i < 0 {
		return p, false
	}
	p = (*list)[i]
	*list = slices.Delete(*list, i, i+1)
	return p, true
}

// Allow reports whether somebody allowed what an action would stop.
func (list Permissions) Allow(d *cordon.Device, a *cordon.Action, now cordon.Time) bool {
	if a.Verb != cordon.VerbBlock {
		return false
	}
	return slices.ContainsFunc(list, func(p Permission) bool { return !p.Over(now) && p.Covers(d, a) })
}

// Of returns the views of what a device may reach.
func (list Permissions) Of(device string, now cordon.Time, wall func(cordon.Time) cordon.Time) (views []control.Allowed) {
	for _, p := range list {
		if !p.Over(now) && (p.Device == "" || p.Device == device) {
			views = append(views, p.Shown(wall))
		}
	}
	return views
}

// Over reports whether it has ended.
func (p *Permission) Over(now cordon.Time) bool { return p.Expires != 0 && p.Expires <= now }

// Covers reports whether a block is about a place that p allows.
func (p *Permission) Covers(d *cordon.Device, a *cordon.Action) bool {
	return (p.Device == "" || p.Device == d.ID) && p.Target.Spares(a.Entity.Target)
}

// Shown returns the view of it; wall converts the pipeline's time.
func (p *Permission) Shown(wall func(cordon.Time) cordon.Time) control.Allowed {
	v := control.Allowed{ID: p.ID, Device: p.Device, To: p.To, Reason: p.Reason, By: p.By, At: wall(p.At)}
	if p.Expires != 0 {
		v.Expires = wall(p.Expires)
	}
	return v
}
