// Package router runs the real agent on the router of a bed (lab/netns), as an
// operator would: the built program, a configuration file, the control socket. Its
// tests show what the agent does to real traffic in a real kernel, and what it does
// not.
package router

import (
	"context"
	"fmt"
	"os"
	"os/exec"
	"path/filepath"
	"strings"
	"sync"
	"testing"
	"time"

	"cordon/agent/control"
	"cordon/lab/netns"
)

// ready is how long the agent may take to watch all ports.
const ready = 20 * time.Second

// Agent is an agent at work.
type Agent struct {
	*control.Client
	Process *netns.Process
	Config  string // its configuration file
	Dir     string // its state

	t    testing.TB
	home *netns.Home
}

// program builds cordon-agent, once for all tests of a process.
var program = sync.OnceValues(func() (string, error) {
	if path := os.Getenv("CORDON_AGENT"); path != "" {
		return path, nil
	}
	root, err := exec.Command("go", "list", "-m", "-f", "{{.Dir}}").Output()
	if err != nil {
		return "", fmt.Errorf("find the module: %w", err)
	}
	dir, err := os.MkdirTemp("", "cordon-agent-")
	if err != nil {
		return "", err
	}
	path := filepath.Join(dir, "cordon-agent")
	build := exec.Command("go", "build", "-o", path, "./cmd/cordon-agent")
	build.Dir = strings.TrimSpace(string(root))
	build.Env = append(os.Environ(), "CGO_ENABLED=0")
	if out, err := build.CombinedOutput(); err != nil {
		return "", fmt.Errorf("build cordon-agent: %w\n%s", err, out)
	}
	return path, nil
})

// Remove removes what was built, at the end of a test program.
func Remove() {
	if os.Getenv("CORDON_AGENT") == "" {
		if path, err := program(); err == nil {
			os.RemoveAll(filepath.Dir(path))
		}
	}
}

// Start starts the agent on the home's router and waits until it watches every
// port. extra is added to its configuration, TOML with whole tables.
func Start(t testing.TB, home *netns.Home, extra string) *Agent {
	t.Helper()
	dir := t.TempDir()
	a := &Agent{t: t, home: home, Dir: filepath.Join(dir, "state"), Config: filepath.Join(dir, "agent.toml")}
	socket := filepath.Join(dir, "agent.sock")
	extra += os.Getenv("CORDON_AGENT_CONFIG") // of a build for debugging, which needs more memory
	text := fmt.Sprintf("%s\n[state]\ndir = %q\n[control]\nsocket = %q\n", extra, a.Dir, socket)
	if err := os.WriteFile(a.Config, []byte(text), 0o600); err != nil {
		t.Fatal(err)
	}
	a.Client = control.NewClient(socket)
	t.Cleanup(func() { a.Process.Kill() })
	a.Run()
	return a
}

// Run starts the agent, again if it ended.
func (a *Agent) Run() {
	a.t.Helper()
	path, err := program()
	if err != nil {
		a.t.Fatal(err)
	}
	a.Process = a.home.Router.Go(path, "run", "--config", a.Config)
	var last error
	up := netns.Holds(ready, func() bool {
		select {
		case <-a.Process.Done():
			a.t.Fatalf("the agent ended: %v\n%s", a.Process.Err(), a.Process.Output())
		default:
		}
		var s control.Status
		ctx, cancel := context.WithTimeout(context.Background(), time.Second)
		defer cancel()
		s, last = a.Status(ctx)
		return last == nil && s.Hands.State == control.PartOK
	})
	if !up {
		a.t.Fatalf("the agent is not ready after %v: %v\n%s", ready, last, a.Process.Output())
	}
}

// Device returns what the agent says of a device of the home, the zero Device while
// it knows none.
func (a *Agent) Device(i int) control.Device {
	a.t.Helper()
	devices, err := a.Devices(context.Background())
	if err != nil {
		a.t.Fatalf("%v\n%s", err, a.Process.Output())
	}
	mac := a.home.Config.DeviceMAC(i)
	for _, d := range devices {
		if d.MAC == mac {
			return d
		}
	}
	return control.Device{}
}
