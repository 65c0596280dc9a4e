package store

import (
	"context"
	"database/sql"
	"fmt"
	"time"

	"cordon"
	"cordon/core/store/table"
	"cordon/core/store/table/column"
	"cordon/core/store/table/dialect"
	"cordon/internal/ident"
)

var users = table.New("users", "id, email, name, name_key, locale, password, disabled, created, version")

func userRow(u *cordon.User) []any {
	return []any{id(&u.ID), id(&u.Email), name(&u.Name), sought(table.SearchKey(u.Name)), id(&u.Locale), line(&u.Password), column.Flag(&u.Disabled),
		column.Moment(&u.Created), column.Number(&u.Version)}
}

var userList = table.List[cordon.User]{
	Table: users.Name, Columns: users.Columns, Row: userRow,
	Account: "id IN (SELECT usr FROM grants WHERE account = ? AND account <> '' AND token = '')",
	Site:    "id IN (SELECT usr FROM grants WHERE site = ? AND site <> '' AND token = '')",
	Keys:    []table.Key[cordon.User]{table.Of("id", func(u *cordon.User) any { return clean(u.ID) })},
	Words: []table.Word[cordon.User]{
		table.Folded("email", func(u *cordon.User) any { return clean(u.Email) }),
		table.Folded("name_key", func(u *cordon.User) any { return table.SearchKey(u.Name) })},
	Filters: func(q *cordon.Query) (all []table.Filter) {
		if q.User != "" {
			all = append(all, table.Drives("id = ?", clean(q.User)))
		}
		q.User = ""
		return all
	},
}

// Users returns a page of users, by ID, or by e-mail address or name when the query has
// a Text. Of a scope are those who have a grant there.
func (s *Store) Users(ctx context.Context, scope cordon.Scope, q cordon.Query) (p cordon.Page[cordon.User], err error) {
	if p, err = userList.Page(ctx, s.db.Read(), s.budget, scope, q); err != nil {
		return p, err
	}
	return p, s.grants(ctx, p.Items)
}

// grants reads what users may.
func (s *Store) grants(ctx context.Context, of []cordon.User) error {
	byID := make(map[string]*cordon.User)
	var ids []string
	for i := range of {
		byID[of[i].ID] = &of[i]
		ids = append(ids, of[i].ID)
	}
	err := table.In(ctx, s.db.Read(), "SELECT usr, role, account, site FROM grants WHERE token = '' AND usr IN ", ids, " ORDER BY usr, role, account, site", func(rows *sql.Rows) error {
		var user string
		var g cordon.Grant
		err := rows.Scan(&user, id(&g.Role), id(&g.Account), id(&g.Site))
		if u := byID[user]; u != nil {
			u.Grants = append(u.Grants, g)
		}
		return err
	})
	if err != nil {
		return fmt.Errorf("grants: %w", dialect.Classify(err))
	}
	return nil
}

// User returns a user.
func (s *Store) User(ctx context.Context, id string) (cordon.User, error) {
	return s.user(ctx, "user "+id, "id = $1", clean(id))
}

// UserByEmail returns the user of an e-mail address in lower case.
func (s *Store) UserByEmail(ctx context.Context, email string) (cordon.User, error) {
	return s.user(ctx, "user of that address", "email = $1 AND email <> ''", clean(email))
}

func (s *Store) user(ctx context.Context, what, where, value string) (cordon.User, error) {
	u, err := table.One(ctx, s.db.Read(), what, userRow, users.Select+" WHERE "+where, value)
	if err != nil {
		return u, err
	}
	found := []cordon.User{u}
	err = s.grants(ctx, found)
	return found[0], err
}

// PutUser creates a user at Version 0, else changes one if Version is the stored one. It
// sets Version. An e-mail address that another has is a conflict.
func (s *Store) PutUser(ctx context.Context, u *cordon.User) error {
	if u.ID == "" {
		return fmt.Errorf("user without an id: %w", cordon.ErrInvalid)
	}
	return s.putIn(ctx, users, "user "+u.ID, &u.Version, func() []any { return userRow(u) }, func(tx dialect.Tx) error {
		return putGrants(ctx, tx, u.ID, "", u.Grants)
	})
}

// putGrants replaces what a user, or one of his tokens, may.
func putGrants(ctx context.Context, tx dialect.Tx, user, token string, grants []cordon.Grant) error {
	if _, err := table.Exec(ctx, tx, "DELETE FROM grants WHERE usr = ? AND token = ?", clean(user), clean(token)); err != nil {
		return err
	}
	var rows [][]any
	for i := range grants {
		g := &grants[i]
		rows = append(rows, []any{id(&user), id(&token), id(&g.Role), id(&g.Account), id(&g.Site)})
	}
	return table.Values(ctx, tx, "INSERT INTO grants (usr, token, role, account, site) VALUES ", table.Row(5), rows, " ON CONFLICT DO NOTHING", nil)
}

// DeleteUser removes a user with keys, tokens and sessions.
func (s *Store) DeleteUser(ctx context.Context, id string) error {
	return s.write(ctx, func(tx dialect.Tx) error {
		for _, text := range []string{"DELETE FROM sessions WHERE usr = ?", "DELETE FROM answers WHERE usr = ?"} {
			if _, err := table.Exec(ctx, tx, text, clean(id)); err != nil {
				return err
			}
		}
		return deleted(ctx, tx, "user "+id, "DELETE FROM users WHERE id = ?", clean(id))
	})
}

// deleted deletes a record that must be there.
func deleted(ctx context.Context, tx dialect.Tx, what, text string, args ...any) error {
	n, err := table.Exec(ctx, tx, text, args...)
	if err == nil && n == 0 {
		err = cordon.ErrNotFound
	}
	if err != nil {
		return fmt.Errorf("delete %s: %w", what, dialect.Classify(err))
	}
	return nil
}

// change runs one statement in a transaction of its own.
func (s *Store) change(ctx context.Context, what, text string, args ...any) error {
	err := s.write(ctx, func(tx dialect.Tx) error {
		_, err := table.Exec(ctx, tx, text, args...)
		return err
	})
	if err != nil {
		return fmt.Errorf("%s: %w", what, err)
	}
	return nil
}

// drop deletes a record that must be there, in a transaction of its own.
func (s *Store) drop(ctx context.Context, what, text string, args ...any) error {
	return s.write(ctx, func(tx dialect.Tx) error { return deleted(ctx, tx, what, text, args...) })
}

// some returns the few records of somebody.
func some[T any](ctx context.Context, s *Store, what string, row func(*T) []any, text string, args ...any) ([]T, error) {
	found, err := table.All(ctx, s.db.Read(), row, text, args...)
	if err != nil {
		return nil, fmt.Errorf("%s: %w", what, dialect.Classify(err))
	}
	return found, nil
}

func passkeyRow(p *cordon.Passkey) []any {
	return []any{column.Bytes(&p.ID), id(&p.User), name(&p.Name), column.Bytes(&p.Data), column.Moment(&p.Created), column.Moment(&p.Used)}
}

// Passkeys returns a user's passkeys.
func (s *Store) Passkeys(ctx context.Context, user string) ([]cordon.Passkey, error) {
	return some(ctx, s, "passkeys of "+user, passkeyRow, "SELECT id, usr, name, data, created, used FROM passkeys WHERE usr = $1 ORDER BY created, id", clean(user))
}

// PutPasskey stores a passkey. One of that id that belongs to another user is a conflict.
func (s *Store) PutPasskey(ctx context.Context, p *cordon.Passkey) error {
	return s.upsert(ctx, "passkey of "+p.User, `INSERT INTO passkeys (id, usr, name, data, created, used) VALUES (?, ?, ?, ?, ?, ?)
		ON CONFLICT (id) DO UPDATE SET name = excluded.name, data = excluded.data, used = excluded.used WHERE passkeys.usr = excluded.usr`, passkeyRow(p)...)
}

// upsert creates or changes a record, unless its condition says that it may not.
func (s *Store) upsert(ctx context.Context, what, text string, args ...any) error {
	return s.write(ctx, func(tx dialect.Tx) error { return upsert(ctx, tx, what, text, args...) })
}

func upsert(ctx context.Context, tx dialect.Tx, what, text string, args ...any) error {
	n, err := table.Exec(ctx, tx, text, args...)
	if err == nil && n == 0 {
		err = cordon.ErrConflict
	}
	if err != nil {
		return fmt.Errorf("put %s: %w", what, dialect.Classify(err))
	}
	return nil
}

// DeletePasskey removes a passkey.
func (s *Store) DeletePasskey(ctx context.Context, id []byte) error {
	return s.drop(ctx, "passkey", "DELETE FROM passkeys WHERE id = ?", id)
}

const tokenColumns = "id, hash, usr, name, use, created, used, expires"

func tokenRow(t *cordon.Token) []any {
	return []any{id(&t.ID), column.Hash(&t.Hash), id(&t.User), name(&t.Name), id(&t.Use), column.Moment(&t.Created), column.Moment(&t.Used), column.Moment(&t.Expires)}
}

// Tokens returns a user's tokens.
func (s *Store) Tokens(ctx context.Context, user string) ([]cordon.Token, error) {
	return s.tokens(ctx, "tokens of "+user, "usr = $1 ORDER BY created, id", clean(user))
}

// TokenByHash returns the token of that hash.
func (s *Store) TokenByHash(ctx context.Context, hash [32]byte) (cordon.Token, error) {
	found, err := s.tokens(ctx, "token", "hash = $1", hash[:])
	if err != nil || len(found) == 0 {
		if err == nil {
			err = fmt.Errorf("token: %w", cordon.ErrNotFound)
		}
		return cordon.Token{}, err
	}
	return found[0], nil
}

func (s *Store) tokens(ctx context.Context, what, where string, value any) ([]cordon.Token, error) {
	found, err := some(ctx, s, what, tokenRow, "SELECT "+tokenColumns+" FROM tokens WHERE "+where, value)
	for i := range found {
		if err == nil {
			found[i].Grants, err = some(ctx, s, what, func(g *cordon.Grant) []any { return []any{id(&g.Role), id(&g.Account), id(&g.Site)} },
				"SELECT role, account, site FROM grants WHERE usr = $1 AND token = $2 ORDER BY role, account, site", clean(found[i].User), clean(found[i].ID))
		}
	}
	return found, err
}

// PutToken stores a token.
func (s *Store) PutToken(ctx context.Context, t *cordon.Token) error {
	if t.ID == "" || t.Expires == 0 {
		return fmt.Errorf("token without id or end: %w", cordon.ErrInvalid)
	}
	return s.write(ctx, func(tx dialect.Tx) error {
		if err := upsert(ctx, tx, "token "+t.ID, `INSERT INTO tokens (id, hash, usr, name, use, created, used, expires) VALUES (?, ?, ?, ?, ?, ?, ?, ?)
			ON CONFLICT (id) DO UPDATE SET name = excluded.name, used = excluded.used, expires = excluded.expires
			WHERE tokens.usr = excluded.usr AND tokens.hash = excluded.hash`, tokenRow(t)...); err != nil {
			return err
		}
		return putGrants(ctx, tx, t.User, t.ID, t.Grants)
	})
}

// DeleteToken removes a token. All but one of those who delete the same are told
// cordon.ErrNotFound: what is good for once, is.
func (s *Store) DeleteToken(ctx context.Context, id string) error {
	return s.write(ctx, func(tx dialect.Tx) error {
		if _, err := table.Exec(ctx, tx, "DELETE FROM grants WHERE token = ? AND token <> '' AND usr IN (SELECT usr FROM tokens WHERE id = ?)", clean(id), clean(id)); err != nil {
			return err
		}
		return deleted(ctx, tx, "token "+id, "DELETE FROM tokens WHERE id = ?", clean(id))
	})
}

const sessionColumns = "hash, usr, data, agent, addr, created, expires"

func sessionRow(e *cordon.Session) []any {
	return []any{column.Hash(&e.Hash), id(&e.User), column.Bytes(&e.Data), name(&e.Agent), id(&e.Addr), column.Moment(&e.Created), column.Moment(&e.Expires)}
}

// SessionByHash returns the session of that hash. Whether it is over, the caller looks.
func (s *Store) SessionByHash(ctx context.Context, hash [32]byte) (cordon.Session, error) {
	return table.One(ctx, s.db.Read(), "session", sessionRow, "SELECT "+sessionColumns+" FROM sessions WHERE hash = $1", hash[:])
}

// Sessions returns a user's sessions.
func (s *Store) Sessions(ctx context.Context, user string) ([]cordon.Session, error) {
	return some(ctx, s, "sessions of "+user, sessionRow, "SELECT "+sessionColumns+" FROM sessions WHERE usr = $1 ORDER BY created, hash", clean(user))
}

// PutSession stores a session.
func (s *Store) PutSession(ctx context.Context, e *cordon.Session) error {
	return s.upsert(ctx, "session", `INSERT INTO sessions (hash, usr, data, agent, addr, created, expires) VALUES (?, ?, ?, ?, ?, ?, ?)
		ON CONFLICT (hash) DO UPDATE SET usr = excluded.usr, data = excluded.data, agent = excluded.agent, addr = excluded.addr, expires = excluded.expires`, sessionRow(e)...)
}

// DeleteSession ends a session.
func (s *Store) DeleteSession(ctx context.Context, hash [32]byte) error {
	return s.drop(ctx, "session", "DELETE FROM sessions WHERE hash = ?", hash[:])
}

// CountFailure records a failure and returns how many there were in the window that ends
// at at, with this one.
func (s *Store) CountFailure(ctx context.Context, key string, at cordon.Time, window time.Duration) (n int, err error) {
	key = column.Clean(key, table.NameBytes)
	since := micros(at.Add(-window))
	err = s.write(ctx, func(tx dialect.Tx) error {
		// One at a time: who guesses many at once is to be counted, too.
		if err := tx.Lock(ctx, "failures "+key); err != nil {
			return err
		}
		if _, err := table.Exec(ctx, tx, "DELETE FROM failures WHERE subject = ? AND at <= ?", key, since); err != nil {
			return err
		}
		if _, err := table.Exec(ctx, tx, "INSERT INTO failures (subject, at, id) VALUES (?, ?, ?)", key, micros(at), ident.New(s.cfg.Now())); err != nil {
			return err
		}
		found, err := table.All(ctx, tx, func(n *int) []any { return []any{n} },
			"SELECT COUNT(*) FROM failures WHERE subject = $1 AND at > $2 AND at <= $3", key, since, micros(at))
		if err == nil {
			n = found[0]
		}
		return err
	})
	if err != nil {
		return 0, fmt.Errorf("count failure: %w", err)
	}
	return n, nil
}

// ClearFailures forgets the failures of a key.
func (s *Store) ClearFailures(ctx context.Context, key string) error {
	return s.change(ctx, "clear failures", "DELETE FROM failures WHERE subject = ?", column.Clean(key, table.NameBytes))
}
