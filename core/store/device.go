package store

import (
	"cmp"
	"context"
	"fmt"

	"cordon"
	"cordon/core/store/intake"
	"cordon/core/store/table"
	"cordon/core/store/table/column"
	"cordon/core/store/table/dialect"
)

const deviceColumns = "site, id, account, area, device, said, room, state, level, updated, version"

func deviceRow(d *cordon.DeviceRecord) []any {
	return []any{column.ID(&d.Site), column.ID(&d.Device.ID), column.ID(&d.Account), column.ID(&d.Area), column.Device(&d.Device), column.Said(&d.Said),
		column.Name(&d.Room), column.ID(&d.State), column.Number(&d.Level), column.Moment(&d.Updated), column.Number(&d.Version)}
}

func labelOf(d *cordon.DeviceRecord) string {
	return table.SearchKey(cmp.Or(d.Said.Name, d.Device.Name))
}

var deviceList = table.List[cordon.DeviceRecord]{
	Table: "devices", Columns: deviceColumns, Row: deviceRow, Account: "account = ?", Site: "site = ?", Moment: "last",
	Keys: []table.Key[cordon.DeviceRecord]{
		table.Of("site", func(d *cordon.DeviceRecord) any { return column.AsID(d.Site) }),
		table.Of("id", func(d *cordon.DeviceRecord) any { return column.AsID(d.Device.ID) })},
	Words: []table.Word[cordon.DeviceRecord]{
		table.Folded("label", func(d *cordon.DeviceRecord) any { return labelOf(d) }),
		table.Folded("maker", func(d *cordon.DeviceRecord) any { return table.SearchKey(d.Device.Maker) }),
		table.Folded("id", func(d *cordon.DeviceRecord) any { return column.AsID(d.Device.ID) }),
		table.Folded("addr", func(d *cordon.DeviceRecord) any { return intake.Addr(&d.Device) })},
	Filters: func(q *cordon.Query) (all []table.Filter) {
		if q.Device != "" {
			all = append(all, table.Rare("id = ?", column.AsID(q.Device)))
		}
		if q.State == "watched" { // nearly all are
			all = append(all, table.Left("state = 'watched'"))
		} else if q.State != "" {
			all = append(all, table.Rare("state = ? AND state <> 'watched'", column.AsID(q.State)))
		}
		all = append(all, atLeast(q)...)
		if q.Model != "" {
			all = append(all, table.Rare("model = ? AND model <> ''", column.AsID(q.Model)))
		}
		q.Device, q.State, q.Model = "", "", ""
		return append(all, whereabouts(q, "grp = ? AND grp <> ''")...)
	},
}

// atLeast is the filter of a level. It is written as a number, because the indices are
// of those rows.
func atLeast(q *cordon.Query) (all []table.Filter) {
	if q.Level != cordon.None {
		f := table.Drives(fmt.Sprintf("level >= %d", q.Level&3))
		f.Rare = q.Level > cordon.Watch
		all = append(all, f)
	}
	q.Level = cordon.None
	return all
}

// Devices returns a page of devices, by site and ID, or by name, maker, ID or address
// when the query has a Text. Since and Until are of when they were last seen.
func (s *Store) Devices(ctx context.Context, scope cordon.Scope, q cordon.Query) (cordon.Page[cordon.DeviceRecord], error) {
	return deviceList.Page(ctx, s.db.Read(), s.budget, scope, q)
}

// Device returns a device of a site.
func (s *Store) Device(ctx context.Context, site, id string) (cordon.DeviceRecord, error) {
	return s.device(ctx, s.db.Read(), site, id, "")
}

func (s *Store) device(ctx context.Context, tx dialect.Tx, site, id, lock string) (cordon.DeviceRecord, error) {
	return table.One(ctx, tx, "device "+id+" of site "+site, deviceRow,
		"SELECT "+deviceColumns+" FROM devices WHERE site = $1 AND id = $2"+lock, column.AsID(site), column.AsID(id))
}

// PutDevice stores what people said about a device: Said and Room. Version is the stored
// one, or 0 to change it whatever it is; it is set. What the router is to know of it goes
// into the site's Desired as well.
func (s *Store) PutDevice(ctx context.Context, d *cordon.DeviceRecord) error {
	var version int64
	err := s.write(ctx, func(tx dialect.Tx) error {
		is, err := s.device(ctx, tx, d.Site, d.Device.ID, tx.ForUpdate())
		if err != nil {
			return err
		}
		if d.Version != 0 && d.Version != is.Version {
			return cordon.ErrConflict
		}
		is.Said, version = d.Said, is.Version+1
		_, err = table.Exec(ctx, tx, "UPDATE devices SET said = ?, room = ?, label = ?, version = ? WHERE site = ? AND id = ?",
			column.Said(&d.Said), column.Name(&d.Room), labelOf(&is), version, column.AsID(d.Site), column.AsID(d.Device.ID))
		return err
	})
	if err != nil {
		return fmt.Errorf("put device %s of site %s: %w", d.Device.ID, d.Site, dialect.Classify(err))
	}
	d.Version = version
	return nil
}
