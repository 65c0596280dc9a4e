package store

import (
	"context"
	"fmt"
	"strings"

	"cordon"
	"cordon/core/store/column"
	"cordon/core/store/dialect"
)

const incidentColumns = "site, id, account, area, router, level, opened, last, incident, ended, closed, closer, note, received, version"

func incidentRow(i *cordon.IncidentRecord) []any {
	return []any{id(&i.Site), id(&i.Incident.ID), id(&i.Account), id(&i.Area), id(&i.Router), column.Number(&i.Incident.Level),
		column.Moment(&i.Incident.Opened), column.Moment(&i.Incident.Last), column.Incident(&i.Incident), column.Flag(&i.Over),
		id(&i.Closed), name(&i.By), column.Text(&i.Note, noteBytes), column.Moment(&i.Received), column.Number(&i.Version)}
}

// noteBytes bounds what somebody writes about an incident.
const noteBytes = 4096

var incidentList = list[cordon.IncidentRecord]{
	table: "incidents", columns: incidentColumns, row: incidentRow, account: "account = ?", site: "site = ?", moment: "opened", newest: true,
	keys: []key[cordon.IncidentRecord]{
		{"opened", func(i *cordon.IncidentRecord) any { return micros(i.Incident.Opened) }},
		{"site", func(i *cordon.IncidentRecord) any { return clean(i.Site) }},
		{"id", func(i *cordon.IncidentRecord) any { return clean(i.Incident.ID) }}},
	filters: func(q *cordon.Query) (all []filter) {
		if q.Device != "" {
			all = append(all, filter{conds: []cond{where("device = ?", clean(q.Device))}, indexed: true})
		}
		group := q.Group
		q.Group = ""
		all = append(all, whereabouts(q, "")...)
		if q.Kind != "" && q.Kind != "*" {
			all = append(all, ofKind(q.Kind))
		}
		q.Group = group
		all = append(all, whereabouts(q, "grp = ? AND grp <> ''")...)
		switch q.State {
		case "open":
			all = append(all, filter{conds: []cond{where("NOT ended AND closed = ''")}, indexed: true})
		case "over":
			all = append(all, filter{conds: []cond{where("ended OR closed <> ''")}})
		case "":
		default:
			all = append(all, filter{conds: []cond{where("1 = 0")}, indexed: true}) // no incident is in another state
		}
		level := atLeast(q)
		if len(level) > 0 && level[0].conds[0].text == "level >= 1" {
			level[0].indexed = false // nearly all are
		}
		all = append(all, level...)
		if q.Router != "" {
			all = append(all, filter{conds: []cond{where("router = ?", clean(q.Router))}})
		}
		q.Device, q.State, q.Kind, q.Router = "", "", "", ""
		return all
	},
}

// ofKind is the filter of a kind or pattern: in "|scan.mirai|dos.syn|", or by the table
// of kinds.
func ofKind(kind cordon.Kind) filter {
	text, isPattern := strings.CutSuffix(clean(string(kind)), "*")
	if !isPattern {
		text += "|"
	}
	text = strings.NewReplacer(`!`, `!!`, `%`, `!%`, `_`, `!_`).Replace(text)
	f := kindFilter(kind)
	return filter{conds: []cond{where("kinds LIKE ? ESCAPE '!'", "%|"+text+"%")}, indexed: true,
		by: &by{table: "incident_kinds", join: "site = k_site AND id = k_id", keys: []string{"k_opened", "k_site", "k_id"}, conds: f.conds}}
}

// Incidents returns a page of incidents, those opened last first. Since and Until are of
// when they were opened.
func (s *Store) Incidents(ctx context.Context, scope cordon.Scope, q cordon.Query) (cordon.Page[cordon.IncidentRecord], error) {
	return incidentList.page(ctx, s.db.Read(), s.budget, scope, q)
}

// Incident returns an incident of a site.
func (s *Store) Incident(ctx context.Context, site, id string) (cordon.IncidentRecord, error) {
	return s.incident(ctx, s.db.Read(), site, id, "")
}

func (s *Store) incident(ctx context.Context, tx dialect.Tx, site, id, lock string) (cordon.IncidentRecord, error) {
	return one(ctx, tx, "incident "+id+" of site "+site, incidentRow,
		"SELECT "+incidentColumns+" FROM incidents WHERE site = $1 AND id = $2"+lock, clean(site), clean(id))
}

// CloseIncident stores what a person said about an incident. version is the stored one,
// or 0 to close it whatever happened meanwhile.
func (s *Store) CloseIncident(ctx context.Context, site, id string, c cordon.Closing, by, note string, version int64) error {
	switch c {
	case cordon.ClosedMended, cordon.ClosedFalseAlarm, cordon.ClosedExpected:
	default:
		return fmt.Errorf("close incident as %q: %w", c, cordon.ErrInvalid)
	}
	err := s.write(ctx, func(tx dialect.Tx) error {
		i, err := s.incident(ctx, tx, site, id, s.lock())
		if err != nil {
			return err
		}
		if version != 0 && version != i.Version {
			return cordon.ErrConflict
		}
		if _, err := exec(ctx, tx, "UPDATE incidents SET closed = ?, closer = ?, note = ?, version = version + 1 WHERE site = ? AND id = ?",
			string(c), column.Clean(by, nameBytes), column.Clean(note, noteBytes), clean(site), clean(id)); err != nil || i.Incident.Device == nil {
			return err
		}
		// The device is as bad as what is still open.
		_, err = exec(ctx, tx, deviceLevel+" WHERE site = ? AND id = ?", clean(site), clean(i.Incident.Device.ID))
		return err
	})
	if err != nil {
		return fmt.Errorf("close incident %s of site %s: %w", id, site, dialect.Classify(err))
	}
	return nil
}

// deviceLevel sets the level of devices to that of their open incidents.
const deviceLevel = `UPDATE devices SET level = COALESCE((SELECT MAX(level) FROM incidents i WHERE i.site = devices.site
	AND i.device = devices.id AND NOT i.ended AND i.closed = ''), 0), version = version + 1`
