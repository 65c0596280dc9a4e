package main

import (
	"context"
	"errors"
	"flag"
	"fmt"
	"io"
	"os"
	"path/filepath"
	"time"

	"cordon/internal/cli"
	"cordon/internal/term"
	"cordon/lab/synth"
)

// synthFlags is what 'synth' is called with.
type synthFlags struct {
	synth.Options
	scenario, output, truth, start string
	list                           bool
}

func synthCommand() cli.Command {
	return cli.Command{
		Name:  "synth",
		Short: "write a capture of a home that never existed",
		Long:  "The same arguments always give the same bytes. --list shows the scenarios.\nExit status: 0 written, 1 not written, 2 called wrongly.",
		Setup: func(fs *flag.FlagSet) func(context.Context, []string) error {
			var f synthFlags
			fs.Uint64Var(&f.Seed, "seed", 1, "decides everything that is left to chance")
			fs.StringVar(&f.scenario, "scenario", "calm", "`name` of what happens in the home")
			fs.StringVar(&f.output, "o", "", "`file` to write, - for standard output")
			fs.StringVar(&f.truth, "truth", "", "`file` for what really happens, as JSON for 'eval'")
			fs.DurationVar(&f.Duration, "duration", 0, "length of the capture (default: the scenario's own)")
			fs.Uint64Var(&f.Packets, "packets", 0, "stop after so many packets, 0: no limit")
			fs.StringVar(&f.start, "start", synth.Epoch.Format(time.RFC3339), "`time` of the beginning, RFC 3339")
			fs.StringVar(&f.Format, "format", "pcap", "pcap or pcapng")
			fs.IntVar(&f.Snap, "snaplen", 0, "bytes kept of each packet, 0: all")
			fs.BoolVar(&f.list, "list", false, "list the scenarios")
			return func(ctx context.Context, args []string) error { return f.run(ctx, args) }
		},
	}
}

func (f *synthFlags) run(ctx context.Context, args []string) error {
	if f.list {
		for _, s := range synth.Scenarios() {
			fmt.Printf("%-16s %-8v %-7v %s\n", s.Name, s.Duration, s.Outcome, s.Short)
		}
		return nil
	}
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
	}
	f.Start = start
	if err := synth.Check(f.scenario, f.Options); err != nil {
		return cli.Usage("%w; --list shows the scenarios", err)
	}
	report, err := f.write(ctx)
	if err != nil {
		return err
	}
	if f.output != "-" {
		f.summary(report)
	}
	if f.truth == "" {
		return nil
	}
	return f.writeTruth(report)
}

// summary says what was written and what is true in it.
func (f *synthFlags) summary(r synth.Report) {
	fmt.Printf("%s: %d packets, %d bytes, %v\n", f.output, r.Packets, r.Bytes, r.Last.Sub(r.First).Round(time.Millisecond))
	for _, t := range r.Truth {
		fmt.Printf("%s (%s) does %s from %s\n", t.Device, t.Address, t.Kind, t.At)
	}
}

// write writes the capture and says on a terminal how far it is.
func (f *synthFlags) write(ctx context.Context) (synth.Report, error) {
	var bar *term.Progress
	f.Progress = func(done, total int64, unit string) {
		if bar == nil {
			bar = term.NewProgress(os.Stderr, isTerminal(os.Stderr), total, unit)
		}
		bar.Set(done, time.Now())
	}
	defer func() {
		if bar != nil {
			bar.Done()
		}
	}()
	if f.output == "-" {
		return synth.Write(interruptible{ctx, os.Stdout}, f.scenario, f.Options)
	}
	file, err := os.Create(f.output)
	if err != nil {
		return synth.Report{}, err
	}
	report, err := synth.Write(interruptible{ctx, file}, f.scenario, f.Options)
	return report, errors.Join(err, file.Close())
}

func (f *synthFlags) writeTruth(report synth.Report) error {
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
	file, err := os.Create(f.truth)
	if err != nil {
		return err
	}
	return errors.Join(report.WriteTruth(file, capture), file.Close())
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

func isTerminal(f *os.File) bool {
	info, err := f.Stat()
	return err == nil && info.Mode()&os.ModeCharDevice != 0
}
