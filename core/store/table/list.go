package table

import (
	"cmp"
	"context"
	"fmt"
	"slices"
	"strings"

	"cordon"
	"cordon/core/store/table/dialect"
)

// A list is read in the order of its keys, from the key at which the last page ended.
// Of the filters of a query one drives: its index has the keys behind its own column, so
// that a page is a piece of that index. The others are looked at row by row, of a bounded
// number of rows; where few of them fit, a page is short, and still says where the next
// begins.
const (
	defaultLimit = 50
	// DefaultBudget is how many rows are looked at in a round, by all drives together, and
	// rounds is how many there are for a page. PostgreSQL takes some 8 µs for a row of a
	// drive by another table.
	DefaultBudget = 1_000
	rounds        = 2
)

// Page returns a page of a list. budget is DefaultBudget, but for tests.
func (l *List[T]) Page(ctx context.Context, tx dialect.Tx, budget int, scope cordon.Scope, q cordon.Query) (p cordon.Page[T], err error) {
	limit := min(cmp.Or(max(q.Limit, 0), defaultLimit), cordon.MaxLimit)
	scans, err := l.scans(scope, q)
	if err != nil {
		return p, err
	}
	at, after, err := l.resume(q.Cursor, scans)
	if err != nil {
		return p, err
	}
	for ; at < len(scans); at, after = at+1, nil {
		items, next, err := l.run(ctx, tx, budget, &scans[at], after, limit-len(p.Items))
		if err != nil {
			return p, fmt.Errorf("list %s: %w", l.Table, dialect.Classify(err))
		}
		p.Items = append(p.Items, items...)
		if next == nil && len(p.Items) == limit && at+1 < len(scans) {
			next, at = []any{}, at+1 // the next scan, from its beginning
		}
		if next != nil {
			p.Next = cursor(at, next)
			return p, nil
		}
	}
	return p, nil
}

// run returns up to limit records of a scan behind after, and where the next page begins;
// nil: there is nothing behind.
func (l *List[T]) run(ctx context.Context, tx dialect.Tx, budget int, s *scan[T], after []any, limit int) (items []T, next []any, err error) {
	share := (budget + len(s.drives) - 1) / max(len(s.drives), 1)
	for range rounds {
		want := limit - len(items) + 1
		var found []T
		next = nil
		for _, drive := range s.drives {
			rows, until, err := l.take(ctx, tx, share, s, drive, after, want)
			if err != nil {
				return nil, nil, err
			}
			found = append(found, rows...)
			if until != nil && (next == nil || l.compare(until, next) < 0) {
				next = until
			}
		}
		slices.SortStableFunc(found, func(a, b T) int { return l.compare(s.values(&a), s.values(&b)) })
		found = slices.CompactFunc(found, func(a, b T) bool { return l.compare(s.values(&a), s.values(&b)) == 0 })
		for i := range found {
			if next != nil && l.compare(s.values(&found[i]), next) > 0 {
				break // not every drive has come so far
			}
			if len(items) == limit {
				return items, s.values(&items[limit-1]), nil
			}
			items = append(items, found[i])
		}
		if next == nil {
			return items, nil, nil
		}
		after = next
	}
	return items, next, nil
}

// take returns up to want rows of one drive behind after, and the key up to which it has
// looked; nil: to the end.
func (l *List[T]) take(ctx context.Context, tx dialect.Tx, budget int, s *scan[T], drive Cond, after []any, want int) (rows []T, until []any, err error) {
	q := l.piece(s, drive, after, budget, want)
	rows, err = All(ctx, tx, l.Row, q.Text(), q.args...)
	switch {
	case err != nil:
		return nil, nil, err
	case len(rows) == want:
		return rows, s.values(&rows[want-1]), nil
	case len(s.rest) == 0:
		return rows, nil, nil
	}
	// Few fit: how far has the budget come? What was read goes further by a half, so that
	// what somebody deletes in between hides nothing.
	until, err = l.boundary(ctx, tx, budget, s, drive, after)
	return rows, until, err
}

// piece is the statement that finds up to want rows of a drive behind after.
func (l *List[T]) piece(s *scan[T], drive Cond, after []any, budget, want int) *Statement {
	q := new(Statement)
	if len(s.rest) == 0 {
		q.Add("SELECT " + l.Columns + " FROM " + s.from + " WHERE ")
		l.reach(q, s, drive, after)
	} else {
		// The inner limit keeps the database from another way than the drive's index.
		q.Add("SELECT " + l.Columns + " FROM (SELECT " + l.Table + ".* FROM " + s.from + " WHERE ")
		l.reach(q, s, drive, after)
		rest := join(s.rest, " AND ")
		q.Add(" LIMIT ?) AS near WHERE "+rest.text, append([]any{budget + budget/2}, rest.args...)...)
	}
	q.Add(" LIMIT ?", want)
	return q
}

// reach writes the conditions and the order of a piece of an index behind after.
func (l *List[T]) reach(q *Statement, s *scan[T], drive Cond, after []any) {
	var columns, order []string
	for _, k := range s.keys {
		columns = append(columns, k.Column)
		if l.Newest {
			order = append(order, k.Column+" DESC")
		} else {
			order = append(order, k.Column)
		}
	}
	behind := " > "
	if l.Newest {
		behind = " < "
	}
	q.Add(drive.text, drive.args...)
	if len(after) > 0 {
		q.Add(" AND ("+strings.Join(columns, ", ")+")"+behind+Row(len(columns)), after...)
	}
	q.Add(" ORDER BY " + strings.Join(order, ", "))
}

// boundary returns the key of the last row that the budget reaches, nil if that is all.
func (l *List[T]) boundary(ctx context.Context, tx dialect.Tx, budget int, s *scan[T], drive Cond, after []any) ([]any, error) {
	q := l.far(s, drive, after, budget)
	rows, err := tx.Query(ctx, q.Text(), q.args...)
	if err != nil {
		return nil, err
	}
	defer rows.Close()
	if !rows.Next() {
		return nil, rows.Err()
	}
	values, into := make([]any, len(s.keys)), make([]any, len(s.keys))
	for i := range values {
		into[i] = &values[i]
	}
	return values, rows.Scan(into...)
}

// far is the statement that finds the key at which the budget ends.
func (l *List[T]) far(s *scan[T], drive Cond, after []any, budget int) *Statement {
	q := new(Statement)
	var columns []string
	for _, k := range s.keys {
		columns = append(columns, k.Column)
	}
	q.Add("SELECT " + strings.Join(columns, ", ") + " FROM " + s.index + " WHERE ")
	l.reach(q, s, drive, after)
	q.Add(" LIMIT 1 OFFSET ?", budget-1)
	return q
}

// values returns a record's keys.
func (s *scan[T]) values(v *T) []any {
	all := make([]any, len(s.keys))
	for i, k := range s.keys {
		all[i] = k.Of(v)
	}
	return all
}

// compare compares keys in the order of the list.
func (l *List[T]) compare(a, b []any) int {
	c := 0
	for i := 0; i < len(a) && i < len(b) && c == 0; i++ {
		if n, ok := a[i].(int64); ok {
			c = cmp.Compare(n, b[i].(int64))
		} else {
			c = strings.Compare(a[i].(string), b[i].(string))
		}
	}
	if l.Newest {
		return -c
	}
	return c
}

// Statements returns the statements for a page in the middle of a list, for who wants to
// know how the database would go about it.
func (l *List[T]) Statements(scope cordon.Scope, q cordon.Query) (all []*Statement, err error) {
	scans, err := l.scans(scope, q)
	for i := range scans {
		s := &scans[i]
		var zero T
		for _, drive := range s.drives {
			all = append(all, l.piece(s, drive, s.values(&zero), DefaultBudget, defaultLimit+1))
			if len(s.rest) > 0 {
				all = append(all, l.far(s, drive, s.values(&zero), DefaultBudget))
			}
		}
	}
	return all, err
}
