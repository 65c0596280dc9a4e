// Package detectiontest tests a detector end to end: a synthetic capture goes
// through the whole agent, and what was detected is compared with a golden file.
package detectiontest

import (
	"bytes"
	"context"
	"fmt"
	"os"
	"path/filepath"
	"strings"
	"testing"
	"time"

	"github.com/google/go-cmp/cmp"

	"cordon"
	"cordon/agent"
	"cordon/agent/capture/file"
	"cordon/lab/synth"
)

// Sink keeps what the agent finds.
type Sink struct {
	Detections []*cordon.Detection
	Actions    []*cordon.Action
	Incidents  []*cordon.Incident
	Devices    []*cordon.Device
}

// Detection keeps d.
func (s *Sink) Detection(d *cordon.Detection) { s.Detections = append(s.Detections, d) }

// Action keeps a.
func (s *Sink) Action(a *cordon.Action) { s.Actions = append(s.Actions, a) }

// Incident keeps i.
func (s *Sink) Incident(i *cordon.Incident) { s.Incidents = append(s.Incidents, i) }

// Device keeps d.
func (s *Sink) Device(d *cordon.Device) { s.Devices = append(s.Devices, d) }

// Play runs the agent over a scenario.
func Play(t testing.TB, scenario string, o synth.Options) (*Sink, agent.Summary) {
	t.Helper()
	var capture bytes.Buffer
	if _, err := synth.Write(&capture, scenario, o); err != nil {
		t.Fatal(err)
	}
	r, err := file.NewReader(&capture, scenario, file.Config{})
	if err != nil {
		t.Fatal(err)
	}
	sink := new(Sink)
	summary, err := agent.Run(context.Background(), agent.Config{Source: r, Sink: sink})
	if err != nil {
		t.Fatal(err)
	}
	return sink, summary
}

// Attack plays a scenario and compares the detections with
// testdata/SCENARIO.golden, which update writes anew.
func Attack(t *testing.T, scenario string, update bool) {
	t.Helper()
	sink, _ := Play(t, scenario, synth.Options{Seed: 1})
	got := lines(sink.Detections)
	if got == "" {
		t.Fatal("the attack was not detected")
	}
	name := filepath.Join("testdata", scenario+".golden")
	if update {
		if err := os.MkdirAll("testdata", 0o755); err != nil {
			t.Fatal(err)
		}
		if err := os.WriteFile(name, []byte(got), 0o644); err != nil {
			t.Fatal(err)
		}
	}
	want, err := os.ReadFile(name)
	if err != nil {
		t.Fatal(err)
	}
	if diff := cmp.Diff(string(want), got); diff != "" {
		t.Errorf("detections (-want +got):\n%s", diff)
	}
}

// Twin plays the harmless twin of an attack, with several seeds: nothing at all
// may be detected.
func Twin(t *testing.T, scenario string) {
	t.Helper()
	for seed := range uint64(4) {
		sink, summary := Play(t, scenario, synth.Options{Seed: seed})
		if summary.Frames == 0 || summary.Devices == 0 {
			t.Errorf("seed %d: an empty home proves nothing", seed)
		}
		if got := lines(sink.Detections); got != "" {
			t.Errorf("seed %d: false alarms:\n%s", seed, got)
		}
	}
}

// lines writes detections as text, times counted from the capture's begin.
func lines(detections []*cordon.Detection) string {
	var b strings.Builder
	for _, d := range detections {
		fmt.Fprintf(&b, "+%v %s %s %s (%s) since +%v\n  %s\n", offset(d.At), d.Kind, d.Level, d.Subject, d.Device.ID,
			offset(d.Since), d.Sentence)
	}
	return b.String()
}

func offset(at cordon.Time) time.Duration { return at.Std().Sub(synth.Epoch) }
