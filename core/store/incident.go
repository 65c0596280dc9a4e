package store

import (
	"context"
	"fmt"
	"strings"

	"cordon"
	"cordon/core/store/intake"
	"cordon/core/store/table"
	"cordon/core/store/table/column"
	"cordon/core/store/table/dialect"
	"cordon/internal/text"
)

const incidentColumns = "site, id, account, area, router, level, opened, last, incident, ended, closed, closer, note, received, version"

func incidentRow(i *cordon.IncidentRecord) []any {
	return []any{column.ID(&i.Site), column.ID(&i.Incident.ID), column.ID(&i.Account), column.ID(&i.Area), column.ID(&i.Router), column.Number(&i.Incident.Level),
		column.Moment(&i.Incident.Opened), column.Moment(&i.Incident.Last), column.Incident(&i.Incident), column.Flag(&i.Over),
		column.ID(&i.Closed), column.Name(&i.By), column.Text(&i.Note, noteBytes), column.Moment(&i.Received), column.Number(&i.Version)}
}

// noteBytes bounds what somebody writes about an incident.
const noteBytes = 4096

var incidentList = table.List[cordon.IncidentRecord]{
	Table: "incidents", Columns: incidentColumns, Row: incidentRow, Account: "account = ?", Site: "site = ?", Moment: "opened", Newest: true,
	Keys: []table.Key[cordon.IncidentRecord]{
		table.Of("opened", func(i *cordon.IncidentRecord) any { return column.Micros(i.Incident.Opened) }),
		table.Of("site", func(i *cordon.IncidentRecord) any { return column.AsID(i.Site) }),
		table.Of("id", func(i *cordon.IncidentRecord) any { return column.AsID(i.Incident.ID) })},
	Filters: func(q *cordon.Query) (all []table.Filter) {
		if q.Device != "" {
			all = append(all, table.Drives("device = ?", column.AsID(q.Device)))
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
			all = append(all, table.Drives("NOT ended AND closed = ''"))
		case "over":
			all = append(all, table.Left("ended OR closed <> ''"))
		case "":
		default:
			all = append(all, table.Drives("1 = 0")) // no incident is in another state
		}
		if q.Level == cordon.Watch {
			all = append(all, table.Left("level >= 1")) // nearly all are
			q.Level = cordon.None
		}
		all = append(all, atLeast(q)...)
		if q.Router != "" {
			all = append(all, table.Left("router = ?", column.AsID(q.Router)))
		}
		q.Device, q.State, q.Kind, q.Router = "", "", "", ""
		return all
	},
}

// ofKind is the filter of a kind or pattern: in "|scan.mirai|dos.syn|", or by the table
// of kinds.
func ofKind(kind cordon.Kind) table.Filter {
	text, isPattern := strings.CutSuffix(column.AsID(string(kind)), "*")
	if !isPattern {
		text += "|"
	}
	text = strings.NewReplacer(`!`, `!!`, `%`, `!%`, `_`, `!_`).Replace(text)
	f := kindFilter(kind)
	return table.Filter{Conds: []table.Cond{table.Where("kinds LIKE ? ESCAPE '!'", "%|"+text+"%")}, Indexed: true,
		By: &table.By{Table: "incident_kinds", Join: "site = k_site AND id = k_id", Keys: []string{"k_opened", "k_site", "k_id"}, Conds: f.Conds}}
}

// Incidents returns a page of incidents, those opened last first. Since and Until are of
// when they were opened.
func (s *Store) Incidents(ctx context.Context, scope cordon.Scope, q cordon.Query) (cordon.Page[cordon.IncidentRecord], error) {
	return incidentList.Page(ctx, s.db.Read(), s.budget, scope, q)
}

// Incident returns an incident of a site.
func (s *Store) Incident(ctx context.Context, site, id string) (cordon.IncidentRecord, error) {
	return s.incident(ctx, s.db.Read(), site, id, "")
}

func (s *Store) incident(ctx context.Context, tx dialect.Tx, site, id, lock string) (cordon.IncidentRecord, error) {
	return table.One(ctx, tx, "incident "+id+" of site "+site, incidentRow,
		"SELECT "+incidentColumns+" FROM incidents WHERE site = $1 AND id = $2"+lock, column.AsID(site), column.AsID(id))
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
		i, err := s.incident(ctx, tx, site, id, tx.ForUpdate())
		if err != nil {
			return err
		}
		if version != 0 && version != i.Version {
			return cordon.ErrConflict
		}
		if _, err := table.Exec(ctx, tx, "UPDATE incidents SET closed = ?, closer = ?, note = ?, version = version + 1 WHERE site = ? AND id = ?",
			string(c), text.Clean(by, column.NameBytes), text.Clean(note, noteBytes), column.AsID(site), column.AsID(id)); err != nil || i.Incident.Device == nil {
			return err
		}
		// The device is as bad as what is still open.
		return intake.Levels(ctx, tx, [][]any{{column.AsID(site), column.AsID(i.Incident.Device.ID)}})
	})
	if err != nil {
		return fmt.Errorf("close incident %s of site %s: %w", id, site, dialect.Classify(err))
	}
	return nil
}
