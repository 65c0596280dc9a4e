package main

import (
	"context"
	"flag"
	"fmt"
	"os"
	"path/filepath"
	"slices"
	"strings"
	"time"

	"cordon/internal/cli"
	"cordon/internal/term"
	"cordon/lab/load"
	"cordon/lab/netns"
	"cordon/lab/postgres"
	"cordon/lab/reader"
)

const coreHelp = `
Runs the program cordon-core on this machine, in a directory of its own, and measures
what it takes. Both share the machine's cores, so nothing else should run meanwhile.

PART is one of
  routers  plays routers, each with a key and a TLS connection of its own: what a
           connection costs, how many reports a second core keeps up with, how long it
           takes until all routers are back after core was away
  api      plays people and programs who read and change records at once, while routers
           report, on a database with a million devices (SQLite: 100,000): how long
           answers take. Filling PostgreSQL takes some ten minutes; --keep DIR uses it again
Without --part every part is measured.

With --database postgres core uses a PostgreSQL server of its own, from Debian's
package.

exit status:
  0  measured
  1  something failed
  2  called wrongly
`

// corePart is a part of bench-core.
type corePart struct {
	name    string
	measure func(context.Context, *coreOptions) ([]load.Line, error)
	keeps   bool // its database is its own, and may stay
}

// coreParts are the parts, in the order in which they run.
var coreParts = []corePart{{"routers", benchRouters, false}, {"api", benchAPI, true}}

// coreOptions are the flags of bench-core.
type coreOptions struct {
	load.Config
	parts, database, dir string
	api                  reader.Config
	rates                string
}

func coreCommand() cli.Command {
	return cli.Command{
		Name: "bench-core", Short: "measure what core takes of many routers and people", Long: coreHelp,
		Setup: func(fs *flag.FlagSet) func(context.Context, []string) error {
			var o coreOptions
			fs.StringVar(&o.parts, "part", "", "comma-separated `PARTS` to measure (default: all)")
			fs.StringVar(&o.Program, "core", besideMe("cordon-core"), "`path` of cordon-core")
			fs.StringVar(&o.dir, "dir", "", "`folder` in which core's own is made (default: the system's for temporary files)")
			fs.StringVar(&o.database, "database", "sqlite", "sqlite or postgres")
			fs.IntVar(&o.Routers, "routers", load.DefaultRouters, "routers that connect")
			fs.IntVar(&o.Rate, "rate", 0, "reports a second that are held; 0: as many as core keeps up with")
			fs.IntVar(&o.Batch, "batch", load.DefaultBatch, "reports in a batch of a router")
			fs.DurationVar(&o.Hold, "hold", load.DefaultHold, "how long the rate is held")
			fs.BoolVar(&o.Returns, "returns", true, "also let all routers come back")
			fs.StringVar(&o.Profile, "profile", "", "keep profiles of core's memory and processor time in `DIR`")
			o.declareAPI(fs)
			return func(ctx context.Context, args []string) error {
				switch {
				case len(args) > 0:
					return cli.Usage("bench-core takes no argument %q", args[0])
				case o.Routers < 1 || o.Rate < 0 || o.Batch < 1 || o.Hold <= 0:
					return cli.Usage("bench-core: --routers and --batch must be at least 1, --rate at least 0, --hold above 0")
				case o.database != "sqlite" && o.database != "postgres":
					return cli.Usage("bench-core: --database %q: want sqlite or postgres", o.database)
				}
				return o.run(ctx)
			}
		},
	}
}

// run measures the parts that are wanted, each with a core of its own.
func (o *coreOptions) run(ctx context.Context) error {
	wanted := coreParts
	if o.parts != "" {
		wanted = nil
		for _, name := range strings.Split(o.parts, ",") {
			i := slices.IndexFunc(coreParts, func(p corePart) bool { return p.name == strings.TrimSpace(name) })
			if i < 0 {
				return cli.Usage("bench-core has no part %q", name)
			}
			wanted = append(wanted, coreParts[i])
		}
	}
	fmt.Fprintf(os.Stdout, "%s; %s\n", load.Machine(), o.database)
	for _, p := range wanted {
		lines, err := o.part(ctx, p)
		if err := load.Text(os.Stdout, lines); err != nil {
			return fmt.Errorf("write report: %w", err)
		}
		if err != nil {
			return fmt.Errorf("bench-core: %s: %w", p.name, err)
		}
	}
	return nil
}

// part measures one part. What it needs is gone when it returns.
func (o *coreOptions) part(ctx context.Context, p corePart) (lines []load.Line, err error) {
	dir, err := os.MkdirTemp(o.dir, "cordon-bench-core-")
	if err != nil {
		return nil, err
	}
	defer os.RemoveAll(dir)
	each := *o
	each.Dir = dir
	each.Progress = progressTo(os.Stderr)
	measure := func() { lines, err = p.measure(ctx, &each) }
	if o.database != "postgres" || p.keeps {
		measure()
		return lines, err
	}
	failed := netns.Run(func(t netns.TB) error { // it gives a server what a test would
		each.Database = postgres.Start(t, tunedPostgres...).Database()
		measure()
		return nil
	})
	if failed != nil {
		return lines, failed
	}
	return lines, err
}

// tunedPostgres are settings of a server of some size; PostgreSQL's defaults are of 1996.
var tunedPostgres = []string{"shared_buffers = 1GB", "max_wal_size = 4GB", "checkpoint_timeout = 15min", "random_page_cost = 1.1"}

// progressEvery is how often progress is told where it is no terminal.
const progressEvery = 10 * time.Second

// progressTo returns what tells progress: one line that changes on a terminal, else a
// line now and then.
func progressTo(f *os.File) func(string) {
	var last time.Time
	return func(doing string) {
		if term.Is(f) {
			fmt.Fprint(f, "\r\x1b[K", doing)
		} else if time.Since(last) >= progressEvery {
			last = time.Now()
			fmt.Fprintln(f, doing)
		}
	}
}

// benchRouters measures what routers ask of core.
func benchRouters(ctx context.Context, o *coreOptions) ([]load.Line, error) {
	cfg := o.Config
	if cfg.Profile != "" {
		cfg.Profile = filepath.Clean(cfg.Profile)
		if err := os.MkdirAll(cfg.Profile, 0o755); err != nil {
			return nil, err
		}
	}
	return load.Run(ctx, cfg)
}
