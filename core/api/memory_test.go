package api_test

import (
	"bytes"
	"cmp"
	"context"
	"fmt"
	"maps"
	"slices"
	"strconv"
	"strings"
	"sync"
	"time"

	"cordon"
	"cordon/internal/ident"
)

// memory is a store in memory, for the tests of the API alone. Everything is guarded by
// mu.
type memory struct {
	mu         sync.Mutex
	now        func() cordon.Time
	down       error // what every call returns, if set
	accounts   map[string]cordon.Account
	sites      map[string]cordon.Site
	routers    map[string]cordon.Router
	users      map[string]cordon.User
	hooks      map[string]cordon.Webhook
	devices    map[string]cordon.DeviceRecord
	incidents  map[string]cordon.IncidentRecord
	detections map[string]cordon.DetectionRecord
	actions    map[string]cordon.ActionRecord
	desired    map[string]cordon.Desired
	enforced   map[string]cordon.Enforced
	shadows    []cordon.Shadow
	number     uint64
	audits     []cordon.Audit
	answers    map[string]remembered
	tokens     map[string]cordon.Token
	passkeys   map[string]cordon.Passkey
	sessions   map[[32]byte]cordon.Session
	failures   map[string]int
}

type remembered struct {
	request [32]byte
	answer  []byte
}

func newMemory(now func() cordon.Time) *memory {
	return &memory{now: now, accounts: map[string]cordon.Account{}, sites: map[string]cordon.Site{}, routers: map[string]cordon.Router{},
		users: map[string]cordon.User{}, hooks: map[string]cordon.Webhook{}, devices: map[string]cordon.DeviceRecord{},
		incidents: map[string]cordon.IncidentRecord{}, detections: map[string]cordon.DetectionRecord{}, actions: map[string]cordon.ActionRecord{},
		desired: map[string]cordon.Desired{}, enforced: map[string]cordon.Enforced{}, answers: map[string]remembered{},
		tokens: map[string]cordon.Token{}, passkeys: map[string]cordon.Passkey{}, sessions: map[[32]byte]cordon.Session{}, failures: map[string]int{}}
}

func (m *memory) lock() func() { m.mu.Lock(); return m.mu.Unlock }

// get returns a record of a table.
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

// put stores a record if its version is the stored one.
func put[K comparable, T any](m *memory, table map[K]T, key K, v *T, version func(*T) *int64) error {
	defer m.lock()()
	if m.down != nil {
		return m.down
	}
	old, there := table[key]
	if there != (*version(v) != 0) || there && *version(&old) != *version(v) {
		return fmt.Errorf("%v: %w", key, cordon.ErrConflict)
	}
	*version(v)++
	table[key] = *v
	return nil
}

func drop[K comparable, T any](m *memory, table map[K]T, key K) error {
	if _, err := get(m, table, key); err != nil {
		return err
	}
	defer m.lock()()
	delete(table, key)
	return nil
}

// sees reports whether a scope and query permit what is of that account and site.
func sees(s cordon.Scope, q cordon.Query, account, site string) bool {
	return (s.All || slices.Contains(s.Accounts, account) || slices.Contains(s.Sites, site)) &&
		(q.Account == "" || q.Account == account) && (q.Site == "" || q.Site == site)
}

// pick returns a page of a table.
func pick[K cmp.Ordered, T any](m *memory, table map[K]T, q cordon.Query, want func(*T) bool) (p cordon.Page[T], err error) {
	defer m.lock()()
	if m.down != nil {
		return p, m.down
	}
	at, err := strconv.Atoi(cmp.Or(q.Cursor, "0"))
	if err != nil || at < 0 {
		return p, fmt.Errorf("cursor: %w", cordon.ErrInvalid)
	}
	var all []T
	for _, key := range slices.Sorted(maps.Keys(table)) {
		if v := table[key]; want(&v) {
			all = append(all, v)
		}
	}
	limit := cmp.Or(q.Limit, 50)
	p.Items = all[min(at, len(all)):min(at+limit, len(all))]
	if at+limit < len(all) {
		p.Next = strconv.Itoa(at + limit)
	}
	return p, nil
}

func (m *memory) Accounts(_ context.Context, s cordon.Scope, q cordon.Query) (cordon.Page[cordon.Account], error) {
	return pick(m, m.accounts, q, func(a *cordon.Account) bool { return sees(s, q, a.ID, "-") && strings.HasPrefix(a.Name, q.Text) })
}
func (m *memory) Account(_ context.Context, id string) (cordon.Account, error) {
	return get(m, m.accounts, id)
}
func (m *memory) PutAccount(_ context.Context, a *cordon.Account) error {
	return put(m, m.accounts, a.ID, a, func(a *cordon.Account) *int64 { return &a.Version })
}
func (m *memory) EraseAccount(_ context.Context, id string) error { return drop(m, m.accounts, id) }

func (m *memory) Sites(_ context.Context, s cordon.Scope, q cordon.Query) (cordon.Page[cordon.Site], error) {
	return pick(m, m.sites, q, func(a *cordon.Site) bool { return sees(s, q, a.Account, a.ID) })
}
func (m *memory) Site(_ context.Context, id string) (cordon.Site, error) { return get(m, m.sites, id) }
func (m *memory) PutSite(_ context.Context, a *cordon.Site) error {
	return put(m, m.sites, a.ID, a, func(a *cordon.Site) *int64 { return &a.Version })
}

func (m *memory) Users(_ context.Context, s cordon.Scope, q cordon.Query) (cordon.Page[cordon.User], error) {
	return pick(m, m.users, q, func(u *cordon.User) bool {
		return s.All || slices.ContainsFunc(u.Grants, func(g cordon.Grant) bool { return sees(s, q, g.Account, cmp.Or(g.Site, "-")) })
	})
}
func (m *memory) User(_ context.Context, id string) (cordon.User, error) { return get(m, m.users, id) }
func (m *memory) UserByEmail(_ context.Context, email string) (u cordon.User, err error) {
	defer m.lock()()
	for _, u := range m.users {
		if u.Email == email && email != "" {
			return u, nil
		}
	}
	return u, cordon.ErrNotFound
}
func (m *memory) PutUser(ctx context.Context, u *cordon.User) error {
	if other, err := m.UserByEmail(ctx, u.Email); err == nil && other.ID != u.ID {
		return cordon.ErrConflict
	}
	return put(m, m.users, u.ID, u, func(u *cordon.User) *int64 { return &u.Version })
}
func (m *memory) DeleteUser(_ context.Context, id string) error { return drop(m, m.users, id) }

func (m *memory) Webhooks(_ context.Context, account string) ([]cordon.Webhook, error) {
	p, err := pick(m, m.hooks, cordon.Query{}, func(w *cordon.Webhook) bool { return w.Account == account })
	return p.Items, err
}
func (m *memory) Webhook(_ context.Context, id string) (cordon.Webhook, error) {
	return get(m, m.hooks, id)
}
func (m *memory) PutWebhook(_ context.Context, w *cordon.Webhook) error {
	return put(m, m.hooks, w.ID, w, func(w *cordon.Webhook) *int64 { return &w.Version })
}
func (m *memory) DeleteWebhook(_ context.Context, id string) error { return drop(m, m.hooks, id) }

func (m *memory) Routers(_ context.Context, s cordon.Scope, q cordon.Query) (cordon.Page[cordon.Router], error) {
	return pick(m, m.routers, q, func(r *cordon.Router) bool {
		return sees(s, q, r.Account, r.Site) && strings.HasPrefix(r.Serial, q.Text) && (q.State == "" || q.State == string(r.State)) &&
			(q.Online == nil || *q.Online == r.Online) && (q.Agent == "" || q.Agent == r.Agent)
	})
}
func (m *memory) Router(_ context.Context, id string) (cordon.Router, error) {
	return get(m, m.routers, id)
}
func (m *memory) RouterOfSite(_ context.Context, site string) (r cordon.Router, err error) {
	defer m.lock()()
	for _, r := range m.routers {
		if r.Site == site {
			return r, nil
		}
	}
	return r, cordon.ErrNotFound
}
func (m *memory) ImportRouters(_ context.Context, all []cordon.RouterImport, dry bool) (r cordon.ImportResult, err error) {
	defer m.lock()()
	for _, in := range all {
		found := ""
		for _, have := range m.routers {
			if have.Serial == in.Serial {
				found = have.ID
			}
		}
		if found != "" {
			r.Unchanged++
			continue
		}
		if r.Created++; dry {
			continue
		}
		account, site, router := ident.New(time.Now()), ident.New(time.Now()), ident.New(time.Now())
		m.accounts[account] = cordon.Account{ID: account, Reference: in.AccountReference, Version: 1}
		m.sites[site] = cordon.Site{ID: site, Account: account, Reference: in.SiteReference, Version: 1}
		m.routers[router] = cordon.Router{ID: router, Serial: in.Serial, Site: site, Account: account, State: cordon.RouterExpected, Claim: in.Claim, Version: 1}
	}
	return r, nil
}
func (m *memory) state(id string, s cordon.RouterState) error {
	r, err := get(m, m.routers, id)
	if err != nil {
		return err
	}
	r.State = s
	return put(m, m.routers, id, &r, func(r *cordon.Router) *int64 { return &r.Version })
}
func (m *memory) Revoke(_ context.Context, id, _ string) error {
	return m.state(id, cordon.RouterRevoked)
}
func (m *memory) Reset(_ context.Context, id string) error { return m.state(id, cordon.RouterReset) }

func (m *memory) Devices(_ context.Context, s cordon.Scope, q cordon.Query) (cordon.Page[cordon.DeviceRecord], error) {
	return pick(m, m.devices, q, func(d *cordon.DeviceRecord) bool {
		return sees(s, q, d.Account, d.Site) && (q.State == "" || q.State == d.State)
	})
}
func (m *memory) Device(_ context.Context, site, id string) (cordon.DeviceRecord, error) {
	return get(m, m.devices, site+"/"+id)
}
func (m *memory) PutDevice(_ context.Context, d *cordon.DeviceRecord) error {
	return put(m, m.devices, d.Site+"/"+d.Device.ID, d, func(d *cordon.DeviceRecord) *int64 { return &d.Version })
}
func (m *memory) Incidents(_ context.Context, s cordon.Scope, q cordon.Query) (cordon.Page[cordon.IncidentRecord], error) {
	return pick(m, m.incidents, q, func(i *cordon.IncidentRecord) bool {
		open := !i.Over && i.Closed == ""
		return sees(s, q, i.Account, i.Site) && (q.State == "" || (q.State == "open") == open) && i.Incident.Level >= q.Level
	})
}
func (m *memory) Incident(_ context.Context, site, id string) (cordon.IncidentRecord, error) {
	return get(m, m.incidents, site+"/"+id)
}
func (m *memory) CloseIncident(_ context.Context, site, id string, c cordon.Closing, by, note string, version int64) error {
	i, err := get(m, m.incidents, site+"/"+id)
	if err != nil {
		return err
	}
	i.Closed, i.By, i.Note, i.Version = c, by, note, version
	return put(m, m.incidents, site+"/"+id, &i, func(i *cordon.IncidentRecord) *int64 { return &i.Version })
}
func (m *memory) Detections(_ context.Context, s cordon.Scope, q cordon.Query) (cordon.Page[cordon.DetectionRecord], error) {
	return pick(m, m.detections, q, func(d *cordon.DetectionRecord) bool {
		return sees(s, q, d.Account, d.Site) && (q.Device == "" || q.Device == d.Detection.Device.ID)
	})
}
func (m *memory) Detection(_ context.Context, site, id string) (cordon.DetectionRecord, error) {
	return get(m, m.detections, site+"/"+id)
}
func (m *memory) Actions(_ context.Context, s cordon.Scope, q cordon.Query) (cordon.Page[cordon.ActionRecord], error) {
	return pick(m, m.actions, q, func(a *cordon.ActionRecord) bool { return sees(s, q, a.Account, a.Site) })
}

func (m *memory) Desired(_ context.Context, site string) (cordon.Desired, error) {
	d, err := get(m, m.desired, site)
	if err != nil && m.down == nil {
		return cordon.Desired{Site: site, Policy: cordon.PolicyObserve}, nil
	}
	return d, err
}
func (m *memory) ChangeDesired(ctx context.Context, site string, a cordon.Audit, change func(*cordon.Desired) error) (cordon.Desired, error) {
	d, err := m.Desired(ctx, site)
	if err != nil {
		return d, err
	}
	defer m.lock()()
	d.Orders, d.Allowed = slices.Clone(d.Orders), slices.Clone(d.Allowed)
	d.Released, d.Devices = slices.Clone(d.Released), slices.Clone(d.Devices)
	if err := change(&d); err != nil {
		return d, err
	}
	d.Version++
	d.At = m.now()
	m.desired[site] = d
	m.audits = append(m.audits, a)
	return d, nil
}
func (m *memory) Enforced(_ context.Context, site string) (cordon.Enforced, cordon.Time, error) {
	e, err := get(m, m.enforced, site)
	return e, m.now(), err
}
func (m *memory) Shadows(context.Context) ([]cordon.Shadow, uint64, error) {
	defer m.lock()()
	return slices.Clone(m.shadows), m.number, m.down
}
func (m *memory) ChangeShadows(_ context.Context, a cordon.Audit, change func([]cordon.Shadow) ([]cordon.Shadow, error)) (uint64, error) {
	defer m.lock()()
	s, err := change(m.shadows)
	if err != nil {
		return 0, err
	}
	m.shadows, m.audits = s, append(m.audits, a)
	m.number++
	return m.number, nil
}

func (m *memory) Audit(_ context.Context, a cordon.Audit) error {
	defer m.lock()()
	if m.down == nil {
		m.audits = append(m.audits, a)
	}
	return m.down
}
func (m *memory) Audits(_ context.Context, s cordon.Scope, q cordon.Query) (cordon.Page[cordon.Audit], error) {
	m.mu.Lock()
	table := make(map[string]cordon.Audit)
	for _, a := range m.audits {
		table[a.ID] = a
	}
	m.mu.Unlock()
	return pick(m, table, q, func(a *cordon.Audit) bool {
		return sees(s, q, a.Account, a.Site) && (q.User == "" || q.User == a.User) && (q.Verb == "" || q.Verb == a.Verb) && a.At >= q.Since
	})
}
func (m *memory) Remember(_ context.Context, user, key string, request [32]byte, answer []byte) error {
	defer m.lock()()
	if _, there := m.answers[user+"/"+key]; !there {
		m.answers[user+"/"+key] = remembered{request, bytes.Clone(answer)}
	}
	return nil
}
func (m *memory) Recall(_ context.Context, user, key string) ([32]byte, []byte, error) {
	a, err := get(m, m.answers, user+"/"+key)
	return a.request, a.answer, err
}

func (m *memory) Passkeys(_ context.Context, user string) ([]cordon.Passkey, error) {
	p, err := pick(m, m.passkeys, cordon.Query{}, func(k *cordon.Passkey) bool { return k.User == user })
	return p.Items, err
}
func (m *memory) PutPasskey(_ context.Context, k *cordon.Passkey) error {
	defer m.lock()()
	m.passkeys[string(k.ID)] = *k
	return nil
}
func (m *memory) DeletePasskey(_ context.Context, id []byte) error {
	return drop(m, m.passkeys, string(id))
}
func (m *memory) Tokens(_ context.Context, user string) ([]cordon.Token, error) {
	p, err := pick(m, m.tokens, cordon.Query{}, func(t *cordon.Token) bool { return t.User == user })
	return p.Items, err
}
func (m *memory) TokenByHash(_ context.Context, hash [32]byte) (t cordon.Token, err error) {
	defer m.lock()()
	for _, t := range m.tokens {
		if t.Hash == hash {
			return t, nil
		}
	}
	return t, cordon.ErrNotFound
}
func (m *memory) PutToken(_ context.Context, t *cordon.Token) error {
	defer m.lock()()
	m.tokens[t.ID] = *t
	return nil
}
func (m *memory) DeleteToken(_ context.Context, id string) error { return drop(m, m.tokens, id) }
func (m *memory) SessionByHash(_ context.Context, hash [32]byte) (cordon.Session, error) {
	return get(m, m.sessions, hash)
}
func (m *memory) PutSession(_ context.Context, s *cordon.Session) error {
	defer m.lock()()
	m.sessions[s.Hash] = *s
	return nil
}
func (m *memory) DeleteSession(_ context.Context, hash [32]byte) error {
	return drop(m, m.sessions, hash)
}
func (m *memory) Sessions(_ context.Context, user string) (all []cordon.Session, err error) {
	defer m.lock()()
	for _, s := range m.sessions {
		if s.User == user {
			all = append(all, s)
		}
	}
	return all, nil
}
func (m *memory) CountFailure(_ context.Context, key string, _ cordon.Time, _ time.Duration) (int, error) {
	defer m.lock()()
	m.failures[key]++
	return m.failures[key], nil
}
func (m *memory) ClearFailures(_ context.Context, key string) error {
	defer m.lock()()
	delete(m.failures, key)
	return nil
}
