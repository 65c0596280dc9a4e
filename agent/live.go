package agent

import (
	"context"
	"errors"
	"log/slog"
	"net/netip"
	"sync"
	"sync/atomic"
	"time"

	"golang.org/x/sync/errgroup"

	"cordon"
	"cordon/agent/config"
	"cordon/agent/control"
	"cordon/agent/detect/known"
	"cordon/agent/enforce/dns"
	"cordon/agent/enforce/dryrun"
	"cordon/agent/enforce/nft"
	"cordon/agent/enforce/split"
	"cordon/agent/home"
	"cordon/agent/mend"
	"cordon/agent/network"
	"cordon/agent/pipeline"
	"cordon/agent/selftest"
	"cordon/agent/state"
	"cordon/agent/uplink"
	"cordon/internal/clock"
	"cordon/internal/memory"
)

// eyes are a Source on the router's own ports.
type eyes interface {
	Source
	// SetPorts says which ports to watch; what was watched and is not named is left.
	SetPorts([]cordon.Port) error
	Close() error
}

// live is an agent at work on a router. What has no other owner named is owned by
// the goroutine of loop.
type live struct {
	cfg    config.Config
	log    *slog.Logger
	ctx    context.Context
	begun  time.Time
	epoch  clock.Epoch
	run    state.Run
	store  *state.Store
	router *network.Reader
	seen   control.Part // which eyes look, and why

	home.Household
	source     eyes
	kernel     *nft.Table
	guard      *dns.Guard // nil: switched off
	indicators known.Indicators
	hosts      *mend.Hosts
	tester     *selftest.Tester

	network cordon.Network
	line    *uplink.Uplink // to core; nil: none
	lineErr error          // why there is none though there should be

	calls   chan func()
	stopped chan struct{}                  // closed when loop has returned
	hung    chan struct{}                  // closed when it will not
	beat    atomic.Int64                   // monotonic time of the last turn of loop
	view    atomic.Pointer[home.View]      // for the guard and the page
	around  atomic.Pointer[cordon.Network] // the network, for the guard and the self-test

	reconsider     chan struct{}              // the policy may have changed
	coreClock      atomic.Int64               // core's wall clock less our monotonic one; 0: unknown
	coreAddr       atomic.Pointer[netip.Addr] // where core was reached last
	coreAt         chan struct{}              // that changed
	renumbering    sync.Mutex                 // held while the network is changed
	wasSet         bool                       // the clock was set, and what was reported is corrected
	changed, dirty bool                       // to publish, to save
	urgent         bool                       // to save at once
	cut            string                     // who was cut off when it was saved last
	lost           error                      // why what was remembered could not be read

	routined, checked, savedAt cordon.Time // when it was last done
	repaired                   uint64      // times that the kernel's tables were
	troubles                   map[string]uint64
	complained                 map[string]cordon.Time
}

// Live runs the agent on a router until ctx is done: it watches the ports, judges,
// acts, and answers on the control socket. What it put in force stays in the kernel
// when it ends.
func Live(ctx context.Context, cfg config.Config, log *slog.Logger) error {
	l, err := newLive(ctx, cfg, log)
	if err != nil {
		return err
	}
	memory.GiveBack()
	err = l.serve(ctx)
	if !errors.Is(err, errHung) { // else what hangs holds what closing needs
		l.close()
	}
	return err
}

// newLive builds everything, and puts in force again what was. Nothing runs yet.
func newLive(ctx context.Context, cfg config.Config, log *slog.Logger) (l *live, err error) {
	l = &live{cfg: cfg, log: log, ctx: ctx, begun: time.Now(), calls: make(chan func(), 64), stopped: make(chan struct{}), hung: make(chan struct{}),
		Household: home.New(version(), cfg.Policy, log), reconsider: make(chan struct{}, 1), coreAt: make(chan struct{}, 1),
		troubles: make(map[string]uint64), complained: make(map[string]cordon.Time)}
	defer func() {
		if err != nil {
			l.close()
		}
	}()
	if l.router, err = network.New(network.Config{LAN: cfg.Network.LAN, WAN: cfg.Network.WAN, Spared: cfg.Network.Spared, Log: log}); err != nil {
		return l, err
	}
	if l.hosts, err = mend.New(portalHost(cfg.Page.Portal)...); err != nil {
		return l, err
	}
	l.tester = l.newTester()
	saved, err := l.remember()
	if err != nil {
		return l, err
	}
	if err := l.openKernel(ctx); err != nil {
		return l, err
	}
	if err := l.openEyes(); err != nil {
		return l, err
	}
	if err := l.openIndicators(); err != nil {
		return l, err
	}
	l.openLine()
	if err := l.build(ctx); err != nil {
		return l, err
	}
	if err := l.openGuard(); err != nil {
		return l, err
	}
	l.restore(ctx, saved)
	return l, nil
}

// build makes the pipeline.
func (l *live) build(ctx context.Context) error {
	cfg := Config{
		Source: l.source, Sink: l.Diary, Home: l.cfg.Network.Home, Policy: l.cfg.Policy, Indicators: l.indicators,
		Enforcer: split.New(l.kernel, dryrun.New()), PolicyOf: l.PolicyOf, Told: l.Told, Changed: l.touched, Trouble: l.Check,
		Allowed: l.Allowed,
	}
	if l.line != nil {
		if err := l.Attach(l, l.line, &cfg); err != nil {
			return err
		}
	}
	p, err := pipeline.New(ctx, cfg)
	if err != nil {
		return err
	}
	l.Pipeline = p
	if l.line != nil {
		l.line.Attach(l.Core)
	}
	p.Now = cordon.Time(p.Clock.Advance(l.epoch.Now()))
	l.wasSet = l.trusted()
	return nil
}

// serve runs all goroutines until one fails or ctx is done.
func (l *live) serve(ctx context.Context) error {
	server, err := control.NewServer(control.Config{Agent: desk{l}, Path: l.cfg.Control.Socket, Group: l.cfg.Control.Group, Log: l.log})
	if err != nil {
		return err
	}
	g, ctx := errgroup.WithContext(ctx)
	g.Go(func() error { defer close(l.stopped); return l.loop(ctx) })
	g.Go(func() error { return l.watch(ctx) })
	g.Go(func() error {
		if err := server.Run(ctx); err != nil && ctx.Err() == nil { // nobody can ask then; the home is protected all the same
			l.log.Error("the control socket is closed", "err", err)
		}
		return nil
	})
	g.Go(func() error { return l.store.Run(ctx) })
	g.Go(func() error { return l.servePage(ctx) })
	g.Go(func() error { return l.runGuard(ctx) })
	g.Go(func() error { return l.checkChanges(ctx) })
	g.Go(func() error { return l.followPolicy(ctx) })
	if l.line != nil {
		g.Go(func() error { return l.holdLine(ctx) })
		g.Go(func() error { return l.spareCore(ctx) })
	}
	g.Go(func() error {
		return l.router.Run(ctx, func(n cordon.Network) error { return l.networkChanged(ctx, n) })
	})
	l.log.Info("watching", "eyes", l.seen.Name, "why", l.seen.Why, "policy", l.cfg.Policy, "safe", l.run.Safe())
	ended := make(chan error, 1)
	go func() { ended <- g.Wait() }()
	select {
	case err = <-ended:
	case <-l.hung:
		return errHung
	}
	if errors.Is(err, context.Canceled) {
		err = nil
	}
	if err == nil {
		l.Pipeline.Now = cordon.Time(l.epoch.Now())
		l.store.SaveNow(l.state())
		err = l.store.Stopped()
	}
	return err
}

// close lets go of what was opened. The kernel's tables stay.
func (l *live) close() {
	if l.source != nil {
		l.source.Close()
	}
	if l.kernel != nil {
		l.kernel.Close()
	}
	if l.store != nil {
		l.store.Close()
	}
}

// examine is what the doctor finds.
func (l *live) examine(ctx context.Context) []control.Finding {
	list := Doctor(ctx, l.cfg)
	if l.line != nil {
		if s := l.line.Status(); s.State != uplink.StateConnected && s.Why != "" {
			list = append(list, control.Finding{Name: "core-line", State: control.FindingWarn, Text: s.Why, Mend: s.Mend})
		}
	}
	return list
}
