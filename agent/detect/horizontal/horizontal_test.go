package horizontal_test

import (
	"flag"
	"testing"

	"cordon/lab/detectiontest"
)

var update = flag.Bool("update", false, "write the golden files anew")

func TestAttack(t *testing.T) {
	for _, scenario := range []string{"scan-horizontal", "scan-deadc2", "scan-block", "scan-hidden"} {
		t.Run(scenario, func(t *testing.T) { detectiontest.Attack(t, scenario, *update) })
	}
}

func TestTwin(t *testing.T) {
	for _, scenario := range []string{"twin-horizontal", "twin-eyeballs-doh", "twin-admin"} {
		t.Run(scenario, func(t *testing.T) { detectiontest.Twin(t, scenario) })
	}
}
