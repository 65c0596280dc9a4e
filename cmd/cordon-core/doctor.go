package main

import (
	"context"
	"errors"
	"flag"
	"fmt"
	"io"

	"cordon/core"
	"cordon/internal/cli"
	"cordon/internal/term"
)

const doctorHelp = `
Looks at everything that core needs on this machine: its directory and keys, the disk,
the database, certificates, how routers find it, whether it runs. Each finding says
what to do.

exit status:
  0  everything works
  1  it could not look
  2  called wrongly
  4  something does not work
`

// exitFound is the status when something does not work.
const exitFound = 4

func doctorCommand(stdout io.Writer) cli.Command {
	return cli.Command{Name: "doctor", Short: "find out what keeps core from its work", Long: doctorHelp,
		Setup: func(fs *flag.FlagSet) func(context.Context, []string) error {
			s := declare(fs)
			asJSON := fs.Bool("json", false, "print JSON")
			return func(ctx context.Context, args []string) error {
				if len(args) > 0 {
					return cli.Usage("doctor takes no argument %q", args[0])
				}
				found := []core.Finding{{Name: "config", State: core.OK, Text: "The configuration is right."}}
				cfg, err := s.load()
				if err != nil {
					found[0] = core.Finding{Name: "config", State: core.Fail, Text: err.Error(), Mend: "mend it; 'cordon-core config' prints every key"}
				} else {
					found = append(found, core.Doctor(ctx, cfg)...)
				}
				if *asJSON {
					err = encode(stdout, found)
				} else {
					err = findings(stdout, found)
				}
				for _, f := range found {
					if f.State == core.Fail && err == nil {
						err = &cli.Exit{Status: exitFound}
					}
				}
				return err
			}
		}}
}

// findings prints findings for people.
func findings(w io.Writer, list []core.Finding) error {
	var wrong []error
	say := func(format string, args ...any) {
		_, err := fmt.Fprintf(w, format, args...)
		wrong = append(wrong, err)
	}
	for _, f := range list {
		say("%-4s  %-12s  %s\n", f.State, f.Name, term.Escape(f.Text))
		if f.Mend != "" {
			say("%20s→ %s\n", "", term.Escape(f.Mend))
		}
	}
	return errors.Join(wrong...)
}
