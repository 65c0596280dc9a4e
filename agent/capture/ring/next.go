package ring

import (
	"encoding/binary"
	"errors"
	"fmt"
	"io"
	"sync/atomic"
	"unsafe"

	"golang.org/x/sys/unix"

	"cordon/agent/packet"
)

// The layout of a block: struct tpacket_block_desc and tpacket_hdr_v1 of
// include/uapi/linux/if_packet.h.
const (
	blockStatus = 8
	blockFrames = 12
	blockFirst  = 16
)

// Lengths of an Ethernet header's two addresses, and of a VLAN tag (IEEE 802.1Q).
const (
	addressesLen = 12
	tagLen       = 4
)

// Next gives the next frame. When there is none for Config.Poll, it gives a
// moment: a frame of which only Time is set. After Close it returns io.EOF. Data
// is valid until the next call. Times never run backwards.
func (s *Source) Next(f *packet.Frame) error {
	s.busy.Lock()
	defer s.busy.Unlock()
	for waited := false; ; waited = true {
		if s.closed.Load() {
			return io.EOF
		}
		if s.frame(f) {
			return nil
		}
		if waited {
			s.last = max(s.last, clock(unix.CLOCK_MONOTONIC)+s.cfg.Base)
			*f = packet.Frame{Time: s.last, Link: packet.LinkEthernet}
			return nil
		}
		if err := s.wait(); err != nil {
			return err
		}
	}
}

// wait waits until a block is handed over or there was none for a while.
func (s *Source) wait() error {
	fds := [2]unix.PollFd{{Fd: int32(s.fd), Events: unix.POLLIN}, {Fd: int32(s.wake), Events: unix.POLLIN}}
	if _, err := unix.Poll(fds[:], int(s.cfg.Poll.Milliseconds())); err != nil && !errors.Is(err, unix.EINTR) {
		return fmt.Errorf("wait for frames: %w", err)
	}
	if fds[0].Revents&unix.POLLERR != 0 { // an interface went down: the other ports go on
		_, _ = unix.GetsockoptInt(s.fd, unix.SOL_SOCKET, unix.SO_ERROR)
	}
	return nil
}

// frame gives the next frame that is in a block.
func (s *Source) frame(f *packet.Frame) bool {
	for {
		if s.open && s.left == 0 {
			s.release()
		}
		if !s.open && !s.take() {
			return false
		}
		if s.left == 0 {
			continue
		}
		s.left--
		h := (*unix.Tpacket3Hdr)(unsafe.Pointer(&s.memory[s.next]))
		if s.read(f, h) {
			s.next += int(h.Next_offset)
			s.delivered.Add(1)
			return true
		}
		s.left = 0 // a block that lies about itself
	}
}

// take opens the next block if the kernel has handed it over.
func (s *Source) take() bool {
	base := s.at * s.cfg.Block
	if atomic.LoadUint32(s.status())&unix.TP_STATUS_USER == 0 {
		return false
	}
	s.left = binary.NativeEndian.Uint32(s.memory[base+blockFrames:])
	s.next = base + int(binary.NativeEndian.Uint32(s.memory[base+blockFirst:]))
	s.open = true
	s.offset, s.now = offset()
	return true
}

// release gives the block back.
func (s *Source) release() {
	atomic.StoreUint32(s.status(), unix.TP_STATUS_KERNEL)
	s.at = (s.at + 1) % (s.cfg.Size / s.cfg.Block)
	s.open = false
}

func (s *Source) status() *uint32 {
	return (*uint32)(unsafe.Pointer(&s.memory[s.at*s.cfg.Block+blockStatus]))
}

// read makes a frame of what is in the block, and puts the VLAN tag back that the
// kernel or the network card took out: there is room before the frame.
func (s *Source) read(f *packet.Frame, h *unix.Tpacket3Hdr) bool {
	end := (s.at + 1) * s.cfg.Block
	from := s.next + int(h.Mac)
	to := from + int(h.Snaplen)
	if to > end || from-tagLen < s.next+int(unsafe.Sizeof(*h)) {
		return false
	}
	n := int(h.Len)
	if h.Status&unix.TP_STATUS_VLAN_VALID != 0 && to-from > addressesLen {
		kind := uint16(0x8100)
		if h.Status&unix.TP_STATUS_VLAN_TPID_VALID != 0 {
			kind = h.Hv1.Vlan_tpid
		}
		copy(s.memory[from-tagLen:], s.memory[from:from+addressesLen])
		from, n = from-tagLen, n+tagLen
		binary.BigEndian.PutUint16(s.memory[from+addressesLen:], kind)
		binary.BigEndian.PutUint16(s.memory[from+addressesLen+2:], uint16(h.Hv1.Vlan_tci))
	}
	s.last = max(s.last, s.time(h)+s.cfg.Base)
	*f = packet.Frame{Time: s.last, Link: packet.LinkEthernet, Len: n, Data: s.memory[from:to]}
	return true
}

// time returns when a frame came in by the monotonic clock. The kernel stamps by
// the wall clock; if that was set since, the frame came in just now.
func (s *Source) time(h *unix.Tpacket3Hdr) int64 {
	t := int64(h.Sec)*1e9 + int64(h.Nsec) - s.offset
	if t > s.now || s.now-t > 2*int64(s.cfg.Poll)+1e9 {
		return s.now
	}
	return t
}

// offset returns how far the wall clock is ahead of the monotonic one, and the
// latter. Whoever asks may be interrupted between two clocks, so it asks again.
func offset() (ahead, now int64) {
	best := int64(-1)
	for range 3 {
		before := clock(unix.CLOCK_MONOTONIC)
		wall := clock(unix.CLOCK_REALTIME)
		now = clock(unix.CLOCK_MONOTONIC)
		if d := now - before; best < 0 || d < best {
			best, ahead = d, wall-before-d/2
		}
	}
	return ahead, now
}

func clock(which int32) int64 {
	var ts unix.Timespec
	if err := unix.ClockGettime(which, &ts); err != nil {
		return 0
	}
	return ts.Nano()
}
