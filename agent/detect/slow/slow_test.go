package slow_test

import (
	"flag"
	"testing"

	"cordon/lab/detectiontest"
)

var update = flag.Bool("update", false, "write the golden files anew")

func TestAttack(t *testing.T) { detectiontest.Attack(t, "scan-slow", *update) }

func TestTwin(t *testing.T) { detectiontest.Twin(t, "twin-slow") }
