package slots

import "testing"

func TestGet(t *testing.T) {
	var table Table[int]
	*table.Get(3, 1) = 7
	if got := *table.Get(3, 1); got != 7 {
		t.Errorf("same generation: got %d, want 7", got)
	}
	if got := *table.Get(3, 2); got != 0 {
		t.Errorf("next generation: got %d, want a fresh 0", got)
	}
	if got := *table.Get(0, 0); got != 0 {
		t.Errorf("another slot: got %d, want 0", got)
	}
}
