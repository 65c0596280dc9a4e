// Package intake makes rows of what routers report. Package store is its only caller.
//
// A report is looked at once: by its number, whether it was stored before; by the order of
// the reports of its site, whether it is newer than what is stored of the same record.
package intake

import (
	"cmp"
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
)

// Outcome is what became of the reports of a transaction.
type Outcome struct {
	Stored  int // that were new
	Doubled int // that had been stored before
	Refused int // of routers that are unknown, not enrolled or without a site
	Events  []cordon.Event
}

// Store stores reports in a transaction. What comes late never replaces what is newer.
func Store(ctx context.Context, tx dialect.Tx, now cordon.Time, reports []cordon.Report) (Outcome, error) {
	b := batch{now: now, senders: make(map[string]*sender)}
	if err := b.store(ctx, tx, reports); err != nil {
		return Outcome{}, err
	}
	b.Stored = len(reports) - b.Doubled - b.Refused
	return b.Outcome, nil
}

// batch is the reports of one transaction. Of records that several of them are about,
// only the newest is kept.
type batch struct {
	Outcome
	now     cordon.Time
	senders map[string]*sender // by Router.ID

	devices    map[place]*report
	incidents  map[place]*report
	actions    map[place]*report
	detections []*report
	health     map[string]*report // by Router.ID
	enforced   map[string]*report
	summaries  []*report

	known map[place]knownDevice
}

// place names a record of a site.
type place struct{ site, id string }

// report is a report with where it comes from.
type report struct {
	*cordon.Report
	from *sender
	ord  string // orders the reports of a site
}

// sender is a router that reports are of.
type sender struct {
	id, site, account, area, group, agent string
	state                                 cordon.RouterState
	enrolled                              int64 // µs
	identities                            int64
	heard                                 map[uint32]*heard
	changed                               map[uint32]bool // of heard
	seen                                  bool
}

// store stores the reports of a transaction.
func (b *batch) store(ctx context.Context, tx dialect.Tx, reports []cordon.Report) error {
	if err := b.read(ctx, tx, reports); err != nil {
		return err
	}
	b.sort(reports)
	for _, write := range []func(context.Context, dialect.Tx) error{
		b.writeHeard, b.writeDevices, b.writeIncidents, b.writeDetections, b.writeActions, b.writeEnforced, b.writeHealth, b.writeSummaries, b.writeSeen,
	} {
		if err := write(ctx, tx); err != nil {
			return err
		}
	}
	return nil
}

// read reads the routers, which nobody else stores reports of until the transaction ends,
// and what was heard of them.
func (b *batch) read(ctx context.Context, tx dialect.Tx, reports []cordon.Report) error {
	names := make(map[string]string)
	for i := range reports {
		names[column.AsID(reports[i].ID.Router)] = column.AsID(reports[i].ID.Router)
	}
	ids := sorted(names)
	err := table.In(ctx, tx, "SELECT id, site, account, area, grp, agent, state, enrolled, identities FROM routers WHERE id IN ", ids,
		" ORDER BY id"+tx.ForUpdate(), func(rows *sql.Rows) error {
			f := sender{heard: make(map[uint32]*heard), changed: make(map[uint32]bool)}
			err := rows.Scan(column.ID(&f.id), column.ID(&f.site), column.ID(&f.account), column.ID(&f.area), column.ID(&f.group), column.ID(&f.agent), column.ID(&f.state), &f.enrolled, &f.identities)
			if b.senders[f.id] == nil {
				b.senders[f.id] = &f
			}
			return err
		})
	if err != nil {
		return err
	}
	return b.readHeard(ctx, tx, ids)
}

// maxBoots bounds the boots of a router that are remembered. Of a boot that was forgotten
// a report that comes once more is stored once more, which changes nothing.
const maxBoots = 32

func (b *batch) readHeard(ctx context.Context, tx dialect.Tx, ids []string) error {
	boots := make(map[string]int)
	var old [][]any
	err := table.In(ctx, tx, "SELECT router, enrolled, boot, ranges FROM heard WHERE router IN ", ids, " ORDER BY router, at DESC, boot DESC", func(rows *sql.Rows) error {
		var router string
		var enrolled, boot int64
		var h heard
		if err := rows.Scan(&router, &enrolled, &boot, &h); err != nil {
			return err
		}
		if boots[router]++; boots[router] > maxBoots {
			old = append(old, []any{router, enrolled, boot})
		} else if f := b.senders[router]; f != nil && f.enrolled == enrolled {
			f.heard[uint32(boot)] = &h
		}
		return nil
	})
	for _, key := range old {
		if err == nil {
			_, err = table.Exec(ctx, tx, "DELETE FROM heard WHERE router = ? AND enrolled = ? AND boot = ?", key...)
		}
	}
	return err
}

// identitySlack is how much older than the enrolment a report of a trusted clock must be
// to count as the former identity's.
const identitySlack = 5 * time.Minute

// sort files the reports that are new.
func (b *batch) sort(reports []cordon.Report) {
	b.devices, b.incidents, b.actions = make(map[place]*report), make(map[place]*report), make(map[place]*report)
	b.health, b.enforced = make(map[string]*report), make(map[string]*report)
	for i := range reports {
		r := &reports[i]
		f := b.senders[column.AsID(r.ID.Router)]
		if f == nil || f.site == "" || f.state != cordon.RouterEnrolled && f.state != cordon.RouterReset {
			b.Refused++
			continue
		}
		identity := f.enrolled
		if f.identities > 1 && r.Doubt == 0 && column.Micros(r.At.Add(identitySlack)) < f.enrolled {
			// What was under way when the router enrolled anew. Its numbers are the former
			// identity's, so it is stored without them, and as older than all.
			identity = 0
		} else if !f.hear(r.ID.Boot, r.ID.Seq) {
			b.Doubled++
			continue
		}
		f.seen = true
		b.file(&report{r, f, order(identity, r.ID.Boot, r.ID.Seq)})
	}
}

// order writes what orders reports as text that sorts alike.
func order(enrolled int64, boot uint32, seq uint64) string {
	return fmt.Sprintf("%016x%08x%016x", uint64(enrolled), boot, seq)
}

// hear notes a report and says whether it is new.
func (f *sender) hear(boot uint32, seq uint64) bool {
	h := f.heard[boot]
	if h == nil {
		h = &heard{}
		f.heard[boot] = h
	}
	fresh := h.add(seq)
	f.changed[boot] = f.changed[boot] || fresh
	return fresh
}

// file puts a report to those of its kind.
func (b *batch) file(r *report) {
	at := func(id string) place { return place{r.from.site, column.AsID(id)} }
	newest := func(m map[place]*report, id string) {
		if was := m[at(id)]; was == nil || was.ord < r.ord {
			m[at(id)] = r
		}
	}
	latest := func(m map[string]*report) {
		if was := m[r.from.id]; was == nil || was.ord < r.ord {
			m[r.from.id] = r
		}
	}
	switch {
	case r.Device != nil:
		newest(b.devices, r.Device.ID)
	case r.Incident != nil:
		newest(b.incidents, r.Incident.ID)
	case r.Action != nil:
		newest(b.actions, r.Action.Action.ID)
	case r.Detection != nil:
		b.detections = append(b.detections, r)
	case r.Enforced != nil:
		latest(b.enforced)
	case r.Health != nil:
		latest(b.health)
	case r.Summary != nil:
		b.summaries = append(b.summaries, r)
	}
}

// writeHeard notes which reports were stored.
func (b *batch) writeHeard(ctx context.Context, tx dialect.Tx) error {
	var rows [][]any
	for _, f := range sorted(b.senders) {
		for boot, changed := range f.changed {
			if changed {
				rows = append(rows, []any{column.ID(&f.id), f.enrolled, int64(boot), *f.heard[boot], column.Micros(b.now)})
			}
		}
	}
	return table.Values(ctx, tx, "INSERT INTO heard (router, enrolled, boot, ranges, at) VALUES ", table.Row(5), rows,
		" ON CONFLICT (router, enrolled, boot) DO UPDATE SET ranges = excluded.ranges, at = excluded.at", nil)
}

// event notes that a record changed.
func (b *batch) event(sort cordon.EventSort, r *report, id string, level cordon.Level) {
	b.Events = append(b.Events, cordon.Event{Sort: sort, Account: r.from.account, Site: r.from.site, ID: id, Level: level, At: r.At})
}

// home is what every record has of the site that it belongs to.
func (r *report) home(key string) []any {
	return []any{column.ID(&r.from.site), column.AsID(key), column.ID(&r.from.account), column.ID(&r.from.area), column.ID(&r.from.group)}
}

// wrote calls f with each row (site, id) that a statement returns.
func wrote(f func(place)) func(*sql.Rows) error {
	return func(rows *sql.Rows) error {
		var p place
		err := rows.Scan(&p.site, &p.id)
		f(p)
		return err
	}
}

// placesOf returns what records are about in its order, so that transactions that meet
// wait for each other in the same order.
func placesOf[T any](m map[place]T) []place {
	return slices.SortedFunc(maps.Keys(m), func(a, b place) int { return cmp.Or(cmp.Compare(a.site, b.site), cmp.Compare(a.id, b.id)) })
}

// inOrder returns reports in the order of what they are about.
func inOrder(m map[place]*report) (out []*report) {
	for _, k := range placesOf(m) {
		out = append(out, m[k])
	}
	return out
}

// sorted returns a map's values in the order of their keys.
func sorted[T any](m map[string]T) []T {
	out := make([]T, 0, len(m))
	for _, k := range slices.Sorted(maps.Keys(m)) {
		out = append(out, m[k])
	}
	return out
}
