package store

import (
	"cmp"
	"context"
	"crypto/hmac"
	"crypto/rand"
	"crypto/sha256"
	"database/sql"
	"encoding/hex"
	"errors"
	"maps"
	"slices"
	"time"

	"cordon"
	"cordon/core/store/table"
	"cordon/core/store/table/column"
	"cordon/core/store/table/dialect"
)

// What routers tell of themselves.

// placesOf returns the keys of reports in their order, so that transactions that meet
// wait for each other in the same order.
func placesOf(m map[place]*report) []place {
	return slices.SortedFunc(maps.Keys(m), func(a, b place) int { return cmp.Or(cmp.Compare(a.site, b.site), cmp.Compare(a.id, b.id)) })
}

// inOrder returns reports in the order of what they are about.
func inOrder(m map[place]*report) (out []*report) {
	for _, k := range placesOf(m) {
		out = append(out, m[k])
	}
	return out
}

// states are the states of devices by what is in force.
var states = map[cordon.Verb]string{cordon.VerbLimit: "limited", cordon.VerbBlock: "blocked", cordon.VerbQuarantine: "quarantined"}

// writeEnforced writes what routers say that is in force. A device that is not in it is
// only watched, unless there may be more than it names.
func (b *batch) writeEnforced(ctx context.Context, tx dialect.Tx) error {
	var rows [][]any
	for _, r := range sorted(b.enforced) {
		rows = append(rows, []any{id(&r.from.id), column.Number(&r.Enforced.Version), column.Enforced(r.Enforced), column.Moment(&r.At), r.ord})
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
	for _, r := range sorted(b.enforced) {
		if newer[r.from.id] {
			b.event(cordon.EventRouter, r, r.from.id, cordon.None)
			if err := b.inForce(ctx, tx, r); err != nil {
				return err
			}
		}
	}
	return nil
}

// inForce sets the states of a site's devices. Where more may be in force than is named,
// the others keep theirs, of which their actions told.
func (b *batch) inForce(ctx context.Context, tx dialect.Tx, r *report) error {
	want := make(map[string]string)
	for i := range r.Enforced.InForce {
		a := &r.Enforced.InForce[i]
		device := clean(a.Entity.Device)
		switch {
		case want[device] == "quarantined" || want[device] == "blocked" && a.Verb == cordon.VerbLimit:
		case states[a.Verb] != "" && (a.Mode == cordon.ModeDo || a.Mode == ""):
			want[device] = states[a.Verb]
		}
	}
	var rows [][]any
	set := func(device, state string) { rows = append(rows, []any{clean(r.from.site), device, state}) }
	is := make(map[string]bool)
	found, err := table.All(ctx, tx, func(p *[2]string) []any { return []any{&p[0], &p[1]} },
		"SELECT id, state FROM devices WHERE site = $1 AND state <> 'watched'", clean(r.from.site))
	if err != nil {
		return err
	}
	whole := len(r.Enforced.InForce) < cordon.MaxInForce
	for _, f := range found {
		if is[f[0]] = true; want[f[0]] != f[1] && (whole || want[f[0]] != "") {
			set(f[0], cmp.Or(want[f[0]], "watched"))
		}
	}
	for device, state := range want {
		if !is[device] {
			set(device, state)
		}
	}
	return table.Values(ctx, tx, "WITH n (site, id, state) AS (VALUES ", "(?, ?, ?)", rows, `)
		UPDATE devices SET state = n.state, version = devices.version + 1 FROM n WHERE devices.site = n.site AND devices.id = n.id AND devices.state <> n.state`, nil)
}

func (b *batch) writeHealth(ctx context.Context, tx dialect.Tx) error {
	var rows [][]any
	for _, r := range sorted(b.health) {
		rows = append(rows, []any{id(&r.from.id), column.Health(r.Health), column.Number(&r.ID.Boot), r.ord})
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
			rows = append(rows, []any{id(&f.id), micros(b.now), micros(b.now.Add(-seenEvery))})
		}
	}
	return table.Values(ctx, tx, "WITH v (id, now, before) AS (VALUES ", "(?, CAST(? AS BIGINT), CAST(? AS BIGINT))", rows,
		") UPDATE routers SET seen = v.now FROM v WHERE routers.id = v.id AND routers.seen < v.before", nil)
}

// monthOf is the month, 30 days, whose pepper hides who a summary of a day is of.
func monthOf(day cordon.Time) int64 { return int64(day) / int64(30*24*time.Hour) }

// keepPeppers is how long the keys of pseudonyms are kept, and so how late a summary may
// come.
const keepPeppers = 60 * 24 * time.Hour

// writeSummaries writes daily summaries under a pseudonym: a hash of the router, and one
// of the device, with a key that changes each month and is then forgotten.
func (b *batch) writeSummaries(ctx context.Context, tx dialect.Tx) error {
	var rows [][]any
	peppers := make(map[int64][]byte)
	for _, r := range b.summaries {
		m := r.Summary
		month := monthOf(m.Day)
		if age := b.now.Sub(m.Day); age < -48*time.Hour || age > keepPeppers {
			continue // a clock that is far off: its key would be no month's
		}
		if peppers[month] == nil {
			pepper, err := pepper(ctx, tx, month)
			if err != nil {
				return err
			}
			peppers[month] = pepper
		}
		source, device := veil(peppers[month], r.from.id), veil(peppers[month], r.from.id+"/"+m.Device)
		rows = append(rows, []any{column.Moment(&m.Day), source, device, m.Class.String(), name(&m.Maker), name(&m.Model), column.Domains(&m.Domains), column.Number(&m.Other)})
	}
	return table.Values(ctx, tx, "INSERT INTO summaries (day, source, device, class, maker, model, domains, other) VALUES ", table.Row(8), rows,
		" ON CONFLICT (day, source, device) DO NOTHING", nil)
}

// pepper returns the key of a month, and makes it when it is the first to ask.
func pepper(ctx context.Context, tx dialect.Tx, month int64) ([]byte, error) {
	fresh := make([]byte, 32)
	rand.Read(fresh)
	if _, err := table.Exec(ctx, tx, "INSERT INTO peppers (month, pepper) VALUES (?, ?) ON CONFLICT (month) DO NOTHING", month, fresh); err != nil {
		return nil, err
	}
	found, err := table.All(ctx, tx, func(b *[]byte) []any { return []any{column.Bytes(b)} }, "SELECT pepper FROM peppers WHERE month = $1", month)
	if err == nil && len(found) == 0 {
		err = errors.New("no key for pseudonyms")
	}
	if err != nil {
		return nil, err
	}
	return found[0], nil
}

// veil is the pseudonym of s.
func veil(pepper []byte, s string) string {
	h := hmac.New(sha256.New, pepper)
	h.Write([]byte(s))
	return hex.EncodeToString(h.Sum(nil)[:16])
}
