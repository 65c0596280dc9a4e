// Package store keeps what core knows: accounts, sites, routers and what they report,
// what is desired of them, people, and who did what. It is the only place with SQL.
//
// The database is SQLite or PostgreSQL (package dialect). Methods are safe for
// concurrent use; on PostgreSQL also by several instances of core. Every method's error
// wraps one of the vocabulary's: cordon.ErrNotFound, ErrConflict, ErrInvalid,
// ErrUnavailable when the database is away, and with that ErrUnknown when a change may
// have taken place; what a caller does again after that does no harm: reports and
// imports are recognised, and a version that was used refuses the second change.
//
// Times are kept in microseconds. Texts are kept as valid UTF-8 without NUL, and cut at
// their bounds; the callers refuse what is too long before.
package store

import (
	"context"
	"fmt"
	"log/slog"
	"math"
	"sync"
	"sync/atomic"
	"time"

	"cordon"
	"cordon/core/store/people"
	"cordon/core/store/table"
	"cordon/core/store/table/dialect"
)

// Config configures a Store.
type Config struct {
	// Database is the path of a SQLite file, which is made if it is not there, or
	// postgres://…. Empty: core.db in the working directory.
	Database string
	Policy   cordon.Policy    // of sites where neither account nor site says otherwise; empty: observe
	Now      func() time.Time // nil: time.Now
	Log      *slog.Logger     // nil: none
}

// Store keeps records.
type Store struct {
	*persons // Users, Passkeys, Tokens, Sessions and what belongs to them

	cfg    Config
	db     *dialect.DB
	budget int // how many rows a list looks at: table.DefaultBudget, but in tests

	stored, doubled, refused atomic.Uint64

	mu     sync.Mutex
	behind string // the router at which Behind ended; guarded by mu
}

// persons keeps people.
type persons = people.Store

// Open opens the database and brings its schema up to date. A newer schema than this
// release knows is refused.
func Open(ctx context.Context, cfg Config) (*Store, error) { return openAt(ctx, cfg, math.MaxInt64) }

// openAt is Open with an older schema, for tests of the migrations.
func openAt(ctx context.Context, cfg Config, schema int64) (*Store, error) {
	if cfg.Database == "" {
		cfg.Database = "core.db"
	}
	if cfg.Policy == "" {
		cfg.Policy = cordon.PolicyObserve
	}
	if cfg.Now == nil {
		cfg.Now = time.Now
	}
	if cfg.Log == nil {
		cfg.Log = slog.New(slog.DiscardHandler)
	}
	db, err := dialect.Open(ctx, cfg.Database, schema, cfg.Log)
	if err != nil {
		return nil, fmt.Errorf("open database: %w", err)
	}
	return &Store{cfg: cfg, db: db, budget: table.DefaultBudget, persons: &people.Store{DB: db, Budget: table.DefaultBudget, Now: cfg.Now}}, nil
}

// Close closes the database. Nobody may be using the store.
func (s *Store) Close() error { return s.db.Close() }

// Check reports whether the database answers.
func (s *Store) Check(ctx context.Context) error {
	if err := s.db.Ping(ctx); err != nil {
		return fmt.Errorf("database: %w", dialect.Classify(err))
	}
	return nil
}

// Stats is what a Store counts since it was opened.
type Stats struct {
	Stored  uint64 // reports that were new
	Doubled uint64 // reports that had been stored before
	Refused uint64 // reports of routers that are unknown, not enrolled or without a site
	Open    int    // connections to the database
	Busy    int    // of them, in use
}

// Stats returns what was counted.
func (s *Store) Stats() Stats {
	st := Stats{Stored: s.stored.Load(), Doubled: s.doubled.Load(), Refused: s.refused.Load()}
	st.Open, st.Busy = s.db.Connections()
	return st
}

// now returns the time.
func (s *Store) now() cordon.Time { return cordon.TimeOf(s.cfg.Now()) }

// write runs f in a transaction; f may run several times.
func (s *Store) write(ctx context.Context, f func(dialect.Tx) error) error { return s.db.Write(ctx, f) }
