package bus

import (
	"crypto/tls"
	"errors"
	"runtime"
	"sync/atomic"
	"time"
)

// How handshakes begin.
const (
	// beginEvery is how long at least a turn lasts, on each processor one: a third of what a
	// connection costs (BenchmarkConnections), so that no processor waits for it.
	beginEvery = time.Millisecond / 2
	// queueFor is how long one may wait for its turn: a third of the time that an agent has
	// for its connection (agent/uplink), so that whoever gets in also gets through.
	queueFor = 15 * time.Second
)

// turnstile lets handshakes begin in the order in which they came, and as fast as there is
// time for all that has begun. Without it thousands that come at once share the
// processors, are all ready at the same time, and if that is too late for one, it is for
// all: they come again, for nothing again.
type turnstile struct {
	turn chan struct{} // holds one for each processor
	busy atomic.Uint64 // handshakes that were sent away
}

func newTurnstile() *turnstile { return &turnstile{turn: make(chan struct{}, runtime.GOMAXPROCS(0))} }

var errBusy = errors.New("too many connections at once")

// pass waits for a turn, which lasts until whatever else can run has run: also what passed
// before and is about to log in. So nothing has to be given back that could be lost.
func (t *turnstile) pass() error {
	timer := time.NewTimer(queueFor)
	defer timer.Stop()
	select {
	case t.turn <- struct{}{}:
	case <-timer.C:
		t.busy.Add(1)
		return errBusy
	}
	time.Sleep(beginEvery)
	runtime.Gosched() // to the end of the queue of all that can run
	<-t.turn
	return nil
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
