package flood_test

import (
	"flag"
	"testing"

	"cordon/lab/detectiontest"
)

var update = flag.Bool("update", false, "write the golden files anew")

func TestAttack(t *testing.T) {
	for _, scenario := range []string{"flood-syn", "flood-ack", "flood-udp", "flood-tv", "flood-gre", "flood-icmp", "flood-http",
		"flood-dns", "flood-turn", "spoofed", "reflection"} {
		t.Run(scenario, func(t *testing.T) { detectiontest.Attack(t, scenario, *update) })
	}
}

func TestTwin(t *testing.T) {
	for _, scenario := range []string{"twin-upload", "twin-speed", "twin-stream", "twin-seed", "twin-cut", "twin-athome", "twin-prefetch"} {
		t.Run(scenario, func(t *testing.T) { detectiontest.Twin(t, scenario) })
	}
}
