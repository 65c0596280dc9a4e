package live_test

import (
	"errors"
	"fmt"
	"testing"

	"cordon"
	"cordon/core/api/live"
)

func all(*cordon.Event) bool { return true }

// TestScope gives a stream what its reader may see, once.
func TestScope(t *testing.T) {
	h := live.New()
	events := []cordon.Event{
		{Sort: cordon.EventDevice, Account: "a", Site: "a1", ID: "1"},
		{Sort: cordon.EventIncident, Account: "a", Site: "a2", ID: "2"},
		{Sort: cordon.EventDevice, Account: "b", Site: "b1", ID: "3"},
		{Sort: cordon.EventShadow, ID: "4"},
	}
	for _, c := range []struct {
		scope cordon.Scope
		want  func(*cordon.Event) bool
		ids   string
	}{
		{cordon.Scope{}, all, ""},
		{cordon.Scope{All: true}, all, "1234"},
		{cordon.Scope{Accounts: []string{"a"}}, all, "12"},
		{cordon.Scope{Sites: []string{"a2", "b1"}}, all, "23"},
		{cordon.Scope{Accounts: []string{"a"}, Sites: []string{"a1", "b1"}}, all, "123"},
		{cordon.Scope{Accounts: []string{""}, Sites: []string{""}}, all, ""},
		{cordon.Scope{All: true}, func(e *cordon.Event) bool { return e.Sort == cordon.EventIncident }, "2"},
	} {
		s, err := h.Open("u", c.scope, c.want)
		if err != nil {
			t.Fatal(err)
		}
		h.Publish(events)
		h.Close(s)
		h.Close(s)
		ids := ""
		for e := range s.C {
			ids += e.ID
		}
		if ids != c.ids {
			t.Errorf("%+v: got %q, want %q", c.scope, ids, c.ids)
		}
	}
	if open, cut := h.Stats(); open != 0 || cut != 0 {
		t.Errorf("%d open, %d cut", open, cut)
	}
}

// TestSlow cuts who does not read, and nobody else.
func TestSlow(t *testing.T) {
	h := live.New()
	slow, _ := h.Open("slow", cordon.Scope{Accounts: []string{"a"}}, all)
	quick, _ := h.Open("quick", cordon.Scope{Accounts: []string{"a"}}, all)
	for n := range 1000 {
		h.Publish([]cordon.Event{{Account: "a", ID: fmt.Sprint(n)}})
		if e := <-quick.C; e.ID != fmt.Sprint(n) {
			t.Fatalf("got %q, want %d", e.ID, n)
		}
	}
	n := 0
	for range slow.C {
		n++
	}
	if open, cut := h.Stats(); open != 1 || cut != 1 || n == 0 || n > 256 {
		t.Errorf("%d open, %d cut, %d events before the cut", open, cut, n)
	}
}

// TestBounds refuses one stream too many.
func TestBounds(t *testing.T) {
	h := live.New()
	var last error
	for n := 0; n < 100 && last == nil; n++ {
		_, last = h.Open("u", cordon.Scope{All: true}, all)
	}
	if !errors.Is(last, live.ErrFull) {
		t.Errorf("%v", last)
	}
	if _, err := h.Open("v", cordon.Scope{All: true}, all); err != nil {
		t.Errorf("another user: %v", err)
	}
}

// TestEndOf ends the streams of one user, and End all; nobody is counted as cut.
func TestEndOf(t *testing.T) {
	h := live.New()
	var streams []*live.Stream
	for _, user := range []string{"u", "u", "v"} {
		s, err := h.Open(user, cordon.Scope{Accounts: []string{"a"}, Sites: []string{"b"}}, all)
		if err != nil {
			t.Fatal(err)
		}
		streams = append(streams, s)
	}
	h.EndOf("nobody")
	h.EndOf("u")
	h.Publish([]cordon.Event{{Account: "a", ID: "1"}})
	for n, s := range streams[:2] {
		if _, open := <-s.C; open {
			t.Errorf("stream %d goes on", n)
		}
	}
	if e := <-streams[2].C; e.ID != "1" {
		t.Errorf("another user got %q", e.ID)
	}
	h.End()
	if _, open := <-streams[2].C; open {
		t.Error("a stream goes on")
	}
	if open, cut := h.Stats(); open != 0 || cut != 0 {
		t.Errorf("%d open, %d cut", open, cut)
	}
}
