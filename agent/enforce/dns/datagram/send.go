package datagram

import (
	"encoding/binary"
	"fmt"
	"net/netip"
	"unsafe"

	"golang.org/x/sys/unix"
)

// Sender sends datagrams with any source address and port through a raw socket,
// many at once. It is owned by one goroutine; several may share a socket.
type Sender struct {
	fd   int
	n    int // how many wait in msgs
	msgs []mmsghdr
	outs []outgoing
}

// outgoing is one datagram on its way.
type outgoing struct {
	head     [maxHead]byte
	iov      [2]unix.Iovec // head, payload
	to       unix.RawSockaddrInet6
	control  [64]byte
	src, dst netip.AddrPort
	payload  []byte
}

// NewSender returns a sender on one of the raw sockets for batches of size.
func NewSender(fd Raw, size int) *Sender {
	return &Sender{fd: int(fd), msgs: make([]mmsghdr, size), outs: make([]outgoing, size)}
}

// Add puts a datagram into the batch, which must have room. The payload is kept
// until Flush. iface is the interface for a link-local destination.
func (s *Sender) Add(src, dst netip.AddrPort, iface uint32, payload []byte) {
	o, m := &s.outs[s.n], &s.msgs[s.n]
	s.n++
	o.src, o.dst, o.payload = src, dst, payload
	o.iov[0].Base = &o.head[0]
	o.iov[0].SetLen(putHead(o.head[:], src, dst, payload))
	m.Iov = &o.iov[0]
	m.SetIovlen(1)
	if len(payload) > 0 {
		o.iov[1].Base = &payload[0]
		o.iov[1].SetLen(len(payload))
		m.SetIovlen(2)
	}
	o.address(m, iface)
}

// address fills in where a message goes, and by IP_PKTINFO where it comes from:
// the kernel else chooses the route as for a packet of the router's own.
func (o *outgoing) address(m *mmsghdr, iface uint32) {
	m.Name = (*byte)(unsafe.Pointer(&o.to))
	m.Control = &o.control[0]
	h := (*unix.Cmsghdr)(unsafe.Pointer(&o.control[0]))
	info := o.control[unix.CmsgLen(0):]
	if o.src.Addr().Is4() {
		to := (*unix.RawSockaddrInet4)(unsafe.Pointer(&o.to))
		*to = unix.RawSockaddrInet4{Family: unix.AF_INET, Addr: o.dst.Addr().As4()}
		m.Namelen = unix.SizeofSockaddrInet4
		src := o.src.Addr().As4()
		clear(info[:unix.SizeofInet4Pktinfo])
		copy(info[4:], src[:])
		h.Level, h.Type = unix.SOL_IP, unix.IP_PKTINFO
		h.SetLen(unix.CmsgLen(unix.SizeofInet4Pktinfo))
		m.SetControllen(unix.CmsgSpace(unix.SizeofInet4Pktinfo))
		return
	}
	o.to = unix.RawSockaddrInet6{Family: unix.AF_INET6, Addr: o.dst.Addr().As16()}
	if o.dst.Addr().IsLinkLocalUnicast() {
		o.to.Scope_id = iface
	}
	m.Namelen = unix.SizeofSockaddrInet6
	src := o.src.Addr().As16()
	copy(info, src[:])
	binary.NativeEndian.PutUint32(info[16:], o.to.Scope_id)
	h.Level, h.Type = unix.SOL_IPV6, unix.IPV6_PKTINFO
	h.SetLen(unix.CmsgLen(unix.SizeofInet6Pktinfo))
	m.SetControllen(unix.CmsgSpace(unix.SizeofInet6Pktinfo))
}

// Flush sends the batch and returns how many datagrams the kernel refused. It
// never waits: a full queue loses datagrams, as a router's does.
func (s *Sender) Flush() (lost int) {
	for at := 0; at < s.n; {
		n, _, errno := unix.Syscall6(unix.SYS_SENDMMSG, uintptr(s.fd), uintptr(unsafe.Pointer(&s.msgs[at])),
			uintptr(s.n-at), unix.MSG_DONTWAIT, 0, 0)
		if errno == 0 && n > 0 {
			at += int(n)
			continue
		}
		if errno == unix.EINTR {
			continue
		}
		// The first of the rest was refused.
		if errno != unix.EMSGSIZE || s.cut(&s.outs[at], &s.msgs[at]) != nil {
			lost++
		}
		at++
	}
	s.n = 0
	return lost
}

// cut sends a datagram that does not fit the link in fragments.
func (s *Sender) cut(o *outgoing, m *mmsghdr) error {
	return fragments(o.src, o.dst, o.payload, func(packet []byte) error {
		o.iov[0].Base = &packet[0]
		o.iov[0].SetLen(len(packet))
		m.SetIovlen(1)
		_, _, errno := unix.Syscall6(unix.SYS_SENDMMSG, uintptr(s.fd), uintptr(unsafe.Pointer(m)), 1, unix.MSG_DONTWAIT, 0, 0)
		if errno != 0 {
			return fmt.Errorf("send fragment: %w", errno)
		}
		return nil
	})
}
