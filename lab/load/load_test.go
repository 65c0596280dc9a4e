package load_test

import (
	"os"
	"strings"
	"testing"
	"time"

	"cordon/lab/load"
	"cordon/lab/postgres"
	"cordon/lab/program"
)

func TestMain(m *testing.M) {
	status := m.Run()
	program.Remove()
	os.Exit(status)
}

// TestRun plays two hundred routers against the real program, which is ended and killed
// meanwhile: everything that was acknowledged is stored, once.
func TestRun(t *testing.T) {
	for _, database := range []string{"sqlite", "postgres"} {
		t.Run(database, func(t *testing.T) {
			cfg := load.Config{Dir: t.TempDir(), Routers: 200, Batch: 4, Rate: 400, Hold: 3 * time.Second, Returns: true,
				Spread: time.Second, Rest: time.Millisecond}
			if database == "postgres" {
				cfg.Database = postgres.Start(t).Database()
			}
			lines, err := load.Run(t.Context(), cfg)
			if err != nil {
				t.Fatal(err)
			}
			for _, l := range lines {
				if strings.HasPrefix(l.What, "routers connected") && l.Figure != "200" {
					t.Errorf("%s: %s", l.What, l.Figure)
				}
				t.Logf("%s: %s", l.What, l.Figure)
			}
		})
	}
}
