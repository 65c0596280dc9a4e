package cordon

import (
	"net/netip"
	"strings"
)

// Indicator is an address, a name, an address with a port, a prefix or a URL
// that is known to be hostile, with who says so, how sure, and until when.
type Indicator struct {
	Type  IndicatorType
	Value string // normalised: lower-case name without trailing dot, netip's text of addresses
	// Source is who says so: a feed's name, "crowd", "analyst".
	Source     string
	Role       IndicatorRole
	Confidence uint8 // 0 to 100; HighConfidence and more may act alone
	// Scope says for whose traffic it counts, "all" or a class of devices; empty
	// means all.
	Scope     string
	FirstSeen Time // 0: unknown
	LastSeen  Time // 0: unknown
	Expires   Time // never 0: every indicator ends
	Note      string
}

// HighConfidence is the confidence from which an indicator may act alone.
const HighConfidence = 75

// IndicatorType says how Value is compared.
type IndicatorType string

// The types, in the order in which they are matched (detection.md §A3).
const (
	IndicatorName        IndicatorType = "name"         // this name only
	IndicatorSuffix      IndicatorType = "suffix"       // this name and everything below it
	IndicatorAddress     IndicatorType = "address"      // any port
	IndicatorAddressPort IndicatorType = "address-port" // address and port
	IndicatorPrefix      IndicatorType = "prefix"       // at most a /24 or a /48
	IndicatorURL         IndicatorType = "url"          // host and path
)

// IndicatorRole says what the place is used for.
type IndicatorRole string

// The roles.
const (
	RoleC2      IndicatorRole = "c2"      // commands infected devices
	RoleLoader  IndicatorRole = "loader"  // hands out the malware
	RoleScanner IndicatorRole = "scanner" // looks for victims
	RoleDGA     IndicatorRole = "dga"     // a name made up by an algorithm
	RoleOther   IndicatorRole = "other"
)

// Applies reports whether the indicator counts for a device of class c.
func (i *Indicator) Applies(c Class) bool {
	return i.Scope == "" || i.Scope == "all" || strings.EqualFold(i.Scope, c.String())
}

// Endpoint returns the address and port of an indicator of an address type; the
// port is 0 when any port is meant.
func (i *Indicator) Endpoint() (netip.AddrPort, bool) {
	switch i.Type {
	case IndicatorAddress:
		a, err := netip.ParseAddr(i.Value)
		return netip.AddrPortFrom(a, 0), err == nil
	case IndicatorAddressPort:
		ap, err := netip.ParseAddrPort(i.Value)
		return ap, err == nil
	}
	return netip.AddrPort{}, false
}
