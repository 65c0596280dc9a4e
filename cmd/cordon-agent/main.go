// Command cordon-agent is Cordon on the router. For now it judges captures:
// "cordon-agent replay home.pcap".
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
// grown by half, and hard before the whole process exceeds memoryLimit bytes;
// the measured peaks are in docs/performance.md.
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
		Commands: []cli.Command{replayCommand(os.Stdout, os.Stderr)},
		Stdout:   os.Stdout,
		Stderr:   os.Stderr,
	}
	os.Exit(program.Run(ctx, os.Args[1:]))
}
