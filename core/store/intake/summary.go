package intake

import (
	"context"
	"crypto/hmac"
	"crypto/rand"
	"crypto/sha256"
	"encoding/hex"
	"errors"
	"time"

	"cordon"
	"cordon/core/store/table"
	"cordon/core/store/table/column"
	"cordon/core/store/table/dialect"
)

// monthOf is the month, 30 days, whose pepper hides who a summary of a day is of.
func monthOf(day cordon.Time) int64 { return int64(day) / int64(30*24*time.Hour) }

// keepPeppers is how long the keys of pseudonyms are kept, and so how late a summary may
// come.
const keepPeppers = 60 * 24 * time.Hour

// ForgetPeppers deletes the keys of pseudonyms that are over, and with them what stood
// behind those.
func ForgetPeppers(ctx context.Context, tx dialect.Tx, now cordon.Time) error {
	_, err := table.Exec(ctx, tx, "DELETE FROM peppers WHERE month < ?", monthOf(now.Add(-keepPeppers)))
	return err
}

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
		rows = append(rows, []any{column.Moment(&m.Day), source, device, m.Class.String(), column.Name(&m.Maker), column.Name(&m.Model), column.Domains(&m.Domains), column.Number(&m.Other)})
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
