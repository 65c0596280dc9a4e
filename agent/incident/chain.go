package incident

import (
	"fmt"
	"strings"
	"time"

	"cordon"
)

// chainWithin is how long the next step of an infection may take. Mirai's loader
// is in, has loaded and scans within half a minute; ten minutes leave room for
// slow devices (detection.md §A2).
const chainWithin = 10 * time.Minute

// step is a part of an infection, in the order in which they happen.
type step int

// The steps.
const (
	stepEntry  step = iota // somebody gets in: guessing, a known hole
	stepLoad               // a program is fetched
	stepActive             // the device scans, guesses, attacks, or talks to a command server
	steps
)

var stepNames = [steps]string{"somebody from outside tried to get in", "a program was fetched", "the device began to misbehave"}

// chain judges infection.chain: each step by itself is weak, in order and close
// together they are conclusive.
type chain struct {
	begun [steps]cordon.Time // when the step began
	at    [steps]cordon.Time // when it was last seen; 0 not yet
	what  [steps]cordon.Kind
	told  bool
}

// stepOf returns the step that a detection is, false if it is none.
func stepOf(d *cordon.Detection) (step, bool) {
	switch d.Kind {
	case cordon.BruteforceInbound:
		return stepEntry, true
	case cordon.ExploitAttempt:
		if !d.Confirmed { // against the device
			return stepEntry, true
		}
		return stepActive, true
	case cordon.ExploitDownloader:
		return stepLoad, true
	case cordon.ScanLateral, cordon.ScanVertical, cordon.InfectionChain:
		return 0, false
	}
	switch d.Kind.Family() {
	case cordon.FamilyScan, cordon.FamilyC2, cordon.FamilyDoS, cordon.FamilyAccess:
		return stepActive, true
	}
	return 0, false
}

// add takes a detection and returns infection.chain when it completes one.
func (c *chain) add(d *cordon.Detection) *cordon.Detection {
	s, ok := stepOf(d)
	if !ok || c.told {
		return nil
	}
	if s > 0 && (c.at[s-1] == 0 || d.Since < c.begun[s-1] || d.Since.Sub(c.at[s-1]) > chainWithin) {
		return nil
	}
	c.begun[s], c.at[s], c.what[s] = d.Since, d.At, d.Kind
	if s != stepActive {
		return nil
	}
	c.told = true
	return c.detection(d)
}

func (c *chain) detection(d *cordon.Detection) *cordon.Detection {
	var story []string
	evidence := make([]cordon.Evidence, 0, steps)
	for s := range steps {
		story = append(story, stepNames[s])
		evidence = append(evidence, cordon.Evidence{Name: fmt.Sprintf("step %d: %s", s+1, c.what[s]), Value: 1, Threshold: 1,
			Unit: "seen", Window: d.At.Sub(c.at[s])})
	}
	return &cordon.Detection{
		Kind: cordon.InfectionChain, Device: d.Device, At: d.At, Since: c.begun[stepLoad], Confirmed: true,
		Sentence: fmt.Sprintf("It has been infected: %s, all within %s.", strings.Join(story, ", then "), cordon.Span(d.At.Sub(c.begun[stepEntry]))),
		Subject:  "infection", Evidence: evidence,
	}
}
