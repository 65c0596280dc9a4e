package eval

import (
	"encoding/binary"
	"math/bits"
	"net/netip"

	"cordon"
	"cordon/agent/device"
)

// remap gives every address and every ephemeral port another one: a bijection
// drawn from a seed, so that two that differed still do. What an address is stays:
// a host of the home keeps its subnet, public stays public (IPv4 within its first
// octet, IPv6 within its first 32 bits). Group, loopback, link-local and reserved
// addresses stay themselves.
type remap struct {
	key    uint64
	home   []netip.Prefix
	local4 []block4
	local6 []netip.Prefix
	host4  int // how many low bits of an IPv4 address name a host of its subnet
	host6  int
}

// block4 is an IPv4 prefix.
type block4 struct{ base, mask uint32 }

// Host bits. A home's IPv4 subnet is a /24 unless the truth says it is smaller;
// of an IPv6 interface identifier the last 16 bits are changed.
const (
	subnetBits = 8
	identBits  = 16
)

// reserved4 is the IPv4 addresses that mean something of their own: the special
// ranges of RFC 6890 that are not private, and groups (RFC 5771).
var reserved4 = blocks(subnetBits, "0.0.0.0/8", "127.0.0.0/8", "169.254.0.0/16", "192.0.0.0/24", "192.0.2.0/24",
	"192.88.99.0/24", "198.18.0.0/15", "198.51.100.0/24", "203.0.113.0/24", "224.0.0.0/3")

// Public IPv6 (RFC 4291 §2.4) and its private range (RFC 4193).
var (
	global6 = netip.MustParsePrefix("2000::/3")
	unique6 = netip.MustParsePrefix("fc00::/7")
)

func newRemap(seed uint64, home []netip.Prefix) *remap {
	if len(home) == 0 {
		home = device.PrivatePrefixes()
	}
	r := &remap{key: mix(seed), home: home, host4: subnetBits, host6: identBits, local6: []netip.Prefix{unique6}}
	for _, p := range home {
		switch narrow := p.Addr().BitLen() - p.Bits(); {
		case narrow == 0: // one host: its subnet is not known
		case p.Addr().Is4():
			r.host4 = min(r.host4, narrow)
		default:
			r.host6 = min(r.host6, narrow)
		}
	}
	r.local4 = blocks(r.host4, "10.0.0.0/8", "172.16.0.0/12", "192.168.0.0/16", "100.64.0.0/10")
	for _, p := range home {
		if p.Addr().Is4() {
			r.local4 = append(r.local4, block(p, r.host4))
		} else if !p.Addr().IsLinkLocalUnicast() {
			whole, _ := p.Addr().Prefix(min(p.Bits(), 128-r.host6))
			r.local6 = append(r.local6, whole)
		}
	}
	return r
}

func blocks(host int, prefixes ...string) (all []block4) {
	for _, s := range prefixes {
		all = append(all, block(netip.MustParsePrefix(s), host))
	}
	return all
}

// block widens p to a whole subnet of the given host bits.
func block(p netip.Prefix, host int) block4 {
	a := p.Addr().As4()
	mask := ^uint32(0) << max(32-p.Bits(), host)
	return block4{binary.BigEndian.Uint32(a[:]) & mask, mask}
}

func within(a uint32, blocks []block4) bool {
	for _, b := range blocks {
		if a&b.mask == b.base {
			return true
		}
	}
	return false
}

// The domains of permute: one seed, unlike permutations.
const (
	domainHost4 = iota + 1
	domainPublic4
	domainHost6
	domainPublic6
	domainPort
)

func (r *remap) v4(a uint32) uint32 {
	if within(a, reserved4) {
		return a
	}
	if within(a, r.local4) {
		return a&(^uint32(0)<<r.host4) | r.host(domainHost4, uint64(a>>r.host4), r.host4, a&(1<<r.host4-1))
	}
	top := a & 0xff000000
	for { // walks within the cycle until it is public again, so it stays a bijection
		a = top | r.permute(domainPublic4, uint64(top), 24, a&0xffffff)
		if !within(a, reserved4) && !within(a, r.local4) {
			return a
		}
	}
}

// host changes the low bits of an address in the home: not the subnet's own
// address, the first (the router's, by custom) and the last (its broadcast).
func (r *remap) host(domain, subnet uint64, width int, low uint32) uint32 {
	last := uint32(1)<<width - 1
	if low <= 1 || low == last {
		return low
	}
	for {
		if low = r.permute(domain, subnet, width, low); low > 1 && low != last {
			return low
		}
	}
}

func (r *remap) v6(a [16]byte) [16]byte {
	switch {
	case r.isLocal6(a):
		return r.host6Of(a)
	case !global6.Contains(netip.AddrFrom16(a)):
		return a
	}
	top := uint64(binary.BigEndian.Uint32(a[:]))
	for {
		a = r.host6Of(a)
		site := binary.BigEndian.Uint32(a[4:])
		binary.BigEndian.PutUint32(a[4:], r.permute(domainPublic6, top, 32, site))
		if !r.isLocal6(a) {
			return a
		}
	}
}

func (r *remap) isLocal6(a [16]byte) bool {
	addr := netip.AddrFrom16(a)
	for _, p := range r.local6 {
		if p.Contains(addr) {
			return true
		}
	}
	return false
}

// host6Of changes the host bits of an IPv6 address, within its subnet.
func (r *remap) host6Of(a [16]byte) [16]byte {
	low := uint32(binary.BigEndian.Uint16(a[14:])) & (1<<r.host6 - 1)
	rest := a
	binary.BigEndian.PutUint16(rest[14:], binary.BigEndian.Uint16(a[14:])&^(1<<r.host6-1))
	subnet := binary.BigEndian.Uint64(rest[:]) ^ mix(binary.BigEndian.Uint64(rest[8:]))
	binary.BigEndian.PutUint16(rest[14:], binary.BigEndian.Uint16(rest[14:])|uint16(r.host(domainHost6, subnet, r.host6, low)))
	return rest
}

// addr is v4 and v6 for an address.
func (r *remap) addr(a netip.Addr) netip.Addr {
	if a.Is4() {
		b := a.As4()
		binary.BigEndian.PutUint32(b[:], r.v4(binary.BigEndian.Uint32(b[:])))
		return netip.AddrFrom4(b)
	}
	if !a.IsValid() {
		return a
	}
	return netip.AddrFrom16(r.v6(a.As16())).WithZone(a.Zone())
}

// ephemeral is the first port that operating systems take for a client of their
// own accord (Linux, ip_local_port_range); lower ones are services.
const ephemeral = 32768

// Ports that traceroute counts up from: who sends to them means the hops.
const (
	tracerouteFirst = 33434
	tracerouteLast  = 33434 + 30*5
)

// port changes an ephemeral port, but none that means something: those that
// malware probes and traceroute's.
func (r *remap) port(p uint16) uint16 {
	if p < ephemeral || telling(p) {
		return p
	}
	for {
		p = ephemeral + uint16(r.permute(domainPort, 0, 15, uint32(p-ephemeral)))
		if !telling(p) {
			return p
		}
	}
}

func telling(p uint16) bool {
	return cordon.ProbePort(p) || p >= tracerouteFirst && p <= tracerouteLast
}

// rounds of the Feistel network below; three make a random permutation of a
// random function (Luby and Rackoff, 1988, §3), four stand against its inverse.
const rounds = 4

// permute maps x, a number of so many bits, to another: a permutation for each
// domain and tweak. It is a Feistel network on an even number of bits, walked
// until the result has no more bits than x.
func (r *remap) permute(domain, tweak uint64, width int, x uint32) uint32 {
	half := (width + 1) / 2
	mask := uint32(1)<<half - 1
	key := mix(r.key ^ mix(domain<<56^tweak))
	for {
		left, right := x>>half, x&mask
		for round := range uint64(rounds) {
			left, right = right, left^uint32(mix(key+round<<32+uint64(right)))&mask
		}
		if x = left<<half | right; bits.Len32(x) <= width {
			return x
		}
	}
}

// mix scatters the bits of x (SplitMix64; Steele, Lea and Flood, 2014, §4).
func mix(x uint64) uint64 {
	x += 0x9e3779b97f4a7c15
	x = (x ^ x>>30) * 0xbf58476d1ce4e5b9
	x = (x ^ x>>27) * 0x94d049bb133111eb
	return x ^ x>>31
}
