package main

import (
	"context"
	"errors"
	"flag"
	"fmt"
	"os"

	"cordon/agent"
	"cordon/agent/config"
	"cordon/agent/control"
	"cordon/internal/cli"
	"cordon/internal/term"
)

const doctorHelp = `
Looks at everything that the agent needs on this router: the kernel, its privileges,
ports that cannot be seen, the flash, the clock. Asks the running agent, or looks by
itself when none runs. Each finding says what to change.

exit status:
  0  everything works
  1  it could not look
  2  called wrongly
  4  something does not work
`

func doctorCommand(stdout *os.File) cli.Command {
	return cli.Command{Name: "doctor", Short: "find out what keeps the agent from its work", Long: doctorHelp,
		Setup: func(fs *flag.FlagSet) func(context.Context, []string) error {
			q := &question{stdout: stdout}
			fs.BoolVar(&q.asJSON, "json", false, "print JSON (docs/reference/cordon-agent.md)")
			fs.StringVar(&q.socket, "socket", "", "ask at the socket `PATH` (default: as the configuration says)")
			path := fs.String("config", "", "read the configuration from `FILE`")
			return func(ctx context.Context, args []string) error {
				if err := none("doctor", args); err != nil {
					return err
				}
				found, err := q.examine(ctx, *path)
				if err != nil {
					return q.fail(err)
				}
				return q.findings(found)
			}
		}}
}

// examine asks the running agent, or looks without one.
func (q *question) examine(ctx context.Context, path string) ([]control.Finding, error) {
	cfg, cfgErr := loadConfig(path)
	found := []control.Finding{{Name: "config", State: control.FindingOK, Text: "The configuration is right."}}
	if cfgErr != nil {
		cfg = config.Default()
		found[0] = control.Finding{Name: "config", State: control.FindingFail, Text: cfgErr.Error(), Mend: "mend the file; 'cordon-agent config' prints every key"}
	}
	socket := q.socket
	if socket == "" {
		socket = cfg.Control.Socket
	}
	list, err := control.NewClient(socket).Doctor(ctx)
	if e := (*control.Error)(nil); errors.As(err, &e) && e.Code == control.CodeNotRunning {
		found = append(found, control.Finding{Name: "running", State: control.FindingWarn,
			Text: "The agent is not running; this is what can be seen without it.", Mend: e.Hint})
		list, err = agent.Doctor(ctx, cfg), nil
	}
	return append(found, list...), err
}

// findings prints what was found; what does not work is an error.
func (q *question) findings(list []control.Finding) error {
	failed := 0
	for _, f := range list {
		if f.State == control.FindingFail {
			failed++
		}
	}
	err := q.show(list, func(s *screen) {
		for _, f := range list {
			wrap(s, fmt.Sprintf("%s  %-20s ", s.state(f.State, 4), term.Escape(f.Name)), term.Escape(f.Text))
			if f.Mend != "" && f.State != control.FindingOK {
				wrap(s, "      to mend it: ", term.Escape(f.Mend))
			}
		}
		switch failed {
		case 0:
			s.printf("\n%s\n", s.bold("Nothing keeps the agent from its work."))
		default:
			s.printf("\n%s\n", s.bold(fmt.Sprintf("%s must be mended.", count(failed, "finding"))))
		}
	})
	if err == nil && failed > 0 {
		return &cli.Exit{Status: exitFindings}
	}
	return err
}
