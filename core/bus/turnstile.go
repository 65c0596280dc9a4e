package bus

import (
	"container/list"
	"crypto/tls"
	"errors"
	"runtime"
	"sync"
	"time"
)

// How handshakes begin.
const (
	// beginEvery is how long at least a turn lasts, on each processor one: a third of what a
	// connection costs (BenchmarkConnections), so that no processor waits for it.
	beginEvery = time.Millisecond / 2
	// queueFor is how long one may wait for its turn: two thirds of the time that an agent
	// has for its connection (agent/uplink).
	queueFor = 30 * time.Second
)

// turnstile lets handshakes begin as fast as there is time for all that has begun. Without
// it thousands that come at once share the processors, are all ready at the same time, and
// if that is too late for one, it is for all: they come again, for nothing again. Whoever
// came last begins first, for it has most of its time left; who has waited too long is
// sent away, and comes again.
type turnstile struct {
	mu      sync.Mutex
	free    int        // turns; guarded by mu
	waiting *list.List // of chan struct{}, closed when it has a turn; guarded by mu
	busy    uint64     // handshakes that were sent away; guarded by mu
}

func newTurnstile(turns int) *turnstile { return &turnstile{free: turns, waiting: list.New()} }

var errBusy = errors.New("too many connections at once")

// pass waits for a turn, which lasts until whatever else can run has run: also what passed
// before and is about to log in. So nothing has to be given back that could be lost.
func (t *turnstile) pass() error {
	if !t.take() {
		return errBusy
	}
	time.Sleep(beginEvery)
	runtime.Gosched() // to the end of the queue of all that can run
	t.mu.Lock()
	defer t.mu.Unlock()
	if last := t.waiting.Back(); last != nil {
		close(t.waiting.Remove(last).(chan struct{}))
	} else {
		t.free++
	}
	return nil
}

// take waits for a turn and reports whether there was one.
func (t *turnstile) take() bool {
	t.mu.Lock()
	if t.free > 0 {
		t.free--
		t.mu.Unlock()
		return true
	}
	turn := make(chan struct{})
	place := t.waiting.PushBack(turn)
	t.mu.Unlock()
	timer := time.NewTimer(queueFor)
	defer timer.Stop()
	select {
	case <-turn:
		return true
	case <-timer.C:
	}
	t.mu.Lock()
	defer t.mu.Unlock()
	select {
	case <-turn: // just now
		return true
	default:
		t.waiting.Remove(place)
		t.busy++
		return false
	}
}

// sentAway returns how many waited in vain.
func (t *turnstile) sentAway() uint64 {
	t.mu.Lock()
	defer t.mu.Unlock()
	return t.busy
}

// guard returns a configuration whose handshakes pass the turnstile. Nobody comes back with
// a ticket: agents keep none.
func (t *turnstile) guard(cfg *tls.Config) *tls.Config {
	then := cfg.GetConfigForClient
	cfg = cfg.Clone()
	cfg.SessionTicketsDisabled = true
	cfg.GetConfigForClient = func(h *tls.ClientHelloInfo) (*tls.Config, error) {
		if err := t.pass(); err != nil || then == nil {
			return nil, err
		}
		return then(h)
	}
	return cfg
}
