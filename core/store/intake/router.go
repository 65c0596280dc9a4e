package intake

import (
	"cmp"
	"context"
	"database/sql"
	"time"

	"cordon"
	"cordon/core/store/table"
	"cordon/core/store/table/column"
	"cordon/core/store/table/dialect"
)

// states are the states of devices by what is in force.
var states = map[cordon.Verb]string{cordon.VerbLimit: "limited", cordon.VerbBlock: "blocked", cordon.VerbQuarantine: "quarantined"}

// writeEnforced writes what routers say that is in force. A device that is not in it is
// only watched, unless there may be more than it names.
func (b *batch) writeEnforced(ctx context.Context, tx dialect.Tx) error {
	var rows [][]any
	for _, r := range sorted(b.enforced) {
		rows = append(rows, []any{column.ID(&r.from.id), column.Number(&r.Enforced.Version), column.Enforced(r.Enforced), column.Moment(&r.At), r.ord})
	}
	newer := make(map[string]bool)
	err := table.Values(ctx, tx, "WITH v (id, enforced, actual, at, ord) AS (VALUES ", "(?, CAST(? AS BIGINT), ?, CAST(? AS BIGINT), ?)", rows, `)
		UPDATE routers SET enforced = v.enforced, actual = v.actual, actual_at = v.at, actual_ord = v.ord
		FROM v WHERE routers.id = v.id AND v.ord > routers.actual_ord RETURNING routers.id`, func(rows *sql.Rows) error {
		var router string
		err := rows.Scan(&router)
		newer[router] = true
		return err
	})
	if err != nil {
		return err
	}
	for _, r := range sorted(b.enforced) {
		if newer[r.from.id] {
			b.event(cordon.EventRouter, r, r.from.id, cordon.None)
			if err := b.inForce(ctx, tx, r); err != nil {
				return err
			}
		}
	}
	return nil
}

// inForce sets the states of a site's devices. Where more may be in force than is named,
// the others keep theirs, of which their actions told.
func (b *batch) inForce(ctx context.Context, tx dialect.Tx, r *report) error {
	want := make(map[string]string)
	for i := range r.Enforced.InForce {
		a := &r.Enforced.InForce[i]
		device := column.AsID(a.Entity.Device)
		switch {
		case want[device] == "quarantined" || want[device] == "blocked" && a.Verb == cordon.VerbLimit:
		case states[a.Verb] != "" && (a.Mode == cordon.ModeDo || a.Mode == ""):
			want[device] = states[a.Verb]
		}
	}
	var rows [][]any
	set := func(device, state string) { rows = append(rows, []any{column.AsID(r.from.site), device, state}) }
	is := make(map[string]bool)
	found, err := table.All(ctx, tx, func(p *[2]string) []any { return []any{&p[0], &p[1]} },
		"SELECT id, state FROM devices WHERE site = $1 AND state <> 'watched'", column.AsID(r.from.site))
	if err != nil {
		return err
	}
	whole := len(r.Enforced.InForce) < cordon.MaxInForce
	for _, f := range found {
		if is[f[0]] = true; want[f[0]] != f[1] && (whole || want[f[0]] != "") {
			set(f[0], cmp.Or(want[f[0]], "watched"))
		}
	}
	for device, state := range want {
		if !is[device] {
			set(device, state)
		}
	}
	return table.Values(ctx, tx, "WITH n (site, id, state) AS (VALUES ", "(?, ?, ?)", rows, `)
		UPDATE devices SET state = n.state, version = devices.version + 1 FROM n WHERE devices.site = n.site AND devices.id = n.id AND devices.state <> n.state`, nil)
}

func (b *batch) writeHealth(ctx context.Context, tx dialect.Tx) error {
	var rows [][]any
	for _, r := range sorted(b.health) {
		rows = append(rows, []any{column.ID(&r.from.id), column.Health(r.Health), column.Number(&r.ID.Boot), r.ord})
		b.event(cordon.EventRouter, r, r.from.id, cordon.None)
	}
	return table.Values(ctx, tx, "WITH v (id, health, boot, ord) AS (VALUES ", "(?, ?, CAST(? AS BIGINT), ?)", rows, `)
		UPDATE routers SET health = v.health, boot = v.boot, health_ord = v.ord FROM v WHERE routers.id = v.id AND v.ord > routers.health_ord`, nil)
}

// seenEvery is how exactly it is kept when a router was last seen: not every report is
// worth a write.
const seenEvery = 10 * time.Second

// writeSeen notes when routers were seen, by core's clock.
func (b *batch) writeSeen(ctx context.Context, tx dialect.Tx) error {
	var rows [][]any
	for _, f := range sorted(b.senders) {
		if f.seen {
			rows = append(rows, []any{column.ID(&f.id), column.Micros(b.now), column.Micros(b.now.Add(-seenEvery))})
		}
	}
	return table.Values(ctx, tx, "WITH v (id, now, before) AS (VALUES ", "(?, CAST(? AS BIGINT), CAST(? AS BIGINT))", rows,
		") UPDATE routers SET seen = v.now FROM v WHERE routers.id = v.id AND routers.seen < v.before", nil)
}
