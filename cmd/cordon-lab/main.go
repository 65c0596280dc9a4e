// Command cordon-lab is a neighbourhood on one machine: homes, devices and
// attackers that never existed, and the tests of the real thing against them.
package main

import (
	"context"
	"os"
	"os/signal"
	"syscall"

	"cordon/internal/cli"
)

// commands lists the subcommands; each lives in the file of its name.
var commands = []cli.Command{
	synthCommand(),
	evalCommand(),
	peersCommand(),
	routerCommand(),
	coreCommand(),
	liveCommand(),
	detectorsCommand(),
}

func main() {
	ctx, stop := signal.NotifyContext(context.Background(), os.Interrupt, syscall.SIGTERM)
	defer stop()
	program := cli.Program{
		Name:     "cordon-lab",
		About:    "makes homes that never existed and tests Cordon on them",
		Commands: commands,
		Stdout:   os.Stdout,
		Stderr:   os.Stderr,
	}
	os.Exit(program.Run(ctx, os.Args[1:]))
}
