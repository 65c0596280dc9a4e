// Package document reads configuration files: TOML comes in, values that were
// checked while they were read come out, and every error names line and key.
package document

import (
	"bytes"
	"errors"
	"fmt"
	"io"
	"strconv"
	"strings"
	"unicode"
	"unicode/utf8"

	"github.com/pelletier/go-toml/v2"
)

// Value is a value of a file that a rule makes of its text. It is a struct because
// go-toml asks only those to read their text themselves, and reading it there is
// what gives an error its line.
type Value[T any, R Rule[T]] struct {
	v *T // nil: left out
}

// Rule reads a text. Its error says what it wants instead.
type Rule[T any] interface{ Read(s string) (T, error) }

// UnmarshalText reads the value.
func (x *Value[T, R]) UnmarshalText(b []byte) error {
	var r R
	v, err := r.Read(string(b))
	x.v = &v
	return err
}

// Set sets *to to the value, if it was not left out.
func (x Value[T, R]) Set(to *T) {
	if x.v != nil {
		*to = *x.v
	}
}

// Get returns the value, nil if it was left out.
func (x Value[T, R]) Get() *T { return x.v }

// List returns the values.
func List[T any, R Rule[T]](values []Value[T, R]) (all []T) {
	for _, x := range values {
		all = append(all, *x.v)
	}
	return all
}

// MaxFile bounds a file, in bytes: 256 devices with 1 kB each.
const MaxFile = 256 << 10

// Decode reads a file into d, a pointer to a struct with toml tags. Its error has a
// line for each thing that is wrong, as far as reading came; every is the command
// that prints every key.
func Decode(r io.Reader, d any, every string) error {
	text, err := io.ReadAll(io.LimitReader(r, MaxFile+1))
	if err != nil {
		return err
	}
	if len(text) > MaxFile {
		return fmt.Errorf("longer than %d bytes: is it a configuration?", MaxFile)
	}
	dec := toml.NewDecoder(bytes.NewReader(text))
	dec.DisallowUnknownFields()
	err = dec.Decode(d)
	if missing := (*toml.StrictMissingError)(nil); errors.As(err, &missing) {
		var all []error
		for i := range missing.Errors {
			e := &missing.Errors[i]
			line, _ := e.Position()
			all = append(all, fmt.Errorf("line %d: no key %q: remove it, or mend its spelling; '%s' prints every key",
				line, strings.Join(e.Key(), "."), every))
		}
		return errors.Join(all...)
	}
	if wrong := (*toml.DecodeError)(nil); errors.As(err, &wrong) {
		line, _ := wrong.Position()
		where := fmt.Sprintf("line %d", line)
		if key := keyOf(text, line, wrong.Key()); key != "" {
			where += ": " + key
		}
		return fmt.Errorf("%s: %s", where, strings.TrimPrefix(wrong.Error(), "toml: "))
	}
	if wrong := (*numberError)(nil); errors.As(err, &wrong) {
		if line := wrong.line(text); line > 0 {
			return fmt.Errorf("line %d: %w", line, wrong)
		}
		return wrong
	}
	return err
}

// keyOf returns the key that a value on a line belongs to: what the library knows,
// else what stands before the line's equals sign.
func keyOf(text []byte, line int, known toml.Key) string {
	if len(known) > 0 {
		return strings.Join(known, ".")
	}
	lines := bytes.Split(text, []byte("\n"))
	if line < 1 || line > len(lines) {
		return ""
	}
	key, _, found := bytes.Cut(lines[line-1], []byte("="))
	if !found || bytes.ContainsAny(key, "\"'[#") {
		return ""
	}
	return string(bytes.TrimSpace(key))
}

// OneOf returns s if it is one of the values.
func OneOf[T ~string](s string, values ...T) (T, error) {
	for _, v := range values {
		if T(s) == v {
			return v, nil
		}
	}
	return "", fmt.Errorf("%q: want one of %q", s, values)
}

// ALabel is the rule of a name for people.
type ALabel struct{}

// maxLabel bounds names for people, in bytes.
const maxLabel = 64

// Read reads a name.
func (ALabel) Read(s string) (string, error) {
	if len(s) > maxLabel || !utf8.ValidString(s) || strings.ContainsFunc(s, unicode.IsControl) {
		return "", fmt.Errorf("no name %q: want at most %d bytes without control characters", s, maxLabel)
	}
	return strings.TrimSpace(s), nil
}

// Number reads a whole number from least to most. Its error finds its line by key,
// "table.key", where that is known.
func Number(s, key string, least, most int, what string) (int, error) {
	n, err := strconv.Atoi(strings.ReplaceAll(s, "_", ""))
	if err != nil || n < least || n > most {
		return 0, &numberError{key: key, why: fmt.Sprintf("%s: want %s from %d to %d", s, what, least, most)}
	}
	return n, nil
}

// numberError is about a number. The decoder tells the line of texts only, so it
// carries its key, by which the line can be found.
type numberError struct{ key, why string }

func (e *numberError) Error() string { return e.key + ": " + e.why }

// line returns the line of the error's key in a file, 0 if it is not found.
func (e *numberError) line(file []byte) int {
	_, name, _ := strings.Cut(e.key, ".")
	for i, line := range strings.Split(string(file), "\n") {
		before, _, found := strings.Cut(line, "=")
		if before = strings.TrimSpace(before); found && (before == name || before == e.key) {
			return i + 1
		}
	}
	return 0
}
