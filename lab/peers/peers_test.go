package peers

import (
	"context"
	"os"
	"os/exec"
	"path/filepath"
	"strings"
	"testing"
	"time"
)

func TestDue(t *testing.T) {
	cfg := Config{}
	cfg.complete()
	runs := func(n int, each time.Duration) *Result {
		r := &Result{}
		for range n {
			r.Runs = append(r.Runs, Usage{CPU: each})
		}
		return r
	}
	for _, c := range []struct {
		name string
		r    *Result
		want bool
	}{
		{"not yet run", runs(0, 0), true},
		{"two rounds of three", runs(2, 9*time.Second), true},
		{"three rounds, enough", runs(3, 4*time.Second), false},
		{"three rounds, too short", runs(3, 3*time.Second), true},
		{"four rounds, enough", runs(4, 3*time.Second), false},
		{"one round of a slow one", runs(1, 70*time.Second), false},
		{"too fast to measure", runs(maxRuns, 0), false},
	} {
		if got := cfg.due(c.r); got != c.want {
			t.Errorf("%s: due %v, want %v", c.name, got, c.want)
		}
	}
}

func TestSpeeds(t *testing.T) {
	r := Result{Packets: 1000, Runs: []Usage{{CPU: time.Second, RSS: 5}, {CPU: 4 * time.Second, RSS: 7}, {CPU: 2 * time.Second}, {CPU: 0}}}
	if slowest, median, fastest := r.Speeds(); slowest != 250 || median != 500 || fastest != 1000 {
		t.Errorf("speeds %v, %v, %v, want 250, 500, 1000", slowest, median, fastest)
	}
	if r.Peak() != 7 || r.CPU() != 7*time.Second {
		t.Errorf("peak %d, CPU %v, want 7, 7s", r.Peak(), r.CPU())
	}
}

func TestChoose(t *testing.T) {
	empty := t.TempDir()
	agent := filepath.Join(empty, agentName)
	if err := os.WriteFile(agent, nil, 0o755); err != nil {
		t.Fatal(err)
	}
	t.Setenv("PATH", empty)
	for _, c := range []struct {
		name  string
		cfg   Config
		wrong string
	}{
		{"the agent alone", Config{Agent: agent, Programs: []string{agentName}}, ""},
		{"no tshark", Config{Agent: agent, Programs: []string{agentName, "tshark"}}, "not installed: tshark (apt-get install tshark)"},
		{"no tshark, skipped", Config{Agent: agent, Programs: []string{agentName, "tshark"}, Skip: true}, ""},
		{"no agent", Config{Agent: agent + "x", Programs: []string{agentName}, Skip: true}, "cordon-agent (make build)"},
		{"unknown", Config{Agent: agent, Programs: []string{"snort"}}, `program "snort": unknown`},
	} {
		chosen, err := c.cfg.choose()
		switch {
		case c.wrong == "" && (err != nil || len(chosen) != 1 || chosen[0].path != agent):
			t.Errorf("%s: %v, %v, want the agent", c.name, chosen, err)
		case c.wrong != "" && (err == nil || !strings.Contains(err.Error(), c.wrong)):
			t.Errorf("%s: error %v, want %q", c.name, err, c.wrong)
		}
	}
}

func TestNumber(t *testing.T) {
	for said, want := range map[string]string{
		"Welcome to nDPI 4.2.0\n\nndpiReader -i <file": "4.2.0",
		"This is softflowd version 1.1.0. Valid":       "1.1.0",
		"TShark (Wireshark) 4.0.17 (Git v4.0.17)":      "4.0.17",
		"nothing": "",
	} {
		if got := string(number.Find([]byte(said))); got != want {
			t.Errorf("version in %q: %q, want %q", said, got, want)
		}
	}
}

func TestText(t *testing.T) {
	r := Report{Capture: "bench.pcap", Packets: 4_000_000, Bytes: 3_500_000_000, Results: []Result{
		{Program: agentName, Version: "this one", Args: []string{"replay", "FILE"}, Packets: 4_000_000,
			Runs: []Usage{{time.Second, 20e6}, {2 * time.Second, 21e6}, {time.Second, 20e6}}},
		{Program: "softflowd", Version: "1.1.0", Args: []string{"-r", "FILE"}, Packets: 4_000_000, Runs: []Usage{{2 * time.Second, 5e6}}}}}
	var b strings.Builder
	if err := r.Text(&b); err != nil {
		t.Fatal(err)
	}
	want := `bench.pcap: 4000000 packets, 3.50 GB; user and system time on one core

program       version   packets a run  runs  CPU s  packets per CPU s  slowest – fastest  peak RSS  × ndpiReader  × softflowd
cordon-agent  this one  4000000        3     4.0    4.000 M            2.000 M – 4.000 M  21.0 MB   -             2.00
softflowd     1.1.0     4000000        1     2.0    2.000 M            2.000 M – 2.000 M  5.0 MB    -             1.00

cordon-agent replay FILE
softflowd -r FILE

BenchmarkPeers/cordon-agent	12000000	250.0 ns/packet	4000000 packets/cpu-s	21.0 peak-MB
BenchmarkPeers/softflowd	4000000	500.0 ns/packet	2000000 packets/cpu-s	5.0 peak-MB
`
	if b.String() != want {
		t.Errorf("got\n%s\nwant\n%s", b.String(), want)
	}
}

func TestMeasureFailure(t *testing.T) {
	core, err := lastCore()
	if err != nil {
		t.Fatal(err)
	}
	_, err = measure(context.Background(), core, "/bin/sh", []string{"-c", "echo first >&2; echo no such file >&2; exit 3"})
	if err == nil || !strings.Contains(err.Error(), "exit status 3: no such file") {
		t.Errorf("error %v, want the status and the last line", err)
	}
}

// TestRun runs the agent alone over a few packets.
func TestRun(t *testing.T) {
	dir := t.TempDir()
	agent := filepath.Join(dir, agentName)
	if out, err := exec.Command("go", "build", "-o", agent, "cordon/cmd/cordon-agent").CombinedOutput(); err != nil {
		t.Fatalf("go build: %v\n%s", err, out)
	}
	r, err := Run(context.Background(), Config{Agent: agent, Programs: []string{agentName}, Packets: 20_000, Rounds: 2, CPU: 1, Dir: dir})
	if err != nil {
		t.Fatal(err)
	}
	if len(r.Results) != 1 || r.Packets != 20_000 {
		t.Fatalf("%d results over %d packets, want 1 over 20,000", len(r.Results), r.Packets)
	}
	a := &r.Results[0]
	if len(a.Runs) < 2 || a.CPU() <= 0 || a.Peak() < 1<<20 || a.Peak() > 1<<30 {
		t.Errorf("%d runs, %v, peak %d bytes: want at least 2, some time, and the memory of a program", len(a.Runs), a.CPU(), a.Peak())
	}
	left, err := filepath.Glob(filepath.Join(dir, "cordon-bench-*"))
	if err != nil || len(left) > 0 {
		t.Errorf("left behind: %v, %v", left, err)
	}
}
