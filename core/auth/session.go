package auth

import (
	"context"
	"errors"
	"fmt"
	"net/http"
	"time"

	"cordon"
	"cordon/core/auth/session"
)

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

// bySession completes from with who has the session of that token; with nobody when
// there is none.
func (a *Auth) bySession(ctx context.Context, from Subject, token string, u use) (Subject, error) {
	found, err := a.sessions.Find(ctx, token)
	if err == nil && u == used {
		err = a.sessions.Use(ctx, &found)
	}
	if errors.Is(err, cordon.ErrNotFound) {
		return from, nil
	}
	if err != nil {
		return Subject{}, err
	}
	s := from
	s.Way, s.Key, s.Since = BySession, session.ID(&found), found.Created
	return a.subject(ctx, s, found.User, nil)
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
	list, err := a.sessions.List(ctx, s.User)
	if err != nil {
		return nil, err
	}
	infos := make([]SessionInfo, len(list))
	for i := range list {
		e := &list[i]
		infos[i] = SessionInfo{ID: session.ID(e), Agent: e.Agent, Addr: e.Addr, Created: e.Created, Expires: e.Expires,
			Current: s.Way == BySession && s.Key == session.ID(e)}
	}
	return newestFirst(infos, func(i SessionInfo) cordon.Time { return i.Created }), nil
}

// EndSession ends one session of who asks.
func (a *Auth) EndSession(ctx context.Context, id string) error {
	s := From(ctx)
	if err := May(s, SelfChange, Object{}); err != nil {
		return err
	}
	if id == "" {
		return fmt.Errorf("session without an id: %w", cordon.ErrInvalid)
	}
	n, err := a.sessions.End(ctx, s.User, id)
	if err == nil && n == 0 {
		err = fmt.Errorf("session: %w", cordon.ErrNotFound)
	}
	return a.recorded(ctx, s, line{verb: logOut, object: "session"}, err)
}

// LogOut ends the session of this request and returns the cookie that tells the
// browser so.
func (a *Auth) LogOut(ctx context.Context) (http.Cookie, error) {
	gone := a.cookie(a.cookieName(), "", 0)
	s := From(ctx)
	if s.Way != BySession {
		return gone, nil
	}
	_, err := a.sessions.End(ctx, s.User, s.Key)
	return gone, a.recorded(ctx, s, line{verb: logOut, object: "session"}, err)
}
