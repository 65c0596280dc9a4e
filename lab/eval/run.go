// Package eval measures the agent's judgement on captures whose truth is known.
//
// A truth file and its captures go in, a Report of what was found, missed and
// cried for nothing comes out; 'cordon-lab eval' prints it. Every capture runs
// through agent.Run as it is, and, for each seed, once more disturbed (see
// disturbance): a judgement must not hang on certain addresses, ports, dates or
// single packets.
//
// How the files follow a capture: truth.go and find.go (what is known of which
// file), run.go, perturb.go and remap.go (the run), judge.go (what it is worth),
// total.go, text.go and json.go (the report).
package eval

import (
	"bufio"
	"context"
	_ "embed"
	"fmt"
	"slices"
	"strings"
	"time"

	"cordon"
	"cordon/agent"
	"cordon/agent/capture/file"
	"cordon/agent/packet"
)

//go:embed notbuilt.txt
var notBuiltText string

// NotBuilt returns the kinds that no detector judges yet, from notbuilt.txt.
func NotBuilt() ([]cordon.Kind, error) {
	var kinds []cordon.Kind
	for lines := bufio.NewScanner(strings.NewReader(notBuiltText)); lines.Scan(); {
		line := strings.TrimSpace(lines.Text())
		if line == "" || line[0] == '#' {
			continue
		}
		k := cordon.Kind(line)
		if k.Family() == "" || slices.Contains(kinds, k) {
			return nil, fmt.Errorf("notbuilt.txt: kind %q is unknown or there twice", line)
		}
		kinds = append(kinds, k)
	}
	return kinds, nil
}

// Config configures Run.
type Config struct {
	Only     string        // glob of the captures to judge; empty: all
	Seeds    []uint64      // of the disturbed runs, besides the plain one
	NotBuilt []cordon.Kind // kinds whose absence is no miss
	// Progress, if set, is called before each run with how many of all are done.
	Progress func(done, total int)
}

// Run judges every capture of a truth, plain and disturbed. A capture that cannot
// be read is in the Report; the error is about the truth as a whole, or ctx's.
func Run(ctx context.Context, t *Truth, cfg Config) (*Report, error) {
	subjects, err := t.find(cfg.Only)
	if err != nil {
		return nil, err
	}
	runs := []run{{name: plain}}
	for _, seed := range cfg.Seeds {
		runs = append(runs, run{name: fmt.Sprintf("seed %d", seed), seed: seed, disturbed: true})
	}
	r := &Report{}
	for _, run := range runs {
		for _, s := range subjects {
			if cfg.Progress != nil {
				cfg.Progress(len(r.Verdicts), len(runs)*len(subjects))
			}
			v, err := run.capture(ctx, &s, cfg.NotBuilt)
			if err != nil {
				return nil, err
			}
			r.Verdicts = append(r.Verdicts, v)
		}
	}
	return r, nil
}

// plain names the run without disturbance.
const plain = "plain"

// run is one way to go through all captures.
type run struct {
	name      string
	seed      uint64
	disturbed bool
}

// capture judges one capture. The error is ctx's.
func (r *run) capture(ctx context.Context, s *subject, notBuilt []cordon.Kind) (Verdict, error) {
	v := Verdict{File: s.name, Run: r.name, Benign: s.entry.Outcome == cordon.None}
	rec, entry, err := r.record(ctx, s)
	if ctx.Err() != nil {
		return v, ctx.Err()
	}
	unreadable := Check{About: AboutCapture, State: Unreadable}
	if err != nil {
		unreadable.Text = err.Error()
	}
	if err != nil && rec.frames == 0 { // nothing was judged: neither kept nor missed, neither benign nor not
		v.Benign, v.Checks = false, []Check{unreadable}
		return v, nil
	}
	v.Frames, v.Length = rec.frames, rec.length()
	v.Devices, v.DeviceTime = rec.count(), rec.deviceTime()
	v.Checks = judge(rec, &entry, notBuilt)
	if err != nil { // what was readable is judged, but it is no pass
		v.Checks = append(v.Checks, unreadable)
	}
	return v, nil
}

// record runs the agent over a capture and returns what it said and what is true
// of it, in the addresses of this run.
func (r *run) record(ctx context.Context, s *subject) (*recorder, Entry, error) {
	rec, entry := &recorder{}, *s.entry
	if s.err != nil {
		return rec, entry, s.err
	}
	reader, err := file.Open(s.path, file.Config{})
	if err != nil {
		return rec, entry, err
	}
	defer reader.Close()
	rec.source = file.Merge(reader)
	var source agent.Source = rec
	if r.disturbed {
		d := newDisturbance(r.seed, entry.Home)
		entry = d.entry(entry)
		rec.shift = d.shift
		source = d.source(rec)
	}
	rec.entry = &entry
	_, err = agent.Run(ctx, agent.Config{Source: source, Sink: rec, Home: entry.Home, Policy: cordon.PolicyProtect})
	return rec, entry, err
}

// maxGap is how long a capture may be silent and still count as watched. Some are
// joined from pieces weeks apart, and an alarm that nobody could have raised in
// between must not be counted as not raised.
const maxGap = time.Hour

// recorder is source and sink of a run: it knows when the capture began, and
// keeps what the agent says. All its times count from the first packet.
type recorder struct {
	source agent.Source
	shift  func() time.Duration // that the disturbance added to all times; nil: none
	entry  *Entry

	frames      uint64
	first, last int64 // of the packets, ns
	watched     time.Duration
	detections  []seen
	incidents   []*cordon.Incident
	devices     []*cordon.Device
}

// seen is a detection as far as it is judged.
type seen struct {
	kind    cordon.Kind
	level   cordon.Level
	at      time.Duration
	device  string
	subject string
	meant   bool // the device is the one that the truth is about
}

// Next is agent.Source.
func (r *recorder) Next(f *packet.Frame) error {
	if err := r.source.Next(f); err != nil {
		return err
	}
	if r.frames++; r.frames == 1 {
		r.first, r.last = f.Time, f.Time
	}
	if f.Time > r.last {
		r.watched += min(time.Duration(f.Time-r.last), maxGap)
		r.last = f.Time
	}
	return nil
}

// since is t in the capture's own time.
func (r *recorder) since(t cordon.Time) time.Duration {
	d := time.Duration(int64(t) - r.first)
	if r.shift != nil {
		d -= r.shift()
	}
	return d
}

// Detection is agent.Sink.
func (r *recorder) Detection(d *cordon.Detection) {
	r.detections = append(r.detections, seen{kind: d.Kind, level: d.Level, at: r.since(d.At),
		device: d.Device.ID, subject: d.Subject, meant: r.means(d.Device)})
}

// means reports whether the truth is about d. Asked at once: an address may be
// another device's later.
func (r *recorder) means(d *cordon.Device) bool {
	e := r.entry
	if e.MAC != (cordon.MAC{}) && (!d.HasMAC || d.MAC != e.MAC) {
		return false
	}
	return !e.Device.IsValid() || slices.Contains(d.Addrs, e.Device) || d.ID == e.Device.String()
}

// Incident is agent.Sink.
func (r *recorder) Incident(i *cordon.Incident) { r.incidents = append(r.incidents, i) }

// Device is agent.Sink.
func (r *recorder) Device(d *cordon.Device) {
	if !d.Gateway {
		r.devices = append(r.devices, d)
	}
}

// Action is agent.Sink; what is done follows from the incidents.
func (r *recorder) Action(*cordon.Action) {}

func (r *recorder) length() time.Duration { return time.Duration(r.last - r.first) }
func (r *recorder) count() int            { return len(r.devices) }

// deviceTime is for how long devices were watched, summed over them: each from
// its first to its last packet, gaps over maxGap cut to maxGap, and together no
// less than the capture was.
func (r *recorder) deviceTime() time.Duration {
	var sum time.Duration
	for _, d := range r.devices {
		sum += min(d.LastSeen.Sub(d.FirstSeen), r.watched)
	}
	return max(sum, r.watched)
}
