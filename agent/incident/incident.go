// Package incident puts the detections about one device together into its story
// and decides how serious it is.
//
// Detections come in; incidents go out, each with a level, the odds that the
// device is infected, a time line and plain sentences. There are two ways to a
// level, kept apart (detection.md §A5, "Decision"). A confirmed detection has an
// error bound of its own kind, small enough for a scoped, reversible action or
// for a message. Cutting the whole device off takes more: log-odds of 0.99, which
// Mirai's unmistakable scan reaches alone and every other kind only together with
// other families.
package incident

import (
	"crypto/sha256"
	"encoding/hex"
	"fmt"
	"math"
	"slices"
	"time"

	"cordon"
	"cordon/internal/slots"
)

// The fusion's parameters.
const (
	// prior is the log-odds that a device is infected before anything was seen:
	// one in ten thousand.
	prior = -9.21034 // ln 10⁻⁴
	// halfLife is how fast evidence fades, the prior does not.
	halfLife = 6 * time.Hour
	// QuarantineOdds is a probability of infection of 0.99.
	QuarantineOdds = 4.6
	// notifyOdds is even odds; it takes two families to be told at them.
	notifyOdds     = 0.0
	notifyFamilies = 2
	// unconfirmed is the share of a kind's weight that a first sign has.
	unconfirmed = 1.0 / 3
)

// quiet is how long nothing must be seen for an incident to be over.
const quiet = 24 * time.Hour

// maxMoments bounds a time line; repetitions are counted, not listed.
const maxMoments = 64

// maxTold bounds the actions that the story names.
const maxTold = 6

// Decision is what a detection did to its incident.
type Decision struct {
	Incident *cordon.Incident
	// Level is what the detection's own error bound allows by itself.
	Level cordon.Level
	// Quarantine means that the evidence of all families together suffices to
	// cut the device off, if its class allows that.
	Quarantine bool
	// Chain is set when the detection completes the story of an infection: a
	// detection of its own, to be filed next.
	Chain *cordon.Detection
}

// Config configures a Book.
type Config struct {
	// Closed is told of every incident that is over. The incident is not changed
	// afterwards.
	Closed func(*cordon.Incident)
}

// Book keeps the open incidents, one per device. It is owned by one goroutine.
type Book struct {
	cfg   Config
	cases slots.Table[casefile]
	open  []*casefile
}

type casefile struct {
	cordon.Incident
	families map[cordon.Family]evidence
	actions  []string
	chain    chain
}

// evidence is the strongest evidence of one family.
type evidence struct {
	weight float64
	at     cordon.Time
}

// New returns an empty Book.
func New(cfg Config) *Book { return &Book{cfg: cfg} }

// Add files a detection with its device's incident, opening one if needed.
func (b *Book) Add(d *cordon.Detection) Decision {
	c := b.cases.Get(d.Device.Slot, d.Device.Generation)
	if c.ID != "" && d.At.Sub(c.Last) > quiet {
		b.close(c)
	}
	if c.ID == "" {
		c.Device, c.Opened = d.Device, d.Since
		c.ID = ID("inc", d.Device.ID, d.Since.String(), string(d.Kind))
		c.families = make(map[cordon.Family]evidence)
		b.open = append(b.open, c)
	}
	c.Opened, c.Last = min(c.Opened, d.Since), d.At
	if !slices.Contains(c.Kinds, d.Kind) {
		c.Kinds = append(c.Kinds, d.Kind)
	}
	c.weigh(d)
	dec := Decision{Incident: &c.Incident, Level: Level(d), Quarantine: c.Odds >= QuarantineOdds}
	c.mark(d, dec.Level)
	c.raise(max(dec.Level, c.fused()), d.At)
	c.tell(cordon.Moment{At: d.At, Level: dec.Level, Kind: d.Kind, Technique: d.Kind.Technique(), Subject: d.Subject, Text: d.Sentence, Ref: d.ID})
	c.Story = c.story()
	dec.Chain = c.chain.add(d)
	return dec
}

// Acted notes an action in the time line of its incident.
func (b *Book) Acted(d *cordon.Device, a *cordon.Action) {
	c := b.cases.Get(d.Slot, d.Generation)
	if c.ID != a.Incident {
		return
	}
	if !slices.Contains(c.Verbs, a.Verb) {
		c.Verbs = append(c.Verbs, a.Verb)
	}
	if a.Verb != cordon.VerbNotify || a.Mode == cordon.ModeWould {
		c.Mode = a.Mode
	}
	if c.tell(cordon.Moment{At: a.At, Level: c.Level, Text: Sentence(a), Ref: a.ID}) && len(c.actions) < maxTold {
		c.actions = append(c.actions, Sentence(a))
	}
	c.Story = c.story()
}

// Advance closes the incidents that have been quiet for long enough.
func (b *Book) Advance(now cordon.Time) {
	for _, c := range slices.Clone(b.open) {
		if now.Sub(c.Last) > quiet {
			b.close(c)
		}
	}
}

// Forget closes the incident of a device whose record is about to go.
func (b *Book) Forget(d *cordon.Device) {
	if c := b.cases.Get(d.Slot, d.Generation); c.ID != "" {
		b.close(c)
	}
}

// Open returns the open incidents in the order in which they were opened. They are
// the Book's: the caller may look at them until the next call, and copy them.
func (b *Book) Open() []*cordon.Incident {
	all := make([]*cordon.Incident, len(b.open))
	for i, c := range b.open {
		all[i] = &c.Incident
	}
	return all
}

// Close closes every incident, at the end of a capture, in the order in which
// they were opened.
func (b *Book) Close() {
	for len(b.open) > 0 {
		b.close(b.open[0])
	}
}

func (b *Book) close(c *casefile) {
	over := c.Incident
	*c = casefile{}
	b.open = slices.DeleteFunc(b.open, func(o *casefile) bool { return o == c })
	b.cfg.Closed(&over)
}

// weigh adds a detection to the evidence. A family counts once, with its
// strongest evidence; the sum fades, the prior does not.
func (c *casefile) weigh(d *cordon.Detection) {
	w := rules[d.Kind].weight
	if !d.Confirmed {
		w *= unconfirmed
	}
	f := d.Kind.Family()
	if d.Kind == cordon.InfectionChain {
		f = familyChain // what the order of things tells, on top of the things
	}
	if old := c.families[f]; w >= faded(old, d.At) {
		c.families[f] = evidence{w, d.At}
	}
	c.Odds = prior
	for _, f := range families {
		c.Odds += faded(c.families[f], d.At)
	}
	// Processors differ in the last bits (fused multiply-add); what is decided
	// and told must not.
	c.Odds = math.Round(c.Odds*1e4) / 1e4
}

// families fixes the order in which evidence is added, so that the sum is the
// same to the last bit however the map is laid out.
var families = []cordon.Family{cordon.FamilyScan, cordon.FamilyAccess, cordon.FamilyC2, cordon.FamilyDoS,
	cordon.FamilyAbuse, cordon.FamilyProfile, cordon.FamilyPosture, familyChain}

// familyChain counts infection.chain besides the detections that it consists of.
const familyChain cordon.Family = "chain"

func faded(e evidence, now cordon.Time) float64 {
	return e.weight * math.Exp2(-float64(now.Sub(e.at))/float64(halfLife))
}

// fused returns the level that the evidence of all families gives.
func (c *casefile) fused() cordon.Level {
	switch {
	case c.Odds >= QuarantineOdds:
		return cordon.Act
	case c.Odds >= notifyOdds && len(c.families) >= notifyFamilies:
		return cordon.Notify
	}
	return cordon.Watch
}

// mark notes a kind that is worth telling somebody: by its own bound, or because
// the odds say so with it, as they do with a chain.
func (c *casefile) mark(d *cordon.Detection, alone cordon.Level) {
	if alone < cordon.Notify && !(d.Confirmed && d.Kind == cordon.InfectionChain) {
		return
	}
	for i := range c.Marks {
		if c.Marks[i].Kind == d.Kind {
			return
		}
	}
	c.Marks = append(c.Marks, cordon.Mark{Kind: d.Kind, Level: max(alone, cordon.Notify), Since: d.Since})
}

func (c *casefile) raise(l cordon.Level, at cordon.Time) {
	if l > c.Level {
		c.Level = l
		c.Raised = append(c.Raised, cordon.Raise{Level: l, At: at})
	}
}

// tell adds a line to the time line, or counts it with the line that already
// says so, and reports whether it said something new.
func (c *casefile) tell(m cordon.Moment) bool {
	m.Count = 1
	for i := range c.Timeline {
		old := &c.Timeline[i]
		if m.Kind != "" && old.Kind == m.Kind && old.Level == m.Level && old.Subject == m.Subject ||
			m.Kind == "" && old.Ref == m.Ref {
			old.Count++
			return false
		}
	}
	if len(c.Timeline) == maxMoments {
		c.Omitted++
		return false
	}
	c.Timeline = append(c.Timeline, m)
	return true
}

// ID makes a short stable id out of what it stands for: the same capture gives
// the same ids.
func ID(prefix string, parts ...string) string {
	h := sha256.New()
	for _, p := range parts {
		fmt.Fprintf(h, "%d:%s", len(p), p)
	}
	return prefix + "-" + hex.EncodeToString(h.Sum(nil)[:5])
}
