package home

import (
	"cordon"
	"cordon/agent/control"
)

// Tally counts what is known and in force.
func (h *Household) Tally(s *control.Status) {
	for _, i := range h.Pipeline.Incidents.Open() {
		if i.Level >= cordon.Notify {
			s.Incidents++
		}
	}
	for _, a := range h.Pipeline.Enforcer.Active(h.Pipeline.Now) {
		if a.Mode == cordon.ModeDo && a.Verb != cordon.VerbNotify {
			s.InForce[a.Verb]++
		}
	}
	for _, p := range h.Permissions {
		if !p.Over(h.Pipeline.Now) {
			s.Allowed++
		}
	}
	for _, v := range h.Devices() {
		if !v.Router {
			count(&s.Devices, v.State)
		}
	}
}

func count(c *control.DeviceCount, s control.State) {
	c.Known++
	switch s {
	case control.StateWatched:
		c.Watched++
	case control.StateLimited:
		c.Limited++
	case control.StateBlocked:
		c.Blocked++
	case control.StateQuarantined:
		c.Quarantined++
	}
}

// Measure counts the home for a Health.
func (h *Household) Measure(s *cordon.Health) {
	for _, d := range h.Pipeline.Devices.All() {
		if !d.Gateway {
			s.Devices++
		}
	}
	for _, a := range h.Pipeline.Enforcer.Active(h.Pipeline.Now) {
		if a.Mode == cordon.ModeDo && a.Verb != cordon.VerbNotify {
			s.InForce++
		}
	}
}
