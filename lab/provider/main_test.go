package provider_test

import (
	"os"
	"testing"

	"cordon/lab/program"
)

func TestMain(m *testing.M) {
	status := m.Run()
	program.Remove()
	os.Exit(status)
}
