package store

import (
	"context"
	"strings"

	"cordon"
	"cordon/core/store/table"
	"cordon/core/store/table/column"
)

const detectionColumns = "site, id, account, area, router, agent, kind, level, at, shadowed, detection, received"

func detectionRow(d *cordon.DetectionRecord) []any {
	return []any{column.ID(&d.Site), column.ID(&d.Detection.ID), column.ID(&d.Account), column.ID(&d.Area), column.ID(&d.Router), column.ID(&d.Agent), column.ID(&d.Detection.Kind),
		column.Number(&d.Detection.Level), column.Moment(&d.Detection.At), column.Flag(&d.Shadowed), column.Detection(&d.Detection), column.Moment(&d.Received)}
}

var detectionList = table.List[cordon.DetectionRecord]{
	Table: "detections", Columns: detectionColumns, Row: detectionRow, Account: "account = ?", Site: "site = ?", Moment: "at", Newest: true,
	Keys: []table.Key[cordon.DetectionRecord]{
		table.Of("at", func(d *cordon.DetectionRecord) any { return column.Micros(d.Detection.At) }),
		table.Of("site", func(d *cordon.DetectionRecord) any { return column.AsID(d.Site) }),
		table.Of("id", func(d *cordon.DetectionRecord) any { return column.AsID(d.Detection.ID) })},
	Filters: func(q *cordon.Query) (all []table.Filter) {
		if q.Device != "" {
			all = append(all, table.Drives("device = ?", column.AsID(q.Device)))
		}
		if q.Kind != "" && q.Kind != "*" {
			all = append(all, kindFilter(q.Kind))
		}
		if q.Area != "" {
			all = append(all, table.Drives("area = ?", column.AsID(q.Area)))
		}
		if q.Group != "" {
			all = append(all, table.Left("grp = ?", column.AsID(q.Group)))
		}
		if q.Level != cordon.None {
			all = append(all, table.Left("level >= ?", int64(q.Level)))
		}
		if q.Router != "" {
			all = append(all, table.Left("router = ?", column.AsID(q.Router)))
		}
		q.Device, q.Kind, q.Area, q.Group, q.Level, q.Router = "", "", "", "", cordon.None, ""
		return all
	},
}

// kindFilter is the filter of a kind, or of each kind that fits a pattern.
func kindFilter(k cordon.Kind) table.Filter {
	if !strings.HasSuffix(string(k), "*") {
		return table.Drives("kind = ?", column.AsID(string(k)))
	}
	var f table.Filter
	for _, each := range cordon.Kinds() {
		if each.Match(string(k)) {
			f.Conds = append(f.Conds, table.Where("kind = ?", string(each)))
		}
	}
	if f.Indexed = true; len(f.Conds) == 0 {
		f.Conds = []table.Cond{table.Where("1 = 0")}
	}
	return f
}

// Detections returns a page of detections, the newest first.
func (s *Store) Detections(ctx context.Context, scope cordon.Scope, q cordon.Query) (cordon.Page[cordon.DetectionRecord], error) {
	return detectionList.Page(ctx, s.db.Read(), s.budget, scope, q)
}

// Detection returns a detection of a site.
func (s *Store) Detection(ctx context.Context, site, id string) (cordon.DetectionRecord, error) {
	return table.One(ctx, s.db.Read(), "detection "+id+" of site "+site, detectionRow,
		"SELECT "+detectionColumns+" FROM detections WHERE site = $1 AND id = $2", column.AsID(site), column.AsID(id))
}

const actionColumns = "site, id, account, area, router, action, orderer, result, error, updated, at"

func actionRow(a *cordon.ActionRecord) []any {
	var at cordon.Time // the document has it, too
	var id_ string
	return []any{column.ID(&a.Site), column.ID(&id_), column.ID(&a.Account), column.ID(&a.Area), column.ID(&a.Router), column.Action(&a.Action), column.Name(&a.By), column.ID(&a.Result),
		column.Line(&a.Error), column.Moment(&a.Updated), column.Moment(&at)}
}

var actionList = table.List[cordon.ActionRecord]{
	Table: "actions", Columns: actionColumns, Row: actionRow, Account: "account = ?", Site: "site = ?", Moment: "at", Newest: true,
	Keys: []table.Key[cordon.ActionRecord]{
		table.Of("at", func(a *cordon.ActionRecord) any { return column.Micros(a.Action.At) }),
		table.Of("site", func(a *cordon.ActionRecord) any { return column.AsID(a.Site) }),
		table.Of("id", func(a *cordon.ActionRecord) any { return column.AsID(a.Action.ID) })},
	Filters: func(q *cordon.Query) (all []table.Filter) {
		if q.Device != "" {
			all = append(all, table.Drives("device = ?", column.AsID(q.Device)))
		}
		if q.Area != "" {
			all = append(all, table.Drives("area = ?", column.AsID(q.Area)))
		}
		if q.Verb != "" {
			all = append(all, table.Drives("verb = ?", column.AsID(q.Verb)))
		}
		if q.Group != "" {
			all = append(all, table.Left("grp = ?", column.AsID(q.Group)))
		}
		if q.Router != "" {
			all = append(all, table.Left("router = ?", column.AsID(q.Router)))
		}
		q.Device, q.Area, q.Verb, q.Group, q.Router = "", "", "", "", ""
		return all
	},
}

// Actions returns a page of actions, the newest first.
func (s *Store) Actions(ctx context.Context, scope cordon.Scope, q cordon.Query) (cordon.Page[cordon.ActionRecord], error) {
	return actionList.Page(ctx, s.db.Read(), s.budget, scope, q)
}
