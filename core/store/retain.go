package store

import (
	"context"
	"fmt"
	"slices"
	"strings"
	"time"

	"cordon"
	"cordon/core/store/intake"
	"cordon/core/store/table"
	"cordon/core/store/table/column"
	"cordon/core/store/table/dialect"
)

// step is how many rows a transaction of Retain looks at: others write in between.
const step = 500

// keepFailures is how long failures are kept: longer than any window they are counted in.
const keepFailures = 24 * time.Hour

// kept is a kind of record, how the keys of those that are too old are found, and for
// how long it is kept.
type kept struct {
	table, keys, old string
	keep             time.Duration
}

// Retain deletes what is older than it is to be kept, and what is over, in small steps.
// It returns how many records of each kind it deleted, also with an error: what is left
// is deleted the next time.
func (s *Store) Retain(ctx context.Context, now cordon.Time, r cordon.Retention) (map[string]int64, error) {
	const past = time.Nanosecond // at its end
	gone := make(map[string]int64)
	for _, k := range []kept{
		{"detections", "site, id", "at < ? ORDER BY at", r.Detections},
		// No index has the last detection, which changes all the time.
		{"incidents", "site, id", "opened < ? AND last < ? ORDER BY opened", r.Incidents},
		{"actions", "site, id", "at < ? ORDER BY at", r.Actions},
		{"audits", "id", "at < ? ORDER BY at", r.Audit},
		{"summaries", "day, source, device", "day < ? ORDER BY day", r.Summaries},
		{"sessions", "hash", "expires < ? ORDER BY expires", past},
		{"tokens", "id", "expires < ? ORDER BY expires", past},
		{"shadows", "id", "expires < ?", past},
		{"failures", "subject, at, id", "at < ? ORDER BY at", keepFailures},
		{"answers", "usr, idem", "at < ? ORDER BY at", answersLast},
	} {
		if k.keep == 0 {
			continue
		}
		if err := s.forget(ctx, gone, k, column.Micros(now.Add(-k.keep))); err != nil {
			return gone, fmt.Errorf("retain %s: %w", k.table, dialect.Classify(err))
		}
	}
	if err := s.write(ctx, func(tx dialect.Tx) error { return intake.ForgetPeppers(ctx, tx, now) }); err != nil {
		return gone, fmt.Errorf("retain peppers: %w", err)
	}
	if r.Devices == 0 {
		return gone, nil
	}
	if err := s.forgetDevices(ctx, gone, column.Micros(now.Add(-r.Devices))); err != nil {
		return gone, fmt.Errorf("retain devices: %w", dialect.Classify(err))
	}
	return gone, nil
}

// forget deletes the records that are older than before.
func (s *Store) forget(ctx context.Context, gone map[string]int64, k kept, before int64) error {
	args := append(slices.Repeat([]any{before}, strings.Count(k.old, "?")), step)
	text := "DELETE FROM " + k.table + " WHERE (" + k.keys + ") IN (SELECT " + k.keys + " FROM " + k.table + " WHERE " + k.old + " LIMIT ?)"
	for n := int64(step); n == step; gone[k.table] += n {
		err := s.write(ctx, func(tx dialect.Tx) (err error) {
			if k.table == "tokens" {
				if _, err := table.Exec(ctx, tx, "DELETE FROM grants WHERE token <> '' AND token IN (SELECT id FROM tokens WHERE expires < ? ORDER BY expires LIMIT ?)", before, step); err != nil {
					return err
				}
			}
			if k.table == "incidents" {
				n, err = forgetIncidents(ctx, tx, text, args)
				return err
			}
			n, err = table.Exec(ctx, tx, text, args...)
			return err
		})
		if err != nil {
			return err
		}
	}
	return nil
}

// forgetIncidents deletes incidents, and leaves their devices as bad as what is still open.
func forgetIncidents(ctx context.Context, tx dialect.Tx, text string, args []any) (int64, error) {
	var st table.Statement
	st.Add(text+" RETURNING site, device", args...)
	var devices [][]any
	found, err := table.All(ctx, tx, func(d *[2]string) []any { return []any{&d[0], &d[1]} }, st.Text(), st.Args()...)
	if err != nil {
		return 0, err
	}
	for _, d := range found {
		devices = append(devices, []any{d[0], d[1]})
	}
	return int64(len(found)), intake.Levels(ctx, tx, devices)
}

// forgetDevices deletes devices that were seen last before a time. No index has that
// time, which changes all the time, so all are looked at.
func (s *Store) forgetDevices(ctx context.Context, gone map[string]int64, before int64) error {
	type seen struct {
		site, id string
		last     int64
	}
	row := func(d *seen) []any { return []any{&d.site, &d.id, &d.last} }
	for at := (seen{}); ; {
		found, err := table.All(ctx, s.db.Read(), row, "SELECT site, id, last FROM devices WHERE (site, id) > ($1, $2) ORDER BY site, id LIMIT $3", at.site, at.id, step)
		if err != nil || len(found) == 0 {
			return err
		}
		at = found[len(found)-1]
		var old [][]any
		for _, d := range found {
			if d.last < before {
				old = append(old, []any{d.site, d.id})
			}
		}
		if len(old) == 0 {
			continue
		}
		err = s.write(ctx, func(tx dialect.Tx) error {
			for _, key := range old {
				n, err := table.Exec(ctx, tx, "DELETE FROM devices WHERE site = ? AND id = ? AND last < ?", append(key, before)...)
				if err != nil {
					return err
				}
				gone["devices"] += n
			}
			return nil
		})
		if err != nil {
			return err
		}
	}
}
