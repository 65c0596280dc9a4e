package provider

import (
	"bytes"
	"context"
	"fmt"
	"sync"
	"time"

	"cordon"
	"cordon/agent"
	"cordon/agent/capture/file"
	"cordon/lab/pace"
	"cordon/lab/synth"
)

// captures are what was made already: homes may share one.
var captures sync.Map

// captured returns a scenario's capture.
func captured(scenario string, seed uint64) ([]byte, error) {
	key := fmt.Sprint(scenario, " ", seed)
	if b, ok := captures.Load(key); ok {
		return b.([]byte), nil
	}
	var b bytes.Buffer
	_, err := synth.Write(&b, scenario, synth.Options{Seed: seed, Duration: 4 * time.Minute, Snap: 400})
	captures.Store(key, b.Bytes())
	return b.Bytes(), err
}

// Home starts the agent of router i on a scenario of package synth, of which the first
// lead is over. It ends with the test. change may be nil.
func (p *Provider) Home(i int, scenario string, seed uint64, lead time.Duration, change func(*agent.SimulationConfig)) *agent.Simulation {
	p.T.Helper()
	capture, err := captured(scenario, seed)
	p.must(err)
	frames, err := file.NewReader(bytes.NewReader(capture), scenario, file.Config{})
	p.must(err)
	cfg := agent.SimulationConfig{Source: pace.New(frames, lead), Line: p.Line(i), Policy: cordon.PolicyProtect}
	cfg.Line.Dir = p.T.TempDir()
	if change != nil {
		change(&cfg)
	}
	s, err := agent.NewSimulation(cfg)
	p.must(err)
	p.Background(s.Run)
	return s
}

// Background runs f until the test ends.
func (p *Provider) Background(f func(context.Context) error) {
	ctx, cancel := context.WithCancel(context.Background())
	done := make(chan struct{})
	go func() { defer close(done); f(ctx) }()
	p.T.Cleanup(func() { cancel(); <-done })
}
