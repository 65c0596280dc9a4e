package p2p_test

import (
	"flag"
	"testing"

	"cordon/lab/detectiontest"
)

var update = flag.Bool("update", false, "write the golden files anew")

func TestAttack(t *testing.T) {
	for _, scenario := range []string{"dht-bot", "p2p-bot"} {
		t.Run(scenario, func(t *testing.T) { detectiontest.Attack(t, scenario, *update) })
	}
}

func TestTwin(t *testing.T) {
	for _, scenario := range []string{"twin-p2p", "twin-dmz"} {
		t.Run(scenario, func(t *testing.T) { detectiontest.Twin(t, scenario) })
	}
}
