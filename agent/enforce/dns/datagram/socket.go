package datagram

import (
	"errors"
	"fmt"

	"golang.org/x/sys/unix"
)

// Raw is a raw socket, for senders.
type Raw int

// Sockets are the sockets of one family.
type Sockets struct {
	Queries Raw    // for questions that go on
	Answers Raw    // for answers of the guard's own
	Port    uint16 // of the socket that intercepted datagrams are led to

	udp int // where intercepted datagrams arrive
}

const (
	// receiveBuffer is how much the kernel queues while the reader is busy, bytes
	// of memory: about 4,000 small datagrams, 60 ms at 60,000 a second.
	receiveBuffer = 4 << 20
	// sendBuffer is how much may wait in the queue of an interface, bytes.
	sendBuffer = 4 << 20
	// lookAfterMicros is how long Receive waits, so that the reader can look whether to stop, µs.
	lookAfterMicros = 200_000
)

// Listen opens the sockets of the family AF_INET or AF_INET6. The socket for
// what is intercepted is bound to any address of IPv4, because what comes in again by
// the loopback interface is led to it by its port, and to a loopback address of IPv6,
// so that only tproxy leads to it. What the raw sockets send bears the marks.
func Listen(family int, queryMark, answerMark uint32) (_ *Sockets, err error) {
	s := &Sockets{udp: -1, Queries: -1, Answers: -1}
	defer func() {
		if err != nil {
			s.Close()
		}
	}()
	if s.udp, err = unix.Socket(family, unix.SOCK_DGRAM|unix.SOCK_CLOEXEC, 0); err != nil {
		return nil, fmt.Errorf("open udp socket: %w", err)
	}
	level, options, to := unix.SOL_IP, []int{unix.IP_TRANSPARENT, unix.IP_RECVORIGDSTADDR, unix.IP_PKTINFO},
		unix.Sockaddr(&unix.SockaddrInet4{})
	if family == unix.AF_INET6 {
		level, options, to = unix.SOL_IPV6, []int{unix.IPV6_TRANSPARENT, unix.IPV6_RECVORIGDSTADDR, unix.IPV6_RECVPKTINFO},
			&unix.SockaddrInet6{Addr: [16]byte{15: 1}}
	}
	for _, o := range options {
		if err := unix.SetsockoptInt(s.udp, level, o, 1); err != nil {
			return nil, fmt.Errorf("set option %d of udp socket: %w", o, err)
		}
	}
	if err := force(s.udp, unix.SO_RCVBUFFORCE, unix.SO_RCVBUF, receiveBuffer); err != nil {
		return nil, err
	}
	if err := unix.SetsockoptTimeval(s.udp, unix.SOL_SOCKET, unix.SO_RCVTIMEO, &unix.Timeval{Usec: lookAfterMicros}); err != nil {
		return nil, fmt.Errorf("set time-out of udp socket: %w", err)
	}
	if err := unix.Bind(s.udp, to); err != nil {
		return nil, fmt.Errorf("bind udp socket: %w", err)
	}
	if s.Port, err = port(s.udp); err != nil {
		return nil, err
	}
	if s.Queries, err = raw(family, queryMark); err != nil {
		return nil, err
	}
	if s.Answers, err = raw(family, answerMark); err != nil {
		return nil, err
	}
	return s, nil
}

// Close closes what is open.
func (s *Sockets) Close() {
	for _, fd := range []int{s.udp, int(s.Queries), int(s.Answers)} {
		if fd >= 0 {
			_ = unix.Close(fd)
		}
	}
}

// raw opens a raw socket that sends what it is given, headers included, marked.
func raw(family int, mark uint32) (Raw, error) {
	fd, err := unix.Socket(family, unix.SOCK_RAW|unix.SOCK_CLOEXEC, unix.IPPROTO_RAW)
	if err != nil {
		return -1, fmt.Errorf("open raw socket: %w", err)
	}
	set := func(level, option, value int) {
		if e := unix.SetsockoptInt(fd, level, option, value); e != nil && err == nil {
			err = fmt.Errorf("set option %d of raw socket: %w", option, e)
		}
	}
	set(unix.SOL_SOCKET, unix.SO_MARK, int(mark))
	if family == unix.AF_INET {
		set(unix.SOL_IP, unix.IP_HDRINCL, 1)
	} else {
		set(unix.SOL_IPV6, unix.IPV6_HDRINCL, 1)
		set(unix.SOL_IPV6, unix.IPV6_TRANSPARENT, 1) // for any source in IPV6_PKTINFO
	}
	if e := force(fd, unix.SO_SNDBUFFORCE, unix.SO_SNDBUF, sendBuffer); e != nil && err == nil {
		err = e
	}
	if err != nil {
		_ = unix.Close(fd)
		return -1, err
	}
	return Raw(fd), nil
}

// force sets a socket's buffer beyond what the system allows, or else to what it
// allows.
func force(fd, forced, plain, size int) error {
	if unix.SetsockoptInt(fd, unix.SOL_SOCKET, forced, size) == nil {
		return nil
	}
	if err := unix.SetsockoptInt(fd, unix.SOL_SOCKET, plain, size); err != nil {
		return fmt.Errorf("set buffer of socket: %w", err)
	}
	return nil
}

// port returns the port that a socket is bound to.
func port(fd int) (uint16, error) {
	at, err := unix.Getsockname(fd)
	if err != nil {
		return 0, fmt.Errorf("port of udp socket: %w", err)
	}
	switch at := at.(type) {
	case *unix.SockaddrInet4:
		return uint16(at.Port), nil
	case *unix.SockaddrInet6:
		return uint16(at.Port), nil
	}
	return 0, errors.New("port of udp socket: unknown family")
}
