// Command cordon-agent is Cordon on the router: "cordon-agent run" watches the home
// and acts, the other commands ask it or tell it, and "cordon-agent replay home.pcap"
// judges captures.
package main

import (
	"context"
	"os"
	"os/signal"
	"runtime/debug"
	"syscall"

	"cordon/internal/cli"
)

// Memory settings for a router of 128 MB. The collector runs when the heap has
// grown by half, and hard before the whole process exceeds memoryLimit bytes; run
// takes its limit from the configuration. The measured peaks are in
// docs/performance.md.
const (
	gcPercent   = 50
	memoryLimit = 20 << 20
)

func main() {
	debug.SetGCPercent(gcPercent)
	debug.SetMemoryLimit(memoryLimit)
	ctx, stop := signal.NotifyContext(context.Background(), os.Interrupt, syscall.SIGTERM)
	defer stop()
	program := cli.Program{
		Name:     "cordon-agent",
		About:    "watches the devices of a home, stops infections at the source",
		Commands: commands(),
		Stdout:   os.Stdout,
		Stderr:   os.Stderr,
	}
	os.Exit(program.Run(ctx, os.Args[1:]))
}

// commands returns the subcommands, in the order in which help lists them.
func commands() []cli.Command {
	return []cli.Command{
		runCommand(os.Stderr),
		statusCommand(os.Stdout),
		devicesCommand(os.Stdout),
		incidentsCommand(os.Stdout),
		whyCommand(os.Stdout),
		allowCommand(os.Stdout),
		quarantineCommand(os.Stdout),
		releaseCommand(os.Stdout),
		ledgerCommand(os.Stdout),
		doctorCommand(os.Stdout),
		configCommand(os.Stdout),
		replayCommand(os.Stdout, os.Stderr),
	}
}
