// Package provision reads and writes a provider's lists of routers. Bytes that
// somebody uploaded come in, checked cordon.RouterImport come out, and a problem with
// its line for everything that cannot be taken; core's API and command line call it.
//
// A claim secret is hashed when it is read. It is in no value, error or problem that
// leaves the package.
package provision

import (
	"errors"
	"fmt"
	"io"
	"unicode/utf8"

	"cordon"
)

// The bounds of a list.
const (
	maxRows   = 200_000  // routers; a bigger provider sends several lists
	maxBytes  = 64 << 20 // of the list: 300 a router, and what is wrong with some
	maxRecord = 64 << 10 // bytes of one router: ten fields of some hundred
	// MaxProblems is the most problems of one list that are kept; the rest is counted.
	MaxProblems = 1000
)

// Format is how a list is written.
type Format string

// The formats.
const (
	CSV  Format = "csv"  // RFC 4180, commas or semicolons, the first line names the columns
	JSON Format = "json" // an array of objects, or one object after the other
)

// List is what was read.
type List struct {
	Routers  []cordon.RouterImport
	Problems []cordon.ImportProblem // in the order of the lines, at most MaxProblems
	Omitted  int                    // problems beyond the bound
	Rows     int                    // that the list has, sound or not
}

// ErrFormat means that what was sent is not such a list at all, or is longer than one
// may be. The text of the error says what to change.
var ErrFormat = errors.New("list cannot be read")

// Read reads a list. What is wrong with single lines is in the list's Problems; the
// error wraps ErrFormat if the whole cannot be read, and is the reader's own if that
// failed.
func Read(r io.Reader, f Format) (List, error) {
	l := lister{serials: make(map[string]int), sites: make(map[string]int)}
	in := &guard{r: r, left: maxRecord, all: maxBytes}
	var err error
	switch f {
	case CSV:
		err = l.csv(in)
	case JSON:
		err = l.json(in)
	default:
		err = fmt.Errorf("format %q: want csv or json: %w", f, ErrFormat)
	}
	if err != nil {
		return List{}, err
	}
	return l.List, nil
}

// lister fills a List.
type lister struct {
	List
	serials, sites map[string]int // line on which each stood
}

// problem keeps a problem, or counts it.
func (l *lister) problem(line int, what, why string, args ...any) {
	if len(l.Problems) >= MaxProblems {
		l.Omitted++
		return
	}
	l.Problems = append(l.Problems, cordon.ImportProblem{Line: line, What: what, Why: fmt.Sprintf(why, args...)})
}

// count counts one row more.
func (l *lister) count() error {
	if l.Rows++; l.Rows > maxRows {
		return fmt.Errorf("more than %d routers: send several lists: %w", maxRows, ErrFormat)
	}
	return nil
}

// add takes one row, whose fields are named as the columns are.
func (l *lister) add(line int, row *[columns]string) error {
	if err := l.count(); err != nil {
		return err
	}
	in := cordon.RouterImport{Line: line}
	sound := true
	bad := func(c column, why string, args ...any) {
		sound = false
		l.problem(line, names[c], why, args...)
	}
	for c := range column(columns) {
		if why := check(c, row[c]); why != "" {
			bad(c, "%s", why)
		}
	}
	if !sound {
		return nil
	}
	in.Serial, in.AccountReference, in.AccountName = row[serial], row[account], row[accountName]
	in.SiteReference, in.SiteName, in.Area, in.Group, in.Model = row[site], row[siteName], row[area], row[group], row[model]
	if in.SiteReference == "" {
		in.SiteReference = in.AccountReference // the usual home: one customer, one line
	}
	if c, why := claim(row, &in.Claim); why != "" {
		bad(c, "%s", why)
	}
	if first, twice := l.serials[in.Serial]; twice {
		bad(serial, "stands on line %d, too: leave one of them out", first)
	} else {
		l.serials[in.Serial] = line
	}
	if first, twice := l.sites[in.SiteReference]; twice {
		bad(site, "the router on line %d is for the same site, and a site has one router", first)
	} else {
		l.sites[in.SiteReference] = line
	}
	if sound {
		l.Routers = append(l.Routers, in)
	}
	return nil
}

// guard bounds what is read: all of a list, and what one record takes.
type guard struct {
	r         io.Reader
	left, all int
	lines     []int64 // offsets of line ends that were read and not asked for yet
	offset    int64
	line      int // of the record before
	marks     bool
}

// Read reads, or fails with ErrFormat where a bound is passed.
func (g *guard) Read(b []byte) (int, error) {
	switch {
	case g.left <= 0:
		return 0, fmt.Errorf("a router takes more than %d bytes; is a quotation mark missing? %w", maxRecord, ErrFormat)
	case g.all <= 0:
		return 0, fmt.Errorf("list of more than %d MB: send several: %w", maxBytes>>20, ErrFormat)
	}
	n, err := g.r.Read(b[:min(len(b), g.all)])
	g.left, g.all = g.left-n, g.all-n
	if g.marks {
		for i, c := range b[:n] {
			if c == '\n' {
				g.lines = append(g.lines, g.offset+int64(i))
			}
		}
	}
	g.offset += int64(n)
	return n, err
}

// next says that a record has been read.
func (g *guard) next() { g.left = maxRecord }

// at returns the line, from 1, on which the byte at offset stands. Offsets only grow.
func (g *guard) at(offset int64) int {
	n := 0
	for n < len(g.lines) && g.lines[n] < offset {
		n++
	}
	g.lines = g.lines[n:]
	g.line += n
	return g.line + 1
}

// short returns a text as a problem quotes it.
func short(s string) string {
	if len(s) > 40 {
		s = s[:40]
		for !utf8.ValidString(s) && len(s) > 36 {
			s = s[:len(s)-1]
		}
		s += "…"
	}
	return fmt.Sprintf("%q", s)
}
