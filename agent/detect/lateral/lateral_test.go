package lateral_test

import (
	"flag"
	"testing"

	"cordon/lab/detectiontest"
)

var update = flag.Bool("update", false, "write the golden files anew")

func TestAttack(t *testing.T) { detectiontest.Attack(t, "scan-lateral", *update) }

func TestTwin(t *testing.T) { detectiontest.Twin(t, "twin-lateral") }
