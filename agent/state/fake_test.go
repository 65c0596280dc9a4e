package state

import (
	"io/fs"
	"maps"
	"slices"
	"sync"
	"testing"
	"time"

	"cordon"
)

// memory is a disk that can be broken.
type memory struct {
	mu    sync.Mutex
	files map[string][]byte
	// fail is asked before each operation that changes something; its error is
	// returned, after the change if done is true.
	fail func(op string) (done bool, err error)
	cost int64 // of everything written, as budget.go counts
}

func newMemory() *memory { return &memory{files: make(map[string][]byte)} }

func (m *memory) breakWith(f func(op string) (done bool, err error)) {
	m.mu.Lock()
	defer m.mu.Unlock()
	m.fail = f
}

func (m *memory) change(op string, f func()) error {
	m.mu.Lock()
	defer m.mu.Unlock()
	done, err := true, error(nil)
	if m.fail != nil {
		if done, err = m.fail(op); err == nil {
			done = true
		}
	}
	if done {
		f()
	}
	return err
}

func (m *memory) read(name string) ([]byte, error) {
	m.mu.Lock()
	defer m.mu.Unlock()
	b, ok := m.files[name]
	if !ok {
		return nil, fs.ErrNotExist
	}
	return b, nil
}

func (m *memory) write(name string, b []byte) error {
	return m.change("write", func() {
		m.cost += cost(len(b))
		m.files[name] = slices.Clone(b)
	})
}

func (m *memory) rename(from, to string) error {
	return m.change("rename", func() { m.files[to] = m.files[from]; delete(m.files, from) })
}

func (m *memory) sync() error { return m.change("sync", func() {}) }

func (m *memory) remove(name string) {
	m.mu.Lock()
	defer m.mu.Unlock()
	delete(m.files, name)
}

// copy is what a power cut leaves.
func (m *memory) copy() *memory {
	m.mu.Lock()
	defer m.mu.Unlock()
	return &memory{files: maps.Clone(m.files)}
}

// clock is the time since the kernel booted, as a test wants it.
type clock struct {
	mu  sync.Mutex
	now time.Duration
}

func (c *clock) uptime() time.Duration {
	c.mu.Lock()
	defer c.mu.Unlock()
	return c.now
}

func (c *clock) pass(d time.Duration) {
	c.mu.Lock()
	defer c.mu.Unlock()
	c.now += d
}

// boot opens the store on a disk as after a start of the agent.
func boot(m *memory, id string, c *clock) *Store {
	return open(m, Config{Boot: id, Uptime: c.uptime}, nil)
}

// load opens the disk and returns what is there.
func load(t *testing.T, m *memory) (State, error) {
	t.Helper()
	return boot(m, "other", &clock{}).Load()
}

var t0 = cordon.TimeOf(time.Date(2026, 11, 24, 12, 0, 0, 0, time.UTC))

// sample is a state with n blocks and a quarantine.
func sample(n int) State {
	iot := cordon.IoT
	s := State{Wall: t0, Trusted: true,
		Allowed: []Allowed{{ID: "alw-1", Target: cordon.Target{Name: "update.example", Ports: []uint16{443}}, By: "root",
			At: t0, Expires: t0.Add(time.Hour), Left: time.Hour}},
		Devices: []Device{{ID: "02:00:00:00:00:01", Name: "Küche", Class: &iot, Policy: cordon.PolicyAsk}}}
	for i := range n {
		s.Actions = append(s.Actions, act("act-"+string(rune('a'+i%26))+string(rune('a'+i/26)), cordon.VerbBlock, 48*time.Hour+time.Duration(i)*time.Minute))
	}
	s.Actions = append(s.Actions, act("act-q", cordon.VerbQuarantine, 7*24*time.Hour))
	return s
}

func act(id string, v cordon.Verb, left time.Duration) Action {
	a := Action{Left: left, Action: cordon.Action{ID: id, Verb: v, Mode: cordon.ModeDo, Incident: "inc-1",
		Reason: "It looks for victims.", Purpose: cordon.PurposeSecurity, At: t0, Expires: t0.Add(left),
		Entity: cordon.Entity{Device: "02:00:00:00:00:01"}}}
	if v == cordon.VerbBlock {
		a.Entity.Target = cordon.Target{Proto: 6, Ports: []uint16{23, 2323}}
	}
	return a
}

func ids(s State) (all []string) {
	for _, a := range s.Actions {
		all = append(all, a.ID)
	}
	return all
}
