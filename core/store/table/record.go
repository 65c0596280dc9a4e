package table

import (
	"context"
	"fmt"
	"strings"

	"cordon"
	"cordon/core/store/table/dialect"
)

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
// sets the version, to which the last column of row points.
func Put(ctx context.Context, tx dialect.Tx, t Table, what string, version *int64, row []any) error {
	was := *version
	*version++
	text, args := t.insert, row
	if was != 0 {
		text, args = t.update, append(row, was)
	}
	n, err := tx.Exec(ctx, text, args...)
	if err = touched(n, err, "put "+what, cordon.ErrConflict); err != nil {
		*version = was
	}
	return err
}

// PutAlone is Put in a transaction of its own, which may run several times, with what else
// belongs to the record; nil: nothing.
func PutAlone(ctx context.Context, db *dialect.DB, t Table, what string, version *int64, row []any, also func(dialect.Tx) error) error {
	was := *version
	err := db.Write(ctx, func(tx dialect.Tx) error {
		*version = was
		if err := Put(ctx, tx, t, what, version, row); err != nil || also == nil {
			return err
		}
		return also(tx)
	})
	if err != nil {
		*version = was
	}
	return err
}

// Must runs a statement that has to touch a row. If it touches none, its error wraps
// missing: cordon.ErrNotFound or cordon.ErrConflict.
func Must(ctx context.Context, tx dialect.Tx, what string, missing error, text string, args ...any) error {
	n, err := Exec(ctx, tx, text, args...)
	return touched(n, err, what, missing)
}

// Alone runs one statement in a transaction of its own, as Must does. missing may be nil:
// it need not touch a row.
func Alone(ctx context.Context, db *dialect.DB, what string, missing error, text string, args ...any) error {
	return db.Write(ctx, func(tx dialect.Tx) error { return Must(ctx, tx, what, missing, text, args...) })
}

// touched says what became of a statement that touched n rows.
func touched(n int64, err error, what string, missing error) error {
	if err == nil && n == 0 {
		err = missing
	}
	if err != nil {
		return fmt.Errorf("%s: %w", what, dialect.Classify(err))
	}
	return nil
}
