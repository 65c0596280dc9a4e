package memory

import (
	"runtime"
	"testing"
)

// TestGiveBack: what was freed is the kernel's again, and the program, whose pages went
// too, runs on.
func TestGiveBack(t *testing.T) {
	const size = 16 << 20
	block := make([]byte, size)
	for i := range block {
		block[i] = 1
	}
	full := Resident()
	if full < size {
		t.Fatalf("%d bytes resident with %d in use", full, size)
	}
	runtime.KeepAlive(block)
	GiveBack()
	if now := Resident(); now == 0 || now > full-size/2 {
		t.Errorf("%d bytes resident after giving back, %d before", now, full)
	}
}
