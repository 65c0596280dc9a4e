package feed

import (
	"fmt"
	"slices"
	"strings"
)

// Reason says why a statement of a feed was not taken.
type Reason string

// The reasons.
const (
	Empty         Reason = "no value"
	TooLong       Reason = "too long"
	BadQuotes     Reason = "quotes do not match"
	NoHeader      Reason = "several columns without a header"
	BadType       Reason = "unknown type"
	BadValue      Reason = "not a value of its type"
	BadConfidence Reason = "confidence is not 0 to 100"
	BadTime       Reason = "time not understood"
	BadObject     Reason = "not a STIX object"
	BadPattern    Reason = "pattern not understood"
	TooWide       Reason = "wider than /24 or /48"
	PublicSuffix  Reason = "a public suffix or a single label"
	NotPublic     Reason = "an address that is not on the internet"
	Benign        Reason = "said to be benign"
	Revoked       Reason = "revoked"
	TooMany       Reason = "one too many"
)

// Examples are kept for each reason: the first maxExamples, maxExcerpt bytes of
// each. A person looks at a few.
const (
	maxExamples = 3
	maxExcerpt  = 80
)

// Report says what became of every statement that was read.
type Report struct {
	Taken      uint64
	Duplicates uint64 // said before by the same source about the same scope and role
	Expired    uint64
	Refused    []Refusal // by reason, in the order in which they were met
}

// Refusal counts the statements that were refused for one reason.
type Refusal struct {
	Reason   Reason
	Count    uint64
	Examples []Example // the first few
}

// Example is one statement that was refused.
type Example struct {
	File string // the name given to Read
	Line int    // from 1: of a list its line, of a STIX bundle the line where the object starts
	Text string // hostile, at most 80 bytes of it: escape at every border
}

// Refusals returns how many statements were refused in all.
func (r *Report) Refusals() (n uint64) {
	for i := range r.Refused {
		n += r.Refused[i].Count
	}
	return n
}

// String is the report in words, a line for each count and example, escaped.
func (r *Report) String() string {
	var b strings.Builder
	fmt.Fprintf(&b, "%d taken, %d duplicates, %d expired, %d refused\n", r.Taken, r.Duplicates, r.Expired, r.Refusals())
	for _, f := range r.Refused {
		fmt.Fprintf(&b, "%6d %s\n", f.Count, f.Reason)
		for _, e := range f.Examples {
			fmt.Fprintf(&b, "       %q line %d: %q\n", e.File, e.Line, e.Text)
		}
	}
	return b.String()
}

// Refuse counts one statement as refused and may keep it as an example.
func (r *Report) Refuse(why Reason, file string, line int, text string) {
	i := slices.IndexFunc(r.Refused, func(f Refusal) bool { return f.Reason == why })
	if i < 0 {
		i = len(r.Refused)
		r.Refused = append(r.Refused, Refusal{Reason: why})
	}
	f := &r.Refused[i]
	f.Count++
	if len(f.Examples) < maxExamples {
		f.Examples = append(f.Examples, Example{File: file, Line: line, Text: strings.Clone(text[:min(len(text), maxExcerpt)])})
	}
}

// Add puts what o counted into r.
func (r *Report) Add(o Report) {
	r.Taken += o.Taken
	r.Duplicates += o.Duplicates
	r.Expired += o.Expired
	for _, f := range o.Refused {
		i := slices.IndexFunc(r.Refused, func(g Refusal) bool { return g.Reason == f.Reason })
		if i < 0 {
			r.Refused = append(r.Refused, f)
			continue
		}
		g := &r.Refused[i]
		g.Count += f.Count
		g.Examples = append(g.Examples, f.Examples[:min(len(f.Examples), maxExamples-len(g.Examples))]...)
	}
}
