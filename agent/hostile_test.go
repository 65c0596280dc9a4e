package agent

import "testing"

// TestHostileDue: the kernel is told of hostile addresses when that changes something, and
// renews them; what cut the home off is not tried again.
func TestHostileDue(t *testing.T) {
	for _, c := range []struct {
		name          string
		before        hostileState
		wanted, again bool
		want          bool
	}{
		{"at the start", hostileUnknown, true, false, true},
		{"at the start, not wanted", hostileUnknown, false, false, false},
		{"what an earlier agent left", hostileUnknown, false, true, true},
		{"wanted as before", hostileIn, true, false, false},
		{"before the kernel forgets", hostileIn, true, true, true},
		{"wanted no more", hostileIn, false, false, true},
		{"wanted again", hostileOut, true, false, true},
		{"not wanted as before", hostileOut, false, true, false},
		{"cut the home off", hostileHarm, true, true, false},
		{"cut the home off, and wanted no more", hostileHarm, false, false, true},
	} {
		if got := c.before.due(c.wanted, c.again); got != c.want {
			t.Errorf("%s: %t", c.name, got)
		}
	}
}
