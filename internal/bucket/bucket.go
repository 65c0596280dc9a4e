// Package bucket is the leaky bucket: it overflows when events come faster than
// it leaks, and a few at a time never fill it.
package bucket

import "time"

// Leaky is a bucket. The zero value is empty.
type Leaky struct {
	level float64
	last  int64 // nanoseconds
}

// Add pours one event in and reports whether the bucket, which holds capacity
// events and leaks one every leak, overflows. It stays full then.
func (b *Leaky) Add(now int64, capacity int, leak time.Duration) (over bool) {
	b.level = max(0, b.level-float64(now-b.last)/float64(leak)) + 1
	b.last = now
	if b.level > float64(capacity) {
		b.level = float64(capacity)
		return true
	}
	return false
}

// Take takes n events out again.
func (b *Leaky) Take(n int) { b.level = max(0, b.level-float64(n)) }
