package live

import (
	"errors"
	"fmt"
	"net"
	"net/netip"
	"time"

	"golang.org/x/net/ipv4"
	"golang.org/x/net/ipv6"
	"golang.org/x/sys/unix"

	"cordon/lab/netns"
)

const (
	// batchSize is how many packets go to the kernel in one call.
	batchSize = 64
	// ethernet is the length of the header that frame.Buffer puts before the
	// packet and that a raw socket does not want.
	ethernet = 14
)

// rawSocket sends IP packets whose headers are made here, as the bots do
// (raw(7), IPPROTO_RAW). The kernel routes them and finds the neighbour's MAC.
type rawSocket struct {
	conn  net.PacketConn
	write func([]ipv4.Message, int) (int, error)
	batch []ipv4.Message
	n     int // of batch, filled
	sent  Sent
}

// openRaw opens a raw socket on h for the family of an address.
func openRaw(h *netns.Host, family netip.Addr) (*rawSocket, error) {
	network, any := "ip4:255", "0.0.0.0"
	if family.Is6() {
		network, any = "ip6:255", "::"
	}
	c, err := h.ListenPacket(network, any)
	if err != nil {
		return nil, fmt.Errorf("open raw socket: %w", err)
	}
	s := &rawSocket{conn: c, batch: make([]ipv4.Message, batchSize)}
	s.write = ipv4.NewPacketConn(c).WriteBatch
	if family.Is6() {
		s.write = ipv6.NewPacketConn(c).WriteBatch
	}
	for i := range s.batch {
		s.batch[i].Buffers = [][]byte{make([]byte, 0, 1500)}
		s.batch[i].Addr = &net.IPAddr{IP: make(net.IP, 0, 16)}
	}
	return s, nil
}

func (s *rawSocket) Close() error { return s.conn.Close() }

// add queues a packet to an address and sends the queue when it is full.
func (s *rawSocket) add(to netip.Addr, b []byte) error {
	m := &s.batch[s.n]
	m.Buffers[0] = append(m.Buffers[0][:0], b...)
	ip := m.Addr.(*net.IPAddr)
	ip.IP = append(ip.IP[:0], to.AsSlice()...)
	if s.n++; s.n == len(s.batch) {
		return s.flush()
	}
	return nil
}

// flush sends what is queued. What the kernel refuses to send (a firewall on the
// host, a full queue) is skipped, as a bot would.
func (s *rawSocket) flush() error {
	if s.n > 0 && s.sent.Packets == 0 {
		s.sent.First = time.Now()
	}
	for queue := s.batch[:s.n]; len(queue) > 0; {
		n, err := s.write(queue, 0)
		switch {
		case errors.Is(err, unix.EPERM) || errors.Is(err, unix.ENOBUFS) || errors.Is(err, unix.EHOSTUNREACH):
			n = max(n, 0) + 1
		case err != nil:
			return fmt.Errorf("send %d packets: %w", len(queue), err)
		default:
			s.sent.Packets += uint64(n)
		}
		queue = queue[min(n, len(queue)):]
	}
	if s.n > 0 {
		s.sent.Last = time.Now()
	}
	s.n = 0
	return nil
}
