// Package cable puts made-up frames onto real network interfaces: the bytes of a
// capture, or of lab/synth/frame, pass the kernel's hooks as if a device had sent
// them. Tests of the agent's eyes stand at one end of a veth pair of lab/netns and
// send from the other.
package cable

import (
	"fmt"
	"net"

	"golang.org/x/sys/unix"

	"cordon"
	"cordon/lab/netns"
)

// MTU is the largest datagram that a veth pair carries: captures made with
// segmentation offload have frames of up to 64 KiB.
const MTU = 65535

// End is one end of a cable: what is sent from it leaves its interface.
type End struct {
	Port cordon.Port

	host *netns.Host
	fd   int
}

// Plug opens an interface of a host for sending. It is closed when t ends.
func Plug(t netns.TB, host *netns.Host, name string) *End {
	t.Helper()
	e := &End{host: host}
	err := host.Do(func() (err error) {
		nic, err := net.InterfaceByName(name)
		if err != nil {
			return err
		}
		e.Port = cordon.Port{Name: name, Index: nic.Index, MAC: cordon.MAC(nic.HardwareAddr)}
		e.fd, err = unix.Socket(unix.AF_PACKET, unix.SOCK_RAW|unix.SOCK_CLOEXEC, 0)
		return err
	})
	if err != nil {
		t.Fatalf("plug into %s of %s: %v", name, host.Name, err)
	}
	t.Cleanup(func() { _ = unix.Close(e.fd) })
	return e
}

// Send sends one Ethernet frame.
func (e *End) Send(frame []byte) error {
	if err := unix.Sendto(e.fd, frame, 0, &unix.SockaddrLinklayer{Ifindex: e.Port.Index}); err != nil {
		return fmt.Errorf("send %d bytes from %s of %s: %w", len(frame), e.Port.Name, e.host.Name, err)
	}
	return nil
}

// Pair is a cable between a port of a router and a device that is nothing but its
// end: neither side has addresses, so nobody but the test speaks.
type Pair struct {
	Router *End // the router's port; what is sent from it goes to the device
	Device *End
}

// Lay lays a cable between two hosts, called port at the router and nic at the
// device.
func Lay(t netns.TB, bed *netns.Bed, router *netns.Host, port string, device *netns.Host, nic string) Pair {
	t.Helper()
	for _, h := range []*netns.Host{router, device} {
		for _, key := range []string{"net/ipv6/conf/all/disable_ipv6", "net/ipv6/conf/default/disable_ipv6"} {
			if err := h.Sysctl(key, "1"); err != nil {
				t.Fatalf("silence %s: %v", h.Name, err)
			}
		}
	}
	bed.Link(router, port, device, nic)
	router.IP(fmt.Sprintf("link set %s mtu %d", port, MTU))
	device.IP(fmt.Sprintf("link set %s mtu %d", nic, MTU))
	return Pair{Router: Plug(t, router, port), Device: Plug(t, device, nic)}
}
