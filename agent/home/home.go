// Package home is the home as people and core see it: the pipeline, with what they said
// about the devices and what they ordered.
//
// A Household shows devices, incidents and reasons, and says what is allowed; a Provider
// ties it to core: it has its happenings reported, does what is desired, and answers
// questions. The live agent and the simulation are built around them. All of it is owned
// by the pipeline's goroutine, but for a View: that is for who must not touch the pipeline.
package home

import (
	"cmp"
	"log/slog"
	"maps"
	"slices"

	"cordon"
	"cordon/agent/config"
	"cordon/agent/control"
	"cordon/agent/desired"
	"cordon/agent/pipeline"
	"cordon/agent/state"
)

// Household is the pipeline with what people and core said about the home. It is
// owned by the pipeline's goroutine.
type Household struct {
	Pipeline    *pipeline.Pipeline
	Diary       *Diary
	Permissions Permissions
	ByHand      map[string]*state.Device // what was told and remembered, by device
	By          map[string]string        // action → who asked for it
	Orders      map[string]bool          // actions that core ordered
	Held        []desired.Held           // what was ended and must not begin again; wall times
	Core        *Provider                // nil: the agent works alone

	version string                          // of the agent
	policy  cordon.Policy                   // of devices of which nobody said anything
	pinned  map[string]cordon.DesiredDevice // by the configuration, which has the last word
}

// New returns a Household without a pipeline, of which nobody said anything yet. version
// is the agent's, policy of devices of which nobody says anything.
func New(version string, policy cordon.Policy, log *slog.Logger) Household {
	return Household{Diary: &Diary{log: log}, ByHand: make(map[string]*state.Device), By: make(map[string]string), Orders: make(map[string]bool),
		version: version, policy: policy, pinned: make(map[string]cordon.DesiredDevice)}
}

// Pin notes what the configuration says about a device.
func (h *Household) Pin(d *config.Device) {
	id := d.MAC.String()
	h.pinned[id] = cordon.DesiredDevice{Device: id, Name: d.Name, Class: d.Class, Policy: d.Policy}
}

// said is what core says about a device, nothing if there is none.
func (h *Household) said(id string) cordon.DesiredDevice {
	if h.Core == nil {
		return cordon.DesiredDevice{}
	}
	return h.Core.plan.Devices[id]
}

// remembered is what was told about a device before.
func (h *Household) remembered(id string) state.Device {
	if d := h.ByHand[id]; d != nil {
		return *d
	}
	return state.Device{}
}

// SitePolicy is how far the router may go where nobody says otherwise.
func (h *Household) SitePolicy() cordon.Policy {
	if h.Core != nil && h.Core.plan.Policy != "" {
		return h.Core.plan.Policy
	}
	return h.policy
}

// PolicyOf says how far the router may go with a device.
func (h *Household) PolicyOf(d *cordon.Device) cordon.Policy {
	return cmp.Or(h.pinned[d.ID].Policy, h.said(d.ID).Policy, h.remembered(d.ID).Policy, h.SitePolicy())
}

// Told is what people said about a device.
func (h *Household) Told(id string) (name string, class *cordon.Class) {
	pinned, said, remembered := h.pinned[id], h.said(id), h.remembered(id)
	return cmp.Or(pinned.Name, said.Name, remembered.Name), cmp.Or(pinned.Class, said.Class, remembered.Class)
}

// ProtectsAll reports whether every device is to be protected.
func (h *Household) ProtectsAll() bool {
	named := slices.AppendSeq(slices.Collect(maps.Keys(h.pinned)), maps.Keys(h.ByHand))
	if h.Core != nil {
		named = slices.AppendSeq(named, maps.Keys(h.Core.plan.Devices))
	}
	return h.SitePolicy() == cordon.PolicyProtect && !slices.ContainsFunc(named, func(id string) bool {
		return h.PolicyOf(&cordon.Device{ID: id}) != cordon.PolicyProtect
	})
}

// Allowed reports whether somebody allowed what an action would stop, or ended it
// before.
func (h *Household) Allowed(d *cordon.Device, a *cordon.Action) bool {
	if h.Permissions.Allow(d, a, h.Pipeline.Now) {
		return true
	}
	wall := h.Pipeline.Wall(h.Pipeline.Now)
	if _, held := desired.Holds(h.Held, a, wall); held {
		return true
	}
	return h.Core != nil && slices.ContainsFunc(h.Core.plan.Allowed, func(p cordon.Permission) bool {
		return p.Expires > wall && desired.Covers(&p, d.ID, a)
	})
}

// Released notes that somebody at the router ended an action: an order of core does
// not begin again.
func (h *Household) Released(a *cordon.Action, by string) {
	if h.Orders[a.ID] {
		h.Held = append(h.Held, desired.Held{ID: a.ID, By: by, Expires: h.Pipeline.Wall(a.Expires)})
		h.Held = h.Held[max(0, len(h.Held)-desired.MaxHeld):]
		if h.Core != nil {
			h.Core.replan()
		}
	}
	delete(h.By, a.ID)
	delete(h.Orders, a.ID)
}

// Find returns the device of an ID, nil if the table has none.
func (h *Household) Find(id string) *cordon.Device {
	for _, dev := range h.Pipeline.Devices.All() {
		if dev.ID == id {
			return dev
		}
	}
	return nil
}

// Devices returns the views of all devices, also of those that were cut off before
// a restart and have not been heard since.
func (h *Household) Devices() []control.Device {
	open := make(map[string]*cordon.Incident)
	for _, i := range h.Pipeline.Incidents.Open() {
		open[i.Device.ID] = i
	}
	actions := make(map[string][]control.Action)
	var silent []*cordon.Device
	for _, a := range h.Pipeline.Enforcer.Active(h.Pipeline.Now) {
		id := a.Entity.Device
		if actions[id] == nil && h.Find(id) == nil {
			silent = append(silent, Stub(id))
		}
		actions[id] = append(actions[id], h.Shown(&a))
	}
	var all []control.Device
	for _, dev := range append(h.Pipeline.Devices.All(), silent...) {
		if dev.Gateway && len(dev.Addrs) == 0 {
			continue // a port of the router
		}
		v := control.DeviceOf(h.Pipeline.WallDevice(dev), h.PolicyOf(dev), open[dev.ID], actions[dev.ID])
		_, pinned := h.pinned[dev.ID]
		v.ByHand = pinned || h.ByHand[dev.ID] != nil || h.said(dev.ID).Device != ""
		all = append(all, v)
	}
	return all
}

// Shown returns the view of an action.
func (h *Household) Shown(a *cordon.Action) control.Action {
	told := h.Pipeline.WallAction(*a)
	return control.ActionOf(&told, h.By[a.ID])
}

// Incidents returns the open incidents, newest first, and those that are over.
func (h *Household) Incidents(all bool) []control.Incident {
	var list []control.Incident
	for _, i := range h.Pipeline.Incidents.Open() {
		w := h.Pipeline.WallIncident(i)
		list = append(list, control.IncidentOf(w, true, h.Diary.of(w.Device.ID, w.Opened)))
	}
	slices.Reverse(list)
	if all {
		for _, i := range slices.Backward(h.Diary.over) {
			list = append(list, control.IncidentOf(i, false, h.Diary.of(i.Device.ID, i.Opened)))
		}
	}
	return list
}

// Why explains all about one device.
func (h *Household) Why(device string) (control.Explanation, error) {
	v, err := control.Find(h.Devices(), device)
	if err != nil {
		return control.Explanation{}, err
	}
	var of []control.Incident
	for _, i := range h.Incidents(true) {
		if i.Device == v.ID {
			of = append(of, i)
		}
	}
	allowed := h.Permissions.Of(v.ID, h.Pipeline.Now, h.Pipeline.Wall)
	if h.Core != nil {
		allowed = append(allowed, h.Core.allowedFor(v.ID)...)
	}
	return control.Explain(v, of, allowed), nil
}
