package playback

import (
	"bytes"
	"context"
	"errors"
	"fmt"
	"net/netip"
	"os"
	"path/filepath"
	"slices"
	"strings"
	"testing"

	"github.com/google/go-cmp/cmp"

	"cordon"
	"cordon/agent"
	"cordon/agent/capture/file"
	"cordon/lab/detectiontest"
	"cordon/lab/eval"
	"cordon/lab/synth"
)

// scenarios are played with every kind of eyes: attackers of each sort, and the
// harmless homes that look like them.
var scenarios = []string{"mirai", "infection", "scan-horizontal", "scan-vertical", "scan-lateral", "telnet-guess", "ssh-guess",
	"ftp-guess", "http-guess", "ssh-guessed", "exploit", "exploited", "twin-mirai", "twin-horizontal", "twin-telnet", "twin-guess",
	"twin-exploit", "calm"}

// judge runs the agent over a source and returns what it found: kind, device and
// target of each detection, each once.
func judge(t *testing.T, source agent.Source, home []netip.Prefix) []string {
	t.Helper()
	sink := new(detectiontest.Sink)
	_, err := agent.Run(context.Background(), agent.Config{Source: source, Sink: sink, Home: home})
	var damage *file.DamageError
	if err != nil && !errors.As(err, &damage) {
		t.Fatal(err)
	}
	var found []string
	for _, d := range sink.Detections {
		found = append(found, describe(d))
	}
	slices.Sort(found)
	return slices.Compact(found)
}

func describe(d *cordon.Detection) string {
	return fmt.Sprintf("%s %s %s %+v", d.Kind, d.Device.ID, d.Subject, d.Target)
}

// eyesOf are the two kinds of eyes.
var eyesOf = map[string]func(*testing.T, agent.Source, []netip.Prefix) (agent.Source, *Player){
	"ebpf": func(t *testing.T, capture agent.Source, home []netip.Prefix) (agent.Source, *Player) {
		p := KernelPlayer(t, capture, home)
		return p, p.Player
	},
	"afpacket": func(t *testing.T, capture agent.Source, home []netip.Prefix) (agent.Source, *Player) {
		p := RingPlayer(t, capture, home)
		return p, p
	},
}

// compare plays a capture with both kinds of eyes and compares what is found with
// what a replay finds.
func compare(t *testing.T, open func() agent.Source, home []netip.Prefix) {
	t.Helper()
	want := judge(t, open(), home)
	for name, player := range eyesOf {
		t.Run(name, func(t *testing.T) {
			source, p := player(t, open(), home)
			got := judge(t, source, home)
			if diff := cmp.Diff(want, got); diff != "" {
				t.Errorf("detections (-replay +live):\n%s", diff)
			}
			if s := p.Stats; s.Foreign > 0 || s.Swallowed*100 > s.Frames {
				t.Errorf("the way there is not sound: %+v", s)
			}
			t.Logf("%d found; %+v", len(got), p.Stats)
		})
	}
}

// TestSynthetic: live and replayed, made-up homes are judged alike.
func TestSynthetic(t *testing.T) {
	for _, scenario := range scenarios {
		t.Run(scenario, func(t *testing.T) {
			var capture bytes.Buffer
			report, err := synth.Write(&capture, scenario, synth.Options{Seed: 1})
			if err != nil {
				t.Fatal(err)
			}
			compare(t, func() agent.Source {
				r, err := file.NewReader(bytes.NewReader(capture.Bytes()), scenario, file.Config{})
				if err != nil {
					t.Fatal(err)
				}
				return r
			}, report.Home)
		})
	}
}

// TestTruth: so are real captures whose truth is known, where they are.
func TestTruth(t *testing.T) {
	const path = "../../../shared/data/truth.json"
	if _, err := os.Stat(path); err != nil {
		t.Skip("no captures with a known truth beside the project")
	}
	truth, err := eval.Load(path)
	if err != nil {
		t.Fatal(err)
	}
	for _, e := range truth.Entries {
		for _, name := range files(t, truth.Dir, e.File) {
			t.Run(strings.ReplaceAll(name, "/", "_"), func(t *testing.T) {
				compare(t, func() agent.Source {
					r, err := file.Open(filepath.Join(truth.Dir, name), file.Config{})
					if err != nil {
						t.Fatal(err)
					}
					t.Cleanup(func() { _ = r.Close() })
					return file.Merge(r)
				}, e.Home)
			})
		}
	}
}

// files returns the captures that an entry's path or glob names.
func files(t *testing.T, dir, pattern string) (names []string) {
	t.Helper()
	tree, all := strings.CutSuffix(pattern, "/**")
	if !all {
		return []string{pattern}
	}
	err := filepath.WalkDir(filepath.Join(dir, tree), func(path string, d os.DirEntry, err error) error {
		if err == nil && !d.IsDir() && strings.Contains(filepath.Ext(path), ".pcap") {
			name, _ := filepath.Rel(dir, path)
			names = append(names, name)
		}
		return err
	})
	if err != nil {
		t.Fatal(err)
	}
	return names
}
