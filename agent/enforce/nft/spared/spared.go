// Package spared knows what the hands must leave alone: the router itself, what the
// home cannot do without, and the addresses that are the home's. It is data, and
// touches no kernel; package nft, above, asks it before it stops anything.
package spared

import (
	"errors"
	"fmt"
	"net/netip"
	"slices"
	"time"

	"cordon"
)

// mostOld is how many prefixes of the past are remembered.
const mostOld = 16

// Home is what the router connects, of today and, as to prefixes, of lately.
type Home struct {
	Network cordon.Network

	grace time.Duration
	old   []oldPrefix // of the home until lately
}

// oldPrefix is a prefix of the home that went away.
type oldPrefix struct {
	prefix netip.Prefix
	until  time.Time
}

// New returns a Home of which nothing is known. A prefix that is no more the home's
// counts for grace yet.
func New(grace time.Duration) *Home { return &Home{grace: grace} }

// Change tells what the router connects now. Prefixes that the home no longer has
// count for a while yet: devices give an old address up late, and nobody may be cut
// off by a renumbering.
func (h *Home) Change(n cordon.Network, now time.Time) {
	for _, p := range h.Network.Home {
		if !slices.Contains(n.Home, p) {
			h.old = append(h.old, oldPrefix{p, now.Add(h.grace)})
		}
	}
	n.LAN, n.WAN = slices.Clone(n.LAN), slices.Clone(n.WAN)
	n.Home, n.MACs = slices.Clone(n.Home), slices.Clone(n.MACs)
	n.Addrs, n.Spared = slices.Clone(n.Addrs), slices.Clone(n.Spared)
	h.Network = n
	h.Lapse(now)
}

// Lapse forgets prefixes of the past whose time is over, and those that are the
// home's again. It reports whether there were any.
func (h *Home) Lapse(now time.Time) bool {
	before := len(h.old)
	h.old = slices.DeleteFunc(h.old, func(o oldPrefix) bool {
		return slices.Contains(h.Network.Home, o.prefix) || !o.until.After(now)
	})
	if len(h.old) > mostOld {
		h.old = h.old[len(h.old)-mostOld:]
	}
	return len(h.old) != before
}

// Prefixes returns the home's prefixes of today and of lately.
func (h *Home) Prefixes() []netip.Prefix {
	ps := make([]netip.Prefix, 0, len(h.Network.Home)+len(h.old))
	for _, p := range h.Network.Home {
		if p.IsValid() {
			ps = append(ps, p.Masked())
		}
	}
	for _, o := range h.old {
		ps = append(ps, o.prefix.Masked())
	}
	return ps
}

// Router returns the router's own addresses on the home's side, with the
// link-local ones that follow from its MACs (RFC 4291 §2.5.1), which devices use
// as their gateway.
func (h *Home) Router() []netip.Addr {
	as := make([]netip.Addr, 0, len(h.Network.Addrs)+len(h.Network.MACs))
	for _, a := range h.Network.Addrs {
		as = append(as, a.Unmap().WithZone(""))
	}
	for _, m := range h.Network.MACs {
		as = append(as, netip.AddrFrom16([16]byte{0: 0xfe, 1: 0x80, 8: m[0] ^ 2, 9: m[1], 10: m[2], 11: 0xff,
			12: 0xfe, 13: m[3], 14: m[4], 15: m[5]}))
	}
	return as
}

// IsRouter reports whether a device of that MAC, or without one of those addresses,
// is the router.
func (h *Home) IsRouter(d *cordon.Device, addrs []netip.Addr) bool {
	if d.HasMAC {
		return d.Gateway || slices.Contains(h.Network.MACs, d.MAC)
	}
	return d.Gateway || slices.ContainsFunc(addrs, func(a netip.Addr) bool { return slices.Contains(h.Router(), a) })
}

// IsRouterMAC reports whether the key of a set of MACs is the router's, which is marked
// for ever.
func (h *Home) IsRouterMAC(key string) bool {
	return slices.ContainsFunc(h.Network.MACs, func(m cordon.MAC) bool { return string(m[:]) == key })
}

// Has reports whether an address is of the home's side.
func (h *Home) Has(a netip.Addr) bool {
	return slices.Contains(h.Router(), a) ||
		slices.ContainsFunc(h.Prefixes(), func(p netip.Prefix) bool { return p.Contains(a) })
}

// errSpared says that what was to be blocked is what the home cannot do without.
var errSpared = errors.New("it is the router's own, its provider's, or not one host's address")

// MayBlock refuses an address that no block may name.
func (h *Home) MayBlock(a netip.Addr) error {
	a = a.Unmap().WithZone("")
	if slices.Contains(h.Network.Spared, a) || slices.Contains(h.Router(), a) ||
		a.IsUnspecified() || a.IsMulticast() || a.IsLoopback() || a == netip.AddrFrom4([4]byte{255, 255, 255, 255}) {
		return fmt.Errorf("block %s: %w", a, errSpared)
	}
	return nil
}

// MayBlockNet refuses a network with an address in it that no block may name.
func (h *Home) MayBlockNet(p netip.Prefix) error {
	for _, a := range slices.Concat(h.Network.Spared, h.Router()) {
		if p.Contains(a.Unmap()) {
			return fmt.Errorf("block %s with %s in it: %w", p, a, errSpared)
		}
	}
	return nil
}
