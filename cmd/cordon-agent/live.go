package main

import (
	"context"
	"errors"
	"log/slog"

	"cordon/agent/config"
	"cordon/agent/control"
)

// live runs the agent until ctx is done.
func live(context.Context, config.Config, *slog.Logger) error {
	return errors.New("run: this program can only replay captures so far")
}

// diagnose looks at the router without a running agent.
func diagnose(context.Context, config.Config) ([]control.Finding, error) { return nil, nil }
