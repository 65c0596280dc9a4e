package bus

import (
	"bytes"
	"context"
	"errors"
	"fmt"
	"sync"
	"time"

	"github.com/nats-io/nkeys"
)

// Memory is a bus without a server, in the memory of one process: for tests, also such
// with testing/synctest, which no network survives. It does what Bus does, but that
// nothing is durable. Its methods are safe for concurrent use.
type Memory struct {
	now       func() time.Time
	maxStore  int64
	connected connected

	mu      sync.Mutex
	stored  map[string]*backlog                // subject → what was appended; guarded by mu
	hearing map[string][]*mailbox[fromMessage] // what → FromRouters; guarded by mu
	told    map[string][]*mailbox[[]byte]      // subject → Listen; guarded by mu
	lines   map[*Line]struct{}                 // routers; guarded by mu
	issued  map[string]credential              // by token; guarded by mu
	revoked map[string]time.Time               // key → until when issued; guarded by mu
	last    uint64                             // number of the last token or line; guarded by mu
	lost    uint64                             // guarded by mu
}

type fromMessage struct {
	router string
	data   []byte
}

type credential struct {
	router, key     string
	issued, expires time.Time
}

// NewMemory returns an empty bus. now may be nil: time.Now. maxStore is in bytes; 0: the
// same as a Bus has.
func NewMemory(now func() time.Time, maxStore int64) *Memory {
	if now == nil {
		now = time.Now
	}
	if maxStore == 0 {
		maxStore = defaultStore
	}
	m := &Memory{now: now, maxStore: maxStore, stored: make(map[string]*backlog),
		hearing: make(map[string][]*mailbox[fromMessage]), told: make(map[string][]*mailbox[[]byte]),
		lines: make(map[*Line]struct{}), issued: make(map[string]credential), revoked: make(map[string]time.Time)}
	m.connected.init()
	m.connected.known = true
	return m
}

// mailbox holds what somebody has not handled yet.
type mailbox[T any] struct {
	mu      sync.Mutex
	waiting []T           // guarded by mu
	wake    chan struct{} // holds one
}

func newMailbox[T any]() *mailbox[T] { return &mailbox[T]{wake: make(chan struct{}, 1)} }

// put adds v and reports whether there was room.
func (m *mailbox[T]) put(v T) bool {
	m.mu.Lock()
	defer m.mu.Unlock()
	if len(m.waiting) >= maxWaiting {
		return false
	}
	m.waiting = append(m.waiting, v)
	select {
	case m.wake <- struct{}{}:
	default:
	}
	return true
}

// each handles what is put until ctx or ended is done.
func (m *mailbox[T]) each(ctx context.Context, ended <-chan struct{}, handle func(T)) error {
	for {
		select {
		case <-ctx.Done():
			return ctx.Err()
		case <-ended:
			return nil
		case <-m.wake:
		}
		m.mu.Lock()
		list := m.waiting
		m.waiting = nil
		m.mu.Unlock()
		for _, v := range list {
			if ctx.Err() != nil {
				return ctx.Err()
			}
			handle(v)
		}
	}
}

// backlog is what was appended to a subject.
type backlog struct {
	ready []*entry
	held  int // with handlers or waiting for another try
	bytes int64
	wake  chan struct{} // closed and made anew when something is ready
}

type entry struct {
	data      []byte
	delivered int
}

func (m *Memory) backlog(subject string) *backlog {
	b := m.stored[subject]
	if b == nil {
		b = &backlog{wake: make(chan struct{})}
		m.stored[subject] = b
	}
	return b
}

func (b *backlog) add(e *entry) {
	b.ready = append(b.ready, e)
	close(b.wake)
	b.wake = make(chan struct{})
}

// Append is Bus.Append, but that nothing survives the process.
func (m *Memory) Append(ctx context.Context, subject string, data []byte) error {
	if _, err := durable(subject); err != nil {
		return err
	}
	if err := ctx.Err(); err != nil {
		return fmt.Errorf("append to %s: %w", subject, err)
	}
	m.mu.Lock()
	defer m.mu.Unlock()
	b := m.backlog(subject)
	if b.bytes+int64(len(data)) > m.maxStore {
		return fmt.Errorf("append to %s: %w", subject, ErrFull)
	}
	b.bytes += int64(len(data))
	b.add(&entry{data: bytes.Clone(data)})
	return nil
}

// Consume is Bus.Consume. Every name of a subject shares the work.
func (m *Memory) Consume(ctx context.Context, name, subject string, handle func(ctx context.Context, messages [][]byte) error) error {
	if _, err := durable(subject); err != nil {
		return err
	}
	for {
		m.mu.Lock()
		b := m.backlog(subject)
		n := min(len(b.ready), fetchAhead)
		batch := append([]*entry(nil), b.ready[:n]...)
		b.ready = b.ready[n:]
		b.held += n
		wake := b.wake
		m.mu.Unlock()
		if n == 0 {
			select {
			case <-ctx.Done():
				return ctx.Err()
			case <-wake:
			}
			continue
		}
		data := make([][]byte, n)
		for i, e := range batch {
			data[i] = e.data
		}
		m.handled(b, batch, handle(ctx, data))
		if ctx.Err() != nil {
			return ctx.Err()
		}
	}
}

// handled removes messages or has them come again later.
func (m *Memory) handled(b *backlog, batch []*entry, err error) {
	m.mu.Lock()
	defer m.mu.Unlock()
	for _, e := range batch {
		if err == nil {
			b.held--
			b.bytes -= int64(len(e.data))
			continue
		}
		e.delivered++
		time.AfterFunc(retryAfter(e.delivered), func() {
			m.mu.Lock()
			defer m.mu.Unlock()
			b.held--
			b.add(e)
		})
	}
}

// Announce is Bus.Announce.
func (m *Memory) Announce(subject string, data []byte) error {
	if err := spoken(subject); err != nil {
		return err
	}
	m.mu.Lock()
	defer m.mu.Unlock()
	for _, box := range m.told[subject] {
		if !box.put(bytes.Clone(data)) {
			m.lost++
		}
	}
	return nil
}

// Listen is Bus.Listen.
func (m *Memory) Listen(ctx context.Context, subject string, handle func(data []byte)) error {
	if err := spoken(subject); err != nil {
		return err
	}
	box := newMailbox[[]byte]()
	m.mu.Lock()
	m.told[subject] = append(m.told[subject], box)
	m.mu.Unlock()
	defer func() {
		m.mu.Lock()
		defer m.mu.Unlock()
		m.told[subject] = without(m.told[subject], box)
	}()
	return box.each(ctx, nil, handle)
}

func without[T comparable](list []T, v T) (rest []T) {
	for _, e := range list {
		if e != v {
			rest = append(rest, e)
		}
	}
	return rest
}

// FromRouters is Bus.FromRouters. Calls for the same what share the messages.
func (m *Memory) FromRouters(ctx context.Context, what string, handle func(router string, data []byte)) error {
	if _, err := address(fromRouter, "any", what); err != nil {
		return err
	}
	box := newMailbox[fromMessage]()
	m.mu.Lock()
	m.hearing[what] = append(m.hearing[what], box)
	m.mu.Unlock()
	defer func() {
		m.mu.Lock()
		defer m.mu.Unlock()
		m.hearing[what] = without(m.hearing[what], box)
	}()
	return box.each(ctx, nil, func(f fromMessage) { handle(f.router, f.data) })
}

// ToRouter is Bus.ToRouter.
func (m *Memory) ToRouter(router, what string, data []byte) error {
	if !isRouter(router) {
		return fmt.Errorf("tell router %q: not an id", router)
	}
	return m.tell(router, what, data)
}

// ToAll is Bus.ToAll.
func (m *Memory) ToAll(what string, data []byte) error { return m.tell(all, what, data) }

func (m *Memory) tell(whom, what string, data []byte) error {
	if _, err := address(toRouter, whom, what); err != nil {
		return err
	}
	m.mu.Lock()
	defer m.mu.Unlock()
	for l := range m.lines {
		if (whom == all || whom == l.router) && !l.box.put(LineMessage{What: what, All: whom == all, Data: bytes.Clone(data)}) {
			m.lost++
		}
	}
	return nil
}

// Credential is Bus.Credential; Dial takes it.
func (m *Memory) Credential(router, key string, life time.Duration) (string, error) {
	switch {
	case life <= 0 || life > MaxLife:
		return "", fmt.Errorf("credential for %s: want up to %s", life, MaxLife)
	case !isRouter(router):
		return "", fmt.Errorf("credential for router %q: not an id", router)
	case !nkeys.IsValidPublicUserKey(key):
		return "", fmt.Errorf("credential for router %s: not the public key of a user", router)
	}
	m.mu.Lock()
	defer m.mu.Unlock()
	m.last++
	token := fmt.Sprintf("memory.%s.%d", router, m.last)
	now := m.now()
	m.issued[token] = credential{router: router, key: key, issued: now, expires: now.Add(life)}
	return token, nil
}

// Revoke is Bus.Revoke.
func (m *Memory) Revoke(_ context.Context, key string) error {
	if !nkeys.IsValidPublicUserKey(key) {
		return fmt.Errorf("revoke %q: not the public key of a user", key)
	}
	m.mu.Lock()
	m.revoked[key] = m.now()
	var ended []*Line
	for l := range m.lines {
		if l.key == key {
			ended = append(ended, l)
		}
	}
	m.mu.Unlock()
	for _, l := range ended {
		l.Close()
	}
	return nil
}

// Presence is Bus.Presence.
func (m *Memory) Presence(ctx context.Context, handle func(router string, online bool, at time.Time)) error {
	return m.connected.present(ctx, m.now(), handle)
}

// Connected is Bus.Connected.
func (m *Memory) Connected(router string) (online, known bool) { return m.connected.has(router) }

// Ready is Bus.Ready.
func (m *Memory) Ready() error { return nil }

// Stats is Bus.Stats.
func (m *Memory) Stats(context.Context) (Stats, error) {
	m.mu.Lock()
	defer m.mu.Unlock()
	st := Stats{Routers: m.connected.len(), Lost: m.lost}
	for _, b := range m.stored {
		st.Messages += uint64(len(b.ready) + b.held)
		st.Bytes += uint64(b.bytes)
	}
	return st, nil
}

// Line is a router's connection to a Memory.
type Line struct {
	bus         *Memory
	router, key string
	id          connection
	box         *mailbox[LineMessage]
	ended       chan struct{}
	expiry      *time.Timer
	once        sync.Once
}

// LineMessage is something that core says to a router, or to all.
type LineMessage struct {
	What string
	All  bool
	Data []byte
}

// ErrRefused means that a credential does not let anybody in.
var ErrRefused = errors.New("credential refused")

// Dial connects as the router of a credential. The holder of any other key is refused.
func (m *Memory) Dial(token, key string) (*Line, error) {
	m.mu.Lock()
	defer m.mu.Unlock()
	c, ok := m.issued[token]
	now := m.now()
	until, revoked := m.revoked[key]
	if !ok || c.key != key || !now.Before(c.expires) || revoked && !c.issued.After(until) {
		return nil, ErrRefused
	}
	m.last++
	l := &Line{bus: m, router: c.router, key: key, id: connection{server: "memory", id: m.last},
		box: newMailbox[LineMessage](), ended: make(chan struct{})}
	l.expiry = time.AfterFunc(c.expires.Sub(now), l.Close)
	m.lines[l] = struct{}{}
	m.connected.mu.Lock()
	defer m.connected.mu.Unlock()
	m.connected.begin(l.id, l.router, now)
	return l, nil
}

// Send says something to core, as from.<router>.<what>.
func (l *Line) Send(what string, data []byte) error {
	if _, err := address(fromRouter, l.router, what); err != nil {
		return err
	}
	m := l.bus
	m.mu.Lock()
	defer m.mu.Unlock()
	if _, ok := m.lines[l]; !ok {
		return ErrRefused
	}
	boxes := m.hearing[what]
	if len(boxes) == 0 {
		return nil
	}
	m.last++
	if !boxes[m.last%uint64(len(boxes))].put(fromMessage{l.router, bytes.Clone(data)}) {
		m.lost++
	}
	return nil
}

// Receive calls handle with what core says to the router and to all, one call at a time,
// until ctx is done, or the connection ends, which is no error.
func (l *Line) Receive(ctx context.Context, handle func(LineMessage)) error {
	return l.box.each(ctx, l.ended, handle)
}

// Ended is closed when the connection has ended, by whomever.
func (l *Line) Ended() <-chan struct{} { return l.ended }

// Close ends the connection.
func (l *Line) Close() {
	l.once.Do(func() {
		m := l.bus
		m.mu.Lock() // Dial holds it until expiry is set
		l.expiry.Stop()
		delete(m.lines, l)
		m.mu.Unlock()
		m.connected.mu.Lock()
		m.connected.end(l.id, m.now())
		m.connected.mu.Unlock()
		close(l.ended)
	})
}
