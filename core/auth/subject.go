package auth

import (
	"context"
	"errors"
	"fmt"
	"net/netip"
	"slices"

	"cordon"
)

// Subject is who wants something. The zero Subject is nobody, and may nothing.
type Subject struct {
	User   string // User.ID; empty: nobody
	Name   string // as a person reads it
	Grants []cordon.Grant
	Cases  []Case // that are open
	Way    Way
	Key    string      // id of the session or token
	Since  cordon.Time // of the log-in; of a token: when it was made
	Addr   netip.Addr  // where the request came from, as trusted proxies say
	Agent  string      // the browser; hostile text
}

// Case is the permission of one of the provider's people to see one home by name.
type Case struct {
	Site    string
	Account string
	Reason  string
	Opened  cordon.Time
	Expires cordon.Time
}

// Way is how a request proved who it is from.
type Way string

// The ways.
const (
	ByNobody  Way = ""
	BySession Way = "session"
	ByToken   Way = "token"
	ByCore    Way = "core" // core itself, at the order of who runs it
)

// Core returns the subject of core's own command line: an administrator who has no
// record of his own.
func Core(who string) Subject {
	return Subject{User: "core", Name: who, Grants: []cordon.Grant{{Role: cordon.RoleAdministrator}}, Way: ByCore}
}

// Role returns the role that counts most, for the record of changes; empty for nobody.
func (s Subject) Role() cordon.Role {
	for _, r := range slices.Backward(cordon.Roles) {
		if slices.ContainsFunc(s.Grants, func(g cordon.Grant) bool { return g.Role == r }) {
			return r
		}
	}
	return ""
}

// Staff reports whether s is one of the provider's own people.
func (s Subject) Staff() bool { return s.Role().Staff() }

// Object is what somebody wants to see or do something with. The zero Object is no
// customer's: the network, the system, oneself.
type Object struct {
	Account string // Account.ID of what belongs to an account
	Site    string // Site.ID of what belongs to a site; then Account is the site's
	Person  *cordon.User
}

// Errors of who may not.
var (
	// ErrNobody means: log in first.
	ErrNobody = errors.New("not logged in")
	// ErrForbidden means that the person may know of the object, but not do that.
	ErrForbidden = errors.New("not permitted")
)

// May returns nil if s may do v with o. Otherwise the error wraps ErrNobody,
// ErrForbidden, or cordon.ErrNotFound where s may not even know that o is there.
// What may be done veiled is permitted: see Veiled.
func May(s Subject, v Verb, o Object) error {
	switch {
	case s.User == "":
		return ErrNobody
	case reach(s, v, o) != no:
		return nil
	case knows(s, o):
		return fmt.Errorf("%s: %w", v, ErrForbidden)
	default:
		return fmt.Errorf("%s: %w", v, cordon.ErrNotFound)
	}
}

// Scope returns whose records s may see in a list by v. It is nobody's for a verb
// that is not known.
func Scope(s Subject, v Verb) (scope cordon.Scope) {
	r, ok := rules[v]
	if !ok || s.User == "" || r.inPerson && s.Way == ByToken {
		return scope
	}
	for _, g := range s.Grants {
		switch c := r.cell(g.Role); {
		case c == no:
		case c == inCase:
			for _, open := range s.Cases {
				scope.Sites = add(scope.Sites, open.Site)
			}
		case g.Role.Staff():
			return cordon.Scope{All: true}
		case g.Role == cordon.RoleInstaller:
			scope.Sites = add(scope.Sites, g.Site)
		default:
			scope.Accounts = add(scope.Accounts, g.Account)
		}
	}
	return scope
}

// Veiled reports whether s sees o only by pseudonym: hand it through the methods of
// Auth.Veil first.
func Veiled(s Subject, v Verb, o Object) bool { return reach(s, v, o) == veiled }

// CheckQuery refuses to search a list for what its records do not show to s: whoever
// sees homes by pseudonym must not find out by trying names.
func CheckQuery(s Subject, v Verb, q cordon.Query) error {
	if (q.Text != "" || q.Device != "") && Veiled(s, v, Object{Account: q.Account, Site: q.Site}) {
		return fmt.Errorf("search by name or device needs a site with an open case: %w", ErrForbidden)
	}
	return nil
}

// MayGrant returns nil if s may give g to others, and take it from them. Account is
// the account of g's site, if it has one.
func MayGrant(s Subject, g cordon.Grant, account string) error {
	if s.User == "" {
		return ErrNobody
	}
	if g.Account != "" {
		account = g.Account
	}
	for _, mine := range s.Grants {
		if slices.Contains(gives[mine.Role], g.Role) && (mine.Role.Staff() || account != "" && mine.Account == account) {
			return nil
		}
	}
	return fmt.Errorf("give the role %s: %w", g.Role, ErrForbidden)
}

// CheckGrant refuses a grant that cannot be: its error wraps cordon.ErrInvalid.
func CheckGrant(g cordon.Grant) error {
	want := cordon.Grant{Role: g.Role}
	switch {
	case !slices.Contains(cordon.Roles, g.Role):
		return fmt.Errorf("role %q: want one of %q: %w", g.Role, cordon.Roles, cordon.ErrInvalid)
	case g.Role.Staff():
	case g.Role == cordon.RoleInstaller:
		want.Site = g.Site
	default:
		want.Account = g.Account
	}
	if g != want || !g.Role.Staff() && g.Account == "" && g.Site == "" {
		return fmt.Errorf("role %s: the provider's roles hold everywhere, an installer's at a site, a customer's in an account: %w",
			g.Role, cordon.ErrInvalid)
	}
	return nil
}

// reach is the one decision: how far s may go with v on o.
func reach(s Subject, v Verb, o Object) cell {
	r, ok := rules[v]
	if !ok || s.User == "" || r.inPerson && s.Way == ByToken {
		return no
	}
	switch {
	case r.self() && (o.Person == nil || o.Person.ID == s.User):
		return yes
	case r.self():
		return no
	case o.Person != nil:
		return reachPerson(s, r, o.Person)
	default:
		return r.reach(s, o)
	}
}

// reach is how far s may go with r's verb on something of an account or site.
func (r *row) reach(s Subject, o Object) cell {
	most := no
	for _, g := range s.Grants {
		switch {
		case g.Role.Staff():
		case g.Role == cordon.RoleInstaller && (o.Site == "" || g.Site != o.Site):
			continue
		case g.Role != cordon.RoleInstaller && (o.Account == "" || g.Account != o.Account):
			continue
		}
		c := r.cell(g.Role)
		if c == inCase || c == veiled {
			opened := o.Site != "" && slices.ContainsFunc(s.Cases, func(c Case) bool { return c.Site == o.Site })
			switch {
			case opened:
				c = yes
			case c == inCase:
				c = no
			}
		}
		most = max(most, c)
	}
	return most
}

// reachPerson is how far s may go with a person: to see one, a role in common is
// enough; to change one, s must be able to give every role that the person has, so
// that nobody becomes more by becoming somebody else.
func reachPerson(s Subject, r *row, p *cordon.User) cell {
	if r.verb == PersonView || r.verb == AuditView {
		most := r.reach(s, Object{})
		for _, g := range p.Grants {
			most = max(most, r.reach(s, Object{Account: g.Account, Site: g.Site}))
		}
		return most
	}
	for _, g := range p.Grants {
		if MayGrant(s, g, "") != nil {
			return no
		}
	}
	return r.reach(s, Object{})
}

// knows reports whether s may know that o is there.
func knows(s Subject, o Object) bool {
	if o.Person != nil {
		return o.Person.ID == s.User || reachPerson(s, rules[PersonView], o.Person) != no
	}
	return o == Object{} || rules[SiteView].reach(s, o) != no || rules[AccountView].reach(s, o) != no
}

// self reports whether the verb is about the person that does it.
func (r *row) self() bool { return r.verb == SelfView || r.verb == SelfChange || r.verb == SelfToken }

// cell returns what role may with r's verb: nothing for a role that is not known.
func (r *row) cell(role cordon.Role) cell {
	if i := slices.Index(cordon.Roles, role); i >= 0 {
		return r.may[i]
	}
	return no
}

// add adds s to list once.
func add(list []string, s string) []string {
	if s == "" || slices.Contains(list, s) {
		return list
	}
	return append(list, s)
}

// within reports whether what is granted by g is granted by one of all.
func within(g cordon.Grant, all []cordon.Grant) bool {
	return slices.ContainsFunc(all, func(have cordon.Grant) bool {
		return have == g || have.Account == g.Account && have.Site == g.Site && slices.Contains(contains[have.Role], g.Role)
	})
}

// who is how a request's subject lies in its context.
type who struct{}

// With returns a context in which From finds s.
func With(ctx context.Context, s Subject) context.Context { return context.WithValue(ctx, who{}, s) }

// From returns who wants what is done under ctx, as Middleware found; the zero
// Subject, who may nothing, if it did not.
func From(ctx context.Context) Subject {
	s, _ := ctx.Value(who{}).(Subject)
	return s
}
