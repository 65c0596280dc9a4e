package main

import (
	"context"
	"flag"
	"fmt"
	"os"
	"path/filepath"
	"strings"

	"cordon/internal/cli"
	"cordon/internal/term"
	"cordon/lab/peers"
)

const peersHelp = `
Lets cordon-agent, ndpiReader, softflowd and tshark read one capture in turn, each
as a process on one core, and compares packets per CPU second and peak memory.
Every program runs at least --rounds times and until it has used --cpu; tshark
reads the first part only. Nothing else should run on the machine meanwhile.

exit status:
  0  measured
  1  a program is missing (the message says how to get it), or one failed
  2  called wrongly
`

func peersCommand() cli.Command {
	return cli.Command{
		Name: "bench-peers", Short: "compare the agent's speed and memory with other programs", Long: peersHelp,
		Setup: func(fs *flag.FlagSet) func(context.Context, []string) error {
			var cfg peers.Config
			var only string
			fs.StringVar(&cfg.Agent, "agent", besideMe("cordon-agent"), "`path` of the agent")
			fs.StringVar(&cfg.Capture, "capture", "", "`FILE` to read (default: a busy home is made up)")
			fs.Uint64Var(&cfg.Packets, "packets", peers.DefaultPackets, "packets of the made-up capture, about 730 bytes each")
			fs.IntVar(&cfg.Rounds, "rounds", peers.DefaultRounds, "least runs of each program")
			fs.DurationVar(&cfg.CPU, "cpu", peers.DefaultCPU, "least CPU time of each program in sum")
			fs.StringVar(&cfg.Dir, "dir", "", "`folder` for the made-up capture (default: the system's for temporary files)")
			fs.BoolVar(&cfg.Skip, "skip-missing", false, "leave out programs that are not installed")
			fs.StringVar(&only, "programs", "", "comma-separated `NAMES` of the programs to run (default: all)")
			return func(ctx context.Context, args []string) error {
				switch {
				case len(args) > 0:
					return cli.Usage("bench-peers takes no argument %q", args[0])
				case cfg.Rounds < 1 || cfg.Packets < 1 || cfg.CPU < 0:
					return cli.Usage("bench-peers: --rounds and --packets must be at least 1, --cpu at least 0")
				}
				if only != "" {
					cfg.Programs = strings.Split(only, ",")
				}
				return benchPeers(ctx, cfg)
			}
		},
	}
}

func benchPeers(ctx context.Context, cfg peers.Config) error {
	const clear = "\r\x1b[K"
	if term.Is(os.Stderr) {
		cfg.Progress = func(doing string) { fmt.Fprint(os.Stderr, clear, doing) }
		defer fmt.Fprint(os.Stderr, clear)
	}
	report, err := peers.Run(ctx, cfg)
	if err != nil {
		return fmt.Errorf("bench-peers: %w", err)
	}
	if cfg.Progress != nil {
		fmt.Fprint(os.Stderr, clear)
	}
	if err := report.Text(os.Stdout); err != nil {
		return fmt.Errorf("write report: %w", err)
	}
	return nil
}

// besideMe returns the path of a program in the folder that this one is in.
func besideMe(name string) string {
	me, err := os.Executable()
	if err != nil {
		return name
	}
	return filepath.Join(filepath.Dir(me), name)
}
