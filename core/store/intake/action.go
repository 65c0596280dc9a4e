package intake

import (
	"context"

	"cordon"
	"cordon/core/store/table"
	"cordon/core/store/table/column"
	"cordon/core/store/table/dialect"
)

func (b *batch) writeDetections(ctx context.Context, tx dialect.Tx) error {
	var rows [][]any
	by := make(map[place]*report)
	for _, r := range b.detections {
		d, at := r.Detection, place{r.from.site, column.AsID(r.Detection.ID)}
		if by[at] != nil {
			continue
		}
		by[at] = r
		rows = append(rows, append(r.home(d.ID), column.ID(&r.from.id), column.ID(&r.from.agent), column.ID(&deviceOf(d.Device).ID), column.ID(&d.Kind), column.Number(&d.Level),
			column.Moment(&d.At), column.Flag(&r.Shadowed), column.Detection(d), column.Micros(b.now)))
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
		rows = append(rows, append(r.home(a.ID), column.ID(&r.from.id), column.ID(&a.Entity.Device), column.ID(&a.Verb), column.ID(&a.Mode), column.Moment(&a.At), column.Moment(&a.Expires),
			column.Action(a), column.Name(&r.Action.By), column.ID(&r.Action.Result), column.Line(&r.Action.Error), column.Micros(b.now), r.ord))
		at := place{r.from.site, column.AsID(a.Entity.Device)}
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
		states = append(states, []any{at.site, at.id, column.Micros(b.now)})
	}
	// The strongest of what is in force. An action without an end does not change what passes.
	return table.Values(ctx, tx, "WITH v (site, id, now) AS (VALUES ", "(?, ?, CAST(? AS BIGINT))", states, `), n (site, id, state) AS MATERIALIZED (SELECT v.site, v.id, `+stateOf+` FROM v)
		UPDATE devices SET state = n.state, version = devices.version + 1 FROM n WHERE devices.site = n.site AND devices.id = n.id AND devices.state <> n.state`, nil)
}

// stateOf is the state of a device by its actions in force.
const stateOf = `COALESCE((SELECT CASE MAX(CASE a.verb WHEN 'quarantine' THEN 3 WHEN 'block' THEN 2 WHEN 'limit' THEN 1 ELSE 0 END)
	WHEN 3 THEN 'quarantined' WHEN 2 THEN 'blocked' WHEN 1 THEN 'limited' ELSE 'watched' END FROM actions a
	WHERE a.site = v.site AND a.device = v.id AND a.mode = 'do' AND a.result IN ('done', 'unsure') AND a.expires > v.now), 'watched')`
