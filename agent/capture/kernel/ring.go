package kernel

import (
	"encoding/binary"
	"fmt"
	"os"
	"runtime"
	"sync/atomic"
	"unsafe"

	"golang.org/x/sys/unix"

	"github.com/cilium/ebpf"
)

// The header of a record in the kernel's ring buffer
// (include/uapi/linux/bpf.h, BPF_RINGBUF_*).
const (
	ringHeader  = 8
	ringBusy    = 1 << 31
	ringDiscard = 1 << 30
)

// ring reads the kernel's ring buffer in place. The loader's own reader copies
// each record and waits by epoll, which the program never wakes.
type ring struct {
	consumed *uintptr // ours to write
	produced *uintptr // the kernel's
	data     []byte   // twice in a row, so that a record is always in one piece
	mask     uintptr
	pos      uintptr // behind what was returned last
}

func newRing(m *ebpf.Map) (*ring, error) {
	page, size := os.Getpagesize(), int(m.MaxEntries())
	consumer, err := unix.Mmap(m.FD(), 0, page, unix.PROT_READ|unix.PROT_WRITE, unix.MAP_SHARED)
	if err != nil {
		return nil, fmt.Errorf("map ring: %w", err)
	}
	producer, err := unix.Mmap(m.FD(), int64(page), page+2*size, unix.PROT_READ, unix.MAP_SHARED)
	if err != nil {
		_ = unix.Munmap(consumer)
		return nil, fmt.Errorf("map ring of %d bytes: %w", size, err)
	}
	r := &ring{consumed: (*uintptr)(unsafe.Pointer(&consumer[0])), produced: (*uintptr)(unsafe.Pointer(&producer[0])),
		data: producer[page:], mask: uintptr(size - 1)}
	r.pos = atomic.LoadUintptr(r.consumed)
	// A frame that was returned may be in use when the Source is closed, so the
	// memory goes with the ring.
	runtime.AddCleanup(r, func(maps [2][]byte) {
		_ = unix.Munmap(maps[0])
		_ = unix.Munmap(maps[1])
	}, [2][]byte{consumer, producer})
	return r, nil
}

// next returns the next record, nil if there is none yet. It is valid until the
// next call.
func (r *ring) next() []byte {
	atomic.StoreUintptr(r.consumed, r.pos)
	for {
		if r.pos == atomic.LoadUintptr(r.produced) {
			return nil
		}
		at := r.pos & r.mask
		header := atomic.LoadUint32((*uint32)(unsafe.Pointer(&r.data[at])))
		if header&ringBusy != 0 {
			return nil
		}
		n := uintptr(header &^ ringDiscard)
		r.pos += (n + ringHeader + 7) &^ 7
		if header&ringDiscard == 0 {
			return r.data[at+ringHeader : at+ringHeader+n]
		}
		atomic.StoreUintptr(r.consumed, r.pos)
	}
}

// record is a frame in the ring.
type record struct {
	time uint64
	len  int
	why  uint8
	data []byte
}

func recordOf(b []byte) (r record, ok bool) {
	if len(b) < recordLen {
		return r, false
	}
	have := int(binary.NativeEndian.Uint16(b[12:]))
	if have > len(b)-recordLen {
		return r, false
	}
	return record{binary.NativeEndian.Uint64(b), int(binary.NativeEndian.Uint32(b[8:])), b[14], b[recordLen : recordLen+have]}, true
}
