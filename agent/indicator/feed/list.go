package feed

import (
	"bufio"
	"bytes"
	"errors"
	"io"
	"slices"
	"strconv"
	"strings"

	"cordon"
)

// columns of a list, as its header names them, in any order.
var columns = []string{"type", "value", "source", "role", "confidence", "scope", "first_seen", "last_seen", "expires", "note"}

// list is the columns of a file being read and of its current line.
type list struct {
	at     []int // for each field of a line its column, −1 for one that we do not know
	fields []string
	column [10]string // the line's values in the order of columns
}

// readList reads CSV (RFC 4180, but a record is a line, so that one bad quote
// cannot swallow the rest) or a value a line.
func (f *reader) readList() error {
	var l list
	for first := true; ; f.line++ {
		line, err := f.readLine()
		switch text := strings.TrimSpace(line); {
		case errors.Is(err, errTooLong):
			f.refuse(TooLong, f.line, line)
		case err != nil && err != io.EOF:
			return err
		case text == "" || text[0] == '#':
		case first && l.header(text):
			first = false
		default:
			first = false
			if err := f.takeLine(&l, text); err != nil {
				return err
			}
		}
		if err == io.EOF {
			return nil
		}
	}
}

var errTooLong = errors.New("line too long")

// readLine returns the next line, or the beginning of one that is too long.
func (f *reader) readLine() (string, error) {
	b, err := f.in.ReadSlice('\n')
	line := string(b[:min(len(b), maxLine)])
	if !errors.Is(err, bufio.ErrBufferFull) {
		return line, err
	}
	line = line[:maxExcerpt]
	for errors.Is(err, bufio.ErrBufferFull) {
		_, err = f.in.ReadSlice('\n')
	}
	if err != nil && err != io.EOF {
		return line, err
	}
	return line, errTooLong
}

// header reports whether a line names columns, and remembers them.
func (l *list) header(line string) bool {
	names, ok := split(line, nil)
	for i := range names {
		names[i] = strings.ToLower(strings.TrimSpace(names[i]))
	}
	if !ok || !slices.Contains(names, "value") {
		return false
	}
	for i, name := range names {
		column := slices.Index(columns, name)
		if slices.Contains(names[:i], name) {
			column = -1 // the first of a name counts
		}
		l.at = append(l.at, column)
	}
	return true
}

// takeLine takes one line that is neither empty nor a comment.
func (f *reader) takeLine(l *list, line string) error {
	if l.at == nil {
		return f.takeValue(line)
	}
	var ok bool
	if l.fields, ok = split(line, l.fields[:0]); !ok {
		f.refuse(BadQuotes, f.line, line)
		return nil
	}
	clear(l.column[:])
	for i, v := range l.fields[:min(len(l.fields), len(l.at))] {
		if c := l.at[i]; c >= 0 {
			l.column[c] = strings.TrimSpace(v)
		}
	}
	ind, why := l.indicator()
	if why != "" {
		f.refuse(why, f.line, line)
		return nil
	}
	return f.take(&ind, f.line)
}

// takeValue takes a line of a plain list: a value, and maybe a comment.
func (f *reader) takeValue(line string) error {
	value, note := line, ""
	if i := strings.IndexAny(line, " \t"); i >= 0 {
		rest := strings.TrimSpace(line[i:])
		if rest[0] == '#' {
			value, note = line[:i], rest[1:]
		}
	}
	values, ok := split(value, nil)
	switch {
	case !ok:
		f.refuse(BadQuotes, f.line, line)
		return nil
	case len(values) > 1 && infer(value) != cordon.IndicatorURL: // a comma may stand in a path
		f.refuse(NoHeader, f.line, line)
		return nil
	case len(values) == 1:
		value = values[0]
	}
	return f.take(&cordon.Indicator{Value: value, Confidence: defaultConfidence, Note: note}, f.line)
}

// indicator makes an indicator of the current line; its value is as it stands.
func (l *list) indicator() (i cordon.Indicator, why Reason) {
	c := &l.column
	i = cordon.Indicator{Value: c[1], Source: c[2], Role: roleOf(c[3]), Confidence: defaultConfidence, Scope: c[5], Note: c[9]}
	if c[0] != "" {
		if i.Type = types[strings.ToLower(c[0])]; i.Type == "" {
			return i, BadType
		}
	}
	if c[4] != "" {
		n, err := strconv.ParseUint(c[4], 10, 8)
		if err != nil || n > 100 {
			return i, BadConfidence
		}
		i.Confidence = uint8(n)
	}
	for n, t := range []*cordon.Time{&i.FirstSeen, &i.LastSeen, &i.Expires} {
		var ok bool
		if *t, ok = parseTime(c[6+n]); !ok {
			return i, BadTime
		}
	}
	return i, ""
}

// split appends the fields of one CSV line to fields. It reports false when a
// quote opens that never closes, or closes within a field.
func split(line string, fields []string) ([]string, bool) {
	for {
		rest := strings.TrimLeft(line, " \t")
		if rest == "" || rest[0] != '"' {
			field, tail, more := strings.Cut(line, ",")
			fields = append(fields, field)
			if !more {
				return fields, true
			}
			line = tail
			continue
		}
		field, tail, ok := unquote(rest[1:])
		if !ok {
			return fields, false
		}
		fields = append(fields, field)
		tail = strings.TrimLeft(tail, " \t\r\n")
		if tail == "" {
			return fields, true
		}
		if tail[0] != ',' {
			return fields, false
		}
		line = tail[1:]
	}
}

// unquote returns the text up to the closing quote and what follows it.
func unquote(s string) (field, tail string, ok bool) {
	var b bytes.Buffer
	for {
		part, rest, found := strings.Cut(s, `"`)
		if !found {
			return "", "", false
		}
		b.WriteString(part)
		if rest == "" || rest[0] != '"' {
			return b.String(), rest, true
		}
		b.WriteByte('"')
		s = rest[1:]
	}
}
