package intake

import (
	"context"
	"database/sql"

	"cordon"
	"cordon/core/store/table"
	"cordon/core/store/table/column"
	"cordon/core/store/table/dialect"
)

// knownIncident is what an incident is found by, as it is stored. When a report changes
// nothing of it, no index needs to be touched.
type knownIncident struct {
	place
	router, device, kinds string
	level, opened         int64
	ended                 bool
}

func (b *batch) readIncidents(ctx context.Context, tx dialect.Tx) (map[place]knownIncident, error) {
	known := make(map[place]knownIncident)
	return known, table.Values(ctx, tx, "SELECT site, id, router, device, kinds, level, opened, ended FROM incidents WHERE (site, id) IN (VALUES ", "(?, ?)",
		places(b.incidents), ") ORDER BY site, id"+tx.ForUpdate(), func(rows *sql.Rows) error {
			var k knownIncident
			err := rows.Scan(&k.site, &k.id, &k.router, &k.device, &k.kinds, &k.level, &k.opened, column.Flag(&k.ended))
			known[k.place] = k
			return err
		})
}

// writeIncidents writes incidents, and their devices if those were not reported yet.
func (b *batch) writeIncidents(ctx context.Context, tx dialect.Tx) error {
	known, err := b.readIncidents(ctx, tx)
	if err != nil {
		return err
	}
	var whole, light, devices, kinds [][]any
	worse := make(map[place]*report) // devices whose level may change
	for _, r := range inOrder(b.incidents) {
		i, d := r.Incident, deviceOf(r.Incident.Device)
		at := place{r.from.site, column.AsID(i.ID)}
		of := place{r.from.site, column.AsID(d.ID)}
		k, there := known[at]
		is := knownIncident{at, r.from.id, of.id, column.KindsText(i.Kinds), int64(i.Level), column.Micros(i.Opened), r.Over}
		if !there || is.kinds != k.kinds || is.opened != k.opened {
			for kind := range kindsOf(i.Kinds) {
				kinds = append(kinds, []any{at.site, at.id, kind, is.opened})
			}
		}
		if is.kinds = k.kinds; there && is == k {
			light = append(light, []any{at.site, at.id, column.Moment(&i.Last), column.Kinds(&i.Kinds), column.Incident(i), column.Micros(b.now), r.ord})
			continue
		}
		whole = append(whole, append(r.home(i.ID), column.ID(&r.from.id), column.ID(&d.ID), column.Number(&i.Level), column.Moment(&i.Opened), column.Moment(&i.Last),
			column.Kinds(&i.Kinds), column.Incident(i), column.Flag(&r.Over), column.Micros(b.now), r.ord))
		if _, there := b.known[of]; !there && d.ID != "" && worse[of] == nil {
			devices = append(devices, b.deviceRow(r, d, ""))
		}
		worse[of] = r
	}
	if err := table.Values(ctx, tx, insertDevices, deviceTemplate, devices, " ON CONFLICT (site, id) DO NOTHING", nil); err != nil {
		return err
	}
	if err := b.putIncidents(ctx, tx, whole, light); err != nil {
		return err
	}
	if err := table.Values(ctx, tx, "INSERT INTO incident_kinds (k_site, k_id, kind, k_opened) VALUES ", table.Row(4), kinds, ` ON CONFLICT (k_site, k_id, kind) DO UPDATE
		SET k_opened = excluded.k_opened WHERE incident_kinds.k_opened <> excluded.k_opened`, nil); err != nil {
		return err
	}
	return Levels(ctx, tx, places(worse))
}

func (b *batch) putIncidents(ctx context.Context, tx dialect.Tx, whole, light [][]any) error {
	told := wrote(func(p place) {
		if r := b.incidents[p]; r != nil {
			b.event(cordon.EventIncident, r, p.id, r.Incident.Level)
		}
	})
	if err := table.Values(ctx, tx, "WITH v (site, id, last, kinds, incident, received, ord) AS (VALUES ", "(?, ?, CAST(? AS BIGINT), ?, ?, CAST(? AS BIGINT), ?)", light, `)
		UPDATE incidents SET last = v.last, kinds = v.kinds, incident = v.incident, received = v.received, ord = v.ord, version = incidents.version + 1
		FROM v WHERE incidents.site = v.site AND incidents.id = v.id AND v.ord > incidents.ord RETURNING incidents.site, incidents.id`, told); err != nil {
		return err
	}
	return table.Values(ctx, tx, "INSERT INTO incidents (site, id, account, area, grp, router, device, level, opened, last, kinds, incident, ended, received, ord) VALUES ",
		table.Row(15), whole, ` ON CONFLICT (site, id) DO UPDATE SET router = excluded.router, device = excluded.device, level = excluded.level, opened = excluded.opened,
		last = excluded.last, kinds = excluded.kinds, incident = excluded.incident, ended = excluded.ended, received = excluded.received,
		ord = excluded.ord, version = incidents.version + 1 WHERE excluded.ord > incidents.ord RETURNING site, id`, told)
}

// kindsOf returns different kinds, as many as the document of an incident keeps.
func kindsOf(kinds []cordon.Kind) map[string]bool {
	out := make(map[string]bool)
	for _, k := range kinds[:min(len(kinds), column.MaxKinds)] {
		out[column.AsID(string(k))] = true
	}
	return out
}

// Levels sets the level of devices (site, id) to that of their open incidents.
func Levels(ctx context.Context, tx dialect.Tx, devices [][]any) error {
	return table.Values(ctx, tx, "WITH v (site, id) AS (VALUES ", "(?, ?)", devices, `), n (site, id, level) AS MATERIALIZED (SELECT v.site, v.id, COALESCE((SELECT MAX(i.level) FROM incidents i
		WHERE i.site = v.site AND i.device = v.id AND NOT i.ended AND i.closed = ''), 0) FROM v)
		UPDATE devices SET level = n.level, version = devices.version + 1 FROM n WHERE devices.site = n.site AND devices.id = n.id AND devices.level <> n.level`, nil)
}
