package main

import (
	"context"
	"flag"
	"fmt"
	"io"
	"os"
	"strings"
	"time"

	"cordon/internal/cli"
	"cordon/lab/live/scene"
	"cordon/lab/netns"
)

const liveHelp = `
Builds a home of real kernels in network namespaces: devices, a router that
forwards and masquerades, and an internet that nobody else sees. One device
attacks while another downloads and calls; then it says what left the router and
when, and what the neighbour lost. Needs root.

ATTACK is one of none, scan (Mirai's, 160 SYNs at once), bot (fetches its program,
calls home, guesses passwords, scans), or a flood: syn, ack, udp, gre, icmp, dns,
http.

--router runs a command on the router meanwhile; {lan} and {wan} in it stand for
the router's interfaces. While it lasts, the hosts can be entered by the commands
that it prints first.

exit status:
  0  played
  1  something failed
  2  called wrongly
`

func liveCommand() cli.Command {
	return cli.Command{
		Name: "live", Args: "[ATTACK]", Short: "attack from a home in network namespaces", Long: liveHelp,
		Setup: func(fs *flag.FlagSet) func(context.Context, []string) error {
			var cfg scene.Config
			var router string
			fs.IntVar(&cfg.Devices, "devices", 3, "devices of the home")
			fs.IntVar(&cfg.Rate, "rate", 5000, "packets a second of a flood")
			fs.DurationVar(&cfg.Length, "for", 10*time.Second, "how long")
			fs.DurationVar(&cfg.Settle, "settle", 2*time.Second, "time that the router's command has to get ready")
			fs.StringVar(&router, "router", "", "`COMMAND` to run on the router")
			return func(ctx context.Context, args []string) error {
				switch len(args) {
				case 0:
					cfg.Attack = "none"
				case 1:
					cfg.Attack = args[0]
				default:
					return cli.Usage("live takes one attack, not %q", args)
				}
				cfg.Router = strings.Fields(router)
				cfg.Ready = func(h *netns.Home) { hosts(os.Stderr, h) }
				return playLive(ctx, cfg)
			}
		},
	}
}

func playLive(ctx context.Context, cfg scene.Config) error {
	report, err := scene.Run(ctx, cfg)
	if err != nil {
		return fmt.Errorf("live: %w", err)
	}
	if _, err := io.WriteString(os.Stderr, report.Program); err != nil {
		return err
	}
	return report.Text(os.Stdout)
}

// hosts says how to enter the hosts of a home.
func hosts(w io.Writer, h *netns.Home) {
	for _, host := range append([]*netns.Host{h.Router, h.Internet}, h.Devices...) {
		fmt.Fprintf(w, "%-9s ip netns exec %s sh\n", host.Name, host.Namespace)
	}
}
