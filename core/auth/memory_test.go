package auth_test

import (
	"context"
	"fmt"
	"slices"
	"sync"
	"time"

	"cordon"
)

// memory is a store in memory. Everything is guarded by mu.
type memory struct {
	mu       sync.Mutex
	users    map[string]cordon.User
	passkeys map[string]cordon.Passkey
	tokens   map[string]cordon.Token
	sessions map[[32]byte]cordon.Session
	sites    map[string]cordon.Site
	failures map[string][]cordon.Time
	audits   []cordon.Audit
	down     error  // what every call returns, if set
	noAudit  error  // what Audit returns, if set
	written  int    // sessions and tokens written
	onTouch  func() // what happens just before something is touched
}

func newMemory() *memory {
	return &memory{users: map[string]cordon.User{}, passkeys: map[string]cordon.Passkey{}, tokens: map[string]cordon.Token{},
		sessions: map[[32]byte]cordon.Session{}, sites: map[string]cordon.Site{}, failures: map[string][]cordon.Time{}}
}

func (m *memory) lock() func() { m.mu.Lock(); return m.mu.Unlock }

func get[K comparable, T any](m *memory, table map[K]T, key K) (T, error) {
	defer m.lock()()
	v, ok := table[key]
	switch {
	case m.down != nil:
		return v, m.down
	case !ok:
		return v, fmt.Errorf("%v: %w", key, cordon.ErrNotFound)
	}
	return v, nil
}

func drop[K comparable, T any](m *memory, table map[K]T, key K) error {
	if _, err := get(m, table, key); err != nil {
		return err
	}
	defer m.lock()()
	delete(table, key)
	return nil
}

func pick[K comparable, T any](m *memory, table map[K]T, want func(*T) bool) (all []T, err error) {
	defer m.lock()()
	for _, v := range table {
		if want(&v) {
			all = append(all, v)
		}
	}
	return all, m.down
}

func (m *memory) User(_ context.Context, id string) (cordon.User, error) { return get(m, m.users, id) }

func (m *memory) UserByEmail(_ context.Context, email string) (cordon.User, error) {
	all, err := pick(m, m.users, func(u *cordon.User) bool { return u.Email == email && email != "" })
	if err == nil && len(all) == 0 {
		err = cordon.ErrNotFound
	}
	if err != nil {
		return cordon.User{}, err
	}
	return all[0], nil
}

func (m *memory) PutUser(_ context.Context, u *cordon.User) error {
	defer m.lock()()
	if m.down != nil {
		return m.down
	}
	for _, o := range m.users {
		if o.Email == u.Email && o.ID != u.ID {
			return cordon.ErrConflict
		}
	}
	if m.users[u.ID].Version != u.Version {
		return cordon.ErrConflict
	}
	u.Version++
	m.users[u.ID] = *u
	return nil
}

func (m *memory) DeleteUser(_ context.Context, id string) error { return drop(m, m.users, id) }

func (m *memory) Passkeys(_ context.Context, user string) ([]cordon.Passkey, error) {
	return pick(m, m.passkeys, func(k *cordon.Passkey) bool { return k.User == user })
}

func (m *memory) PutPasskey(_ context.Context, k *cordon.Passkey) error {
	defer m.lock()()
	m.passkeys[string(k.ID)] = *k
	return m.down
}

func (m *memory) DeletePasskey(_ context.Context, id []byte) error {
	return drop(m, m.passkeys, string(id))
}

func (m *memory) Tokens(_ context.Context, user string) ([]cordon.Token, error) {
	return pick(m, m.tokens, func(t *cordon.Token) bool { return t.User == user })
}

func (m *memory) TokenByHash(_ context.Context, hash [32]byte) (cordon.Token, error) {
	all, err := pick(m, m.tokens, func(t *cordon.Token) bool { return t.Hash == hash })
	if err == nil && len(all) == 0 {
		err = cordon.ErrNotFound
	}
	if err != nil {
		return cordon.Token{}, err
	}
	return all[0], nil
}

func (m *memory) PutToken(_ context.Context, t *cordon.Token) error {
	defer m.lock()()
	m.written++
	m.tokens[t.ID] = *t
	return m.down
}

func (m *memory) DeleteToken(_ context.Context, id string) error { return drop(m, m.tokens, id) }

func (m *memory) SessionByHash(_ context.Context, hash [32]byte) (cordon.Session, error) {
	return get(m, m.sessions, hash)
}

func (m *memory) PutSession(_ context.Context, s *cordon.Session) error {
	defer m.lock()()
	m.written++
	m.sessions[s.Hash] = *s
	return m.down
}

func (m *memory) DeleteSession(_ context.Context, hash [32]byte) error {
	return drop(m, m.sessions, hash)
}

func (m *memory) Sessions(_ context.Context, user string) ([]cordon.Session, error) {
	return pick(m, m.sessions, func(s *cordon.Session) bool { return s.User == user })
}

func (m *memory) Site(_ context.Context, id string) (cordon.Site, error) { return get(m, m.sites, id) }

func (m *memory) PutSite(_ context.Context, s *cordon.Site) error {
	defer m.lock()()
	if m.sites[s.ID].Version != s.Version {
		return cordon.ErrConflict
	}
	s.Version++
	m.sites[s.ID] = *s
	return m.down
}

func (m *memory) TouchSession(_ context.Context, hash [32]byte, expires cordon.Time) error {
	return touch(m, m.sessions, hash, func(s *cordon.Session) { s.Expires = expires })
}

func (m *memory) TouchToken(_ context.Context, id string, used cordon.Time) error {
	return touch(m, m.tokens, id, func(t *cordon.Token) { t.Used = used })
}

func (m *memory) TouchPasskey(_ context.Context, id, data []byte, used cordon.Time) error {
	return touch(m, m.passkeys, string(id), func(k *cordon.Passkey) { k.Data, k.Used = data, used })
}

func touch[K comparable, T any](m *memory, table map[K]T, key K, change func(*T)) error {
	v, err := get(m, table, key)
	if err != nil {
		return err
	}
	if m.onTouch != nil {
		m.onTouch()
		if v, err = get(m, table, key); err != nil {
			return err
		}
	}
	defer m.lock()()
	change(&v)
	table[key] = v
	m.written++
	return nil
}

func (m *memory) CountFailure(_ context.Context, key string, at cordon.Time, window time.Duration) (n int, err error) {
	defer m.lock()()
	m.failures[key] = append(m.failures[key], at)
	for _, t := range m.failures[key] {
		if at.Sub(t) < window {
			n++
		}
	}
	return n, m.down
}

func (m *memory) ClearFailures(_ context.Context, key string) error {
	defer m.lock()()
	delete(m.failures, key)
	return m.down
}

func (m *memory) Audit(_ context.Context, a cordon.Audit) error {
	defer m.lock()()
	if m.noAudit == nil {
		m.audits = append(m.audits, a)
	}
	return m.noAudit
}

func (m *memory) Audits(_ context.Context, _ cordon.Scope, q cordon.Query) (p cordon.Page[cordon.Audit], err error) {
	defer m.lock()()
	for _, a := range slices.Backward(m.audits) {
		if (q.User == "" || a.User == q.User) && (q.Verb == "" || a.Verb == q.Verb) && a.At >= q.Since {
			p.Items = append(p.Items, a)
		}
	}
	return p, m.down
}
