package nfnetlink

import (
	"bytes"
	"errors"
	"os"
	"testing"

	"golang.org/x/sys/unix"
)

// TestBatch writes messages and reads their attributes back.
func TestBatch(t *testing.T) {
	var b Batch
	b.Message(10, 3, Create, unix.NFPROTO_INET)
	b.String(1, "name")
	b.Nest(2, func() { b.Uint32(1, 7); b.Bytes(2, []byte{1, 2, 3}) })
	b.Message(10, 4, 0, unix.NFPROTO_INET)
	b.Uint64(5, 9)
	if next := b.number(100); next != 102 {
		t.Errorf("numbered up to %d, want 102", next)
	}
	first := b.b[headerLen+genericLen : b.last]
	if got := Attribute(first, 1); string(got) != "name\x00" {
		t.Errorf("name %q", got)
	}
	nest := Attribute(first, 2)
	if got := Attribute(nest, 1); !bytes.Equal(got, []byte{0, 0, 0, 7}) {
		t.Errorf("number %v", got)
	}
	if got := Attribute(nest, 2); !bytes.Equal(got, []byte{1, 2, 3}) {
		t.Errorf("bytes %v", got)
	}
	if Attribute(nest, 3) != nil {
		t.Error("an attribute that is not there")
	}
	b.Reset()
	b.Message(10, 3, 0, 0)
	b.Bytes(1, make([]byte, 1<<16))
	var s Socket
	if err := s.Commit(10, &b); err == nil || errors.Is(err, ErrLost) {
		t.Errorf("an attribute of 64 KiB: %v", err)
	}
}

// TestClosedSocket: what was not sent was not done, and is said so.
func TestClosedSocket(t *testing.T) {
	s, err := Open()
	if err != nil {
		t.Skip("needs netlink")
	}
	if err := s.Request(unix.NFNL_SUBSYS_NFTABLES, unix.NFT_MSG_GETGEN, 0, 0, nil, nil); err != nil && os.Geteuid() == 0 {
		t.Errorf("ask for the generation: %v", err)
	}
	s.Close()
	var b Batch
	b.Message(unix.NFNL_SUBSYS_NFTABLES, unix.NFT_MSG_NEWTABLE, Create, unix.NFPROTO_INET)
	b.String(unix.NFTA_TABLE_NAME, "never")
	if err := s.Commit(unix.NFNL_SUBSYS_NFTABLES, &b); err == nil || errors.Is(err, ErrLost) {
		t.Errorf("commit on a closed socket: %v", err)
	}
}

func FuzzAttributes(f *testing.F) {
	f.Add([]byte{8, 0, 1, 0, 1, 2, 3, 4})
	f.Add([]byte{5, 0, 1, 0, 9})
	f.Add([]byte{255, 255, 1, 0})
	f.Fuzz(func(t *testing.T, b []byte) {
		total := 0
		for _, v := range Attributes(b) {
			total += 4 + len(v)
		}
		if total > len(b) {
			t.Errorf("%d bytes of attributes in %d", total, len(b))
		}
	})
}
