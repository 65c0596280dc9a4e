package dialect

import (
	"database/sql"
	"fmt"
	"time"

	"github.com/jackc/pgx/v5"
	"github.com/jackc/pgx/v5/stdlib"
)

// Connections to PostgreSQL of one instance of core. Its default of 100 serves four.
const (
	readers = 16
	writers = 8
)

// dialWithin is how long a connection may take to be made.
const dialWithin = 5 * time.Second

func openPostgres(url string) (*DB, error) {
	read, err := pool(url, readers, map[string]string{
		// A list's filters are of very different sizes: plan for the values, not once
		// for all. Planning takes some tenths of a millisecond.
		"plan_cache_mode": "force_custom_plan",
		// It reads all that fits before the first row of a page.
		"enable_bitmapscan": "off",
		// A page is a few thousand rows of an index at most: to start processes for it takes
		// longer than to read it, and takes the processors from everybody else. The same
		// goes for compiling what asks for more, the census.
		"max_parallel_workers_per_gather": "0",
		"jit":                             "off",
	})
	if err != nil {
		return nil, err
	}
	write, err := pool(url, writers, map[string]string{"lock_timeout": "20000",
		// A commit that was answered survives a power cut, whatever the server's default.
		"synchronous_commit": "on"})
	if err != nil {
		return nil, err
	}
	return &DB{Postgres: true, read: read, write: write}, nil
}

func pool(url string, most int, settings map[string]string) (*sql.DB, error) {
	cfg, err := pgx.ParseConfig(url)
	if err != nil {
		return nil, fmt.Errorf("address of the database: %w", err) // pgx keeps the password out
	}
	cfg.ConnectTimeout = dialWithin
	cfg.RuntimeParams["application_name"] = "cordon-core"
	cfg.RuntimeParams["statement_timeout"] = "30000"
	cfg.RuntimeParams["idle_in_transaction_session_timeout"] = "60000"
	for k, v := range settings {
		cfg.RuntimeParams[k] = v
	}
	db := stdlib.OpenDB(*cfg)
	db.SetMaxOpenConns(most)
	db.SetMaxIdleConns(most)
	db.SetConnMaxIdleTime(5 * time.Minute)
	return db, nil
}
