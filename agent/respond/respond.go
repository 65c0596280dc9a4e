// Package respond decides what is done about an incident.
//
// A decision about an incident and the customer's policy come in; actions go
// out. It is a pure function: it keeps nothing, it does nothing. Every action has
// an entity, a reason, an end and an id that is the same each time the same thing
// is decided, so that applying it again renews it.
//
// A limit disturbs nobody who is innocent for longer than it lasts, so it follows
// from a first sign, silently. Only where the customer wants to be asked it waits
// until there is something to tell.
package respond

import (
	"cmp"
	"slices"
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
	if policy == cordon.PolicyOff {
		return nil
	}
	var actions []cordon.Action
	add := func(v cordon.Verb, t cordon.Target, life time.Duration) {
		e := cordon.Entity{Device: c.Incident.Device.ID, Target: t}
		a := cordon.Action{
			ID: id("act", c.Incident.ID, string(v), e.String()), Verb: v, Mode: mode(v, policy), Entity: e,
			Incident: c.Incident.ID, Reason: c.Detection.Sentence, Purpose: cordon.PurposeSecurity,
			At: c.Detection.At, Expires: c.Detection.At.Add(life),
		}
		if v == cordon.VerbLimit {
			a.Rate = c.Detection.Rate
		}
		actions = append(actions, a)
	}
	disturbs := c.Incident.Level >= cordon.Notify
	life := cmp.Or(c.Detection.Life, BlockFor)
	limit := c.Detection.Rate != cordon.Rate{}
	switch {
	case c.Detection.Target.Zero():
	case disturbs && (c.Level == cordon.Act || limit && infected(c)):
		add(cordon.VerbBlock, c.Detection.Target, life)
	case limit && (disturbs || policy != cordon.PolicyAsk):
		add(cordon.VerbLimit, c.Detection.Target, life)
	}
	if !disturbs {
		return actions
	}
	if c.Quarantine && mayQuarantine(c.Incident.Device) {
		add(cordon.VerbQuarantine, cordon.Target{}, QuarantineFor)
	}
	add(cordon.VerbNotify, cordon.Target{}, NoticeFor)
	return actions
}

// infected reports whether the device is known to be infected by something else
// than what it is just suspected of: then a first sign of a flood is enough.
func infected(c Case) bool {
	return c.Quarantine || slices.ContainsFunc(c.Incident.Marks, func(m cordon.Mark) bool {
		return m.Level == cordon.Act && m.Kind.Family() != c.Detection.Kind.Family()
	})
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
