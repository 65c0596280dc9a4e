package agent

import (
	"context"
	"errors"
	"fmt"
	"io"
	"log/slog"
	"net/netip"
	"time"

	"golang.org/x/sync/errgroup"

	"cordon"
	"cordon/agent/control"
	"cordon/agent/detect/known"
	"cordon/agent/home"
	"cordon/agent/packet"
	"cordon/agent/pipeline"
	"cordon/agent/uplink"
)

// SimulationConfig configures a Simulation. Source and Line are required.
type SimulationConfig struct {
	// Source gives frames whose times are about now; while nothing is seen it gives
	// frames of length 0 at least every 100 ms. io.EOF ends the simulation.
	Source     Source
	Line       uplink.Config // to core
	Home       []netip.Prefix
	Policy     cordon.Policy // empty: observe
	Flows      int           // 0: 512, as many as a made-up home has
	Indicators known.Indicators
	Enforcer   Enforcer     // nil: a record
	Log        *slog.Logger // nil: nothing is logged
}

// Simulation is an agent without a router: the same pipeline, reporter and line to
// core on frames that somebody made up. Many of them fit into one process.
type Simulation struct {
	home  home.Household
	cfg   SimulationConfig
	line  *uplink.Uplink
	begun time.Time

	calls   chan func()
	stopped chan struct{}
}

// NewSimulation makes one. It is inert until Run.
func NewSimulation(cfg SimulationConfig) (*Simulation, error) {
	if cfg.Source == nil {
		return nil, errors.New("simulation: Source is required")
	}
	if cfg.Policy == "" {
		cfg.Policy = cordon.PolicyObserve
	}
	if cfg.Flows == 0 {
		cfg.Flows = 512
	}
	if cfg.Log == nil {
		cfg.Log = slog.New(slog.DiscardHandler)
	}
	if cfg.Line.Agent == "" {
		cfg.Line.Agent = version()
	}
	if cfg.Line.Log == nil {
		cfg.Line.Log = cfg.Log
	}
	line, err := uplink.New(cfg.Line)
	if err != nil {
		return nil, err
	}
	s := &Simulation{home: home.New(version(), cfg.Policy, cfg.Log), cfg: cfg, line: line, begun: time.Now(),
		calls: make(chan func(), 16), stopped: make(chan struct{})}
	return s, nil
}

// Run plays the source and holds the line until ctx is done or the source ends.
func (s *Simulation) Run(ctx context.Context) error {
	ctx, cancel := context.WithCancel(ctx)
	defer cancel()
	cfg := Config{Source: s.cfg.Source, Sink: s.home.Diary, Home: s.cfg.Home, Policy: s.cfg.Policy, Flows: s.cfg.Flows,
		Indicators: s.cfg.Indicators, Enforcer: s.cfg.Enforcer, PolicyOf: s.home.PolicyOf, Told: s.home.Told, Allowed: s.home.Allowed}
	if err := s.home.Attach(stage{s}, s.line, &cfg); err != nil {
		return err
	}
	p, err := pipeline.New(ctx, cfg)
	if err != nil {
		return err
	}
	s.home.Pipeline = p
	p.Now = cordon.Time(p.Clock.Advance(time.Now().UnixNano()))
	s.line.Attach(s.home.Core)
	g, ctx := errgroup.WithContext(ctx)
	g.Go(func() error {
		defer cancel()
		defer close(s.stopped)
		return s.loop(ctx)
	})
	g.Go(func() error { return s.line.Run(ctx) })
	return g.Wait()
}

// loop is live.loop without a kernel.
func (s *Simulation) loop(ctx context.Context) error {
	var frame packet.Frame
	for {
		select {
		case <-ctx.Done():
			return nil
		case f := <-s.calls:
			f()
		default:
		}
		switch err := s.cfg.Source.Next(&frame); {
		case errors.Is(err, io.EOF):
			return nil
		case err != nil:
			return fmt.Errorf("simulation: %w", err)
		}
		s.home.Pipeline.Frame(&frame)
		s.home.Core.Tick(s.home.Pipeline.Now)
	}
}

// do runs f on the pipeline's goroutine.
func (s *Simulation) do(ctx context.Context, f func()) error {
	return handOver(ctx, s.calls, s.stopped, f)
}

// stage is the Simulation as what is around its home.
type stage struct{ *Simulation }

// Do runs f on the pipeline's goroutine.
func (s stage) Do(ctx context.Context, f func()) error { return s.do(ctx, f) }

func (s stage) Clock() (cordon.Time, bool) { return s.home.Pipeline.Wall(s.home.Pipeline.Now), true }

func (s stage) Spared() ([]netip.Addr, []string) { return nil, nil }

func (s stage) Asked() {}

func (s stage) PolicyChanged() {}

func (s stage) Check(doing string, err error) {
	if err != nil {
		s.cfg.Log.Warn("trouble", "doing", doing, "err", err)
	}
}

func (s stage) Health() *cordon.Health {
	line := s.line.Status()
	h := &cordon.Health{At: s.home.Pipeline.Wall(s.home.Pipeline.Now), Mode: "normal", Policy: s.home.SitePolicy(), Eyes: "simulated", Clock: true, Boot: line.Boot,
		Lost: line.Lost, Uptime: int64(time.Since(s.begun) / time.Second)}
	s.home.Measure(h)
	return h
}

func (s stage) Status() control.Status {
	st := control.Status{Version: s.cfg.Line.Agent, Mode: "normal", Policy: s.home.SitePolicy(), Started: cordon.TimeOf(s.begun),
		Uptime: time.Since(s.begun), ClockTrusted: true, InForce: make(map[cordon.Verb]int), Blind: []control.Shortcoming{},
		Eyes: control.Part{Name: "simulated", State: control.PartOK}, Core: lineView(s.line)}
	s.home.Tally(&st)
	return st
}

// Line is the simulation's line to core.
func (s *Simulation) Line() *uplink.Uplink { return s.line }

// Status says how the agent is, as its control socket would.
func (s *Simulation) Status(ctx context.Context) (st control.Status, err error) {
	err = s.do(ctx, func() { st = stage{s}.Status() })
	return st, err
}

// Devices lists the home's devices, with what is in force about them.
func (s *Simulation) Devices(ctx context.Context) (list []control.Device, err error) {
	err = s.do(ctx, func() { list = s.home.Devices() })
	return list, err
}

// Release ends an action as somebody at the router would.
func (s *Simulation) Release(ctx context.Context, id, by string) (err error) {
	stopped := s.do(ctx, func() {
		for _, a := range s.home.Pipeline.Enforcer.Active(s.home.Pipeline.Now) {
			if a.ID == id {
				if err = s.home.Pipeline.Enforcer.Release(ctx, id); err == nil {
					s.home.Released(&a, by)
				}
			}
		}
	})
	return errors.Join(stopped, err)
}
