package main

import (
	"context"
	"flag"
	"fmt"
	"os"
	"os/exec"
	"slices"
	"strings"

	"cordon/internal/cli"
	"cordon/internal/term"
	"cordon/lab/live/bench"
)

const routerHelp = `
Builds homes of real kernels in network namespaces, one for each way of running
the router, sends the same traffic through all of them in turn, and compares
packets a second, and the CPU time and memory of what runs on the router. Needs
root. Nothing else should run on the machine meanwhile.

Traffic: UDP frames of 106 bytes of few flows, of 200,000 new flows, and of 8,192
flows at an even pace; TCP with segmentation offload and without.

Another program is added with --with 'NAME=COMMAND'. In COMMAND {lan} and {wan}
stand for the router's interfaces and {dir} for a directory of its own.

exit status:
  0  measured
  1  a program is missing or failed
  2  called wrongly
`

func routerCommand() cli.Command {
	return cli.Command{
		Name: "bench-router", Short: "measure what a program on a router costs the traffic", Long: routerHelp,
		Setup: func(fs *flag.FlagSet) func(context.Context, []string) error {
			var o routerOptions
			fs.StringVar(&o.agent, "agent", besideMe("cordon-agent"), "`path` of the agent; empty: without it")
			fs.StringVar(&o.setups, "setups", "", "comma-separated beginnings of the `NAMES` of the setups to measure (default: all)")
			fs.StringVar(&o.loads, "loads", "", "comma-separated numbers, from 1, of the `KINDS` of traffic (default: all)")
			fs.BoolVar(&o.skip, "skip-missing", false, "leave out programs that are not installed")
			fs.IntVar(&o.cfg.Rounds, "rounds", bench.DefaultRounds, "rounds")
			fs.DurationVar(&o.cfg.Length, "length", bench.DefaultLength, "length of one measurement")
			fs.DurationVar(&o.cfg.Settle, "settle", bench.DefaultSettle, "time that a program has to get ready")
			fs.Func("with", "one more setup: `NAME=COMMAND`; may be repeated", o.with)
			return func(ctx context.Context, args []string) error {
				if len(args) > 0 {
					return cli.Usage("bench-router takes no argument %q", args[0])
				}
				return o.run(ctx)
			}
		},
	}
}

// routerOptions are the flags of bench-router.
type routerOptions struct {
	cfg           bench.Config
	agent         string
	setups, loads string
	more          []bench.Setup
	skip          bool
}

// with takes NAME=COMMAND.
func (o *routerOptions) with(s string) error {
	name, command, ok := strings.Cut(s, "=")
	if words := strings.Fields(command); ok && name != "" && len(words) > 0 {
		o.more = append(o.more, bench.Setup{Name: name, Command: words})
		return nil
	}
	return fmt.Errorf("want NAME=COMMAND")
}

// choose makes the configuration out of the flags.
func (o *routerOptions) choose() error {
	if o.cfg.Rounds < 1 || o.cfg.Length <= 0 || o.cfg.Settle < 0 {
		return cli.Usage("bench-router: --rounds must be at least 1, --length above and --settle at least 0")
	}
	o.cfg.Setups = bench.Setups(o.agent)
	if o.setups != "" {
		names := strings.Split(o.setups, ",")
		for i := range names {
			names[i] = strings.TrimSpace(names[i])
		}
		o.cfg.Setups = slices.DeleteFunc(o.cfg.Setups, func(s bench.Setup) bool {
			return s.Name != bench.Alone && !slices.ContainsFunc(names, func(n string) bool { return strings.HasPrefix(s.Name, n) })
		})
	}
	o.cfg.Setups = append(o.cfg.Setups, o.more...)
	if o.skip {
		o.cfg.Setups = slices.DeleteFunc(o.cfg.Setups, func(s bench.Setup) bool {
			if len(s.Command) == 0 {
				return false
			}
			_, err := exec.LookPath(s.Command[0])
			return err != nil
		})
	}
	if o.loads == "" {
		return nil
	}
	all := bench.Loads()
	for _, word := range strings.Split(o.loads, ",") {
		var n int
		if _, err := fmt.Sscan(word, &n); err != nil || n < 1 || n > len(all) {
			return cli.Usage("bench-router: --loads %q: want numbers from 1 to %d", o.loads, len(all))
		}
		o.cfg.Loads = append(o.cfg.Loads, all[n-1])
	}
	return nil
}

func (o *routerOptions) run(ctx context.Context) error {
	const clear = "\r\x1b[K"
	if err := o.choose(); err != nil {
		return err
	}
	if term.Is(os.Stderr) {
		o.cfg.Progress = func(doing string) { fmt.Fprint(os.Stderr, clear, doing) }
		defer fmt.Fprint(os.Stderr, clear)
	}
	report, err := bench.Run(ctx, o.cfg)
	if err != nil {
		return fmt.Errorf("bench-router: %w", err)
	}
	if o.cfg.Progress != nil {
		fmt.Fprint(os.Stderr, clear)
	}
	if err := report.Text(os.Stdout); err != nil {
		return fmt.Errorf("write report: %w", err)
	}
	return nil
}
