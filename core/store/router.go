package store

import (
	"context"
	"errors"
	"fmt"
	"maps"
	"slices"

	"cordon"
	"cordon/core/store/table"
	"cordon/core/store/table/column"
	"cordon/core/store/table/dialect"
	"cordon/internal/text"
)

// routers is what is put of a router; what it reports is written elsewhere.
var routers = table.New("routers", "id, serial, site, account, area, grp, model, state, nkey, claim_hash, claim_key, claim_expires, created, version")

const routerColumns = "id, serial, site, account, area, model, state, nkey, claim_hash, claim_key, claim_expires, " +
	"enrolled, seen, online, boot, agent, wire, health, enforced, created, version"

func routerRow(r *cordon.Router) []any {
	return []any{column.ID(&r.ID), column.ID(&r.Serial), column.Optional(&r.Site, column.IDBytes), column.ID(&r.Account), column.ID(&r.Area), column.ID(&r.Model), column.ID(&r.State),
		column.ID(&r.Key), column.Hash(&r.Claim.SecretHash), column.Hash(&r.Claim.Key), column.Moment(&r.Claim.Expires),
		column.Moment(&r.Enrolled), column.Moment(&r.Seen), column.Flag(&r.Online), column.Number(&r.Boot), column.ID(&r.Agent),
		column.Number(&r.Wire), column.Health(&r.Health), column.Number(&r.Enforced), column.Moment(&r.Created), column.Number(&r.Version)}
}

var routerList = table.List[cordon.Router]{
	Table: routers.Name, Columns: routerColumns, Row: routerRow, Account: "account = ?", Site: "site = ?",
	Keys:  []table.Key[cordon.Router]{table.Of("id", func(r *cordon.Router) any { return column.AsID(r.ID) })},
	Words: []table.Word[cordon.Router]{table.Exact("serial", func(r *cordon.Router) any { return column.AsID(r.Serial) })},
	Filters: func(q *cordon.Query) (all []table.Filter) {
		add := func(value *string, text string) {
			if *value != "" {
				all = append(all, table.Drives(text, column.AsID(*value)))
			}
			*value = ""
		}
		add(&q.Router, "id = ?")
		if q.State != string(cordon.RouterEnrolled) { // nearly all are
			add(&q.State, "state = ?")
		}
		all = append(all, whereabouts(q, "grp = ?")...)
		add(&q.Agent, "agent = ?")
		add(&q.Model, "model = ?")
		add(&q.State, "state = ?")
		switch {
		case q.Online == nil:
		case *q.Online:
			all = append(all, table.Drives("online"))
		default:
			all = append(all, table.Left("NOT online"))
		}
		q.Online = nil
		return all
	},
}

// Routers returns a page of routers, by ID, or by serial when the query has a Text.
func (s *Store) Routers(ctx context.Context, scope cordon.Scope, q cordon.Query) (cordon.Page[cordon.Router], error) {
	return routerList.Page(ctx, s.db.Read(), s.budget, scope, q)
}

// Router returns a router.
func (s *Store) Router(ctx context.Context, id string) (cordon.Router, error) {
	return s.router(ctx, s.db.Read(), "id = $1", id, "")
}

// RouterBySerial returns the router of that serial.
func (s *Store) RouterBySerial(ctx context.Context, serial string) (cordon.Router, error) {
	return s.router(ctx, s.db.Read(), "serial = $1", serial, "")
}

// RouterOfSite returns the router of a site that is not revoked; if all are, the newest.
func (s *Store) RouterOfSite(ctx context.Context, site string) (cordon.Router, error) {
	r, err := s.router(ctx, s.db.Read(), "site = $1 AND site IS NOT NULL AND state <> 'revoked'", site, "")
	if errors.Is(err, cordon.ErrNotFound) {
		return s.router(ctx, s.db.Read(), "site = $1", site, " ORDER BY id DESC LIMIT 1")
	}
	return r, err
}

func (s *Store) router(ctx context.Context, tx dialect.Tx, where, value, also string) (cordon.Router, error) {
	return table.One(ctx, tx, "router "+value, routerRow, "SELECT "+routerColumns+" FROM routers WHERE "+where+also, column.AsID(value))
}

// PutRouter creates a router at Version 0, else changes it if Version is the stored one.
// It sets Version, Account and Area. It changes Serial, Site, Model, State, Key and
// Claim; what routers tell of themselves comes with Ingest and Presence.
func (s *Store) PutRouter(ctx context.Context, r *cordon.Router) error {
	if r.ID == "" || r.Serial == "" {
		return fmt.Errorf("router %q with serial %q: %w", r.ID, r.Serial, cordon.ErrInvalid)
	}
	version := r.Version
	err := s.write(ctx, func(tx dialect.Tx) error {
		r.Version = version
		return s.putRouter(ctx, tx, r)
	})
	if err != nil {
		r.Version = version
	}
	return err
}

func (s *Store) putRouter(ctx context.Context, tx dialect.Tx, r *cordon.Router) error {
	var site cordon.Site
	if r.Site != "" {
		var err error
		if site, err = s.site(ctx, tx, r.Site, tx.ForUpdate()); errors.Is(err, cordon.ErrNotFound) {
			return fmt.Errorf("router %s of site %s that is not there: %w", r.ID, r.Site, cordon.ErrInvalid)
		} else if err != nil {
			return err
		}
	}
	r.Account, r.Area = site.Account, site.Area
	if err := table.Put(ctx, tx, routers, "router "+r.ID, &r.Version, putRow(r, &site)); err != nil {
		return err
	}
	const text = `UPDATE routers SET desired = COALESCE((SELECT version FROM desired WHERE desired.site = routers.site), 0) WHERE id = ?`
	_, err := table.Exec(ctx, tx, text, column.AsID(r.ID))
	return err
}

// putRow is what is put of a router at a site.
func putRow(r *cordon.Router, site *cordon.Site) []any {
	return []any{column.ID(&r.ID), column.ID(&r.Serial), column.Optional(&r.Site, column.IDBytes), column.ID(&site.Account), column.ID(&site.Area), column.ID(&site.Group), column.ID(&r.Model),
		column.ID(&r.State), column.ID(&r.Key), column.Hash(&r.Claim.SecretHash), column.Hash(&r.Claim.Key), column.Moment(&r.Claim.Expires),
		column.Moment(&r.Created), column.Number(&r.Version)}
}

// Enrol notes that a router is known by a key from now on. A router that is enrolled
// with another key, or revoked, is a conflict; the same key again changes nothing.
func (s *Store) Enrol(ctx context.Context, id, key string, at cordon.Time) error {
	return s.changeRouter(ctx, "enrol", id, func(tx dialect.Tx, r *cordon.Router) error {
		switch {
		case r.State == cordon.RouterEnrolled && r.Key == key:
			return nil
		case r.State != cordon.RouterExpected && r.State != cordon.RouterReset:
			return fmt.Errorf("it is %s: %w", r.State, cordon.ErrConflict)
		}
		// Numbers of boots begin anew with an identity: what was heard is told apart by
		// the time of the enrolment, which grows.
		_, err := table.Exec(ctx, tx, `UPDATE routers SET state = ?, nkey = ?, identities = identities + 1, enforced = 0, boot = 0, reason = '',
			enrolled = CASE WHEN enrolled < ? THEN ? ELSE enrolled + 1 END, version = version + 1 WHERE id = ?`,
			string(cordon.RouterEnrolled), column.AsID(key), column.Micros(at), column.Micros(at), column.AsID(id))
		return err
	})
}

// Revoke ends a router's identity: nothing of it is accepted any more, and its site is
// free for another. Twice is no error.
func (s *Store) Revoke(ctx context.Context, id, reason string) error {
	return s.changeRouter(ctx, "revoke", id, func(tx dialect.Tx, r *cordon.Router) error {
		if r.State == cordon.RouterRevoked {
			return nil
		}
		return s.setState(ctx, tx, id, cordon.RouterRevoked, reason)
	})
}

// Reset lets a router enrol again with its claim, also one that was revoked. It is a
// conflict if the site has another router by now.
func (s *Store) Reset(ctx context.Context, id string) error {
	return s.changeRouter(ctx, "reset", id, func(tx dialect.Tx, r *cordon.Router) error {
		if r.State == cordon.RouterReset || r.State == cordon.RouterExpected {
			return nil
		}
		return s.setState(ctx, tx, id, cordon.RouterReset, "")
	})
}

func (s *Store) setState(ctx context.Context, tx dialect.Tx, id string, state cordon.RouterState, reason string) error {
	_, err := table.Exec(ctx, tx, "UPDATE routers SET state = ?, online = FALSE, reason = ?, version = version + 1 WHERE id = ?",
		string(state), text.Clean(reason, column.LineBytes), column.AsID(id))
	return err
}

// changeRouter runs change with a router that nobody else changes meanwhile.
func (s *Store) changeRouter(ctx context.Context, what, id string, change func(dialect.Tx, *cordon.Router) error) error {
	err := s.write(ctx, func(tx dialect.Tx) error {
		r, err := s.router(ctx, tx, "id = $1", id, tx.ForUpdate())
		if err != nil {
			return err
		}
		return change(tx, &r)
	})
	if err != nil {
		return fmt.Errorf("%s router %s: %w", what, id, dialect.Classify(err))
	}
	return nil
}

// Presence notes which routers are connected and what they told in their hellos. Whether
// one is connected is the newest word; a hello counts if it is of the last start that is
// known, also when it comes after the news that the connection stands or is gone. Routers
// that are not there are left out.
func (s *Store) Presence(ctx context.Context, list []cordon.Presence) error {
	newest := make(map[string]cordon.Presence)
	for _, p := range list {
		was, there := newest[p.Router]
		if there && was.At > p.At {
			was, p = p, was
		}
		if there && p.Agent == "" { // what an older one told counts still
			p.Agent, p.Wire, p.Boot = was.Agent, was.Wire, was.Boot
		}
		newest[p.Router] = p
	}
	// In one order, so that nobody waits for somebody who waits for him.
	for ids := range slices.Chunk(slices.Sorted(maps.Keys(newest)), table.MaxBatch) {
		err := s.write(ctx, func(tx dialect.Tx) error {
			if lock := tx.ForUpdate(); lock != "" {
				if err := table.In(ctx, tx, "SELECT id FROM routers WHERE id IN ", ids, " ORDER BY id"+lock, nil); err != nil {
					return err
				}
			}
			var rows [][]any
			for _, id := range ids {
				p := newest[id]
				rows = append(rows, []any{column.ID(&p.Router), column.Flag(&p.Online), column.Moment(&p.At), column.ID(&p.Agent), column.Number(&p.Wire), column.Number(&p.Boot)})
			}
			return table.Values(ctx, tx, `WITH v (id, online, at, agent, wire, boot) AS (VALUES `, "(?, CAST(? AS BOOLEAN), CAST(? AS BIGINT), ?, CAST(? AS BIGINT), CAST(? AS BIGINT))", rows, `)
				UPDATE routers SET online = CASE WHEN routers.presence <= v.at THEN v.online ELSE routers.online END,
				  presence = CASE WHEN routers.presence <= v.at THEN v.at ELSE routers.presence END,
				  seen = CASE WHEN v.online AND v.at > routers.seen THEN v.at ELSE routers.seen END,
				  agent = CASE WHEN v.agent <> '' AND v.boot >= routers.boot THEN v.agent ELSE routers.agent END,
				  wire = CASE WHEN v.wire <> 0 AND v.boot >= routers.boot THEN v.wire ELSE routers.wire END,
				  boot = CASE WHEN v.boot > routers.boot THEN v.boot ELSE routers.boot END
				FROM v WHERE routers.id = v.id AND (routers.presence <= v.at OR v.agent <> '') AND routers.state <> 'revoked'`, nil)
		})
		if err != nil {
			return fmt.Errorf("presence: %w", err)
		}
	}
	return nil
}

// Behind returns routers that are connected and enforce less than is desired, at most
// limit. Each call goes on where the last one ended, so that those that never follow
// hide no others.
func (s *Store) Behind(ctx context.Context, limit int) ([]cordon.Lag, error) {
	s.mu.Lock()
	from := s.behind
	s.mu.Unlock()
	row := func(l *cordon.Lag) []any {
		return []any{column.ID(&l.Site), column.ID(&l.Router), column.Number(&l.Desired), column.Number(&l.Enforced)}
	}
	const text = `SELECT site, id, desired, enforced FROM routers WHERE online AND enforced < desired
		AND state = 'enrolled' AND site IS NOT NULL AND id > $1 ORDER BY id LIMIT $2`
	found, err := table.All(ctx, s.db.Read(), row, text, from, limit)
	if err == nil && len(found) < limit && from != "" { // from the beginning, up to where it began
		var more []cordon.Lag
		more, err = table.All(ctx, s.db.Read(), row, text, "", limit-len(found))
		for _, l := range more {
			if l.Router <= from {
				found = append(found, l)
			}
		}
	}
	if err != nil {
		return nil, fmt.Errorf("routers that are behind: %w", dialect.Classify(err))
	}
	s.mu.Lock()
	defer s.mu.Unlock()
	if s.behind = ""; len(found) == limit {
		s.behind = found[len(found)-1].Router
	}
	return found, nil
}
