package cordon

import (
	"fmt"
	"net/netip"
)

// MAC is an IEEE 802 48-bit address.
type MAC [6]byte

// String formats m as six lower-case hex pairs.
func (m MAC) String() string {
	return fmt.Sprintf("%02x:%02x:%02x:%02x:%02x:%02x", m[0], m[1], m[2], m[3], m[4], m[5])
}

// Randomised reports whether m is locally administered (IEEE 802 §8.4, the U/L
// bit): chosen by software, so it names no maker and may change.
func (m MAC) Randomised() bool { return m[0]&2 != 0 }

// Group reports whether m is a multicast or the broadcast address.
func (m MAC) Group() bool { return m[0]&1 != 0 }

// Device is anything behind a router. One is the record of one MAC address, or
// of one IP address where the link has no MACs or the MAC is a relay's.
type Device struct {
	// ID names the device in every output: its MAC, or its address.
	ID string
	// Slot and Generation identify the record inside the agent: Slot is small
	// and reused, and Generation grows when it is, so that a stage may keep its
	// own state in an array (see internal/slots).
	Slot       int
	Generation uint32

	MAC        MAC // zero when there is none
	HasMAC     bool
	Randomised bool // the MAC is locally administered
	Relay      bool // several devices send through this MAC (repeater, mesh node, second router)
	Gateway    bool // the home's own router

	Addrs []netip.Addr // most recently used first, bounded
	Name  string       // as the device calls itself; hostile text, escape at every border
	Maker string       // from the MAC's assignment, empty when unknown
	Model string       // as announced, empty when unknown; hostile text

	Class   Class
	Reasons []string // why this class and name, in words

	FirstSeen, LastSeen Time
}

// Addr returns the device's most recently used address, the zero Addr if none.
func (d *Device) Addr() netip.Addr {
	if len(d.Addrs) == 0 {
		return netip.Addr{}
	}
	return d.Addrs[0]
}

// Label is what a person is told: the name, else the maker, else the ID.
func (d *Device) Label() string {
	switch {
	case d.Name != "":
		return d.Name
	case d.Maker != "":
		return d.Maker + " device"
	default:
		return "device " + d.ID
	}
}

// Class is the coarse sort of a device. It decides what may be done to it
// without asking, so a doubt always means Unknown.
type Class uint8

// The classes, by what an automatic action may do to them.
const (
	Unknown        Class = iota // scoped actions only
	IoT                         // may be quarantined
	Personal                    // phones and computers: scoped actions only
	Infrastructure              // routers, repeaters, switches: never cut off
	LifeLine                    // alarm, medical, telephony: never cut off
)

var classNames = [...]string{"unknown", "iot", "personal", "infrastructure", "life-line"}

// String returns the class's stable name.
func (c Class) String() string {
	if int(c) < len(classNames) {
		return classNames[c]
	}
	return fmt.Sprintf("class(%d)", uint8(c))
}

// MarshalText is String.
func (c Class) MarshalText() ([]byte, error) { return []byte(c.String()), nil }
