package intake

import (
	"context"
	"database/sql"
	"maps"
	"slices"
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
	wants := make(map[string]wanted)
	for _, r := range sorted(b.enforced) {
		if newer[r.from.id] {
			b.event(cordon.EventRouter, r, r.from.id, cordon.None)
			wants[column.AsID(r.from.site)] = wantedOf(r.Enforced)
		}
	}
	return inForce(ctx, tx, wants)
}

// wanted is what state the devices of a site are in.
type wanted struct {
	states map[string]string // of those that are not only watched
	whole  bool              // no others are in force
}

func wantedOf(e *cordon.Enforced) wanted {
	w := wanted{make(map[string]string), len(e.InForce) < cordon.MaxInForce}
	for i := range e.InForce {
		a := &e.InForce[i]
		device := column.AsID(a.Entity.Device)
		switch {
		case w.states[device] == "quarantined" || w.states[device] == "blocked" && a.Verb == cordon.VerbLimit:
		case states[a.Verb] != "" && (a.Mode == cordon.ModeDo || a.Mode == ""):
			w.states[device] = states[a.Verb]
		}
	}
	return w
}

// inForce sets the states of the devices of sites. Where more may be in force than is
// named, the others keep theirs, of which their actions told.
func inForce(ctx context.Context, tx dialect.Tx, wants map[string]wanted) error {
	set := make(map[place]string)
	for site, w := range wants {
		for device, state := range w.states {
			set[place{site, device}] = state
		}
	}
	// The states are named so that their index finds them, and not the sites' devices.
	err := table.In(ctx, tx, "SELECT site, id FROM devices WHERE state <> 'watched' AND state IN ('limited', 'blocked', 'quarantined') AND site IN ",
		slices.Sorted(maps.Keys(wants)), "", wrote(func(p place) {
			if set[p] == "" && wants[p.site].whole {
				set[p] = "watched"
			}
		}))
	if err != nil {
		return err
	}
	var rows [][]any
	for _, p := range placesOf(set) {
		rows = append(rows, []any{p.site, p.id, set[p]})
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
