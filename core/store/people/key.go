package people

import (
	"context"
	"fmt"
	"time"

	"cordon"
	"cordon/core/store/table"
	"cordon/core/store/table/column"
	"cordon/core/store/table/dialect"
	"cordon/internal/ident"
	"cordon/internal/text"
)

func passkeyRow(p *cordon.Passkey) []any {
	return []any{column.Bytes(&p.ID), column.ID(&p.User), column.Name(&p.Name), column.Bytes(&p.Data), column.Moment(&p.Created), column.Moment(&p.Used)}
}

// Passkeys returns a user's passkeys.
func (s *Store) Passkeys(ctx context.Context, user string) ([]cordon.Passkey, error) {
	return table.Some(ctx, s.DB.Read(), "passkeys of "+user, passkeyRow, "SELECT id, usr, name, data, created, used FROM passkeys WHERE usr = $1 ORDER BY created, id", column.AsID(user))
}

// PutPasskey stores a passkey. One of that id that belongs to another user is a conflict.
func (s *Store) PutPasskey(ctx context.Context, p *cordon.Passkey) error {
	return table.Alone(ctx, s.DB, "put passkey of "+p.User, cordon.ErrConflict, `INSERT INTO passkeys (id, usr, name, data, created, used) VALUES (?, ?, ?, ?, ?, ?)
		ON CONFLICT (id) DO UPDATE SET name = excluded.name, data = excluded.data, used = excluded.used WHERE passkeys.usr = excluded.usr`, passkeyRow(p)...)
}

// DeletePasskey removes a passkey.
func (s *Store) DeletePasskey(ctx context.Context, id []byte) error {
	return table.Alone(ctx, s.DB, "delete passkey", cordon.ErrNotFound, "DELETE FROM passkeys WHERE id = ?", id)
}

const tokenColumns = "id, hash, usr, name, use, created, used, expires"

func tokenRow(t *cordon.Token) []any {
	return []any{column.ID(&t.ID), column.Hash(&t.Hash), column.ID(&t.User), column.Name(&t.Name), column.ID(&t.Use), column.Moment(&t.Created), column.Moment(&t.Used), column.Moment(&t.Expires)}
}

// Tokens returns a user's tokens.
func (s *Store) Tokens(ctx context.Context, user string) ([]cordon.Token, error) {
	return s.tokens(ctx, "tokens of "+user, "usr = $1 ORDER BY created, id", column.AsID(user))
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
	found, err := table.Some(ctx, s.DB.Read(), what, tokenRow, "SELECT "+tokenColumns+" FROM tokens WHERE "+where, value)
	for i := range found {
		if err == nil {
			found[i].Grants, err = table.Some(ctx, s.DB.Read(), what, func(g *cordon.Grant) []any {
				return []any{column.ID(&g.Role), column.ID(&g.Account), column.ID(&g.Site)}
			},
				"SELECT role, account, site FROM grants WHERE usr = $1 AND token = $2 ORDER BY role, account, site", column.AsID(found[i].User), column.AsID(found[i].ID))
		}
	}
	return found, err
}

// PutToken stores a token.
func (s *Store) PutToken(ctx context.Context, t *cordon.Token) error {
	if t.ID == "" || t.Expires == 0 {
		return fmt.Errorf("token without id or end: %w", cordon.ErrInvalid)
	}
	return s.DB.Write(ctx, func(tx dialect.Tx) error {
		if err := table.Must(ctx, tx, "put token "+t.ID, cordon.ErrConflict, `INSERT INTO tokens (id, hash, usr, name, use, created, used, expires) VALUES (?, ?, ?, ?, ?, ?, ?, ?)
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
	return s.DB.Write(ctx, func(tx dialect.Tx) error {
		if _, err := table.Exec(ctx, tx, "DELETE FROM grants WHERE token = ? AND token <> '' AND usr IN (SELECT usr FROM tokens WHERE id = ?)", column.AsID(id), column.AsID(id)); err != nil {
			return err
		}
		return table.Must(ctx, tx, "delete token "+id, cordon.ErrNotFound, "DELETE FROM tokens WHERE id = ?", column.AsID(id))
	})
}

const sessionColumns = "hash, usr, agent, addr, created, expires"

func sessionRow(e *cordon.Session) []any {
	return []any{column.Hash(&e.Hash), column.ID(&e.User), column.Name(&e.Agent), column.ID(&e.Addr), column.Moment(&e.Created), column.Moment(&e.Expires)}
}

// SessionByHash returns the session of that hash. Whether it is over, the caller looks.
func (s *Store) SessionByHash(ctx context.Context, hash [32]byte) (cordon.Session, error) {
	return table.One(ctx, s.DB.Read(), "session", sessionRow, "SELECT "+sessionColumns+" FROM sessions WHERE hash = $1", hash[:])
}

// Sessions returns a user's sessions.
func (s *Store) Sessions(ctx context.Context, user string) ([]cordon.Session, error) {
	return table.Some(ctx, s.DB.Read(), "sessions of "+user, sessionRow, "SELECT "+sessionColumns+" FROM sessions WHERE usr = $1 ORDER BY created, hash", column.AsID(user))
}

// PutSession stores a session.
func (s *Store) PutSession(ctx context.Context, e *cordon.Session) error {
	return table.Alone(ctx, s.DB, "put session", cordon.ErrConflict, `INSERT INTO sessions (hash, usr, agent, addr, created, expires) VALUES (?, ?, ?, ?, ?, ?)
		ON CONFLICT (hash) DO UPDATE SET usr = excluded.usr, agent = excluded.agent, addr = excluded.addr, expires = excluded.expires`, sessionRow(e)...)
}

// DeleteSession ends a session.
func (s *Store) DeleteSession(ctx context.Context, hash [32]byte) error {
	return table.Alone(ctx, s.DB, "delete session", cordon.ErrNotFound, "DELETE FROM sessions WHERE hash = ?", hash[:])
}

// CountFailure records a failure and returns how many there were in the window that ends
// at at, with this one.
func (s *Store) CountFailure(ctx context.Context, key string, at cordon.Time, window time.Duration) (n int, err error) {
	key = text.Clean(key, column.NameBytes)
	since := column.Micros(at.Add(-window))
	err = s.DB.Write(ctx, func(tx dialect.Tx) error {
		// One at a time: who guesses many at once is to be counted, too.
		if err := tx.Lock(ctx, "failures "+key); err != nil {
			return err
		}
		if _, err := table.Exec(ctx, tx, "DELETE FROM failures WHERE subject = ? AND at <= ?", key, since); err != nil {
			return err
		}
		if _, err := table.Exec(ctx, tx, "INSERT INTO failures (subject, at, id) VALUES (?, ?, ?)", key, column.Micros(at), ident.New(s.Now())); err != nil {
			return err
		}
		found, err := table.All(ctx, tx, func(n *int) []any { return []any{n} },
			"SELECT COUNT(*) FROM failures WHERE subject = $1 AND at > $2 AND at <= $3", key, since, column.Micros(at))
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
	return table.Alone(ctx, s.DB, "clear failures", nil, "DELETE FROM failures WHERE subject = ?", text.Clean(key, column.NameBytes))
}

// What is used while it is being removed must stay removed: these change a record that
// is there and never make one.

// TouchSession lets a session last until expires; cordon.ErrNotFound if it has ended.
func (s *Store) TouchSession(ctx context.Context, hash [32]byte, expires cordon.Time) error {
	return table.Alone(ctx, s.DB, "touch session", cordon.ErrNotFound, "UPDATE sessions SET expires = ? WHERE hash = ?", column.Micros(expires), hash[:])
}

// TouchToken writes down when a token was last used; cordon.ErrNotFound if it is gone.
func (s *Store) TouchToken(ctx context.Context, id string, used cordon.Time) error {
	return table.Alone(ctx, s.DB, "touch token "+id, cordon.ErrNotFound, "UPDATE tokens SET used = ? WHERE id = ?", column.Micros(used), column.AsID(id))
}

// TouchPasskey writes down when a passkey was last used, and what it counts;
// cordon.ErrNotFound if it is gone.
func (s *Store) TouchPasskey(ctx context.Context, id, data []byte, used cordon.Time) error {
	return table.Alone(ctx, s.DB, "touch passkey", cordon.ErrNotFound, "UPDATE passkeys SET data = ?, used = ? WHERE id = ?", data, column.Micros(used), id)
}
