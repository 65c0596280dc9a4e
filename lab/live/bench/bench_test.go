package bench

import (
	"bytes"
	"errors"
	"os"
	"os/exec"
	"strings"
	"testing"
	"time"

	"github.com/google/go-cmp/cmp"

	"cordon"
	"cordon/agent/config"
	"cordon/agent/indicator/feed"
	"cordon/lab/netns"
)

// TestRun shows a run in small: every packet is counted, and a program that sleeps
// costs nothing.
func TestRun(t *testing.T) {
	if os.Geteuid() != 0 {
		t.Skip("needs root")
	}
	if _, err := exec.LookPath("ethtool"); err != nil {
		t.Skip("needs ethtool")
	}
	loads := []Load{{Name: "few", Flows: 16}, {Name: "even", Flows: 64, Rate: 1000}, {Name: "new", Flows: 5000, Once: true},
		{Name: "tcp", TCP: true, Offload: true}}
	report, err := Run(t.Context(), Config{Setups: []Setup{{Name: Alone}, {Name: "sleep", Command: []string{"sleep", "1000"}}},
		Loads: loads, Rounds: 2, Length: 20 * time.Millisecond, Settle: time.Millisecond})
	if err != nil {
		t.Fatal(err)
	}
	for setup := range report.Setups {
		for load := range loads {
			samples := report.Samples[setup][load]
			if want := 2; len(samples) != want && !(setup == 0 && loads[load].Rate > 0) {
				t.Fatalf("%s, %s: %d samples, want %d", report.Setups[setup].Name, loads[load].Name, len(samples), want)
			}
			for _, s := range samples {
				if s.Speed <= 0 || s.Lost > 0.5 || setup == 1 && (s.RSS == 0 || s.CPU > 0.5) {
					t.Errorf("%s, %s: %+v", report.Setups[setup].Name, loads[load].Name, s)
				}
			}
		}
	}
	var b bytes.Buffer
	if err := report.Text(&b); err != nil || strings.Count(b.String(), "\nsleep ") != len(loads) {
		t.Errorf("%v: %s", err, &b)
	}
}

// TestEnded shows that a program that fails is an error with what it said.
func TestEnded(t *testing.T) {
	if os.Geteuid() != 0 {
		t.Skip("needs root")
	}
	_, err := Run(t.Context(), Config{Setups: []Setup{{Name: Alone}, {Name: "bad", Command: []string{"cat", "{dir}/nothing"}}},
		Settle: 10 * time.Second})
	if !errors.Is(err, ErrEnded) || !strings.Contains(err.Error(), "nothing: No such file") {
		t.Errorf("got %v", err)
	}
}

// TestGroup shows that what a process takes is counted, where the system counts.
func TestGroup(t *testing.T) {
	if os.Geteuid() != 0 {
		t.Skip("needs root")
	}
	host := netns.New(t).Host("host")
	p := host.Go("sh", "-c", "until grep -q cordon-bench /proc/self/cgroup; do :; done; "+
		"head -c 20000000 /dev/zero | tail -c 20000000 >/dev/null; echo done; sleep 1000")
	g := newGroup(p)
	if g == nil {
		t.Skip("the system has no memory control groups")
	}
	netns.Wait(t, 10*time.Second, "the memory is taken", func() bool { return p.Output() == "done\n" })
	if g.most() < 20_000_000 {
		t.Errorf("held at most %d bytes, want 20 MB", g.most())
	}
	p.Kill()
	g.remove()
	if _, err := os.Stat(g.dir); !os.IsNotExist(err) {
		t.Errorf("%s is still there: %v", g.dir, err)
	}
}

// TestRatio shows the median and the spread of pairs.
func TestRatio(t *testing.T) {
	r := newReport(Config{Setups: make([]Setup, 2), Loads: make([]Load, 1)})
	for _, s := range []Sample{{Speed: 80, Base: 100}, {Speed: 190, Base: 200}, {Speed: 45, Base: 50}, {Speed: 1}} {
		r.add(1, 0, s)
	}
	median, low, high := r.Ratio(1, 0)
	if m, _, _ := r.PathRatio(1, 0); m != 0 {
		t.Errorf("a ratio %v of nothing", m)
	}
	if diff := cmp.Diff([]float64{0.9, 0.8, 0.95}, []float64{median, low, high}); diff != "" {
		t.Error(diff)
	}
}

// TestAgent shows that the agent takes the configuration, and every indicator of
// the list.
func TestAgent(t *testing.T) {
	for mode, eyes := range map[string]config.Eyes{"ebpf": config.EyesEBPF, "afpacket": config.EyesAFPacket} {
		c, err := config.Parse(strings.NewReader(words(Agent("agent", "agent", mode).Files["agent.toml"], t.TempDir())))
		if err != nil || c.Capture.Mode != eyes || len(c.Devices) != 1 {
			t.Errorf("%s: %+v, %v", mode, c, err)
		}
	}
	n := 0
	report, err := feed.Read(strings.NewReader(indicators()), "bench", cordon.TimeOf(time.Now()), func(*cordon.Indicator) error {
		n++
		return nil
	})
	if err != nil || n != Indicators {
		t.Errorf("%d of %d indicators, %v: %+v", n, Indicators, err, report)
	}
}
