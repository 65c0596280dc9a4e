package fleet

import (
	"cmp"
	"crypto/sha256"
	"encoding/hex"
	"fmt"
	"strings"
	"time"

	"cordon"
)

// The numbers of the breaker. detection.md §A5 ("Circuit breaker", "Operating
// discipline") is the source of all that say so.
const (
	// newShare of the homes begin to fire within newWindow, without corroboration (§A5).
	newShare  = 0.001
	newWindow = 5 * time.Minute
	// wideShare of the homes begin to fire within wideWindow, corroborated or not (§A5).
	wideShare  = 0.005
	wideWindow = 10 * time.Minute
	// blockShare of the homes begin to be blocked within newWindow (§A5).
	blockShare = 0.001
	// overruledShare of the homes in which a rule fired within a week say that it was
	// wrong (§A5).
	overruledShare = 0.20

	// partShare is for homes that have a model or a version of the agent, of which there
	// may be few: a firmware update that trips every home of a rare model is no
	// thousandth of all homes. Ours.
	partShare = 0.05
	// minHomes is how many homes must fire in any case: a thousandth of 10,000, below
	// which no share of homes can tell an error bound of 10⁻⁴ from chance. So a small
	// fleet is judged as one of 10,000 homes. Ours.
	minHomes = 10
	// minOverruled is how many homes must overrule in any case. Ours.
	minOverruled = 5

	// quiet is how long a rule must have been silent in a home so that it begins anew:
	// a home that is infected for days does not count each time that it says so. Ours.
	quiet = 24 * time.Hour
	// near is how far apart detections of one device may be to support each other. Ours.
	near = time.Hour
	// remembered is how long a firing counts for overruledShare.
	remembered = 7 * 24 * time.Hour

	// shadowLife is how long a rule stays in shadow; it is prolonged while it still fires
	// as widely. overruledLife is for one that people overruled.
	shadowLife    = 24 * time.Hour
	overruledLife = 7 * 24 * time.Hour
	// maxNarrow is how many models or versions of one kind are told apart; more of them
	// have something else in common. Ours.
	maxNarrow = 3
	// liftedLife is how long the breaker leaves a rule alone that somebody took out of
	// its shadow (the human release of §A5).
	liftedLife = 24 * time.Hour
)

// Rule is what the breaker judges: a kind of detection, of devices of a model, made by a
// version of the agent. Empty: any.
type Rule struct {
	Kind  cordon.Kind
	Model string
	Agent string
}

// String names the rule in records.
func (r Rule) String() string { return fmt.Sprintf("%s, model %q, agent %q", r.Kind, r.Model, r.Agent) }

// compare orders rules for lists.
func (r Rule) compare(o Rule) int {
	return cmp.Or(cmp.Compare(r.Kind, o.Kind), cmp.Compare(r.Model, o.Model), cmp.Compare(r.Agent, o.Agent))
}

// parseRule reads the object of a line of the record that trip wrote.
func parseRule(object string) (r Rule, ok bool) {
	text, ok := strings.CutPrefix(object, "rule ")
	kind, rest, ok2 := strings.Cut(text, ", ")
	_, err := fmt.Sscanf(rest, "model %q, agent %q", &r.Model, &r.Agent)
	r.Kind = cordon.Kind(kind)
	return r, ok && ok2 && err == nil
}

// id names the shadow of the rule: the same for all instances of core, which may trip at
// the same time.
func (r Rule) id() string {
	sum := sha256.Sum256([]byte(r.String()))
	return "breaker-" + hex.EncodeToString(sum[:10])
}

// wider returns the rules that r is part of, narrowest first, with itself: what fires
// for one model under all versions is a firmware, for all models of one version an
// agent's fault.
func (r Rule) wider() []Rule {
	all := make([]Rule, 0, 4)
	if r.Model != "" {
		all = append(all, r, Rule{r.Kind, r.Model, ""})
	}
	return append(all, Rule{r.Kind, "", r.Agent}, Rule{r.Kind, "", ""})
}

// trusted reports whether a detection has an error bound of its own that no number of
// homes makes worse, so that an epidemic is not silenced: the scanner's own signature,
// and indicators of high confidence (§A5, "unless seq/IoC-high"). Only people put those
// into shadow.
func trusted(k cordon.Kind, confirmed bool) bool {
	return confirmed && (k == cordon.ScanMirai || k == cordon.C2Indicator)
}

// judged reports whether a family is judged at all. A device's posture is a fact and not a
// judgement: the first day of a new agent finds it in a third of all homes.
func judged(f cordon.Family) bool { return f != cordon.FamilyPosture }

// Census is how many homes there are.
type Census struct {
	Homes  int            // whose router is connected
	Models map[string]int // homes in which a device of that model lives
	Agents map[string]int // homes with that version of the agent
}

// limit returns from how many homes on share of the homes is too much for r.
func (c *Census) limit(r Rule, share float64) int {
	most := float64(c.Homes) * share
	for _, part := range []struct {
		name  string
		homes map[string]int
	}{{r.Model, c.Models}, {r.Agent, c.Agents}} {
		if n := part.homes[part.name]; part.name != "" && n > 0 {
			most = min(most, float64(n)*max(share, partShare))
		}
	}
	return max(minHomes, int(most)+1)
}
