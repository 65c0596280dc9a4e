// Package respond decides what is done about an incident.
//
// A decision about an incident and the customer's policy come in; actions go
// out. It is a pure function: it keeps nothing, it does nothing. Every action has
// an entity, a reason, an end and an id that is the same each time the same thing
// is decided, so that applying it again renews it.
package respond

import (
	"time"

	"cordon"
)

// How long actions last, counted from the last reason for them.
const (
	// BlockFor is the life of a block of a part of a device's traffic; a scan
	// that goes on renews it.
	BlockFor = time.Hour
	// QuarantineFor is when a device is released by itself if it kept quiet
	// (detection.md §A10).
	QuarantineFor = 7 * 24 * time.Hour
	// NoticeFor is when a message that nobody read is no news any more.
	NoticeFor = 30 * 24 * time.Hour
)

// Case is what there is to decide about.
type Case struct {
	Detection  *cordon.Detection
	Incident   *cordon.Incident
	Level      cordon.Level // what the detection allows by itself
	Quarantine bool         // the evidence suffices to cut the device off
}

// ID makes the id of an action from what it does.
type ID func(prefix string, parts ...string) string

// Decide returns the actions for a case under a policy, mildest first.
func Decide(c Case, policy cordon.Policy, id ID) []cordon.Action {
	if policy == cordon.PolicyOff || c.Incident.Level < cordon.Notify {
		return nil
	}
	var actions []cordon.Action
	add := func(v cordon.Verb, t cordon.Target, life time.Duration) {
		e := cordon.Entity{Device: c.Incident.Device.ID, Target: t}
		actions = append(actions, cordon.Action{
			ID: id("act", c.Incident.ID, string(v), e.String()), Verb: v, Mode: mode(v, policy), Entity: e,
			Incident: c.Incident.ID, Reason: c.Detection.Sentence, Purpose: cordon.PurposeSecurity,
			At: c.Detection.At, Expires: c.Detection.At.Add(life),
		})
	}
	if c.Level == cordon.Act && !c.Detection.Target.Zero() {
		add(cordon.VerbBlock, c.Detection.Target, BlockFor)
	}
	if c.Quarantine && mayQuarantine(c.Incident.Device) {
		add(cordon.VerbQuarantine, cordon.Target{}, QuarantineFor)
	}
	add(cordon.VerbNotify, cordon.Target{}, NoticeFor)
	return actions
}

// mayQuarantine reports whether a device may be cut off without asking: only a
// thing that is known to be one. Never what others depend on, what a life may
// depend on, what a person carries, or what nobody knows.
func mayQuarantine(d *cordon.Device) bool {
	return d.Class == cordon.IoT && !d.Relay && !d.Gateway
}

func mode(v cordon.Verb, p cordon.Policy) cordon.Mode {
	switch {
	case p == cordon.PolicyObserve:
		return cordon.ModeWould
	case p == cordon.PolicyAsk && v != cordon.VerbNotify:
		return cordon.ModeAsk
	}
	return cordon.ModeDo
}
