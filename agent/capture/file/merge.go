package file

import (
	"errors"
	"io"

	"cordon/agent/packet"
)

// Merged reads several captures as one. It is not safe for concurrent use.
type Merged struct {
	readers []*Reader
	heads   []packet.Frame // the next frame of each reader
	damage  []error        // of each reader
	heap    []int          // readers that have a frame, the oldest first
	begun   bool
	end     error // what Next returns when the heap is empty
}

// Merge reads from all readers, the oldest frame first; of equal times the
// earlier argument's. Each file's own order stays. The readers remain the
// caller's to close and to ask for their progress.
func Merge(readers ...*Reader) *Merged {
	return &Merged{
		readers: readers,
		heads:   make([]packet.Frame, len(readers)),
		damage:  make([]error, len(readers)),
	}
}

// Next puts the next frame into f; its Data is valid until the next call. A
// damaged capture does not stop the others: when everything readable is
// delivered, Next returns io.EOF, or the joined damage errors if there were
// any.
func (m *Merged) Next(f *packet.Frame) error {
	if m.begun {
		m.advance()
	} else {
		m.begin()
	}
	if len(m.heap) == 0 {
		return m.finish()
	}
	*f = m.heads[m.heap[0]]
	return nil
}

func (m *Merged) begin() {
	m.begun = true
	for i := range m.readers {
		if m.read(i) {
			m.heap = append(m.heap, i)
		}
	}
	for i := len(m.heap)/2 - 1; i >= 0; i-- {
		m.down(i)
	}
}

// advance replaces the frame that Next delivered last, the heap's first.
func (m *Merged) advance() {
	if len(m.heap) == 0 {
		return
	}
	if !m.read(m.heap[0]) {
		last := len(m.heap) - 1
		m.heap[0] = m.heap[last]
		m.heap = m.heap[:last]
	}
	m.down(0)
}

// read takes a reader's next frame and reports whether there was one.
func (m *Merged) read(i int) bool {
	err := m.readers[i].Next(&m.heads[i])
	if err != nil && err != io.EOF {
		m.damage[i] = err
	}
	return err == nil
}

// down restores the heap's order below i.
func (m *Merged) down(i int) {
	for {
		least := i
		for c := 2*i + 1; c <= 2*i+2 && c < len(m.heap); c++ {
			if m.before(m.heap[c], m.heap[least]) {
				least = c
			}
		}
		if least == i {
			return
		}
		m.heap[i], m.heap[least] = m.heap[least], m.heap[i]
		i = least
	}
}

func (m *Merged) before(a, b int) bool {
	if m.heads[a].Time != m.heads[b].Time {
		return m.heads[a].Time < m.heads[b].Time
	}
	return a < b
}

func (m *Merged) finish() error {
	if m.end == nil {
		if m.end = errors.Join(m.damage...); m.end == nil {
			m.end = io.EOF
		}
	}
	return m.end
}
