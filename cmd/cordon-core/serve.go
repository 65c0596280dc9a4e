package main

import (
	"context"
	"errors"
	"flag"
	"fmt"
	"io"
	"io/fs"
	"log/slog"

	"cordon/core"
	"cordon/core/config"
	"cordon/internal/cli"
)

// exitUsage is the status of a command that was called wrongly, or with a wrong
// configuration.
const exitUsage = 2

const serveHelp = `
Runs core until it is told to stop (SIGTERM, SIGINT). What was acknowledged to a
router is kept then, and what was begun is finished.

Without a configuration everything lives below ./data and only this machine reaches
it. At the first start keys are made and the first administrator is created; its
password is printed once.

exit status:
  0  it was told to stop
  1  it could not go on; the log says why
  2  called wrongly, or the configuration is wrong
`

func serveCommand(stdout, stderr io.Writer) cli.Command {
	return cli.Command{Name: "serve", Short: "run core", Long: serveHelp,
		Setup: func(fs *flag.FlagSet) func(context.Context, []string) error {
			s := declare(fs)
			return func(ctx context.Context, args []string) error {
				if len(args) > 0 {
					return cli.Usage("serve takes no argument %q", args[0])
				}
				cfg, err := s.load()
				if err != nil {
					return &cli.Exit{Status: exitUsage, Err: err}
				}
				return serve(ctx, cfg, cfg.Log.Logger(stderr), stdout)
			}
		}}
}

// serve runs core until ctx is done.
func serve(ctx context.Context, cfg config.Config, log *slog.Logger, stdout io.Writer) error {
	c, err := core.Open(ctx, cfg, log)
	if err != nil {
		return err
	}
	defer c.Close()
	first, err := c.FirstAdministrator(ctx)
	if err != nil {
		return err
	}
	if first != nil {
		fmt.Fprintf(stdout, "The first administrator was created. This is shown once:\n\n  address:  %s\n  user:     %s\n  password: %s\n\n",
			cfg.PublicURL(), first.Email, first.Password)
	}
	err = c.Run(ctx)
	if errors.Is(err, context.Canceled) && ctx.Err() != nil {
		return nil
	}
	return err
}

// settings are the flags by which every command finds the configuration.
type settings struct{ file, dir, database, nats string }

func declare(flags *flag.FlagSet) *settings {
	s := new(settings)
	flags.StringVar(&s.file, "config", "", "read the configuration from `FILE` (default: "+config.Path+" if there is one)")
	flags.StringVar(&s.dir, "dir", "", "keep everything in `DIR`, whatever the configuration says")
	flags.StringVar(&s.database, "database", "", "use the database `URL`: a file, or postgres://user@host/name")
	flags.StringVar(&s.nats, "nats", "", "use the NATS cluster at `URL` instead of the embedded server (needs bus.credentials in the configuration)")
	return s
}

// load reads the configuration that the flags name, and changes it as they say.
func (s *settings) load() (config.Config, error) {
	cfg := config.Default()
	var err error
	if s.file != "" {
		cfg, err = config.Load(s.file)
	} else if cfg, err = config.Load(config.Path); errors.Is(err, fs.ErrNotExist) {
		cfg, err = config.Default(), nil
	}
	if err != nil {
		return cfg, err
	}
	if s.dir != "" {
		cfg.Dir = s.dir
	}
	if s.database != "" {
		cfg.Database = s.database
	}
	if s.nats != "" {
		cfg.Bus.URL = s.nats
	}
	return cfg, cfg.Check()
}
