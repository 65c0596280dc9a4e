package intake

import (
	"context"
	"database/sql"

	"cordon"
	"cordon/core/store/table"
	"cordon/core/store/table/column"
	"cordon/core/store/table/dialect"
)

// knownDevice is what a device is searched by, as it is stored. When a report changes
// nothing of it, no index needs to be touched: most reports of devices are such.
type knownDevice struct {
	place
	label, maker, model, addr string
	named                     bool // people gave it a name, which is its label
}

func (b *batch) readDevices(ctx context.Context, tx dialect.Tx) (map[place]knownDevice, error) {
	want := make(map[place]*report)
	for at, r := range b.devices {
		want[at] = r
	}
	for _, r := range b.incidents {
		if d := deviceOf(r.Incident.Device); d.ID != "" {
			want[place{r.from.site, column.AsID(d.ID)}] = r
		}
	}
	known := make(map[place]knownDevice)
	return known, table.Values(ctx, tx, `SELECT site, id, label, maker, model, addr, said LIKE '%"name":%' FROM devices WHERE (site, id) IN (VALUES `, "(?, ?)",
		places(want), ") ORDER BY site, id"+tx.ForUpdate(), func(rows *sql.Rows) error {
			var k knownDevice
			err := rows.Scan(&k.site, &k.id, &k.label, &k.maker, &k.model, &k.addr, column.Flag(&k.named))
			known[k.place] = k
			return err
		})
}

// places returns the keys of reports as rows.
func places(m map[place]*report) (rows [][]any) {
	for _, k := range placesOf(m) {
		rows = append(rows, []any{k.site, k.id})
	}
	return rows
}

func (b *batch) writeDevices(ctx context.Context, tx dialect.Tx) (err error) {
	if b.known, err = b.readDevices(ctx, tx); err != nil {
		return err
	}
	var whole, light [][]any
	for _, r := range inOrder(b.devices) {
		d := r.Device
		k, there := b.known[place{r.from.site, column.AsID(d.ID)}]
		is := knownDevice{k.place, table.SearchKey(d.Name), table.SearchKey(d.Maker), column.AsID(d.Model), Addr(d), k.named}
		if k.named {
			is.label = k.label
		}
		if there && is == k {
			light = append(light, []any{k.site, k.id, column.Device(d), column.Moment(&d.LastSeen), column.Micros(b.now), r.ord})
		} else {
			whole = append(whole, b.deviceRow(r, d, r.ord))
		}
	}
	told := wrote(func(p place) {
		if r := b.devices[p]; r != nil {
			b.event(cordon.EventDevice, r, p.id, cordon.None)
		}
	})
	if err := table.Values(ctx, tx, "WITH v (site, id, device, last, updated, ord) AS (VALUES ", "(?, ?, ?, CAST(? AS BIGINT), CAST(? AS BIGINT), ?)", light, `)
		UPDATE devices SET device = v.device, last = v.last, updated = v.updated, ord = v.ord, version = devices.version + 1
		FROM v WHERE devices.site = v.site AND devices.id = v.id AND v.ord > devices.ord RETURNING devices.site, devices.id`, told); err != nil {
		return err
	}
	return table.Values(ctx, tx, insertDevices, deviceTemplate, whole, ` ON CONFLICT (site, id) DO UPDATE SET label =
		CASE WHEN devices.said LIKE '%"name":%' THEN devices.label ELSE excluded.label END,
		maker = excluded.maker, model = excluded.model, addr = excluded.addr, device = excluded.device, last = excluded.last, updated = excluded.updated,
		ord = excluded.ord, version = devices.version + 1 WHERE excluded.ord > devices.ord RETURNING site, id`, told)
}

const (
	insertDevices  = "INSERT INTO devices (site, id, account, area, grp, label, maker, model, addr, device, last, updated, ord) VALUES "
	deviceTemplate = "(?, ?, ?, ?, ?, ?, ?, ?, ?, ?, ?, ?, ?)"
)

func (b *batch) deviceRow(r *report, d *cordon.Device, ord string) []any {
	return append(r.home(d.ID), column.Key(table.SearchKey(d.Name)), column.Key(table.SearchKey(d.Maker)), column.ID(&d.Model), column.Key(Addr(d)),
		column.Device(d), column.Moment(&d.LastSeen), column.Micros(b.now), ord)
}

// deviceOf returns the device, an empty one if there is none.
func deviceOf(d *cordon.Device) *cordon.Device {
	if d == nil {
		return &cordon.Device{}
	}
	return d
}

// Addr is the address by which a device is searched: its first.
func Addr(d *cordon.Device) string {
	if len(d.Addrs) == 0 {
		return ""
	}
	return d.Addrs[0].String()
}
