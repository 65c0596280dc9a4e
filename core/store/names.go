package store

import (
	"context"
	"database/sql"
	"iter"
	"maps"
	"slices"

	"cordon"
	"cordon/core/store/table"
	"cordon/core/store/table/column"
	"cordon/core/store/table/dialect"
)

// maxBatch is how many rows one Statement writes at most, and one transaction of
// reports: SQLite has one writer, who must not keep others waiting.
const maxBatch = 200

// Short names of what rows are made of.

func id[S ~string](p *S) any   { return column.Text(p, table.IDBytes) }
func name[S ~string](p *S) any { return column.Text(p, table.NameBytes) }
func line[S ~string](p *S) any { return column.Text(p, table.LineBytes) }

// sought is a column that is only searched by, never read.
func sought(s string) any { return column.Text(&s, table.KeyBytes) }

func clean(s string) string      { return column.Clean(s, table.IDBytes) }
func micros(t cordon.Time) int64 { return column.Micros(t) }

// sorted returns a map's values in the order of their keys.
func sorted[T any](m map[string]T) []T {
	out := make([]T, 0, len(m))
	for _, k := range slices.Sorted(maps.Keys(m)) {
		out = append(out, m[k])
	}
	return out
}

func chunks[T any](all []T, n int) iter.Seq[[]T] { return slices.Chunk(all, n) }

// lockRouters keeps others from the routers that are named first in rows until the
// transaction ends. They are always locked in the same order, so that nobody waits for
// somebody who waits for him.
func (s *Store) lockRouters(ctx context.Context, tx dialect.Tx, rows [][]any) error {
	if !s.db.Postgres {
		return nil
	}
	var ids []string
	for _, row := range rows {
		v, err := row[0].(column.Column).Value()
		if err != nil {
			return err
		}
		ids = append(ids, v.(string))
	}
	slices.Sort(ids)
	return table.In(ctx, tx, "SELECT id FROM routers WHERE id IN ", ids, " ORDER BY id"+s.lock(), func(*sql.Rows) error { return nil })
}
