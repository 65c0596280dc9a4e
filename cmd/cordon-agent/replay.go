package main

import (
	"context"
	"errors"
	"flag"
	"fmt"
	"net/netip"
	"os"
	"strings"
	"time"

	"cordon"
	"cordon/agent"
	"cordon/agent/capture/file"
	"cordon/internal/cli"
	"cordon/internal/term"
)

const replayHelp = `
Judges captures of a home's traffic as the router would have judged it live, and
prints the devices of the home, each incident with its time line and evidence,
and what would have been done and when. Nothing is sent and nothing is blocked.

FILE is pcap or pcapng, plain or gzip, "-" is standard input. Several files are
merged by time. Time is the packets' own: the same captures give the same output.

exit status:
  0  the captures were judged, whatever was found
  1  a capture is damaged, or the program was stopped: what was read was judged,
     and the message says where it broke; or the output could not be written
  2  called wrongly, or a file is empty, missing or no capture
`

// reporter is a sink that writes a report of the kind asked for.
type reporter interface {
	agent.Sink
	// Finish writes what is left.
	Finish(agent.Summary) error
}

func replayCommand(stdout, stderr *os.File) cli.Command {
	return cli.Command{
		Name: "replay", Args: "FILE…", Short: "judge captures as if they were live", Long: replayHelp,
		Setup: func(fs *flag.FlagSet) func(context.Context, []string) error {
			asJSON := fs.Bool("json", false, "print one JSON object a line (docs/reference/replay-json.md)")
			home := fs.String("home", "", "comma-separated `PREFIXES` of the home's side (default: the private ranges)")
			policy := fs.String("policy", "protect", "how far the router may go: off, observe, ask or `protect`")
			indicators := fs.String("indicators", "", "`FILE` of places known to be hostile, CSV or STIX 2.1 (docs/reference/indicators.md)")
			since := fs.String("since", "", "report nothing from before `TIME` (RFC 3339)")
			return func(ctx context.Context, files []string) error {
				cfg, err := replayConfig(*home, *policy, *since)
				if err != nil {
					return err
				}
				var r reporter = newTextReport(stdout, colored(stdout), cfg.Policy, strings.Join(files, ", "))
				if *asJSON {
					r = newJSONReport(stdout)
				}
				return replay(ctx, job{files: files, indicators: *indicators, cfg: cfg, report: r, stderr: stderr})
			}
		},
	}
}

func replayConfig(home, policy, since string) (cfg agent.Config, err error) {
	if cfg.Policy, err = cordon.ParsePolicy(policy); err != nil {
		return cfg, cli.Usage("replay: %w", err)
	}
	for _, s := range strings.FieldsFunc(home, func(r rune) bool { return r == ',' || r == ' ' }) {
		p, err := netip.ParsePrefix(s)
		if err != nil {
			a, aerr := netip.ParseAddr(s)
			if aerr != nil {
				return cfg, cli.Usage("replay: home prefix %q: want a prefix such as 192.168.1.0/24", s)
			}
			p = netip.PrefixFrom(a, a.BitLen())
		}
		cfg.Home = append(cfg.Home, p.Masked())
	}
	if since != "" {
		t, err := time.Parse(time.RFC3339Nano, since)
		if err != nil {
			return cfg, cli.Usage("replay: since %q: want a time such as 2026-03-01T06:00:00Z", since)
		}
		cfg.Since = cordon.TimeOf(t)
	}
	return cfg, nil
}

// job is one replay.
type job struct {
	files      []string
	indicators string // file; empty: none
	cfg        agent.Config
	report     reporter
	stderr     *os.File
}

// replay judges the files and reports. What was readable of a damaged capture is
// reported before the damage is.
func replay(ctx context.Context, j job) error {
	if len(j.files) == 0 {
		return cli.Usage("replay: no FILE given; '-' is standard input")
	}
	readers, err := openAll(j.files)
	if err != nil {
		return &cli.Exit{Status: 2, Err: err}
	}
	defer closeAll(readers)
	cfg, progress := j.cfg, newProgress(readers, j.stderr)
	cfg.Source, cfg.Sink, cfg.Tick = merged(readers), j.report, progress.tick
	if j.indicators != "" {
		source := &firstFrame{Source: cfg.Source}
		set, err := compile(j.indicators, source, j.stderr)
		if err != nil {
			return &cli.Exit{Status: 2, Err: err}
		}
		defer set.Close()
		cfg.Source, cfg.Indicators = source, set
	}
	var summary agent.Summary
	err = file.Guard(func() (err error) {
		summary, err = agent.Run(ctx, cfg)
		return err
	})
	progress.Done()
	if ferr := j.report.Finish(summary); ferr != nil {
		return fmt.Errorf("write report: %w", ferr)
	}
	if errors.Is(err, context.Canceled) {
		return errors.New("replay: stopped before the end of the capture")
	}
	return err
}

func openAll(files []string) (readers []*file.Reader, err error) {
	for _, name := range files {
		r, err := file.Open(name, file.Config{})
		if err != nil {
			closeAll(readers)
			return nil, err
		}
		readers = append(readers, r)
	}
	return readers, nil
}

// merged returns the frames of all readers by time.
func merged(readers []*file.Reader) agent.Source {
	if len(readers) == 1 {
		return readers[0]
	}
	return file.Merge(readers...)
}

func closeAll(readers []*file.Reader) {
	for _, r := range readers {
		r.Close()
	}
}

// progress draws how far reading has come.
type progress struct {
	*term.Progress
	readers []*file.Reader
}

func newProgress(readers []*file.Reader, stderr *os.File) progress {
	var total int64
	for _, r := range readers {
		total += r.Size()
	}
	return progress{term.NewProgress(stderr, term.Is(stderr), total, "B"), readers}
}

func (p progress) tick() {
	var done int64
	for _, r := range p.readers {
		done += r.Offset()
	}
	p.Set(done, time.Now())
}

// colored follows the conventions of NO_COLOR (no-color.org) and of dumb terminals.
func colored(f *os.File) bool {
	return term.Is(f) && os.Getenv("NO_COLOR") == "" && os.Getenv("TERM") != "dumb"
}
