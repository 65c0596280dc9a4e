// Package load plays a provider's routers against the real program cordon-core, and
// measures what they cost it.
//
// Routers are light: one process plays tens of thousands. They enrol over HTTPS with keys
// of their own, hold a TLS connection to the bus each, say hello, report in batches, wait
// for acknowledgements and come back after a cut with the agents' own waits. Core is a
// child process on the same machine, so both share its processors.
package load

import (
	"context"
	"fmt"
	"io"
	"runtime"
	"text/tabwriter"
	"time"

	"golang.org/x/sys/unix"

	"cordon/agent/uplink"
	"cordon/internal/pause"
	"cordon/lab/program"
)

// Config configures a measurement.
type Config struct {
	Program  string        // path of cordon-core; empty: it is built (lab/program)
	Dir      string        // for core's directory, which must not be there yet
	Database string        // URL; empty: SQLite in Dir
	Routers  int           // that connect
	Batch    int           // reports in a batch of a router
	Rate     int           // reports a second that are held; 0: as many as core takes
	Hold     time.Duration // how long
	Returns  bool          // also measure how routers come back
	Spread   time.Duration // over what time they do; 0: as agents do
	Rest     time.Duration // before core's memory is looked at once more; 0: DefaultRest
	Profile  string        // directory for core's profiles; empty: none
	Progress func(string)  // is told what is being done; nil: nobody
}

// Defaults of a Config.
const (
	DefaultRouters = 18_000
	DefaultBatch   = 4
	DefaultHold    = 60 * time.Second
	// DefaultRest is how long core has, once all are there, to give back the memory that
	// their coming took.
	DefaultRest = 30 * time.Second
)

// Line is a line of what was measured.
type Line struct {
	What, Figure string
	Goal         string // empty: none
}

// Machine says where it was measured.
func Machine() string {
	var u unix.Utsname
	if err := unix.Uname(&u); err != nil {
		return fmt.Sprintf("%d cores", runtime.NumCPU())
	}
	return fmt.Sprintf("%d cores, Linux %s", runtime.NumCPU(), unix.ByteSliceToString(u.Release[:]))
}

// Text writes lines as a table.
func Text(to io.Writer, lines []Line) error {
	w := tabwriter.NewWriter(to, 0, 0, 2, ' ', 0)
	for _, l := range lines {
		goal := ""
		if l.Goal != "" {
			goal = "goal " + l.Goal
		}
		fmt.Fprintf(w, "%s\t%s\t%s\n", l.What, l.Figure, goal)
	}
	return w.Flush()
}

// Run measures. What it starts has ended when it returns.
func Run(ctx context.Context, cfg Config) (lines []Line, err error) {
	m := &measure{cfg: cfg}
	if m.cfg.Spread == 0 {
		m.cfg.Spread = uplink.DefaultSpread
	}
	if m.cfg.Rest == 0 {
		m.cfg.Rest = DefaultRest
	}
	if m.cfg.Progress == nil {
		m.cfg.Progress = func(string) {}
	}
	most, err := raiseFiles(uint64(cfg.Routers) + spareFiles)
	if err != nil {
		return nil, err
	}
	if fits := int(most) - spareFiles; fits < cfg.Routers {
		m.line("routers", fmt.Sprintf("%d, not %d: a process may open %d files here", fits, cfg.Routers, most), "")
		m.cfg.Routers = fits
	}
	keys := map[string]string{"operation": "profile = true\n"}
	if cfg.Database != "" {
		keys["database"] = fmt.Sprintf("url = %q\n", cfg.Database)
	}
	if m.core, err = program.New(program.Config{Path: cfg.Program, Dir: cfg.Dir, Keys: keys}); err != nil {
		return nil, err
	}
	defer m.core.Kill()
	playing, stop := context.WithCancel(ctx)
	m.crowd = newCrowd(m.cfg.Routers, m.core, m.cfg.Spread)
	defer m.crowd.wait() // core is gone by then, and so are their connections
	defer stop()
	for _, step := range []func(context.Context) error{m.begin, m.enrol, m.introduce, m.sustain, m.returns, m.verify} {
		if err := step(playing); err != nil {
			return m.lines, err
		}
	}
	own, err := UsageOf(0)
	m.line("memory of the load generator itself", megabytes(own.Resident), "")
	return m.lines, err
}

// measure is one measurement.
type measure struct {
	cfg   Config
	core  *program.Core
	crowd *crowd
	lines []Line
	base  float64 // reports that were stored before
}

func (m *measure) line(what, figure, goal string) {
	m.lines = append(m.lines, Line{what, figure, goal})
}

func (m *measure) doing(format string, args ...any) { m.cfg.Progress(fmt.Sprintf(format, args...)) }

// begin starts core and imports the routers.
func (m *measure) begin(ctx context.Context) error {
	m.doing("starting core")
	if err := m.core.Start(ctx); err != nil {
		return err
	}
	m.doing("importing %d routers", m.cfg.Routers)
	began := time.Now()
	if _, err := m.core.Import(m.crowd.list()); err != nil {
		return err
	}
	m.line("import of the list", seconds(time.Since(began)), "")
	return nil
}

// enrol lets all routers enrol and connect.
func (m *measure) enrol(ctx context.Context) error {
	before, err := m.usage()
	if err != nil {
		return err
	}
	began := time.Now()
	if err := m.crowd.enrol(ctx); err != nil {
		return err
	}
	if err := m.crowd.gathered(ctx, "enrolled", m.doing); err != nil {
		return err
	}
	took := time.Since(began)
	then, err := m.usage()
	if err != nil {
		return err
	}
	m.doing("all are connected; core rests")
	pause.For(ctx, m.cfg.Rest)
	rest, err := m.usage()
	if err != nil {
		return err
	}
	n := m.cfg.Routers
	m.line("routers connected", fmt.Sprint(n), "")
	m.line("enrolled, connected, hello said", fmt.Sprintf("%s, %.0f a second", seconds(took), float64(n)/took.Seconds()), "")
	m.line("CPU time of core for each of them", fmt.Sprintf("%.2f ms", milliseconds(then.CPU-before.CPU)/float64(n)), "")
	m.line("resident: core before, then, at rest", fmt.Sprintf("%s, %s, %s", megabytes(before.Resident), megabytes(then.Resident), megabytes(rest.Resident)), "")
	each := func(u Usage) string {
		return fmt.Sprintf("%.0f KB", float64(u.Resident-before.Resident)/1024/float64(n))
	}
	m.line("resident for each connection: then, at rest", each(then)+", "+each(rest), "100 KB")
	m.line("core's CPU with all connected and silent", share(rest.CPU-then.CPU, rest.At.Sub(then.At)), "")
	return m.heap(ctx, "connected")
}
