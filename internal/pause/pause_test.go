package pause

import (
	"context"
	"testing"
	"testing/synctest"
	"time"
)

// TestFor waits as long as it should, and no longer than ctx lasts.
func TestFor(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		ctx, cancel := context.WithTimeout(t.Context(), time.Minute)
		defer cancel()
		for _, c := range []struct {
			wait, took time.Duration
			lasted     bool
		}{{0, 0, true}, {-time.Second, 0, true}, {10 * time.Second, 10 * time.Second, true}, {time.Hour, 50 * time.Second, false}, {0, 0, false}} {
			begun := time.Now()
			if lasted := For(ctx, c.wait); lasted != c.lasted || time.Since(begun) != c.took {
				t.Errorf("%v: %v after %v, want %v after %v", c.wait, lasted, time.Since(begun), c.lasted, c.took)
			}
		}
	})
}
