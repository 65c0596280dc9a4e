package store

import (
	"context"
	"fmt"
	"slices"
	"strings"

	"cordon"
	"cordon/core/store/table"
	"cordon/core/store/table/column"
	"cordon/core/store/table/dialect"
)

var accounts = table.New("accounts", "id, reference, name, name_key, sort, locale, policy, created, version")

func accountRow(a *cordon.Account) []any {
	return []any{column.ID(&a.ID), column.ID(&a.Reference), column.Name(&a.Name), column.Key(table.SearchKey(a.Name)), column.ID(&a.Sort), column.ID(&a.Locale), column.ID(&a.Policy),
		column.Moment(&a.Created), column.Number(&a.Version)}
}

var accountList = table.List[cordon.Account]{
	Table: accounts.Name, Columns: accounts.Columns, Row: accountRow, Account: "id = ?",
	Keys: []table.Key[cordon.Account]{table.Of("id", func(a *cordon.Account) any { return column.AsID(a.ID) })},
	Words: []table.Word[cordon.Account]{
		table.Folded("name_key", func(a *cordon.Account) any { return table.SearchKey(a.Name) }),
		table.Exact("reference", func(a *cordon.Account) any { return column.AsID(a.Reference) })},
	Filters: func(*cordon.Query) []table.Filter { return nil },
}

// Accounts returns a page of accounts, by ID, or by name or reference when the query has
// a Text. A scope's sites are not asked: who sees one site does not see its account.
func (s *Store) Accounts(ctx context.Context, scope cordon.Scope, q cordon.Query) (cordon.Page[cordon.Account], error) {
	return accountList.Page(ctx, s.db.Read(), s.budget, scope, q)
}

// Account returns an account.
func (s *Store) Account(ctx context.Context, id string) (cordon.Account, error) {
	return table.One(ctx, s.db.Read(), "account "+id, accountRow, accounts.Select+" WHERE id = $1", column.AsID(id))
}

// PutAccount creates an account at Version 0, else changes it if Version is the stored
// one. It sets Version.
func (s *Store) PutAccount(ctx context.Context, a *cordon.Account) error {
	if a.ID == "" {
		return fmt.Errorf("account without an id: %w", cordon.ErrInvalid)
	}
	return table.PutAlone(ctx, s.db, accounts, "account "+a.ID, &a.Version, accountRow(a), nil)
}

// EraseAccount removes an account and everything of it: sites, routers and what they
// reported, webhooks, and people who may do nothing else. In the record of who did what
// stays what was done and when, and not to whom.
func (s *Store) EraseAccount(ctx context.Context, id string) error {
	id = column.AsID(id)
	return s.write(ctx, func(tx dialect.Tx) error {
		for _, text := range []string{
			"DELETE FROM detections WHERE account = ?", "DELETE FROM incidents WHERE account = ?",
			"DELETE FROM actions WHERE account = ?", "DELETE FROM devices WHERE account = ?",
			"DELETE FROM desired WHERE site IN (SELECT id FROM sites WHERE account = ?)",
			"DELETE FROM heard WHERE router IN (SELECT id FROM routers WHERE account = ?)",
			"DELETE FROM routers WHERE account = ?", "DELETE FROM webhooks WHERE account = ?",
			// People: those whose every grant is of this account, then the grants of others.
			`DELETE FROM sessions WHERE usr IN (` + onlyOf + `)`,
			`DELETE FROM answers WHERE usr IN (` + onlyOf + `)`,
			`DELETE FROM users WHERE id IN (` + onlyOf + `)`,
			"DELETE FROM grants WHERE account = ? AND account <> ''",
			"DELETE FROM grants WHERE site <> '' AND site IN (SELECT id FROM sites WHERE account = ?)",
			"UPDATE audits SET who = '', object = '', reason = '', addr = '' WHERE account = ? AND account <> ''",
			"DELETE FROM sites WHERE account = ?",
		} {
			args := slices.Repeat([]any{id}, strings.Count(text, "?"))
			if _, err := table.Exec(ctx, tx, text, args...); err != nil {
				return fmt.Errorf("erase account %s: %w", id, err)
			}
		}
		return table.Must(ctx, tx, "erase account "+id, cordon.ErrNotFound, "DELETE FROM accounts WHERE id = ?", id)
	})
}

// onlyOf finds the people who have grants of an account or its sites and no other.
const onlyOf = `SELECT g.usr FROM grants g WHERE g.token = '' AND
  (g.account = ? AND g.account <> '' OR g.site <> '' AND g.site IN (SELECT id FROM sites WHERE account = ?))
  AND NOT EXISTS (SELECT 1 FROM grants o WHERE o.usr = g.usr AND o.token = '' AND o.account <> ?
    AND (o.site = '' OR o.site NOT IN (SELECT id FROM sites WHERE account = ?)))`
