package bench

import (
	"context"
	"encoding/binary"
	"errors"
	"fmt"
	"net"
	"net/netip"
	"runtime"
	"time"
	"unsafe"

	"github.com/vishvananda/netlink"
	"github.com/vishvananda/netns"
	"golang.org/x/sys/unix"

	"cordon/lab/live"
	lab "cordon/lab/netns"
)

// The frames of the test: 106 bytes, as issue and literature have it for the
// packets of games and voice, and 64 of them to the kernel at once.
const (
	frameSize = 106
	atOnce    = 64
	headers   = 14 + 20 + 8
)

// sink is where the frames go; the internet host drops what is sent there.
var sink = netip.MustParsePrefix("198.18.0.0/17")

// Load is a kind of traffic.
type Load struct {
	Name string
	// Flows is how many different flows the frames belong to. With Once each gets
	// one frame, otherwise all get frames in turn until the time is over.
	Flows int
	Once  bool
	// Rate is frames a second; 0: as many as go. With a rate the flows are known
	// before it is measured, and the router alone is not.
	Rate int
	// Answered means that the far side has answered each flow once, as it does in
	// every conversation.
	Answered bool
	// TCP downloads instead, with segmentation offload or without.
	TCP, Offload bool
}

// Loads are those that are measured by default. What leaves most behind is last.
func Loads() []Load {
	return []Load{
		{Name: "UDP, 106-byte frames, 16 flows", Flows: 16, Answered: true},
		{Name: "TCP, segmentation offload", TCP: true, Offload: true},
		{Name: "TCP, no offload", TCP: true},
		{Name: "UDP, 106-byte frames, 8,192 known flows, 20,000/s", Flows: 8192, Rate: 20_000},
		{Name: "UDP, 106-byte frames, 200,000 new flows", Flows: 200_000, Once: true},
	}
}

// unit is what a load's speed is measured in.
func (l *Load) unit() string {
	if l.TCP {
		return "Mbit/s"
	}
	return "packets/s"
}

// evenLength is how many times as long a load of an even pace is measured.
const evenLength = 20

// passage is what went through the router.
type passage struct {
	sent, packets uint64  // packets is 0 for TCP
	speed         float64 // in the load's unit
	took          time.Duration
	path          time.Duration // CPU of the sending thread, which also forwards; 0 for TCP
}

// run sends the load through a home, and calls begin when it is measured from
// now on.
func (l *Load) run(ctx context.Context, home *lab.Home, length time.Duration, begin func()) (passage, error) {
	if l.TCP {
		home.SetOffload(l.Offload)
		defer home.SetOffload(true)
		begin()
		speed, err := live.SpeedTest{Server: home.Internet, At: netip.AddrPortFrom(lab.InternetIP, 5201),
			Duration: length}.Run(ctx, home.Devices[0])
		return passage{speed: speed.Mbit(), took: speed.Took}, err
	}
	wan, err := netlink.NewHandleAt(netns.NsHandle(home.Router.FD()), unix.NETLINK_ROUTE)
	if err != nil {
		return passage{}, err
	}
	defer wan.Close()
	var s *sender
	if err := home.Devices[0].Do(func() (err error) {
		s, err = newSender(lab.RouterMAC, home.Config.DeviceMAC(0))
		return err
	}); err != nil {
		return passage{}, err
	}
	defer s.close()
	return l.frames(ctx, home, wan, s, length, begin)
}

// frames sends frames and counts those that leave the router.
func (l *Load) frames(ctx context.Context, home *lab.Home, wan *netlink.Handle, s *sender, length time.Duration, begin func()) (passage, error) {
	warm := Load{Flows: 1, Once: true} // finds the neighbours
	if l.Rate > 0 {
		warm, length = Load{Flows: l.Flows, Once: true, Rate: l.Rate}, evenLength*length
	}
	if l.Answered {
		warm.Flows = l.Flows
	}
	if _, err := warm.pour(ctx, s, 0); err != nil {
		return passage{}, err
	}
	if l.Answered {
		if err := answer(home.Internet, l.Flows); err != nil {
			return passage{}, err
		}
	}
	before, err := settled(wan)
	if err != nil {
		return passage{}, err
	}
	begin()
	runtime.LockOSThread() // whose CPU time is taken
	defer runtime.UnlockOSThread()
	began, used := time.Now(), threadCPU()
	sent, err := l.pour(ctx, s, length)
	if err != nil {
		return passage{}, err
	}
	took, path := time.Since(began), threadCPU()-used
	after, err := settled(wan)
	packets := min(after-before, sent)
	return passage{sent: sent, packets: packets, speed: float64(packets) / took.Seconds(), took: took, path: path}, err
}

// answer lets the far side of each flow send one datagram back.
func answer(internet *lab.Host, flows int) error {
	return internet.Do(func() error {
		for flow := range flows {
			dst, src, port := place(flow)
			fd, err := unix.Socket(unix.AF_INET, unix.SOCK_DGRAM|unix.SOCK_CLOEXEC, 0)
			if err != nil {
				return err
			}
			err = errors.Join(unix.SetsockoptInt(fd, unix.SOL_IP, unix.IP_FREEBIND, 1),
				unix.SetsockoptInt(fd, unix.SOL_IP, unix.IP_TRANSPARENT, 1),
				unix.Bind(fd, &unix.SockaddrInet4{Addr: dst, Port: int(port)}),
				unix.Sendto(fd, make([]byte, frameSize-headers), 0, &unix.SockaddrInet4{Addr: lab.RouterWAN.As4(), Port: int(src)}))
			unix.Close(fd)
			if err != nil {
				return fmt.Errorf("answer flow %d: %w", flow, err)
			}
		}
		return nil
	})
}

// place returns where a flow goes, and from which port to which.
func place(flow int) (dst [4]byte, src, port uint16) {
	host := flow & 0x7fff
	return [4]byte{198, 18, byte(host >> 8), byte(host)}, uint16(2000 + flow>>15), 5000
}

// threadCPU returns the CPU time of the calling thread. The kernel counts to it
// what it forwards on its behalf (softirqs, without CONFIG_IRQ_TIME_ACCOUNTING).
func threadCPU() time.Duration {
	var t unix.Timespec
	if unix.ClockGettime(unix.CLOCK_THREAD_CPUTIME_ID, &t) != nil {
		return 0
	}
	return time.Duration(t.Nano())
}

// pour sends the frames of a load.
func (l *Load) pour(ctx context.Context, s *sender, length time.Duration) (sent uint64, err error) {
	began := time.Now()
	for ctx.Err() == nil {
		n := atOnce
		if l.Once {
			n = min(n, l.Flows-int(sent))
		}
		if n == 0 || !l.Once && time.Since(began) > length {
			break
		}
		if err := s.send(int(sent), n, l.Flows); err != nil {
			return sent, err
		}
		sent += uint64(n)
		if l.Rate > 0 {
			wait(time.Until(began.Add(time.Duration(sent) * time.Second / time.Duration(l.Rate))))
		}
	}
	return sent, ctx.Err()
}

// wait waits by the kernel's clock, on this thread.
func wait(d time.Duration) {
	if d > 0 {
		t := unix.NsecToTimespec(int64(d))
		_ = unix.Nanosleep(&t, nil)
	}
}

// settled returns how many packets left by wan when no more do.
func settled(h *netlink.Handle) (uint64, error) {
	for last := uint64(0); ; wait(2 * time.Millisecond) {
		link, err := h.LinkByName("wan")
		if err != nil {
			return 0, err
		}
		now := link.Attrs().Statistics.TxPackets
		if now == last {
			return now, nil
		}
		last = now
	}
}

// forgetFlows empties the router's connection tracking.
func forgetFlows(router *lab.Host) error {
	h, err := netlink.NewHandleAt(netns.NsHandle(router.FD()), unix.NETLINK_NETFILTER)
	if err != nil {
		return err
	}
	defer h.Close()
	if err := h.ConntrackTableFlush(netlink.ConntrackTable); err != nil {
		return fmt.Errorf("flush connection tracking: %w", err)
	}
	return nil
}

// sender sends frames past the queues, many in one call (packet(7),
// PACKET_QDISC_BYPASS).
type sender struct {
	fd       int
	sum      uint32 // of the IP header without destination
	frames   [atOnce][frameSize]byte
	vectors  [atOnce]unix.Iovec
	messages [atOnce]message
}

// message is the kernel's struct mmsghdr (sendmmsg(2)).
type message struct {
	unix.Msghdr
	length uint32
}

// newSender makes a sender in the namespace of the calling thread, on eth0.
func newSender(to, from string) (*sender, error) {
	link, err := net.InterfaceByName("eth0")
	if err != nil {
		return nil, err
	}
	fd, err := unix.Socket(unix.AF_PACKET, unix.SOCK_RAW|unix.SOCK_CLOEXEC, 0)
	if err != nil {
		return nil, fmt.Errorf("open packet socket: %w", err)
	}
	s := &sender{fd: fd}
	if err := unix.SetsockoptInt(fd, unix.SOL_PACKET, unix.PACKET_QDISC_BYPASS, 1); err != nil {
		s.close()
		return nil, fmt.Errorf("pass by the queues: %w", err)
	}
	if err := unix.Bind(fd, &unix.SockaddrLinklayer{Ifindex: link.Index}); err != nil {
		s.close()
		return nil, fmt.Errorf("bind to eth0: %w", err)
	}
	s.fill(to, from)
	return s, nil
}

func (s *sender) close() { unix.Close(s.fd) }

// fill makes the frames: all is the same in them but destination and port.
func (s *sender) fill(to, from string) {
	var f [frameSize]byte
	dst, _ := net.ParseMAC(to) // both are constants
	src, _ := net.ParseMAC(from)
	copy(f[0:], dst)
	copy(f[6:], src)
	binary.BigEndian.PutUint16(f[12:], 0x0800)
	ip := f[14:34]
	ip[0], ip[6], ip[8], ip[9] = 0x45, 0x40, 64, 17
	binary.BigEndian.PutUint16(ip[2:], frameSize-14)
	copy(ip[12:], lab.DeviceIP(0).AsSlice())
	for i := 0; i < len(ip); i += 2 {
		s.sum += uint32(binary.BigEndian.Uint16(ip[i:]))
	}
	udp := f[34:]
	binary.BigEndian.PutUint16(udp[2:], 5000)
	binary.BigEndian.PutUint16(udp[4:], frameSize-34) // no checksum: RFC 768
	for i := headers; i < frameSize; i++ {
		f[i] = byte(i * 37)
	}
	for i := range s.frames {
		s.frames[i] = f
		s.vectors[i].Base = &s.frames[i][0]
		s.vectors[i].SetLen(frameSize)
		s.messages[i].Iov = &s.vectors[i]
		s.messages[i].SetIovlen(1)
	}
}

// send sends n frames, at most atOnce, which belong to flows number at and on,
// modulo all flows.
func (s *sender) send(at, n, flows int) error {
	for i := range n {
		flow := (at + i) % flows
		f := &s.frames[i]
		dst, src, _ := place(flow)
		copy(f[30:], dst[:])
		binary.BigEndian.PutUint16(f[34:], src)
		sum := s.sum + uint32(binary.BigEndian.Uint16(dst[:])) + uint32(binary.BigEndian.Uint16(dst[2:]))
		sum = sum&0xffff + sum>>16
		sum = sum&0xffff + sum>>16
		binary.BigEndian.PutUint16(f[24:], ^uint16(sum))
	}
	for queue := s.messages[:n]; len(queue) > 0; {
		done, _, errno := unix.Syscall6(unix.SYS_SENDMMSG, uintptr(s.fd), uintptr(unsafe.Pointer(&queue[0])), uintptr(len(queue)), 0, 0, 0)
		switch errno {
		case 0:
			queue = queue[done:]
		case unix.ENOBUFS, unix.EAGAIN, unix.EINTR: // the device is busy
		default:
			return fmt.Errorf("send %d frames: %w", len(queue), errno)
		}
	}
	return nil
}
