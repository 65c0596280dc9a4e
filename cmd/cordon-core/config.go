package main

import (
	"context"
	"flag"
	"fmt"
	"io"

	"cordon/core/config"
	"cordon/internal/cli"
)

func configCommand(stdout io.Writer) cli.Command {
	return cli.Command{Name: "config", Short: "print every key of the configuration, or check a file",
		Long: `
Prints a configuration file with every key, its meaning and its default. With
--check it reads a file as core would, and says what is wrong with it.

exit status:
  0  done; the file is right
  1  the output could not be written
  2  called wrongly, or the file is wrong
`,
		Setup: func(fs *flag.FlagSet) func(context.Context, []string) error {
			check := fs.String("check", "", "check `FILE`")
			return func(_ context.Context, args []string) error {
				if len(args) > 0 {
					return cli.Usage("config takes no argument %q", args[0])
				}
				if *check == "" {
					_, err := io.WriteString(stdout, config.Reference)
					return err
				}
				if _, err := config.Load(*check); err != nil {
					return &cli.Exit{Status: exitUsage, Err: err}
				}
				_, err := fmt.Fprintf(stdout, "%s is right.\n", *check)
				return err
			}
		}}
}
