// Package live hands on what changes to the people who look: cordon.Events come in from
// the bus, and each stream gets those that its reader may see. Nothing is kept: who was
// away reads the records again.
package live

import (
	"errors"
	"slices"
	"sync"

	"cordon"
)

// Bounds of streams.
const (
	// queue is how many events wait for a slow reader before it is cut.
	queue = 256
	// maxStreams bounds the streams of one instance of core, each about 20 KB with its
	// goroutine and connection.
	maxStreams = 5000
	// maxPerUser bounds those of one user: tabs and programs.
	maxPerUser = 16
)

// ErrFull means that too many streams are open.
var ErrFull = errors.New("too many event streams")

// Hub hands events on. It is safe for concurrent use.
type Hub struct {
	mu       sync.Mutex
	all      map[*Stream]struct{}            // who sees everything; guarded by mu, as what follows
	accounts map[string]map[*Stream]struct{} // by Scope.Accounts
	sites    map[string]map[*Stream]struct{} // by Scope.Sites
	users    map[string]map[*Stream]struct{} // by user
	open     int
	cut      uint64
}

// New returns a Hub.
func New() *Hub {
	return &Hub{all: make(map[*Stream]struct{}), accounts: make(map[string]map[*Stream]struct{}),
		sites: make(map[string]map[*Stream]struct{}), users: make(map[string]map[*Stream]struct{})}
}

// Stream is what one reader gets.
type Stream struct {
	// C has the events. It is closed when the reader was too slow, or the stream ended.
	C      chan cordon.Event
	user   string
	scope  cordon.Scope
	want   func(*cordon.Event) bool
	closed bool // guarded by Hub.mu
}

// Open begins a stream of the events that scope lets user see and that are wanted. Want
// must be quick. An event that is of no account is seen only by who sees everything.
func (h *Hub) Open(user string, scope cordon.Scope, want func(*cordon.Event) bool) (*Stream, error) {
	h.mu.Lock()
	defer h.mu.Unlock()
	if h.open >= maxStreams || len(h.users[user]) >= maxPerUser {
		return nil, ErrFull
	}
	s := &Stream{C: make(chan cordon.Event, queue), user: user, scope: scope, want: want}
	if scope.All {
		h.all[s] = struct{}{}
	} else {
		enter(h.accounts, scope.Accounts, s)
		enter(h.sites, scope.Sites, s)
	}
	enter(h.users, []string{user}, s)
	h.open++
	return s, nil
}

func enter(index map[string]map[*Stream]struct{}, keys []string, s *Stream) {
	for _, k := range keys {
		if index[k] == nil {
			index[k] = make(map[*Stream]struct{})
		}
		index[k][s] = struct{}{}
	}
}

func leave(index map[string]map[*Stream]struct{}, keys []string, s *Stream) {
	for _, k := range keys {
		if delete(index[k], s); len(index[k]) == 0 {
			delete(index, k)
		}
	}
}

// Close ends a stream. It may be called twice.
func (h *Hub) Close(s *Stream) {
	h.mu.Lock()
	defer h.mu.Unlock()
	h.close(s)
}

func (h *Hub) close(s *Stream) {
	if s.closed {
		return
	}
	s.closed = true
	delete(h.all, s)
	leave(h.accounts, s.scope.Accounts, s)
	leave(h.sites, s.scope.Sites, s)
	leave(h.users, []string{s.user}, s)
	h.open--
	close(s.C)
}

// End ends all streams: core stops.
func (h *Hub) End() {
	h.mu.Lock()
	defer h.mu.Unlock()
	for user := range h.users {
		h.endOf(user)
	}
}

// EndOf ends the streams of a user who may see less from now on, or has logged out
// somewhere. Whoever may still see something comes again by himself.
func (h *Hub) EndOf(user string) {
	h.mu.Lock()
	defer h.mu.Unlock()
	h.endOf(user)
}

func (h *Hub) endOf(user string) {
	for s := range h.users[user] {
		h.close(s)
	}
}

// Publish hands events on. It never waits: a reader whose queue is full is cut.
func (h *Hub) Publish(events []cordon.Event) {
	h.mu.Lock()
	defer h.mu.Unlock()
	for i := range events {
		e := &events[i]
		for s := range h.all {
			h.give(s, e)
		}
		if e.Account == "" {
			continue
		}
		for s := range h.accounts[e.Account] {
			h.give(s, e)
		}
		for s := range h.sites[e.Site] {
			if !slices.Contains(s.scope.Accounts, e.Account) { // else it has it
				h.give(s, e)
			}
		}
	}
}

func (h *Hub) give(s *Stream, e *cordon.Event) {
	if !s.want(e) {
		return
	}
	select {
	case s.C <- *e:
	default:
		h.cut++
		h.close(s)
	}
}

// Stats returns how many streams are open, and how many were cut.
func (h *Hub) Stats() (open int, cut uint64) {
	h.mu.Lock()
	defer h.mu.Unlock()
	return h.open, h.cut
}
