package dialect

import (
	"database/sql"
	"errors"
	"fmt"
	"net/url"
	"os"
	"path/filepath"
	"runtime"
	"syscall"

	"cordon"

	_ "modernc.org/sqlite" // the driver "sqlite"
)

// openSQLite opens a file, which no other process has open.
func openSQLite(path string) (*DB, error) {
	if err := os.MkdirAll(filepath.Dir(path), 0o700); err != nil {
		return nil, fmt.Errorf("database: %w", err)
	}
	unlock, err := lock(path + ".lock")
	if err != nil {
		return nil, err
	}
	if err := private(path); err != nil {
		return nil, errors.Join(err, unlock())
	}
	write, err := sql.Open("sqlite", source(path, "rw", 64))
	if err == nil {
		write.SetMaxOpenConns(1)
		write.SetConnMaxLifetime(0)
	}
	read, err2 := sql.Open("sqlite", source(path, "rw", 16)+"&_pragma=query_only(1)")
	if err2 == nil {
		n := 2 + 2*runtime.GOMAXPROCS(0)
		read.SetMaxOpenConns(n)
		read.SetMaxIdleConns(n)
	}
	if err != nil || err2 != nil {
		unlock()
		return nil, fmt.Errorf("database %s: %w", path, errors.Join(err, err2))
	}
	return &DB{write: write, read: read, unlock: unlock, turn: make(chan struct{}, 1)}, nil
}

// private makes the file so that nobody else can read it; SQLite gives its log the same
// mode.
func private(path string) error {
	f, err := os.OpenFile(path, os.O_CREATE|os.O_RDWR, 0o600)
	if err != nil {
		return fmt.Errorf("database: %w", err)
	}
	return f.Close()
}

// source is the address of a file. WAL with FULL: the log is on the medium before a commit
// is answered, so that it survives a power cut, which NORMAL does not promise
// (sqlite.org/pragma.html#pragma_synchronous). Reports touch hundreds of pages in each
// transaction, many of them again in the next, so the log is written back every 64 MB, not
// every 4.
func source(path, mode string, cacheMB int) string {
	u := url.URL{Scheme: "file", Opaque: (&url.URL{Path: path}).EscapedPath()}
	return u.String() + "?mode=" + mode + fmt.Sprintf("&_pragma=cache_size(-%d)", cacheMB<<10) + "&_pragma=busy_timeout(10000)&_pragma=journal_mode(WAL)&_pragma=synchronous(FULL)" +
		"&_pragma=foreign_keys(1)&_pragma=temp_store(MEMORY)&_pragma=wal_autocheckpoint(16384)"
}

// lock keeps other processes from the file: they would not know of each other's
// changes, and there is one writer.
func lock(path string) (unlock func() error, err error) {
	f, err := os.OpenFile(path, os.O_CREATE|os.O_RDWR, 0o600)
	if err != nil {
		return nil, fmt.Errorf("lock of the database: %w", err)
	}
	if err := syscall.Flock(int(f.Fd()), syscall.LOCK_EX|syscall.LOCK_NB); err != nil {
		f.Close()
		return nil, fmt.Errorf("database is open in another process (lock %s): stop that, or use PostgreSQL: %w", path, cordon.ErrUnavailable)
	}
	return func() error {
		// Not by closing alone: a child that is being started shares the lock until it
		// runs.
		return errors.Join(syscall.Flock(int(f.Fd()), syscall.LOCK_UN), f.Close())
	}, nil
}
