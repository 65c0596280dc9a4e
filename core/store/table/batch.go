package table

import (
	"context"
	"database/sql"
	"slices"
	"strings"

	"cordon/core/store/table/column"
	"cordon/core/store/table/dialect"
)

// sizes are how many rows a statement writes: few different ones, so that they stay
// prepared.
var sizes = [...]int{128, 32, 8, 1}

// MaxBatch is how many rows one transaction writes at most of what comes in masses:
// SQLite has one writer, which must not keep others waiting.
const MaxBatch = 200

// Values runs a statement for rows: before, one template for each row, after. got is
// called for each row that the statement returns; nil: it returns none.
func Values(ctx context.Context, tx dialect.Tx, before, template string, rows [][]any, after string, got func(*sql.Rows) error) error {
	for len(rows) > 0 {
		n := sizes[len(sizes)-1]
		for _, size := range sizes {
			if size <= len(rows) {
				n = size
				break
			}
		}
		var s Statement
		s.Add(before)
		for i, row := range rows[:n] {
			if i > 0 {
				s.Add(", ")
			}
			s.Add(template, row...)
		}
		s.Add(after)
		if err := run(ctx, tx, &s, got); err != nil {
			return err
		}
		rows = rows[n:]
	}
	return nil
}

func run(ctx context.Context, tx dialect.Tx, s *Statement, got func(*sql.Rows) error) error {
	if got == nil {
		_, err := tx.Exec(ctx, s.Text(), s.args...)
		return err
	}
	rows, err := tx.Query(ctx, s.Text(), s.args...)
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

// In runs a SELECT … WHERE column IN (…) for texts. The last of them is repeated up to
// one of few sizes.
func In(ctx context.Context, tx dialect.Tx, before string, of []string, after string, got func(*sql.Rows) error) error {
	for chunk := range slices.Chunk(of, sizes[0]) {
		size := sizes[0]
		for _, n := range sizes {
			if n >= len(chunk) {
				size = n
			}
		}
		var s Statement
		args := make([]any, size)
		for i := range args {
			args[i] = column.AsID(chunk[min(i, len(chunk)-1)])
		}
		s.Add(before+"("+places(size)+")"+after, args...)
		if err := run(ctx, tx, &s, got); err != nil {
			return err
		}
	}
	return nil
}

// Row is a template of a row of n values.
func Row(n int) string { return "(" + strings.Repeat("?, ", n-1) + "?)" }

// Insert writes new records. One that is there already is a conflict.
func Insert(ctx context.Context, tx dialect.Tx, t Table, rows [][]any) error {
	if len(rows) == 0 {
		return nil
	}
	return Values(ctx, tx, "INSERT INTO "+t.Name+" ("+t.Columns+") VALUES ", Row(len(rows[0])), rows, "", nil)
}
