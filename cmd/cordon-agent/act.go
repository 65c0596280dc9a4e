package main

import (
	"context"
	"flag"
	"os"
	"time"

	"cordon/agent/control"
	"cordon/internal/cli"
	"cordon/internal/term"
)

// everybody is what a person writes for all devices.
const everybody = "all"

func allowCommand(stdout *os.File) cli.Command {
	return ask(stdout, cli.Command{Name: "allow", Args: "DEVICE TO", Short: "let a device reach a place, for a while",
		Long: "Lets DEVICE (or 'all') reach TO, whatever the agent finds, and ends the blocks that\nsay otherwise. TO is a name, an address, or either with a port: update.example,\n192.0.2.7, 192.0.2.7:443, [2001:db8::7]:443.\nIt ends after --for, at most 90 days. 'cordon-agent release ID' ends it sooner."},
		func(fs *flag.FlagSet) func(context.Context, *question, []string) error {
			lasts, reason := lifeFlags(fs)
			return func(ctx context.Context, q *question, args []string) error {
				if len(args) != 2 {
					return cli.Usage("allow: want DEVICE and TO, such as 'allow camera update.example'")
				}
				device := args[0]
				if device == everybody {
					device = ""
				}
				o, err := q.client().Allow(ctx, control.AllowRequest{Device: device, To: args[1], For: time.Duration(*lasts), Reason: *reason})
				return q.outcome(o, err)
			}
		})
}

func quarantineCommand(stdout *os.File) cli.Command {
	return ask(stdout, cli.Command{Name: "quarantine", Args: "DEVICE", Short: "cut a device off",
		Long: "Cuts DEVICE off from the internet and from the other devices at home. It keeps what\nit needs to be mended: an address, the time, and its maker's update servers if they\nare known. It ends after --for, or with 'cordon-agent release DEVICE'."},
		func(fs *flag.FlagSet) func(context.Context, *question, []string) error {
			lasts, reason := lifeFlags(fs)
			return func(ctx context.Context, q *question, args []string) error {
				if len(args) != 1 {
					return cli.Usage("quarantine: want one DEVICE; 'cordon-agent devices' lists them")
				}
				o, err := q.client().Quarantine(ctx, control.QuarantineRequest{Device: args[0], For: time.Duration(*lasts), Reason: *reason})
				return q.outcome(o, err)
			}
		})
}

func releaseCommand(stdout *os.File) cli.Command {
	return ask(stdout, cli.Command{Name: "release", Args: "DEVICE|ID", Short: "end what is in force",
		Long: "Ends everything that is in force against DEVICE, or the one action or permission ID\n('cordon-agent why DEVICE' shows the IDs). The agent acts again if the device does\nthe same again."},
		func(fs *flag.FlagSet) func(context.Context, *question, []string) error {
			reason := fs.String("reason", "", "note `TEXT` in the record, at most 200 bytes")
			return func(ctx context.Context, q *question, args []string) error {
				if len(args) != 1 {
					return cli.Usage("release: want one DEVICE or ID; 'cordon-agent devices' shows what is in force")
				}
				o, err := q.client().Release(ctx, control.ReleaseRequest{What: args[0], Reason: *reason})
				return q.outcome(o, err)
			}
		})
}

func lifeFlags(fs *flag.FlagSet) (lasts *life, reason *string) {
	lasts = new(life)
	*lasts = life(control.DefaultLife)
	fs.Var(lasts, "for", "it ends after `DURATION`: 30m, 12h, 7d, 2w; at most 90 days")
	return lasts, fs.String("reason", "", "note `TEXT` in the record, at most 200 bytes")
}

// outcome prints what a request changed.
func (q *question) outcome(o control.Outcome, err error) error {
	if err != nil {
		return err
	}
	return q.show(o, func(s *screen) {
		for _, a := range o.Begun {
			s.printf("%s\n", s.bold("In force now"))
			showAction(s, &a)
		}
		for _, a := range o.Ended {
			s.printf("%s\n", s.bold("Ended"))
			showAction(s, &a)
		}
		for _, a := range o.Allowed {
			s.printf("%s\n", s.bold("Allowed"))
			showAllowed(s, &a)
		}
		for _, a := range o.Revoked {
			s.printf("%s\n", s.bold("No longer allowed"))
			showAllowed(s, &a)
		}
		if len(o.Begun)+len(o.Ended)+len(o.Allowed)+len(o.Revoked) == 0 {
			s.printf("Nothing had to be changed.\n")
		}
		for _, n := range o.Notes {
			wrap(s, "  ", term.Escape(n))
		}
	})
}
