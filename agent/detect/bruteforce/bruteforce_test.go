package bruteforce_test

import (
	"flag"
	"testing"

	"cordon/lab/detectiontest"
)

var update = flag.Bool("update", false, "write the golden files anew")

func TestAttack(t *testing.T) {
	for _, scenario := range []string{"telnet-guess", "ssh-guess", "ssh-guessed", "ftp-guess", "http-guess"} {
		t.Run(scenario, func(t *testing.T) { detectiontest.Attack(t, scenario, *update) })
	}
}

func TestTwin(t *testing.T) {
	for _, scenario := range []string{"twin-guess", "twin-telnet", "twin-nvr"} {
		t.Run(scenario, func(t *testing.T) { detectiontest.Twin(t, scenario) })
	}
}
