package auth

import (
	"context"
	"crypto/sha256"
	"errors"
	"fmt"
	"net/http"
	"time"

	"cordon"

	"github.com/alexedwards/scs/v2"
)

// Sessions: scs makes the tokens and knows their absolute end; vault keeps only their
// hashes, and ends them when nobody used them.

// touchEvery is how often a session that is in use is written again.
const touchEvery = 5 * time.Minute

// maxSessions bounds the sessions of a person: the oldest ends for the newest.
const maxSessions = 50

// userKey is the one thing that a session holds.
const userKey = "user"

// newSessions returns the session library, set up.
func (a *Auth) newSessions() *scs.SessionManager {
	m := scs.New()
	m.Lifetime = a.cfg.Absolute
	m.Store = &vault{a}
	m.Cookie = scs.SessionCookie{Name: a.cookieName(), HttpOnly: true, Path: "/", SameSite: http.SameSiteLaxMode, Secure: a.secure, Persist: true}
	return m
}

// cookieName is the name of the session's cookie. __Host- keeps other hosts of the
// same domain from setting it (RFC 6265bis §4.1.3.2); browsers take it with TLS only.
func (a *Auth) cookieName() string {
	if a.secure {
		return "__Host-cordon"
	}
	return "cordon"
}

// cookie returns a cookie for core's own pages; a life of 0 takes it away.
func (a *Auth) cookie(name, value string, life time.Duration) http.Cookie {
	c := http.Cookie{Name: name, Value: value, Path: "/", HttpOnly: true, Secure: a.secure, SameSite: http.SameSiteLaxMode, MaxAge: int(life.Seconds())}
	if life <= 0 {
		c.MaxAge = -1
	}
	return c
}

// begin starts a session for u and ends the one that the browser had: what somebody
// knew of that one is worth nothing any more.
func (a *Auth) begin(ctx context.Context, u *cordon.User) (http.Cookie, error) {
	if err := a.dropOldest(ctx, u.ID); err != nil {
		return http.Cookie{}, err
	}
	if old := cookie(ctx, a.cookieName()); old != "" {
		if err := a.cfg.Store.DeleteSession(ctx, sha256.Sum256([]byte(old))); err != nil && !errors.Is(err, cordon.ErrNotFound) {
			return http.Cookie{}, fmt.Errorf("end the session before: %w", err)
		}
	}
	ctx, err := a.sessions.Load(context.WithValue(ctx, owner{}, u.ID), "")
	if err != nil {
		return http.Cookie{}, fmt.Errorf("begin session: %w", err)
	}
	a.sessions.Put(ctx, userKey, u.ID)
	token, _, err := a.sessions.Commit(ctx)
	if err != nil {
		return http.Cookie{}, fmt.Errorf("begin session: %w", err)
	}
	return a.cookie(a.cookieName(), token, a.cfg.Absolute), nil
}

// dropOldest makes room for one more session of user.
func (a *Auth) dropOldest(ctx context.Context, user string) error {
	list, err := a.cfg.Store.Sessions(ctx, user)
	if err != nil {
		return fmt.Errorf("sessions of %s: %w", user, err)
	}
	for len(list) >= maxSessions {
		oldest := 0
		for i := range list {
			if list[i].Created < list[oldest].Created {
				oldest = i
			}
		}
		if err := a.cfg.Store.DeleteSession(ctx, list[oldest].Hash); err != nil && !errors.Is(err, cordon.ErrNotFound) {
			return fmt.Errorf("end oldest session: %w", err)
		}
		list[oldest] = list[len(list)-1]
		list = list[:len(list)-1]
	}
	return nil
}

// bySession completes from with who has the session of that token; with nobody when
// there is none.
func (a *Auth) bySession(ctx context.Context, from Subject, token string) (Subject, error) {
	if len(token) > 100 {
		return from, nil
	}
	record := new(cordon.Session)
	ctx, err := a.sessions.Load(context.WithValue(ctx, found{}, record), token)
	if err != nil {
		return Subject{}, fmt.Errorf("session: %w", err)
	}
	user := a.sessions.GetString(ctx, userKey)
	if user == "" || record.User != user {
		return from, nil
	}
	s := from
	s.Way, s.Key, s.Since = BySession, short(record.Hash), record.Created
	if s, err = a.subject(ctx, s, user, nil); err != nil || s.User == "" {
		return s, err
	}
	return s, a.touch(ctx, record)
}

// touch lets a session in use live on.
func (a *Auth) touch(ctx context.Context, s *cordon.Session) error {
	expires := a.expiry(s.Created)
	if expires.Sub(s.Expires) < touchEvery {
		return nil
	}
	s.Expires = expires
	if err := a.cfg.Store.PutSession(ctx, s); err != nil {
		return fmt.Errorf("prolong session: %w", err)
	}
	return nil
}

// expiry is when a session that began at created and is used now ends.
func (a *Auth) expiry(created cordon.Time) cordon.Time {
	return min(a.now().Add(a.cfg.Idle), created.Add(a.cfg.Absolute))
}

// SessionInfo is a session as its owner sees it.
type SessionInfo struct {
	ID      string
	Agent   string // the browser; hostile text
	Addr    string
	Created cordon.Time
	Expires cordon.Time
	Current bool // of this request
}

// Sessions returns the sessions of who asks, newest first.
func (a *Auth) Sessions(ctx context.Context) ([]SessionInfo, error) {
	s := From(ctx)
	if err := May(s, SelfView, Object{}); err != nil {
		return nil, err
	}
	list, err := a.cfg.Store.Sessions(ctx, s.User)
	if err != nil {
		return nil, fmt.Errorf("sessions of %s: %w", s.User, err)
	}
	var infos []SessionInfo
	for _, e := range list {
		if e.Expires > a.now() {
			infos = append(infos, SessionInfo{ID: short(e.Hash), Agent: e.Agent, Addr: e.Addr, Created: e.Created, Expires: e.Expires,
				Current: s.Way == BySession && s.Key == short(e.Hash)})
		}
	}
	return newestFirst(infos, func(i SessionInfo) cordon.Time { return i.Created }), nil
}

// EndSession ends one session of who asks.
func (a *Auth) EndSession(ctx context.Context, id string) error {
	s := From(ctx)
	if err := May(s, SelfChange, Object{}); err != nil {
		return err
	}
	n, err := a.endSessions(ctx, s.User, func(e *cordon.Session) bool { return short(e.Hash) == id })
	if err == nil && n == 0 {
		err = fmt.Errorf("session %s: %w", id, cordon.ErrNotFound)
	}
	return a.recorded(ctx, s, line{verb: "session.end", object: "session " + id}, err)
}

// LogOut ends the session of this request and returns the cookie that tells the
// browser so.
func (a *Auth) LogOut(ctx context.Context) (http.Cookie, error) {
	gone := a.cookie(a.cookieName(), "", 0)
	s := From(ctx)
	if s.Way != BySession {
		return gone, nil
	}
	_, err := a.endSessions(ctx, s.User, func(e *cordon.Session) bool { return short(e.Hash) == s.Key })
	return gone, a.recorded(ctx, s, line{verb: "session.end", object: "session " + s.Key}, err)
}

// endSessions ends the sessions of user that which picks.
func (a *Auth) endSessions(ctx context.Context, user string, which func(*cordon.Session) bool) (n int, err error) {
	list, err := a.cfg.Store.Sessions(ctx, user)
	if err != nil {
		return 0, fmt.Errorf("sessions of %s: %w", user, err)
	}
	for i := range list {
		if !which(&list[i]) {
			continue
		}
		if err := a.cfg.Store.DeleteSession(ctx, list[i].Hash); err != nil && !errors.Is(err, cordon.ErrNotFound) {
			return n, fmt.Errorf("end session: %w", err)
		}
		n++
	}
	return n, nil
}

// vault is scs.CtxStore over the Store.
type vault struct{ a *Auth }

// owner is where begin leaves whose session vault is to store.
type owner struct{}

// found is where vault leaves the record that it found.
type found struct{}

// FindCtx returns the session of token, if it has not ended.
func (v *vault) FindCtx(ctx context.Context, token string) ([]byte, bool, error) {
	s, err := v.a.cfg.Store.SessionByHash(ctx, sha256.Sum256([]byte(token)))
	switch {
	case errors.Is(err, cordon.ErrNotFound):
		return nil, false, nil
	case err != nil:
		return nil, false, err
	case s.Expires <= v.a.now():
		return nil, false, nil
	}
	if record, ok := ctx.Value(found{}).(*cordon.Session); ok {
		*record = s
	}
	return s.Data, true, nil
}

// CommitCtx stores a session that begins.
func (v *vault) CommitCtx(ctx context.Context, token string, data []byte, _ time.Time) error {
	from, now := From(ctx), v.a.now()
	user, _ := ctx.Value(owner{}).(string) // the library holds its lock now: its values cannot be read
	return v.a.cfg.Store.PutSession(ctx, &cordon.Session{Hash: sha256.Sum256([]byte(token)), User: user,
		Data: data, Agent: from.Agent, Addr: addr(from), Created: now, Expires: v.a.expiry(now)})
}

// DeleteCtx ends a session.
func (v *vault) DeleteCtx(ctx context.Context, token string) error {
	err := v.a.cfg.Store.DeleteSession(ctx, sha256.Sum256([]byte(token)))
	if errors.Is(err, cordon.ErrNotFound) {
		return nil
	}
	return err
}

// errNoContext is returned to who calls vault as a scs.Store, which nobody does.
var errNoContext = errors.New("session store without a context")

// Find is FindCtx for who has no context.
func (v *vault) Find(string) ([]byte, bool, error) { return nil, false, errNoContext }

// Commit is CommitCtx for who has no context.
func (v *vault) Commit(string, []byte, time.Time) error { return errNoContext }

// Delete is DeleteCtx for who has no context.
func (v *vault) Delete(string) error { return errNoContext }
