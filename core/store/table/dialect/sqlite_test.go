package dialect

import (
	"errors"
	"fmt"
	"io/fs"
	"log/slog"
	"math"
	"os"
	"path/filepath"
	"testing"
)

// TestClosed leaves a database in one file that nobody else can read, and nothing open.
func TestClosed(t *testing.T) {
	dir := t.TempDir()
	path := filepath.Join(dir, "core.db")
	db, err := Open(t.Context(), path, math.MaxInt64, slog.New(slog.DiscardHandler))
	if err != nil {
		t.Fatal(err)
	}
	if err := db.Write(t.Context(), func(tx Tx) error {
		_, err := tx.Exec(t.Context(), "CREATE TABLE IF NOT EXISTS kept (a INTEGER)")
		return err
	}); err != nil {
		t.Fatal(err)
	}
	for _, name := range []string{"core.db", "core.db-wal", "core.db-shm"} {
		info, err := os.Stat(filepath.Join(dir, name))
		if err != nil || info.Mode().Perm() != 0o600 {
			t.Errorf("%s: %v, %v", name, info, err)
		}
	}
	if err := db.Close(); err != nil {
		t.Fatal(err)
	}
	for _, name := range []string{"core.db-wal", "core.db-shm"} {
		if _, err := os.Stat(filepath.Join(dir, name)); !errors.Is(err, fs.ErrNotExist) {
			t.Errorf("%s is still there after closing: %v", name, err)
		}
	}
}

// TestManyTexts runs more statements than are kept prepared.
func TestManyTexts(t *testing.T) {
	db, err := Open(t.Context(), filepath.Join(t.TempDir(), "core.db"), math.MaxInt64, slog.New(slog.DiscardHandler))
	if err != nil {
		t.Fatal(err)
	}
	defer db.Close()
	tx := db.Read()
	for i := range maxPrepared + 50 {
		rows, err := tx.Query(t.Context(), fmt.Sprintf("SELECT %d", i))
		if err != nil {
			t.Fatal(err)
		}
		var got int
		if rows.Next() {
			err = rows.Scan(&got)
		}
		if rows.Close(); err != nil || got != i {
			t.Fatalf("%d, %v", got, err)
		}
	}
	if n := len(tx.prepared.all); n != maxPrepared {
		t.Errorf("%d statements are prepared", n)
	}
}
