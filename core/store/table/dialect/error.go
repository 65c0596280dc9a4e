package dialect

import (
	"context"
	"database/sql"
	"database/sql/driver"
	"errors"
	"fmt"
	"io"
	"net"
	"strings"

	"cordon"

	"github.com/jackc/pgx/v5/pgconn"
	"modernc.org/sqlite"
	sqlite3 "modernc.org/sqlite/lib"
)

// Classify says what an error of a database means: it wraps cordon.ErrConflict for what
// is taken, cordon.ErrInvalid for what points at nothing, cordon.ErrUnavailable when the
// database cannot be reached or cannot work now.
func Classify(err error) error {
	if err == nil {
		return nil
	}
	for _, known := range []error{cordon.ErrNotFound, cordon.ErrConflict, cordon.ErrInvalid, cordon.ErrUnavailable} {
		if errors.Is(err, known) {
			return err
		}
	}
	if pg := (*pgconn.PgError)(nil); errors.As(err, &pg) {
		return classifyPostgres(err, pg.Code)
	}
	if lite := (*sqlite.Error)(nil); errors.As(err, &lite) {
		return classifySQLite(err, lite.Code())
	}
	if away(err) {
		return fmt.Errorf("%w: %w", cordon.ErrUnavailable, err)
	}
	return err
}

// away reports whether err is of the connection.
func away(err error) bool {
	var dial *pgconn.ConnectError
	var network net.Error
	switch {
	case errors.Is(err, context.Canceled):
		return false
	case errors.As(err, &dial), errors.As(err, &network), errors.Is(err, io.EOF), errors.Is(err, io.ErrUnexpectedEOF),
		errors.Is(err, driver.ErrBadConn), errors.Is(err, sql.ErrConnDone), errors.Is(err, net.ErrClosed),
		errors.Is(err, cordon.ErrUnknown):
		return true
	}
	return strings.Contains(err.Error(), "conn closed") || strings.Contains(err.Error(), "database is closed")
}

// classifyPostgres goes by PostgreSQL's error codes (its documentation, appendix A).
func classifyPostgres(err error, code string) error {
	switch {
	case code == "23505": // unique_violation
		return fmt.Errorf("%w: %w", cordon.ErrConflict, err)
	case code[:2] == "23", code[:2] == "22": // other constraints; values that cannot be
		return fmt.Errorf("%w: %w", cordon.ErrInvalid, err)
	case code[:2] == "08", code[:2] == "53", code[:2] == "57", code[:2] == "58", // connection, resources, intervention, system
		code == "40001", code == "40P01", code == "55P03", code == "25006": // in the way for too long; a stand-by
		return fmt.Errorf("%w: %w", cordon.ErrUnavailable, err)
	}
	return err
}

// classifySQLite goes by SQLite's result codes (sqlite.org/rescode.html).
func classifySQLite(err error, code int) error {
	switch code {
	case sqlite3.SQLITE_CONSTRAINT_UNIQUE, sqlite3.SQLITE_CONSTRAINT_PRIMARYKEY:
		return fmt.Errorf("%w: %w", cordon.ErrConflict, err)
	}
	switch code & 0xff {
	case sqlite3.SQLITE_CONSTRAINT, sqlite3.SQLITE_TOOBIG, sqlite3.SQLITE_MISMATCH:
		return fmt.Errorf("%w: %w", cordon.ErrInvalid, err)
	case sqlite3.SQLITE_BUSY, sqlite3.SQLITE_LOCKED, sqlite3.SQLITE_IOERR, sqlite3.SQLITE_FULL, sqlite3.SQLITE_CANTOPEN,
		sqlite3.SQLITE_READONLY, sqlite3.SQLITE_NOMEM, sqlite3.SQLITE_PERM:
		return fmt.Errorf("%w: %w", cordon.ErrUnavailable, err)
	}
	return err
}

// inTheWay reports whether a transaction failed because of others, and may be tried
// again at once.
func inTheWay(err error) bool {
	pg := (*pgconn.PgError)(nil)
	return errors.As(err, &pg) && (pg.Code == "40001" || pg.Code == "40P01")
}

// refused reports whether the database itself answered that it did not commit.
func refused(err error) bool {
	pg, lite := (*pgconn.PgError)(nil), (*sqlite.Error)(nil)
	switch {
	case errors.As(err, &pg):
		return pg.Code[:2] != "08" && pg.Code[:2] != "57"
	case errors.As(err, &lite):
		return lite.Code()&0xff != sqlite3.SQLITE_IOERR
	}
	return errors.Is(err, sql.ErrTxDone)
}
