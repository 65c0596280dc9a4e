package nfnetlink

import (
	"encoding/binary"
	"errors"
	"fmt"
	"sync"
	"time"

	"golang.org/x/sys/unix"
)

// ErrLost means that the kernel may have done what it was asked to: the message
// left, but its answer did not arrive. Any other error of a request or a commit
// means that nothing was changed; errors of the kernel are a syscall.Errno.
var ErrLost = errors.New("no answer from the kernel")

// ErrInterrupted means that what was listed changed meanwhile: the list may have
// gaps.
var ErrInterrupted = errors.New("listing interrupted")

var errClosed = errors.New("the netfilter socket is closed")

// wait is how long an answer may take. The kernel answers before the call that
// asks has returned, so this only bounds what must not happen.
const wait = 5 * time.Second

// buffer is the size asked for the socket's two buffers: two hundred messages of
// 60 KiB.
const buffer = 12 << 20

// Socket is a netlink socket to netfilter. It stays in the network namespace of
// the thread that opened it. Its methods may be called from several goroutines.
type Socket struct {
	mu   sync.Mutex
	fd   int
	seq  uint32
	in   []byte
	ask  Batch // of requests
	open bool
}

// Open opens a socket. CAP_NET_ADMIN lifts the bound of its buffers.
func Open() (*Socket, error) {
	s := &Socket{in: make([]byte, 64<<10)}
	if err := s.dial(); err != nil {
		return nil, err
	}
	return s, nil
}

func (s *Socket) dial() error {
	fd, err := unix.Socket(unix.AF_NETLINK, unix.SOCK_RAW|unix.SOCK_CLOEXEC, unix.NETLINK_NETFILTER)
	if err != nil {
		return fmt.Errorf("open a netfilter socket: %w", err)
	}
	if err := unix.Bind(fd, &unix.SockaddrNetlink{Family: unix.AF_NETLINK}); err != nil {
		unix.Close(fd)
		return fmt.Errorf("bind a netfilter socket: %w", err)
	}
	for force, plain := range map[int]int{unix.SO_SNDBUFFORCE: unix.SO_SNDBUF, unix.SO_RCVBUFFORCE: unix.SO_RCVBUF} {
		if unix.SetsockoptInt(fd, unix.SOL_SOCKET, force, buffer) != nil {
			_ = unix.SetsockoptInt(fd, unix.SOL_SOCKET, plain, buffer) // as much as is allowed
		}
	}
	patience := unix.NsecToTimeval(wait.Nanoseconds())
	if err := unix.SetsockoptTimeval(fd, unix.SOL_SOCKET, unix.SO_RCVTIMEO, &patience); err != nil {
		unix.Close(fd)
		return fmt.Errorf("bound the wait of a netfilter socket: %w", err)
	}
	s.fd, s.open = fd, true
	return nil
}

// Close closes the socket.
func (s *Socket) Close() error {
	s.mu.Lock()
	defer s.mu.Unlock()
	if !s.open {
		return nil
	}
	s.open = false
	return unix.Close(s.fd)
}

// Commit sends the messages of one subsystem as one transaction: all take place,
// or none.
func (s *Socket) Commit(subsystem uint8, messages *Batch) error {
	if messages.long {
		return fmt.Errorf("a message of %d bytes has an attribute that is too long", messages.Len())
	}
	if messages.count == 0 {
		return nil
	}
	s.mu.Lock()
	defer s.mu.Unlock()
	if !s.open {
		return errClosed
	}
	messages.finish()
	flags := binary.NativeEndian.Uint16(messages.b[messages.last+6:])
	binary.NativeEndian.PutUint16(messages.b[messages.last+6:], flags|Ack)
	var begin, end Batch
	begin.message(unix.NFNL_MSG_BATCH_BEGIN, 0, 0, uint16(subsystem))
	end.message(unix.NFNL_MSG_BATCH_END, 0, 0, uint16(subsystem))
	first := s.seq
	last := messages.number(begin.number(first)) - 1
	s.seq = end.number(last + 1)
	if _, err := unix.SendmsgBuffers(s.fd, [][]byte{begin.b, messages.b, end.b}, nil,
		&unix.SockaddrNetlink{Family: unix.AF_NETLINK}, 0); err != nil {
		return fmt.Errorf("send %d messages to netfilter: %w", messages.count, err)
	}
	return s.answer(first, last)
}

// answer waits for the answer to the message numbered last, or an error of any
// since first.
func (s *Socket) answer(first, last uint32) error {
	var failed error
	for {
		done := false
		err := s.receive(func(kind, _ uint16, seq uint32, body []byte) error {
			if kind != unix.NLMSG_ERROR || seq-first > last-first {
				return nil // of an earlier question
			}
			e := errno(body)
			if e != nil && failed == nil {
				failed = e
			}
			// The first message is the transaction itself.
			done = done || seq == last || seq == first && e != nil
			return nil
		})
		switch {
		case err != nil:
			return err
		case done:
			return failed
		}
	}
}

// Request sends one message and hands the attributes of its answers to each,
// until all have arrived. A dump may be large; it is never in memory as a whole.
// each must not use the socket.
func (s *Socket) Request(subsystem, kind uint8, flags uint16, family uint8, fill func(*Batch), each func([]byte) error) error {
	s.mu.Lock()
	defer s.mu.Unlock()
	if !s.open {
		return errClosed
	}
	s.ask.Reset()
	if flags&Dump == 0 {
		flags |= Ack
	}
	s.ask.Message(subsystem, kind, flags, family)
	if fill != nil {
		fill(&s.ask)
	}
	seq := s.seq
	s.seq = s.ask.number(seq)
	if err := unix.Sendto(s.fd, s.ask.b, 0, &unix.SockaddrNetlink{Family: unix.AF_NETLINK}); err != nil {
		return fmt.Errorf("ask netfilter: %w", err)
	}
	return s.answers(seq, each)
}

func (s *Socket) answers(seq uint32, each func([]byte) error) error {
	var refused, gaps error
	for {
		done := false
		err := s.receive(func(kind, flags uint16, got uint32, body []byte) error {
			switch {
			case got != seq:
				return nil
			case kind == unix.NLMSG_ERROR, kind == unix.NLMSG_DONE:
				done = true
				return errno(body)
			}
			if flags&unix.NLM_F_DUMP_INTR != 0 {
				gaps = ErrInterrupted
			}
			if each != nil && refused == nil && len(body) >= genericLen {
				refused = each(body[genericLen:])
			}
			return nil
		})
		switch {
		case err != nil:
			return err
		case done:
			return errors.Join(refused, gaps)
		}
	}
}

// receive reads one datagram and hands over its messages.
func (s *Socket) receive(each func(kind, flags uint16, seq uint32, body []byte) error) error {
	n, err := s.read()
	if err != nil {
		return fmt.Errorf("%w: %w", ErrLost, err)
	}
	for b := s.in[:n]; len(b) >= headerLen; {
		size := int(binary.NativeEndian.Uint32(b))
		if size < headerLen || size > len(b) {
			return nil
		}
		if err := each(binary.NativeEndian.Uint16(b[4:]), binary.NativeEndian.Uint16(b[6:]),
			binary.NativeEndian.Uint32(b[8:]), b[headerLen:size]); err != nil {
			return err
		}
		b = b[min((size+3)&^3, len(b)):]
	}
	return nil
}

func (s *Socket) read() (int, error) {
	for {
		n, _, err := unix.Recvfrom(s.fd, s.in, 0)
		if err != unix.EINTR {
			return n, err
		}
	}
}

// errno returns the error that a message of the kernel carries, nil for a mere
// acknowledgement.
func errno(body []byte) error {
	if len(body) < 4 {
		return nil
	}
	if e := int32(binary.NativeEndian.Uint32(body)); e < 0 {
		return unix.Errno(-e)
	}
	return nil
}
