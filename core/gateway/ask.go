package gateway

import (
	"context"
	"crypto/ed25519"
	"errors"
	"fmt"
	"sync"

	"cordon"
	"cordon/internal/ident"
	"cordon/wire"
)

// asked is who waits for answers of routers.
type asked struct {
	mu      sync.Mutex
	waiting map[string]chan wire.Answer // question → who waits; guarded by mu
}

// maxAsked bounds the questions that wait.
const maxAsked = 10_000

// ErrAway means that a router did not answer in time.
var ErrAway = errors.New("the router does not answer")

// Ask asks a router something and returns what it says. Nobody keeps either. It waits
// at most wire.QuestionLife; the error wraps ErrAway then.
func (g *Gateway) Ask(ctx context.Context, key ed25519.PrivateKey, router, what, device string) (wire.Answer, error) {
	now := g.cfg.Now()
	q := wire.Question{ID: ident.New(now), Receiver: router, What: what, Device: device, Issued: cordon.TimeOf(now),
		Expires: cordon.TimeOf(now.Add(wire.QuestionLife))}
	data, err := wire.SignQuestion(q, key)
	if err != nil {
		return wire.Answer{}, err
	}
	answer := make(chan wire.Answer, 1)
	id := router + "/" + q.ID
	g.asked.mu.Lock()
	if len(g.asked.waiting) >= maxAsked {
		g.asked.mu.Unlock()
		return wire.Answer{}, fmt.Errorf("ask router %s: %d questions wait already", router, maxAsked)
	}
	g.asked.waiting[id] = answer
	g.asked.mu.Unlock()
	defer func() {
		g.asked.mu.Lock()
		defer g.asked.mu.Unlock()
		delete(g.asked.waiting, id)
	}()
	if err := g.cfg.Bus.ToRouter(router, "ask", data); err != nil {
		return wire.Answer{}, fmt.Errorf("ask router %s: %w", router, err)
	}
	ctx, cancel := context.WithTimeout(ctx, wire.QuestionLife)
	defer cancel()
	select {
	case a := <-answer:
		return a, nil
	case <-ctx.Done():
		return wire.Answer{}, fmt.Errorf("ask router %s: %w", router, ErrAway)
	}
}

// answer gives a router's answer to who waits for it. Only the router that was asked
// can answer: its id is a part of what is waited for.
func (g *Gateway) answer(ctx context.Context, router string, data []byte) {
	a, err := wire.DecodeAnswer(data)
	if err != nil {
		g.drop(ctx, "answer", router, err)
		return
	}
	g.asked.mu.Lock()
	defer g.asked.mu.Unlock()
	waiting, ok := g.asked.waiting[router+"/"+a.ID]
	if !ok {
		return // too late, or never asked
	}
	select {
	case waiting <- a:
	default:
	}
}
