// Package people keeps who may come in: users and what they may, their passkeys, tokens and
// sessions, and how often somebody failed. Package store is its only caller, and has its
// methods; see there for what errors mean.
package people

import (
	"context"
	"database/sql"
	"fmt"
	"time"

	"cordon"
	"cordon/core/store/table"
	"cordon/core/store/table/column"
	"cordon/core/store/table/dialect"
)

// Store keeps people. It is safe for concurrent use.
type Store struct {
	DB     *dialect.DB
	Budget int // rows that a list looks at, see table.List
	Now    func() time.Time
}

var users = table.New("users", "id, email, name, name_key, locale, password, disabled, created, version")

func userRow(u *cordon.User) []any {
	return []any{column.ID(&u.ID), column.ID(&u.Email), column.Name(&u.Name), column.Key(table.SearchKey(u.Name)), column.ID(&u.Locale), column.Line(&u.Password), column.Flag(&u.Disabled),
		column.Moment(&u.Created), column.Number(&u.Version)}
}

var userList = table.List[cordon.User]{
	Table: users.Name, Columns: users.Columns, Row: userRow,
	Account: "id IN (SELECT usr FROM grants WHERE account = ? AND account <> '' AND token = '')",
	Site:    "id IN (SELECT usr FROM grants WHERE site = ? AND site <> '' AND token = '')",
	Keys:    []table.Key[cordon.User]{table.Of("id", func(u *cordon.User) any { return column.AsID(u.ID) })},
	Words: []table.Word[cordon.User]{
		table.Folded("email", func(u *cordon.User) any { return column.AsID(u.Email) }),
		table.Folded("name_key", func(u *cordon.User) any { return table.SearchKey(u.Name) })},
	Filters: func(q *cordon.Query) (all []table.Filter) {
		if q.User != "" {
			all = append(all, table.Drives("id = ?", column.AsID(q.User)))
		}
		q.User = ""
		return all
	},
}

// Users returns a page of users, by ID, or by e-mail address or name when the query has
// a Text. Of a scope are those who have a grant there.
func (s *Store) Users(ctx context.Context, scope cordon.Scope, q cordon.Query) (p cordon.Page[cordon.User], err error) {
	if p, err = userList.Page(ctx, s.DB.Read(), s.Budget, scope, q); err != nil {
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
	err := table.In(ctx, s.DB.Read(), "SELECT usr, role, account, site FROM grants WHERE token = '' AND usr IN ", ids, " ORDER BY usr, role, account, site", func(rows *sql.Rows) error {
		var user string
		var g cordon.Grant
		err := rows.Scan(&user, column.ID(&g.Role), column.ID(&g.Account), column.ID(&g.Site))
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
	return s.user(ctx, "user "+id, "id = $1", column.AsID(id))
}

// UserByEmail returns the user of an e-mail address in lower case.
func (s *Store) UserByEmail(ctx context.Context, email string) (cordon.User, error) {
	return s.user(ctx, "user of that address", "email = $1 AND email <> ''", column.AsID(email))
}

func (s *Store) user(ctx context.Context, what, where, value string) (cordon.User, error) {
	u, err := table.One(ctx, s.DB.Read(), what, userRow, users.Select+" WHERE "+where, value)
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
	return table.PutAlone(ctx, s.DB, users, "user "+u.ID, &u.Version, userRow(u), func(tx dialect.Tx) error {
		return putGrants(ctx, tx, u.ID, "", u.Grants)
	})
}

// putGrants replaces what a user, or one of his tokens, may.
func putGrants(ctx context.Context, tx dialect.Tx, user, token string, grants []cordon.Grant) error {
	if _, err := table.Exec(ctx, tx, "DELETE FROM grants WHERE usr = ? AND token = ?", column.AsID(user), column.AsID(token)); err != nil {
		return err
	}
	var rows [][]any
	for i := range grants {
		g := &grants[i]
		rows = append(rows, []any{column.ID(&user), column.ID(&token), column.ID(&g.Role), column.ID(&g.Account), column.ID(&g.Site)})
	}
	return table.Values(ctx, tx, "INSERT INTO grants (usr, token, role, account, site) VALUES ", table.Row(5), rows, " ON CONFLICT DO NOTHING", nil)
}

// DeleteUser removes a user with keys, tokens and sessions.
func (s *Store) DeleteUser(ctx context.Context, id string) error {
	return s.DB.Write(ctx, func(tx dialect.Tx) error {
		for _, text := range []string{"DELETE FROM sessions WHERE usr = ?", "DELETE FROM answers WHERE usr = ?"} {
			if _, err := table.Exec(ctx, tx, text, column.AsID(id)); err != nil {
				return err
			}
		}
		return table.Must(ctx, tx, "delete user "+id, cordon.ErrNotFound, "DELETE FROM users WHERE id = ?", column.AsID(id))
	})
}

// Statements returns the statements for a page of users, see table.List.
func Statements(scope cordon.Scope, q cordon.Query) ([]*table.Statement, error) {
	return userList.Statements(scope, q)
}
