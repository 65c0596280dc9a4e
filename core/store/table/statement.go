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
)

// Bounds of texts in columns, in bytes. Names of what routers name are longer than they
// make them; what is in an index is short.
const (
	IDBytes   = 256 // what is compared: IDs, references, serials, areas
	NameBytes = 512
	LineBytes = 2048
	KeyBytes  = 64 // of a name in lower case, to search by
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

// One reads the row of a query that finds one or none.
func One[T any](ctx context.Context, tx dialect.Tx, what string, row func(*T) []any, text string, args ...any) (v T, err error) {
	found, err := All(ctx, tx, row, text, args...)
	if err != nil {
		return v, fmt.Errorf("%s: %w", what, dialect.Classify(err))
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

// Table is a table of records with an id, which is its first column, and a version,
// which is its last.
type Table struct {
	Name    string
	Columns string // separated by ", "
	Select  string // "SELECT … FROM …"

	insert, update string
}

// New returns a table.
func New(name, columns string) Table {
	all := strings.Split(columns, ", ")
	var in, up Statement
	in.Add("INSERT INTO "+name+" ("+columns+") VALUES ("+places(len(all))+") ON CONFLICT DO NOTHING", make([]any, len(all))...)
	up.Add("UPDATE " + name + " SET ")
	for i, c := range all {
		if i > 0 {
			up.Add(", ")
		}
		up.Add(c+" = ?", nil)
	}
	up.Add(" WHERE "+all[0]+" = $1 AND "+all[len(all)-1]+" = ?", nil)
	return Table{name, columns, "SELECT " + columns + " FROM " + name, in.Text(), up.Text()}
}

// Put stores a record: a new one at version 0, else one that has the stored version. It
// sets the version.
func Put(ctx context.Context, tx dialect.Tx, t Table, what string, version *int64, row []any) error {
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

// SearchKey is how a name is searched by: in lower case, its beginning.
func SearchKey(s string) string {
	s = strings.Map(func(r rune) rune {
		if r < ' ' {
			return -1
		}
		return r
	}, s)
	return column.Clean(strings.ToLower(column.Clean(s, NameBytes)), KeyBytes)
}
