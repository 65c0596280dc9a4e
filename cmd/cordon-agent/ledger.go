package main

import (
	"context"
	"flag"
	"fmt"
	"os"

	"cordon/agent/control"
	"cordon/internal/cli"
	"cordon/internal/term"
)

func ledgerCommand(stdout *os.File) cli.Command {
	return ask(stdout, cli.Command{Name: "ledger", Short: "list what was sent to the provider's core",
		Long: "Lists what the agent told the provider's core, the newest last: when, of what sort, about\nwhich device, and what it said. Lines are written to flash once an hour."},
		func(flags *flag.FlagSet) func(context.Context, *question, []string) error {
			n := flags.Int("lines", 100, fmt.Sprintf("show at most `N` lines, up to %d", control.MaxLedger))
			return func(ctx context.Context, q *question, args []string) error {
				if err := none("ledger", args); err != nil {
					return err
				}
				list, err := q.client().Ledger(ctx, *n)
				if err != nil {
					return err
				}
				return q.show(list, func(s *screen) { showLedger(s, list) })
			}
		})
}

func showLedger(s *screen, list []control.Sent) {
	if len(list) == 0 {
		s.printf("Nothing was sent.\n")
		return
	}
	rows := [][]string{{"SENT", "SORT", "DEVICE", "WHAT", "BYTES", "REPORT"}}
	for _, l := range list {
		rows = append(rows, []string{l.Sent.Std().Format(stamp), l.Sort, l.Device, l.Text, fmt.Sprint(l.Bytes), l.Report})
	}
	s.table("", rows)
}

// showCore says how the line to core is.
func showCore(s *screen, c *control.Core) {
	if c == nil {
		return
	}
	line := fmt.Sprintf("%s, %s", s.state(c.State, 0), term.Escape(c.URL))
	if c.Since != 0 {
		line += ", since " + moment(c.Since)
	}
	s.printf("  %-10s %s\n", "core", line)
	if c.Why != "" {
		wrap(s, "             why: ", term.Escape(c.Why))
	}
	if c.Mend != "" {
		wrap(s, "             to mend it: ", term.Escape(c.Mend))
	}
	if c.Router != "" {
		s.printf("             router %s, desired version %d\n", term.Escape(c.Router), c.Desired)
	}
	told := fmt.Sprintf("%s waiting, %d sent", count(c.Waiting, "report"), c.Sent)
	if c.Acknowledged != 0 {
		told += ", the last at " + moment(c.Acknowledged)
	}
	if c.Lost > 0 {
		told += fmt.Sprintf(", %d lost for want of room", c.Lost)
	}
	s.printf("             %s\n", told)
	if c.Flash != "" {
		wrap(s, "             flash: ", term.Escape(c.Flash))
	}
}
