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
	return []any{id(&d.Site), id(&d.Detection.ID), id(&d.Account), id(&d.Area), id(&d.Router), id(&d.Agent), id(&d.Detection.Kind),
		column.Number(&d.Detection.Level), column.Moment(&d.Detection.At), column.Flag(&d.Shadowed), column.Detection(&d.Detection), column.Moment(&d.Received)}
}

var detectionList = table.List[cordon.DetectionRecord]{
	Table: "detections", Columns: detectionColumns, Row: detectionRow, Account: "account = ?", Site: "site = ?", Moment: "at", Newest: true,
	Keys: []table.Key[cordon.DetectionRecord]{
		table.Of("at", func(d *cordon.DetectionRecord) any { return micros(d.Detection.At) }),
		table.Of("site", func(d *cordon.DetectionRecord) any { return clean(d.Site) }),
		table.Of("id", func(d *cordon.DetectionRecord) any { return clean(d.Detection.ID) })},
	Filters: func(q *cordon.Query) (all []table.Filter) {
		if q.Device != "" {
			all = append(all, table.Drives("device = ?", clean(q.Device)))
		}
		if q.Kind != "" && q.Kind != "*" {
			all = append(all, kindFilter(q.Kind))
		}
		if q.Area != "" {
			all = append(all, table.Drives("area = ?", clean(q.Area)))
		}
		if q.Group != "" {
			all = append(all, table.Left("grp = ?", clean(q.Group)))
		}
		if q.Level != cordon.None {
			all = append(all, table.Left("level >= ?", int64(q.Level)))
		}
		if q.Router != "" {
			all = append(all, table.Left("router = ?", clean(q.Router)))
		}
		q.Device, q.Kind, q.Area, q.Group, q.Level, q.Router = "", "", "", "", cordon.None, ""
		return all
	},
}

// kindFilter is the filter of a kind, or of each kind that fits a pattern.
func kindFilter(k cordon.Kind) table.Filter {
	if !strings.HasSuffix(string(k), "*") {
		return table.Drives("kind = ?", clean(string(k)))
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
		"SELECT "+detectionColumns+" FROM detections WHERE site = $1 AND id = $2", clean(site), clean(id))
}

const actionColumns = "site, id, account, area, router, action, orderer, result, error, updated, at"

func actionRow(a *cordon.ActionRecord) []any {
	var at cordon.Time // the document has it, too
	var id_ string
	return []any{id(&a.Site), id(&id_), id(&a.Account), id(&a.Area), id(&a.Router), column.Action(&a.Action), name(&a.By), id(&a.Result),
		line(&a.Error), column.Moment(&a.Updated), column.Moment(&at)}
}

var actionList = table.List[cordon.ActionRecord]{
	Table: "actions", Columns: actionColumns, Row: actionRow, Account: "account = ?", Site: "site = ?", Moment: "at", Newest: true,
	Keys: []table.Key[cordon.ActionRecord]{
		table.Of("at", func(a *cordon.ActionRecord) any { return micros(a.Action.At) }),
		table.Of("site", func(a *cordon.ActionRecord) any { return clean(a.Site) }),
		table.Of("id", func(a *cordon.ActionRecord) any { return clean(a.Action.ID) })},
	Filters: func(q *cordon.Query) (all []table.Filter) {
		if q.Device != "" {
			all = append(all, table.Drives("device = ?", clean(q.Device)))
		}
		if q.Area != "" {
			all = append(all, table.Drives("area = ?", clean(q.Area)))
		}
		if q.Verb != "" {
			all = append(all, table.Drives("verb = ?", clean(q.Verb)))
		}
		if q.Group != "" {
			all = append(all, table.Left("grp = ?", clean(q.Group)))
		}
		if q.Router != "" {
			all = append(all, table.Left("router = ?", clean(q.Router)))
		}
		q.Device, q.Area, q.Verb, q.Group, q.Router = "", "", "", "", ""
		return all
	},
}

// Actions returns a page of actions, the newest first.
func (s *Store) Actions(ctx context.Context, scope cordon.Scope, q cordon.Query) (cordon.Page[cordon.ActionRecord], error) {
	return actionList.Page(ctx, s.db.Read(), s.budget, scope, q)
}
