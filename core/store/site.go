package store

import (
	"context"
	"errors"
	"fmt"

	"cordon"
	"cordon/core/store/table"
	"cordon/core/store/table/column"
	"cordon/core/store/table/dialect"
)

var sites = table.New("sites", "id, account, reference, name, name_key, area, grp, policy, installer, created, version")

func siteRow(s *cordon.Site) []any {
	return []any{column.ID(&s.ID), column.ID(&s.Account), column.ID(&s.Reference), column.Name(&s.Name), column.Key(table.SearchKey(s.Name)), column.ID(&s.Area), column.ID(&s.Group),
		column.ID(&s.Policy), column.ID(&s.Installer), column.Moment(&s.Created), column.Number(&s.Version)}
}

var siteList = table.List[cordon.Site]{
	Table: sites.Name, Columns: sites.Columns, Row: siteRow, Account: "account = ?", Site: "id = ?",
	Keys: []table.Key[cordon.Site]{table.Of("id", func(s *cordon.Site) any { return column.AsID(s.ID) })},
	Words: []table.Word[cordon.Site]{
		table.Folded("name_key", func(s *cordon.Site) any { return table.SearchKey(s.Name) }),
		table.Exact("reference", func(s *cordon.Site) any { return column.AsID(s.Reference) })},
	Filters: func(q *cordon.Query) []table.Filter { return whereabouts(q, "grp = ?") },
}

// whereabouts are the filters of area and group. byGroup is how rows of a group are found.
func whereabouts(q *cordon.Query, byGroup string) (all []table.Filter) {
	if q.Area != "" {
		all = append(all, table.Drives("area = ?", column.AsID(q.Area)))
	}
	if q.Group != "" {
		all = append(all, table.Drives(byGroup, column.AsID(q.Group)))
	}
	q.Group, q.Area = "", ""
	return all
}

// Sites returns a page of sites, by ID, or by name or reference when the query has a
// Text.
func (s *Store) Sites(ctx context.Context, scope cordon.Scope, q cordon.Query) (cordon.Page[cordon.Site], error) {
	return siteList.Page(ctx, s.db.Read(), s.budget, scope, q)
}

// Site returns a site.
func (s *Store) Site(ctx context.Context, id string) (cordon.Site, error) {
	return s.site(ctx, s.db.Read(), id, "")
}

func (s *Store) site(ctx context.Context, tx dialect.Tx, id, lock string) (cordon.Site, error) {
	return table.One(ctx, tx, "site "+id, siteRow, sites.Select+" WHERE id = $1"+lock, column.AsID(id))
}

// PutSite creates a site at Version 0, else changes it if Version is the stored one. It
// sets Version. The account of a site never changes: what was reported there is not the
// next customer's.
func (s *Store) PutSite(ctx context.Context, site *cordon.Site) error {
	what := "site " + site.ID
	if site.ID == "" || site.Account == "" {
		return fmt.Errorf("%s of account %q: %w", what, site.Account, cordon.ErrInvalid)
	}
	version := site.Version
	err := s.write(ctx, func(tx dialect.Tx) error {
		site.Version = version
		was, err := s.site(ctx, tx, site.ID, tx.ForUpdate())
		switch {
		case errors.Is(err, cordon.ErrNotFound):
			was = *site
		case err != nil:
			return err
		case was.Account != column.AsID(site.Account):
			return fmt.Errorf("%s belongs to another account: %w", what, cordon.ErrInvalid)
		}
		if err := table.Put(ctx, tx, sites, what, &site.Version, siteRow(site)); err != nil {
			return err
		}
		return s.moved(ctx, tx, &was, site)
	})
	if err != nil {
		site.Version = version
	}
	return err
}

// moved makes what is of a site be of its area and group.
func (s *Store) moved(ctx context.Context, tx dialect.Tx, was, is *cordon.Site) error {
	if was.Area == column.AsID(is.Area) && was.Group == column.AsID(is.Group) || is.Version == 1 {
		return nil
	}
	for _, t := range []string{"routers", "devices", "incidents", "detections", "actions"} {
		if _, err := table.Exec(ctx, tx, "UPDATE "+t+" SET area = ?, grp = ? WHERE site = ?", column.AsID(is.Area), column.AsID(is.Group), column.AsID(is.ID)); err != nil {
			return fmt.Errorf("move site %s: %w", is.ID, err)
		}
	}
	return nil
}
