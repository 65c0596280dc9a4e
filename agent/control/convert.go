package control

import (
	"slices"

	"cordon"
)

// DeviceOf returns the view of a device with what is in force about it. Times in
// d and actions are wall times.
func DeviceOf(d *cordon.Device, policy cordon.Policy, incident *cordon.Incident, actions []Action) Device {
	v := Device{ID: d.ID, Addresses: notNil(slices.Clone(d.Addrs)), Name: d.Name, Maker: d.Maker, Model: d.Model,
		Class: d.Class.String(), Reasons: notNil(slices.Clone(d.Reasons)), Randomised: d.Randomised, Relay: d.Relay,
		Router: d.Gateway, Policy: policy, Actions: notNil(actions), FirstSeen: d.FirstSeen, LastSeen: d.LastSeen}
	if d.HasMAC {
		v.MAC = d.MAC.String()
	}
	if incident != nil {
		v.Incident = incident.ID
	}
	v.State = stateOf(incident, actions)
	return v
}

// stateOf returns the strongest of what is done about a device.
func stateOf(incident *cordon.Incident, actions []Action) State {
	s := StateOK
	rank := []State{StateOK, StateWatched, StateLimited, StateBlocked, StateQuarantined}
	raise := func(to State) {
		if slices.Index(rank, to) > slices.Index(rank, s) {
			s = to
		}
	}
	if incident != nil {
		raise(StateWatched)
	}
	for _, a := range actions {
		switch {
		case a.Mode != cordon.ModeDo:
			raise(StateWatched)
		case a.Verb == cordon.VerbLimit:
			raise(StateLimited)
		case a.Verb == cordon.VerbBlock:
			raise(StateBlocked)
		case a.Verb == cordon.VerbQuarantine:
			raise(StateQuarantined)
		}
	}
	return s
}

// ActionOf returns the view of an action whose times are wall times. by is who
// asked for it, empty for the agent.
func ActionOf(a *cordon.Action, by string) Action {
	v := Action{ID: a.ID, Verb: a.Verb, Mode: a.Mode, Device: a.Entity.Device, Target: targetOf(a.Entity.Target),
		Incident: a.Incident, Reason: a.Reason, Purpose: a.Purpose, By: by, At: a.At, Expires: a.Expires, Rate: a.Rate}
	v.Stops = stops(&v)
	return v
}

func targetOf(t cordon.Target) Target {
	return Target{Protocol: t.Proto, Ports: slices.Clone(t.Ports), LocalPort: t.LocalPort, Peer: t.Peer, Net: t.Net,
		Name: t.Name, Stray: t.Stray}
}

func (t *Target) target() cordon.Target {
	return cordon.Target{Proto: t.Protocol, Ports: t.Ports, LocalPort: t.LocalPort, Peer: t.Peer, Net: t.Net, Name: t.Name, Stray: t.Stray}
}

// IncidentOf returns the view of an incident whose times are wall times, with the
// detections that are remembered of it.
func IncidentOf(i *cordon.Incident, open bool, detections []*cordon.Detection) Incident {
	v := Incident{ID: i.ID, Device: i.Device.ID, Label: i.Device.Label(), Level: i.Level.String(), Open: open,
		Opened: i.Opened, Last: i.Last, Odds: i.Odds, Kinds: notNil(slices.Clone(i.Kinds)), Verbs: notNil(slices.Clone(i.Verbs)),
		Mode: i.Mode, Timeline: []Moment{}, Omitted: i.Omitted, Story: i.Story, Told: i.Told}
	for _, m := range i.Timeline {
		v.Timeline = append(v.Timeline, Moment{At: m.At, Level: m.Level.String(), Kind: m.Kind, Technique: m.Technique,
			Subject: m.Subject, Text: m.Text, Ref: m.Ref, Count: m.Count})
	}
	for _, d := range detections {
		v.Detections = append(v.Detections, Detection{ID: d.ID, Kind: d.Kind, At: d.At, Level: d.Level.String(),
			Subject: d.Subject, Sentence: d.Sentence, Evidence: notNil(slices.Clone(d.Evidence)), PeerName: d.PeerName,
			Samples: slices.Clone(d.Samples)})
	}
	return v
}

// notNil makes JSON write [] and not null.
func notNil[T any](s []T) []T {
	if s == nil {
		return []T{}
	}
	return s
}
