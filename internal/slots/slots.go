// Package slots keeps a stage's own state per device without the stage having
// to know when a device is forgotten: a device has a small slot number and a
// generation that changes when the slot is given to another one.
package slots

// Table holds one T per slot, made when first asked for. The zero value is
// ready; it grows with the highest slot that asks.
type Table[T any] struct {
	entries []entry[T]
}

type entry[T any] struct {
	generation uint32
	state      *T
}

// Get returns the state of a slot, zeroed when the generation is new.
func (t *Table[T]) Get(slot int, generation uint32) *T {
	for slot >= len(t.entries) {
		t.entries = append(t.entries, entry[T]{})
	}
	e := &t.entries[slot]
	switch {
	case e.state == nil:
		e.state = new(T)
	case e.generation != generation:
		var zero T
		*e.state = zero
	}
	e.generation = generation
	return e.state
}
