package main

import (
	"archive/zip"
	"context"
	"errors"
	"flag"
	"fmt"
	"io"
	"io/fs"
	"os"
	"path"
	"path/filepath"
	"strings"
	"time"

	"cordon"
	"cordon/core"
	"cordon/core/config"
	"cordon/internal/cli"
	"cordon/internal/medium"
	"cordon/internal/term"
)

const backupHelp = `
Writes the provider's identity (DIR/keys) and everything in the database, as it is at
one moment, into a new file, also while core runs. Reports that routers have sent and
the database does not have yet are not in it. Whoever has the file is the provider:
keep it as safely as core itself.

exit status:
  0  the file is whole and on the disk
  1  it is not; there is no file
  2  called wrongly, or the configuration is wrong
`

const restoreHelp = `
Fills a new core from a backup: the identity into DIR/keys, the records into the
database, which may be of the other kind: that is the way from SQLite to PostgreSQL.
A database or directory that has something in it is refused and left alone. Core must
not run meanwhile.

exit status:
  0  restored
  1  not: the error says what to do
  2  called wrongly, or the configuration is wrong
`

// The members of a backup.
const (
	recordsName = "records.jsonl"
	keysName    = "keys/"
	maxKey      = 1 << 20 // bytes of a file of the identity
)

func backupCommand(stdout, stderr *os.File) cli.Command {
	return cli.Command{Name: "backup", Args: "FILE", Short: "write identity and database into a file", Long: backupHelp,
		Setup: func(fs *flag.FlagSet) func(context.Context, []string) error {
			s := declare(fs)
			bare := fs.Bool("without-keys", false, "leave the identity out: it is kept elsewhere")
			return func(ctx context.Context, args []string) error {
				if len(args) != 1 {
					return cli.Usage("backup needs one file")
				}
				cfg, err := s.load()
				if err != nil {
					return &cli.Exit{Status: exitUsage, Err: err}
				}
				size, err := backup(ctx, cfg, args[0], !*bare, stderr)
				if err != nil {
					return err
				}
				_, err = fmt.Fprintf(stdout, "%s: %.1f MB\n", args[0], float64(size)/1e6)
				return err
			}
		}}
}

// backup writes a file that is either whole or not there, and returns its size.
func backup(ctx context.Context, cfg config.Config, to string, identity bool, stderr *os.File) (size int64, err error) {
	if _, err := os.Stat(to); err == nil {
		return 0, fmt.Errorf("%s is there already: name another file", to)
	}
	l, err := connect(ctx, cfg, stderr)
	if err != nil {
		return 0, err
	}
	defer func() { err = errors.Join(err, l.close()) }()
	f, err := os.CreateTemp(filepath.Dir(to), "."+filepath.Base(to)+".*") // 0600
	if err != nil {
		return 0, err
	}
	defer os.Remove(f.Name())
	defer f.Close()
	counted := &progress{w: f, bar: term.NewProgress(stderr, term.Is(stderr), 0, "B")}
	z := zip.NewWriter(counted)
	if identity {
		if err := packKeys(z, cfg.KeysDir()); err != nil {
			return 0, err
		}
	}
	w, err := z.CreateHeader(&zip.FileHeader{Name: recordsName, Method: zip.Deflate, Modified: time.Now()})
	if err == nil {
		err = l.stream(ctx, "/operator/records", nil, w)
	}
	counted.bar.Done()
	if err = errors.Join(err, z.Close(), f.Sync(), f.Close()); err != nil {
		return 0, fmt.Errorf("backup: %w", err)
	}
	if err := os.Link(f.Name(), to); err != nil { // unlike rename, it replaces nothing
		return 0, fmt.Errorf("backup: %w", err)
	}
	return counted.n, medium.Sync(filepath.Dir(to))
}

// packKeys adds the files of the identity.
func packKeys(z *zip.Writer, dir string) error {
	root := os.DirFS(dir)
	return fs.WalkDir(root, ".", func(name string, d fs.DirEntry, err error) error {
		if err != nil || d.IsDir() {
			return err
		}
		data, err := fs.ReadFile(root, name)
		if err != nil {
			return err
		}
		w, err := z.CreateHeader(&zip.FileHeader{Name: keysName + name, Modified: time.Now()})
		if err != nil {
			return err
		}
		_, err = w.Write(data)
		return err
	})
}

// progress counts what is written, and draws it.
type progress struct {
	w   io.Writer
	bar *term.Progress
	n   int64
}

func (p *progress) Write(b []byte) (int, error) {
	n, err := p.w.Write(b)
	p.n += int64(n)
	p.bar.Set(p.n, time.Now())
	return n, err
}

func restoreCommand(stdout, stderr *os.File) cli.Command {
	return cli.Command{Name: "restore", Args: "FILE", Short: "fill a new core from a backup", Long: restoreHelp,
		Setup: func(fs *flag.FlagSet) func(context.Context, []string) error {
			s := declare(fs)
			return func(ctx context.Context, args []string) error {
				if len(args) != 1 {
					return cli.Usage("restore needs one file")
				}
				cfg, err := s.load()
				if err != nil {
					return &cli.Exit{Status: exitUsage, Err: err}
				}
				if err := restore(ctx, cfg, args[0], stderr); err != nil {
					return err
				}
				_, err = fmt.Fprintln(stdout, "Restored. Routers connect again when 'cordon-core serve' runs.")
				return err
			}
		}}
}

// restore fills a new core: the records first, all or nothing, then the identity.
func restore(ctx context.Context, cfg config.Config, from string, stderr *os.File) error {
	z, err := zip.OpenReader(from)
	if err != nil {
		return fmt.Errorf("%s is no backup that 'cordon-core backup' made: %w", from, err)
	}
	defer z.Close()
	release, err := core.Claim(cfg.Dir)
	if err != nil {
		return err
	}
	defer release()
	identity, err := unpackKeys(&z.Reader, cfg.KeysDir())
	if err != nil {
		return err
	}
	db, err := core.OpenStore(ctx, cfg, nil)
	if err != nil {
		return err
	}
	defer db.Close()
	r, err := z.Open(recordsName)
	if err != nil {
		return fmt.Errorf("%s has no %s: it is no backup of core", from, recordsName)
	}
	defer r.Close()
	total := int64(0)
	if info, err := r.Stat(); err == nil {
		total = info.Size()
	}
	bar := term.NewProgress(stderr, term.Is(stderr), total, "B")
	err = db.Load(ctx, io.TeeReader(r, &progress{w: io.Discard, bar: bar}))
	bar.Done()
	switch {
	case errors.Is(err, cordon.ErrConflict):
		return fmt.Errorf("the database has something in it and was left alone: name an empty one with --dir or --database")
	case err != nil:
		return fmt.Errorf("restore: %w", err)
	}
	return identity()
}

// unpackKeys writes the identity beside dir, which has none yet, and returns what puts it
// there.
func unpackKeys(z *zip.Reader, dir string) (put func() error, err error) {
	files := make(map[string][]byte)
	for _, f := range z.File {
		name, ok := strings.CutPrefix(f.Name, keysName)
		if !ok || strings.HasSuffix(name, "/") {
			continue
		}
		if !filepath.IsLocal(name) || f.UncompressedSize64 > maxKey {
			return nil, fmt.Errorf("backup: %q is no part of an identity", term.Escape(f.Name))
		}
		r, err := f.Open()
		if err != nil {
			return nil, fmt.Errorf("backup: %w", err)
		}
		files[name], err = io.ReadAll(io.LimitReader(r, maxKey))
		r.Close()
		if err != nil {
			return nil, fmt.Errorf("backup: %w", err)
		}
	}
	if len(files) == 0 {
		return func() error { return nil }, nil
	}
	if there, err := os.ReadDir(dir); err == nil && len(there) > 0 {
		return nil, fmt.Errorf("%s has an identity already: routers would not know another; name an empty directory with --dir", dir)
	}
	aside := dir + ".restored" // until the records are there too
	if err := os.RemoveAll(aside); err != nil {
		return nil, err
	}
	for name, data := range files {
		to := filepath.Join(aside, filepath.FromSlash(path.Clean(name)))
		if err := errors.Join(os.MkdirAll(filepath.Dir(to), 0o700), os.WriteFile(to, data, 0o600)); err != nil {
			return nil, err
		}
	}
	return func() error {
		if err := os.Remove(dir); err != nil && !errors.Is(err, fs.ErrNotExist) { // it is empty
			return err
		}
		return os.Rename(aside, dir)
	}, nil
}
