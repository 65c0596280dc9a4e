package home

import (
	"net"
	"net/netip"

	"cordon"
	"cordon/internal/oui"
)

// Stub makes a record of a device of which only the ID is known.
func Stub(id string) *cordon.Device {
	d := &cordon.Device{ID: id}
	if a, err := netip.ParseAddr(id); err == nil {
		d.Addrs = []netip.Addr{a}
	} else if hw, err := net.ParseMAC(id); err == nil && len(hw) == len(d.MAC) {
		d.MAC, d.HasMAC = cordon.MAC(hw), true
		d.Randomised = d.MAC.Randomised()
		d.Maker, _ = oui.Brand(d.MAC)
	}
	return d
}
