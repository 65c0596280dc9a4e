package keepalive_test

import (
	"flag"
	"testing"

	"cordon/lab/detectiontest"
)

var update = flag.Bool("update", false, "write the golden files anew")

func TestAttack(t *testing.T) {
	for _, scenario := range []string{"c2-only"} {
		t.Run(scenario, func(t *testing.T) { detectiontest.Attack(t, scenario, *update) })
	}
}

func TestTwin(t *testing.T) {
	for _, scenario := range []string{"twin-keepalive"} {
		t.Run(scenario, func(t *testing.T) { detectiontest.Twin(t, scenario) })
	}
}
