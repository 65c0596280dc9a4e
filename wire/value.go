package wire

import (
	"maps"
	"math"
	"net/netip"
	"slices"

	"google.golang.org/protobuf/encoding/protowire"
)

// addr passes over an address; the zero Addr is left out. An IPv4 address is one, also
// within IPv6: nothing that compares addresses is deceived.
func (c *codec) addr(n number, p *netip.Addr) {
	var s string
	if c.write && p.IsValid() {
		s = c.addrText(*p)
	}
	if text(c, n, &s); !c.write && s != "" {
		*p = c.parseAddr(s)
	}
}

func (*codec) addrText(a netip.Addr) string { return a.Unmap().WithZone("").String() }

func (c *codec) parseAddr(s string) netip.Addr {
	a, err := netip.ParseAddr(s)
	if err != nil || a.Zone() != "" {
		c.fail("address %q", s)
		return netip.Addr{}
	}
	return a.Unmap()
}

func (c *codec) addrs(n number, p *[]netip.Addr) {
	var all []string
	if c.write {
		for _, a := range *p {
			if a.IsValid() {
				all = append(all, c.addrText(a))
			}
		}
	}
	if texts(c, n, &all); !c.write && len(all) > 0 && afford[netip.Addr](c, len(all), maxList) {
		*p = make([]netip.Addr, len(all))
		for i, s := range all {
			(*p)[i] = c.parseAddr(s)
		}
	}
}

// prefix passes over a prefix; the zero Prefix is left out.
func (c *codec) prefix(n number, p *netip.Prefix) {
	var s string
	if c.write && p.IsValid() {
		s = c.prefixText(*p)
	}
	if text(c, n, &s); c.write || s == "" {
		return
	}
	net, err := netip.ParsePrefix(s)
	if err != nil || net.Addr().Is4In6() {
		c.fail("prefix %q", s)
		return
	}
	*p = net.Masked()
}

func (c *codec) prefixText(p netip.Prefix) string {
	if p.Addr().Is4In6() {
		if p.Bits() < 96 {
			if c.strict { // without it, what it stands in would be about more
				c.fail("prefix %v", p)
			}
			return ""
		}
		p = netip.PrefixFrom(p.Addr().Unmap(), p.Bits()-96)
	}
	return p.Masked().String()
}

// ports passes over a list of ports, which is packed into one field.
func (c *codec) ports(n number, p *[]uint16) {
	if c.write {
		if afford[uint16](c, len(*p), maxList) {
			var b []byte
			for _, port := range *p {
				b = protowire.AppendVarint(b, uint64(port))
			}
			c.bytes(n, &b)
		}
		return
	}
	b, _ := c.one(n, protowire.BytesType)
	for len(b) > 0 {
		v, size := protowire.ConsumeVarint(b)
		if size < 0 || v > math.MaxUint16 || len(*p) == maxList {
			c.fail("ports")
			return
		}
		*p, b = append(*p, uint16(v)), b[size:]
	}
}

// counters passes over numbers by name.
func (c *codec) counters(n number, p *map[string]uint64) {
	type counter struct {
		name  string
		value uint64
	}
	var all []counter
	if c.write {
		for _, name := range slices.Sorted(maps.Keys(*p)) {
			all = append(all, counter{name, (*p)[name]})
		}
	}
	list(c, n, &all, func(c *codec, x *counter) {
		if c.write { // of the entries of a map both are written always
			c.putText(1, x.name)
			c.putVarint(2, x.value)
			return
		}
		text(c, 1, &x.name)
		natural(c, 2, &x.value)
	})
	if c.write || len(all) == 0 {
		return
	}
	*p = make(map[string]uint64, len(all))
	for _, x := range all {
		(*p)[x.name] = x.value
	}
}
