package router_test

import (
	"context"
	"os"
	"testing"
	"time"

	"cordon"
	"cordon/agent/control"
	"cordon/lab/netns"
	"cordon/lab/program"
	"cordon/lab/router"
)

func TestMain(m *testing.M) {
	status := m.Run()
	router.Remove()
	program.Remove()
	os.Exit(status)
}

// protect is a configuration under which the agent acts by itself.
const protect = `
[policy]
default = "protect"
`

// inTime is how long a test waits for what must happen in a moment; it is no
// measurement.
const inTime = 20 * time.Second

// bounded ends what a test started, whatever happens.
func bounded(t *testing.T, d time.Duration) context.Context {
	ctx, cancel := context.WithTimeout(context.Background(), d)
	t.Cleanup(cancel)
	return ctx
}

// quarantined waits until a device is cut off.
func quarantined(t *testing.T, a *router.Agent, device int) {
	t.Helper()
	netns.Wait(t, inTime, "the device is cut off", func() bool { return a.Device(device).State == control.StateQuarantined })
}

// did reports whether something of a kind was done to a device.
func did(d control.Device, v cordon.Verb) bool {
	for _, a := range d.Actions {
		if a.Verb == v && a.Mode == cordon.ModeDo {
			return true
		}
	}
	return false
}
