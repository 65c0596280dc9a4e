package netns

import "time"

// lookEvery is how often Wait looks.
const lookEvery = 2 * time.Millisecond

// Wait waits until the condition holds, and ends the test if it does not within
// the time. What is waited for is said in words: "the port answers".
func Wait(t TB, within time.Duration, what string, condition func() bool) {
	t.Helper()
	if !Holds(within, condition) {
		t.Fatalf("waited %v: %s: no", within, what)
	}
}

// Holds waits until the condition holds and reports whether it did in time.
func Holds(within time.Duration, condition func() bool) bool {
	deadline := time.Now().Add(within)
	ticker := time.NewTicker(lookEvery)
	defer ticker.Stop()
	for {
		if condition() {
			return true
		}
		if now := <-ticker.C; now.After(deadline) {
			return condition()
		}
	}
}
