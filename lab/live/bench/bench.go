// Package bench measures what a program on a router costs the home's traffic. It
// builds a home for each way of running the router: alone, with the agent, with
// other programs. One program at a time runs; the same traffic goes through its
// home and through that of the router alone, one right after the other, so that
// what else happens on the machine hits both alike. That is done round by round,
// and the medians are compared.
package bench

import (
	"cmp"
	"context"
	"errors"
	"fmt"
	"os"
	"os/exec"
	"path/filepath"
	"strings"
	"time"

	"cordon/lab/netns"
)

// The defaults of a Config.
const (
	DefaultRounds = 5
	DefaultLength = 500 * time.Millisecond
	DefaultSettle = 2 * time.Second
)

// Setup is one way of running the router.
type Setup struct {
	Name string
	// Command runs on the router while it is measured; none for the router
	// alone. {dir}, {lan} and {wan} stand for a directory of the setup's own, the
	// LAN bridge and the WAN interface.
	Command []string
	// Files are written to {dir} first, by name; the same words are replaced.
	Files map[string]string
	// Settle is how long the program may take to be ready; 0: the Config's.
	Settle time.Duration
}

// Config says what is measured.
type Config struct {
	// Setups are compared with the first, which has no command.
	Setups []Setup
	Loads  []Load // none: Loads()
	Rounds int    // 0: DefaultRounds
	// Length of one measurement; 0: DefaultLength. Loads of an even pace take
	// twenty times that, to see what is done every few seconds.
	Length time.Duration
	// Settle is how long a program runs before it is measured; 0: DefaultSettle.
	Settle time.Duration
	// Progress is told what happens, if not nil.
	Progress func(doing string)
}

// Sample is one measurement of one setup under one load.
type Sample struct {
	Speed     float64       // packets a second, or megabits a second for TCP
	Base      float64       // the same of the router alone just before or after; 0: not measured
	Path      time.Duration // CPU time of a packet from the sender through the router; 0: not measured
	BasePath  time.Duration // as Base
	Lost      float64       // of the packets sent, 0 to 1
	CPU       float64       // cores that the program used
	PerPacket time.Duration // of the program's CPU
	RSS       int64         // of the program, bytes
	Peak      int64         // most memory since it started, with what the kernel holds for it and caches; 0: not known
}

// ErrEnded means that a program ended before it was measured.
var ErrEnded = errors.New("ended by itself")

// bench is a run.
type bench struct {
	cfg   Config
	homes []*netns.Home // one for each setup
	dirs  []string
	loads []Load
	out   *Report
}

// Run measures. It needs root, and a machine on which nothing else runs.
func Run(ctx context.Context, cfg Config) (*Report, error) {
	cfg.fill()
	if err := cfg.check(); err != nil {
		return nil, err
	}
	dir, err := os.MkdirTemp("", "cordon-bench")
	if err != nil {
		return nil, err
	}
	defer os.RemoveAll(dir)
	b := &bench{cfg: cfg, loads: cfg.Loads, out: newReport(cfg)}
	err = netns.Run(func(t netns.TB) error {
		for i := range cfg.Setups {
			b.homes = append(b.homes, netns.NewHome(t, netns.HomeConfig{Devices: 1}))
			own := filepath.Join(dir, fmt.Sprint(i))
			b.dirs = append(b.dirs, own)
			if err := cfg.Setups[i].write(own); err != nil {
				return err
			}
			quieten(b.homes[i])
		}
		return b.rounds(ctx)
	})
	if err != nil {
		return nil, err
	}
	return b.out, nil
}

func (c *Config) fill() {
	if c.Rounds == 0 {
		c.Rounds = DefaultRounds
	}
	if c.Length == 0 {
		c.Length = DefaultLength
	}
	if c.Settle == 0 {
		c.Settle = DefaultSettle
	}
	if len(c.Loads) == 0 {
		c.Loads = Loads()
	}
	if c.Progress == nil {
		c.Progress = func(string) {}
	}
}

// check looks for the programs.
func (c *Config) check() error {
	if len(c.Setups) == 0 || len(c.Setups[0].Command) > 0 || c.Rounds < 0 || c.Length < 0 || c.Settle < 0 {
		return fmt.Errorf("%d setups, %d rounds of %v: nothing to compare", len(c.Setups), c.Rounds, c.Length)
	}
	for _, s := range c.Setups {
		if len(s.Command) == 0 {
			continue
		}
		if _, err := exec.LookPath(s.Command[0]); err != nil {
			return fmt.Errorf("%s: %w", s.Name, err)
		}
	}
	return nil
}

// write makes the setup's directory and files.
func (s *Setup) write(dir string) error {
	if err := os.MkdirAll(dir, 0o700); err != nil {
		return err
	}
	for name, content := range s.Files {
		if err := os.WriteFile(filepath.Join(dir, name), []byte(words(content, dir)), 0o600); err != nil {
			return err
		}
	}
	return nil
}

// words puts in what {dir}, {lan} and {wan} stand for.
func words(s, dir string) string {
	return strings.NewReplacer("{dir}", dir, "{lan}", "br-lan", "{wan}", "wan").Replace(s)
}

// quieten makes the internet host drop the test's packets as they arrive, so that
// next to nothing but the router is measured.
func quieten(h *netns.Home) {
	h.Internet.NFT(fmt.Sprintf(`
table netdev bench {
	chain early {
		type filter hook ingress device "eth0" priority -500
		ip daddr %s drop
	}
}
`, sink))
}

// rounds measures everything so many times. Each round begins with another setup.
func (b *bench) rounds(ctx context.Context) error {
	first := min(1, len(b.cfg.Setups)-1) // the router alone is measured beside the others
	for round := range b.cfg.Rounds {
		for i := range len(b.cfg.Setups) - first {
			which := first + (i+round)%(len(b.cfg.Setups)-first)
			if err := b.measure(ctx, round, which); err != nil {
				return fmt.Errorf("%s: %w", b.cfg.Setups[which].Name, err)
			}
		}
	}
	return nil
}

// measure runs all loads through one setup, and through the router alone.
func (b *bench) measure(ctx context.Context, round, which int) error {
	setup, home := &b.cfg.Setups[which], b.homes[which]
	doing := fmt.Sprintf("round %d of %d: %s: ", round+1, b.cfg.Rounds, setup.Name)
	b.cfg.Progress(doing + "starting")
	program, memory, err := b.start(ctx, which)
	if err != nil {
		return err
	}
	if program != nil {
		defer memory.remove()
		defer program.Stop()
	}
	for i, load := range b.loads {
		b.cfg.Progress(doing + load.Name)
		var base Sample
		if which > 0 && load.Rate == 0 {
			if base, err = b.sample(ctx, b.homes[0], nil, load); err != nil {
				return fmt.Errorf("%s: %w", load.Name, err)
			}
			b.out.add(0, i, base)
		}
		sample, err := b.sample(ctx, home, program, load)
		if err != nil {
			return fmt.Errorf("%s: %w", load.Name, err)
		}
		sample.Base, sample.BasePath, sample.Peak = base.Speed, base.Path, memory.most()
		b.out.add(which, i, sample)
	}
	return nil
}

// start starts a setup's program, if it has one, in a memory group of its own,
// and waits until it is ready.
func (b *bench) start(ctx context.Context, which int) (*netns.Process, *group, error) {
	setup := &b.cfg.Setups[which]
	if len(setup.Command) == 0 {
		return nil, nil, nil
	}
	args := make([]string, len(setup.Command))
	for i, word := range setup.Command {
		args[i] = words(word, b.dirs[which])
	}
	program := b.homes[which].Router.Go(args[0], args[1:]...)
	memory := newGroup(program)
	if err := settle(ctx, program, cmp.Or(setup.Settle, b.cfg.Settle)); err != nil {
		program.Kill()
		memory.remove()
		return nil, nil, err
	}
	return program, memory, nil
}

// sample measures one load.
func (b *bench) sample(ctx context.Context, home *netns.Home, program *netns.Process, load Load) (Sample, error) {
	if err := forgetFlows(home.Router); err != nil {
		return Sample{}, err
	}
	var before time.Duration
	passed, err := load.run(ctx, home, b.cfg.Length, func() { before = cpuOf(program) })
	if err != nil {
		return Sample{}, err
	}
	used := cpuOf(program) - before
	if program != nil {
		select {
		case <-program.Done():
			return Sample{}, fmt.Errorf("%w: %v: %s", ErrEnded, program.Err(), tail(program.Output()))
		default:
		}
	}
	s := Sample{Speed: passed.speed, RSS: rssOf(program), CPU: used.Seconds() / passed.took.Seconds()}
	if passed.packets > 0 {
		s.PerPacket = used / time.Duration(passed.packets)
		s.Path = passed.path / time.Duration(passed.packets)
	}
	if passed.sent > 0 {
		s.Lost = 1 - float64(passed.packets)/float64(passed.sent)
	}
	return s, nil
}

// settle waits until a program is ready, which nobody tells: for a time.
func settle(ctx context.Context, program *netns.Process, d time.Duration) error {
	t := time.NewTimer(d)
	defer t.Stop()
	select {
	case <-ctx.Done():
		return ctx.Err()
	case <-program.Done():
		return fmt.Errorf("%w: %v: %s", ErrEnded, program.Err(), tail(program.Output()))
	case <-t.C:
		return nil
	}
}

// tail is the end of what a program said.
func tail(s string) string {
	s = strings.TrimSpace(s)
	return s[max(0, len(s)-500):]
}
