package main

import (
	"bytes"
	"context"
	"flag"
	"os"
	"path/filepath"
	"testing"
	"time"

	"github.com/google/go-cmp/cmp"
	"github.com/rogpeppe/go-internal/testscript"

	"cordon"
	"cordon/lab/synth"
)

func TestMain(m *testing.M) {
	testscript.Main(m, map[string]func(){"cordon-agent": main})
}

// TestScripts runs the program as a user does.
func TestScripts(t *testing.T) {
	testscript.Run(t, testscript.Params{
		Dir: filepath.Join("testdata", "script"),
		Cmds: map[string]func(*testscript.TestScript, bool, []string){
			"synth": synthCmd,
			"cut":   cutCmd,
			"agent": agentCmd,
		},
	})
}

// synthCmd writes a short capture: synth SCENARIO FILE [FORMAT].
func synthCmd(ts *testscript.TestScript, _ bool, args []string) {
	o := synth.Options{Seed: 1, Duration: time.Minute, Snap: 400}
	if len(args) > 2 {
		o.Format = args[2]
	}
	var b bytes.Buffer
	_, err := synth.Write(&b, args[0], o)
	ts.Check(err)
	ts.Check(os.WriteFile(ts.MkAbs(args[1]), b.Bytes(), 0o644))
}

// cutCmd writes the beginning of a file: cut FROM TO.
func cutCmd(ts *testscript.TestScript, _ bool, args []string) {
	b, err := os.ReadFile(ts.MkAbs(args[0]))
	ts.Check(err)
	ts.Check(os.WriteFile(ts.MkAbs(args[1]), b[:len(b)-5], 0o644))
}

var update = flag.Bool("update", false, "write the golden files anew")

// TestGoldenReplay holds the output of replay, for programs and for people. It
// also runs on emulated routers, where the same capture must give the same bytes.
func TestGoldenReplay(t *testing.T) {
	for _, scenario := range []string{"infection", "mirai", "scan-horizontal", "scan-lateral", "busy"} {
		t.Run(scenario, func(t *testing.T) {
			pcap := filepath.Join(t.TempDir(), scenario+".pcap")
			f, err := os.Create(pcap)
			if err != nil {
				t.Fatal(err)
			}
			_, err = synth.Write(f, scenario, synth.Options{Seed: 1, Duration: 3 * time.Minute})
			if err != nil || f.Close() != nil {
				t.Fatal(err)
			}
			var text, asJSON bytes.Buffer
			for r, name := range map[reporter]string{
				newTextReport(&text, false, cordon.PolicyProtect, scenario+".pcap"): ".txt",
				newJSONReport(&asJSON): ".json",
			} {
				if err := replay(context.Background(), job{files: []string{pcap}, report: r, stderr: os.Stderr}); err != nil {
					t.Fatal(name, err)
				}
			}
			golden(t, scenario+".txt", text.Bytes())
			golden(t, scenario+".json", asJSON.Bytes())
		})
	}
}

func golden(t *testing.T, name string, got []byte) {
	t.Helper()
	file := filepath.Join("testdata", "golden", name)
	if *update {
		if err := os.MkdirAll(filepath.Dir(file), 0o755); err != nil {
			t.Fatal(err)
		}
		if err := os.WriteFile(file, got, 0o644); err != nil {
			t.Fatal(err)
		}
	}
	want, err := os.ReadFile(file)
	if err != nil {
		t.Fatal(err)
	}
	if diff := cmp.Diff(string(want), string(got)); diff != "" {
		t.Errorf("%s (-want +got):\n%s", name, diff)
	}
}
