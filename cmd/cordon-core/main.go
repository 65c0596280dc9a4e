// Command cordon-core is Cordon at the provider: "cordon-core serve" takes what
// routers report, tells them what to do and answers people; the other commands ask
// it, or look after what it keeps.
package main

import (
	"context"
	"os"
	"os/signal"
	"syscall"

	"cordon/internal/cli"
)

func main() {
	ctx, stop := signal.NotifyContext(context.Background(), os.Interrupt, syscall.SIGTERM)
	defer stop()
	program := cli.Program{
		Name:     "cordon-core",
		About:    "takes what routers report, tells them what to do, answers people",
		Commands: commands(),
		Stdout:   os.Stdout,
		Stderr:   os.Stderr,
	}
	os.Exit(program.Run(ctx, os.Args[1:]))
}

// commands returns the subcommands, in the order in which help lists them.
func commands() []cli.Command {
	return []cli.Command{
		serveCommand(os.Stdout, os.Stderr),
		routersCommand(os.Stdin, os.Stdout, os.Stderr),
		adminCommand(os.Stdout, os.Stderr),
		backupCommand(os.Stdout, os.Stderr),
		restoreCommand(os.Stdout, os.Stderr),
		doctorCommand(os.Stdout),
		busCommand(os.Stdout),
		configCommand(os.Stdout),
	}
}
