package store

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

// Ingest stores reports, at most maxBatch in a transaction, and returns what changed.
// Reports that were stored before are left out, as are those of routers that are unknown,
// not enrolled or without a site (Stats counts both); what comes late never replaces what
// is newer. With an error some of the reports may have been stored, and the events are of
// those: all of them may be given again.
func (s *Store) Ingest(ctx context.Context, reports []cordon.Report) (events []cordon.Event, err error) {
	for chunk := range chunks(reports, maxBatch) {
		var b batch
		err := s.write(ctx, func(tx dialect.Tx) error {
			b = batch{s: s, now: s.now(), senders: make(map[string]*sender)}
			return b.store(ctx, tx, chunk)
		})
		if err != nil {
			return events, fmt.Errorf("ingest %d reports: %w", len(chunk), err)
		}
		s.stored.Add(uint64(len(chunk)) - b.doubled - b.refused)
		s.doubled.Add(b.doubled)
		s.refused.Add(b.refused)
		events = append(events, b.events...)
	}
	return events, nil
}

// batch is the reports of one transaction. Of records that several of them are about,
// only the newest is kept.
type batch struct {
	s                *Store
	now              cordon.Time
	senders          map[string]*sender // by Router.ID
	doubled, refused uint64
	events           []cordon.Event

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
		names[clean(reports[i].ID.Router)] = clean(reports[i].ID.Router)
	}
	ids := sorted(names)
	err := table.In(ctx, tx, "SELECT id, site, account, area, grp, agent, state, enrolled, identities FROM routers WHERE id IN ", ids,
		" ORDER BY id"+b.s.lock(), func(rows *sql.Rows) error {
			f := sender{heard: make(map[uint32]*heard), changed: make(map[uint32]bool)}
			err := rows.Scan(id(&f.id), id(&f.site), id(&f.account), id(&f.area), id(&f.group), id(&f.agent), id(&f.state), &f.enrolled, &f.identities)
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
		f := b.senders[clean(r.ID.Router)]
		if f == nil || f.site == "" || f.state != cordon.RouterEnrolled && f.state != cordon.RouterReset {
			b.refused++
			continue
		}
		identity := f.enrolled
		if f.identities > 1 && r.Doubt == 0 && micros(r.At.Add(identitySlack)) < f.enrolled {
			// What was under way when the router enrolled anew. Its numbers are the former
			// identity's, so it is stored without them, and as older than all.
			identity = 0
		} else if !f.hear(r.ID.Boot, r.ID.Seq) {
			b.doubled++
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
	at := func(id string) place { return place{r.from.site, clean(id)} }
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
				rows = append(rows, []any{id(&f.id), f.enrolled, int64(boot), *f.heard[boot], micros(b.now)})
			}
		}
	}
	return table.Values(ctx, tx, "INSERT INTO heard (router, enrolled, boot, ranges, at) VALUES ", table.Row(5), rows,
		" ON CONFLICT (router, enrolled, boot) DO UPDATE SET ranges = excluded.ranges, at = excluded.at", nil)
}

// event notes that a record changed.
func (b *batch) event(sort cordon.EventSort, r *report, id string, level cordon.Level) {
	b.events = append(b.events, cordon.Event{Sort: sort, Account: r.from.account, Site: r.from.site, ID: id, Level: level, At: r.At})
}

// home is what every record has of the site that it belongs to.
func (r *report) home(key string) []any {
	return []any{id(&r.from.site), clean(key), id(&r.from.account), id(&r.from.area), id(&r.from.group)}
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

// knownDevice is what a device is searched by, as it is stored. When a report changes
// nothing of it, no index needs to be touched: most reports of devices are such.
type knownDevice struct {
	place
	label, maker, model, addr string
	named                     bool // people gave it a name, which is its label
}

func (b *batch) readDevices(ctx context.Context, tx dialect.Tx) (map[place]knownDevice, error) {
	want := make(map[place]*report)
	for at, r := range b.devices {
		want[at] = r
	}
	for _, r := range b.incidents {
		if d := deviceOf(r.Incident.Device); d.ID != "" {
			want[place{r.from.site, clean(d.ID)}] = r
		}
	}
	known := make(map[place]knownDevice)
	return known, table.Values(ctx, tx, `SELECT site, id, label, maker, model, addr, said LIKE '%"name":%' FROM devices WHERE (site, id) IN (VALUES `, "(?, ?)",
		places(want), ") ORDER BY site, id"+b.s.lock(), func(rows *sql.Rows) error {
			var k knownDevice
			err := rows.Scan(&k.site, &k.id, &k.label, &k.maker, &k.model, &k.addr, column.Flag(&k.named))
			known[k.place] = k
			return err
		})
}

// places returns the keys of reports as rows.
func places(m map[place]*report) (rows [][]any) {
	for _, k := range placesOf(m) {
		rows = append(rows, []any{k.site, k.id})
	}
	return rows
}

func (b *batch) writeDevices(ctx context.Context, tx dialect.Tx) (err error) {
	if b.known, err = b.readDevices(ctx, tx); err != nil {
		return err
	}
	var whole, light [][]any
	for _, r := range inOrder(b.devices) {
		d := r.Device
		k, there := b.known[place{r.from.site, clean(d.ID)}]
		is := knownDevice{k.place, table.SearchKey(d.Name), table.SearchKey(d.Maker), clean(d.Model), addrOf(d), k.named}
		if k.named {
			is.label = k.label
		}
		if there && is == k {
			light = append(light, []any{k.site, k.id, column.Device(d), column.Moment(&d.LastSeen), micros(b.now), r.ord})
		} else {
			whole = append(whole, b.deviceRow(r, d, r.ord))
		}
	}
	told := wrote(func(p place) {
		if r := b.devices[p]; r != nil {
			b.event(cordon.EventDevice, r, p.id, cordon.None)
		}
	})
	if err := table.Values(ctx, tx, "WITH v (site, id, device, last, updated, ord) AS (VALUES ", "(?, ?, ?, CAST(? AS BIGINT), CAST(? AS BIGINT), ?)", light, `)
		UPDATE devices SET device = v.device, last = v.last, updated = v.updated, ord = v.ord, version = devices.version + 1
		FROM v WHERE devices.site = v.site AND devices.id = v.id AND v.ord > devices.ord RETURNING devices.site, devices.id`, told); err != nil {
		return err
	}
	return table.Values(ctx, tx, insertDevices, deviceTemplate, whole, ` ON CONFLICT (site, id) DO UPDATE SET label =
		CASE WHEN devices.said LIKE '%"name":%' THEN devices.label ELSE excluded.label END,
		maker = excluded.maker, model = excluded.model, addr = excluded.addr, device = excluded.device, last = excluded.last, updated = excluded.updated,
		ord = excluded.ord, version = devices.version + 1 WHERE excluded.ord > devices.ord RETURNING site, id`, told)
}

const (
	insertDevices  = "INSERT INTO devices (site, id, account, area, grp, label, maker, model, addr, device, last, updated, ord) VALUES "
	deviceTemplate = "(?, ?, ?, ?, ?, ?, ?, ?, ?, ?, ?, ?, ?)"
)

func (b *batch) deviceRow(r *report, d *cordon.Device, ord string) []any {
	return append(r.home(d.ID), sought(table.SearchKey(d.Name)), sought(table.SearchKey(d.Maker)), id(&d.Model), sought(addrOf(d)),
		column.Device(d), column.Moment(&d.LastSeen), micros(b.now), ord)
}

// deviceOf returns the device, an empty one if there is none.
func deviceOf(d *cordon.Device) *cordon.Device {
	if d == nil {
		return &cordon.Device{}
	}
	return d
}

func (b *batch) writeDetections(ctx context.Context, tx dialect.Tx) error {
	var rows [][]any
	by := make(map[place]*report)
	for _, r := range b.detections {
		d, at := r.Detection, place{r.from.site, clean(r.Detection.ID)}
		if by[at] != nil {
			continue
		}
		by[at] = r
		rows = append(rows, append(r.home(d.ID), id(&r.from.id), id(&r.from.agent), id(&deviceOf(d.Device).ID), id(&d.Kind), column.Number(&d.Level),
			column.Moment(&d.At), column.Flag(&r.Shadowed), column.Detection(d), micros(b.now)))
	}
	return table.Values(ctx, tx, "INSERT INTO detections (site, id, account, area, grp, router, agent, device, kind, level, at, shadowed, detection, received) VALUES ",
		table.Row(14), rows, " ON CONFLICT (site, id) DO NOTHING RETURNING site, id", wrote(func(p place) {
			if r := by[p]; r != nil {
				b.event(cordon.EventDetection, r, p.id, r.Detection.Level)
			}
		}))
}

// writeActions writes actions, and what state they leave their devices in.
func (b *batch) writeActions(ctx context.Context, tx dialect.Tx) error {
	var rows [][]any
	touched := make(map[place]place)
	for _, r := range inOrder(b.actions) {
		a := &r.Action.Action
		rows = append(rows, append(r.home(a.ID), id(&r.from.id), id(&a.Entity.Device), id(&a.Verb), id(&a.Mode), column.Moment(&a.At), column.Moment(&a.Expires),
			column.Action(a), name(&r.Action.By), id(&r.Action.Result), line(&r.Action.Error), micros(b.now), r.ord))
		at := place{r.from.site, clean(a.Entity.Device)}
		touched[at] = at
	}
	err := table.Values(ctx, tx, "INSERT INTO actions (site, id, account, area, grp, router, device, verb, mode, at, expires, action, orderer, result, error, updated, ord) VALUES ",
		table.Row(17), rows, ` ON CONFLICT (site, id) DO UPDATE SET router = excluded.router, device = excluded.device, verb = excluded.verb, mode = excluded.mode,
		at = excluded.at, expires = excluded.expires, action = excluded.action, orderer = excluded.orderer, result = excluded.result, error = excluded.error,
		updated = excluded.updated, ord = excluded.ord WHERE excluded.ord > actions.ord RETURNING site, id`, wrote(func(p place) {
			if r := b.actions[p]; r != nil {
				b.event(cordon.EventAction, r, p.id, cordon.None)
			}
		}))
	if err != nil {
		return err
	}
	var states [][]any
	for at := range touched {
		states = append(states, []any{at.site, at.id, micros(b.now)})
	}
	// The strongest of what is in force. An action without an end does not change what passes.
	return table.Values(ctx, tx, "WITH v (site, id, now) AS (VALUES ", "(?, ?, CAST(? AS BIGINT))", states, `), n (site, id, state) AS MATERIALIZED (SELECT v.site, v.id, `+stateOf+` FROM v)
		UPDATE devices SET state = n.state, version = devices.version + 1 FROM n WHERE devices.site = n.site AND devices.id = n.id AND devices.state <> n.state`, nil)
}

// stateOf is the state of a device by its actions in force.
const stateOf = `COALESCE((SELECT CASE MAX(CASE a.verb WHEN 'quarantine' THEN 3 WHEN 'block' THEN 2 WHEN 'limit' THEN 1 ELSE 0 END)
	WHEN 3 THEN 'quarantined' WHEN 2 THEN 'blocked' WHEN 1 THEN 'limited' ELSE 'watched' END FROM actions a
	WHERE a.site = v.site AND a.device = v.id AND a.mode = 'do' AND a.result IN ('done', 'unsure') AND a.expires > v.now), 'watched')`
