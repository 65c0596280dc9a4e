// Package detectiontest tests a detector end to end: a synthetic capture goes
// through the whole agent, and what was detected is compared with a golden file.
package detectiontest

import (
	"bytes"
	"context"
	"fmt"
	"os"
	"path/filepath"
	"slices"
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

// play runs the agent over a scenario.
func play(t testing.TB, scenario string, o synth.Options) (*Sink, agent.Summary, synth.Report) {
	t.Helper()
	var capture bytes.Buffer
	report, err := synth.Write(&capture, scenario, o)
	if err != nil {
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
	return sink, summary, report
}

// Attack plays a scenario and compares the detections with
// testdata/SCENARIO.golden, which update writes anew. Then it plays it with other
// seeds, no longer than it takes; with every seed all that the truth names has to
// be found in time.
func Attack(t *testing.T, scenario string, update bool) {
	t.Helper()
	sink, _, report := play(t, scenario, synth.Options{Seed: 1})
	golden(t, scenario, sink, update)
	truth(t, 1, sink, report)
	short := enough(report)
	for seed := uint64(2); seed <= 4; seed++ {
		sink, _, report := play(t, scenario, synth.Options{Seed: seed, Duration: short})
		truth(t, seed, sink, report)
	}
}

// enough is how long a scenario has to be played so that all of it can be found:
// as long as its truth takes from the first deed on, a little more, and what comes
// before, which is a third of a play and at most three minutes.
func enough(r synth.Report) time.Duration {
	const margin, before, least = 10 * time.Second, 3 * time.Minute, 90 * time.Second
	var takes time.Duration
	for _, deed := range r.Truth {
		takes = max(takes, deed.At.Add(deed.Within).Sub(r.Truth[0].At)+margin)
	}
	return min(max(takes+min(takes/2, before), least), r.Scenario.Duration)
}

// early is how much earlier than its truth something may be found (lab/eval).
const early = time.Second

// truth checks that every deed was found, about the device that did it or to whom
// it was done, and in time.
func truth(t *testing.T, seed uint64, sink *Sink, r synth.Report) {
	t.Helper()
	if len(r.Truth) == 0 {
		t.Errorf("seed %d: an attack without a deed", seed)
	}
	for _, deed := range r.Truth {
		found := slices.ContainsFunc(sink.Detections, func(d *cordon.Detection) bool {
			late := d.At.Sub(deed.At)
			return (d.Kind == deed.Kind || d.Kind == deed.Or) && d.Device.MAC == deed.Device &&
				(deed.Subject == "" || d.Subject == deed.Subject) && late >= -early && late <= deed.Within
		})
		if !found {
			t.Errorf("seed %d: %s of %v at +%v not found within %v, but:\n%s", seed, deed.Kind, deed.Device, offset(deed.At),
				deed.Within, lines(sink.Detections))
		}
	}
}

// golden compares the detections with those of the golden file.
func golden(t *testing.T, scenario string, sink *Sink, update bool) {
	t.Helper()
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
// may be detected, but for the signs that the scenario allows.
func Twin(t *testing.T, scenario string) {
	t.Helper()
	for seed := range uint64(4) {
		sink, summary, report := play(t, scenario, synth.Options{Seed: seed})
		if summary.Frames == 0 || summary.Devices == 0 {
			t.Errorf("seed %d: an empty home proves nothing", seed)
		}
		alarms := slices.DeleteFunc(sink.Detections, func(d *cordon.Detection) bool {
			return d.Level <= cordon.Watch && slices.Contains(report.Signs, d.Kind)
		})
		if got := lines(alarms); got != "" {
			t.Errorf("seed %d: false alarms:\n%s", seed, got)
		}
		for _, i := range sink.Incidents {
			if i.Level > cordon.Watch {
				t.Errorf("seed %d: an incident reaches %v", seed, i.Level)
			}
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
