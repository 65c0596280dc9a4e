package main

import (
	"context"
	"errors"
	"flag"
	"fmt"
	"io"
	"io/fs"
	"os"
	"runtime/debug"

	"cordon/agent"
	"cordon/agent/config"
	"cordon/internal/cli"
)

const runHelp = `
Watches the home and acts, until it is told to stop (SIGTERM, SIGINT). What is in
force stays in force then, to its own end. The configuration is read once; the
default is ` + config.Path + `, or the defaults of every key if there is none.

It needs CAP_NET_ADMIN, CAP_NET_RAW, CAP_BPF and CAP_PERFMON (Linux 6.1), and
the directories of control.socket and state.dir. 'cordon-agent doctor' says what is
missing.

exit status:
  0  it was told to stop
  1  it could not go on; the log says why
  2  called wrongly, or the configuration is wrong
`

func runCommand(stderr io.Writer) cli.Command {
	return cli.Command{Name: "run", Short: "watch the home and act", Long: runHelp,
		Setup: func(fs *flag.FlagSet) func(context.Context, []string) error {
			path := fs.String("config", "", "read the configuration from `FILE`")
			return func(ctx context.Context, args []string) error {
				if err := none("run", args); err != nil {
					return err
				}
				cfg, err := loadConfig(*path)
				if err != nil {
					return &cli.Exit{Status: exitUsage, Err: err}
				}
				debug.SetMemoryLimit(cfg.Limits.Heap())
				err = agent.Live(ctx, cfg, cfg.Log.Logger(stderr))
				if errors.Is(err, context.Canceled) && ctx.Err() != nil {
					return nil
				}
				return err
			}
		}}
}

// loadConfig reads the file, or config.Path if none is named and there is one.
func loadConfig(path string) (config.Config, error) {
	if path != "" {
		return config.Load(path)
	}
	cfg, err := config.Load(config.Path)
	if errors.Is(err, fs.ErrNotExist) {
		return config.Default(), nil
	}
	return cfg, err
}

func configCommand(stdout *os.File) cli.Command {
	return cli.Command{Name: "config", Short: "print every key of the configuration, or check a file",
		Long: `
Prints a configuration file with every key, its meaning and its default. With
--check it reads a file as the agent would, and says what is wrong with it.

exit status:
  0  done; the file is right
  1  the output could not be written
  2  called wrongly, or the file is wrong
`,
		Setup: func(fs *flag.FlagSet) func(context.Context, []string) error {
			q := &question{stdout: stdout}
			fs.BoolVar(&q.asJSON, "json", false, "with --check: print JSON")
			check := fs.String("check", "", "check `FILE`")
			return func(_ context.Context, args []string) error {
				if err := none("config", args); err != nil {
					return err
				}
				if *check == "" {
					_, err := io.WriteString(stdout, config.Reference)
					return err
				}
				return q.checked(*check)
			}
		}}
}

// checked says whether a file is right.
func (q *question) checked(file string) error {
	_, err := config.Load(file)
	said := struct {
		File  string `json:"file"`
		OK    bool   `json:"ok"`
		Error string `json:"error,omitempty"`
	}{File: file, OK: err == nil}
	if err != nil {
		if !q.asJSON {
			return &cli.Exit{Status: exitUsage, Err: err}
		}
		said.Error = err.Error()
	}
	werr := q.show(said, func(s *screen) { fmt.Fprintf(s, "%s is right.\n", file) })
	if werr == nil && err != nil {
		return &cli.Exit{Status: exitUsage}
	}
	return werr
}
