package office

import (
	"context"
	"fmt"
	"slices"
	"sync"

	"cordon"
	"cordon/core/api/desk"
	"cordon/core/api/live"
)

// Line is the routers' side, played. Its fields are guarded by mu.
type Line struct {
	events *live.Hub

	mu      sync.Mutex
	answers map[string]string // by question
	away    bool
	cut     []string
	desired []string
	shadows []uint64
}

// Away takes all routers away, or brings them back.
func (l *Line) Away(away bool) {
	l.mu.Lock()
	defer l.mu.Unlock()
	l.away = away
}

// Answer makes routers answer a question with json.
func (l *Line) Answer(what, json string) {
	l.mu.Lock()
	defer l.mu.Unlock()
	l.answers[what] = json
}

// Told returns what routers were told: for which sites there is something new, whose
// keys were cut off, which numbers of shadows.
func (l *Line) Told() (desired, cut []string, shadows []uint64) {
	l.mu.Lock()
	defer l.mu.Unlock()
	return slices.Clone(l.desired), slices.Clone(l.cut), slices.Clone(l.shadows)
}

// Ask answers as a router does.
func (l *Line) Ask(_ context.Context, router, what, _ string) ([]byte, error) {
	l.mu.Lock()
	defer l.mu.Unlock()
	if l.away {
		return nil, fmt.Errorf("router %s: %w", router, desk.ErrAway)
	}
	if a, ok := l.answers[what]; ok {
		return []byte(a), nil
	}
	return nil, fmt.Errorf("no question %q: %w", what, desk.ErrRefused)
}

// Cut remembers whose connection was ended.
func (l *Line) Cut(_ context.Context, key string) error {
	l.mu.Lock()
	defer l.mu.Unlock()
	l.cut = append(l.cut, key)
	return nil
}

// Desired remembers which site has something new.
func (l *Line) Desired(_ context.Context, site string) {
	l.mu.Lock()
	defer l.mu.Unlock()
	l.desired = append(l.desired, site)
}

// Shadows remembers their number.
func (l *Line) Shadows(_ context.Context, number uint64) {
	l.mu.Lock()
	defer l.mu.Unlock()
	l.shadows = append(l.shadows, number)
}

// Tell hands events on, as core's bus does.
func (l *Line) Tell(_ context.Context, events ...cordon.Event) { l.events.Publish(events) }
