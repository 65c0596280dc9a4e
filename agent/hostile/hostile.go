// Package hostile decides which places the kernel itself is told are hostile, and when.
//
// The kernel's list is for all devices of the home, and with it not even a first packet
// leaves, so it takes more to be on it than to be known. Indicators come in, places come
// out; nothing here reads or does anything. Package agent reads the file and tells the
// kernel, under the eyes of the self-test.
package hostile

import (
	"net/netip"
	"time"

	"cordon"
)

// MaxPlaces is how many hostile addresses the kernel itself holds, the budget of
// design.md for a router. What is beyond is still recognised, by the first packet to
// it.
const MaxPlaces = 20_000

const (
	// sureAddress is the confidence from which an address is blocked whatever the port.
	sureAddress = 90
	// maxFor is the longest that an address is blocked without being told again:
	// addresses change hands (detection.md §A3: a day for an address, three for an
	// address with a port).
	maxFor = 72 * time.Hour
)

// Again is how often the kernel is told anew what it forgets after three days.
const Again = 12 * time.Hour

// Place is an address that no device of the home may reach. It has the fields of
// nft.Hostile.
type Place struct {
	Addr    netip.Addr
	Port    uint16        // 0: any
	Inbound bool          // only what the place begins is stopped
	For     time.Duration // how long from now
}

// PlaceOf returns the place that an indicator closes to every device by itself, if it
// does.
func PlaceOf(i *cordon.Indicator, now cordon.Time) (Place, bool) {
	at, ok := i.Endpoint()
	if !ok || !mayBlock(i) {
		return Place{}, false
	}
	return Place{Addr: at.Addr(), Port: at.Port(), Inbound: i.Role == cordon.RoleScanner, For: min(i.Expires.Sub(now), maxFor)}, true
}

// mayBlock reports whether an indicator may stop every device of the home by
// itself: a place that infected devices call or are attacked from, and sure. An
// address without a port may be shared by many, so it takes more.
func mayBlock(i *cordon.Indicator) bool {
	switch {
	case i.Scope != "" && i.Scope != "all", i.Role == cordon.RoleDGA, i.Role == cordon.RoleOther:
		return false
	case i.Type == cordon.IndicatorAddress:
		return i.Confidence >= sureAddress
	}
	return i.Confidence >= cordon.HighConfidence
}

// State is what the kernel was told of hostile places.
type State uint8

const (
	Unknown State = iota // or not all; those of an earlier agent may be there
	In                   // they are in force
	Out                  // they are not
	Harm                 // they cut the home off, and are not
)

// Due reports whether the kernel is to be told again, since they are wanted or not.
// again says that some time has passed (Again): what is in force has to be renewed, and
// what an earlier agent left is nobody's, which at the start is not known yet.
func (s State) Due(wanted, again bool) bool {
	switch {
	case wanted:
		return s == Unknown || s == Out || s == In && again
	case s == Unknown:
		return again
	}
	return s != Out
}
