package reader_test

import (
	"context"
	"os"
	"os/signal"
	"syscall"
	"testing"
	"time"

	"cordon/core"
	"cordon/core/config"
	"cordon/lab/reader"
)

// asCore makes this program a cordon-core.
const asCore = "CORDON_LAB_IS_CORE"

func TestMain(m *testing.M) {
	if os.Getenv(asCore) == "" {
		os.Exit(m.Run())
	}
	ctx, stop := signal.NotifyContext(context.Background(), syscall.SIGTERM)
	defer stop()
	cfg, err := config.Load(os.Args[len(os.Args)-1]) // serve --config FILE
	if err == nil {
		var c *core.Core
		if c, err = core.Open(ctx, cfg, cfg.Log.Logger(os.Stderr)); err == nil {
			defer c.Close()
			err = c.Run(ctx)
		}
	}
	if err != nil && ctx.Err() == nil {
		os.Stderr.WriteString(err.Error())
		os.Exit(1)
	}
}

// TestRun lets a few people read while routers report: no answer is an error, and no list
// repeats or omits what was there.
func TestRun(t *testing.T) {
	t.Setenv(asCore, "1")
	cfg := reader.Config{Core: []string{os.Args[0]}, Dir: t.TempDir(), SQLite: true, Homes: 40, Devices: 8, Incidents: 120, Clients: 10, Routers: 4, Reports: 100,
		Rates: []float64{50, 0}, Length: 2 * time.Second, Seed: 1, Progress: func(doing string) { t.Log(doing) }}
	report, err := reader.Run(t.Context(), t, cfg)
	if err != nil {
		t.Fatal(err)
	}
	report.Text(t.Output())
	for _, l := range report.Loads {
		if l.All.Count == 0 || l.All.Errors > 0 || l.Lists == 0 || l.Events == 0 || l.Reports == 0 {
			t.Errorf("%+v", l.All)
		}
	}
}
