package dialect

import (
	"context"
	"database/sql"
	"errors"
	"fmt"
	"strconv"
	"strings"
	"sync"
	"time"

	"cordon"
)

// Tx runs statements: of a transaction, or each by itself.
type Tx struct {
	on interface {
		QueryContext(ctx context.Context, text string, args ...any) (*sql.Rows, error)
		ExecContext(ctx context.Context, text string, args ...any) (sql.Result, error)
		PrepareContext(ctx context.Context, text string) (*sql.Stmt, error)
	}
	prepared *statements // nil: the driver keeps them by itself, as pgx does
}

// statements are those that stay prepared.
type statements struct {
	mu  sync.Mutex
	all map[string]*sql.Stmt // guarded by mu
}

// maxPrepared bounds the statements that stay prepared. There are some hundred: the
// filters of the lists combine.
const maxPrepared = 1000

func (t Tx) stmt(ctx context.Context, text string) (*sql.Stmt, error) {
	p := t.prepared
	if p == nil {
		return nil, nil
	}
	p.mu.Lock()
	defer p.mu.Unlock()
	if s := p.all[text]; s != nil || len(p.all) >= maxPrepared {
		return s, nil
	}
	s, err := t.on.PrepareContext(ctx, plain(text))
	if err == nil {
		p.all[text] = s
	}
	return s, err
}

// plain replaces $1, $2, … by ? if each stands once and in this order: SQLite's driver
// looks up each number by its name (runtime/pprof of BenchmarkIngest in core/store).
func plain(text string) string {
	var b strings.Builder
	for n, rest := 1, text; ; n++ {
		before, after, more := strings.Cut(rest, "$")
		b.WriteString(before)
		if !more {
			return b.String()
		}
		number := strconv.Itoa(n)
		if rest = strings.TrimPrefix(after, number); len(rest) == len(after) || rest != "" && '0' <= rest[0] && rest[0] <= '9' {
			return text
		}
		b.WriteByte('?')
	}
}

// Query runs a statement that returns rows.
func (t Tx) Query(ctx context.Context, text string, args ...any) (*sql.Rows, error) {
	s, err := t.stmt(ctx, text)
	switch {
	case err != nil:
		return nil, err
	case s == nil:
		return t.on.QueryContext(ctx, text, args...)
	}
	return s.QueryContext(ctx, args...)
}

// Exec runs a statement and returns how many rows it touched.
func (t Tx) Exec(ctx context.Context, text string, args ...any) (int64, error) {
	s, err := t.stmt(ctx, text)
	if err != nil {
		return 0, err
	}
	var r sql.Result
	if s == nil {
		r, err = t.on.ExecContext(ctx, text, args...)
	} else {
		r, err = s.ExecContext(ctx, args...)
	}
	if err != nil {
		return 0, err
	}
	return r.RowsAffected()
}

// Lock keeps others from a thing of that name until the transaction ends. SQLite's one
// writer is alone anyway.
func (t Tx) Lock(ctx context.Context, name string) error {
	if t.prepared != nil {
		return nil
	}
	_, err := t.on.ExecContext(ctx, "SELECT pg_advisory_xact_lock(hashtextextended($1, 724611))", name)
	return err
}

// ForUpdate is what SQL needs behind a SELECT so that nobody changes the rows until the
// transaction ends. SQLite's one writer needs nothing.
func (t Tx) ForUpdate() string {
	if t.prepared != nil {
		return ""
	}
	return " FOR NO KEY UPDATE" // references to the rows may be made
}

// Read returns what reads without a transaction.
func (db *DB) Read() Tx { return db.reader }

// Times of transactions.
const (
	// maxTx is how long a transaction may take: a database that is silent for longer is
	// away.
	maxTx = 60 * time.Second
	// maxLong is how long one may take that somebody waits for: a backup that is restored.
	maxLong = 24 * time.Hour
	// maxTries is how often a transaction is tried that others got in the way of.
	maxTries = 8
)

// Write runs f in a transaction and commits it if f returns nil. f may run several
// times. An error that wraps cordon.ErrUnknown means that the commit may have taken
// place; any other means that it did not.
func (db *DB) Write(ctx context.Context, f func(Tx) error) error {
	var err error
	for try := range maxTries {
		if try > 0 {
			select {
			case <-ctx.Done():
				return ctx.Err()
			case <-time.After(time.Duration(try*try) * 5 * time.Millisecond):
			}
		}
		if db.Postgres {
			err = db.writePostgres(ctx, maxTx, f)
		} else {
			err = db.writeSQLite(ctx, f)
		}
		if !inTheWay(err) {
			break
		}
	}
	return Classify(err)
}

// WriteLong is Write once, for a transaction that may take long, such as a restored
// backup.
func (db *DB) WriteLong(ctx context.Context, f func(Tx) error) error {
	if !db.Postgres {
		return Classify(db.writeSQLite(ctx, f))
	}
	return Classify(db.writePostgres(ctx, maxLong, func(tx Tx) error {
		if _, err := tx.Exec(ctx, "SET LOCAL statement_timeout = 0"); err != nil {
			return err
		}
		return f(tx)
	}))
}

func (db *DB) writePostgres(ctx context.Context, within time.Duration, f func(Tx) error) error {
	// Not ctx: who goes away in the middle of a commit would not know what became of it.
	own, cancel := context.WithTimeout(context.WithoutCancel(ctx), within)
	defer cancel()
	if err := ctx.Err(); err != nil {
		return err
	}
	tx, err := db.write.BeginTx(own, nil)
	if err != nil {
		return err
	}
	if err := f(Tx{on: tx}); err != nil {
		tx.Rollback()
		return err
	}
	return uncertain(tx.Commit())
}

func (db *DB) writeSQLite(ctx context.Context, f func(Tx) error) error {
	select {
	case <-ctx.Done():
		return ctx.Err()
	case db.turn <- struct{}{}:
		defer func() { <-db.turn }()
	}
	own := context.WithoutCancel(ctx)
	if db.writer.on == nil {
		c, err := db.write.Conn(own)
		if err != nil {
			return err
		}
		db.writer = Tx{on: c, prepared: &statements{all: make(map[string]*sql.Stmt)}}
	}
	if _, err := db.writer.Exec(own, "BEGIN IMMEDIATE"); err != nil {
		return err
	}
	done := false
	defer func() {
		if !done { // also when f panics
			db.writer.Exec(own, "ROLLBACK")
		}
	}()
	if err := f(db.writer); err != nil {
		return err
	}
	_, err := db.writer.Exec(own, "COMMIT")
	done = err == nil
	return uncertain(err)
}

// uncertain marks the error of a commit unless it is certain that nothing was changed:
// the database itself said so.
func uncertain(err error) error {
	if err == nil || refused(err) {
		return err
	}
	return fmt.Errorf("commit: %w", errors.Join(err, cordon.ErrUnknown))
}

// Snapshot runs f in a transaction that sees one moment and changes nothing. It may
// take long.
func (db *DB) Snapshot(ctx context.Context, f func(Tx) error) error {
	options := &sql.TxOptions{ReadOnly: true}
	if db.Postgres {
		options.Isolation = sql.LevelRepeatableRead
	}
	tx, err := db.read.BeginTx(ctx, options)
	if err != nil {
		return Classify(err)
	}
	defer tx.Rollback()
	if db.Postgres {
		if _, err := tx.ExecContext(ctx, "SET LOCAL statement_timeout = 0"); err != nil {
			return Classify(err)
		}
	}
	return Classify(f(Tx{on: tx}))
}
