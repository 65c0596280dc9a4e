package main

import (
	"context"
	"errors"
	"flag"
	"fmt"
	"io"
	"net/http"

	"cordon/core"
	"cordon/internal/cli"
	"cordon/internal/term"
)

const adminHelp = `
  create EMAIL     make an administrator and print his password, once

For whoever runs core and cannot log in. The line in the record says so.

exit status:
  0  done
  1  it could not be done
  2  called wrongly, or the configuration is wrong
`

func adminCommand(stdout, stderr io.Writer) cli.Command {
	return cli.Command{Name: "admin", Args: "create EMAIL", Short: "make an administrator", Long: adminHelp,
		Setup: func(fs *flag.FlagSet) func(context.Context, []string) error {
			s := declare(fs)
			name := fs.String("name", "", "the `NAME` that people read")
			return func(ctx context.Context, args []string) error {
				if len(args) != 2 || args[0] != "create" {
					return cli.Usage("admin wants: create EMAIL")
				}
				cfg, err := s.load()
				if err != nil {
					return &cli.Exit{Status: exitUsage, Err: err}
				}
				l, err := connect(ctx, cfg, stderr)
				if err != nil {
					return err
				}
				var a core.Administrator
				err = l.post(ctx, "/operator/administrators", core.Administrator{Email: args[1], Name: *name}, &a)
				if r := (*refusal)(nil); errors.As(err, &r) && r.status == http.StatusConflict {
					err = fmt.Errorf("%s has a user already: 'reset' in the portal, or POST /v1/users/{user}/reset, gives him a new password", term.Escape(args[1]))
				}
				if err = errors.Join(err, l.close()); err != nil {
					return err
				}
				_, err = fmt.Fprintf(stdout, "This is shown once:\n\n  address:  %s\n  user:     %s\n  password: %s\n", cfg.PublicURL(), term.Escape(a.Email), a.Password)
				return err
			}
		}}
}
