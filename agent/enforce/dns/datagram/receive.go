// Package datagram moves UDP datagrams that are for others: it takes those that
// tproxy hands over, and sends datagrams from any address and port, many at a
// time, without allocating. Package dns, the guard, calls it.
package datagram

import (
	"encoding/binary"
	"fmt"
	"net/netip"
	"unsafe"

	"golang.org/x/sys/unix"
)

// Bounds.
const (
	// Batch is how many datagrams one system call takes or gives at most. More
	// than 32 saved nothing measurable.
	Batch = 32
	// MaxPayload is the longest UDP payload, bytes.
	MaxPayload = 65535
	// maxControl is room for the destination and the interface, bytes.
	maxControl = 128
)

// mmsghdr is struct mmsghdr of recvmmsg(2).
type mmsghdr struct {
	unix.Msghdr
	length uint32
}

// Datagram is one that was received.
type Datagram struct {
	Src, Dst  netip.AddrPort
	Interface uint32 // the index of the interface that it came in by
	Payload   []byte // valid until the next Receive
}

// Receiver takes datagrams from a socket, many at once. It is owned by one
// goroutine.
type Receiver struct {
	fd      int
	memory  []byte // of Batch datagrams; pages that are never touched are never there
	msgs    [Batch]mmsghdr
	iovs    [Batch]unix.Iovec
	names   [Batch]unix.RawSockaddrInet6 // an IPv4 address is shorter
	control [Batch][maxControl]byte
}

// NewReceiver returns a receiver of the sockets' datagrams with room for Batch of
// the longest: what does not fit would be cut and lost.
func NewReceiver(s *Sockets) (*Receiver, error) {
	memory, err := unix.Mmap(-1, 0, Batch*(MaxPayload+1), unix.PROT_READ|unix.PROT_WRITE,
		unix.MAP_PRIVATE|unix.MAP_ANONYMOUS|unix.MAP_NORESERVE)
	if err != nil {
		return nil, fmt.Errorf("map memory for datagrams: %w", err)
	}
	// One huge page for each datagram of 100 bytes would be a waste.
	_ = unix.Madvise(memory, unix.MADV_NOHUGEPAGE)
	r := &Receiver{fd: s.udp, memory: memory}
	for i := range r.msgs {
		r.iovs[i].Base = &memory[i*(MaxPayload+1)]
		r.iovs[i].SetLen(MaxPayload)
		r.msgs[i].Iov = &r.iovs[i]
		r.msgs[i].SetIovlen(1)
		r.msgs[i].Name = (*byte)(unsafe.Pointer(&r.names[i]))
		r.msgs[i].Control = &r.control[i][0]
	}
	return r, nil
}

// Close gives the memory back.
func (r *Receiver) Close() { _ = unix.Munmap(r.memory) }

// Receive waits for datagrams, at most as long as the socket's SO_RCVTIMEO, and
// returns how many came.
func (r *Receiver) Receive() (int, error) {
	for i := range r.msgs {
		r.msgs[i].Namelen = unix.SizeofSockaddrInet6
		r.msgs[i].SetControllen(maxControl)
	}
	n, _, errno := unix.Syscall6(unix.SYS_RECVMMSG, uintptr(r.fd), uintptr(unsafe.Pointer(&r.msgs[0])), Batch,
		unix.MSG_WAITFORONE, 0, 0)
	switch errno {
	case 0:
		return int(n), nil
	case unix.EAGAIN, unix.EINTR:
		return 0, nil
	}
	return 0, fmt.Errorf("receive datagrams: %w", errno)
}

// Datagram reads the i-th of the datagrams that came, and reports whether it
// knows where it was sent to.
func (r *Receiver) Datagram(i int, d *Datagram) bool {
	m := &r.msgs[i]
	*d = Datagram{Src: address(unsafe.Slice((*byte)(unsafe.Pointer(&r.names[i])), m.Namelen)),
		Payload: r.memory[i*(MaxPayload+1):][:m.length]}
	for rest := r.control[i][:m.Controllen]; len(rest) >= unix.CmsgLen(0); {
		h, data, next, err := unix.ParseOneSocketControlMessage(rest)
		if err != nil {
			break
		}
		switch {
		case h.Level == unix.SOL_IP && h.Type == unix.IP_ORIGDSTADDR, h.Level == unix.SOL_IPV6 && h.Type == unix.IPV6_ORIGDSTADDR:
			d.Dst = address(data)
		case h.Level == unix.SOL_IP && h.Type == unix.IP_PKTINFO && len(data) >= 4: // struct in_pktinfo
			d.Interface = binary.NativeEndian.Uint32(data)
		case h.Level == unix.SOL_IPV6 && h.Type == unix.IPV6_PKTINFO && len(data) >= 20: // struct in6_pktinfo
			d.Interface = binary.NativeEndian.Uint32(data[16:])
		}
		rest = next
	}
	return d.Src.IsValid() && d.Dst.IsValid()
}

// address reads a struct sockaddr_in or sockaddr_in6.
func address(b []byte) netip.AddrPort {
	if len(b) < unix.SizeofSockaddrInet4 {
		return netip.AddrPort{}
	}
	port := binary.BigEndian.Uint16(b[2:])
	switch binary.NativeEndian.Uint16(b) {
	case unix.AF_INET:
		return netip.AddrPortFrom(netip.AddrFrom4([4]byte(b[4:8])), port)
	case unix.AF_INET6:
		if len(b) >= unix.SizeofSockaddrInet6 {
			return netip.AddrPortFrom(netip.AddrFrom16([16]byte(b[8:24])), port)
		}
	}
	return netip.AddrPort{}
}
