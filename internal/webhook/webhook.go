// Package webhook says where a webhook may lead: addresses that customers write are
// hostile, and a call must reach nothing but the public internet.
//
// Who takes an address down (core/api) asks Check. Who calls it (core/notify) asks
// CheckForm and then Public of every address that the name has at that moment.
package webhook

import (
	"errors"
	"fmt"
	"net/netip"
	"net/url"
	"slices"
	"strconv"
	"strings"
)

// ErrForbidden means that a webhook leads where none may.
var ErrForbidden = errors.New("no webhook may go there")

// forbidden is an error that wraps ErrForbidden.
func forbidden(format string, args ...any) error {
	return fmt.Errorf("%s: %w", fmt.Sprintf(format, args...), ErrForbidden)
}

// CheckForm refuses what no webhook may be, before its name is looked up. Ports below
// 1024 but that of https belong to other services, which must not be poked at.
func CheckForm(text string) error {
	_, err := parse(text)
	return err
}

func parse(text string) (*url.URL, error) {
	u, err := url.Parse(text)
	switch {
	case err != nil || u.Scheme != "https" || u.Hostname() == "" || u.Opaque != "":
		return nil, forbidden("want https://host/…")
	case u.User != nil:
		return nil, forbidden("want no user or password: each call is signed")
	case u.Fragment != "":
		return nil, forbidden("want no fragment")
	}
	if port := u.Port(); port != "" {
		if n, err := strconv.ParseUint(port, 10, 16); err != nil || n != 443 && n < 1024 {
			return nil, forbidden("port %s: want 443, or 1024 and more", port)
		}
	}
	return u, nil
}

// inside are the names that no public name server answers for: RFC 6762 §3, RFC 8375,
// RFC 6761 §6.3, and what homes and companies use.
var inside = []string{"localhost", "local", "internal", "lan", "home", "home.arpa", "localdomain"}

// Check is CheckForm, and refuses hosts that are no place on the public internet whatever
// the name servers say. What a name means can change later: who calls looks again.
func Check(text string) error {
	u, err := parse(text)
	if err != nil {
		return err
	}
	host := strings.ToLower(strings.TrimSuffix(u.Hostname(), "."))
	if a, err := netip.ParseAddr(host); err == nil {
		return Public(a)
	}
	for _, name := range inside {
		if host == name || strings.HasSuffix(host, "."+name) {
			return forbidden("%q is not on the public internet", host)
		}
	}
	top := host[strings.LastIndexByte(host, '.')+1:]
	if !strings.Contains(host, ".") || strings.Trim(top, "0123456789") == "" || strings.HasPrefix(top, "0x") {
		return forbidden("want a full name, or an address in its usual form") // 127.1 is one to some libraries
	}
	return nil
}

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

// Public refuses an address that is not the public internet.
func Public(a netip.Addr) error {
	zone := a.Zone()
	a = a.Unmap()
	switch {
	case !a.IsValid():
		return forbidden("no address")
	case zone != "", slices.ContainsFunc(special, func(p netip.Prefix) bool { return p.Contains(a) }),
		a.Is6() && (!internet.Contains(a) || isatap(a)):
		return forbidden("address %s is not on the public internet", a)
	}
	return nil
}

// isatap reports whether a embeds an IPv4 address as RFC 5214 §6.1 has it.
func isatap(a netip.Addr) bool {
	b := a.As16()
	return b[8]&^2 == 0 && b[9] == 0 && b[10] == 0x5e && b[11] == 0xfe
}
