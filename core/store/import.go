package store

import (
	"context"
	"database/sql"
	"fmt"
	"maps"
	"slices"
	"time"

	"cordon"
	"cordon/core/store/table"
	"cordon/core/store/table/column"
	"cordon/core/store/table/dialect"
	"cordon/internal/ident"
	"cordon/internal/text"
)

// ImportRouters takes all of a list of routers with their accounts and sites, or nothing
// if there are problems or dry is set. The same list again changes nothing.
func (s *Store) ImportRouters(ctx context.Context, list []cordon.RouterImport, dry bool) (r cordon.ImportResult, err error) {
	if dry {
		i := importer{s: s, now: s.cfg.Now()}
		if err := i.read(ctx, s.db.Read(), list); err != nil {
			return r, fmt.Errorf("import routers: %w", dialect.Classify(err))
		}
		i.decide(list)
		return i.result, nil
	}
	err = s.write(ctx, func(tx dialect.Tx) error {
		i := importer{s: s, now: s.cfg.Now()}
		if err := i.read(ctx, tx, list); err != nil {
			return err
		}
		i.decide(list)
		if r = i.result; len(r.Problems) > 0 {
			return nil
		}
		return i.write(ctx, tx)
	})
	if err != nil {
		return cordon.ImportResult{}, fmt.Errorf("import routers: %w", err)
	}
	return r, nil
}

// importer compares a list with what is there.
type importer struct {
	s      *Store
	now    time.Time
	result cordon.ImportResult

	accounts map[string]*cordon.Account // by reference
	sites    map[string]*cordon.Site    // by reference
	siteByID map[string]*cordon.Site
	routers  map[string]*cordon.Router // by serial
	holder   map[string]string         // Site.ID → serial of its router
	seen     map[string]int            // serial → line

	// What is to be written; a Version of 0 is new.
	putAccounts []*cordon.Account
	putSites    []*cordon.Site
	putRouters  []*cordon.Router
	pending     map[any]bool
	fresh       map[*cordon.Site]bool // for which nothing can be desired yet
}

// read reads what is there of what the list names.
func (i *importer) read(ctx context.Context, tx dialect.Tx, list []cordon.RouterImport) error {
	i.accounts, i.sites, i.siteByID = make(map[string]*cordon.Account), make(map[string]*cordon.Site), make(map[string]*cordon.Site)
	i.routers, i.holder = make(map[string]*cordon.Router), make(map[string]string)
	i.seen, i.pending, i.fresh = make(map[string]int), make(map[any]bool), make(map[*cordon.Site]bool)
	accountRefs, siteRefs, serials := make(map[string]string), make(map[string]string), make(map[string]string)
	for k := range list {
		accountRefs[list[k].AccountReference], siteRefs[list[k].SiteReference] = list[k].AccountReference, list[k].SiteReference
		serials[list[k].Serial] = list[k].Serial
	}
	delete(accountRefs, "")
	delete(siteRefs, "")
	routerText := "SELECT " + routerColumns + " FROM routers WHERE "
	site := func(rows *sql.Rows) error {
		var v cordon.Site
		err := rows.Scan(siteRow(&v)...)
		if v.Reference != "" {
			i.sites[v.Reference] = &v
		}
		i.siteByID[v.ID] = &v
		return err
	}
	siteIDs := make(map[string]string)
	router := func(rows *sql.Rows) error {
		var v cordon.Router
		err := rows.Scan(routerRow(&v)...)
		i.routers[v.Serial] = &v
		if v.Site != "" {
			siteIDs[v.Site] = v.Site
		}
		return err
	}
	if err := table.In(ctx, tx, accounts.Select+" WHERE reference IN ", slices.Sorted(maps.Keys(accountRefs)), "", func(rows *sql.Rows) error {
		var v cordon.Account
		err := rows.Scan(accountRow(&v)...)
		i.accounts[v.Reference] = &v
		return err
	}); err != nil {
		return err
	}
	if err := table.In(ctx, tx, routerText+"serial IN ", slices.Sorted(maps.Keys(serials)), "", router); err != nil {
		return err
	}
	if err := table.In(ctx, tx, sites.Select+" WHERE reference IN ", slices.Sorted(maps.Keys(siteRefs)), "", site); err != nil {
		return err
	}
	if err := table.In(ctx, tx, sites.Select+" WHERE id IN ", slices.Sorted(maps.Keys(siteIDs)), "", site); err != nil {
		return err
	}
	for id := range i.siteByID {
		siteIDs[id] = id
	}
	return table.In(ctx, tx, "SELECT site, serial FROM routers WHERE state <> 'revoked' AND site IS NOT NULL AND site IN ", slices.Sorted(maps.Keys(siteIDs)), "", func(rows *sql.Rows) error {
		var site, serial string
		err := rows.Scan(&site, &serial)
		i.holder[site] = serial
		return err
	})
}

// decide finds out what is to be written, or what the problems are.
func (i *importer) decide(list []cordon.RouterImport) {
	for k := range list {
		n := len(i.result.Problems)
		changes := i.line(&list[k])
		switch {
		case len(i.result.Problems) > n:
		case changes == created:
			i.result.Created++
		case changes == updated:
			i.result.Updated++
		default:
			i.result.Unchanged++
		}
	}
}

// change is what a line does to its router.
type change int

const (
	unchangedLine change = iota
	updated
	created
)

// line decides about one line.
func (i *importer) line(l *cordon.RouterImport) change {
	problem := func(what, why string, args ...any) change {
		i.result.Problems = append(i.result.Problems, cordon.ImportProblem{Line: l.Line, What: what, Why: fmt.Sprintf(why, args...)})
		return unchangedLine
	}
	for _, f := range [...]struct {
		what, text string
		most       int
	}{{"serial", l.Serial, column.IDBytes}, {"account", l.AccountReference, column.IDBytes}, {"account_name", l.AccountName, column.NameBytes}, {"site", l.SiteReference, column.IDBytes},
		{"site_name", l.SiteName, column.NameBytes}, {"area", l.Area, column.IDBytes}, {"group", l.Group, column.IDBytes}, {"model", l.Model, column.IDBytes}} {
		if text.Clean(f.text, f.most) != f.text {
			return problem(f.what, "It has characters that cannot be kept, or more than %d bytes: write it otherwise.", f.most)
		}
	}
	r := i.routers[l.Serial]
	first, twice := i.seen[l.Serial]
	switch {
	case l.Serial == "":
		return problem("serial", "It is empty: every router needs the serial number that its maker printed on it.")
	case twice:
		return problem("serial", "Line %d has the same router: leave one of them out.", first)
	case l.AccountReference == "":
		return problem("account", "It is empty: say whose router it is.")
	case r == nil && l.Claim.Zero():
		return problem("claim", "It is empty: a new router needs the hash of its secret, or its maker's key.")
	case r != nil && r.State == cordon.RouterRevoked:
		return problem("serial", "This router was revoked: reset it first, or leave it out.")
	}
	i.seen[l.Serial] = l.Line
	changed := i.account(l)
	site, siteChanged, why := i.site(l, r)
	if why != "" {
		return problem("site", "%s", why)
	}
	changed = changed || siteChanged
	if r == nil {
		r = &cordon.Router{ID: ident.New(i.now), Serial: l.Serial, Site: site.ID, Account: site.Account, Area: site.Area, Model: l.Model,
			State: cordon.RouterExpected, Claim: l.Claim, Created: cordon.TimeOf(i.now)}
		i.routers[l.Serial], i.holder[site.ID] = r, l.Serial
		i.putRouters = append(i.putRouters, r)
		return created
	}
	own := set(&r.Site, site.ID)
	own = set(&r.Model, l.Model) || own
	if !l.Claim.Zero() && sameMicros(r.Claim) != sameMicros(l.Claim) {
		r.Claim, own = l.Claim, true
	}
	if i.holder[site.ID] = l.Serial; own {
		i.putRouters = append(i.putRouters, r)
	}
	if own || changed {
		return updated
	}
	return unchangedLine
}

// sameMicros is a claim as it is stored.
func sameMicros(c cordon.Claim) cordon.Claim {
	c.Expires = column.OfMicros(column.Micros(c.Expires))
	return c
}

// set changes *to if the list says something else, and reports whether it did.
func set(to *string, from string) bool {
	if from == "" || *to == from {
		return false
	}
	*to = from
	return true
}

// account finds or makes a line's account, and reports whether it changed.
func (i *importer) account(l *cordon.RouterImport) bool {
	a := i.accounts[l.AccountReference]
	if a == nil {
		a = &cordon.Account{ID: ident.New(i.now), Reference: l.AccountReference, Name: l.AccountReference, Sort: cordon.Household, Created: cordon.TimeOf(i.now)}
		i.accounts[l.AccountReference] = a
	} else if !set(&a.Name, l.AccountName) {
		return false
	}
	set(&a.Name, l.AccountName)
	if !i.pending[a] {
		i.pending[a] = true
		i.putAccounts = append(i.putAccounts, a)
	}
	return true
}

// site finds or makes a line's site. why says why it cannot be.
func (i *importer) site(l *cordon.RouterImport, r *cordon.Router) (site *cordon.Site, changed bool, why string) {
	account := i.accounts[l.AccountReference]
	if l.SiteReference != "" {
		site = i.sites[l.SiteReference]
	} else if r != nil {
		site = i.siteByID[r.Site] // a line without a site leaves the router where it is
	}
	fresh := site == nil
	if fresh {
		site = &cordon.Site{ID: ident.New(i.now), Account: account.ID, Reference: l.SiteReference, Name: l.SiteReference, Created: cordon.TimeOf(i.now)}
		set(&site.Name, account.Name)
		i.siteByID[site.ID] = site
		if l.SiteReference != "" {
			i.sites[l.SiteReference], site.Name = site, l.SiteReference
		}
	}
	switch holder := i.holder[site.ID]; {
	case site.Account != account.ID:
		return nil, false, "This site belongs to another account: mend the reference of one of them."
	case holder != "" && holder != l.Serial:
		return nil, false, fmt.Sprintf("This site has the router %s already: revoke that first.", holder)
	case r != nil && r.Site != "" && r.Site != site.ID && r.State == cordon.RouterEnrolled:
		return nil, false, "This router works at another site: reset it first, so that nothing of one home reaches the next."
	}
	changed = set(&site.Name, l.SiteName)
	changed = set(&site.Area, l.Area) || changed
	changed = set(&site.Group, l.Group) || changed
	if (changed || fresh) && !i.pending[site] {
		i.pending[site] = true
		i.putSites = append(i.putSites, site)
	}
	return site, changed || fresh, ""
}

// write writes what was decided: what is new in statements of many rows.
func (i *importer) write(ctx context.Context, tx dialect.Tx) error {
	var fresh [][]any
	for _, a := range i.putAccounts {
		if a.Version == 0 {
			a.Version = 1
			fresh = append(fresh, accountRow(a))
		} else if err := table.Put(ctx, tx, accounts, "account "+a.ID, &a.Version, accountRow(a)); err != nil {
			return err
		}
	}
	if err := table.Insert(ctx, tx, accounts, fresh); err != nil {
		return err
	}
	fresh = nil
	for _, site := range i.putSites {
		if site.Version == 0 {
			site.Version, i.fresh[site] = 1, true
			fresh = append(fresh, siteRow(site))
			continue
		}
		was, err := i.s.site(ctx, tx, site.ID, tx.ForUpdate())
		if err != nil {
			return err
		}
		if err := table.Put(ctx, tx, sites, "site "+site.ID, &site.Version, siteRow(site)); err != nil {
			return err
		}
		if err := i.s.moved(ctx, tx, &was, site); err != nil {
			return err
		}
	}
	if err := table.Insert(ctx, tx, sites, fresh); err != nil {
		return err
	}
	fresh = nil
	for _, r := range i.putRouters {
		if site := i.siteByID[r.Site]; r.Version == 0 && i.fresh[site] {
			r.Version = 1
			fresh = append(fresh, putRow(r, site))
		} else if err := i.s.putRouter(ctx, tx, r); err != nil {
			return err
		}
	}
	return table.Insert(ctx, tx, routers, fresh)
}
