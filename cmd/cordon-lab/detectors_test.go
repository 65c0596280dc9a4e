package main

import (
	"flag"
	"os"
	"path/filepath"
	"slices"
	"testing"

	"github.com/google/go-cmp/cmp"

	"cordon"
	"cordon/agent"
	"cordon/internal/cli"
	"cordon/lab/eval"
)

var update = flag.Bool("update", false, "write the generated pages anew")

// TestDetectorPages compares docs/detectors with what the detectors say about
// themselves.
func TestDetectorPages(t *testing.T) {
	dir := filepath.Join("..", "..", "docs", "detectors")
	if *update {
		lab := cli.Program{Name: "cordon-lab", Commands: commands, Stdout: os.Stdout, Stderr: os.Stderr}
		if status := lab.Run(t.Context(), []string{"detectors", "-o", dir}); status != 0 {
			t.Fatalf("exit status %d", status)
		}
	}
	pages := detectorPages(agent.About())
	for name, want := range pages {
		got, err := os.ReadFile(filepath.Join(dir, name))
		if err != nil {
			t.Error(err)
		} else if diff := cmp.Diff(string(got), want); diff != "" {
			t.Errorf("%s is not what the code says; run `make gen` (-page +code):\n%s", name, diff)
		}
	}
	files, err := os.ReadDir(dir)
	if err != nil {
		t.Fatal(err)
	}
	for _, f := range files {
		if pages[f.Name()] == "" {
			t.Errorf("%s is about no detector", f.Name())
		}
	}
}

// TestEveryKindIsDescribed: each kind is either described, in full, or not built.
func TestEveryKindIsDescribed(t *testing.T) {
	notBuilt, err := eval.NotBuilt()
	if err != nil {
		t.Fatal(err)
	}
	described := make(map[cordon.Kind]bool)
	for _, a := range agent.About() {
		described[a.Kind] = true
		if a.Sees == "" || a.Judges == "" || a.Evidence == "" || len(a.FalseAlarms) == 0 || a.Inputs == "" || a.Bound == "" || a.Delay == "" {
			t.Errorf("%s: incomplete: %+v", a.Kind, a)
		}
	}
	for _, k := range cordon.Kinds() {
		if missing := slices.Contains(notBuilt, k); missing == described[k] {
			t.Errorf("%s: not built %v, described %v", k, missing, described[k])
		}
	}
}
