package store

import (
	"bytes"
	"cmp"
	"context"
	"encoding/base64"
	"encoding/json"
	"fmt"
	"slices"
	"strings"
	"unicode/utf8"

	"cordon"
	"cordon/core/store/dialect"
)

// A list is read in the order of its keys, from the key at which the last page ended.
// Of the filters of a query one drives: its index has the keys behind its own column, so
// that a page is a piece of that index. The others are looked at row by row, of at most
// two times budget rows; where few rows fit, a page is short, and still says where the next begins.
const (
	defaultLimit = 50
	// defaultBudget is how many rows are looked at in a round, and rounds is how many
	// there are for a page. 2,000 rows take PostgreSQL 4 ms.
	defaultBudget = 2_000
	rounds        = 2
	// maxCursor bounds what is taken for a cursor, in bytes.
	maxCursor = 1024
)

// cond is a condition with its values: "account = ?".
type cond struct {
	text string
	args []any
}

func where(text string, args ...any) cond { return cond{text, args} }

// filter is a condition of a query: any of conds.
type filter struct {
	conds   []cond
	indexed bool // may drive
	rare    bool // leaves so little that it drives before a text
	by      *by  // drives by another table; nil: by the list's own
}

// by is a table whose index finds records of a list.
type by struct {
	table string
	join  string   // the condition under which the list's table is joined to it
	keys  []string // its names of the list's keys
	conds []cond
}

// key is a column that orders a list, and its value in a record: string or int64.
type key[T any] struct {
	column string
	of     func(*T) any
}

// word is a column that Query.Text may be the beginning of. fold: in lower case.
type word[T any] struct {
	key[T]
	fold bool
}

// list is a kind of list.
type list[T any] struct {
	table   string
	columns string
	row     func(*T) []any // where the columns go
	keys    []key[T]
	newest  bool // the greatest key comes first

	account, site string // conditions of scope and query, with one value; empty: there is none
	moment        string // column of Since and Until; empty: there is none
	words         []word[T]
	// filters returns the list's own filters, those first that leave least, and sets to
	// zero what it took of the query.
	filters func(*cordon.Query) []filter
}

// scan is a way through a list: its keys, where it starts several ways at once
// (drives), and what is looked at row by row.
type scan[T any] struct {
	keys   []key[T]
	drives []cond
	rest   []cond
	index  string // the table that has the keys
	from   string // what is read: that table, joined with the list's
}

// page returns a page of a list.
func (l *list[T]) page(ctx context.Context, tx dialect.Tx, budget int, scope cordon.Scope, q cordon.Query) (p cordon.Page[T], err error) {
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
			return p, fmt.Errorf("list %s: %w", l.table, dialect.Classify(err))
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

// scans plans a query.
func (l *list[T]) scans(scope cordon.Scope, q cordon.Query) ([]scan[T], error) {
	text := q.Text
	if strings.ContainsRune(text, 0) || !utf8.ValidString(text) {
		return nil, fmt.Errorf("text is not readable: %w", cordon.ErrInvalid)
	}
	homes, narrow, rest := l.homes(scope, &q)
	if len(homes) == 0 && !scope.All {
		return nil, nil // nobody's
	}
	q.Cursor, q.Limit, q.Text = "", 0, ""
	since, until := q.Since, q.Until
	if l.moment != "" {
		q.Since, q.Until = 0, 0
	}
	filters := l.filters(&q)
	if q != (cordon.Query{}) {
		return nil, fmt.Errorf("list of %s has no such filter: %w", l.table, cordon.ErrInvalid)
	}
	if text != "" && len(l.words) == 0 {
		return nil, fmt.Errorf("list of %s has no names: %w", l.table, cordon.ErrInvalid)
	}
	s := scan[T]{keys: l.keys, drives: homes, rest: rest, index: l.table, from: l.table}
	for _, f := range filters {
		switch {
		case narrow || !f.indexed || text != "" && !f.rare:
			s.rest = append(s.rest, or(f.conds))
		case f.by == nil:
			s.drives, narrow = f.conds, true
		default:
			s.through(f.by, l.table)
			narrow = true
		}
	}
	if len(s.drives) == 0 {
		s.drives = []cond{where("1 = 1")}
	}
	l.span(&s, since, until)
	switch {
	case text == "":
		return []scan[T]{s}, nil
	case narrow:
		var begins []cond
		for _, w := range l.words {
			begins = append(begins, w.begins(text))
		}
		s.rest = append(s.rest, or(begins))
		return []scan[T]{s}, nil
	}
	return l.search(s, text), nil
}

// homes returns the ways through the list that scope and the query's account or site
// leave, what is still to be looked at, and whether they narrow it at all.
func (l *list[T]) homes(scope cordon.Scope, q *cordon.Query) (drives []cond, narrow bool, rest []cond) {
	account, site := q.Account, q.Site
	is := func(text, id string) cond { return where(text, clean(id)) }
	var may []cond // of scope
	for _, id := range scope.Accounts {
		if l.account != "" {
			may = append(may, is(l.account, id))
		}
	}
	for _, id := range scope.Sites {
		if l.site != "" {
			may = append(may, is(l.site, id))
		}
	}
	if scope.All {
		may = nil
	} else if len(may) == 0 {
		return nil, true, nil
	}
	switch {
	case site != "" && l.site != "":
		q.Site = ""
		drives = []cond{is(l.site, site)}
		if account != "" && l.account != "" {
			q.Account = ""
			rest = append(rest, is(l.account, account))
		}
	case account != "" && l.account != "":
		q.Account = ""
		drives = []cond{is(l.account, account)}
	case scope.All:
		return nil, false, nil
	default:
		return may, true, nil
	}
	if len(may) > 0 {
		rest = append(rest, or(may))
	}
	return drives, true, rest
}

// through lets another table's index drive.
func (s *scan[T]) through(b *by, table string) {
	s.drives, s.index, s.from = b.conds, b.table, b.table+" JOIN "+table+" ON "+b.join
	s.keys = slices.Clone(s.keys)
	for i := range s.keys {
		s.keys[i].column = b.keys[i]
	}
}

// span adds the conditions of the query's time: to what drives, if it goes by that time.
func (l *list[T]) span(s *scan[T], since, until cordon.Time) {
	column, drives := l.moment, l.moment == l.keys[0].column
	if drives {
		column = s.keys[0].column
	}
	var all []cond
	if since != 0 {
		all = append(all, where(column+" >= ?", micros(since)))
	}
	if until != 0 {
		all = append(all, where(column+" < ?", micros(until)))
	}
	if !drives || len(all) == 0 {
		s.rest = append(s.rest, all...)
		return
	}
	for i := range s.drives {
		s.drives[i] = and(append([]cond{s.drives[i]}, all...))
	}
}

// search goes through one column after the other in which the text may stand, and leaves
// out what an earlier one had.
func (l *list[T]) search(s scan[T], text string) (all []scan[T]) {
	rest := slices.Clone(s.rest)
	for _, w := range l.words {
		begins := w.begins(text)
		keys := []key[T]{w.key}
		for _, k := range s.keys {
			if k.column != w.column {
				keys = append(keys, k)
			}
		}
		all = append(all, scan[T]{keys: keys, drives: []cond{begins}, rest: slices.Clone(rest), index: s.index, from: s.from})
		rest = append(rest, cond{"NOT (" + begins.text + ")", begins.args})
	}
	return all
}

// begins is the condition that the column begins with text.
func (w *word[T]) begins(text string) cond {
	if w.fold {
		text = searchKey(text)
	}
	c := w.column
	// The empty text is named because indices leave it out.
	return where(fmt.Sprintf("%s >= ? AND %s < ? AND %s <> ''", c, c, c), text, text+"\U0010FFFF")
}

func and(conds []cond) cond { return join(conds, " AND ") }
func or(conds []cond) cond  { return join(conds, " OR ") }

func join(conds []cond, with string) (all cond) {
	for i, c := range conds {
		if i > 0 {
			all.text += with
		}
		all.text += "(" + c.text + ")"
		all.args = append(all.args, c.args...)
	}
	if len(conds) > 1 {
		all.text = "(" + all.text + ")"
	}
	return all
}

// run returns up to limit records of a scan behind after, and where the next page begins;
// nil: there is nothing behind.
func (l *list[T]) run(ctx context.Context, tx dialect.Tx, budget int, s *scan[T], after []any, limit int) (items []T, next []any, err error) {
	for range rounds {
		want := limit - len(items) + 1
		var found []T
		next = nil
		for _, drive := range s.drives {
			rows, until, err := l.take(ctx, tx, budget, s, drive, after, want)
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
func (l *list[T]) take(ctx context.Context, tx dialect.Tx, budget int, s *scan[T], drive cond, after []any, want int) (rows []T, until []any, err error) {
	read := func(to []any) ([]T, error) {
		q := l.piece(s, drive, after, to, budget, want)
		return all(ctx, tx, l.row, q.text.String(), q.args...)
	}
	if len(s.rest) == 0 {
		if rows, err = read(nil); err == nil && len(rows) == want {
			until = s.values(&rows[want-1])
		}
		return rows, until, err
	}
	if rows, err = read(nil); err != nil {
		return nil, nil, err
	}
	if len(rows) < want {
		// Few fit. As long as nothing is behind the budget, these are all. Otherwise they
		// are read once more up to there: what is inserted or deleted meanwhile is then in
		// one page or the other.
		if until, err = l.boundary(ctx, tx, budget, s, drive, after); err != nil || until == nil {
			return rows, nil, err
		}
		if rows, err = read(until); err != nil || len(rows) < want {
			return rows, until, err
		}
	}
	return rows, s.values(&rows[want-1]), nil
}

// piece is the statement that finds up to want rows of a drive behind after, up to to.
func (l *list[T]) piece(s *scan[T], drive cond, after, to []any, budget, want int) *statement {
	q := new(statement)
	if len(s.rest) == 0 {
		q.add("SELECT " + l.columns + " FROM " + s.from + " WHERE ")
		l.reach(q, s, drive, after, to)
	} else {
		// The inner limit keeps the database from another way than the drive's index.
		q.add("SELECT " + l.columns + " FROM (SELECT " + l.table + ".* FROM " + s.from + " WHERE ")
		l.reach(q, s, drive, after, to)
		rest := join(s.rest, " AND ")
		q.add(" LIMIT ?) AS near WHERE "+rest.text, append([]any{2 * budget}, rest.args...)...)
	}
	q.add(" LIMIT ?", want)
	return q
}

// reach writes the conditions and the order of a piece of an index: behind after, up to
// to.
func (l *list[T]) reach(q *statement, s *scan[T], drive cond, after, to []any) {
	var columns, order []string
	for _, k := range s.keys {
		columns = append(columns, k.column)
		if l.newest {
			order = append(order, k.column+" DESC")
		} else {
			order = append(order, k.column)
		}
	}
	behind, upTo := " > ", " <= "
	if l.newest {
		behind, upTo = " < ", " >= "
	}
	q.add(drive.text, drive.args...)
	tuple := "(" + strings.Join(columns, ", ") + ")"
	places := "(" + strings.Repeat("?, ", len(columns)-1) + "?)"
	if len(after) > 0 {
		q.add(" AND "+tuple+behind+places, after...)
	}
	if len(to) > 0 {
		q.add(" AND "+tuple+upTo+places, to...)
	}
	q.add(" ORDER BY " + strings.Join(order, ", "))
}

// boundary returns the key of the last row that the budget reaches, nil if that is all.
func (l *list[T]) boundary(ctx context.Context, tx dialect.Tx, budget int, s *scan[T], drive cond, after []any) ([]any, error) {
	q := l.far(s, drive, after, budget)
	rows, err := tx.Query(ctx, q.text.String(), q.args...)
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
func (l *list[T]) far(s *scan[T], drive cond, after []any, budget int) *statement {
	q := new(statement)
	var columns []string
	for _, k := range s.keys {
		columns = append(columns, k.column)
	}
	q.add("SELECT " + strings.Join(columns, ", ") + " FROM " + s.index + " WHERE ")
	l.reach(q, s, drive, after, nil)
	q.add(" LIMIT 1 OFFSET ?", budget-1)
	return q
}

// values returns a record's keys.
func (s *scan[T]) values(v *T) []any {
	all := make([]any, len(s.keys))
	for i, k := range s.keys {
		all[i] = k.of(v)
	}
	return all
}

// compare compares keys in the order of the list.
func (l *list[T]) compare(a, b []any) int {
	c := 0
	for i := 0; i < len(a) && i < len(b) && c == 0; i++ {
		if n, ok := a[i].(int64); ok {
			c = cmp.Compare(n, b[i].(int64))
		} else {
			c = strings.Compare(a[i].(string), b[i].(string))
		}
	}
	if l.newest {
		return -c
	}
	return c
}

// cursor writes where a page begins.
func cursor(scan int, after []any) string {
	b, _ := json.Marshal(append([]any{int64(scan)}, after...)) // numbers and texts only
	return base64.RawURLEncoding.EncodeToString(b)
}

// resume reads a cursor. It may be anything.
func (l *list[T]) resume(text string, scans []scan[T]) (at int, after []any, err error) {
	if text == "" || len(scans) == 0 {
		return 0, nil, nil
	}
	bad := fmt.Errorf("cursor of another list: %w", cordon.ErrInvalid)
	b, err := base64.RawURLEncoding.DecodeString(text)
	if err != nil || len(text) > maxCursor || !json.Valid(b) {
		return 0, nil, bad
	}
	d := json.NewDecoder(bytes.NewReader(b))
	d.UseNumber()
	var values []any
	if d.Decode(&values) != nil || len(values) == 0 {
		return 0, nil, bad
	}
	for i, v := range values {
		if n, ok := v.(json.Number); ok {
			if values[i], err = n.Int64(); err != nil {
				return 0, nil, bad
			}
		}
	}
	n, ok := values[0].(int64)
	if !ok || n < 0 || n >= int64(len(scans)) {
		return 0, nil, bad
	}
	at, after = int(n), values[1:]
	if len(after) == 0 {
		return at, nil, nil
	}
	var zero T
	of := scans[at].values(&zero)
	if len(of) != len(after) {
		return 0, nil, bad
	}
	for i := range of {
		if s, ok := after[i].(string); fmt.Sprintf("%T", of[i]) != fmt.Sprintf("%T", after[i]) || ok && strings.ContainsRune(s, 0) {
			return 0, nil, bad
		}
	}
	return at, after, nil
}
