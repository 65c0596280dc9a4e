// Package agent is the program on the router: frames come in, a judged home
// comes out.
//
// Run is the pipeline, in the order in which a packet goes through it:
//
//	source → packet → observe → device → flow → detect → incident → respond → enforce
//
// No stage knows its neighbour: each declares what it needs, and package pipeline passes it
// in. Everything runs on one goroutine and on the packets' own time, so the same
// capture gives the same output.
package agent

import (
	"context"
	"errors"
	"io"

	"cordon"
	"cordon/agent/home"
	"cordon/agent/packet"
	"cordon/agent/pipeline"
)

// What a caller of Run names; package pipeline explains it.
type (
	Config     = pipeline.Config
	Source     = pipeline.Source
	Counter    = pipeline.Counter
	Enforcer   = pipeline.Enforcer
	Sink       = pipeline.Sink
	ShadowSink = pipeline.ShadowSink
	Summary    = pipeline.Summary
)

// Destination is a place that a device talked to, as Provider.Answer tells it.
type Destination = home.Destination

// About describes every kind of detection that the agent judges, in the order of
// cordon.Kinds.
func About() []cordon.About { return pipeline.About() }

// Run judges the frames of a source until it ends or ctx is done. The error is
// the source's, unless the configuration is wrong; the Summary is valid with it.
func Run(ctx context.Context, cfg Config) (Summary, error) {
	p, err := pipeline.New(ctx, cfg)
	if err != nil {
		return Summary{}, err
	}
	err = drain(ctx, cfg, p)
	p.Close()
	return p.Summary, err
}

// drain takes every frame of the source through the stages.
func drain(ctx context.Context, cfg Config, p *pipeline.Pipeline) error {
	var frame packet.Frame
	for n := uint64(0); ; n++ {
		if n%4096 == 0 {
			if err := ctx.Err(); err != nil {
				return err
			}
			if cfg.Tick != nil {
				cfg.Tick()
			}
		}
		switch err := cfg.Source.Next(&frame); {
		case errors.Is(err, io.EOF):
			return nil
		case err != nil:
			return err
		}
		p.Frame(&frame)
	}
}
