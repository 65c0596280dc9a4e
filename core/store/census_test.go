package store_test

import (
	"fmt"
	"testing"

	"cordon"
	"cordon/core/store"

	"github.com/google/go-cmp/cmp"
)

// testCensus counts homes that are online, each once, and no model or version that only
// few have.
func testCensus(t *testing.T, b *bench) {
	ctx := t.Context()
	if c := get[store.Census](t)(b.Census(ctx)); c.Homes != 0 || len(c.Models) != 0 || len(c.Agents) != 0 {
		t.Errorf("of nobody: %+v", c)
	}
	var known []cordon.Presence
	for i := range 14 {
		h := b.home(fmt.Sprintf("%02d", i))
		p := cordon.Presence{Router: h.router.ID, Online: i != 0, At: b.at(), Agent: "1.0"}
		models := []string{"Cam", "Cam", "Plug", ""}
		switch {
		case i > 11:
			p.Agent, models[2] = "1.1", "Bulb"
		case i == 11:
			p.Agent = "" // it never said hello
		}
		known = append(known, p)
		for n, model := range models {
			d := device(fmt.Sprintf("02:00:00:00:%02x:%02x", i, n))
			d.Model = model
			b.ingest(h, cordon.Report{Device: d})
		}
	}
	must(t, b.Presence(ctx, known))
	want := store.Census{Homes: 13, Models: map[string]int{"Cam": 13, "Plug": 11}, Agents: map[string]int{"1.0": 10}}
	if diff := cmp.Diff(want, get[store.Census](t)(b.Census(ctx))); diff != "" {
		t.Errorf("census (-want +got):\n%s", diff)
	}
}
