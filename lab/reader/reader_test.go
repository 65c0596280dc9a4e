package reader_test

import (
	"os"
	"strings"
	"testing"
	"time"

	"cordon/lab/program"
	"cordon/lab/reader"
)

func TestMain(m *testing.M) {
	status := m.Run()
	program.Remove()
	os.Exit(status)
}

// TestRun lets a few people read while routers report: no answer is an error, and no list
// repeats or omits what was there.
func TestRun(t *testing.T) {
	cfg := reader.Config{Dir: t.TempDir(), SQLite: true, Homes: 40, Devices: 8, Incidents: 120, Clients: 10, Routers: 4, Reports: 100,
		Rates: []float64{50, 0}, Length: 2 * time.Second, Seed: 1, Progress: func(doing string) { t.Log(doing) }}
	lines, err := reader.Run(t.Context(), t, cfg)
	if err != nil {
		t.Fatal(err)
	}
	for _, l := range lines {
		t.Logf("%s: %s", l.What, l.Figure)
		if l.What == "wrong" || strings.Contains(l.Figure, " errors") || strings.Contains(l.Figure, " 0 whole lists") || strings.Contains(l.Figure, " 0 events") {
			t.Errorf("%s: %s", l.What, l.Figure)
		}
	}
}
