// Package program runs the program cordon-core as a child of a test or a measurement: a
// directory of its own, addresses that stay, and a life that can end well or by a crash
// and begin again.
package program

import (
	"context"
	"errors"
	"fmt"
	"io"
	"maps"
	"net"
	"net/http"
	"net/netip"
	"os"
	"os/exec"
	"path/filepath"
	"runtime"
	"slices"
	"strings"
	"sync"
	"syscall"
	"time"

	"cordon/core"
	"cordon/core/config"
	"cordon/internal/pause"
)

// Config configures a Core. Dir is required.
type Config struct {
	Path string // of the program; empty: it is built, and stays until Remove
	Dir  string // has the configuration, and the core's own directory
	// Routers is the address at which routers reach it; zero: 127.0.0.1.
	Routers netip.Addr
	// Keys are lines of the configuration by section, "database": `url = "…"`; "" are
	// those of no section.
	Keys    map[string]string
	Command func(name string, args ...string) *exec.Cmd // in whose network it runs; nil: this one's
	Log     io.Writer                                   // gets what core logs; nil: a file in Dir
}

// Core is one core. It must not outlive what started it: call Kill or Stop.
type Core struct {
	Dir string // its own
	// File is its configuration, which may be changed while it does not run.
	File string

	cfg   Config
	at    map[string]string // door → address
	local *http.Client      // asks as who runs core
	cmd   *exec.Cmd         // nil: it does not run
	ended chan error
}

// doors are the sections of the configuration with an address.
var doors = []string{"api", "gateway", "bus", "operation"}

// New writes the configuration of a core, in which many routers may come from one address.
func New(cfg Config) (*Core, error) {
	if !cfg.Routers.IsValid() {
		cfg.Routers = netip.MustParseAddr("127.0.0.1")
	}
	at := make(map[string]string)
	sections := maps.Clone(cfg.Keys)
	if sections == nil {
		sections = make(map[string]string)
	}
	for _, d := range doors {
		port, err := free()
		if err != nil {
			return nil, err
		}
		at[d] = net.JoinHostPort("127.0.0.1", port)
		if d == "gateway" || d == "bus" {
			at[d] = net.JoinHostPort(cfg.Routers.String(), port)
		}
		sections[d] += fmt.Sprintf("\nlisten = %q\n", at[d])
	}
	sections["gateway"] += "requests_per_address = 1_000_000\n"
	sections["log"] += "level = \"warn\"\n"
	c := newCore(cfg, at)
	var text strings.Builder
	fmt.Fprintf(&text, "dir = %q\n%s\n", c.Dir, sections[""])
	delete(sections, "")
	for _, name := range slices.Sorted(maps.Keys(sections)) {
		fmt.Fprintf(&text, "[%s]\n%s\n", name, sections[name])
	}
	return c, os.WriteFile(c.File, []byte(text.String()), 0o600)
}

func newCore(cfg Config, at map[string]string) *Core {
	if cfg.Command == nil {
		cfg.Command = exec.Command
	}
	dir := filepath.Join(cfg.Dir, "data")
	return &Core{Dir: dir, File: filepath.Join(cfg.Dir, "core.toml"), cfg: cfg, at: at, local: core.Dial(config.Config{Dir: dir})}
}

// Second returns another core of the same provider in another directory: the same
// database, bus and identity, other addresses. c must have run.
func (c *Core) Second(dir string) (*Core, error) {
	text, err := os.ReadFile(c.File)
	if err != nil {
		return nil, err
	}
	cfg := c.cfg
	cfg.Dir = dir
	d := newCore(cfg, maps.Clone(c.at))
	own := strings.ReplaceAll(string(text), c.Dir, d.Dir)
	for _, door := range []string{"api", "gateway", "operation"} {
		port, err := free()
		if err != nil {
			return nil, err
		}
		host, _, _ := net.SplitHostPort(c.at[door])
		d.at[door] = net.JoinHostPort(host, port)
		own = strings.ReplaceAll(own, c.at[door], d.at[door])
	}
	keys := os.CopyFS(filepath.Join(d.Dir, "keys"), os.DirFS(filepath.Join(c.Dir, "keys")))
	return d, errors.Join(keys, os.WriteFile(d.File, []byte(own), 0o600))
}

// free returns a port of the loopback that nobody listens at.
func free() (string, error) {
	l, err := net.Listen("tcp", "127.0.0.1:0")
	if err != nil {
		return "", fmt.Errorf("find a free port: %w", err)
	}
	defer l.Close()
	_, port, err := net.SplitHostPort(l.Addr().String())
	return port, err
}

// built is where the program was built.
var built struct {
	sync.Once
	dir string
	err error
}

// build builds the program, once in a process.
func build() (string, error) {
	built.Do(func() {
		if built.dir, built.err = os.MkdirTemp("", "cordon-core"); built.err != nil {
			return
		}
		if out, err := exec.Command("go", "build", "-o", built.dir, "cordon/cmd/cordon-core").CombinedOutput(); err != nil {
			built.err = fmt.Errorf("go build: %w\n%s", err, out)
		}
	})
	return filepath.Join(built.dir, "cordon-core"), built.err
}

// Remove removes the program that was built. Nobody may be using it.
func Remove() {
	if built.dir != "" {
		os.RemoveAll(built.dir)
	}
}

// Command returns a command of the program with this core's configuration.
func (c *Core) Command(args ...string) (*exec.Cmd, error) {
	path, err := c.cfg.Path, error(nil)
	if path == "" {
		path, err = build()
	}
	return c.cfg.Command(path, append(args, "--config", c.File)...), err
}

// readyWithin is how long a core may take to start on a machine that does much else.
const readyWithin = 2 * time.Minute

// Start starts the core and waits until it is ready.
func (c *Core) Start(ctx context.Context) error {
	if err := c.Launch(); err != nil {
		return err
	}
	ctx, cancel := context.WithTimeout(ctx, readyWithin)
	defer cancel()
	for {
		resp, err := c.local.Get("http://localhost/readyz")
		if err == nil {
			resp.Body.Close()
			if resp.StatusCode == http.StatusOK {
				return nil
			}
		}
		select {
		case err := <-c.ended:
			c.cmd = nil
			return fmt.Errorf("core ended at once (%w)%s", err, c.said())
		default:
		}
		if !pause.For(ctx, 20*time.Millisecond) {
			return fmt.Errorf("core is not ready: %w%s", ctx.Err(), c.said())
		}
	}
}

// Launch starts the core and does not wait.
func (c *Core) Launch() error {
	cmd, err := c.Command("serve") // ended by Stop or Kill
	if err != nil {
		return err
	}
	cmd.Stderr = c.cfg.Log
	if c.cfg.Log == nil {
		log, err := os.OpenFile(c.File+".log", os.O_CREATE|os.O_APPEND|os.O_WRONLY, 0o600)
		if err != nil {
			return fmt.Errorf("start core: %w", err)
		}
		defer log.Close()
		cmd.Stderr = log
	}
	cmd.SysProcAttr = &syscall.SysProcAttr{Pdeathsig: syscall.SIGKILL, Setpgid: true}
	started, ended := make(chan error), make(chan error, 1)
	go func() { // Pdeathsig is of the thread that starts the process: it must live as long
		runtime.LockOSThread()
		err := cmd.Start()
		started <- err
		if err == nil {
			ended <- cmd.Wait()
		}
	}()
	if err := <-started; err != nil {
		return fmt.Errorf("start core: %w", err)
	}
	c.cmd, c.ended = cmd, ended
	return nil
}

// said returns the last lines of core's log, if it is in a file.
func (c *Core) said() string {
	b, err := os.ReadFile(c.File + ".log")
	if err != nil {
		return ""
	}
	return ": " + strings.TrimSpace(string(b[max(0, len(b)-2000):]))
}

// Runs reports whether the core was started and not ended.
func (c *Core) Runs() bool { return c.cmd != nil }

// PID is the process's number. The core must run.
func (c *Core) PID() int { return c.cmd.Process.Pid }

// Stop ends the core as an operator does, and waits until it is gone.
func (c *Core) Stop() error {
	if err := c.cmd.Process.Signal(syscall.SIGTERM); err != nil {
		return fmt.Errorf("end core: %w", err)
	}
	err := <-c.ended
	c.cmd = nil
	c.local.CloseIdleConnections()
	if err != nil {
		return fmt.Errorf("core ended with %w%s", err, c.said())
	}
	return nil
}

// Kill ends the core as a crash does, if it runs.
func (c *Core) Kill() {
	if c.cmd == nil {
		return
	}
	c.cmd.Process.Kill() // it may have ended just now
	<-c.ended
	c.cmd = nil
	c.local.CloseIdleConnections()
}
