package table

import (
	"fmt"
	"slices"
	"strings"
	"unicode/utf8"

	"cordon"
	"cordon/core/store/table/column"
)

// Cond is a condition with its values.
type Cond struct {
	text string
	args []any
}

// Where returns a condition with its values: "account = ?".
func Where(text string, args ...any) Cond { return Cond{text, args} }

// Filter is a condition of a query: any of conds.
type Filter struct {
	Conds   []Cond
	Indexed bool // may drive
	Rare    bool // leaves so little that it drives before a text
	By      *By  // drives by another table; nil: by the list's own
}

// Drives is a filter of one condition that has an index.
func Drives(text string, args ...any) Filter {
	return Filter{Conds: []Cond{{text, args}}, Indexed: true}
}

// Rare is Drives, for what leaves so little that it drives before a text.
func Rare(text string, args ...any) Filter {
	return Filter{Conds: []Cond{{text, args}}, Indexed: true, Rare: true}
}

// Left is a filter that is looked at row by row.
func Left(text string, args ...any) Filter { return Filter{Conds: []Cond{{text, args}}} }

// By is a table whose index finds records of a list.
type By struct {
	Table string
	Join  string   // the condition under which the list's table is joined to it
	Keys  []string // its names of the list's keys
	Conds []Cond
}

// Key is a column that orders a list, and its value in a record: string or int64.
type Key[T any] struct {
	Column string
	Of     func(*T) any
}

// Word is a column that Query.Text may be the beginning of. Fold: in lower case, see
// SearchKey.
type Word[T any] struct {
	Key[T]
	Fold bool
}

// Of returns a key.
func Of[T any](column string, of func(*T) any) Key[T] { return Key[T]{column, of} }

// Exact returns a word that is compared as it is, Folded one that is a SearchKey.
func Exact[T any](column string, of func(*T) any) Word[T] { return Word[T]{Of(column, of), false} }
func Folded[T any](column string, of func(*T) any) Word[T] {
	return Word[T]{Of(column, of), true}
}

// List is a kind of list.
type List[T any] struct {
	Table   string
	Columns string         // separated by ", "
	Row     func(*T) []any // where the columns go
	Keys    []Key[T]
	Newest  bool // the greatest key comes first

	Account, Site string // conditions of scope and query, with one value; empty: there is none
	Moment        string // column of Since and Until; empty: there is none
	Words         []Word[T]
	// Filters returns the list's own filters, those first that leave least, and sets to
	// zero what it took of the query.
	Filters func(*cordon.Query) []Filter
}

// scan is a way through a list: its keys, where it starts several ways at once
// (drives), and what is looked at row by row.
type scan[T any] struct {
	keys   []Key[T]
	drives []Cond
	rest   []Cond
	index  string // the table that has the keys
	from   string // what is read: that table, joined with the list's
}

// scans plans a query.
func (l *List[T]) scans(scope cordon.Scope, q cordon.Query) ([]scan[T], error) {
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
	if l.Moment != "" {
		q.Since, q.Until = 0, 0
	}
	filters := l.Filters(&q)
	if q != (cordon.Query{}) {
		return nil, fmt.Errorf("list of %s has no such filter: %w", l.Table, cordon.ErrInvalid)
	}
	if text != "" && len(l.Words) == 0 {
		return nil, fmt.Errorf("list of %s has no names: %w", l.Table, cordon.ErrInvalid)
	}
	s := scan[T]{keys: l.Keys, drives: homes, rest: rest, index: l.Table, from: l.Table}
	for _, f := range filters {
		switch {
		case narrow || !f.Indexed || text != "" && !f.Rare:
			s.rest = append(s.rest, or(f.Conds))
		case f.By == nil:
			s.drives, narrow = f.Conds, true
		default:
			s.through(f.By, l.Table)
			narrow = true
		}
	}
	if len(s.drives) == 0 {
		s.drives = []Cond{Where("1 = 1")}
	}
	l.span(&s, since, until)
	switch {
	case text == "":
		return []scan[T]{s}, nil
	case narrow:
		var begins []Cond
		for _, w := range l.Words {
			begins = append(begins, w.begins(text))
		}
		s.rest = append(s.rest, or(begins))
		return []scan[T]{s}, nil
	}
	return l.search(s, text), nil
}

// homes returns the ways through the list that scope and the query's account or site
// leave, what is still to be looked at, and whether they narrow it at all.
func (l *List[T]) homes(scope cordon.Scope, q *cordon.Query) (drives []Cond, narrow bool, rest []Cond) {
	account, site := q.Account, q.Site
	is := func(text, id string) Cond { return Where(text, column.AsID(id)) }
	var may []Cond // of scope
	for _, id := range scope.Accounts {
		if l.Account != "" {
			may = append(may, is(l.Account, id))
		}
	}
	for _, id := range scope.Sites {
		if l.Site != "" {
			may = append(may, is(l.Site, id))
		}
	}
	if scope.All {
		may = nil
	} else if len(may) == 0 {
		return nil, true, nil
	}
	switch {
	case site != "" && l.Site != "":
		q.Site = ""
		drives = []Cond{is(l.Site, site)}
		if account != "" && l.Account != "" {
			q.Account = ""
			rest = append(rest, is(l.Account, account))
		}
	case account != "" && l.Account != "":
		q.Account = ""
		drives = []Cond{is(l.Account, account)}
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
func (s *scan[T]) through(b *By, table string) {
	s.drives, s.index, s.from = b.Conds, b.Table, b.Table+" JOIN "+table+" ON "+b.Join
	s.keys = slices.Clone(s.keys)
	for i := range s.keys {
		s.keys[i].Column = b.Keys[i]
	}
}

// span adds the conditions of the query's time: to what drives, if it goes by that time.
func (l *List[T]) span(s *scan[T], since, until cordon.Time) {
	moment, drives := l.Moment, l.Moment == l.Keys[0].Column
	if drives {
		moment = s.keys[0].Column
	}
	var all []Cond
	if since != 0 {
		all = append(all, Where(moment+" >= ?", column.Micros(since)))
	}
	if until != 0 {
		all = append(all, Where(moment+" < ?", column.Micros(until)))
	}
	if !drives || len(all) == 0 {
		s.rest = append(s.rest, all...)
		return
	}
	for i := range s.drives {
		s.drives[i] = and(append([]Cond{s.drives[i]}, all...))
	}
}

// search goes through one column after the other in which the text may stand, and leaves
// out what an earlier one had.
func (l *List[T]) search(s scan[T], text string) (all []scan[T]) {
	rest := slices.Clone(s.rest)
	for _, w := range l.Words {
		begins := w.begins(text)
		keys := []Key[T]{w.Key}
		for _, k := range s.keys {
			if k.Column != w.Column {
				keys = append(keys, k)
			}
		}
		all = append(all, scan[T]{keys: keys, drives: []Cond{begins}, rest: slices.Clone(rest), index: s.index, from: s.from})
		rest = append(rest, Cond{"NOT (" + begins.text + ")", begins.args})
	}
	return all
}

// begins is the condition that the column begins with text.
func (w *Word[T]) begins(text string) Cond {
	if w.Fold {
		text = SearchKey(text)
	}
	c := w.Column
	// The empty text is named because indices leave it out.
	return Where(fmt.Sprintf("%s >= ? AND %s < ? AND %s <> ''", c, c, c), text, text+"\U0010FFFF")
}

func and(conds []Cond) Cond { return join(conds, " AND ") }
func or(conds []Cond) Cond  { return join(conds, " OR ") }

func join(conds []Cond, with string) (all Cond) {
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
