package network

import (
	"encoding/binary"
	"net/netip"
	"testing"

	"github.com/mdlayher/netlink"
	"golang.org/x/sys/unix"
)

// encode makes a message: a fixed part of n bytes, then attributes.
func encode(t testing.TB, n int, fill func(*netlink.AttributeEncoder)) []byte {
	t.Helper()
	ae := netlink.NewAttributeEncoder()
	fill(ae)
	b, err := ae.Encode()
	if err != nil {
		t.Fatal(err)
	}
	return append(make([]byte, n), b...)
}

// multipath is a default route over two next hops, the second through an IPv6
// gateway.
func multipath(t testing.TB) []byte {
	hop := func(index uint32, kind uint16, gateway []byte) []byte {
		b := encode(t, 8, func(ae *netlink.AttributeEncoder) { ae.Bytes(kind, gateway) })
		binary.NativeEndian.PutUint16(b, uint16(len(b)))
		binary.NativeEndian.PutUint32(b[4:], index)
		return b
	}
	v6 := netip.MustParseAddr("fe80::9").As16()
	hops := hop(3, unix.RTA_GATEWAY, []byte{192, 0, 2, 1})
	hops = append(hops, hop(4, unix.RTA_VIA, append([]byte{unix.AF_INET6, 0}, v6[:]...))...)
	b := encode(t, rtMsgLen, func(ae *netlink.AttributeEncoder) {
		ae.Uint32(unix.RTA_TABLE, unix.RT_TABLE_MAIN)
		ae.Bytes(unix.RTA_MULTIPATH, hops)
	})
	b[0], b[7] = unix.AF_INET, unix.RTN_UNICAST
	return b
}

// vlan is a VLAN's interface.
func vlan(t testing.TB) []byte {
	b := encode(t, ifInfoLen, func(ae *netlink.AttributeEncoder) {
		ae.String(unix.IFLA_IFNAME, "eth0.7")
		ae.Uint32(unix.IFLA_LINK, 2)
		ae.Bytes(unix.IFLA_ADDRESS, []byte{2, 0, 0, 0, 0, 1})
		ae.Nested(unix.IFLA_LINKINFO, func(ae *netlink.AttributeEncoder) error {
			ae.String(unix.IFLA_INFO_KIND, "vlan")
			ae.Nested(unix.IFLA_INFO_DATA, func(ae *netlink.AttributeEncoder) error {
				ae.Uint16(unix.IFLA_VLAN_ID, 7)
				return nil
			})
			return nil
		})
	})
	binary.NativeEndian.PutUint16(b[2:], unix.ARPHRD_ETHER)
	return b
}

// features is ethtool's answer for an interface with hw-tc-offload on.
func features(t testing.TB) []byte {
	return encode(t, genlHeaderLen, func(ae *netlink.AttributeEncoder) {
		ae.Nested(unix.ETHTOOL_A_FEATURES_HEADER, func(ae *netlink.AttributeEncoder) error {
			ae.String(unix.ETHTOOL_A_HEADER_DEV_NAME, "lan1")
			return nil
		})
		ae.Nested(unix.ETHTOOL_A_FEATURES_ACTIVE, func(ae *netlink.AttributeEncoder) error {
			ae.Nested(unix.ETHTOOL_A_BITSET_BITS, func(ae *netlink.AttributeEncoder) error {
				for _, name := range []string{"tx-scatter-gather", "hw-tc-offload"} {
					ae.Nested(unix.ETHTOOL_A_BITSET_BITS_BIT, func(ae *netlink.AttributeEncoder) error {
						ae.String(unix.ETHTOOL_A_BITSET_BIT_NAME, name)
						return nil
					})
				}
				return nil
			})
			return nil
		})
	})
}

// TestDecode reads what the test machine's kernel cannot be made to send.
func TestDecode(t *testing.T) {
	routes, err := decodeRoutes(multipath(t))
	if err != nil || len(routes) != 2 || routes[0].index != 3 || routes[1].index != 4 ||
		routes[0].gateway.String() != "192.0.2.1" || routes[1].gateway.String() != "fe80::9" || routes[0].dst.String() != "0.0.0.0/0" {
		t.Errorf("routes %v, %v", routes, err)
	}
	if l, err := decodeLink(vlan(t)); err != nil || l.name != "eth0.7" || l.vlan != 7 || l.lower != 2 || !l.ethernet || l.mac[5] != 1 {
		t.Errorf("VLAN %+v, %v", l, err)
	}
	if name, on, err := decodeFeatures(features(t)); err != nil || name != "lan1" || !on {
		t.Errorf("features of %q: %t, %v", name, on, err)
	}
}

// FuzzDecode holds the decoders to an answer whatever the message is.
func FuzzDecode(f *testing.F) {
	f.Add(multipath(f))
	f.Add(vlan(f))
	f.Add(features(f))
	f.Fuzz(func(t *testing.T, b []byte) {
		decodeLink(b)
		decodeVLANs(b)
		decodeFeatures(b)
		if a, err := decodeAddress(b); err == nil && !a.prefix.IsValid() {
			t.Errorf("address %v", a)
		}
		routes, err := decodeRoutes(b)
		for _, r := range routes {
			if err == nil && !r.dst.IsValid() {
				t.Errorf("route %v", r)
			}
		}
	})
}
