// Package peers compares the agent's speed and memory with those of programs that
// do a part of its work: nDPI's ndpiReader (what is this flow), softflowd (count
// flows), tshark (look at everything).
//
// A capture comes in, or is made up; every program reads it several times, in
// turn, each a process of its own on one and the same core; out goes a Report of
// packets per CPU second and peak memory. 'cordon-lab bench-peers' prints it.
package peers

import (
	"context"
	"errors"
	"fmt"
	"io"
	"os"
	"os/exec"
	"path/filepath"
	"regexp"
	"slices"
	"strings"
	"time"

	"cordon/agent/capture/file"
	"cordon/agent/packet"
	"cordon/lab/synth"
)

// Config configures Run. Zero fields take the defaults.
type Config struct {
	Agent    string        // path of cordon-agent; required
	Programs []string      // names of those to run; none: all
	Skip     bool          // leave out programs that are not installed instead of failing
	Capture  string        // file to read; empty: one is made up and removed
	Packets  uint64        // of the made-up one; default DefaultPackets
	Rounds   int           // least runs of each; default DefaultRounds
	CPU      time.Duration // least CPU time of each over all runs; default DefaultCPU
	Dir      string        // for the made-up capture; empty: the system's
	// Progress, if set, is told what is being done, in a few words.
	Progress func(string)
}

// The defaults. Ten seconds is what the figures are asked for; the capture of
// about 3 GB stays in the page cache of a machine with 8 GB.
const (
	DefaultPackets = 4_000_000
	DefaultRounds  = 3
	DefaultCPU     = 10 * time.Second
)

// enoughCPU ends a program's rounds early: a figure of a minute is as good, and
// the slow ones would take all day.
const enoughCPU = time.Minute

// program is one of those compared.
type program struct {
	name  string
	get   string // how to get it
	limit uint64 // most packets it is given, 0: all
	ask   string // the flag that makes it tell its version
	args  func(job) []string
}

// job is what a program is to read.
type job struct {
	capture string
	packets uint64
	dir     string // for what it wants to write
	sink    string // host:port that takes what it exports
}

// The programs, ours first. Each is told to print as little as it can.
var programs = []program{
	{name: agentName, get: "make build", args: func(j job) []string {
		return []string{"replay", "--json", j.capture}
	}},
	{name: "ndpiReader", get: "apt-get install libndpi-bin", ask: "-h", args: func(j job) []string {
		return []string{"-q", "-i", j.capture}
	}},
	{name: "softflowd", get: "apt-get install softflowd", ask: "-h", args: func(j job) []string {
		return []string{"-d", "-c", "none", "-p", filepath.Join(j.dir, "softflowd.pid"), "-n", j.sink, "-r", j.capture}
	}},
	// tshark needs 35 µs and 4 kB of memory a packet: it gets the first part.
	{name: "tshark", get: "apt-get install tshark", ask: "-v", limit: 250_000, args: func(j job) []string {
		return []string{"-n", "-q", "-z", "io,stat,0", "-c", fmt.Sprint(j.packets), "-r", j.capture}
	}},
}

// agentName is the program that the others are compared with.
const agentName = "cordon-agent"

// Run compares the programs. It fails when one is missing, unless Skip is set,
// and when one fails.
func Run(ctx context.Context, cfg Config) (*Report, error) {
	cfg.complete()
	chosen, err := cfg.choose()
	if err != nil {
		return nil, err
	}
	dir, err := os.MkdirTemp(cfg.Dir, "cordon-bench-")
	if err != nil {
		return nil, fmt.Errorf("make folder for the capture: %w", err)
	}
	defer os.RemoveAll(dir)
	sink, err := openSink()
	if err != nil {
		return nil, err
	}
	defer sink.Close()
	j := job{capture: cfg.Capture, dir: dir, sink: sink.LocalAddr().String()}
	if j.capture == "" {
		j.capture = filepath.Join(dir, "bench.pcap")
		if err := cfg.makeUp(ctx, j.capture); err != nil {
			return nil, err
		}
	}
	r := &Report{Capture: filepath.Base(j.capture), Results: make([]Result, len(chosen))}
	cfg.Progress("reading the capture into the page cache")
	if r.Packets, r.Bytes, err = count(ctx, j.capture); err != nil {
		return nil, err
	}
	j.packets = r.Packets
	for i, c := range chosen {
		r.Results[i] = c.result(ctx, j)
	}
	return r, cfg.rounds(ctx, chosen, j, r.Results)
}

func (cfg *Config) complete() {
	if cfg.Packets == 0 {
		cfg.Packets = DefaultPackets
	}
	if cfg.Rounds == 0 {
		cfg.Rounds = DefaultRounds
	}
	if cfg.CPU == 0 {
		cfg.CPU = DefaultCPU
	}
	if cfg.Progress == nil {
		cfg.Progress = func(string) {}
	}
}

// installed is a program and where it is.
type installed struct {
	program
	path string
}

// choose finds the programs to run.
func (cfg *Config) choose() (chosen []installed, err error) {
	for _, name := range cfg.Programs {
		if !slices.ContainsFunc(programs, func(p program) bool { return p.name == name }) {
			return nil, fmt.Errorf("program %q: unknown", name)
		}
	}
	var missing []string
	for _, p := range programs {
		if len(cfg.Programs) > 0 && !slices.Contains(cfg.Programs, p.name) {
			continue
		}
		path, err := cfg.look(p.name)
		switch {
		case err == nil:
			chosen = append(chosen, installed{p, path})
		case !cfg.Skip || p.name == agentName:
			missing = append(missing, fmt.Sprintf("%s (%s)", p.name, p.get))
		}
	}
	if len(missing) > 0 {
		return nil, fmt.Errorf("not installed: %s", strings.Join(missing, ", "))
	}
	if len(chosen) == 0 {
		return nil, errors.New("none of the programs is installed")
	}
	return chosen, nil
}

// look finds a program; daemons are where ordinary users do not look.
func (cfg *Config) look(name string) (string, error) {
	if name == agentName {
		return exec.LookPath(cfg.Agent)
	}
	path, err := exec.LookPath(name)
	if err != nil {
		path, err = exec.LookPath(filepath.Join("/usr/sbin", name))
	}
	return path, err
}

// makeUp writes the capture of a busy home.
func (cfg *Config) makeUp(ctx context.Context, path string) error {
	cfg.Progress(fmt.Sprintf("making up %d packets", cfg.Packets))
	f, err := os.Create(path)
	if err != nil {
		return err
	}
	// The scenario makes some 40,000 packets a second: time enough for all.
	length := max(time.Minute, time.Duration(cfg.Packets/1000)*time.Second)
	_, err = synth.Write(stoppable{ctx, f}, "bench", synth.Options{Seed: 1, Packets: cfg.Packets, Duration: length})
	if err = errors.Join(err, f.Close()); err != nil {
		return fmt.Errorf("make up capture: %w", err)
	}
	return nil
}

// stoppable is a writer that fails once ctx is done.
type stoppable struct {
	ctx context.Context
	io.Writer
}

func (w stoppable) Write(b []byte) (int, error) {
	if err := w.ctx.Err(); err != nil {
		return 0, err
	}
	return w.Writer.Write(b)
}

// count reads a capture, whose pages then are in memory, and returns how many
// packets and bytes of them (on the wire) it has.
func count(ctx context.Context, path string) (packets, bytes uint64, err error) {
	r, err := file.Open(path, file.Config{})
	if err != nil {
		return 0, 0, err
	}
	defer r.Close()
	for f := (packet.Frame{}); ; packets++ {
		if packets%4096 == 0 && ctx.Err() != nil {
			return 0, 0, ctx.Err()
		}
		switch err := r.Next(&f); {
		case errors.Is(err, io.EOF) && packets == 0:
			return 0, 0, fmt.Errorf("capture %s: has no packets", path)
		case errors.Is(err, io.EOF):
			return packets, bytes, nil
		case err != nil:
			return 0, 0, err
		}
		bytes += uint64(f.Len)
	}
}

// number finds a version in what a program says about itself.
var number = regexp.MustCompile(`\d+(\.\d+)+`)

// result is what is known of a program before it ran.
func (p *installed) result(ctx context.Context, j job) Result {
	if p.limit > 0 {
		j.packets = min(j.packets, p.limit)
	}
	shown := job{capture: "FILE", packets: j.packets, sink: "127.0.0.1:PORT"}
	r := Result{Program: p.name, Version: "this one", Packets: j.packets, Args: p.args(shown), args: p.args(j)}
	if p.ask != "" {
		said, _ := exec.CommandContext(ctx, p.path, p.ask).CombinedOutput() // some exit with 1
		if r.Version = string(number.Find(said)); r.Version == "" {
			r.Version = "unknown"
		}
	}
	return r
}

// rounds runs the programs in turn until none is due.
func (cfg *Config) rounds(ctx context.Context, chosen []installed, j job, results []Result) error {
	core, err := lastCore()
	if err != nil {
		return err
	}
	for round, ran := 1, true; ran; round++ {
		ran = false
		for i := range chosen {
			r := &results[i]
			if !cfg.due(r) {
				continue
			}
			ran = true
			cfg.Progress(fmt.Sprintf("round %d: %s", round, r.Program))
			run, err := measure(ctx, core, chosen[i].path, r.args)
			if err != nil {
				return fmt.Errorf("%s: %w", r.Program, err)
			}
			r.Runs = append(r.Runs, run)
		}
	}
	return nil
}

// maxRuns bounds the runs on a capture too small to measure anything.
const maxRuns = 200

// due reports whether a program has to run again.
func (cfg *Config) due(r *Result) bool {
	n, cpu := len(r.Runs), r.CPU()
	switch {
	case n == 0:
		return true
	case n >= maxRuns || cpu >= enoughCPU:
		return false
	}
	return n < cfg.Rounds || cpu < cfg.CPU
}
