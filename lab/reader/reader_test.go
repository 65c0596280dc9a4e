package reader_test

import (
	"os/exec"
	"path/filepath"
	"strings"
	"testing"
	"time"

	"cordon/lab/reader"
)

// TestRun lets a few people read while routers report: no answer is an error, and no list
// repeats or omits what was there.
func TestRun(t *testing.T) {
	program := filepath.Join(t.TempDir(), "cordon-core")
	if out, err := exec.Command("go", "build", "-o", program, "cordon/cmd/cordon-core").CombinedOutput(); err != nil {
		t.Fatalf("go build: %v\n%s", err, out)
	}
	cfg := reader.Config{Core: program, Dir: t.TempDir(), SQLite: true, Homes: 40, Devices: 8, Incidents: 120, Clients: 10, Routers: 4, Reports: 100,
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
