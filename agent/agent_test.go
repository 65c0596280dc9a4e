package agent_test

import (
	"bytes"
	"context"
	"errors"
	"fmt"
	"io"
	"net/netip"
	"testing"
	"time"

	"github.com/google/go-cmp/cmp"

	"cordon"
	"cordon/agent"
	"cordon/agent/capture/file"
	"cordon/agent/packet"
	"cordon/lab/detectiontest"
	"cordon/lab/synth"
)

// capture writes a scenario into memory.
func capture(t testing.TB, scenario string, o synth.Options) []byte {
	t.Helper()
	var b bytes.Buffer
	if _, err := synth.Write(&b, scenario, o); err != nil {
		t.Fatal(err)
	}
	return b.Bytes()
}

// run judges a capture.
func run(t testing.TB, pcap []byte, cfg agent.Config) (*detectiontest.Sink, agent.Summary) {
	t.Helper()
	r, err := file.NewReader(bytes.NewReader(pcap), "test", file.Config{})
	if err != nil {
		t.Fatal(err)
	}
	sink := new(detectiontest.Sink)
	cfg.Source, cfg.Sink = r, sink
	summary, err := agent.Run(context.Background(), cfg)
	if err != nil {
		t.Fatal(err)
	}
	return sink, summary
}

var infected = synth.Options{Seed: 3, Duration: 4 * time.Minute, Snap: 400}

// TestMiraiIsStoppedAtOnce is the promise: from the first SYN of the scan to the
// decision at most 12 SYNs and 100 ms.
func TestMiraiIsStoppedAtOnce(t *testing.T) {
	sink, _ := run(t, capture(t, "mirai", infected), agent.Config{})
	if len(sink.Incidents) != 1 {
		t.Fatalf("%d incidents, want 1", len(sink.Incidents))
	}
	i := sink.Incidents[0]
	if i.Level != cordon.Act {
		t.Fatalf("level %v, want act", i.Level)
	}
	if took := i.Raised[len(i.Raised)-1].At.Sub(i.Opened); took > 100*time.Millisecond {
		t.Errorf("act %v after the first SYN", took)
	}
	for _, d := range sink.Detections {
		if d.Kind == cordon.ScanMirai && d.Confirmed {
			if d.Evidence[0].Value > 12 {
				t.Errorf("it took %.0f SYNs", d.Evidence[0].Value)
			}
			break
		}
	}
	verbs := make(map[cordon.Verb]cordon.Mode)
	for _, a := range sink.Actions {
		verbs[a.Verb] = a.Mode
		if a.Incident != i.ID {
			t.Errorf("%s belongs to incident %s, want %s", a.Verb, a.Incident, i.ID)
		}
	}
	want := map[cordon.Verb]cordon.Mode{cordon.VerbBlock: cordon.ModeDo, cordon.VerbQuarantine: cordon.ModeDo, cordon.VerbNotify: cordon.ModeDo}
	if diff := cmp.Diff(want, verbs); diff != "" {
		t.Errorf("actions (-want +got):\n%s", diff)
	}
}

func TestPolicy(t *testing.T) {
	pcap := capture(t, "mirai", infected)
	for policy, want := range map[cordon.Policy]map[cordon.Mode]int{
		cordon.PolicyOff:     {},
		cordon.PolicyObserve: {cordon.ModeWould: 3},
		cordon.PolicyAsk:     {cordon.ModeAsk: 2, cordon.ModeDo: 1},
		cordon.PolicyProtect: {cordon.ModeDo: 3},
	} {
		sink, _ := run(t, pcap, agent.Config{Policy: policy})
		got := make(map[cordon.Mode]int)
		for _, a := range sink.Actions {
			got[a.Mode]++
		}
		if diff := cmp.Diff(want, got); diff != "" {
			t.Errorf("%s: actions (-want +got):\n%s", policy, diff)
		}
		if inspected := len(sink.Detections) > 0; inspected != (policy != cordon.PolicyOff) {
			t.Errorf("%s: %d detections", policy, len(sink.Detections))
		}
	}
}

func TestSameCaptureSameOutput(t *testing.T) {
	pcap := capture(t, "scan-horizontal", infected)
	text := func() string {
		sink, summary := run(t, pcap, agent.Config{})
		s := fmt.Sprintf("%+v\n", summary)
		for _, d := range sink.Detections {
			s += fmt.Sprintf("%+v\n", d.Evidence)
		}
		for _, i := range sink.Incidents {
			s += fmt.Sprintf("%+v %+v\n", i.Timeline, i.Story)
		}
		return s
	}
	if diff := cmp.Diff(text(), text()); diff != "" {
		t.Errorf("two runs differ:\n%s", diff)
	}
}

func TestSince(t *testing.T) {
	sink, summary := run(t, capture(t, "mirai", infected), agent.Config{Since: cordon.TimeOf(synth.Epoch.Add(time.Hour))})
	if len(sink.Detections)+len(sink.Incidents)+len(sink.Actions) != 0 {
		t.Errorf("%d detections from before the asked time", len(sink.Detections))
	}
	if summary.Frames == 0 || len(sink.Devices) == 0 {
		t.Error("devices and counts are those of the whole capture")
	}
}

func TestHome(t *testing.T) {
	pcap := capture(t, "mirai", infected)
	sink, summary := run(t, pcap, agent.Config{Home: []netip.Prefix{netip.MustParsePrefix("198.18.0.0/15")}})
	if len(sink.Detections) != 0 || summary.Flows.Opened != 0 {
		t.Errorf("%d detections and %d flows in a home that sent nothing", len(sink.Detections), summary.Flows.Opened)
	}
}

// TestDamageJudgesWhatWasRead cuts the capture in the middle of the scan.
func TestDamageJudgesWhatWasRead(t *testing.T) {
	pcap := capture(t, "mirai", infected)
	r, err := file.NewReader(bytes.NewReader(pcap[:len(pcap)-7]), "cut", file.Config{})
	if err != nil {
		t.Fatal(err)
	}
	sink := new(detectiontest.Sink)
	_, err = agent.Run(context.Background(), agent.Config{Source: r, Sink: sink})
	var damage *file.DamageError
	if !errors.As(err, &damage) {
		t.Fatalf("error %v, want a DamageError", err)
	}
	if len(sink.Incidents) != 1 || len(sink.Devices) == 0 {
		t.Errorf("%d incidents and %d devices of what was readable", len(sink.Incidents), len(sink.Devices))
	}
}

func TestCancel(t *testing.T) {
	ctx, cancel := context.WithCancel(context.Background())
	sink := new(detectiontest.Sink)
	n := 0
	source := sourceFunc(func(f *packet.Frame) error {
		if n++; n == 100_000 {
			cancel()
		}
		if n > 200_000 {
			return io.EOF
		}
		*f = packet.Frame{Time: int64(n), Link: packet.LinkEthernet, Len: 60}
		return nil
	})
	summary, err := agent.Run(ctx, agent.Config{Source: source, Sink: sink})
	if !errors.Is(err, context.Canceled) {
		t.Errorf("error %v, want context.Canceled", err)
	}
	if summary.Frames < 100_000 || summary.Frames > 110_000 {
		t.Errorf("stopped after %d frames", summary.Frames)
	}
}

type sourceFunc func(*packet.Frame) error

func (f sourceFunc) Next(frame *packet.Frame) error { return f(frame) }

// TestClockSetBack shifts the second half of a scan a day back: it is still one
// incident, and its times are those of the packets.
func TestClockSetBack(t *testing.T) {
	r, err := file.NewReader(bytes.NewReader(capture(t, "scan-horizontal", infected)), "test", file.Config{})
	if err != nil {
		t.Fatal(err)
	}
	begin := synth.Epoch.Add(infected.Duration / 3) // of the scan
	turn := begin.Add(200 * time.Millisecond).UnixNano()
	sink := new(detectiontest.Sink)
	summary, err := agent.Run(context.Background(), agent.Config{Sink: sink, Source: sourceFunc(func(f *packet.Frame) error {
		err := r.Next(f)
		if f.Time > turn {
			f.Time -= int64(24 * time.Hour)
		}
		return err
	})})
	if err != nil {
		t.Fatal(err)
	}
	if summary.ClockSteps != 1 || len(sink.Incidents) != 1 {
		t.Fatalf("%d clock steps and %d incidents, want one of each", summary.ClockSteps, len(sink.Incidents))
	}
	i := sink.Incidents[0]
	if got := i.Opened.Std(); !got.Equal(begin) {
		t.Errorf("opened at %v, want %v, before the clock was set", got, begin)
	}
	if got := i.Last.Std(); got.After(begin) {
		t.Errorf("last seen at %v, want a time by the clock as it was set", got)
	}
}

func TestStressStaysWithinBounds(t *testing.T) {
	for _, c := range []struct {
		scenario string
		o        synth.Options
	}{
		{"flood", synth.Options{Duration: 11 * time.Second, Snap: 128}},
		{"crowd", synth.Options{Duration: 30 * time.Second, Snap: 128}},
	} {
		sink, summary := run(t, capture(t, c.scenario, c.o), agent.Config{Flows: 1024})
		if summary.Unreadable > 0 {
			t.Errorf("%s: %d frames are unreadable", c.scenario, summary.Unreadable)
		}
		if c.scenario == "crowd" && (summary.Devices < 200 || len(sink.Detections) > 0) {
			t.Errorf("crowd: %d devices, %d detections", summary.Devices, len(sink.Detections))
		}
		if c.scenario == "flood" && (len(sink.Incidents) != 1 || len(sink.Detections) > 20) {
			t.Errorf("flood: %d incidents, %d detections; want one and few", len(sink.Incidents), len(sink.Detections))
		}
	}
}

// TestHealthyHomes plays days on which nothing is wrong, an outage of the line
// among them: nothing at all may be detected.
func TestHealthyHomes(t *testing.T) {
	for _, scenario := range []string{"calm", "busy", "outage"} {
		t.Run(scenario, func(t *testing.T) { detectiontest.Twin(t, scenario) })
	}
}

func TestConfig(t *testing.T) {
	if _, err := agent.Run(context.Background(), agent.Config{}); err == nil {
		t.Error("a configuration without source and sink is taken")
	}
	sink := new(detectiontest.Sink)
	empty := sourceFunc(func(*packet.Frame) error { return io.EOF })
	if _, err := agent.Run(context.Background(), agent.Config{Source: empty, Sink: sink, Flows: 3}); err == nil {
		t.Error("a flow table of 3 is taken")
	}
}

// FuzzRun feeds frames of hostile bytes through the whole pipeline.
func FuzzRun(f *testing.F) {
	pcap := capture(f, "scan-lateral", synth.Options{Duration: 5 * time.Second, Packets: 200})
	r, err := file.NewReader(bytes.NewReader(pcap), "seed", file.Config{})
	if err != nil {
		f.Fatal(err)
	}
	for range 60 {
		var frame packet.Frame
		if r.Next(&frame) != nil {
			break
		}
		f.Add(append([]byte(nil), frame.Data...), uint8(1), int64(1e9))
	}
	f.Fuzz(func(t *testing.T, b []byte, link uint8, step int64) {
		n := 0
		source := sourceFunc(func(frame *packet.Frame) error {
			if n++; n > 4 {
				return io.EOF
			}
			cut := len(b) * n / 4
			*frame = packet.Frame{Time: int64(n) * (step % int64(48*time.Hour)), Link: packet.LinkType(link), Len: cut, Data: b[:cut]}
			return nil
		})
		if _, err := agent.Run(context.Background(), agent.Config{Source: source, Sink: new(detectiontest.Sink)}); err != nil {
			t.Fatal(err)
		}
	})
}
