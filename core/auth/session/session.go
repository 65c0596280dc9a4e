// Package session keeps people logged in.
//
// alexedwards/scs makes a session's token and writes what it holds; vault, its store,
// keeps only the token's hash. A session ends when nobody used it for a while, and in any
// case at its absolute end. Only core/auth calls it.
package session

import (
	"context"
	"crypto/sha256"
	"encoding/hex"
	"errors"
	"fmt"
	"time"

	"cordon"

	"github.com/alexedwards/scs/v2"
)

// Store keeps sessions. It is safe for concurrent use. What is not there is an error
// that wraps cordon.ErrNotFound.
type Store interface {
	SessionByHash(ctx context.Context, hash [32]byte) (cordon.Session, error)
	PutSession(ctx context.Context, s *cordon.Session) error
	// TouchSession changes when a session ends, and never brings one back that has ended.
	TouchSession(ctx context.Context, hash [32]byte, expires cordon.Time) error
	DeleteSession(ctx context.Context, hash [32]byte) error
	Sessions(ctx context.Context, user string) ([]cordon.Session, error)
}

// Config configures Sessions. All of it is required.
type Config struct {
	Store    Store
	Idle     time.Duration // without use a session ends
	Absolute time.Duration // a session ends in any case
	Now      func() time.Time
}

const (
	// touchEvery is how often a session that is in use is written again.
	touchEvery = 5 * time.Minute
	// most bounds the sessions of a person: the oldest ends for the newest.
	most = 50
	// maxToken bounds what is taken for a token, in bytes; scs makes 43.
	maxToken = 100
	// userKey is the one thing that a session holds.
	userKey = "user"
)

// Sessions is all sessions. It is safe for concurrent use.
type Sessions struct {
	cfg     Config
	manager *scs.SessionManager
}

// New returns Sessions.
func New(cfg Config) *Sessions {
	s := &Sessions{cfg: cfg, manager: scs.New()}
	s.manager.Lifetime = cfg.Absolute
	s.manager.Store = &vault{s}
	return s
}

// Begin begins a session for a user and returns its token. Before is the token of the
// session that the browser had, if any: it ends, so that what somebody knew of it is
// worth nothing.
func (s *Sessions) Begin(ctx context.Context, user, agent, addr, before string) (token string, err error) {
	if err := s.dropOldest(ctx, user); err != nil {
		return "", err
	}
	if before != "" {
		if err := s.delete(ctx, hash(before)); err != nil {
			return "", err
		}
	}
	begins := cordon.Session{User: user, Agent: agent, Addr: addr, Created: s.now()}
	ctx, err = s.manager.Load(context.WithValue(ctx, record{}, &begins), "")
	if err != nil {
		return "", fmt.Errorf("begin session: %w", err)
	}
	s.manager.Put(ctx, userKey, user)
	if token, _, err = s.manager.Commit(ctx); err != nil {
		return "", fmt.Errorf("begin session: %w", err)
	}
	return token, nil
}

// Find returns the session of that token; an error that wraps cordon.ErrNotFound if there
// is none, or it has ended.
func (s *Sessions) Find(ctx context.Context, token string) (cordon.Session, error) {
	var found cordon.Session
	if token == "" || len(token) > maxToken {
		return found, fmt.Errorf("session: %w", cordon.ErrNotFound)
	}
	ctx, err := s.manager.Load(context.WithValue(ctx, record{}, &found), token)
	switch {
	case err != nil:
		return found, fmt.Errorf("session: %w", err)
	case found.User == "" || s.manager.GetString(ctx, userKey) != found.User:
		return found, fmt.Errorf("session: %w", cordon.ErrNotFound)
	}
	return found, nil
}

// Use lets a session live on that somebody uses. Its error wraps cordon.ErrNotFound when it
// has ended meanwhile.
func (s *Sessions) Use(ctx context.Context, found *cordon.Session) error {
	expires := s.expiry(found.Created)
	if expires.Sub(found.Expires) < touchEvery {
		return nil
	}
	found.Expires = expires
	if err := s.cfg.Store.TouchSession(ctx, found.Hash, expires); err != nil {
		return fmt.Errorf("prolong session: %w", err)
	}
	return nil
}

// List returns the sessions of a user that have not ended.
func (s *Sessions) List(ctx context.Context, user string) (list []cordon.Session, err error) {
	all, err := s.cfg.Store.Sessions(ctx, user)
	if err != nil {
		return nil, fmt.Errorf("sessions of %s: %w", user, err)
	}
	for _, e := range all {
		if e.Expires > s.now() {
			list = append(list, e)
		}
	}
	return list, nil
}

// End ends one session of a user, or all when id is "", and returns how many there were.
func (s *Sessions) End(ctx context.Context, user, id string) (n int, err error) {
	all, err := s.cfg.Store.Sessions(ctx, user)
	if err != nil {
		return 0, fmt.Errorf("sessions of %s: %w", user, err)
	}
	for i := range all {
		if id != "" && ID(&all[i]) != id {
			continue
		}
		if err := s.delete(ctx, all[i].Hash); err != nil {
			return n, err
		}
		n++
	}
	return n, nil
}

// ID names a session to its owner; it does not open it.
func ID(s *cordon.Session) string { return hex.EncodeToString(s.Hash[:12]) }

// hash is what is kept of a token.
func hash(token string) [32]byte { return sha256.Sum256([]byte(token)) }

// now is the time.
func (s *Sessions) now() cordon.Time { return cordon.TimeOf(s.cfg.Now()) }

// expiry is when a session that began at created and is used now ends.
func (s *Sessions) expiry(created cordon.Time) cordon.Time {
	return min(s.now().Add(s.cfg.Idle), created.Add(s.cfg.Absolute))
}

// delete ends a session that may be gone already.
func (s *Sessions) delete(ctx context.Context, hash [32]byte) error {
	if err := s.cfg.Store.DeleteSession(ctx, hash); err != nil && !errors.Is(err, cordon.ErrNotFound) {
		return fmt.Errorf("end session: %w", err)
	}
	return nil
}

// dropOldest makes room for one more session of user.
func (s *Sessions) dropOldest(ctx context.Context, user string) error {
	list, err := s.cfg.Store.Sessions(ctx, user)
	if err != nil {
		return fmt.Errorf("sessions of %s: %w", user, err)
	}
	for len(list) >= most {
		oldest := 0
		for i := range list {
			if list[i].Created < list[oldest].Created {
				oldest = i
			}
		}
		if err := s.delete(ctx, list[oldest].Hash); err != nil {
			return err
		}
		list[oldest] = list[len(list)-1]
		list = list[:len(list)-1]
	}
	return nil
}

// record is where in a context vault finds the session that begins, and leaves the one
// that it found. (The library holds a lock while it stores: its values cannot be read.)
type record struct{}

// vault is scs.CtxStore over the Store.
type vault struct{ s *Sessions }

// FindCtx returns the session of token, if it has not ended.
func (v *vault) FindCtx(ctx context.Context, token string) ([]byte, bool, error) {
	found, err := v.s.cfg.Store.SessionByHash(ctx, hash(token))
	switch {
	case errors.Is(err, cordon.ErrNotFound):
		return nil, false, nil
	case err != nil:
		return nil, false, err
	case found.Expires <= v.s.now():
		return nil, false, nil
	}
	if r, ok := ctx.Value(record{}).(*cordon.Session); ok {
		*r = found
	}
	return found.Data, true, nil
}

// CommitCtx stores a session that begins.
func (v *vault) CommitCtx(ctx context.Context, token string, data []byte, _ time.Time) error {
	r, ok := ctx.Value(record{}).(*cordon.Session)
	if !ok {
		return errNoContext
	}
	r.Hash, r.Data, r.Expires = hash(token), data, v.s.expiry(r.Created)
	return v.s.cfg.Store.PutSession(ctx, r)
}

// DeleteCtx ends a session.
func (v *vault) DeleteCtx(ctx context.Context, token string) error {
	return v.s.delete(ctx, hash(token))
}

// errNoContext is returned to who calls vault as a scs.Store, which nobody does.
var errNoContext = errors.New("session store without a context")

// Find is FindCtx for who has no context.
func (v *vault) Find(string) ([]byte, bool, error) { return nil, false, errNoContext }

// Commit is CommitCtx for who has no context.
func (v *vault) Commit(string, []byte, time.Time) error { return errNoContext }

// Delete is DeleteCtx for who has no context.
func (v *vault) Delete(string) error { return errNoContext }
