package desk

import (
	"net/http"
	"strconv"
	"strings"
	"time"

	"cordon"
	"cordon/core/api/order"
	"cordon/core/api/problem"
	"cordon/core/api/view"
	"cordon/core/auth"
)

// None is the input or output of a route that has none.
type None struct{}

// Record is an answer that is one record.
type Record[T any] struct {
	ETag string `header:"ETag"`
	Body T
}

// Of returns a record with its version.
func Of[T any](v T, version int64) *Record[T] {
	return &Record[T]{ETag: strconv.Quote(strconv.FormatInt(version, 10)), Body: v}
}

// List is an answer that is a page of a list.
type List[T any] struct{ Body Items[T] }

// Items is a page of a list.
type Items[T any] struct {
	Items []T    `json:"items" nullable:"false"`
	Next  string `json:"next,omitempty" doc:"The cursor of the next page; not there: this was the last."`
}

// Page shows a page of the store's. Veil is called for each record that see says is
// shown by pseudonym.
func Page[A, B any](p cordon.Page[A], show func(*A) B, veiled func(*A) bool, veil func(*A)) *List[B] {
	out := &List[B]{}
	out.Body.Next = p.Next
	out.Body.Items = view.Each(p.Items, func(a *A) B {
		if veiled != nil && veiled(a) {
			veil(a)
		}
		return show(a)
	})
	return out
}

// What inputs embed is exported because huma finds no other fields.

// Paging is the part of a list that is wanted.
type Paging struct {
	Cursor string `query:"cursor" maxLength:"512" doc:"next of the page before."`
	Limit  int    `query:"limit" minimum:"1" maximum:"500" default:"50" doc:"Records of a page."`
}

// Where is which homes are wanted.
type Where struct {
	Account string `query:"account" maxLength:"64"`
	Site    string `query:"site" maxLength:"64"`
	Area    string `query:"area" maxLength:"64" doc:"Access area."`
	Group   string `query:"group" maxLength:"64" doc:"Operators' group of sites."`
}

// Span is the time that is wanted.
type Span struct {
	Since time.Time `query:"since" doc:"Not before."`
	Until time.Time `query:"until" doc:"Before."`
}

// Query puts a Query together.
func Query(p Paging, w Where, s Span) cordon.Query {
	q := cordon.Query{Account: w.Account, Site: w.Site, Area: w.Area, Group: w.Group, Cursor: p.Cursor, Limit: p.Limit}
	if !s.Since.IsZero() {
		q.Since = Time(s.Since)
	}
	if !s.Until.IsZero() {
		q.Until = Time(s.Until)
	}
	return q
}

// Years that a cordon.Time can hold, with room; what is outside becomes their ends.
var earliest, latest = time.Unix(0, 0), time.Date(2200, 1, 1, 0, 0, 0, 0, time.UTC)

// Time returns what somebody wrote.
func Time(t time.Time) cordon.Time {
	switch {
	case t.Before(earliest):
		t = earliest
	case t.After(latest):
		t = latest
	}
	return cordon.TimeOf(t)
}

// Level returns the level of that name; huma has checked the name. Empty: cordon.None.
func Level(name string) (l cordon.Level) {
	l.UnmarshalText([]byte(name)) // leaves None
	return l
}

// Class returns the class of that name; huma has checked the name.
func Class(name string) *cordon.Class {
	for c := cordon.Unknown; c <= cordon.LifeLine; c++ {
		if c.String() == name {
			return &c
		}
	}
	return nil
}

// Match is the version that a change is about.
type Match struct {
	IfMatch string `header:"If-Match" maxLength:"200" doc:"The ETag that was read."`
}

// Check compares the version with the stored one. Without one a change is refused,
// unless it is optional.
func (m Match) Check(stored int64, optional bool) error {
	if m.IfMatch == "" {
		if optional {
			return nil
		}
		return problem.New(problem.Precondition, "")
	}
	if strings.TrimSpace(m.IfMatch) == "*" {
		return nil
	}
	for tag := range strings.SplitSeq(m.IfMatch, ",") {
		tag = strings.Trim(strings.TrimPrefix(strings.TrimSpace(tag), "W/"), `"`)
		version, _, _ := strings.Cut(tag, ".") // what follows is of the representation (package front)
		if v, err := strconv.ParseInt(version, 10, 64); err == nil && v == stored {
			return nil
		}
	}
	return problem.New(problem.Changed, "")
}

// Set changes *to if from is there.
func Set[T any](to *T, from *T) {
	if from != nil {
		*to = *from
	}
}

// Cookies are headers that set cookies.
func Cookies(cookies []http.Cookie) []string {
	var all []string
	for i := range cookies {
		all = append(all, cookies[i].String())
	}
	return all
}

// AccountPath is the path of what belongs to an account.
type AccountPath struct {
	Account string `path:"account" maxLength:"64"`
}

// SitePath is the path of what belongs to a site.
type SitePath struct {
	Site string `path:"site" maxLength:"64"`
}

// DevicePath is the path of a device.
type DevicePath struct {
	SitePath
	Device string `path:"device" maxLength:"64"`
}

// Lasting is how long something is to last.
type Lasting struct {
	Reason  string    `json:"reason,omitempty" maxLength:"500" doc:"In words that the customer may see."`
	Expires time.Time `json:"expires,omitzero" doc:"Not there: a day from now. At most 90 days."`
}

func (l *Lasting) Until(now cordon.Time) cordon.Time {
	if l.Expires.IsZero() {
		return now.Add(order.Life)
	}
	return Time(l.Expires)
}

// OpenedCase is a case: who has it sees one home by name.
type OpenedCase struct {
	Site    string    `json:"site"`
	Account string    `json:"account"`
	Reason  string    `json:"reason"`
	Opened  time.Time `json:"opened"`
	Expires time.Time `json:"expires"`
}

// OfCase shows a case.
func OfCase(c *auth.Case) OpenedCase {
	return OpenedCase{c.Site, c.Account, c.Reason, c.Opened.Std(), c.Expires.Std()}
}
