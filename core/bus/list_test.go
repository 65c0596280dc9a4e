package bus

import (
	"errors"
	"slices"
	"testing"
	"time"
)

// TestWhole reads lists of which lines are struck out between two pages: everybody who was
// there all the time is read, or the list is refused.
func TestWhole(t *testing.T) {
	for _, c := range []struct {
		lines, struck int // the first that many, before each page but the first
		moved         bool
	}{
		{0, 0, false}, {1, 0, false}, {pageOf - 1, 0, false}, {pageOf, 0, false}, {pageOf + 1, 0, false}, {3 * pageOf, 0, false},
		{3 * pageOf, 1, false}, {3 * pageOf, overlap - 1, false}, {3 * pageOf, overlap, true}, {pageOf, overlap, true}, {pageOf, pageOf, true},
	} {
		var all []line
		for i := range c.lines {
			all = append(all, line{CID: uint64(i + 5)})
		}
		read := make(map[uint64]bool)
		err := whole(func(offset int) ([]line, error) {
			if offset > 0 {
				all = all[min(c.struck, len(all)):]
			}
			from := min(offset, len(all))
			return slices.Clone(all[from:min(from+pageOf, len(all))]), nil
		}, func(l *line) { read[l.CID] = true })
		if errors.Is(err, errMoved) != c.moved {
			t.Errorf("%+v: %v", c, err)
		}
		for _, l := range all {
			if err == nil && !read[l.CID] {
				t.Errorf("%+v: connection %d was overlooked", c, l.CID)
				break
			}
		}
	}
}

// TestCompare believes a server's whole list, and of one that gives none that it is gone
// only after a while; what happened meanwhile counts more.
func TestCompare(t *testing.T) {
	var c connected
	c.init()
	now := time.Now()
	online := func(want ...string) {
		t.Helper()
		var got []string
		for router := range c.count {
			got = append(got, router)
		}
		slices.Sort(got)
		if !slices.Equal(got, want) {
			t.Fatalf("connected are %q, want %q", got, want)
		}
	}
	if c.compare(map[string]map[uint64]string{"s1": {1: "a", 2: "b"}, "s2": nil}, now); c.known {
		t.Error("who is not connected is known, though a server gave no list")
	}
	online("a", "b")
	if missing := c.compare(map[string]map[uint64]string{"s1": {1: "a", 2: "b"}, "s2": {1: "c"}}, now); missing || !c.known {
		t.Errorf("missing %v, known %v", missing, c.known)
	}
	online("a", "b", "c")
	c.gone, c.came = map[connection]bool{{"s1", 3}: true}, map[connection]bool{{"s1", 2}: true}
	c.compare(map[string]map[uint64]string{"s1": {3: "d"}, "s2": {1: "c"}}, now)
	online("b", "c")
	c.gone, c.came = nil, nil
	for range silentLists {
		if !c.compare(map[string]map[uint64]string{"s1": {2: "b"}}, now) {
			t.Error("no list is missing")
		}
		online("b", "c")
	}
	c.compare(map[string]map[uint64]string{"s1": {2: "b"}}, now)
	online("b")
	if c.compare(map[string]map[uint64]string{"s1": {2: "b"}}, now) {
		t.Error("a list is missing of a server of which nothing is known")
	}
}
