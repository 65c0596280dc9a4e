package live

import (
	"context"
	"encoding/binary"
	"errors"
	"fmt"
	"net"
	"net/netip"
	"os"
	"sync"
	"time"
	"unsafe"

	"golang.org/x/sys/unix"

	"cordon/agent/packet"
	"cordon/internal/pause"
	"cordon/lab/netns"
)

const (
	// maxArrivals bounds what a meter keeps; more is counted only.
	maxArrivals = 1 << 20
	// meterBuffer is the socket's memory, bytes: half a second of a flood.
	meterBuffer = 64 << 20
	// meterFrame is how much of each frame a meter reads, bytes.
	meterFrame = 256
)

// Arrival is a packet that a meter saw.
type Arrival struct {
	At       time.Time // by the kernel's clock, the wall's
	Outgoing bool      // it left by the interface instead of coming in
	MAC      packet.MAC
	Src, Dst netip.AddrPort // ports are 0 where there are none
	Proto    uint8
	Flags    uint8 // TCP
	Seq      uint32
	Len      int // of the frame, bytes
}

// Meter writes down which packets pass an interface, and when.
type Meter struct {
	keep func(*packet.Packet) bool
	file *os.File
	raw  interface {
		Read(func(uintptr) bool) error
		Control(func(uintptr)) error
	}
	done chan struct{}

	mu       sync.Mutex
	arrivals []Arrival
	seen     uint64 // kept and not kept
	lost     uint64
}

// StartMeter starts a meter on an interface of h. Kept are the packets for which
// keep returns true, all if it is nil; it is called on the meter's goroutine and
// must not hold on to the packet. The caller calls Stop.
func StartMeter(h *netns.Host, iface string, keep func(*packet.Packet) bool) (*Meter, error) {
	m := &Meter{keep: keep, done: make(chan struct{})}
	if err := h.Do(func() error { return m.open(iface) }); err != nil {
		return nil, fmt.Errorf("meter %s of %s: %w", iface, h.Name, err)
	}
	go m.run()
	return m, nil
}

func (m *Meter) open(iface string) error {
	link, err := net.InterfaceByName(iface)
	if err != nil {
		return err
	}
	fd, err := unix.Socket(unix.AF_PACKET, unix.SOCK_RAW|unix.SOCK_NONBLOCK|unix.SOCK_CLOEXEC, 0)
	if err != nil {
		return fmt.Errorf("open packet socket: %w", err)
	}
	m.file = os.NewFile(uintptr(fd), "meter of "+iface)
	err = errors.Join(
		unix.SetsockoptInt(fd, unix.SOL_SOCKET, unix.SO_RCVBUFFORCE, meterBuffer),
		unix.SetsockoptInt(fd, unix.SOL_SOCKET, unix.SO_TIMESTAMPNS, 1),
		unix.Bind(fd, &unix.SockaddrLinklayer{Protocol: big(unix.ETH_P_ALL), Ifindex: link.Index}))
	if err == nil {
		m.raw, err = m.file.SyscallConn()
	}
	if err == nil {
		err = awaitStamps()
	}
	if err != nil {
		m.file.Close()
	}
	return err
}

// awaitStamps waits until the kernel stamps packets as they come. It begins that
// a little after the first socket asked for it (net_enable_timestamp), and stamps
// packets until then when they are read. So a packet to ourselves is left
// unread for a moment, until its stamp is older than that.
func awaitStamps() error {
	c, err := net.ListenPacket("udp", "127.0.0.1:0")
	if err != nil {
		return fmt.Errorf("try time stamps: %w", err)
	}
	defer c.Close()
	raw, err := c.(*net.UDPConn).SyscallConn()
	if err != nil {
		return err
	}
	const unread = 2 * time.Millisecond
	for range 500 {
		if _, err := c.WriteTo([]byte("now"), c.LocalAddr()); err != nil {
			return fmt.Errorf("try time stamps: %w", err)
		}
		time.Sleep(unread)
		read, late := time.Now(), false
		err := raw.Control(func(fd uintptr) {
			_ = unix.SetsockoptInt(int(fd), unix.SOL_SOCKET, unix.SO_TIMESTAMPNS, 1)
			b, control := make([]byte, 8), make([]byte, 128)
			if _, n, _, _, err := unix.Recvmsg(int(fd), b, control, unix.MSG_DONTWAIT); err == nil {
				late = read.Sub(stamp(control[:n])) < unread/2
			}
		})
		if err != nil || !late {
			return err
		}
	}
	return errors.New("try time stamps: packets are stamped late for a second")
}

// big turns a number into network byte order.
func big(v uint16) uint16 {
	return binary.NativeEndian.Uint16(binary.BigEndian.AppendUint16(nil, v))
}

// run reads until the deadline that Stop sets, and then what is left.
func (m *Meter) run() {
	defer close(m.done)
	frame, control := make([]byte, meterFrame), make([]byte, 128)
	take := func(fd uintptr) bool {
		for {
			switch err := m.take(int(fd), frame, control); err {
			case nil, unix.EINTR:
			case unix.EAGAIN:
				return false
			default: // the interface went away; it may come back
				return err != unix.ENETDOWN
			}
		}
	}
	_ = m.raw.Read(take)
	_ = m.raw.Control(func(fd uintptr) { take(fd) })
}

// take reads one packet.
func (m *Meter) take(fd int, frame, control []byte) error {
	n, cn, _, from, err := unix.Recvmsg(fd, frame, control, unix.MSG_TRUNC)
	if err != nil {
		return err
	}
	a := Arrival{At: stamp(control[:cn]), Len: n}
	if l, ok := from.(*unix.SockaddrLinklayer); ok {
		a.Outgoing = l.Pkttype == unix.PACKET_OUTGOING
	}
	var p packet.Packet
	f := packet.Frame{Link: packet.LinkEthernet, Len: n, Data: frame[:min(n, len(frame))]}
	_ = p.Parse(&f) // what cannot be parsed is an arrival without addresses
	m.mu.Lock()
	defer m.mu.Unlock()
	m.seen++
	if m.keep != nil && !m.keep(&p) {
		return nil
	}
	if len(m.arrivals) == maxArrivals {
		m.lost++
		return nil
	}
	a.MAC, a.Proto, a.Flags, a.Seq = p.SrcMAC, p.Proto, p.TCPFlags, p.Seq
	a.Src, a.Dst = netip.AddrPortFrom(p.Src, p.SrcPort), netip.AddrPortFrom(p.Dst, p.DstPort)
	m.arrivals = append(m.arrivals, a)
	return nil
}

// stamp returns the kernel's time of a message, or now.
func stamp(control []byte) time.Time {
	messages, _ := unix.ParseSocketControlMessage(control)
	for _, c := range messages {
		if c.Header.Level == unix.SOL_SOCKET && c.Header.Type == unix.SO_TIMESTAMPNS &&
			len(c.Data) >= int(unsafe.Sizeof(unix.Timespec{})) {
			return time.Unix((*unix.Timespec)(unsafe.Pointer(&c.Data[0])).Unix())
		}
	}
	return time.Now()
}

// Arrivals returns what was kept so far, oldest first.
func (m *Meter) Arrivals() []Arrival {
	m.mu.Lock()
	defer m.mu.Unlock()
	return append([]Arrival(nil), m.arrivals...)
}

// Kept returns how many packets were kept so far.
func (m *Meter) Kept() int {
	m.mu.Lock()
	defer m.mu.Unlock()
	return len(m.arrivals)
}

// Reset forgets what was kept.
func (m *Meter) Reset() {
	m.mu.Lock()
	defer m.mu.Unlock()
	m.arrivals, m.lost = nil, 0
}

// Stop ends the meter and returns what it kept. It is an error if packets were
// lost, the socket's memory or the meter's being full. Stop may be called twice.
func (m *Meter) Stop() ([]Arrival, error) {
	if m.file.SetReadDeadline(time.Unix(1, 0)) == nil {
		<-m.done
		_ = m.raw.Control(func(fd uintptr) {
			if s, err := unix.GetsockoptTpacketStats(int(fd), unix.SOL_PACKET, unix.PACKET_STATISTICS); err == nil {
				m.lost += uint64(s.Drops)
			}
		})
		m.file.Close()
	}
	if m.lost > 0 {
		return m.arrivals, fmt.Errorf("meter: lost %d packets", m.lost)
	}
	return m.arrivals, nil
}

// WaitQuiet waits until nothing was kept for a while, and reports whether that
// happened before ctx ended.
func (m *Meter) WaitQuiet(ctx context.Context, quiet time.Duration) bool {
	last, since := -1, time.Now()
	for {
		if n := m.Kept(); n != last {
			last, since = n, time.Now()
		} else if time.Since(since) >= quiet {
			return true
		}
		if !pause.For(ctx, quiet/20+time.Millisecond) {
			return false
		}
	}
}

// ScanSYN reports whether p is a SYN of Mirai's scanner: for Meter.
func ScanSYN(p *packet.Packet) bool {
	if p.Layers&(packet.HasTCP|packet.HasIPv4) != packet.HasTCP|packet.HasIPv4 || p.TCPFlags != packet.SYN {
		return false
	}
	to := p.Dst.As4()
	return (p.DstPort == telnet || p.DstPort == telnetSecond) && p.Seq == binary.BigEndian.Uint32(to[:])
}

// Between returns the time from the first of some arrivals to the last, 0 if
// there are fewer than two.
func Between(arrivals []Arrival) time.Duration {
	if len(arrivals) == 0 {
		return 0
	}
	return arrivals[len(arrivals)-1].At.Sub(arrivals[0].At)
}
