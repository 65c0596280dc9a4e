package dump

import (
	"log/slog"
	"math"
	"path/filepath"
	"slices"
	"testing"

	"cordon/core/store/table"
	"cordon/core/store/table/dialect"

	"github.com/google/go-cmp/cmp"
)

// TestTables compares what is dumped with what the schema, which is one for both
// databases, makes.
func TestTables(t *testing.T) {
	ctx := t.Context()
	db, err := dialect.Open(ctx, filepath.Join(t.TempDir(), "core.db"), math.MaxInt64, slog.New(slog.DiscardHandler))
	if err != nil {
		t.Fatal(err)
	}
	defer db.Close()
	made, err := table.All(ctx, db.Read(), func(s *string) []any { return []any{s} }, "SELECT name FROM sqlite_master WHERE type = 'table' AND name NOT LIKE 'sqlite_%' ORDER BY name")
	if err != nil {
		t.Fatal(err)
	}
	known := slices.Clone(leftOut)
	for _, d := range dumped {
		known = append(known, d.table)
	}
	slices.Sort(known)
	if diff := cmp.Diff(made, known); diff != "" {
		t.Errorf("tables that are dumped or left out (-schema +here):\n%s", diff)
	}
}
