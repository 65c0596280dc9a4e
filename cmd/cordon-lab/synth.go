package main

import (
	"context"
	"errors"
	"flag"
	"fmt"
	"io"
	"os"
	"path/filepath"
	"strings"
	"time"

	"cordon/internal/cli"
	"cordon/internal/term"
	"cordon/lab/synth"
)

const synthHelp = `
The same arguments always give the same bytes. --list shows the scenarios. What
--truth writes is for 'eval'; docs/reference/truth.md describes it.

exit status:
  0  written
  1  not written: what there was of it is removed again
  2  called wrongly, or a file exists and --force is not given
`

// synthFlags is what 'synth' is called with.
type synthFlags struct {
	synth.Options
	scenario, output, truth, start string
	force, list                    bool
}

func synthCommand() cli.Command {
	return cli.Command{
		Name: "synth", Short: "write a capture of a home that never existed", Long: synthHelp,
		Setup: func(fs *flag.FlagSet) func(context.Context, []string) error {
			var f synthFlags
			fs.Uint64Var(&f.Seed, "seed", 1, "decides everything that is left to chance")
			fs.StringVar(&f.scenario, "scenario", "calm", "`name` of what happens in the home")
			fs.StringVar(&f.output, "o", "", "`file` to write, - for standard output")
			fs.StringVar(&f.truth, "truth", "", "`file` for what really happens, as JSON for 'eval'")
			fs.BoolVar(&f.force, "force", false, "overwrite files that exist")
			fs.DurationVar(&f.Duration, "duration", 0, "length of the capture (default: the scenario's own)")
			fs.Uint64Var(&f.Packets, "packets", 0, "stop after so many packets, 0: no limit")
			fs.StringVar(&f.start, "start", synth.Epoch.Format(time.RFC3339), "`time` of the beginning, RFC 3339")
			fs.StringVar(&f.Format, "format", "pcap", "pcap or pcapng")
			fs.IntVar(&f.Snap, "snaplen", 0, "bytes kept of each packet, 0: all")
			fs.BoolVar(&f.list, "list", false, "list the scenarios")
			return f.run
		},
	}
}

func (f *synthFlags) run(ctx context.Context, args []string) error {
	if f.list {
		return listScenarios()
	}
	if err := f.check(args); err != nil {
		return err
	}
	err := f.write(ctx)
	if err != nil && ctx.Err() != nil {
		return errors.New("synth: stopped before the end of the capture")
	}
	return err
}

func listScenarios() error {
	var list strings.Builder
	for _, s := range synth.Scenarios() {
		fmt.Fprintf(&list, "%-16s %-8v %-7v %s\n", s.Name, s.Duration, s.Outcome, s.Short)
	}
	_, err := os.Stdout.WriteString(list.String())
	return err
}

// check completes the options and refuses what makes no sense.
func (f *synthFlags) check(args []string) error {
	start, err := time.Parse(time.RFC3339, f.start)
	switch {
	case len(args) > 0:
		return cli.Usage("synth takes no argument %q", args[0])
	case err != nil:
		return cli.Usage("start: %w", err)
	case f.output == "":
		return cli.Usage("-o FILE is missing (- for standard output)")
	case f.truth != "" && f.output == "-":
		return cli.Usage("--truth needs -o FILE, to name it")
	case f.truth != "" && filepath.Clean(f.truth) == filepath.Clean(f.output):
		return cli.Usage("-o and --truth name the same file %s", f.output)
	case f.output == "-" && term.Is(os.Stdout) && !isNull(os.Stdout):
		return cli.Usage("a capture is not for terminals: redirect standard output, or name a file with -o FILE")
	}
	f.Start = start
	if err := synth.Check(f.scenario, f.Options); err != nil {
		return cli.Usage("%w; --list shows the scenarios", err)
	}
	return nil
}

// write writes the capture and, if asked for, the truth: both or none.
func (f *synthFlags) write(ctx context.Context) error {
	if f.output == "-" {
		_, err := f.play(ctx, os.Stdout)
		return err
	}
	paths := []string{f.output}
	if f.truth != "" {
		paths = append(paths, f.truth)
	}
	files, err := create(f.force, paths...)
	if err != nil {
		return err
	}
	var report synth.Report
	if err = files.empty(); err == nil {
		report, err = f.play(ctx, files[0])
	}
	if err == nil && f.truth != "" {
		err = f.writeTruth(files[1], report)
	}
	if err = files.end(err); err != nil {
		return err
	}
	return f.summary(report)
}

// play writes the capture and says on a terminal how far it is.
func (f *synthFlags) play(ctx context.Context, w io.Writer) (synth.Report, error) {
	var bar *term.Progress
	f.Progress = func(done, total int64, unit string) {
		if bar == nil {
			bar = term.NewProgress(os.Stderr, term.Is(os.Stderr), total, unit)
		}
		bar.Set(done, time.Now())
	}
	defer func() {
		if bar != nil {
			bar.Done()
		}
	}()
	return synth.Write(interruptible{ctx, w}, f.scenario, f.Options)
}

// writeTruth writes the truth, in which the capture is named as seen from there.
func (f *synthFlags) writeTruth(w io.Writer, report synth.Report) error {
	capture, err := filepath.Abs(f.output)
	if err != nil {
		return err
	}
	truth, err := filepath.Abs(f.truth)
	if err != nil {
		return err
	}
	if capture, err = filepath.Rel(filepath.Dir(truth), capture); err != nil {
		return err
	}
	return report.WriteTruth(w, capture)
}

// summary says what was written and what is true in it.
func (f *synthFlags) summary(r synth.Report) error {
	var b strings.Builder
	fmt.Fprintf(&b, "%s: %d packets, %d bytes, %v\n", f.output, r.Packets, r.Bytes, r.Last.Sub(r.First).Round(time.Millisecond))
	for _, t := range r.Truth {
		fmt.Fprintf(&b, "%s (%s) does %s from %s\n", t.Device, t.Address, t.Kind, t.At)
	}
	_, err := os.Stdout.WriteString(b.String())
	return err
}

// interruptible is a writer that fails once ctx is done.
type interruptible struct {
	ctx context.Context
	io.Writer
}

func (w interruptible) Write(b []byte) (int, error) {
	if err := w.ctx.Err(); err != nil {
		return 0, err
	}
	return w.Writer.Write(b)
}
