package main

import (
	"context"
	"errors"
	"flag"
	"fmt"
	"os"
	"strconv"
	"strings"
	"time"

	"cordon/internal/cli"
	"cordon/internal/term"
	"cordon/lab/eval"
)

const evalHelp = `
Judges every capture that a truth file names as the router would have, and
compares: what was found, missed, found late, and cried for nothing. The file is
described in docs/reference/truth.md; 'synth --truth' writes one. With --perturb
every capture runs once more for each seed, with other addresses and ephemeral
ports, another date and one frame in a hundred lost; the same truth must come out.

exit status:
  0  every kind that is built was found in time, and there was no false alarm
  1  not so; or a capture could not be read; or with --strict, a kind is not built
  2  called wrongly, or the truth file is wrong or names no capture that is there
`

// evalFlags is what 'eval' is called with.
type evalFlags struct {
	truth, only  string
	json, strict bool
	seeds        seedList
}

func evalCommand() cli.Command {
	return cli.Command{
		Name: "eval", Short: "judge captures whose truth is known, and compare", Long: evalHelp,
		Setup: func(fs *flag.FlagSet) func(context.Context, []string) error {
			var f evalFlags
			fs.StringVar(&f.truth, "truth", "", "JSON `file` of captures and what is true of them")
			fs.StringVar(&f.only, "only", "", "judge only the captures that fit `GLOB`")
			fs.BoolVar(&f.json, "json", false, "print one JSON object a line")
			fs.BoolVar(&f.strict, "strict", false, "fail also for kinds that are not built")
			fs.Var(&f.seeds, "perturb", "add a disturbed run for each of `SEEDS` (comma-separated, repeatable)")
			return f.run
		},
	}
}

func (f *evalFlags) run(ctx context.Context, args []string) error {
	switch {
	case len(args) > 0:
		return cli.Usage("eval takes no argument %q", args[0])
	case f.truth == "":
		return cli.Usage("eval: --truth FILE is missing")
	}
	truth, err := eval.Load(f.truth)
	if err != nil {
		return cli.Usage("eval: %w", err)
	}
	for _, sentence := range truth.Ignored {
		fmt.Fprintf(os.Stderr, "eval: %s\n", sentence)
	}
	notBuilt, err := eval.NotBuilt()
	if err != nil {
		return err
	}
	var bar *term.Progress
	report, err := eval.Run(ctx, truth, eval.Config{Only: f.only, Seeds: f.seeds, NotBuilt: notBuilt,
		Progress: func(done, total int) {
			if bar == nil {
				bar = term.NewProgress(os.Stderr, term.Is(os.Stderr), int64(total), "captures")
			}
			bar.Set(int64(done), time.Now())
		}})
	if bar != nil {
		bar.Done()
	}
	if ctx.Err() != nil {
		return errors.New("eval: stopped before the last capture")
	}
	if err != nil {
		return cli.Usage("eval: %w", err)
	}
	return f.print(report)
}

// print writes the report; its tables say what failed.
func (f *evalFlags) print(report *eval.Report) error {
	write := report.Text
	if f.json {
		write = report.JSON
	}
	if err := write(os.Stdout); err != nil {
		return fmt.Errorf("write report: %w", err)
	}
	if report.Failed(f.strict) {
		return &cli.Exit{Status: 1}
	}
	return nil
}

// seedList is a flag of numbers.
type seedList []uint64

func (l *seedList) String() string { return "" }

// Set adds the seeds of a comma-separated list.
func (l *seedList) Set(s string) error {
	for _, field := range strings.Split(s, ",") {
		seed, err := strconv.ParseUint(strings.TrimSpace(field), 10, 64)
		if err != nil {
			return fmt.Errorf("seed %q: want a number from 0 on", field)
		}
		*l = append(*l, seed)
	}
	return nil
}
