package store

import (
	"context"
	"fmt"

	"cordon"
	"cordon/core/store/table"
	"cordon/core/store/table/dialect"
)

// What is used while it is being removed must stay removed: these change a record that
// is there and never make one.

// TouchSession lets a session last until expires; cordon.ErrNotFound if it has ended.
func (s *Store) TouchSession(ctx context.Context, hash [32]byte, expires cordon.Time) error {
	return s.touch(ctx, "session", "UPDATE sessions SET expires = ? WHERE hash = ?", micros(expires), hash[:])
}

// TouchToken writes down when a token was last used; cordon.ErrNotFound if it is gone.
func (s *Store) TouchToken(ctx context.Context, id string, used cordon.Time) error {
	return s.touch(ctx, "token "+id, "UPDATE tokens SET used = ? WHERE id = ?", micros(used), clean(id))
}

// TouchPasskey writes down when a passkey was last used, and what it counts;
// cordon.ErrNotFound if it is gone.
func (s *Store) TouchPasskey(ctx context.Context, id, data []byte, used cordon.Time) error {
	return s.touch(ctx, "passkey", "UPDATE passkeys SET data = ?, used = ? WHERE id = ?", data, micros(used), id)
}

// touch changes a record that must be there.
func (s *Store) touch(ctx context.Context, what, text string, args ...any) error {
	return s.write(ctx, func(tx dialect.Tx) error {
		n, err := table.Exec(ctx, tx, text, args...)
		if err == nil && n == 0 {
			err = cordon.ErrNotFound
		}
		if err != nil {
			return fmt.Errorf("touch %s: %w", what, dialect.Classify(err))
		}
		return nil
	})
}
