package auth

import (
	"context"
	"errors"
	"fmt"
	"net/http"
	"net/mail"
	"strings"
	"time"

	"cordon"
	"cordon/core/auth/gate"
	"cordon/core/auth/password"
)

// Entry is what a person who logged in gets: the route sets the cookies.
type Entry struct {
	User    cordon.User
	Cookies []http.Cookie
}

// freshFor is how long after a log-in a person may change how he logs in.
const freshFor = 15 * time.Minute

// Names in the record of what has no verb of its own.
const (
	logIn  Verb = "session.begin"
	logOut Verb = "session.end"
	accept Verb = "person.accept"
)

// LogIn begins a session for who knows the password. Its error wraps ErrCredentials
// whatever is wrong, *WaitError when too much was tried, ErrBusy. It costs the same
// for a person who is not there.
func (a *Auth) LogIn(ctx context.Context, email, given string) (Entry, error) {
	s := From(ctx)
	if err := a.gates.Address(a.now(), s.Addr); err != nil {
		return Entry{}, err
	}
	email, err := NormalEmail(email)
	if err != nil || len(given) > password.Most {
		email = "" // nobody has that; it costs the same
	}
	u, err := a.person(ctx, email)
	if err != nil {
		return Entry{}, err
	}
	key, most := gate.Key(email, ""), gate.Stranger
	if browser := a.browser(ctx, u.ID); browser != "" {
		key, most = gate.Key(email, browser), gate.Known
	}
	hashed := u.Password
	if u.Disabled {
		hashed = ""
	}
	old, err := a.guess(ctx, key, most, hashed, given)
	if err != nil {
		if !errors.Is(err, ErrCredentials) {
			return Entry{}, err
		}
		s.User, s.Name, s.Grants = u.ID, label(&u), u.Grants
		return Entry{}, a.recorded(ctx, s, line{verb: logIn, object: "password"}, err)
	}
	if old {
		a.rehash(ctx, &u, given)
	}
	return a.enter(ctx, u, "password")
}

// person returns the user with that e-mail address, the zero User if there is none.
func (a *Auth) person(ctx context.Context, email string) (cordon.User, error) {
	if email == "" {
		return cordon.User{}, nil
	}
	u, err := a.cfg.Store.UserByEmail(ctx, email)
	if errors.Is(err, cordon.ErrNotFound) {
		return cordon.User{}, nil
	}
	if err != nil {
		return cordon.User{}, fmt.Errorf("person: %w", err)
	}
	return u, nil
}

// guess compares a password with a hash, on a lane. It reports whether the hash should
// be made anew.
func (a *Auth) guess(ctx context.Context, key string, most time.Duration, hashed, given string) (old bool, err error) {
	if err := a.gates.Enter(a.now(), key); err != nil {
		return false, err
	}
	shut := time.Duration(0)
	defer func() { a.gates.Leave(a.now(), key, shut) }()
	ok, old, err := a.hasher.Verify(ctx, hashed, given)
	if err != nil {
		return false, fmt.Errorf("password: %w", err)
	}
	if ok {
		if err := a.cfg.Store.ClearFailures(ctx, key); err != nil {
			return false, fmt.Errorf("clear failures: %w", err)
		}
		return old, nil
	}
	n, err := a.cfg.Store.CountFailure(ctx, key, a.now(), gate.Window)
	if err != nil {
		return false, fmt.Errorf("count failure: %w", err)
	}
	shut = gate.Pause(n, most)
	return false, ErrCredentials
}

// rehash stores the password with today's parameters. It is no harm if that fails.
func (a *Auth) rehash(ctx context.Context, u *cordon.User, text string) {
	hash, err := a.hasher.Hash(ctx, text)
	if err == nil {
		changed := *u
		changed.Password = hash
		if err = a.cfg.Store.PutUser(ctx, &changed); err == nil {
			*u = changed
			return
		}
	}
	a.cfg.Log.WarnContext(ctx, "password not hashed anew", "user", u.ID, "err", err)
}

// enter begins the session of u, who proved who he is by means of how.
func (a *Auth) enter(ctx context.Context, u cordon.User, how string) (Entry, error) {
	s := From(ctx)
	s.User, s.Name, s.Grants = u.ID, label(&u), u.Grants
	token, err := a.sessions.Begin(ctx, u.ID, s.Agent, addr(s), cookie(ctx, a.cookieName()))
	if err = a.recorded(ctx, s, line{verb: logIn, object: how}, err); err != nil {
		return Entry{}, err
	}
	u.Password = ""
	return Entry{User: u, Cookies: []http.Cookie{a.cookie(a.cookieName(), token, a.cfg.Absolute), a.know(ctx, u.ID)}}, nil
}

// Known browsers: a cookie that says that this browser logged in as that user before.
// It opens nothing; it only gives the browser a lane of its own (see gates).

// knownLife is how long a browser is known after its last log-in.
const knownLife = 365 * 24 * time.Hour

// knownName is the cookie's name.
func (a *Auth) knownName() string { return a.cookieName() + "-known" }

// know returns the cookie that makes a browser known as user's, or keeps it so.
func (a *Auth) know(ctx context.Context, user string) http.Cookie {
	return a.cookie(a.knownName(), a.key.Sign("browser", user, a.browser(ctx, user)), knownLife)
}

// browser returns the name of the request's browser if it is known as user's.
func (a *Auth) browser(ctx context.Context, user string) string {
	name, _ := a.key.Open("browser", user, cookie(ctx, a.knownName()))
	return name
}

// fresh returns nil if s may do v and logged in a short while ago.
func (a *Auth) fresh(s Subject, v Verb) error {
	if err := May(s, v, Object{}); err != nil {
		return err
	}
	if s.Way == BySession && a.now().Sub(s.Since) > freshFor {
		return fmt.Errorf("%s: %w", v, ErrStale)
	}
	return nil
}

// SetPassword gives who asks another password and ends all other sessions. Who has a
// password must know it; who has none must have logged in a short while ago.
func (a *Auth) SetPassword(ctx context.Context, before, after string) (Entry, error) {
	s := From(ctx)
	if err := May(s, SelfChange, Object{}); err != nil {
		return Entry{}, err
	}
	u, err := a.cfg.Store.User(ctx, s.User)
	if err != nil {
		return Entry{}, fmt.Errorf("user %s: %w", s.User, err)
	}
	if u.Password == "" {
		err = a.fresh(s, SelfChange)
	} else {
		_, err = a.guess(ctx, gate.Key(u.ID, "session"), gate.Known, u.Password, before)
	}
	if err == nil {
		err = a.setPassword(ctx, &u, after)
	}
	if err = a.recorded(ctx, s, line{verb: SelfChange, object: "password"}, err); err != nil {
		return Entry{}, err
	}
	return a.enter(ctx, u, "new password")
}

// setPassword stores a password of u and ends all sessions.
func (a *Auth) setPassword(ctx context.Context, u *cordon.User, text string) (err error) {
	if err := password.Check(text, u); err != nil {
		return err
	}
	if u.Password, err = a.hasher.Hash(ctx, text); err != nil {
		return fmt.Errorf("password: %w", err)
	}
	if err := a.cfg.Store.PutUser(ctx, u); err != nil {
		return fmt.Errorf("store password: %w", err)
	}
	_, err = a.sessions.End(ctx, u.ID, "")
	return err
}

// NormalEmail returns an e-mail address as it is stored and compared.
func NormalEmail(s string) (string, error) {
	s = strings.ToLower(strings.TrimSpace(s))
	parsed, err := mail.ParseAddress(s)
	if err != nil || parsed.Address != s || len(s) > 254 || strings.ContainsFunc(s, func(r rune) bool { return r < ' ' || r == 0x7f }) {
		return "", fmt.Errorf("e-mail address: want name@host: %w", cordon.ErrInvalid)
	}
	return s, nil
}
