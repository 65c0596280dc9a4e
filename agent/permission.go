package agent

import (
	"slices"

	"cordon"
	"cordon/agent/control"
	"cordon/agent/state"
)

// permission is a place that somebody said a device may reach, whatever happens.
type permission struct {
	ID      string
	Device  string // empty: all
	To      string // as it was said
	Target  cordon.Target
	Reason  string
	By      string
	At      cordon.Time
	Expires cordon.Time // 0: it is in the configuration and lasts as long
}

// permissions is what is allowed.
type permissions []permission

// add takes a permission.
func (list *permissions) add(p permission, now cordon.Time) error {
	*list = slices.DeleteFunc(*list, func(old permission) bool { return old.over(now) || old.ID == p.ID })
	if len(*list) >= state.MaxAllowed {
		return &control.Error{Code: control.CodeRefused, Message: "too much is allowed already", Hint: "release a permission first"}
	}
	*list = append(*list, p)
	return nil
}

// remove ends a permission.
func (list *permissions) remove(id string) (p permission, ok bool) {
	i := slices.IndexFunc(*list, func(p permission) bool { return p.ID == id && p.Expires != 0 })
	if i < 0 {
		return p, false
	}
	p = (*list)[i]
	*list = slices.Delete(*list, i, i+1)
	return p, true
}

// allow reports whether somebody allowed what an action would stop.
func (list permissions) allow(d *cordon.Device, a *cordon.Action, now cordon.Time) bool {
	if a.Verb != cordon.VerbBlock {
		return false
	}
	return slices.ContainsFunc(list, func(p permission) bool { return !p.over(now) && p.covers(d, a) })
}

// of returns the views of what a device may reach.
func (list permissions) of(device string, now cordon.Time, wall func(cordon.Time) cordon.Time) (views []control.Allowed) {
	for _, p := range list {
		if !p.over(now) && (p.Device == "" || p.Device == device) {
			views = append(views, p.shown(wall))
		}
	}
	return views
}

func (p *permission) over(now cordon.Time) bool { return p.Expires != 0 && p.Expires <= now }

// covers reports whether a block is about a place that p allows. A block of a port
// everywhere is not: the device may reach one place, not scan.
func (p *permission) covers(d *cordon.Device, a *cordon.Action) bool {
	if p.Device != "" && p.Device != d.ID {
		return false
	}
	t := a.Entity.Target
	switch {
	case p.Target.Name != "" && t.Name != p.Target.Name:
		return false
	case p.Target.Peer.IsValid() && t.Peer != p.Target.Peer:
		return false
	case len(p.Target.Ports) > 0 && len(t.Ports) > 0 && !slices.Equal(p.Target.Ports, t.Ports):
		return false
	}
	return true
}

func (p *permission) shown(wall func(cordon.Time) cordon.Time) control.Allowed {
	v := control.Allowed{ID: p.ID, Device: p.Device, To: p.To, Reason: p.Reason, By: p.By, At: wall(p.At)}
	if p.Expires != 0 {
		v.Expires = wall(p.Expires)
	}
	return v
}
