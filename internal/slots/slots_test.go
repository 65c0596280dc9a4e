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

func TestFew(t *testing.T) {
	var f Few[string, int]
	for i, key := range []string{"a", "b", "c", "a"} {
		*f.Get(key, int64(i), 3) += 1
	}
	if got := *f.Get("a", 4, 3); got != 2 {
		t.Errorf("a: %d, want 2", got)
	}
	*f.Get("d", 5, 3) = 9 // takes the place of b, used longest ago
	if f.Peek("b", 6) != nil {
		t.Error("b is still kept")
	}
	for _, key := range []string{"a", "c", "d"} {
		if f.Peek(key, 6) == nil {
			t.Errorf("%s is gone", key)
		}
	}
	if got := *f.Get("b", 7, 3); got != 0 {
		t.Errorf("b came back with %d", got)
	}
}
