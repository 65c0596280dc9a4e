package store

import (
	"context"
	"fmt"
	"strconv"
	"strings"

	"cordon"
	"cordon/core/store/column"
	"cordon/core/store/dialect"
)

// Bounds of texts in columns, in bytes. Names of what routers name are longer than they
// make them; what is in an index is short.
const (
	idBytes   = 128
	nameBytes = 256
	lineBytes = 1024
	keyBytes  = 64 // of a name in lower case, to search by
)

// statement is SQL with its values. Texts are written with a ? for each value, and
// numbered here, as both databases read it.
type statement struct {
	text strings.Builder
	args []any
}

func (s *statement) add(text string, args ...any) {
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

// places returns "?, ?, ?" for n values.
func places(n int) string { return strings.Repeat("?, ", n-1) + "?" }

// all reads every row of a query.
func all[T any](ctx context.Context, tx dialect.Tx, row func(*T) []any, text string, args ...any) (found []T, err error) {
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

// one reads the row of a query that finds one or none.
func one[T any](ctx context.Context, tx dialect.Tx, what string, row func(*T) []any, text string, args ...any) (v T, err error) {
	found, err := all(ctx, tx, row, text, args...)
	if err != nil {
		return v, fmt.Errorf("%s: %w", what, dialect.Classify(err))
	}
	if len(found) == 0 {
		return v, fmt.Errorf("%s: %w", what, cordon.ErrNotFound)
	}
	return found[0], nil
}

// exec runs a statement that is written with ?.
func exec(ctx context.Context, tx dialect.Tx, text string, args ...any) (int64, error) {
	var s statement
	s.add(text, args...)
	return tx.Exec(ctx, s.text.String(), s.args...)
}

// table is a table of records with an id, which is its first column, and a version,
// which is its last.
type table struct {
	name                    string
	columns                 string // separated by ", "
	insert, update, select_ string
}

func newTable(name, columns string) table {
	all := strings.Split(columns, ", ")
	var in, up statement
	in.add("INSERT INTO "+name+" ("+columns+") VALUES ("+places(len(all))+") ON CONFLICT DO NOTHING", make([]any, len(all))...)
	up.add("UPDATE " + name + " SET ")
	for i, c := range all {
		if i > 0 {
			up.add(", ")
		}
		up.add(c+" = ?", nil)
	}
	up.add(" WHERE "+all[0]+" = $1 AND "+all[len(all)-1]+" = ?", nil)
	return table{name, columns, in.text.String(), up.text.String(), "SELECT " + columns + " FROM " + name}
}

// put stores a record: a new one at version 0, else one that has the stored version. It
// sets the version.
func put(ctx context.Context, tx dialect.Tx, t table, what string, version *int64, row []any) error {
	was := *version
	*version++
	text, args := t.insert, row
	if was != 0 {
		text, args = t.update, append(row, was)
	}
	n, err := tx.Exec(ctx, text, args...)
	if err == nil && n == 0 {
		err = cordon.ErrConflict
	}
	if err != nil {
		*version = was
		return fmt.Errorf("put %s: %w", what, dialect.Classify(err))
	}
	return nil
}

// Short names of what rows are made of.

func id[S ~string](p *S) any   { return column.Text(p, idBytes) }
func name[S ~string](p *S) any { return column.Text(p, nameBytes) }
func line[S ~string](p *S) any { return column.Text(p, lineBytes) }

// searchKey is how a name is searched by: in lower case, its beginning.
func searchKey(s string) string {
	s = strings.Map(func(r rune) rune {
		if r < ' ' {
			return -1
		}
		return r
	}, s)
	return column.Clean(strings.ToLower(column.Clean(s, nameBytes)), keyBytes)
}

// sought is a column that is only searched by, never read.
func sought(s string) any { return column.Text(&s, keyBytes) }

func clean(s string) string             { return column.Clean(s, idBytes) }
func micros(t cordon.Time) int64        { return column.Micros(t) }
func unchanged(s string, most int) bool { return column.Clean(s, most) == s }
