package store

import (
	"context"
	"strings"

	"cordon"
	"cordon/core/store/column"
)

const detectionColumns = "site, id, account, area, router, agent, kind, level, at, shadowed, detection, received"

func detectionRow(d *cordon.DetectionRecord) []any {
	return []any{id(&d.Site), id(&d.Detection.ID), id(&d.Account), id(&d.Area), id(&d.Router), id(&d.Agent), id(&d.Detection.Kind),
		column.Number(&d.Detection.Level), column.Moment(&d.Detection.At), column.Flag(&d.Shadowed), column.Detection(&d.Detection), column.Moment(&d.Received)}
}

var detectionList = list[cordon.DetectionRecord]{
	table: "detections", columns: detectionColumns, row: detectionRow, account: "account = ?", site: "site = ?", moment: "at", newest: true,
	keys: []key[cordon.DetectionRecord]{
		{"at", func(d *cordon.DetectionRecord) any { return micros(d.Detection.At) }},
		{"site", func(d *cordon.DetectionRecord) any { return clean(d.Site) }},
		{"id", func(d *cordon.DetectionRecord) any { return clean(d.Detection.ID) }}},
	filters: func(q *cordon.Query) (all []filter) {
		if q.Device != "" {
			all = append(all, filter{conds: []cond{where("device = ?", clean(q.Device))}, indexed: true})
		}
		if q.Kind != "" && q.Kind != "*" {
			all = append(all, kindFilter(q.Kind))
		}
		if q.Area != "" {
			all = append(all, filter{conds: []cond{where("area = ?", clean(q.Area))}, indexed: true})
		}
		if q.Group != "" {
			all = append(all, filter{conds: []cond{where("grp = ?", clean(q.Group))}})
		}
		if q.Level != cordon.None {
			all = append(all, filter{conds: []cond{where("level >= ?", int64(q.Level))}})
		}
		if q.Router != "" {
			all = append(all, filter{conds: []cond{where("router = ?", clean(q.Router))}})
		}
		q.Device, q.Kind, q.Area, q.Group, q.Level, q.Router = "", "", "", "", cordon.None, ""
		return all
	},
}

// kindFilter is the filter of a kind, or of each kind that fits a pattern.
func kindFilter(k cordon.Kind) filter {
	if !strings.HasSuffix(string(k), "*") {
		return filter{conds: []cond{where("kind = ?", clean(string(k)))}, indexed: true}
	}
	var f filter
	for _, each := range cordon.Kinds() {
		if each.Match(string(k)) {
			f.conds = append(f.conds, where("kind = ?", string(each)))
		}
	}
	if f.indexed = true; len(f.conds) == 0 {
		f.conds = []cond{where("1 = 0")}
	}
	return f
}

// Detections returns a page of detections, the newest first.
func (s *Store) Detections(ctx context.Context, scope cordon.Scope, q cordon.Query) (cordon.Page[cordon.DetectionRecord], error) {
	return detectionList.page(ctx, s.db.Read(), s.budget, scope, q)
}

// Detection returns a detection of a site.
func (s *Store) Detection(ctx context.Context, site, id string) (cordon.DetectionRecord, error) {
	return one(ctx, s.db.Read(), "detection "+id+" of site "+site, detectionRow,
		"SELECT "+detectionColumns+" FROM detections WHERE site = $1 AND id = $2", clean(site), clean(id))
}

const actionColumns = "site, id, account, area, router, action, orderer, result, error, updated, at"

func actionRow(a *cordon.ActionRecord) []any {
	var at cordon.Time // the document has it, too
	var id_ string
	return []any{id(&a.Site), id(&id_), id(&a.Account), id(&a.Area), id(&a.Router), column.Action(&a.Action), name(&a.By), id(&a.Result),
		line(&a.Error), column.Moment(&a.Updated), column.Moment(&at)}
}

var actionList = list[cordon.ActionRecord]{
	table: "actions", columns: actionColumns, row: actionRow, account: "account = ?", site: "site = ?", moment: "at", newest: true,
	keys: []key[cordon.ActionRecord]{
		{"at", func(a *cordon.ActionRecord) any { return micros(a.Action.At) }},
		{"site", func(a *cordon.ActionRecord) any { return clean(a.Site) }},
		{"id", func(a *cordon.ActionRecord) any { return clean(a.Action.ID) }}},
	filters: func(q *cordon.Query) (all []filter) {
		if q.Device != "" {
			all = append(all, filter{conds: []cond{where("device = ?", clean(q.Device))}, indexed: true})
		}
		if q.Area != "" {
			all = append(all, filter{conds: []cond{where("area = ?", clean(q.Area))}, indexed: true})
		}
		if q.Verb != "" {
			all = append(all, filter{conds: []cond{where("verb = ?", clean(q.Verb))}, indexed: true})
		}
		if q.Group != "" {
			all = append(all, filter{conds: []cond{where("grp = ?", clean(q.Group))}})
		}
		if q.Router != "" {
			all = append(all, filter{conds: []cond{where("router = ?", clean(q.Router))}})
		}
		q.Device, q.Area, q.Verb, q.Group, q.Router = "", "", "", "", ""
		return all
	},
}

// Actions returns a page of actions, the newest first.
func (s *Store) Actions(ctx context.Context, scope cordon.Scope, q cordon.Query) (cordon.Page[cordon.ActionRecord], error) {
	return actionList.page(ctx, s.db.Read(), s.budget, scope, q)
}
