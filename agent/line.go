package agent

import (
	"context"
	"crypto/ed25519"
	"crypto/x509"
	"encoding/pem"
	"errors"
	"fmt"
	"net/netip"
	"net/url"
	"os"
	"path/filepath"
	"slices"
	"strings"
	"time"

	"cordon"
	"cordon/agent/config"
	"cordon/agent/control"
	"cordon/agent/uplink"
	"cordon/internal/clock"
	"cordon/internal/memory"
)

// lineDir is where, below the directory of the state, the line to core keeps what
// survives.
const lineDir = "core"

// lineConfig makes the line's configuration of the agent's: it reads the files that
// that names.
func lineConfig(c config.Core) (cfg uplink.Config, err error) {
	cfg = uplink.Config{URL: c.URL, Serial: c.Serial, Queue: c.Queue, Agent: version(), Model: boardModel()}
	text, err := os.ReadFile(c.CA)
	if err != nil {
		return cfg, fmt.Errorf("core.ca_file: %w", err)
	}
	cfg.Roots = x509.NewCertPool()
	if !cfg.Roots.AppendCertsFromPEM(text) {
		return cfg, fmt.Errorf("core.ca_file %s: no certificate in it: want PEM", c.CA)
	}
	if c.Secret != "" {
		text, err := os.ReadFile(c.Secret)
		if err != nil {
			return cfg, fmt.Errorf("core.secret_file: %w", err)
		}
		if cfg.Secret = strings.TrimSpace(string(text)); cfg.Secret == "" {
			return cfg, fmt.Errorf("core.secret_file %s is empty", c.Secret)
		}
		return cfg, nil
	}
	text, err = os.ReadFile(c.Key)
	if err != nil {
		return cfg, fmt.Errorf("core.key_file: %w", err)
	}
	block, _ := pem.Decode(text)
	if block == nil {
		return cfg, fmt.Errorf("core.key_file %s: no PEM in it", c.Key)
	}
	key, err := x509.ParsePKCS8PrivateKey(block.Bytes)
	if err != nil {
		return cfg, fmt.Errorf("core.key_file %s: %w", c.Key, err)
	}
	var ok bool
	if cfg.Key, ok = key.(ed25519.PrivateKey); !ok {
		return cfg, fmt.Errorf("core.key_file %s: no Ed25519 key", c.Key)
	}
	return cfg, nil
}

// boardModel returns what the router says that it is, as OpenWrt and the device tree
// have it; empty if it does not say.
func boardModel() string {
	for _, name := range []string{"/tmp/sysinfo/model", "/proc/device-tree/model"} {
		if text, err := os.ReadFile(name); err == nil && len(text) < 256 {
			return strings.Trim(string(text), "\x00\n ")
		}
	}
	return ""
}

// openLine prepares the line to core. Without it, and if its files cannot be read, the
// agent works alone: the home is protected all the same.
func (l *live) openLine() {
	if l.cfg.Core.URL == "" {
		return
	}
	cfg, err := lineConfig(l.cfg.Core)
	if err != nil {
		l.lineErr = err
		l.log.Error("core cannot be told anything", "err", err)
		return
	}
	cfg.Dir = filepath.Join(l.cfg.State.Dir, lineDir)
	cfg.Start, cfg.Fresh = uint32(l.run.Starts), !l.store.Noted() || l.lost != nil
	cfg.Claim, cfg.Log = l.store.Claim, l.log
	cfg.Floor = time.Unix(0, l.epoch.Floor())
	cfg.Now = func() (time.Time, bool) {
		if wall := time.Now(); l.epoch.Trusted(wall.UnixNano()) {
			return wall, true
		}
		return time.Unix(0, l.epoch.Now()), false
	}
	cfg.Learned = func(t time.Time) { l.coreClock.Store(t.UnixNano() - clock.Monotonic()) }
	cfg.Reached = func(a netip.Addr) {
		l.coreAddr.Store(&a)
		select {
		case l.coreAt <- struct{}{}:
		default:
		}
	}
	if l.line, err = uplink.New(cfg); err != nil {
		l.lineErr = err
		l.log.Error("core cannot be told anything", "err", err)
	}
}

// holdLine holds the line to core. Without it the home is protected all the same.
func (l *live) holdLine(ctx context.Context) error {
	if err := l.line.Run(ctx); err != nil && ctx.Err() == nil {
		l.log.Error("core cannot be told anything", "err", err)
	}
	return nil
}

// wallClock returns the wall clock: the router's own if it was set, else core's.
func (l *live) wallClock() int64 {
	wall := time.Now().UnixNano()
	if base := l.coreClock.Load(); base != 0 && !l.epoch.Trusted(wall) {
		return base + clock.Monotonic()
	}
	return wall
}

// trusted reports whether the wall clock can be right.
func (l *live) trusted() bool { return l.epoch.Trusted(l.wallClock()) }

// Clock returns the wall time, and whether it is right.
func (l *live) Clock() (cordon.Time, bool) {
	return l.Pipeline.Wall(l.Pipeline.Now), l.wasSet && l.trusted()
}

// Spared returns what no order may block.
func (l *live) Spared() (addrs []netip.Addr, names []string) {
	addrs = slices.Concat(l.network.Spared, l.network.Addrs)
	if a := l.coreAddr.Load(); a != nil {
		addrs = append(addrs, *a)
	}
	if u, err := url.Parse(l.cfg.Core.URL); err == nil {
		names = append(names, u.Hostname())
	}
	return addrs, names
}

// spareCore sees to it that nothing ever blocks core itself.
func (l *live) spareCore(ctx context.Context) error {
	for {
		select {
		case <-ctx.Done():
			return nil
		case <-l.coreAt:
		}
		l.renumbering.Lock()
		if n := l.around.Load(); n != nil && len(n.LAN) > 0 && !slices.Contains(n.Spared, *l.coreAddr.Load()) {
			again := *n
			again.Spared = append(slices.Clone(n.Spared), *l.coreAddr.Load())
			l.around.Store(&again)
			l.test(ctx, "core's address", func() error { return l.kernel.SetNetwork(ctx, again) }, func() error { return l.kernel.SetNetwork(ctx, *n) })
			l.Do(ctx, func() { l.network.Spared = again.Spared })
		}
		l.renumbering.Unlock()
	}
}

// Health says how the agent is, for core.
func (l *live) Health() *cordon.Health {
	s := &cordon.Health{At: l.Pipeline.Wall(l.Pipeline.Now), Mode: "normal", Policy: l.SitePolicy(), Eyes: l.seen.Name,
		Uptime: int64(time.Since(l.begun) / time.Second), Resident: memory.Resident(), Clock: l.trusted(), Counters: l.counters()}
	if l.run.Safe() {
		s.Mode, s.Why = "safe", fmt.Sprintf("it ended badly %d times in a row", l.run.Crashes)
	}
	l.Measure(s)
	for _, p := range l.network.LAN {
		s.Lacks = append(s.Lacks, named(p.Name, p.Blind)...)
		s.Lacks = append(s.Lacks, named(p.Name, p.CannotIsolate)...)
	}
	for _, p := range []struct {
		name string
		part control.Part
	}{{"eyes", l.seen}, {"hands", l.hands()}, {"guard", l.guardPart()}, {"flash", l.flash()}} {
		s.Parts = append(s.Parts, cordon.Part{Name: p.name, State: p.part.State, Why: p.part.Why})
	}
	if l.line != nil {
		line := l.line.Status()
		s.Boot, s.Lost = line.Boot, line.Lost
	}
	return s
}

func named(port string, list []cordon.Shortcoming) []cordon.Shortcoming {
	list = slices.Clone(list)
	for i := range list {
		list[i].Name = port + ": " + list[i].Name
	}
	return list
}

// lineView says how the line to core is, nil if there is none.
func lineView(line *uplink.Uplink) *control.Core {
	if line == nil {
		return nil
	}
	s := line.Status()
	v := &control.Core{State: string(s.State), Why: s.Why, Mend: s.Mend, URL: s.URL, Router: s.Router, Since: s.Since, Acknowledged: s.Acked,
		Renew: s.Renew, Desired: s.Desired, Shared: s.Shared, Waiting: s.Waiting, OnFlash: s.OnFlash, Lost: s.Lost, Sent: s.Sent,
		Refused: s.Refused, Flash: s.Flash}
	return v
}

// coreView says how the line to core is.
func (l *live) coreView() *control.Core {
	if l.lineErr != nil {
		return &control.Core{State: control.PartFailed, URL: l.cfg.Core.URL, Why: l.lineErr.Error(),
			Mend: "mend the [core] table of the configuration and restart the agent"}
	}
	return lineView(l.line)
}

// errNoLine says that there is no core to have sent anything to.
var errNoLine = errors.New("the agent has no core")

// Ledger returns the newest lines of what was sent to core.
func (d desk) Ledger(_ context.Context, n int) ([]control.Sent, error) {
	if d.line == nil {
		return nil, &control.Error{Code: control.CodeNotFound, Message: errNoLine.Error(), Hint: "name one in the [core] table of its configuration"}
	}
	return sentOf(d.line.Ledger(n)), nil
}

func sentOf(lines []uplink.Line) []control.Sent {
	list := make([]control.Sent, 0, len(lines))
	for _, l := range lines {
		list = append(list, control.Sent(l))
	}
	return list
}
