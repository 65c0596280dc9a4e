package netns

import (
	"fmt"
	"net/netip"
	"os/exec"
	"strings"
)

// Addresses of a home and of the internet before it. All are from blocks kept
// for documentation, benchmarks and private use (RFC 5737, RFC 6890, RFC 3849,
// RFC 4193).
var (
	LAN       = netip.MustParsePrefix("192.168.77.0/24")
	LAN6      = netip.MustParsePrefix("fd77::/64")
	RouterLAN = netip.MustParseAddr("192.168.77.1")
	// RouterLAN6 is what the devices use as default gateway for IPv6.
	RouterLAN6 = netip.MustParseAddr("fd77::1")
	RouterWAN  = netip.MustParseAddr("203.0.113.2")
	RouterWAN6 = netip.MustParseAddr("2001:db8:203::2")
	// InternetIP is the address of the internet's interface.
	InternetIP  = netip.MustParseAddr("203.0.113.1")
	InternetIP6 = netip.MustParseAddr("2001:db8:203::1")
	// Alive are the networks of which the internet host has every address: it
	// answers, if only with a reset.
	Alive = []netip.Prefix{netip.MustParsePrefix("198.19.0.0/16"), netip.MustParsePrefix("198.51.100.0/24"),
		netip.MustParsePrefix("192.0.2.0/24"), netip.MustParsePrefix("2001:db8:1::/48")}
	// Dark are the networks that are routed to the internet host and swallowed
	// there without an answer.
	Dark = []netip.Prefix{netip.MustParsePrefix("198.18.0.0/16"), netip.MustParsePrefix("2001:db8:d::/48")}
)

// HomeConfig describes a home. The zero value is a bridge without devices.
type HomeConfig struct {
	// Devices is how many devices there are, each on a port of its own: 1 to
	// 200, or exactly one without a bridge.
	Devices int
	// NoNAT leaves masquerading off; the internet then has routes back.
	NoNAT bool
	// NoBridge gives the router one plain interface lan1 instead of br-lan.
	NoBridge bool
	// Offload switches segmentation offload, receive offload and checksum
	// offload on all interfaces; nil leaves what the kernel chooses, which is
	// on. Needs ethtool.
	Offload *bool
	// MACs are the devices' hardware addresses. Those missing are
	// 44:19:b6:00:00:10 and on, of a camera maker.
	MACs []string
	// Extra networks become Alive for this home, as those of a capture that is
	// replayed.
	Extra []netip.Prefix
}

// Home is a router, the devices behind it and the internet before it.
type Home struct {
	*Bed
	// Router has the bridge br-lan of the ports lan1, lan2, … (or only lan1)
	// and the interface wan.
	Router *Host
	// Devices have one interface, eth0; device i has the addresses DeviceIP(i)
	// and DeviceIP6(i).
	Devices []*Host
	// Internet has one interface, eth0, and the addresses of Alive.
	Internet *Host
	Config   HomeConfig
}

// RouterMAC is the hardware address of the router's LAN side.
const RouterMAC = "02:c0:4d:00:00:01"

// DeviceIP returns the IPv4 address of device i, counted from 0.
func DeviceIP(i int) netip.Addr { return netip.AddrFrom4([4]byte{192, 168, 77, byte(10 + i)}) }

// DeviceIP6 returns the IPv6 address of device i.
func DeviceIP6(i int) netip.Addr {
	return netip.AddrFrom16([16]byte{0: 0xfd, 1: 0x77, 15: byte(10 + i)})
}

// DeviceMAC returns the hardware address of device i.
func (c *HomeConfig) DeviceMAC(i int) string {
	if i < len(c.MACs) {
		return c.MACs[i]
	}
	return fmt.Sprintf("44:19:b6:00:00:%02x", 0x10+i)
}

// NewHome builds a home that lives until t ends. Every address answers when it
// returns. It skips the test where New would.
func NewHome(t TB, config HomeConfig) *Home {
	t.Helper()
	if config.Devices < 0 || config.Devices > 200 || config.NoBridge && config.Devices != 1 {
		t.Fatalf("a home of %d devices, bridge %t: no", config.Devices, !config.NoBridge)
	}
	h := &Home{Bed: New(t), Config: config}
	h.Router, h.Internet = h.Host("router"), h.Host("internet")
	for i := range config.Devices {
		h.Devices = append(h.Devices, h.Host(fmt.Sprintf("device%d", i+1)))
	}
	h.wire()
	for i := range h.Devices {
		h.address(i)
	}
	h.route()
	if config.Offload != nil {
		h.SetOffload(*config.Offload)
	}
	return h
}

// wire makes the cables.
func (h *Home) wire() {
	cables := []string{fmt.Sprintf("link add name wan netns %s address 02:c0:4d:00:00:02 type veth "+
		"peer name eth0 address 02:c0:4d:00:00:03 netns %s", h.Router.Namespace, h.Internet.Namespace)}
	for i, d := range h.Devices {
		cables = append(cables, fmt.Sprintf("link add name lan%d netns %s address 02:c0:4d:00:01:%02x type veth "+
			"peer name eth0 address %s netns %s", i+1, h.Router.Namespace, i, h.Config.DeviceMAC(i), d.Namespace))
	}
	h.batch("", cables...)
}

// address gives device i its addresses and its way out.
func (h *Home) address(i int) {
	h.Devices[i].IP("link set eth0 up",
		fmt.Sprintf("addr add %s/24 dev eth0", DeviceIP(i)),
		fmt.Sprintf("addr add %s/64 dev eth0 nodad", DeviceIP6(i)),
		fmt.Sprintf("route add default via %s", RouterLAN),
		fmt.Sprintf("route add default via %s", RouterLAN6))
}

// route makes a router of the router and an internet of the internet.
func (h *Home) route() {
	var lines []string
	lan := "lan1"
	if h.Config.NoBridge {
		lines = append(lines, "link set lan1 address "+RouterMAC)
	} else {
		lan = "br-lan"
		lines = append(lines, "link add br-lan address "+RouterMAC+" type bridge forward_delay 0 mcast_snooping 0")
		for i := range h.Devices {
			lines = append(lines, fmt.Sprintf("link set lan%d master br-lan up", i+1))
		}
	}
	lines = append(lines, "link set "+lan+" up", "link set wan up",
		fmt.Sprintf("addr add %s/24 dev %s", RouterLAN, lan), fmt.Sprintf("addr add %s/64 dev %s nodad", RouterLAN6, lan),
		fmt.Sprintf("addr add %s/24 dev wan", RouterWAN), fmt.Sprintf("addr add %s/64 dev wan nodad", RouterWAN6))
	internet := []string{"link set eth0 up",
		fmt.Sprintf("addr add %s/24 dev eth0", InternetIP), fmt.Sprintf("addr add %s/64 dev eth0 nodad", InternetIP6)}
	for _, p := range append(append([]netip.Prefix(nil), Alive...), h.Config.Extra...) {
		internet = append(internet, fmt.Sprintf("route add local %s dev lo", p))
	}
	for _, p := range Dark {
		internet = append(internet, fmt.Sprintf("route add blackhole %s", p))
	}
	h.Internet.IP(internet...)
	// The kernel binds to any address of a local route, but not of IPv6.
	if err := h.Internet.Sysctl("net/ipv6/ip_nonlocal_bind", "1"); err != nil {
		h.t.Fatalf("let the internet have its addresses: %v", err)
	}
	h.Router.IP(append(lines, fmt.Sprintf("route add default via %s", InternetIP),
		fmt.Sprintf("route add default via %s", InternetIP6))...)
	for _, key := range []string{"net/ipv4/ip_forward", "net/ipv6/conf/all/forwarding"} {
		if err := h.Router.Sysctl(key, "1"); err != nil {
			h.t.Fatalf("let the router forward: %v", err)
		}
	}
	if h.Config.NoNAT {
		h.Internet.IP(fmt.Sprintf("route add %s via %s", LAN, RouterWAN), fmt.Sprintf("route add %s via %s", LAN6, RouterWAN6))
		return
	}
	h.Router.NFT(`
table inet nat {
	chain postrouting {
		type nat hook postrouting priority srcnat
		oifname "wan" masquerade
	}
}
`)
}

// SetOffload switches segmentation, receive and checksum offload of all
// interfaces on or off. It skips the test if ethtool is missing.
func (h *Home) SetOffload(on bool) {
	h.t.Helper()
	if _, err := exec.LookPath("ethtool"); err != nil {
		h.t.Skip("needs ethtool")
	}
	state := "off"
	if on {
		state = "on"
	}
	set := func(host *Host, interfaces ...string) {
		for _, i := range interfaces {
			args := []string{"-K", i}
			for _, feature := range strings.Fields("tso gso gro tx rx") {
				args = append(args, feature, state)
			}
			if _, err := host.Run("ethtool", args...); err != nil {
				h.t.Fatalf("%v", err)
			}
		}
	}
	set(h.Internet, "eth0")
	set(h.Router, "wan")
	for i, d := range h.Devices {
		set(d, "eth0")
		set(h.Router, fmt.Sprintf("lan%d", i+1))
	}
}
