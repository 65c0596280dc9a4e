// Package pause waits for a while, or until it is of no use any more.
package pause

import (
	"context"
	"time"
)

// For waits for d and reports whether ctx lasted.
func For(ctx context.Context, d time.Duration) bool {
	t := time.NewTimer(d)
	defer t.Stop()
	select {
	case <-t.C:
		return ctx.Err() == nil
	case <-ctx.Done():
		return false
	}
}
