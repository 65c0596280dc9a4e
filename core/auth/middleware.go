package auth

import (
	"context"
	"errors"
	"fmt"
	"net/http"
	"slices"
	"strings"

	"cordon"
	"cordon/core/auth/gate"
)

// maxAgent bounds what is kept of a browser's name, in bytes.
const maxAgent = 200

// Middleware finds who a request is from and hands it on with the Subject in its
// context, also when it is nobody: the route asks May. A token that is wrong, a
// request of a browser that another site made it send, and a store that does not
// answer are refused here.
//
// A subject that core's own door put into the context stays (Core). A token counts before
// a cookie. Requests without a token must come from core's own
// pages (http.CrossOriginProtection), also those that log in.
func (a *Auth) Middleware(next http.Handler) http.Handler {
	return http.HandlerFunc(func(w http.ResponseWriter, r *http.Request) {
		if From(r.Context()).Way == ByCore {
			next.ServeHTTP(w, r)
			return
		}
		s, err := a.identify(r, used)
		if err != nil {
			if wait := (*WaitError)(nil); errors.As(err, &wait) {
				w.Header().Set("Retry-After", fmt.Sprint(int(wait.After.Seconds())+1))
			}
			a.cfg.Refuse(w, r, err)
			return
		}
		w.Header().Add("Vary", "Cookie, Authorization")
		ctx := context.WithValue(With(r.Context(), s), cookies{}, r.Cookies())
		next.ServeHTTP(w, r.WithContext(ctx))
	})
}

// Again returns who a request is from that is being answered still, as it is now: the
// zero Subject when its session or token has ended. It does not count as use, so what
// nobody but a program does keeps no session alive.
func (a *Auth) Again(r *http.Request) (Subject, error) {
	if s := From(r.Context()); s.Way == ByCore {
		return s, nil
	}
	return a.identify(r, seen)
}

// use is whether a session or token is used, or only looked at.
type use bool

const (
	used use = true
	seen use = false
)

// cookies is how a request's cookies lie in its context.
type cookies struct{}

// cookie returns the value of the request's cookie of that name, or "".
func cookie(ctx context.Context, name string) string {
	all, _ := ctx.Value(cookies{}).([]*http.Cookie)
	if i := slices.IndexFunc(all, func(c *http.Cookie) bool { return c.Name == name }); i >= 0 {
		return all[i].Value
	}
	return ""
}

// identify returns who r is from.
func (a *Auth) identify(r *http.Request, u use) (Subject, error) {
	from := Subject{Addr: gate.Source(r, a.cfg.Proxies), Agent: strings.ToValidUTF8(cut(r.UserAgent(), maxAgent), "")}
	if scheme, token, ok := strings.Cut(r.Header.Get("Authorization"), " "); ok && strings.EqualFold(scheme, "Bearer") {
		return a.byToken(r.Context(), from, strings.TrimSpace(token), u)
	}
	if err := a.cross.Check(r); err != nil {
		return Subject{}, fmt.Errorf("%w: %w", ErrCrossOrigin, err)
	}
	c, err := r.Cookie(a.cookieName())
	if err != nil || c.Value == "" {
		return from, nil
	}
	return a.bySession(r.Context(), from, c.Value, u)
}

// subject completes s with what user may: his grants, or those of a token, as far as
// they still hold. A person who is disabled or erased is nobody.
func (a *Auth) subject(ctx context.Context, s Subject, user string, only []cordon.Grant) (Subject, error) {
	nobody := Subject{Addr: s.Addr, Agent: s.Agent}
	u, err := a.cfg.Store.User(ctx, user)
	switch {
	case errors.Is(err, cordon.ErrNotFound) || err == nil && u.Disabled:
		return nobody, nil
	case err != nil:
		return nobody, fmt.Errorf("user %s: %w", user, err)
	}
	grants := u.Grants
	if s.Way == ByToken {
		grants = slices.DeleteFunc(slices.Clone(only), func(g cordon.Grant) bool { return !within(g, u.Grants) })
	}
	if grants, err = a.standing(ctx, u.ID, grants); err != nil {
		return nobody, err
	}
	s.User, s.Name, s.Grants = u.ID, label(&u), grants
	if slices.ContainsFunc(grants, func(g cordon.Grant) bool { return rules[CaseOpen].cell(g.Role) == yes }) {
		if s.Cases, err = a.cases(ctx, u.ID); err != nil {
			return nobody, err
		}
	}
	return s, nil
}

// standing leaves out an installer's sites that were handed over: Site.Installer says
// who works there.
func (a *Auth) standing(ctx context.Context, user string, grants []cordon.Grant) ([]cordon.Grant, error) {
	var left []cordon.Grant
	for _, g := range grants {
		if g.Role == cordon.RoleInstaller {
			site, err := a.cfg.Store.Site(ctx, g.Site)
			switch {
			case errors.Is(err, cordon.ErrNotFound):
				continue
			case err != nil:
				return nil, fmt.Errorf("site %s: %w", g.Site, err)
			case site.Installer != user:
				continue
			}
		}
		left = append(left, g)
	}
	return left, nil
}

// label is how a person is called in records.
func label(u *cordon.User) string {
	switch {
	case u.Name != "":
		return u.Name
	case u.Email != "":
		return u.Email
	default:
		return u.ID
	}
}

// cut returns at most n bytes of s.
func cut(s string, n int) string {
	if len(s) > n {
		return s[:n]
	}
	return s
}
