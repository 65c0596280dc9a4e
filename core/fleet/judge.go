package fleet

import (
	"context"
	"errors"
	"fmt"
	"maps"
	"slices"
	"strings"
	"time"

	"cordon"
	"cordon/internal/ident"
)

// verdict is a rule that goes into shadow.
type verdict struct {
	rule   Rule
	reason string
	life   time.Duration
}

// judge puts into shadow what fires too widely.
func (b *Breaker) judge(ctx context.Context, now cordon.Time) error {
	list, _, err := b.cfg.Store.Shadows(ctx)
	if err != nil {
		return fmt.Errorf("shadows: %w", err)
	}
	b.notice(list, now)
	b.book.settle(now)
	verdicts := b.verdicts(list, now)
	for _, v := range verdicts {
		b.cfg.Log.WarnContext(ctx, "rule fires too widely", "kind", v.rule.Kind, "model", v.rule.Model, "agent", v.rule.Agent,
			"reason", v.reason, "watch", b.cfg.Watch)
		if b.cfg.Watch {
			b.lifted[v.rule] = now.Add(liftedLife) // said once
			continue
		}
		if err := b.trip(ctx, v, now); err != nil {
			return err
		}
		b.unsent = true
	}
	if b.unsent {
		if err := b.cfg.Push(ctx); err != nil {
			return fmt.Errorf("push shadows: %w", err)
		}
		b.unsent = false
	}
	return nil
}

// notice sees which of the breaker's shadows somebody lifted before their time.
func (b *Breaker) notice(list []cordon.Shadow, now cordon.Time) {
	for _, s := range list {
		if s.By == "" {
			b.own[s.ID] = s
		}
	}
	for id, s := range b.own {
		if slices.ContainsFunc(list, func(x cordon.Shadow) bool { return x.ID == id }) {
			continue
		}
		delete(b.own, id)
		if s.Expires > now {
			b.lifted[Rule{s.Kind, s.Model, s.Agent}] = now.Add(liftedLife)
		}
	}
	for r, until := range b.lifted {
		if until <= now {
			delete(b.lifted, r)
		}
	}
}

// verdicts returns what must go into shadow besides what lies there: the narrowest rules
// that explain it, in a stable order, and first the shadows that end soon and whose rules
// still fire as widely.
func (b *Breaker) verdicts(list []cordon.Shadow, now cordon.Time) (found []verdict) {
	slow := make(map[cordon.Kind]bool)
	for i := range list {
		if endsSoon(&list[i], now) {
			slow[list[i].Kind] = true
		}
	}
	covered := func(r Rule) bool {
		return slices.ContainsFunc(list, func(s cordon.Shadow) bool {
			return !endsSoon(&s, now) && s.Expires > now && s.Covers(r.Kind, r.Model, r.Agent)
		}) ||
			slices.ContainsFunc(found, func(v verdict) bool { return v.rule.covers(r) }) || b.isLifted(r)
	}
	tallies := b.book.tallies(now, covered, slow)
	for i := range list {
		s := &list[i]
		r := Rule{s.Kind, s.Model, s.Agent}
		if t := tallies[r]; t != nil && endsSoon(s, now) && t.active >= b.census.limit(r, newShare) {
			found = append(found, verdict{r, fmt.Sprintf("still fires in %d of %d homes; first: %s", t.active, b.census.Homes, first(s.Reason)), shadowLife})
		}
	}
	explained := 0
	for width := range 4 {
		if len(found) > explained { // what they cover does not count any more
			tallies, explained = b.book.tallies(now, covered, slow), len(found)
		}
		var wide []verdict
		for _, r := range sorted(tallies) {
			if r.width() != width || b.isLifted(r) {
				continue
			}
			if v, ok := b.verdict(r, tallies[r]); ok {
				wide = append(wide, v)
			}
		}
		found = append(found, wide...)
	}
	return common(found)
}

// endsSoon reports whether one of the breaker's own shadows ends within newWindow.
func endsSoon(s *cordon.Shadow, now cordon.Time) bool {
	return s.By == "" && s.Expires > now && s.Expires.Sub(now) <= newWindow
}

// first returns the reason for which a shadow was laid, without those for which it was
// prolonged.
func first(reason string) string {
	if _, r, ok := strings.Cut(reason, "first: "); ok {
		return r
	}
	return reason
}

// common replaces more than maxNarrow verdicts on one kind by one on what they have in
// common.
func common(all []verdict) []verdict {
	for _, v := range slices.Clone(all) {
		same := func(x verdict) bool { return x.rule.Kind == v.rule.Kind }
		wide, n := v, 0
		for _, x := range all {
			if !same(x) {
				continue
			}
			n++
			if x.rule.Model != wide.rule.Model {
				wide.rule.Model = ""
			}
			if x.rule.Agent != wide.rule.Agent {
				wide.rule.Agent = ""
			}
			wide.life = max(wide.life, x.life)
		}
		if n > maxNarrow {
			wide.reason = fmt.Sprintf("%d rules of the kind at once; %s: %s", n, v.rule, v.reason)
			all = append(slices.DeleteFunc(all, same), wide)
		}
	}
	return all
}

// verdict judges one rule.
func (b *Breaker) verdict(r Rule, t *tally) (verdict, bool) {
	say := func(n int, what string, share float64, window time.Duration) string {
		return fmt.Sprintf("%s in %d of %d homes within %s; %d are too many (%.1f %% of homes, at least %d)",
			what, n, b.census.Homes, cordon.Span(window), b.census.limit(r, share), share*100, minHomes)
	}
	switch {
	case t.fresh >= b.census.limit(r, newShare):
		return verdict{r, say(t.fresh, "began, with nothing else to support it,", newShare, newWindow), shadowLife}, true
	case t.blocked >= b.census.limit(r, blockShare):
		return verdict{r, say(t.blocked, "blocked devices", blockShare, newWindow), shadowLife}, true
	case t.wide >= b.census.limit(r, wideShare):
		return verdict{r, say(t.wide, "began", wideShare, wideWindow), shadowLife}, true
	case t.overruled >= minOverruled && float64(t.overruled) > overruledShare*float64(t.fired):
		return verdict{r, fmt.Sprintf("overruled in %d of the %d homes in which it fired within a week; more than %.0f %% are too many",
			t.overruled, t.fired, overruledShare*100), overruledLife}, true
	}
	return verdict{}, false
}

// errLies means that the shadow lies already: another instance of core was faster.
var errLies = errors.New("rule is in shadow")

// trip puts a rule into shadow, or prolongs that.
func (b *Breaker) trip(ctx context.Context, v verdict, now cordon.Time) error {
	s := cordon.Shadow{ID: v.rule.id(), Kind: v.rule.Kind, Model: v.rule.Model, Agent: v.rule.Agent, Reason: v.reason, At: now, Expires: now.Add(v.life)}
	audit := cordon.Audit{ID: ident.New(now.Std()), At: now, Who: "circuit breaker", Verb: tripped, Object: "rule " + v.rule.String(), Reason: v.reason, Result: "ok"}
	_, err := b.cfg.Store.ChangeShadows(ctx, audit, func(list []cordon.Shadow) ([]cordon.Shadow, error) {
		list = slices.DeleteFunc(slices.Clone(list), func(x cordon.Shadow) bool { return x.Expires <= now })
		if i := slices.IndexFunc(list, func(x cordon.Shadow) bool { return x.ID == s.ID }); i >= 0 {
			if !endsSoon(&list[i], now) {
				s = list[i]
				return nil, errLies
			}
			s.At = list[i].At
			list[i] = s
			return list, nil
		}
		if len(list) >= maxShadows {
			return nil, fmt.Errorf("%d rules are in shadow: %w", len(list), cordon.ErrConflict)
		}
		return append(list, s), nil
	})
	if err != nil && !errors.Is(err, errLies) {
		return fmt.Errorf("put %s into shadow: %w", v.rule, err)
	}
	b.own[s.ID] = s
	return nil
}

// isLifted reports whether somebody took r, or what it is part of, out of its shadow.
func (b *Breaker) isLifted(r Rule) bool {
	for l := range b.lifted {
		if l.covers(r) {
			return true
		}
	}
	return false
}

// covers reports whether o is part of r.
func (r Rule) covers(o Rule) bool {
	return r.Kind == o.Kind && (r.Model == "" || r.Model == o.Model) && (r.Agent == "" || r.Agent == o.Agent)
}

// width orders rules from narrow to wide: model and version, model, version, neither.
func (r Rule) width() int {
	w := 0
	if r.Agent == "" {
		w++
	}
	if r.Model == "" {
		w += 2
	}
	return w
}

// sorted returns the rules of tallies in a stable order.
func sorted(tallies map[Rule]*tally) []Rule {
	return slices.SortedFunc(maps.Keys(tallies), Rule.compare)
}
