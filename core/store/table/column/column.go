// Package column carries the vocabulary's values into the columns of a table and
// back: texts cleaned and bounded, moments as microseconds, nested data as JSON
// documents. What is written here stays on disk for years, so the form of each is
// fixed by the schema's version and not by how the vocabulary is declared.
package column

import (
	"database/sql"
	"database/sql/driver"
	"fmt"
	"math"

	"cordon"
	"cordon/internal/text"
)

// Column is a field of a record as one column of its table.
type Column interface {
	driver.Valuer
	sql.Scanner
}

// Bounds of texts in columns, in bytes. Names of what routers name are longer than they
// make them; what is in an index is short.
const (
	IDBytes   = 256 // what is compared: IDs, references, serials, areas
	NameBytes = 512
	LineBytes = 2048
	KeyBytes  = 64 // of a name in lower case, to search by
)

// Micros returns t as it is stored.
func Micros(t cordon.Time) int64 { return int64(t) / 1000 }

// OfMicros is the reverse of Micros.
func OfMicros(us int64) cordon.Time { return cordon.Time(us * 1000) }

type plain[S ~string] struct {
	p    *S
	most int
	null bool
}

// Text is a text of at most most bytes; what is longer is cut.
func Text[S ~string](p *S, most int) Column { return plain[S]{p, most, false} }

// Optional is a text that is NULL while it is empty: a reference to another table.
func Optional[S ~string](p *S, most int) Column { return plain[S]{p, most, true} }

// ID, Name and Line are texts of the usual bounds.
func ID[S ~string](p *S) Column   { return Text(p, IDBytes) }
func Name[S ~string](p *S) Column { return Text(p, NameBytes) }
func Line[S ~string](p *S) Column { return Text(p, LineBytes) }

// Key is a text that rows are only searched by, and that is never read.
func Key(s string) Column { return Text(&s, KeyBytes) }

// AsID returns s as an ID is stored, to compare with.
func AsID(s string) string { return text.Clean(s, IDBytes) }

func (c plain[S]) Value() (driver.Value, error) {
	s := text.Clean(string(*c.p), c.most)
	if c.null && s == "" {
		return nil, nil
	}
	return s, nil
}

func (c plain[S]) Scan(v any) error {
	switch v := v.(type) {
	case string:
		*c.p = S(v)
	case []byte:
		*c.p = S(v)
	case nil:
		*c.p = ""
	default:
		return fmt.Errorf("a text is stored as %T", v)
	}
	return nil
}

type number[N integer] struct{ p *N }

type integer interface {
	~int | ~int64 | ~uint8 | ~uint16 | ~uint32 | ~uint64
}

// Number is a whole number. One beyond 63 bits is kept as the largest there is.
func Number[N integer](p *N) Column { return number[N]{p} }

func (c number[N]) Value() (driver.Value, error) {
	if n := uint64(*c.p); *c.p > 0 && n > math.MaxInt64 {
		return int64(math.MaxInt64), nil
	}
	return int64(*c.p), nil
}

func (c number[N]) Scan(v any) error {
	n, ok := v.(int64)
	if !ok {
		return fmt.Errorf("a number is stored as %T", v)
	}
	*c.p = N(n)
	return nil
}

type moment struct{ p *cordon.Time }

// Moment is a time, in microseconds.
func Moment(p *cordon.Time) Column { return moment{p} }

func (c moment) Value() (driver.Value, error) { return Micros(*c.p), nil }

func (c moment) Scan(v any) error {
	us, ok := v.(int64)
	if !ok {
		return fmt.Errorf("a time is stored as %T", v)
	}
	*c.p = OfMicros(us)
	return nil
}

type flag struct{ p *bool }

// Flag is yes or no.
func Flag(p *bool) Column { return flag{p} }

func (c flag) Value() (driver.Value, error) { return *c.p, nil }

func (c flag) Scan(v any) error {
	switch v := v.(type) {
	case bool:
		*c.p = v
	case int64:
		*c.p = v != 0
	default:
		return fmt.Errorf("yes or no is stored as %T", v)
	}
	return nil
}

type bytes struct{ p *[]byte }

// Bytes is a string of bytes, never NULL.
func Bytes(p *[]byte) Column { return bytes{p} }

func (c bytes) Value() (driver.Value, error) {
	if *c.p == nil {
		return []byte{}, nil
	}
	return *c.p, nil
}

func (c bytes) Scan(v any) error {
	switch v := v.(type) {
	case []byte:
		*c.p = append([]byte(nil), v...)
	case nil:
		*c.p = nil
	default:
		return fmt.Errorf("bytes are stored as %T", v)
	}
	return nil
}

type hash struct{ p *[32]byte }

// Hash is 32 bytes: a hash or a key.
func Hash(p *[32]byte) Column { return hash{p} }

func (c hash) Value() (driver.Value, error) { return append([]byte(nil), c.p[:]...), nil }

func (c hash) Scan(v any) error {
	b, ok := v.([]byte)
	if !ok || len(b) != len(c.p) {
		return fmt.Errorf("a hash is stored as %T", v)
	}
	copy(c.p[:], b)
	return nil
}
