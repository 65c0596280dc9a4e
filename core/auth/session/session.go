// Package session keeps people logged in.
//
// The browser has a session's token, the store its hash. A session ends when nobody used
// it for a while, and in any case at its absolute end. Only core/auth calls it.
package session

import (
	"context"
	"encoding/hex"
	"errors"
	"fmt"
	"time"

	"cordon"
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
	// Token makes a token with its hash, and Hash returns the hash of a token that it
	// could have made.
	Token func() (token string, hash [32]byte)
	Hash  func(token string) (hash [32]byte, ok bool)
	Now   func() time.Time
}

const (
	// touchEvery is how often a session that is in use is written again.
	touchEvery = 5 * time.Minute
	// most bounds the sessions of a person: the oldest ends for the newest.
	most = 50
)

// Sessions is all sessions. It is safe for concurrent use.
type Sessions struct{ cfg Config }

// New returns Sessions.
func New(cfg Config) *Sessions { return &Sessions{cfg} }

// Begin begins a session for a user and returns its token. Before is the token of the
// session that the browser had, if any: it ends, so that what somebody knew of it is
// worth nothing.
func (s *Sessions) Begin(ctx context.Context, user, agent, addr, before string) (token string, err error) {
	if err := s.dropOldest(ctx, user); err != nil {
		return "", err
	}
	if hash, ok := s.cfg.Hash(before); ok {
		if err := s.delete(ctx, hash); err != nil {
			return "", err
		}
	}
	token, hash := s.cfg.Token()
	now := s.now()
	if err := s.cfg.Store.PutSession(ctx, &cordon.Session{Hash: hash, User: user, Agent: agent, Addr: addr, Created: now, Expires: s.expiry(now)}); err != nil {
		return "", fmt.Errorf("begin session: %w", err)
	}
	return token, nil
}

// Find returns the session of that token; an error that wraps cordon.ErrNotFound if there
// is none, or it has ended.
func (s *Sessions) Find(ctx context.Context, token string) (cordon.Session, error) {
	hash, ok := s.cfg.Hash(token)
	if !ok {
		return cordon.Session{}, fmt.Errorf("session: %w", cordon.ErrNotFound)
	}
	found, err := s.cfg.Store.SessionByHash(ctx, hash)
	switch {
	case err != nil:
		return found, fmt.Errorf("session: %w", err)
	case found.Expires <= s.now():
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
