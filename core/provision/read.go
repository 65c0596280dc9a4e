package provision

import (
	"bufio"
	"encoding/csv"
	"encoding/json"
	"errors"
	"fmt"
	"io"
	"strings"
)

// csv reads a list of the form CSV.
func (l *lister) csv(in *guard) error {
	b := bufio.NewReader(in)
	if mark, _ := b.Peek(3); string(mark) == "\ufeff" {
		b.Discard(3)
	}
	r := csv.NewReader(b)
	r.ReuseRecord = true
	r.FieldsPerRecord = -1
	if head, _ := b.Peek(b.Size()); semicolons(string(head)) {
		r.Comma = ';'
	}
	order, err := header(r)
	if err != nil {
		return err
	}
	for {
		in.next()
		record, err := r.Read()
		var bad *csv.ParseError
		switch {
		case errors.Is(err, io.EOF):
			return nil
		case errors.Is(err, ErrFormat):
			line, _ := r.FieldPos(0)
			return fmt.Errorf("after line %d: %w", line, err)
		case errors.As(err, &bad): // quotes: where the next record begins is a guess
			return fmt.Errorf("line %d: %w: %w", bad.Line, bad.Err, ErrFormat)
		case err != nil:
			return err
		}
		line, _ := r.FieldPos(0)
		if len(record) != len(order) {
			if err := l.count(); err != nil {
				return err
			}
			l.problem(line, "line", "has %d fields, the first line has %d", len(record), len(order))
			continue
		}
		var row [columns]string
		for i, c := range order {
			row[c] = strings.TrimSpace(record[i])
		}
		if err := l.add(line, &row); err != nil {
			return err
		}
	}
}

// semicolons reports whether the first line of a list has its columns between
// semicolons, as spreadsheets write them where the comma stands in numbers.
func semicolons(head string) bool {
	line, _, _ := strings.Cut(head, "\n")
	return strings.Count(line, ";") > strings.Count(line, ",")
}

// header reads the names of the columns.
func header(r *csv.Reader) ([]column, error) {
	record, err := r.Read()
	switch {
	case errors.Is(err, io.EOF):
		return nil, fmt.Errorf("it is empty: want a first line that names the columns, such as serial,claim_secret,account: %w", ErrFormat)
	case errors.Is(err, ErrFormat):
		return nil, err
	case err != nil:
		var bad *csv.ParseError
		if errors.As(err, &bad) {
			return nil, fmt.Errorf("line %d: %w: %w", bad.Line, bad.Err, ErrFormat)
		}
		return nil, err
	}
	order := make([]column, len(record))
	var seen [columns]bool
	for i, name := range record {
		c := columnOf(name)
		switch {
		case c < 0:
			// The name is not quoted: in a list without a first line it is a claim.
			return nil, fmt.Errorf("line 1: the name of column %d is not known: want some of %s: %w", i+1, strings.Join(names[:], ","), ErrFormat)
		case seen[c]:
			return nil, fmt.Errorf("line 1: column %s stands there twice: %w", names[c], ErrFormat)
		}
		order[i], seen[c] = c, true
	}
	if !seen[serial] || !seen[account] || !(seen[claimSecret] || seen[claimHash] || seen[claimKey]) {
		return nil, fmt.Errorf("line 1: want the columns serial, account and claim_secret, claim_sha256 or claim_key: %w", ErrFormat)
	}
	return order, nil
}

// json reads a list of the form JSON. A router is read as it comes, so that a list is
// never in memory twice.
func (l *lister) json(in *guard) error {
	in.marks = true
	d := json.NewDecoder(in)
	array, err := opens(d)
	if err != nil {
		return err
	}
	for {
		in.next()
		if array && !d.More() {
			break
		}
		row := make(map[string]any)
		start := d.InputOffset()
		err := d.Decode(&row)
		line := in.at(d.InputOffset())
		var wrong *json.UnmarshalTypeError
		switch {
		case errors.Is(err, io.EOF) && !array:
			return nil
		case errors.As(err, &wrong): // the decoder is behind the value
			if err := l.count(); err != nil {
				return err
			}
			l.problem(line, "line", "want an object with the fields of a router, found a JSON %s", wrong.Value)
			continue
		case err != nil:
			return unreadable(in.at(max(start, d.InputOffset())), err)
		}
		var fields [columns]string
		if name, why := texts(row, &fields); why != "" {
			if err := l.count(); err != nil {
				return err
			}
			l.problem(line, name, "%s", why)
			continue
		}
		if err := l.add(line, &fields); err != nil {
			return err
		}
	}
	if _, err := d.Token(); err != nil { // the closing bracket
		return unreadable(in.at(d.InputOffset()), err)
	}
	if _, err := d.Token(); !errors.Is(err, io.EOF) {
		return fmt.Errorf("line %d: something follows the list: %w", in.at(d.InputOffset()), ErrFormat)
	}
	return nil
}

// opens reads the bracket of an array, if the list has one.
func opens(d *json.Decoder) (array bool, err error) {
	// A decoder cannot give a token back, so objects one after the other are told by
	// their first byte, which is in its buffer after More.
	if !d.More() {
		return false, fmt.Errorf("it is empty: want an array of routers: %w", ErrFormat)
	}
	var first [1]byte
	if _, err := d.Buffered().Read(first[:]); err != nil {
		return false, fmt.Errorf("want an array of routers: %w", ErrFormat)
	}
	switch first[0] {
	case '{':
		return false, nil
	case '[':
		_, err := d.Token()
		return true, err
	}
	return false, fmt.Errorf("want an array of routers, found %q: %w", first[0], ErrFormat)
}

// unreadable is the error of a list that ends in the middle, or is no JSON.
func unreadable(line int, err error) error {
	var syntax *json.SyntaxError
	switch {
	case errors.Is(err, ErrFormat):
		return fmt.Errorf("line %d: %w", line, err)
	case errors.Is(err, io.ErrUnexpectedEOF), errors.Is(err, io.EOF):
		return fmt.Errorf("line %d: it ends in the middle: %w", line, ErrFormat)
	case errors.As(err, &syntax):
		return fmt.Errorf("line %d: no JSON: %w", line, ErrFormat)
	}
	return err
}

// texts takes the fields of a router, which all are texts. It returns the name and why
// if one is not, or not known.
func texts(row map[string]any, to *[columns]string) (name, why string) {
	for name, v := range row {
		c := columnOf(name)
		if c < 0 || names[c] != name {
			return "line", fmt.Sprintf("field %s is not known: want some of %s", short(name), strings.Join(names[:], ", "))
		}
		if v == nil {
			continue
		}
		s, ok := v.(string)
		if !ok {
			return name, "want a text, in quotation marks"
		}
		to[c] = strings.TrimSpace(s)
	}
	return "", ""
}
