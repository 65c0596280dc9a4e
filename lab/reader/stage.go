package reader

import (
	"context"
	"encoding/json"
	"errors"
	"fmt"
	"io/fs"
	"os"
	"path/filepath"
	"time"

	"cordon/core/store"
	"cordon/lab/postgres"
	"cordon/lab/program"
	"cordon/lab/records"
)

// stage is a core that runs on a database full of records.
type stage struct {
	core   *program.Core
	filled time.Duration // how long it took to fill the database; 0: it was
}

// open fills the database, if it is not yet, and starts core.
func open(ctx context.Context, t postgres.TB, cfg Config) (*stage, error) {
	dir, err := directory(t, cfg.Dir)
	if err != nil {
		return nil, err
	}
	s := &stage{}
	database := filepath.Join(dir, "core.db")
	if !cfg.SQLite {
		database = postgres.Keep(t, filepath.Join(dir, "postgres"), cfg.Settings...).Named("cordon")
	}
	if err := s.fill(ctx, cfg, dir, database); err != nil {
		return nil, err
	}
	cfg.Progress("core starts")
	// People come through this machine as through a proxy.
	keys := map[string]string{"database": fmt.Sprintf("url = %q\n", database), "api": "proxies = [\"127.0.0.0/8\"]\n"}
	if s.core, err = program.New(program.Config{Path: cfg.Core, Dir: dir, Keys: keys}); err != nil {
		return nil, err
	}
	if err := s.core.Start(ctx); err != nil {
		return nil, err
	}
	t.Cleanup(func() {
		if s.core.Stop() != nil {
			s.core.Kill()
		}
	})
	return s, nil
}

// directory returns the directory of a run. PostgreSQL's user must reach it.
func directory(t postgres.TB, dir string) (string, error) {
	if dir != "" {
		dir, err := filepath.Abs(dir)
		if err != nil {
			return "", err
		}
		return dir, os.MkdirAll(dir, 0o755)
	}
	dir, err := os.MkdirTemp("/tmp", "cordon-reader-") // a socket's path has 107 bytes
	if err != nil {
		return "", err
	}
	t.Cleanup(func() { os.RemoveAll(dir) })
	return dir, os.Chmod(dir, 0o755)
}

// contents is what a database was filled with.
type contents struct{ Homes, Devices, Incidents int }

// fill fills the database, unless it holds just that.
func (s *stage) fill(ctx context.Context, cfg Config, dir, database string) error {
	want, mark := contents{cfg.Homes, cfg.Devices, cfg.Incidents}, filepath.Join(dir, "filled.json")
	text, err := os.ReadFile(mark)
	if err == nil {
		var is contents
		if err := json.Unmarshal(text, &is); err != nil || is != want {
			return fmt.Errorf("%s holds other records (%+v, wanted are %+v): name another directory, or remove it", dir, is, want)
		}
		return nil
	}
	if !errors.Is(err, fs.ErrNotExist) {
		return err
	}
	db, err := store.Open(ctx, store.Config{Database: database})
	if err != nil {
		return err
	}
	began := time.Now()
	size := records.Size{Seed: cfg.Seed, Homes: cfg.Homes, Devices: cfg.Devices, Incidents: cfg.Incidents}
	err = records.Fill(ctx, db, size, func(share float64) { cfg.Progress(fmt.Sprintf("the database is filled: %.0f %%", 100*share)) })
	if err = errors.Join(err, db.Close()); err != nil {
		return fmt.Errorf("fill: %w", err)
	}
	s.filled = time.Since(began)
	text, _ = json.Marshal(want) // numbers
	return os.WriteFile(mark, text, 0o644)
}
