package gateway

import (
	"bytes"
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
	if g.give(router, a) {
		return
	}
	// Another instance has asked, or nobody, or it is too late.
	if !ident.Valid(a.ID) || !g.said.answers.allow(router, 1, g.cfg.Now()) {
		g.drop(ctx, "answer", router, nil)
		return
	}
	if err := g.cfg.Bus.Announce(answerSubject, append([]byte(router+"\n"), data...)); err != nil {
		g.cfg.Log.WarnContext(ctx, "an answer is not passed on", "router", router, "err", err)
	}
}

// answerElsewhere takes an answer that another instance has heard.
func (g *Gateway) answerElsewhere(data []byte) {
	router, data, _ := bytes.Cut(data, []byte("\n"))
	if a, err := wire.DecodeAnswer(data); err == nil {
		g.give(string(router), a)
	}
}

// give gives an answer to who waits for it here, and reports whether anybody does.
func (g *Gateway) give(router string, a wire.Answer) bool {
	g.asked.mu.Lock()
	defer g.asked.mu.Unlock()
	waiting, ok := g.asked.waiting[router+"/"+a.ID]
	if !ok {
		return false
	}
	select {
	case waiting <- a:
	default:
	}
	return true
}
