package load

import (
	"context"
	"errors"
	"fmt"
	"io"
	"os"
	"path/filepath"
	"time"
)

// usage is what core has used since its start.
func (m *measure) usage() (Usage, error) { return UsageOf(m.core.PID()) }

// heap keeps a profile of core's memory, if profiles are wanted.
func (m *measure) heap(ctx context.Context, name string) error {
	return m.keep(ctx, name+".heap", "/debug/pprof/heap")
}

// cpu keeps a profile of what core does from now on, likewise.
func (m *measure) cpu(ctx context.Context, name string, length time.Duration) error {
	return m.keep(ctx, name+".cpu", fmt.Sprintf("/debug/pprof/profile?seconds=%d", int(length.Seconds())))
}

func (m *measure) keep(ctx context.Context, name, path string) error {
	if m.cfg.Profile == "" {
		return nil
	}
	body, err := m.core.Operation(ctx, path)
	if err != nil {
		return err
	}
	defer body.Close()
	f, err := os.Create(filepath.Join(m.cfg.Profile, name))
	if err != nil {
		return err
	}
	_, err = io.Copy(f, body)
	return errors.Join(err, f.Close())
}
