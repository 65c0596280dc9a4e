// Package table reads and writes the rows of SQL tables: statements with numbered places,
// records with versions, many rows at once, and lists in pages.
//
// Below it are the columns that values go through (package column) and the databases
// (package dialect).
package table

import (
	"context"
	"fmt"
	"strconv"
	"strings"

	"cordon"
	"cordon/core/store/table/column"
	"cordon/core/store/table/dialect"
	"cordon/internal/text"
)

// Statement is SQL with its values. Texts are written with a ? for each value, and
// numbered here, as both databases read it.
type Statement struct {
	text strings.Builder
	args []any
}

// Add adds text, with a value for each ? in it.
func (s *Statement) Add(text string, args ...any) {
	for {
		before, after, more := strings.Cut(text, "?")
		s.text.WriteString(before)
		if !more {
			break
		}
		s.args = append(s.args, args[0])
		args = args[1:]
		s.text.WriteString("$" + strconv.Itoa(len(s.args)))
		text = after
	}
}

// Text returns the statement as the databases read it.
func (s *Statement) Text() string { return s.text.String() }

// Args returns its values.
func (s *Statement) Args() []any { return s.args }

// places returns "?, ?, ?" for n values.
func places(n int) string { return strings.Repeat("?, ", n-1) + "?" }

// All reads every row of a query.
func All[T any](ctx context.Context, tx dialect.Tx, row func(*T) []any, text string, args ...any) (found []T, err error) {
	rows, err := tx.Query(ctx, text, args...)
	if err != nil {
		return nil, err
	}
	defer rows.Close()
	for rows.Next() {
		var v T
		if err := rows.Scan(row(&v)...); err != nil {
			return nil, err
		}
		found = append(found, v)
	}
	return found, rows.Err()
}

// Some reads every row of a query, and says in an error what of.
func Some[T any](ctx context.Context, tx dialect.Tx, what string, row func(*T) []any, text string, args ...any) ([]T, error) {
	found, err := All(ctx, tx, row, text, args...)
	if err != nil {
		return nil, fmt.Errorf("%s: %w", what, dialect.Classify(err))
	}
	return found, nil
}

// One reads the row of a query that finds one or none.
func One[T any](ctx context.Context, tx dialect.Tx, what string, row func(*T) []any, text string, args ...any) (v T, err error) {
	found, err := Some(ctx, tx, what, row, text, args...)
	if err != nil {
		return v, err
	}
	if len(found) == 0 {
		return v, fmt.Errorf("%s: %w", what, cordon.ErrNotFound)
	}
	return found[0], nil
}

// Exec runs a statement that is written with ?.
func Exec(ctx context.Context, tx dialect.Tx, text string, args ...any) (int64, error) {
	var s Statement
	s.Add(text, args...)
	return tx.Exec(ctx, s.Text(), s.args...)
}

// SearchKey is how a name is searched by: in lower case, its beginning.
func SearchKey(s string) string {
	s = strings.Map(func(r rune) rune {
		if r < ' ' {
			return -1
		}
		return r
	}, s)
	return text.Clean(strings.ToLower(text.Clean(s, column.NameBytes)), column.KeyBytes)
}
