package nft

import (
	"errors"
	"fmt"
	"testing"

	"golang.org/x/sys/unix"

	"cordon"
	"cordon/internal/nfnetlink"
)

// TestOutcome: an answer of the kernel means that nothing was changed; no answer
// means that nobody knows.
func TestOutcome(t *testing.T) {
	for _, c := range []struct {
		err     error
		unknown bool
	}{
		{unix.ENOENT, false},
		{unix.EPERM, false},
		{unix.ENFILE, false},
		{fmt.Errorf("send: %w", unix.EMSGSIZE), false},
		{fmt.Errorf("%w: %w", nfnetlink.ErrLost, unix.EAGAIN), true},
		{fmt.Errorf("%w: %w", nfnetlink.ErrLost, unix.EBADF), true},
		{unix.ENOBUFS, true},
		{unix.EINTR, true},
		{errors.New("use of closed file"), true},
	} {
		if got := errors.Is(outcome(c.err), cordon.ErrUnknown); got != c.unknown {
			t.Errorf("%v: unknown %t, want %t", c.err, got, c.unknown)
		}
	}
	if err := outcome(nil); err != nil {
		t.Errorf("success is %v", err)
	}
}

// TestClosed: a table that is not open changes nothing, and releasing what is not
// in force succeeds.
func TestClosed(t *testing.T) {
	table, err := New(Config{})
	if err != nil {
		t.Fatal(err)
	}
	if _, err := table.Apply(t.Context(), &cordon.Device{}, &cordon.Action{}); !errors.Is(err, errClosed) {
		t.Errorf("before Open: %v", err)
	}
	if err := table.Release(t.Context(), "unheard of"); err != nil {
		t.Errorf("releasing what is not in force: %v", err)
	}
	if err := table.Close(); err != nil {
		t.Errorf("closing what was not opened: %v", err)
	}
}
