package store

import (
	"cmp"
	"context"
	"errors"
	"fmt"

	"cordon"
	"cordon/core/store/table"
	"cordon/core/store/table/column"
	"cordon/core/store/table/dialect"
	"cordon/internal/ident"
)

func desiredRow(d *cordon.Desired) []any {
	return []any{column.ID(&d.Site), column.Number(&d.Version), column.Moment(&d.At), column.ID(&d.Policy), column.Desired(d)}
}

// Desired returns what a site's router should do. Of a site that nobody changed anything
// of, it is version 0 and the policy that counts there: the site's, else the account's,
// else the provider's.
func (s *Store) Desired(ctx context.Context, site string) (cordon.Desired, error) {
	return s.desired(ctx, s.db.Read(), site)
}

func (s *Store) desired(ctx context.Context, tx dialect.Tx, site string) (cordon.Desired, error) {
	d, err := table.One(ctx, tx, "desired state of "+site, desiredRow, "SELECT site, version, at, policy, desired FROM desired WHERE site = $1", column.AsID(site))
	if !errors.Is(err, cordon.ErrNotFound) {
		return d, err
	}
	policies, err := table.One(ctx, tx, "site "+site, func(p *[2]cordon.Policy) []any { return []any{column.ID(&p[0]), column.ID(&p[1])} },
		"SELECT s.policy, a.policy FROM sites s JOIN accounts a ON a.id = s.account WHERE s.id = $1", column.AsID(site))
	return cordon.Desired{Site: site, Policy: cmp.Or(policies[0], policies[1], s.cfg.Policy)}, err
}

// ChangeDesired changes what a site's router should do, one version up, and adds the line
// of the record, both or nothing. change gets what is desired now, without what is over;
// it may be called several times, and its error is wrapped.
func (s *Store) ChangeDesired(ctx context.Context, site string, a cordon.Audit, change func(*cordon.Desired) error) (d cordon.Desired, err error) {
	err = s.write(ctx, func(tx dialect.Tx) error {
		home, err := s.site(ctx, tx, site, tx.ForUpdate())
		if err != nil {
			return err
		}
		if d, err = s.desired(ctx, tx, site); err != nil {
			return err
		}
		version := d.Version
		d.Prune(s.now())
		if err := change(&d); err != nil {
			return err
		}
		if n := max(len(d.Devices), len(d.Orders), len(d.Allowed), len(d.Released)); n > column.MaxDesired {
			return fmt.Errorf("%d entries, at most %d: %w", n, column.MaxDesired, cordon.ErrInvalid)
		}
		d.Site, d.Version, d.At = home.ID, version+1, column.OfMicros(column.Micros(s.now()))
		if _, err := table.Exec(ctx, tx, `INSERT INTO desired (site, version, at, policy, desired) VALUES (?, ?, ?, ?, ?) ON CONFLICT (site) DO UPDATE
			SET version = excluded.version, at = excluded.at, policy = excluded.policy, desired = excluded.desired`, desiredRow(&d)...); err != nil {
			return err
		}
		if _, err := table.Exec(ctx, tx, "UPDATE routers SET desired = ? WHERE site = ? AND state <> 'revoked'", column.Number(&d.Version), column.AsID(site)); err != nil {
			return err
		}
		a.Account, a.Site = cmp.Or(a.Account, home.Account), cmp.Or(a.Site, home.ID)
		return s.audit(ctx, tx, a)
	})
	if err != nil {
		return cordon.Desired{}, fmt.Errorf("change what site %s should do: %w", site, err)
	}
	return d, nil
}

// Enforced returns what the router of a site last said that is in force, and when: 0 if
// it never did.
func (s *Store) Enforced(ctx context.Context, site string) (cordon.Enforced, cordon.Time, error) {
	type actual struct {
		cordon.Enforced
		at cordon.Time
	}
	a, err := table.One(ctx, s.db.Read(), "router of site "+site, func(a *actual) []any {
		return []any{column.Number(&a.Version), column.Enforced(&a.Enforced), column.Moment(&a.at)}
	}, "SELECT enforced, actual, actual_at FROM routers WHERE site = $1 AND site IS NOT NULL AND state <> 'revoked'", column.AsID(site))
	return a.Enforced, a.at, err
}

func shadowRow(s *cordon.Shadow) []any {
	return []any{column.ID(&s.ID), column.ID(&s.Kind), column.ID(&s.Model), column.ID(&s.Agent), column.Line(&s.Reason), column.Name(&s.By), column.Moment(&s.At), column.Moment(&s.Expires)}
}

const (
	shadowColumns = "id, kind, model, agent, reason, orderer, at, expires"
	// maxShadows bounds the rules that are in shadow: routers get all of them.
	maxShadows = 1000
)

// Shadows returns the rules in shadow that are not over, and the number of their last
// change.
func (s *Store) Shadows(ctx context.Context) (found []cordon.Shadow, number uint64, err error) {
	// The number first: with a later list it is sent once more, never too seldom.
	if number, err = lastChange(ctx, s.db.Read()); err == nil {
		found, err = s.shadows(ctx, s.db.Read())
	}
	if err != nil {
		return nil, 0, fmt.Errorf("shadows: %w", dialect.Classify(err))
	}
	return found, number, nil
}

func (s *Store) shadows(ctx context.Context, tx dialect.Tx) ([]cordon.Shadow, error) {
	return table.All(ctx, tx, shadowRow, "SELECT "+shadowColumns+" FROM shadows WHERE expires > $1 ORDER BY at, id", column.Micros(s.now()))
}

// lastChange returns the number of the last change of the rules in shadow.
func lastChange(ctx context.Context, tx dialect.Tx) (uint64, error) {
	n, err := table.One(ctx, tx, "number of shadows", numberRow, "SELECT value FROM numbers WHERE name = 'shadows'")
	if errors.Is(err, cordon.ErrNotFound) {
		return 0, nil
	}
	return n, err
}

// nextChange counts the changes up; others who do wait until the transaction ends.
func nextChange(ctx context.Context, tx dialect.Tx) (uint64, error) {
	return table.One(ctx, tx, "number of shadows", numberRow,
		"INSERT INTO numbers (name, value) VALUES ('shadows', 1) ON CONFLICT (name) DO UPDATE SET value = numbers.value + 1 RETURNING value")
}

func numberRow(n *uint64) []any { return []any{column.Number(n)} }

// ChangeShadows changes the rules in shadow and adds the line of the record, both or
// nothing. It returns the number of the change. change gets what is not over; it may be
// called several times, and its error is wrapped.
func (s *Store) ChangeShadows(ctx context.Context, a cordon.Audit, change func([]cordon.Shadow) ([]cordon.Shadow, error)) (number uint64, err error) {
	err = s.write(ctx, func(tx dialect.Tx) error {
		if number, err = nextChange(ctx, tx); err != nil {
			return err
		}
		found, err := s.shadows(ctx, tx)
		if err != nil {
			return err
		}
		if found, err = change(found); err != nil {
			return err
		}
		if len(found) > maxShadows {
			return fmt.Errorf("%d rules, at most %d: %w", len(found), maxShadows, cordon.ErrInvalid)
		}
		if _, err := table.Exec(ctx, tx, "DELETE FROM shadows"); err != nil {
			return err
		}
		var rows [][]any
		for i := range found {
			if found[i].ID == "" {
				found[i].ID = ident.New(s.cfg.Now())
			}
			rows = append(rows, shadowRow(&found[i]))
		}
		if err := table.Values(ctx, tx, "INSERT INTO shadows ("+shadowColumns+") VALUES ", table.Row(8), rows, "", nil); err != nil {
			return err
		}
		return s.audit(ctx, tx, a)
	})
	if err != nil {
		return 0, fmt.Errorf("change shadows: %w", err)
	}
	return number, nil
}
