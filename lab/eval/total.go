package eval

import (
	"slices"
	"time"

	"cordon"
)

// Report is how the judgement of all captures came out.
type Report struct {
	Verdicts []Verdict // run by run, each in the order of the truth
}

// Total is one run's Verdicts, added up.
type Total struct {
	Run      string
	Captures int
	Missed   int // demands, outcomes and times of act that failed
	Alarms   int // false alarms, those alike counted each
	Unbuilt  int // checks that need a kind that is not built
	Errors   int // captures that could not be read, kinds wrongly listed as not built
	Kinds    []KindTotal
	Benign   Benign
}

// KindTotal is how often a kind, or one of several, was wanted and what came of it.
type KindTotal struct {
	Name                   string // of the kinds, "|" between them
	Found, Missed, Unbuilt int
	Delays                 []time.Duration // of those found, in order of size
}

// Benign is the false alarms on captures of which the truth wants no incident.
type Benign struct {
	Captures   int
	DeviceTime time.Duration
	Alarms     int // detections of any level
	Disturbing int // those at notify or act
}

// PerDay is n per day of device time; 0 when there was none.
func (b *Benign) PerDay(n int) float64 {
	if b.DeviceTime <= 0 {
		return 0
	}
	return float64(n) / b.days()
}

func (b *Benign) days() float64 { return b.DeviceTime.Hours() / 24 }

// Failed reports whether a built kind failed anywhere, or anything else did; with
// strict also whether a kind is not built that the truth demands.
func (r *Report) Failed(strict bool) bool {
	return slices.ContainsFunc(r.Verdicts, func(v Verdict) bool {
		return slices.ContainsFunc(v.Checks, func(c Check) bool {
			return c.State.Failed() || strict && c.State == Unbuilt
		})
	})
}

// Totals adds up, run by run.
func (r *Report) Totals() (all []Total) {
	for _, v := range r.Verdicts {
		if len(all) == 0 || all[len(all)-1].Run != v.Run {
			all = append(all, Total{Run: v.Run})
		}
		all[len(all)-1].add(&v)
	}
	for _, t := range all {
		for _, k := range t.Kinds {
			slices.Sort(k.Delays)
		}
	}
	return all
}

func (t *Total) add(v *Verdict) {
	t.Captures++
	if v.Benign {
		t.Benign.Captures++
		t.Benign.DeviceTime += v.DeviceTime
	}
	for i := range v.Checks {
		c := &v.Checks[i]
		switch c.State {
		case Missed, TooWeak, TooStrong:
			t.Missed++
		case FalseAlarm:
			t.Alarms += c.Count
		case Unbuilt:
			t.Unbuilt++
		case Unlisted, Unreadable:
			t.Errors++
		}
		if c.About == AboutMust {
			t.kind(c)
		}
		if v.Benign && c.State == FalseAlarm {
			t.Benign.Alarms += c.Count
			if c.Level >= cordon.Notify {
				t.Benign.Disturbing += c.Count
			}
		}
	}
}

func (t *Total) kind(c *Check) {
	name := c.wanted()
	i := slices.IndexFunc(t.Kinds, func(k KindTotal) bool { return k.Name == name })
	if i < 0 {
		i = len(t.Kinds)
		t.Kinds = append(t.Kinds, KindTotal{Name: name})
	}
	k := &t.Kinds[i]
	switch c.State {
	case Found:
		k.Found++
		if c.Delay != nil {
			k.Delays = append(k.Delays, *c.Delay)
		}
	case Missed:
		k.Missed++
	case Unbuilt:
		k.Unbuilt++
	}
}

// Median returns the middle delay, or the mean of the two in the middle; false
// when nothing was found that has a time.
func (k *KindTotal) Median() (time.Duration, bool) {
	n := len(k.Delays)
	if n == 0 {
		return 0, false
	}
	return (k.Delays[(n-1)/2] + k.Delays[n/2]) / 2, true
}

// Max returns the longest delay, as Median does.
func (k *KindTotal) Max() (time.Duration, bool) {
	if len(k.Delays) == 0 {
		return 0, false
	}
	return k.Delays[len(k.Delays)-1], true
}
