package agent

import (
	"cmp"
	"maps"
	"slices"

	"cordon"
	"cordon/agent/config"
	"cordon/agent/control"
	"cordon/agent/desired"
	"cordon/agent/pipeline"
	"cordon/agent/state"
)

// household is the pipeline with what people and core said about the home. It is
// owned by the pipeline's goroutine.
type household struct {
	policy      cordon.Policy                   // of devices of which nobody said anything
	pinned      map[string]cordon.DesiredDevice // by the configuration, which has the last word
	p           *pipeline.Pipeline
	diary       *diary
	permissions permissions
	byHand      map[string]*state.Device // what was told and remembered
	by          map[string]string        // action → who asked for it
	orders      map[string]bool          // actions that core ordered
	held        []desired.Held           // what was ended and must not begin again; wall times
	core        *provider                // nil: the agent works alone
}

func newHousehold(policy cordon.Policy) household {
	return household{policy: policy, pinned: make(map[string]cordon.DesiredDevice), byHand: make(map[string]*state.Device),
		by: make(map[string]string), orders: make(map[string]bool)}
}

// pin notes what the configuration says about a device.
func (h *household) pin(d *config.Device) {
	id := d.MAC.String()
	h.pinned[id] = cordon.DesiredDevice{Device: id, Name: d.Name, Class: d.Class, Policy: d.Policy}
}

// said is what core says about a device, nothing if there is none.
func (h *household) said(id string) cordon.DesiredDevice {
	if h.core == nil {
		return cordon.DesiredDevice{}
	}
	return h.core.plan.Devices[id]
}

// remembered is what was told about a device before.
func (h *household) remembered(id string) state.Device {
	if d := h.byHand[id]; d != nil {
		return *d
	}
	return state.Device{}
}

// sitePolicy is how far the router may go where nobody says otherwise.
func (h *household) sitePolicy() cordon.Policy {
	if h.core != nil && h.core.plan.Policy != "" {
		return h.core.plan.Policy
	}
	return h.policy
}

// policyOf says how far the router may go with a device.
func (h *household) policyOf(d *cordon.Device) cordon.Policy {
	return cmp.Or(h.pinned[d.ID].Policy, h.said(d.ID).Policy, h.remembered(d.ID).Policy, h.sitePolicy())
}

// told is what people said about a device.
func (h *household) told(id string) (name string, class *cordon.Class) {
	pinned, said, remembered := h.pinned[id], h.said(id), h.remembered(id)
	return cmp.Or(pinned.Name, said.Name, remembered.Name), cmp.Or(pinned.Class, said.Class, remembered.Class)
}

// protectsAll reports whether every device is to be protected.
func (h *household) protectsAll() bool {
	named := slices.AppendSeq(slices.Collect(maps.Keys(h.pinned)), maps.Keys(h.byHand))
	if h.core != nil {
		named = slices.AppendSeq(named, maps.Keys(h.core.plan.Devices))
	}
	return h.sitePolicy() == cordon.PolicyProtect && !slices.ContainsFunc(named, func(id string) bool {
		return h.policyOf(&cordon.Device{ID: id}) != cordon.PolicyProtect
	})
}

// allowed reports whether somebody allowed what an action would stop, or ended it
// before.
func (h *household) allowed(d *cordon.Device, a *cordon.Action) bool {
	if h.permissions.allow(d, a, h.p.Now) {
		return true
	}
	wall := h.p.Wall(h.p.Now)
	if _, held := desired.Holds(h.held, a, wall); held {
		return true
	}
	return h.core != nil && slices.ContainsFunc(h.core.plan.Allowed, func(p cordon.Permission) bool {
		return p.Expires > wall && desired.Covers(&p, d.ID, a)
	})
}

// released notes that somebody at the router ended an action: an order of core does
// not begin again.
func (h *household) released(a *cordon.Action, by string) {
	if h.orders[a.ID] {
		h.held = append(h.held, desired.Held{ID: a.ID, By: by, Expires: h.p.Wall(a.Expires)})
		h.held = h.held[max(0, len(h.held)-desired.MaxHeld):]
		if h.core != nil {
			h.core.replan()
		}
	}
	delete(h.by, a.ID)
	delete(h.orders, a.ID)
}

// find returns the device of an ID, nil if the table has none.
func (h *household) find(id string) *cordon.Device {
	for _, dev := range h.p.Devices.All() {
		if dev.ID == id {
			return dev
		}
	}
	return nil
}

// devices returns the views of all devices, also of those that were cut off before
// a restart and have not been heard since.
func (h *household) devices() []control.Device {
	open := make(map[string]*cordon.Incident)
	for _, i := range h.p.Incidents.Open() {
		open[i.Device.ID] = i
	}
	actions := make(map[string][]control.Action)
	var silent []*cordon.Device
	for _, a := range h.p.Enforcer.Active(h.p.Now) {
		id := a.Entity.Device
		if actions[id] == nil && h.find(id) == nil {
			silent = append(silent, stub(id))
		}
		actions[id] = append(actions[id], h.shown(&a))
	}
	var all []control.Device
	for _, dev := range append(h.p.Devices.All(), silent...) {
		if dev.Gateway && len(dev.Addrs) == 0 {
			continue // a port of the router
		}
		v := control.DeviceOf(h.p.WallDevice(dev), h.policyOf(dev), open[dev.ID], actions[dev.ID])
		_, pinned := h.pinned[dev.ID]
		v.ByHand = pinned || h.byHand[dev.ID] != nil || h.said(dev.ID).Device != ""
		all = append(all, v)
	}
	return all
}

// shown returns the view of an action.
func (h *household) shown(a *cordon.Action) control.Action {
	told := h.p.WallAction(*a)
	return control.ActionOf(&told, h.by[a.ID])
}

// incidents returns the open incidents, newest first, and those that are over.
func (h *household) incidents(all bool) []control.Incident {
	var list []control.Incident
	for _, i := range h.p.Incidents.Open() {
		w := h.p.WallIncident(i)
		list = append(list, control.IncidentOf(w, true, h.diary.of(w.Device.ID, w.Opened)))
	}
	slices.Reverse(list)
	if all {
		for _, i := range slices.Backward(h.diary.over) {
			list = append(list, control.IncidentOf(i, false, h.diary.of(i.Device.ID, i.Opened)))
		}
	}
	return list
}

// why explains all about one device.
func (h *household) why(device string) (control.Explanation, error) {
	v, err := control.Find(h.devices(), device)
	if err != nil {
		return control.Explanation{}, err
	}
	var of []control.Incident
	for _, i := range h.incidents(true) {
		if i.Device == v.ID {
			of = append(of, i)
		}
	}
	allowed := h.permissions.of(v.ID, h.p.Now, h.p.Wall)
	if h.core != nil {
		allowed = append(allowed, h.core.allowedFor(v.ID)...)
	}
	return control.Explain(v, of, allowed), nil
}
