// Package ring is the eyes where the kernel has no eBPF: a ring of memory that the
// kernel copies frames to (AF_PACKET, TPACKET_V3), each frame of the home's ports
// once.
//
// Frames come out of Next, as from any source of agent.Run. Nothing is counted in
// the kernel: every frame is handed over, which costs a router of small means more
// than what it does besides.
//
// One socket watches all ports: the kernel then keeps the frames of all ports in
// order, and a question is never seen after its answer. Which ports they are, and
// that a frame which a bridge passes on was seen when it came in, is decided by a
// filter in the kernel (filter.go).
package ring

import (
	"cmp"
	"errors"
	"fmt"
	"io/fs"
	"log/slog"
	"net/netip"
	"runtime"
	"slices"
	"sync"
	"sync/atomic"
	"time"
	"unsafe"

	"golang.org/x/sys/unix"

	"cordon"
)

// Config configures a Source. The zero Config is ready to use.
type Config struct {
	// Base is added to the kernel's monotonic time to make a Frame's, ns.
	Base int64
	// Size is the ring's memory in bytes, a multiple of Block; default 4 MiB, which
	// holds 40 ms of a full line of 1 Gbit/s.
	Size int
	// Block is the memory that is handed over at once, in bytes, a power of two of
	// at least 128 KiB; default 256 KiB. The largest frame must fit.
	Block int
	// Snap is how many bytes of a frame are kept; default 4096, more than an
	// Ethernet frame has: segments that offload has joined are longer, and of them
	// the beginning is enough.
	Snap int
	// Poll is how long Next waits for frames, and after which the kernel hands a
	// block over that is not full; default 20 ms.
	Poll time.Duration
	Log  *slog.Logger // nil: nothing is logged
}

func (c *Config) complete() error {
	c.Size, c.Block = cmp.Or(c.Size, 4<<20), cmp.Or(c.Block, 256<<10)
	c.Snap, c.Poll = cmp.Or(c.Snap, 4096), cmp.Or(c.Poll, 20*time.Millisecond)
	if c.Log == nil {
		c.Log = slog.New(slog.DiscardHandler)
	}
	switch {
	case c.Block < 128<<10 || c.Block&(c.Block-1) != 0:
		return fmt.Errorf("ring: a block of %d bytes: want a power of two of at least 131072", c.Block)
	case c.Size < c.Block || c.Size%c.Block != 0:
		return fmt.Errorf("ring: %d bytes in blocks of %d: want a multiple", c.Size, c.Block)
	case c.Snap < 64 || c.Snap > 1<<16+64:
		return fmt.Errorf("ring: %d bytes of a frame: want 64 to 65600", c.Snap)
	case c.Poll < time.Millisecond || c.Poll > time.Hour:
		return fmt.Errorf("ring: poll every %v: want 1ms to 1h", c.Poll)
	}
	return nil
}

// Stats counts what a Source did since New.
type Stats struct {
	Frames    uint64 // taken by the kernel into the ring, or dropped
	Dropped   uint64 // because the ring was full
	Delivered uint64 // by Next
}

// Source is the ring. Next is for one goroutine, the rest for any.
type Source struct {
	cfg    Config
	fd     int
	wake   int // an eventfd that ends a wait
	memory []byte
	at     int    // the block that is read, or comes next
	left   uint32 // frames of it that were not given yet; its own when open
	open   bool
	next   int   // where the next frame is in memory
	last   int64 // time of the newest frame or moment
	offset int64 // of the wall clock to the monotonic one, when the block was opened
	now    int64 // monotonic, then

	delivered atomic.Uint64
	closed    atomic.Bool

	busy   sync.Mutex // held by Next
	mu     sync.Mutex // guards what follows, and fd from Close
	ports  []int
	router []cordon.MAC
	stats  Stats
}

// New makes a ring. It sees nothing until SetPorts. It needs CAP_NET_RAW and no
// other capability.
func New(cfg Config) (*Source, error) {
	if err := cfg.complete(); err != nil {
		return nil, err
	}
	s := &Source{cfg: cfg}
	var err error
	if s.wake, err = unix.Eventfd(0, unix.EFD_CLOEXEC|unix.EFD_NONBLOCK); err != nil {
		return nil, fmt.Errorf("make eventfd: %w", err)
	}
	if s.fd, err = unix.Socket(unix.AF_PACKET, unix.SOCK_RAW|unix.SOCK_CLOEXEC, 0); err != nil {
		_ = unix.Close(s.wake)
		return nil, fmt.Errorf("open packet socket: %w", err)
	}
	if err := s.setUp(); err != nil {
		return nil, errors.Join(err, unix.Close(s.fd), unix.Close(s.wake))
	}
	return s, nil
}

func (s *Source) setUp() error {
	if err := s.applyFilter(); err != nil {
		return err
	}
	if err := unix.SetsockoptInt(s.fd, unix.SOL_PACKET, unix.PACKET_VERSION, unix.TPACKET_V3); err != nil {
		return fmt.Errorf("ask for TPACKET_V3: %w", err)
	}
	const frame = 2048 // only has to divide the block
	req := unix.TpacketReq3{Block_size: uint32(s.cfg.Block), Block_nr: uint32(s.cfg.Size / s.cfg.Block), Frame_size: frame,
		Frame_nr: uint32(s.cfg.Size / frame), Retire_blk_tov: uint32(s.cfg.Poll.Milliseconds())}
	if err := unix.SetsockoptTpacketReq3(s.fd, unix.SOL_PACKET, unix.PACKET_RX_RING, &req); err != nil {
		return fmt.Errorf("make ring of %d bytes: %w", s.cfg.Size, err)
	}
	var err error
	if s.memory, err = unix.Mmap(s.fd, 0, s.cfg.Size, unix.PROT_READ|unix.PROT_WRITE, unix.MAP_SHARED); err != nil {
		return fmt.Errorf("map ring of %d bytes: %w", s.cfg.Size, err)
	}
	// A frame that Next gave may be in use when the Source is closed, so the memory
	// goes with the Source.
	runtime.AddCleanup(s, func(b []byte) { _ = unix.Munmap(b) }, s.memory)
	if err := unix.Bind(s.fd, &unix.SockaddrLinklayer{Protocol: htons(unix.ETH_P_ALL)}); err != nil {
		return fmt.Errorf("listen to all frames: %w", err)
	}
	return nil
}

// htons puts n into the network's byte order.
func htons(n uint16) (v uint16) {
	b := (*[2]byte)(unsafe.Pointer(&v))
	b[0], b[1] = byte(n>>8), byte(n)
	return v
}

// SetPorts says which ports are watched; all others are not. It is called again
// whenever the network changes: a port that was gone and is back has another
// index.
func (s *Source) SetPorts(ports []cordon.Port) error {
	if len(ports) > maxPorts {
		return fmt.Errorf("ring: %d ports: want at most %d", len(ports), maxPorts)
	}
	s.mu.Lock()
	defer s.mu.Unlock()
	if s.closed.Load() {
		return fs.ErrClosed
	}
	s.ports = s.ports[:0]
	for _, p := range ports {
		s.ports = append(s.ports, p.Index)
	}
	return s.applyFilter()
}

// SetRouter says which MACs are the router's own: a frame that leaves a port from
// another was bridged, and seen when it came in. Of more than 64 the rest is not
// looked at.
func (s *Source) SetRouter(macs []cordon.MAC) {
	s.mu.Lock()
	defer s.mu.Unlock()
	if s.closed.Load() {
		return
	}
	s.router = slices.Clone(macs[:min(len(macs), maxPorts)])
	if err := s.applyFilter(); err != nil {
		s.cfg.Log.Warn("the ring's filter is that of before", "err", err)
	}
}

// SetHome does nothing: nothing is counted here.
func (s *Source) SetHome([]netip.Prefix) {}

// Stats returns what the ring did so far.
func (s *Source) Stats() Stats {
	s.mu.Lock()
	defer s.mu.Unlock()
	if !s.closed.Load() {
		if st, err := unix.GetsockoptTpacketStatsV3(s.fd, unix.SOL_PACKET, unix.PACKET_STATISTICS); err == nil { // since the last call
			s.stats.Frames += uint64(st.Packets)
			s.stats.Dropped += uint64(st.Drops)
		}
	}
	s.stats.Delivered = s.delivered.Load()
	return s.stats
}

// Close ends the ring. A Next that waits returns io.EOF.
func (s *Source) Close() error {
	if s.closed.Swap(true) {
		return nil
	}
	one := [8]byte{7: 1, 0: 1} // any number but 0, whatever the byte order
	_, err := unix.Write(s.wake, one[:])
	s.busy.Lock()
	defer s.busy.Unlock()
	s.mu.Lock()
	defer s.mu.Unlock()
	return errors.Join(err, unix.Close(s.fd), unix.Close(s.wake))
}
