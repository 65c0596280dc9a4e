package notify

import (
	"fmt"
	"net/netip"
	"slices"
)

// special is every network that is not the public internet or that stands for another
// address: the IANA special-purpose registries (RFC 6890, as of 2025), and what clouds
// answer on. Of IPv6 only 2000::/3 is assigned to the internet at all; what special
// names lies in that.
var special = prefixes(
	"0.0.0.0/8",         // this network
	"10.0.0.0/8",        // private
	"100.64.0.0/10",     // between a provider and its customers (CGNAT, RFC 6598)
	"127.0.0.0/8",       // loopback
	"169.254.0.0/16",    // link-local; metadata of clouds
	"172.16.0.0/12",     // private
	"192.0.0.0/24",      // protocol assignments
	"192.0.2.0/24",      // documentation
	"192.88.99.0/24",    // 6to4 relays
	"192.168.0.0/16",    // private
	"198.18.0.0/15",     // benchmarks
	"198.51.100.0/24",   // documentation
	"203.0.113.0/24",    // documentation
	"224.0.0.0/4",       // multicast
	"240.0.0.0/4",       // reserved, broadcast
	"168.63.129.16/32",  // metadata of a cloud, at a public address
	"2001::/23",         // protocol assignments; Teredo, which embeds IPv4 addresses
	"2001:db8::/32",     // documentation
	"2002::/16",         // 6to4, embeds IPv4 addresses
	"2620:4f:8000::/48", // AS112 sinks
	"3fff::/20",         // documentation
)

// internet is what of IPv6 is the internet: not loopback, unique local, link-local,
// multicast, IPv4-mapped (unmapped before), NAT64 (64:ff9b::/96), discard.
var internet = netip.MustParsePrefix("2000::/3")

// prefixes parses a list that is known to be right.
func prefixes(list ...string) []netip.Prefix {
	all := make([]netip.Prefix, len(list))
	for i, s := range list {
		all[i] = netip.MustParsePrefix(s)
	}
	return all
}

// check refuses an address that no webhook may reach: what is not the public internet,
// and what the provider said. Allowed is for laboratories.
func (n *Notifier) check(a netip.Addr) error {
	zone := a.Zone()
	a = a.Unmap()
	in := func(list []netip.Prefix) bool {
		return slices.ContainsFunc(list, func(p netip.Prefix) bool { return p.Contains(a) })
	}
	switch {
	case !a.IsValid():
		return fmt.Errorf("no address: %w", ErrForbidden)
	case in(n.refuse):
		return fmt.Errorf("address %s is the provider's own: %w", a, ErrForbidden)
	case in(n.cfg.Allow):
		return nil
	case zone != "", in(special), a.Is6() && (!internet.Contains(a) || isatap(a)):
		return fmt.Errorf("address %s is not on the public internet: %w", a, ErrForbidden)
	}
	return nil
}

// isatap reports whether a embeds an IPv4 address as RFC 5214 §6.1 has it.
func isatap(a netip.Addr) bool {
	b := a.As16()
	return b[8]&^2 == 0 && b[9] == 0 && b[10] == 0x5e && b[11] == 0xfe
}
