// Package dialect opens the two databases that core can keep its records in, brings
// their schema up to date, and says what their errors mean. Everything above it writes
// one dialect of SQL: numbered placeholders, times as microseconds, binary collation.
package dialect

import (
	"context"
	"database/sql"
	"embed"
	"errors"
	"fmt"
	"io/fs"
	"log/slog"
	"strings"

	"github.com/pressly/goose/v3"
)

// DB is an open database.
type DB struct {
	Postgres bool

	write, read *sql.DB
	reader      Tx

	// SQLite has one writer: the connection and its statements, and a token that whoever
	// writes holds.
	unlock func() error
	turn   chan struct{}
	writer Tx
}

// Open opens a database, the path of a SQLite file or postgres://…, and migrates it, no
// further than to a version of the schema.
func Open(ctx context.Context, database string, schema int64, log *slog.Logger) (*DB, error) {
	var db *DB
	var err error
	if strings.HasPrefix(database, "postgres://") || strings.HasPrefix(database, "postgresql://") {
		db, err = openPostgres(database)
	} else {
		db, err = openSQLite(database)
	}
	if err != nil {
		return nil, err
	}
	db.reader = Tx{on: db.read}
	if !db.Postgres {
		db.reader.prepared = &statements{all: make(map[string]*sql.Stmt)}
	}
	if err := db.migrate(ctx, schema, log); err != nil {
		db.Close()
		return nil, fmt.Errorf("migrate: %w", Classify(err))
	}
	return db, nil
}

// Close closes the database.
func (db *DB) Close() error {
	var err error
	if c, ok := db.writer.on.(*sql.Conn); ok {
		for _, s := range db.writer.prepared.all {
			err = errors.Join(err, s.Close())
		}
		err = errors.Join(err, c.Close())
	}
	err = errors.Join(err, db.read.Close(), db.write.Close())
	if db.unlock != nil {
		err = errors.Join(err, db.unlock())
	}
	return err
}

// Ping reports whether the database answers.
func (db *DB) Ping(ctx context.Context) error {
	var one int
	return db.read.QueryRowContext(ctx, "SELECT 1").Scan(&one)
}

// Connections returns how many connections are open, and in use.
func (db *DB) Connections() (open, busy int) {
	r, w := db.read.Stats(), db.write.Stats()
	return r.OpenConnections + w.OpenConnections, r.InUse + w.InUse
}

//go:embed migrations/*.sql
var migrations embed.FS

func (db *DB) provider() (*goose.Provider, error) {
	dir, err := fs.Sub(migrations, "migrations")
	if err != nil {
		return nil, err
	}
	kind := goose.DialectSQLite3
	if db.Postgres {
		kind = goose.DialectPostgres
	}
	return goose.NewProvider(kind, db.write, dir, goose.WithSlog(slog.New(slog.DiscardHandler)))
}

// migrate brings the schema up to date. Instances of core that start together on one
// PostgreSQL do it one after the other.
func (db *DB) migrate(ctx context.Context, schema int64, log *slog.Logger) error {
	if db.Postgres {
		c, err := db.read.Conn(ctx)
		if err != nil {
			return err
		}
		defer c.Close()
		for _, sql := range []string{
			"SELECT pg_advisory_lock(724611)", // of this program: any number that stays
			// The name under which SQLite knows the comparison of bytes, too.
			`CREATE COLLATION IF NOT EXISTS "binary" FROM "C"`} {
			if _, err := c.ExecContext(ctx, sql); err != nil {
				return err
			}
		}
		defer c.ExecContext(context.WithoutCancel(ctx), "SELECT pg_advisory_unlock(724611)")
	}
	p, err := db.provider()
	if err != nil {
		return err
	}
	now, newest, err := p.GetVersions(ctx)
	if err != nil {
		return err
	}
	if now > newest {
		return fmt.Errorf("schema %d is of a later release, this one knows up to %d", now, newest)
	}
	done, err := p.UpTo(ctx, min(schema, newest))
	for _, d := range done {
		log.InfoContext(ctx, "schema migrated", "version", d.Source.Version, "took", d.Duration)
	}
	return err
}

// Version returns the schema's version.
func (db *DB) Version(ctx context.Context) (version int64, err error) {
	const text = "SELECT COALESCE(MAX(version_id), 0) FROM goose_db_version WHERE is_applied"
	return version, db.read.QueryRowContext(ctx, text).Scan(&version)
}
