package network

import (
	"context"
	"fmt"
	"log/slog"
	"testing"
	"time"

	"cordon/lab/netns"
)

// TestOverflow shows that a watcher which was told more than its socket holds says
// that something has changed, and hears of later changes too.
func TestOverflow(t *testing.T) {
	host := netns.New(t).Host("router")
	var w *watcher
	if err := host.Do(func() (err error) { w, err = watch(slog.New(slog.DiscardHandler)); return err }); err != nil {
		t.Fatal(err)
	}
	if err := w.conn.SetReadBuffer(1); err != nil { // the kernel's least: 2,304 bytes
		t.Fatal(err)
	}
	var lines []string
	for k := range 100 {
		lines = append(lines, fmt.Sprintf("addr add 192.0.2.%d/32 dev lo", k+1))
	}
	host.IP(lines...)
	ctx, cancel := context.WithCancel(t.Context())
	done := make(chan struct{})
	go func() { defer close(done); w.run(ctx) }()
	t.Cleanup(func() { cancel(); <-done })
	changed := func(what string) {
		t.Helper()
		select {
		case <-w.changed:
		case <-time.After(10 * time.Second):
			t.Fatalf("%s: not told", what)
		}
	}
	changed("overflow")
	for quiet := false; !quiet; { // what was still in the socket
		select {
		case <-w.changed:
		case <-time.After(100 * time.Millisecond):
			quiet = true
		}
	}
	host.IP("addr del 192.0.2.1/32 dev lo")
	changed("a change after the overflow")
}
