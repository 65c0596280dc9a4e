package dialect

import (
	"context"
	"errors"
	"io"
	"net"
	"testing"

	"cordon"

	"github.com/jackc/pgx/v5/pgconn"
)

// TestErrors has two rows for each way in which a database fails: before a commit, and
// while it commits, when nobody knows.
func TestErrors(t *testing.T) {
	code := func(c string) error { return &pgconn.PgError{Code: c} }
	for _, c := range []struct {
		what         string
		err          error
		want, atEnd  error // what each wraps
		unknownAtEnd bool
	}{
		{"the connection breaks", io.ErrUnexpectedEOF, cordon.ErrUnavailable, cordon.ErrUnavailable, true},
		{"the network fails", &net.OpError{Op: "read", Err: errors.New("reset")}, cordon.ErrUnavailable, cordon.ErrUnavailable, true},
		{"the server shuts down", code("57P01"), cordon.ErrUnavailable, cordon.ErrUnavailable, true},
		{"the connection fails, says the server", code("08006"), cordon.ErrUnavailable, cordon.ErrUnavailable, true},
		{"the disk is full", code("53100"), cordon.ErrUnavailable, cordon.ErrUnavailable, false},
		{"it is there already", code("23505"), cordon.ErrConflict, cordon.ErrConflict, false},
		{"it points at nothing", code("23503"), cordon.ErrInvalid, cordon.ErrInvalid, false},
		{"somebody else was faster", code("40001"), cordon.ErrUnavailable, cordon.ErrUnavailable, false},
		{"who asked went away", context.Canceled, context.Canceled, context.Canceled, true},
	} {
		if got := Classify(c.err); !errors.Is(got, c.want) || errors.Is(got, cordon.ErrUnknown) {
			t.Errorf("%s: %v", c.what, got)
		}
		got := Classify(uncertain(c.err))
		if !errors.Is(got, c.atEnd) || errors.Is(got, cordon.ErrUnknown) != c.unknownAtEnd {
			t.Errorf("%s, at the commit: %v", c.what, got)
		}
	}
	if Classify(nil) != nil || uncertain(nil) != nil {
		t.Error("no error is one")
	}
}
