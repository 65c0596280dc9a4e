package store

import (
	"context"
	"database/sql"
	"iter"
	"maps"
	"slices"
	"strings"

	"cordon/core/store/column"
	"cordon/core/store/dialect"
)

// maxBatch is how many rows one statement writes at most, and one transaction of
// reports (traps.md, "Decided": SQLite has one writer, who must not keep others waiting).
const maxBatch = 200

// sizes are how many rows a statement writes: few different ones, so that they stay
// prepared.
var sizes = [...]int{128, 32, 8, 1}

// values runs a statement for rows: before, one template for each row, after. got is
// called for each row that the statement returns; nil: it returns none.
func values(ctx context.Context, tx dialect.Tx, before, template string, rows [][]any, after string, got func(*sql.Rows) error) error {
	for len(rows) > 0 {
		n := sizes[len(sizes)-1]
		for _, size := range sizes {
			if size <= len(rows) {
				n = size
				break
			}
		}
		var s statement
		s.add(before)
		for i, row := range rows[:n] {
			if i > 0 {
				s.add(", ")
			}
			s.add(template, row...)
		}
		s.add(after)
		if err := run(ctx, tx, &s, got); err != nil {
			return err
		}
		rows = rows[n:]
	}
	return nil
}

func run(ctx context.Context, tx dialect.Tx, s *statement, got func(*sql.Rows) error) error {
	if got == nil {
		_, err := tx.Exec(ctx, s.text.String(), s.args...)
		return err
	}
	rows, err := tx.Query(ctx, s.text.String(), s.args...)
	if err != nil {
		return err
	}
	defer rows.Close()
	for rows.Next() {
		if err := got(rows); err != nil {
			return err
		}
	}
	return rows.Err()
}

// in runs a SELECT … WHERE column IN (…) for texts. The last of them is repeated up to
// one of few sizes.
func in(ctx context.Context, tx dialect.Tx, before string, of []string, after string, got func(*sql.Rows) error) error {
	for chunk := range slices.Chunk(of, sizes[0]) {
		size := sizes[0]
		for _, n := range sizes {
			if n >= len(chunk) {
				size = n
			}
		}
		var s statement
		args := make([]any, size)
		for i := range args {
			args[i] = column.Clean(chunk[min(i, len(chunk)-1)], idBytes)
		}
		s.add(before+"("+places(size)+")"+after, args...)
		if err := run(ctx, tx, &s, got); err != nil {
			return err
		}
	}
	return nil
}

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
	return in(ctx, tx, "SELECT id FROM routers WHERE id IN ", ids, " ORDER BY id"+s.lock(), func(*sql.Rows) error { return nil })
}

// sorted returns a map's values in the order of their keys.
func sorted[T any](m map[string]T) []T {
	out := make([]T, 0, len(m))
	for _, k := range slices.Sorted(maps.Keys(m)) {
		out = append(out, m[k])
	}
	return out
}

func chunks[T any](all []T, n int) iter.Seq[[]T] { return slices.Chunk(all, n) }

// row writes a template of n values.
func template(n int) string { return "(" + strings.Repeat("?, ", n-1) + "?)" }
