package flood

import (
	"fmt"
	"math"
	"strconv"
	"time"

	"cordon"
)

// sign is one interval that looks like a flood.
type sign struct {
	vector *vector
	device *cordon.Device
	at     cordon.Time // the interval's end
	span   time.Duration
	rate   float64 // a second
	limit  float64 // the rate from which it is a flood
	turned bool    // a conversation whose other side has fallen silent
	back   float64 // what came back, as a share of what was let through
	most   float64 // the share below which it is a flood, 0: it does not matter
	target cordon.Target
	where  string // the target in words
	sample []byte // the domain that was asked for, if any; hostile text
}

// course is how a flood of one kind goes on.
type course struct {
	since   cordon.Time   // when the bad time began
	last    cordon.Time   // the end of its last interval
	bad     time.Duration // how much of the time since then was bad
	sure    time.Duration // and bad beyond doubt
	turned  bool
	stage   stage
	told    cordon.Time // when it was told last
	about   string      // the target that was told last, in words
	moves   int         // how often that changed
	repeats int         // how often it came back
}

type stage uint8

const (
	unseen stage = iota
	slowed
	confirmed
)

// The times of a course that need no tuning.
const (
	// pause is how long a flood may pause and still be the same run: one interval of
	// a second between two.
	pause = 1100 * time.Millisecond
	// sureAfter is how long a flood beyond doubt has to last: answers from anywhere
	// on the internet take less.
	sureAfter = 400 * time.Millisecond
	// renewEvery is how often a flood that goes on is told again.
	renewEvery = 20 * time.Second
	// maxMoves is how many targets a flood may have, one after the other, before it
	// is taken for one of everybody.
	maxMoves = 3
	// maxRepeats bounds the doubling.
	maxRepeats = 12
)

// follow takes a sign and tells of the flood when it is time.
func (d *Detector) follow(s *state, g *sign) {
	c := s.courses.Get(g.vector.kind, int64(g.at), maxCourses)
	d.goOn(c, g)
	if c.stage == unseen && !d.heard {
		return // a capture of one direction only
	}
	switch {
	case c.stage == unseen && c.repeats > 0 && c.bad >= min(sureAfter, g.span):
		d.escalate(c, g, confirmed) // it has done it before
	case c.stage == unseen && d.slow(c, g):
		d.escalate(c, g, slowed)
	case c.stage == slowed && g.rate >= g.vector.confirm*g.limit && c.bad >= max(d.cfg.Corroborate, g.vector.prove):
		d.escalate(c, g, confirmed)
	case c.stage > unseen && (g.at.Sub(c.told) >= renewEvery || c.moved(g)):
		d.tell(c, g)
	}
}

// goOn adds an interval to its course, or begins it anew.
func (d *Detector) goOn(c *course, g *sign) {
	begin := g.at.Add(-g.span)
	if c.last != 0 && begin.Sub(c.last) >= d.cfg.Quiet { // it was over
		old := *c
		*c = course{}
		if old.stage == confirmed && begin.Sub(old.last) < 2*d.cfg.Longest {
			c.repeats = min(old.repeats+1, maxRepeats)
		}
	}
	if c.last == 0 || begin.Sub(c.last) > pause {
		c.bad, c.sure, c.turned = 0, 0, g.turned
	}
	if c.since == 0 || c.stage == unseen && c.bad == 0 {
		c.since = begin
	}
	c.last = g.at
	c.bad += g.span
	if g.rate >= d.cfg.Sure*g.limit {
		c.sure += g.span
	}
}

// healthy notes an interval in which as much was sent and it was answered.
func (s *state) healthy(k cordon.Kind, at cordon.Time) {
	if c := s.courses.Peek(k, int64(at)); c != nil {
		c.bad, c.sure = 0, 0
	}
}

// slow reports whether a course is to be slowed down now.
func (d *Detector) slow(c *course, g *sign) bool {
	patience := time.Duration(0)
	if c.turned {
		patience = d.cfg.Patience
	}
	long := c.sure >= sureAfter+patience || c.bad >= d.cfg.Doubt+patience
	return long && !d.cfg.Down(g.device, g.at)
}

func (d *Detector) escalate(c *course, g *sign, to stage) {
	if to == slowed {
		c.bad = 0 // what follows corroborates
	}
	c.stage = to
	d.tell(c, g)
}

// moved reports whether the flood has another target now.
func (c *course) moved(g *sign) bool { return c.moves < maxMoves && g.where != c.about }

// tell reports where a course stands.
func (d *Detector) tell(c *course, g *sign) {
	if c.about != "" && c.moved(g) {
		c.moves++
	}
	c.told, c.about = g.at, g.where
	v := g.vector
	if c.moves >= maxMoves && v.proto != 0 {
		g.target, g.where = cordon.Target{Proto: v.proto}, everywhere
	}
	det := cordon.Detection{
		Kind: v.kind, Device: g.device, At: g.at, Since: c.since, Confirmed: c.stage == confirmed,
		Sentence: fmt.Sprintf(v.sentence, count(g.rate), g.where), Subject: g.where, Target: g.target, Rate: v.leave,
		Life:     min(d.cfg.Quiet<<c.repeats, d.cfg.Longest) + renewEvery,
		Evidence: []cordon.Evidence{{Name: v.what + " a second", Value: math.Round(g.rate), Threshold: g.limit, Unit: v.unit, Window: g.span}},
	}
	if g.most > 0 {
		det.Evidence = append(det.Evidence, cordon.Evidence{Name: "share that was answered", Value: math.Round(g.back*1e4) / 1e4, Threshold: g.most, Window: g.span})
	}
	if g.target.Zero() {
		det.Rate = cordon.Rate{}
	}
	if len(g.sample) > 0 {
		det.Samples = []string{string(g.sample)}
	}
	d.cfg.Report(det)
}

// everywhere is where a flood without one target goes.
const everywhere = "many places on the internet"

// count says a number as people do: two digits that matter.
func count(f float64) string {
	unit := math.Pow(10, max(0, math.Floor(math.Log10(max(f, 1)))-1))
	return strconv.FormatFloat(math.Round(f/unit)*unit, 'f', 0, 64)
}
