package agent_test

import (
	"context"
	"flag"
	"os"
	"path/filepath"
	"runtime"
	"runtime/pprof"
	"testing"
	"time"

	"cordon/agent"
	"cordon/agent/capture/file"
	"cordon/lab/detectiontest"
	"cordon/lab/synth"
)

var heapProfile = flag.String("heapprofile", "", "write the heap profile of TestMemoryBudget to `FILE`")

// memoryBudget is what the tables of the agent may take with 200 devices, an
// infection among them: docs/performance.md has them one by one.
const memoryBudget = 8 << 20

// TestMemoryBudget runs 200 devices and an infected home through one agent and
// weighs its tables while they are full.
func TestMemoryBudget(t *testing.T) {
	if *heapProfile != "" {
		runtime.MemProfileRate = 1
	}
	dir := t.TempDir()
	var readers []*file.Reader
	for _, scenario := range []string{"crowd", "infection"} {
		name := filepath.Join(dir, scenario)
		f, err := os.Create(name)
		if err != nil {
			t.Fatal(err)
		}
		if _, err := synth.Write(f, scenario, synth.Options{Seed: 1, Duration: 4 * time.Minute}); err != nil {
			t.Fatal(err)
		}
		f.Close()
		r, err := file.Open(name, file.Config{})
		if err != nil {
			t.Fatal(err)
		}
		defer r.Close()
		readers = append(readers, r)
	}
	before := heap()
	var most uint64
	ticks := 0
	sink := new(detectiontest.Sink)
	_, err := agent.Run(context.Background(), agent.Config{Source: file.Merge(readers...), Sink: sink, Tick: func() {
		if ticks++; ticks%16 == 0 {
			if h := heap() - before; h > most {
				most = h
				profile(t)
			}
		}
	}})
	if err != nil {
		t.Fatal(err)
	}
	if len(sink.Incidents) == 0 || len(sink.Devices) < 200 {
		t.Fatalf("%d incidents, %d devices: not the test it should be", len(sink.Incidents), len(sink.Devices))
	}
	t.Logf("the agent's tables take %.1f MiB at most", float64(most)/(1<<20))
	if most > memoryBudget {
		t.Errorf("that is over the budget of %d MiB", memoryBudget>>20)
	}
}

func heap() uint64 {
	runtime.GC()
	var m runtime.MemStats
	runtime.ReadMemStats(&m)
	return m.HeapAlloc
}

func profile(t *testing.T) {
	if *heapProfile == "" {
		return
	}
	f, err := os.Create(*heapProfile)
	if err != nil {
		t.Fatal(err)
	}
	defer f.Close()
	if err := pprof.Lookup("heap").WriteTo(f, 0); err != nil {
		t.Fatal(err)
	}
}
