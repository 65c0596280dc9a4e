package network

import (
	"encoding/binary"
	"errors"
	"net/netip"

	"github.com/mdlayher/netlink"
	"golang.org/x/sys/unix"

	"cordon"
)

// errShort is a message that ends before its fixed part does.
var errShort = errors.New("netlink message too short")

// Lengths of the fixed parts of rtnetlink(7)'s messages: struct ifinfomsg,
// ifaddrmsg and rtmsg.
const (
	ifInfoLen = 16
	ifAddrLen = 8
	rtMsgLen  = 12
)

// Of linux/if_bridge.h and linux/rtnetlink.h: where a bridge port's VLANs stand in
// IFLA_AF_SPEC, and the bit that asks for them.
const (
	bridgeVLANInfo   = 2
	filterBridgeVLAN = 2
)

// decodeLink reads an RTM_NEWLINK.
func decodeLink(b []byte) (link, error) {
	if len(b) < ifInfoLen {
		return link{}, errShort
	}
	flags := binary.NativeEndian.Uint32(b[8:])
	l := link{
		index:    int(int32(binary.NativeEndian.Uint32(b[4:]))),
		ethernet: binary.NativeEndian.Uint16(b[2:]) == unix.ARPHRD_ETHER,
		loopback: flags&unix.IFF_LOOPBACK != 0,
	}
	ad, err := netlink.NewAttributeDecoder(b[ifInfoLen:])
	if err != nil {
		return link{}, err
	}
	lower := 0
	for ad.Next() {
		switch ad.Type() {
		case unix.IFLA_IFNAME:
			l.name = ad.String()
		case unix.IFLA_MASTER:
			l.master = int(ad.Uint32())
		case unix.IFLA_LINK:
			lower = int(ad.Uint32())
		case unix.IFLA_ADDRESS:
			if mac := ad.Bytes(); len(mac) == len(l.mac) {
				l.mac = cordon.MAC(mac)
			}
		case unix.IFLA_LINKINFO:
			ad.Nested(l.info)
		}
	}
	// A veth's link is its other end, perhaps of another namespace, and a DSA port's
	// is the switch's.
	if l.kind == "vlan" || l.kind == "macvlan" || l.kind == "ipvlan" {
		l.lower = lower
	}
	return l, ad.Err()
}

// info reads IFLA_LINKINFO.
func (l *link) info(ad *netlink.AttributeDecoder) error {
	for ad.Next() {
		switch ad.Type() {
		case unix.IFLA_INFO_KIND:
			l.kind = ad.String()
		case unix.IFLA_INFO_DATA:
			if l.kind != "vlan" {
				continue
			}
			ad.Nested(func(ad *netlink.AttributeDecoder) error {
				for ad.Next() {
					if ad.Type() == unix.IFLA_VLAN_ID {
						l.vlan = ad.Uint16()
					}
				}
				return nil
			})
		}
	}
	return nil
}

// decodeVLANs reads the VLANs out of a bridge's RTM_NEWLINK of a port.
func decodeVLANs(b []byte) (index int, vlans []uint16, err error) {
	if len(b) < ifInfoLen {
		return 0, nil, errShort
	}
	index = int(int32(binary.NativeEndian.Uint32(b[4:])))
	ad, err := netlink.NewAttributeDecoder(b[ifInfoLen:])
	if err != nil {
		return 0, nil, err
	}
	for ad.Next() {
		if ad.Type() == unix.IFLA_AF_SPEC {
			ad.Nested(func(ad *netlink.AttributeDecoder) error {
				for ad.Next() {
					// struct bridge_vlan_info: flags, VLAN id
					if info := ad.Bytes(); ad.Type() == bridgeVLANInfo && len(info) >= 4 {
						vlans = append(vlans, binary.NativeEndian.Uint16(info[2:]))
					}
				}
				return nil
			})
		}
	}
	return index, vlans, ad.Err()
}

// decodeAddress reads an RTM_NEWADDR.
func decodeAddress(b []byte) (address, error) {
	if len(b) < ifAddrLen {
		return address{}, errShort
	}
	bits := int(b[1])
	a := address{index: int(int32(binary.NativeEndian.Uint32(b[4:])))}
	ad, err := netlink.NewAttributeDecoder(b[ifAddrLen:])
	if err != nil {
		return address{}, err
	}
	var own, far netip.Addr // IFA_LOCAL is the own one where both are given
	for ad.Next() {
		switch ad.Type() {
		case unix.IFA_ADDRESS:
			far, _ = netip.AddrFromSlice(ad.Bytes())
		case unix.IFA_LOCAL:
			own, _ = netip.AddrFromSlice(ad.Bytes())
		}
	}
	if !own.IsValid() {
		own = far
	}
	a.prefix = netip.PrefixFrom(own, bits)
	if !a.prefix.IsValid() {
		return address{}, errors.New("address without an address")
	}
	return a, ad.Err()
}

// decodeRoutes reads an RTM_NEWROUTE: none if it is not of the main table, one
// for each next hop otherwise.
func decodeRoutes(b []byte) ([]route, error) {
	if len(b) < rtMsgLen {
		return nil, errShort
	}
	family, bits, table, kind := b[0], int(b[1]), uint32(b[4]), b[7]
	cached := binary.NativeEndian.Uint32(b[8:])&unix.RTM_F_CLONED != 0
	if cached || kind != unix.RTN_UNICAST && kind != unix.RTN_UNREACHABLE {
		return nil, nil
	}
	ad, err := netlink.NewAttributeDecoder(b[rtMsgLen:])
	if err != nil {
		return nil, err
	}
	dst := netip.IPv6Unspecified()
	if family == unix.AF_INET {
		dst = netip.IPv4Unspecified()
	}
	r := route{unreachable: kind == unix.RTN_UNREACHABLE}
	var hops []byte
	for ad.Next() {
		switch ad.Type() {
		case unix.RTA_TABLE:
			table = ad.Uint32()
		case unix.RTA_OIF:
			r.index = int(ad.Uint32())
		case unix.RTA_DST:
			dst, _ = netip.AddrFromSlice(ad.Bytes())
		case unix.RTA_GATEWAY:
			r.gateway, _ = netip.AddrFromSlice(ad.Bytes())
		case unix.RTA_VIA:
			r.gateway = via(ad.Bytes())
		case unix.RTA_MULTIPATH:
			hops = ad.Bytes()
		}
	}
	r.dst = netip.PrefixFrom(dst, bits)
	if err := ad.Err(); err != nil || table != unix.RT_TABLE_MAIN || !r.dst.IsValid() {
		return nil, err
	}
	if hops != nil {
		return decodeHops(hops, r)
	}
	return []route{r}, nil
}

// via reads struct rtvia: the family, then the address. IPv4 goes through IPv6
// gateways (RFC 8950 §3).
func via(b []byte) netip.Addr {
	if len(b) < 2 {
		return netip.Addr{}
	}
	a, _ := netip.AddrFromSlice(b[2:])
	return a
}

// decodeHops reads RTA_MULTIPATH: struct rtnexthop, each followed by attributes.
func decodeHops(b []byte, r route) (list []route, err error) {
	const head = 8
	for len(b) >= head {
		size := int(binary.NativeEndian.Uint16(b))
		if size < head || size > len(b) {
			return nil, errShort
		}
		hop := r
		hop.index = int(int32(binary.NativeEndian.Uint32(b[4:])))
		ad, err := netlink.NewAttributeDecoder(b[head:size])
		if err != nil {
			return nil, err
		}
		for ad.Next() {
			switch ad.Type() {
			case unix.RTA_GATEWAY:
				hop.gateway, _ = netip.AddrFromSlice(ad.Bytes())
			case unix.RTA_VIA:
				hop.gateway = via(ad.Bytes())
			}
		}
		if err := ad.Err(); err != nil {
			return nil, err
		}
		list = append(list, hop)
		b = b[min(len(b), (size+3)&^3):]
	}
	return list, nil
}
