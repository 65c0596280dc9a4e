package auth

import (
	"context"
	"crypto/rand"
	"encoding/base32"
	"errors"
	"fmt"
	"slices"
	"strings"
	"time"

	"cordon"
	"cordon/core/auth/gate"
	"cordon/core/auth/password"
	"cordon/core/auth/secret"
	"cordon/internal/ident"
)

// Life of invitations and of links for who cannot log in any more.
const (
	inviteLife = 7 * 24 * time.Hour
	resetLife  = 24 * time.Hour
)

// maxGrants bounds the roles of a person.
const maxGrants = 100

// Invitation lets somebody in.
type Invitation struct {
	Email, Name, Locale string
	Grant               cordon.Grant
}

// Invite gives somebody a role, and makes him a user if he is none. The token, good
// for once and for a week, lets him choose his password; it is empty for a person who
// has logged in before, or who was invited by others to what the inviter has no
// right to.
func (a *Auth) Invite(ctx context.Context, inv Invitation) (cordon.User, string, error) {
	s := From(ctx)
	on, err := a.mayGrant(ctx, s, PersonInvite, inv.Grant)
	if err == nil {
		inv.Email, err = NormalEmail(inv.Email)
	}
	if err == nil && (len(inv.Name) > 2*maxName || len(inv.Locale) > 35) {
		err = fmt.Errorf("name or language too long: %w", cordon.ErrInvalid)
	}
	var u cordon.User
	if err == nil {
		u, err = a.grant(ctx, inv)
	}
	var token string
	if err == nil && u.Password == "" && a.mayAll(s, &u) {
		token, err = a.inviteToken(ctx, &u, inviteLife)
	}
	if err == nil && inv.Grant.Role == cordon.RoleInstaller {
		err = a.setInstaller(ctx, inv.Grant.Site, "", u.ID)
	}
	err = a.recorded(ctx, s, line{verb: PersonInvite, on: on, object: "person " + u.ID, reason: string(inv.Grant.Role)}, err)
	u.Password = ""
	return u, token, err
}

// mayGrant returns what the grant is about, if s may give and take it.
func (a *Auth) mayGrant(ctx context.Context, s Subject, v Verb, g cordon.Grant) (on Object, err error) {
	if err := CheckGrant(g); err != nil {
		return on, err
	}
	on = Object{Account: g.Account, Site: g.Site}
	if g.Site != "" {
		site, err := a.cfg.Store.Site(ctx, g.Site)
		if err != nil {
			return on, fmt.Errorf("site %s: %w", g.Site, err)
		}
		on.Account = site.Account
	}
	if err := May(s, v, on); err != nil {
		return on, err
	}
	return on, MayGrant(s, g, on.Account)
}

// mayAll reports whether s could have given every role of u.
func (a *Auth) mayAll(s Subject, u *cordon.User) bool {
	return !slices.ContainsFunc(u.Grants, func(g cordon.Grant) bool {
		return MayGrant(s, g, "") != nil && !(g.Role == cordon.RoleInstaller && len(u.Grants) == 1)
	})
}

// grant stores that who is invited has the role.
func (a *Auth) grant(ctx context.Context, inv Invitation) (cordon.User, error) {
	for try := 0; ; try++ {
		u, err := a.person(ctx, inv.Email)
		if err != nil {
			return u, err
		}
		if u.ID == "" {
			u = cordon.User{ID: ident.New(a.cfg.Now()), Email: inv.Email, Name: inv.Name, Locale: inv.Locale, Created: a.now()}
		}
		if slices.Contains(u.Grants, inv.Grant) {
			return u, nil
		}
		if len(u.Grants) >= maxGrants {
			return u, fmt.Errorf("person with %d roles: %w", len(u.Grants), cordon.ErrInvalid)
		}
		u.Grants = append(slices.Clone(u.Grants), inv.Grant)
		err = a.cfg.Store.PutUser(ctx, &u)
		if errors.Is(err, cordon.ErrConflict) && try < 3 {
			continue
		}
		if err != nil {
			return u, fmt.Errorf("store person: %w", err)
		}
		return u, nil
	}
}

// inviteToken makes the one token with which u may choose a password.
func (a *Auth) inviteToken(ctx context.Context, u *cordon.User, life time.Duration) (string, error) {
	if err := a.dropInvitations(ctx, u.ID); err != nil {
		return "", err
	}
	text, hash := secret.New(secret.Invitation)
	t := cordon.Token{ID: ident.New(a.cfg.Now()), Hash: hash, User: u.ID, Name: "invitation", Use: cordon.TokenInvitation, Created: a.now(), Expires: a.now().Add(life)}
	if err := a.cfg.Store.PutToken(ctx, &t); err != nil {
		return "", fmt.Errorf("store invitation: %w", err)
	}
	return text, nil
}

// dropInvitations ends the invitations of a person.
func (a *Auth) dropInvitations(ctx context.Context, user string) error {
	list, err := a.cfg.Store.Tokens(ctx, user)
	if err != nil {
		return fmt.Errorf("invitations of %s: %w", user, err)
	}
	for _, t := range list {
		if t.Use == cordon.TokenInvitation {
			if err := a.cfg.Store.DeleteToken(ctx, t.ID); err != nil && !errors.Is(err, cordon.ErrNotFound) {
				return fmt.Errorf("end invitation: %w", err)
			}
		}
	}
	return nil
}

// Accept lets the person of an invitation in with the password that he chose. A token
// is good for once; a password that is refused does not use it up.
func (a *Auth) Accept(ctx context.Context, token, chosen string) (Entry, error) {
	s := From(ctx)
	if err := a.gates.Address(a.now(), s.Addr); err != nil {
		return Entry{}, err
	}
	hash, ok := secret.Hash(token, secret.Invitation)
	if !ok {
		return Entry{}, ErrCredentials
	}
	t, err := a.cfg.Store.TokenByHash(ctx, hash)
	if errors.Is(err, cordon.ErrNotFound) {
		return Entry{}, a.recorded(ctx, s, line{verb: accept, object: "invitation"}, ErrCredentials)
	}
	if err != nil {
		return Entry{}, fmt.Errorf("invitation: %w", err)
	}
	u, err := a.cfg.Store.User(ctx, t.User)
	if err != nil && !errors.Is(err, cordon.ErrNotFound) {
		return Entry{}, fmt.Errorf("invitation: %w", err)
	}
	if err != nil || t.Use != cordon.TokenInvitation || t.Expires <= a.now() || u.Disabled {
		return Entry{}, a.recorded(ctx, s, line{verb: accept, object: "invitation " + t.ID}, ErrCredentials)
	}
	s.User, s.Name, s.Grants = u.ID, label(&u), u.Grants
	if err := password.Check(chosen, &u); err != nil {
		return Entry{}, err
	}
	if err = a.cfg.Store.DeleteToken(ctx, t.ID); errors.Is(err, cordon.ErrNotFound) {
		err = ErrCredentials // somebody was faster
	}
	if err == nil {
		err = a.setPassword(ctx, &u, chosen)
	}
	if err == nil {
		err = a.cfg.Store.ClearFailures(ctx, gate.Key(u.Email, ""))
	}
	if err = a.recorded(ctx, s, line{verb: accept, object: "invitation " + t.ID}, err); err != nil {
		return Entry{}, err
	}
	return a.enter(ctx, u, "invitation")
}

// Reset makes a link's token for a person who cannot log in any more: for a day, and
// until it is used nothing changes.
func (a *Auth) Reset(ctx context.Context, user string) (token string, err error) {
	s := From(ctx)
	u, err := a.personFor(ctx, s, PersonReset, user)
	if err == nil {
		token, err = a.inviteToken(ctx, &u, resetLife)
	}
	return token, a.recorded(ctx, s, line{verb: PersonReset, object: "person " + user}, err)
}

// personFor returns a user with whom s may do v.
func (a *Auth) personFor(ctx context.Context, s Subject, v Verb, user string) (cordon.User, error) {
	u, err := a.cfg.Store.User(ctx, user)
	if err != nil {
		if m := May(s, v, Object{}); m != nil {
			return u, m
		}
		return u, fmt.Errorf("person %s: %w", user, err)
	}
	return u, May(s, v, Object{Person: &u})
}

// Remove takes a role from a person. Nobody takes administrator from himself, so that
// one is left.
func (a *Auth) Remove(ctx context.Context, user string, g cordon.Grant) error {
	s := From(ctx)
	on, err := a.mayGrant(ctx, s, PersonRemove, g)
	if err == nil && s.User == user && g.Role == cordon.RoleAdministrator {
		err = fmt.Errorf("one's own role of administrator: %w", ErrForbidden)
	}
	if err == nil {
		err = a.change(ctx, user, func(u *cordon.User) error {
			i := slices.Index(u.Grants, g)
			if i < 0 {
				return fmt.Errorf("role %s of %s: %w", g.Role, user, cordon.ErrNotFound)
			}
			u.Grants = slices.Delete(slices.Clone(u.Grants), i, i+1)
			return nil
		})
	}
	if err == nil && g.Role == cordon.RoleInstaller {
		err = a.setInstaller(ctx, g.Site, user, "")
	}
	return a.recorded(ctx, s, line{verb: PersonRemove, on: on, object: "person " + user, reason: string(g.Role)}, err)
}

// HandOver ends the installer's work at a site: he sees nothing of it any more.
func (a *Auth) HandOver(ctx context.Context, site string) error {
	s := From(ctx)
	was, err := a.cfg.Store.Site(ctx, site)
	on := Object{Account: was.Account, Site: site}
	if m := May(s, SiteHandOver, on); m != nil {
		err = m
	}
	if err == nil && was.Installer == "" {
		return nil
	}
	if err == nil {
		err = a.setInstaller(ctx, site, was.Installer, "")
	}
	if err == nil {
		err = a.change(ctx, was.Installer, func(u *cordon.User) error {
			u.Grants = slices.DeleteFunc(slices.Clone(u.Grants), func(g cordon.Grant) bool { return g.Site == site })
			return nil
		})
		if errors.Is(err, cordon.ErrNotFound) {
			err = nil
		}
	}
	return a.recorded(ctx, s, line{verb: SiteHandOver, on: on, object: "person " + was.Installer}, err)
}

// setInstaller writes down who sets a site up, if before did so, or anybody when
// before is empty.
func (a *Auth) setInstaller(ctx context.Context, id, before, after string) error {
	for try := 0; ; try++ {
		site, err := a.cfg.Store.Site(ctx, id)
		if err != nil {
			return fmt.Errorf("site %s: %w", id, err)
		}
		if before != "" && site.Installer != before || site.Installer == after {
			return nil
		}
		site.Installer = after
		err = a.cfg.Store.PutSite(ctx, &site)
		if errors.Is(err, cordon.ErrConflict) && try < 3 {
			continue
		}
		if err != nil {
			return fmt.Errorf("store site: %w", err)
		}
		return nil
	}
}

// PersonUpdate is what may be changed about a person; nil: nothing.
type PersonUpdate struct {
	Name, Locale, Email *string
	Disabled            *bool
}

// ChangePerson changes a person. Everybody may change his own name and language.
func (a *Auth) ChangePerson(ctx context.Context, user string, up PersonUpdate) error {
	s := From(ctx)
	var err error
	if user == s.User && up.Email == nil && up.Disabled == nil {
		err = May(s, SelfChange, Object{})
	} else {
		_, err = a.personFor(ctx, s, PersonChange, user)
	}
	if err == nil && user == s.User && up.Disabled != nil && *up.Disabled {
		err = fmt.Errorf("disable oneself: %w", ErrForbidden)
	}
	if err == nil {
		err = a.change(ctx, user, up.apply)
	}
	if err == nil && up.Disabled != nil && *up.Disabled {
		_, err = a.sessions.End(ctx, user, "")
	}
	return a.recorded(ctx, s, line{verb: PersonChange, object: "person " + user}, err)
}

// apply changes u.
func (up PersonUpdate) apply(u *cordon.User) (err error) {
	for _, text := range []*string{up.Name, up.Locale} {
		if text != nil && len(*text) > 2*maxName {
			return fmt.Errorf("name or language too long: %w", cordon.ErrInvalid)
		}
	}
	if up.Email != nil {
		if u.Email, err = NormalEmail(*up.Email); err != nil {
			return err
		}
	}
	if up.Name != nil {
		u.Name = *up.Name
	}
	if up.Locale != nil {
		u.Locale = *up.Locale
	}
	if up.Disabled != nil {
		u.Disabled = *up.Disabled
	}
	return nil
}

// change changes a user, again when somebody else did at the same time.
func (a *Auth) change(ctx context.Context, user string, how func(*cordon.User) error) error {
	for try := 0; ; try++ {
		u, err := a.cfg.Store.User(ctx, user)
		if err != nil {
			return fmt.Errorf("person %s: %w", user, err)
		}
		if err := how(&u); err != nil {
			return err
		}
		err = a.cfg.Store.PutUser(ctx, &u)
		if errors.Is(err, cordon.ErrConflict) && try < 3 {
			continue
		}
		if err != nil {
			return fmt.Errorf("store person: %w", err)
		}
		return nil
	}
}

// ErasePerson erases a person with sessions, passkeys and tokens.
func (a *Auth) ErasePerson(ctx context.Context, user string) error {
	s := From(ctx)
	_, err := a.personFor(ctx, s, PersonErase, user)
	if err == nil && user == s.User {
		err = fmt.Errorf("erase oneself: %w", ErrForbidden)
	}
	if err == nil {
		err = a.cfg.Store.DeleteUser(ctx, user)
	}
	return a.recorded(ctx, s, line{verb: PersonErase, object: "person " + user}, err)
}

// Visible returns u as s may see him: no password, and only the roles that s could
// give or that reach what s reaches.
func Visible(s Subject, u cordon.User) cordon.User {
	u.Password = ""
	u.Grants = slices.DeleteFunc(slices.Clone(u.Grants), func(g cordon.Grant) bool {
		return u.ID != s.User && reach(s, PersonView, Object{Account: g.Account, Site: g.Site}) == no
	})
	return u
}

// MakeAdministrator makes the user who may do everything, for core's command line. It
// returns the password, which nobody can read again.
func (a *Auth) MakeAdministrator(ctx context.Context, email, name string) (text string, err error) {
	s := From(ctx)
	if err := May(s, SystemChange, Object{}); err != nil {
		return "", err
	}
	if email, err = NormalEmail(email); err != nil {
		return "", err
	}
	b := make([]byte, 15)
	rand.Read(b)
	text = strings.ToLower(base32.StdEncoding.EncodeToString(b))
	u := cordon.User{ID: ident.New(a.cfg.Now()), Email: email, Name: name, Created: a.now(), Grants: []cordon.Grant{{Role: cordon.RoleAdministrator}}}
	if u.Password, err = a.hasher.Hash(ctx, text); err != nil {
		return "", err
	}
	err = a.cfg.Store.PutUser(ctx, &u)
	if err = a.recorded(ctx, s, line{verb: PersonInvite, object: "person " + u.ID, reason: string(cordon.RoleAdministrator)}, err); err != nil {
		return "", err
	}
	return text, nil
}
