package store

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

const auditColumns = "id, at, usr, who, role, verb, account, site, object, reason, result, addr"

func auditRow(a *cordon.Audit) []any {
	return []any{column.ID(&a.ID), column.Moment(&a.At), column.ID(&a.User), column.Name(&a.Who), column.ID(&a.Role), column.ID(&a.Verb), column.ID(&a.Account), column.ID(&a.Site),
		column.Name(&a.Object), column.Line(&a.Reason), column.Line(&a.Result), column.ID(&a.Addr)}
}

var auditList = table.List[cordon.Audit]{
	Table: "audits", Columns: auditColumns, Row: auditRow,
	Account: "account = ? AND account <> ''", Site: "site = ? AND site <> ''", Moment: "at", Newest: true,
	Keys: []table.Key[cordon.Audit]{
		table.Of("at", func(a *cordon.Audit) any { return column.Micros(a.At) }),
		table.Of("id", func(a *cordon.Audit) any { return column.AsID(a.ID) })},
	Filters: func(q *cordon.Query) (all []table.Filter) {
		if q.User != "" {
			all = append(all, table.Drives("usr = ? AND usr <> ''", column.AsID(q.User)))
		}
		if q.Verb != "" {
			all = append(all, table.Drives("verb = ?", column.AsID(q.Verb)))
		}
		q.User, q.Verb = "", ""
		return all
	},
}

// Audit adds a line to the record of who did what. Without ID or At it gets them; a line
// whose ID is there already is left as it is.
func (s *Store) Audit(ctx context.Context, a cordon.Audit) error {
	err := s.write(ctx, func(tx dialect.Tx) error { return s.audit(ctx, tx, a) })
	if err != nil {
		return fmt.Errorf("audit %s: %w", a.Verb, err)
	}
	return nil
}

func (s *Store) audit(ctx context.Context, tx dialect.Tx, a cordon.Audit) error {
	if a.ID == "" {
		a.ID = ident.New(s.cfg.Now())
	}
	if a.At == 0 {
		a.At = s.now()
	}
	_, err := table.Exec(ctx, tx, "INSERT INTO audits ("+auditColumns+") VALUES "+table.Row(12)+" ON CONFLICT (id) DO NOTHING", auditRow(&a)...)
	return err
}

// Audits returns a page of the record, the newest first.
func (s *Store) Audits(ctx context.Context, scope cordon.Scope, q cordon.Query) (cordon.Page[cordon.Audit], error) {
	return auditList.Page(ctx, s.db.Read(), s.budget, scope, q)
}

// answersLast is how long an answer can be asked for again.
const answersLast = 24 * time.Hour

// Remember keeps an answer for a day. The first one of a user and key stays.
func (s *Store) Remember(ctx context.Context, user, key string, request [32]byte, answer []byte) error {
	now := s.now()
	return table.Alone(ctx, s.db, "remember an answer", nil, `INSERT INTO answers (usr, idem, request, answer, at) VALUES (?, ?, ?, ?, ?)
		ON CONFLICT (usr, idem) DO UPDATE SET request = excluded.request, answer = excluded.answer, at = excluded.at WHERE answers.at <= ?`,
		column.AsID(user), text.Clean(key, column.NameBytes), column.Hash(&request), column.Bytes(&answer), column.Micros(now), column.Micros(now.Add(-answersLast)))
}

// Recall returns what Remember kept, and the hash of the request that it answered.
func (s *Store) Recall(ctx context.Context, user, key string) (request [32]byte, answer []byte, err error) {
	type remembered struct {
		request [32]byte
		answer  []byte
	}
	r, err := table.One(ctx, s.db.Read(), "remembered answer", func(r *remembered) []any {
		return []any{column.Hash(&r.request), column.Bytes(&r.answer)}
	}, "SELECT request, answer FROM answers WHERE usr = $1 AND idem = $2 AND at > $3", column.AsID(user), text.Clean(key, column.NameBytes), column.Micros(s.now().Add(-answersLast)))
	return r.request, r.answer, err
}

var webhooks = table.New("webhooks", "id, account, url, secret, events, level, created, failed, version")

func webhookRow(w *cordon.Webhook) []any {
	return []any{column.ID(&w.ID), column.ID(&w.Account), column.Text(&w.URL, 2048), column.Bytes(&w.Secret), column.Events(&w.Events), column.Number(&w.Level),
		column.Moment(&w.Created), column.Number(&w.Failed), column.Number(&w.Version)}
}

// Webhooks returns an account's webhooks.
func (s *Store) Webhooks(ctx context.Context, account string) ([]cordon.Webhook, error) {
	return table.Some(ctx, s.db.Read(), "webhooks of "+account, webhookRow, webhooks.Select+" WHERE account = $1 ORDER BY account, id", column.AsID(account))
}

// Webhook returns a webhook.
func (s *Store) Webhook(ctx context.Context, id string) (cordon.Webhook, error) {
	return table.One(ctx, s.db.Read(), "webhook "+id, webhookRow, webhooks.Select+" WHERE id = $1", column.AsID(id))
}

// PutWebhook creates a webhook at Version 0, else changes one if Version is the stored
// one. It sets Version.
func (s *Store) PutWebhook(ctx context.Context, w *cordon.Webhook) error {
	if w.ID == "" || w.Account == "" {
		return fmt.Errorf("webhook %q of account %q: %w", w.ID, w.Account, cordon.ErrInvalid)
	}
	return table.PutAlone(ctx, s.db, webhooks, "webhook "+w.ID, &w.Version, webhookRow(w), nil)
}

// DeleteWebhook removes a webhook.
func (s *Store) DeleteWebhook(ctx context.Context, id string) error {
	return table.Alone(ctx, s.db, "delete webhook "+id, cordon.ErrNotFound, "DELETE FROM webhooks WHERE id = ?", column.AsID(id))
}
