package main

import (
	"context"
	"errors"
	"flag"
	"fmt"
	"io"
	"path/filepath"
	"strings"

	"cordon/core"
	"cordon/internal/cli"
)

const busHelp = `
Prepares an external NATS cluster for Cordon: writes to the directory --out

  credentials/     what core connects with: name it in bus.credentials
  nats-server.conf what every server of the cluster includes: who may connect
  NAME.pem         a certificate of core's CA and its key, for each --host

Routers check the servers by core's CA, so a server that they reach needs such a
certificate. What is there already is kept: running it again makes what is missing.
docs/core.md has the steps.

exit status:
  0  done
  1  it could not be done
  2  called wrongly, or the configuration is wrong
`

// busNext says what to do with what was written.
const busNext = `Written: %s

Now
  1. let each server include nats-server.conf and name its certificate;
  2. set bus.url to the servers and bus.credentials to %s;
  3. start core: 'cordon-core doctor' says whether it reaches them.
`

func busCommand(stdout io.Writer) cli.Command {
	return cli.Command{Name: "bus", Short: "prepare an external NATS cluster", Long: busHelp,
		Setup: func(fs *flag.FlagSet) func(context.Context, []string) error {
			s := declare(fs)
			out := fs.String("out", "", "write to `DIR`")
			var hosts []string
			fs.Func("host", "make a certificate for the server that routers reach as `HOST`; may be repeated", func(h string) error {
				if h == "" || strings.ContainsAny(h, "/\\\x00") || h[0] == '.' || h[0] == '-' {
					return errors.New("want a name such as bus1.provider.example, or an address")
				}
				hosts = append(hosts, h)
				return nil
			})
			return func(_ context.Context, args []string) error {
				switch {
				case len(args) > 0:
					return cli.Usage("bus takes no argument %q", args[0])
				case *out == "":
					return cli.Usage("bus needs --out DIR")
				}
				cfg, err := s.load()
				if err != nil {
					return &cli.Exit{Status: exitUsage, Err: err}
				}
				written, err := core.PrepareCluster(cfg, *out, hosts)
				if err != nil {
					return err
				}
				_, err = fmt.Fprintf(stdout, busNext, strings.Join(written, ", "), filepath.Join(*out, "credentials"))
				return err
			}
		}}
}
