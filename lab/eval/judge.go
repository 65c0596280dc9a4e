package eval

import (
	"fmt"
	"slices"
	"strings"
	"time"

	"cordon"
)

// State is how a check came out.
type State string

// The states. In all but the first four the check failed.
const (
	Found      State = "found"
	Kept       State = "kept"      // what may not be exceeded was not
	Unbuilt    State = "not built" // it needs a kind that no detector judges yet
	Extra      State = "extra"     // detected, and the truth says nothing about it
	Missed     State = "MISSED"
	FalseAlarm State = "FALSE ALARM"
	TooStrong  State = "TOO STRONG"
	TooWeak    State = "TOO WEAK"
	Unlisted   State = "TAKE OUT" // detected, though notbuilt.txt lists it
	Unreadable State = "ERROR"
)

// Failed reports whether s is a failure.
func (s State) Failed() bool { return s != Found && s != Kept && s != Unbuilt && s != Extra }

// What a check is about.
const (
	AboutMust    = "must"    // one of Kinds had to be detected
	AboutOutcome = "outcome" // the strongest level that an incident reached
	AboutAct     = "act"     // when an incident reached act
	AboutAlarm   = "alarm"   // detections that should not be
	AboutExtra   = "extra"   // detections that nobody asked for
	AboutBuilt   = "built"   // a kind that notbuilt.txt lists was detected
	AboutCapture = "capture" // it could not be read to its end
)

// Check is one thing that was checked of a capture. Zero fields do not apply.
type Check struct {
	About  string
	State  State
	Kinds  []cordon.Kind  // that were wanted, or the one that was detected
	Kind   cordon.Kind    // that was detected first
	Device string         // of the detection
	Level  cordon.Level   // of the detection, or that was reached
	Want   cordon.Level   // AboutOutcome
	At     *time.Duration // of the detection or the level, from the first packet
	Delay  *time.Duration // from when the truth says
	Count  int            // detections alike
	Text   string         // more, for people
}

// Verdict is how the judgement of one capture came out.
type Verdict struct {
	File, Run  string
	Benign     bool // the truth wants no incident, and something could be read
	Frames     uint64
	Length     time.Duration // first to last packet
	Devices    int           // of the home, the router not counted
	DeviceTime time.Duration // for how long devices were watched, summed over them
	Checks     []Check
}

// judge compares what the agent said with the truth.
func judge(r *recorder, e *Entry, notBuilt []cordon.Kind) []Check {
	var checks []Check
	partly := false
	for _, m := range e.Must {
		c := demand(r, &m, notBuilt)
		partly = partly || c.State == Unbuilt
		checks = append(checks, c)
	}
	checks = append(checks, outcome(r, e, partly))
	if e.Act != nil {
		checks = append(checks, actTime(r, e, partly))
	}
	checks = append(checks, others(r, e)...)
	return append(checks, unlisted(r, notBuilt)...)
}

// demand looks for what must be detected.
func demand(r *recorder, m *Must, notBuilt []cordon.Kind) Check {
	c := Check{About: AboutMust, Kinds: m.Any, State: Missed}
	var missed *seen // the first that fits but for its time
	for i := range r.detections {
		d := &r.detections[i]
		if !d.meant || !slices.Contains(m.Any, d.kind) || m.Subject != "" && m.Subject != d.subject {
			continue
		}
		if m.When == nil || m.When.holds(d.at) {
			c.State = Found
			c.detected(d, m.When)
			return c
		}
		if missed == nil {
			missed = d
		}
	}
	switch {
	case missed != nil:
		c.detected(missed, m.When)
		c.Text = "not in time"
	case !slices.ContainsFunc(m.Any, func(k cordon.Kind) bool { return !slices.Contains(notBuilt, k) }):
		c.State = Unbuilt
	}
	return c
}

func (c *Check) detected(d *seen, when *Window) {
	c.Kind, c.Device, c.Level = d.kind, d.device, d.level
	c.timed(d.at, when)
}

func (c *Check) timed(at time.Duration, when *Window) {
	c.At = &at
	if when != nil {
		delay := at - when.At
		c.Delay = &delay
	}
}

func (w *Window) holds(at time.Duration) bool { return at >= w.At-earlyBy && at <= w.At+w.Within }

// outcome compares the strongest level with the wanted one. partly means that a
// kind it may need is not built, so it need not be reached.
func outcome(r *recorder, e *Entry, partly bool) Check {
	c := Check{About: AboutOutcome, Want: e.Outcome, State: Found}
	for _, i := range r.incidents {
		if i.Level > c.Level && counts(i, e) {
			c.Level, c.Device = i.Level, i.Device.ID
			if at := r.reached(i, i.Level); at != nil {
				c.At = at
			}
		}
	}
	switch {
	case e.Open:
		c.State, c.Want = Kept, c.Level
	case c.Level > e.Outcome:
		c.State = TooStrong
	case c.Level < e.Outcome && partly:
		c.State = Unbuilt
	case c.Level < e.Outcome:
		c.State = TooWeak
	case e.Outcome == cordon.None:
		c.State = Kept
	}
	return c
}

// counts reports whether an incident has more in it than the truth excepts.
func counts(i *cordon.Incident, e *Entry) bool {
	return len(i.Kinds) == 0 || slices.ContainsFunc(i.Kinds, func(k cordon.Kind) bool { return !matchAny(e.Except, k) })
}

// reached returns when an incident reached a level, nil if it did not.
func (r *recorder) reached(i *cordon.Incident, level cordon.Level) *time.Duration {
	for _, raise := range i.Raised {
		if raise.Level >= level {
			at := r.since(raise.At)
			return &at
		}
	}
	return nil
}

// actTime checks when the first incident reached act.
func actTime(r *recorder, e *Entry, partly bool) Check {
	c := Check{About: AboutAct, State: Missed, Level: cordon.Act}
	for _, i := range r.incidents {
		if at := r.reached(i, cordon.Act); at != nil && (c.At == nil || *at < *c.At) {
			c.timed(*at, e.Act)
			c.Device = i.Device.ID
		}
	}
	switch {
	case c.At != nil && e.Act.holds(*c.At):
		c.State = Found
	case c.At != nil && *c.At < e.Act.At:
		c.Text = "too early"
	case partly:
		c.State = Unbuilt
	case c.At != nil:
		c.Text = "too late"
	}
	return c
}

// others returns the detections that should not be, and those that the truth says
// nothing about; those alike are one.
func others(r *recorder, e *Entry) (all []Check) {
	for i := range r.detections {
		d := &r.detections[i]
		c := Check{About: AboutAlarm, State: FalseAlarm, Kinds: []cordon.Kind{d.kind}}
		switch {
		case e.CleanUntil > 0 && d.at < e.CleanUntil:
			c.Text = fmt.Sprintf("before %g s", e.CleanUntil.Seconds())
		case matchAny(e.MustNot, d.kind) && !matchAny(e.Except, d.kind):
		case !d.meant || !e.demands(d.kind):
			c.About, c.State = AboutExtra, Extra
		default:
			continue
		}
		c.detected(d, nil)
		all = appendAlike(all, c)
	}
	return all
}

// demands reports whether some demand is met by kind k.
func (e *Entry) demands(k cordon.Kind) bool {
	return slices.ContainsFunc(e.Must, func(m Must) bool { return slices.Contains(m.Any, k) })
}

// appendAlike appends c, or counts it with one that differs only in its time.
func appendAlike(all []Check, c Check) []Check {
	k := slices.IndexFunc(all, func(o Check) bool {
		return o.About == c.About && o.Kind == c.Kind && o.Device == c.Device && o.Text == c.Text
	})
	if k < 0 {
		k, all = len(all), append(all, c)
	}
	all[k].Count++
	all[k].Level = max(all[k].Level, c.Level)
	return all
}

// unlisted returns the kinds that are detected though they count as not built.
func unlisted(r *recorder, notBuilt []cordon.Kind) (all []Check) {
	for i := range r.detections {
		d := &r.detections[i]
		if !slices.Contains(notBuilt, d.kind) || slices.ContainsFunc(all, func(c Check) bool { return c.Kind == d.kind }) {
			continue
		}
		c := Check{About: AboutBuilt, State: Unlisted, Kinds: []cordon.Kind{d.kind},
			Text: "detected: take it out of lab/eval/notbuilt.txt"}
		c.detected(d, nil)
		all = append(all, c)
	}
	return all
}

func matchAny(patterns []string, k cordon.Kind) bool {
	return slices.ContainsFunc(patterns, k.Match)
}

// wanted names the kinds of a check in one line.
func (c *Check) wanted() string {
	names := make([]string, len(c.Kinds))
	for i, k := range c.Kinds {
		names[i] = string(k)
	}
	return strings.Join(names, "|")
}
