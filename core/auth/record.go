package auth

import (
	"cmp"
	"context"
	"errors"
	"fmt"
	"slices"
	"time"

	"cordon"
	"cordon/internal/ident"
)

// line is what a line of the record says besides who, when and from where.
type line struct {
	verb   Verb
	on     Object
	object string // "device 02:00:…"
	reason string
}

// recorded writes down that s did l, or why not, and returns err. When it could not
// be written down, what was done is reported as not done: nobody works unseen.
func (a *Auth) recorded(ctx context.Context, s Subject, l line, err error) error {
	result := "ok"
	if err != nil {
		result = err.Error()
	}
	// Who goes away in the middle of a request is recorded all the same.
	ctx, cancel := context.WithTimeout(context.WithoutCancel(ctx), 5*time.Second)
	defer cancel()
	audit := cordon.Audit{ID: ident.New(a.cfg.Now()), At: a.now(), User: s.User, Who: s.Name, Role: s.Role(), Verb: string(l.verb),
		Account: l.on.Account, Site: l.on.Site, Object: l.object, Reason: l.reason, Result: result, Addr: addr(s)}
	if failed := a.cfg.Store.Audit(ctx, audit); failed != nil {
		return errors.Join(err, fmt.Errorf("record %s: %w", l.verb, failed))
	}
	return err
}

// Times and bounds of cases.
const (
	// caseLife is how long a case stays open: a working day.
	caseLife = 12 * time.Hour
	// minReason keeps reasons from being a dot, in characters.
	minReason = 10
	maxReason = 500
	maxCases  = 100
)

// caseOpened and caseClosed are how the record calls the two ends of a case. The record
// is where cases are kept, so that none is open without its line.
const (
	caseOpened Verb = CaseOpen
	caseClosed Verb = "case.close"
)

// OpenCase lets one of the provider's people see one home by name for 12 hours.
func (a *Auth) OpenCase(ctx context.Context, o Object, reason string) (Case, error) {
	s := From(ctx)
	if err := May(s, CaseOpen, o); err != nil {
		return Case{}, a.recorded(ctx, s, line{verb: caseOpened, on: o, object: "site " + o.Site, reason: reason}, err)
	}
	if n := len([]rune(reason)); o.Site == "" || o.Account == "" || n < minReason || n > maxReason {
		return Case{}, fmt.Errorf("case: want a site and a reason of %d to %d characters: %w", minReason, maxReason, cordon.ErrInvalid)
	}
	now := a.now()
	c := Case{Site: o.Site, Account: o.Account, Reason: reason, Opened: now, Expires: now.Add(caseLife)}
	return c, a.recorded(ctx, s, line{verb: caseOpened, on: o, object: "site " + o.Site, reason: reason}, nil)
}

// CloseCase ends a case before its time.
func (a *Auth) CloseCase(ctx context.Context, o Object) error {
	s := From(ctx)
	if err := May(s, CaseOpen, o); err != nil {
		return err
	}
	return a.recorded(ctx, s, line{verb: caseClosed, on: o, object: "site " + o.Site}, nil)
}

// cases returns the open cases of user.
func (a *Auth) cases(ctx context.Context, user string) ([]Case, error) {
	now := a.now()
	since := cordon.Query{User: user, Since: now.Add(-caseLife), Limit: cordon.MaxLimit}
	open := make(map[string]Case)
	closed := make(map[string]cordon.Time)
	for _, verb := range []Verb{caseOpened, caseClosed} {
		q := since
		q.Verb = string(verb)
		page, err := a.cfg.Store.Audits(ctx, cordon.Scope{All: true}, q)
		if err != nil {
			return nil, fmt.Errorf("cases of %s: %w", user, err)
		}
		for _, l := range page.Items {
			switch {
			case l.User != user || l.Verb != string(verb) || l.Result != "ok" || l.At.Add(caseLife) <= now:
			case verb == caseClosed:
				closed[l.Site] = max(closed[l.Site], l.At)
			case l.At > open[l.Site].Opened:
				open[l.Site] = Case{Site: l.Site, Account: l.Account, Reason: l.Reason, Opened: l.At, Expires: l.At.Add(caseLife)}
			}
		}
	}
	var list []Case
	for site, c := range open {
		if closed[site] < c.Opened {
			list = append(list, c)
		}
	}
	list = newestFirst(list, func(c Case) cordon.Time { return c.Opened })
	return list[:min(len(list), maxCases)], nil
}

// newestFirst sorts list by time.
func newestFirst[T any](list []T, at func(T) cordon.Time) []T {
	slices.SortFunc(list, func(x, y T) int { return cmp.Compare(at(y), at(x)) })
	return list
}

// addr writes where s came from.
func addr(s Subject) string {
	if s.Addr.IsValid() {
		return s.Addr.String()
	}
	return ""
}
