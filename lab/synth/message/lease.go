package message

import (
	"net/netip"

	"cordon"
)

// The DHCP message types (RFC 2132 §9.6).
const (
	DHCPDiscover = 1
	DHCPOffer    = 2
	DHCPRequest  = 3
	DHCPAck      = 5
)

// Lease is what one DHCP exchange is about.
type Lease struct {
	Transaction uint32
	MAC         cordon.MAC
	Addr        netip.Addr // the address offered, asked for or held
	Server      netip.Addr
	Seconds     uint32
	Host        string // option 12, empty: left out
	Vendor      string // option 60, empty: left out
	Params      []byte // option 55
	Renew       bool   // the device holds Addr and asks for more time
}

// DHCP makes one message of the given type (RFC 2131 §2, §4.4).
func DHCP(kind byte, l Lease) []byte {
	reply := kind == DHCPOffer || kind == DHCPAck
	b := make([]byte, 240, 320)
	b[0], b[1], b[2] = 1, 1, 6
	if reply {
		b[0] = 2
		copy(b[16:], l.Addr.AsSlice())
		copy(b[20:], l.Server.AsSlice())
	}
	be.PutUint32(b[4:], l.Transaction)
	if l.Renew {
		copy(b[12:], l.Addr.AsSlice())
	}
	copy(b[28:], l.MAC[:])
	copy(b[236:], []byte{99, 130, 83, 99}) // the magic cookie
	b = append(b, 53, 1, kind)
	if reply {
		b = l.serverOptions(b)
	} else {
		b = l.clientOptions(b, kind)
	}
	b = append(b, 255)
	for len(b) < 300 { // BOOTP's minimum (RFC 1542 §2.1)
		b = append(b, 0)
	}
	return b
}

func (l *Lease) clientOptions(b []byte, kind byte) []byte {
	b = append(b, 61, 7, 1)
	b = append(b, l.MAC[:]...)
	if kind == DHCPRequest && !l.Renew {
		b = append(append(b, 50, 4), l.Addr.AsSlice()...)
		b = append(append(b, 54, 4), l.Server.AsSlice()...)
	}
	if l.Host != "" {
		b = append(append(b, 12, byte(len(l.Host))), l.Host...)
	}
	if l.Vendor != "" {
		b = append(append(b, 60, byte(len(l.Vendor))), l.Vendor...)
	}
	return append(append(b, 55, byte(len(l.Params))), l.Params...)
}

func (l *Lease) serverOptions(b []byte) []byte {
	b = append(append(b, 54, 4), l.Server.AsSlice()...)
	b = be.AppendUint32(append(b, 51, 4), l.Seconds)
	b = be.AppendUint32(append(b, 58, 4), l.Seconds/2)
	b = append(b, 1, 4, 255, 255, 255, 0)
	b = append(append(b, 3, 4), l.Server.AsSlice()...)
	return append(append(b, 6, 4), l.Server.AsSlice()...)
}
