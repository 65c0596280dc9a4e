package layout

import (
	"fmt"
	"net/netip"
	"strings"

	"github.com/google/nftables"
)

// atIngress is before everything else that looks at a port's frames: bridge,
// flowtable (priority 0) and other programs' chains.
const atIngress nftables.ChainPriority = -500

// ICMPv6 types (RFC 4443, RFC 4861 §4, RFC 2710 §3, RFC 9777 §5).
const (
	icmpRouterSolicitation = 133
	icmpNeighbourSought    = 135
	icmpNeighbourFound     = 136
	icmpListenerReport     = 131
	icmpListenerDone       = 132
	icmpListenerReport2    = 143
)

// Ports (IANA).
const (
	portDNS         = 53
	portDHCPServer  = 67
	portDHCPClient  = 68
	portHTTP        = 80
	portNTP         = 123
	portHTTPS       = 443
	portDHCP6Client = 546
	portDHCP6Server = 547
)

// ingressChains is the netdev table: what is dropped where it comes in. It is
// bound to the ports only while something is in force for a device, so that the
// packets of a home in which all is well do not come here.
func (s *Shape) ingressChains() []Chain {
	l := Sets
	cs := []Chain{
		{Name: "from_lan", rules: []part{
			rule(in(l.Marked, etherSource), jump("marked")),
			rule(s.notToRouter(), jump("across")),
			rule(in(l.Marked4, source4), jump("marked4")),
			rule(in(l.Marked6, source6), jump("marked6")),
		}},
		{Name: "across", rules: []part{
			rule(in(l.Quarantined[Ingress], etherDest), counted(CountQuarantine), drop),
			rule(in(l.Held4[Ingress], dest4), counted(CountQuarantine), drop),
			rule(in(l.Held6[Ingress], dest6), counted(CountQuarantine), drop),
		}},
		{Name: "marked", rules: []part{
			rule(in(l.RouterMAC, etherSource), counted(CountImpostor), drop),
			rule(in(l.Quarantined[Ingress], etherSource), goTo("confined")),
			rule(frame4, jump("scoped_mac4")),
			rule(frame6, jump("scoped_mac6")),
		}},
		{Name: "marked4", rules: []part{
			rule(in(l.Held4[Ingress], source4), goTo("confined")),
			goTo("scoped_addr4"),
		}},
		{Name: "marked6", rules: []part{
			rule(in(l.Held6[Ingress], source6), goTo("confined")),
			goTo("scoped_addr6"),
		}},
	}
	cs = append(cs, confined()...)
	for p := range Paths {
		cs = append(cs, s.scoped(p)...)
	}
	return append(s.portChains(), cs...)
}

// fewMACs is up to how many MACs of the router are compared one by one, which is
// cheaper than a look-up.
const fewMACs = 3

// notToRouter matches frames to anybody but the router.
func (s *Shape) notToRouter() part {
	if n := len(s.Network.MACs); n == 0 || n > fewMACs {
		return notIn(Sets.RouterMAC, etherDest)
	}
	var p part
	for _, m := range s.Network.MACs {
		p = append(p, isNot(etherDest, m[:]...)...)
	}
	return p
}

// portChains ties the chains to the home's ports.
func (s *Shape) portChains() []Chain {
	if !s.Armed {
		return nil
	}
	var cs []Chain
	names := map[string]bool{}
	for _, p := range s.Network.LAN {
		name := chainName(p.Name)
		for i := 2; names[name]; i++ {
			name = fmt.Sprintf("%s_%d", chainName(p.Name), i)
		}
		names[name] = true
		cs = append(cs, Chain{Name: name, kind: nftables.ChainTypeFilter, point: nftables.ChainHookIngress,
			priority: atIngress, Device: p.Name, rules: []part{jump("from_lan")}})
	}
	return cs
}

// chainName makes a name that nft can also read of an interface's name, which
// may hold anything but slashes and blanks.
func chainName(device string) string {
	return "lan_" + strings.Map(func(r rune) rune {
		if r >= 'a' && r <= 'z' || r >= 'A' && r <= 'Z' || r >= '0' && r <= '9' || r == '-' || r == '.' {
			return r
		}
		return '_'
	}, device)
}

func unspecified(six bool) netip.Prefix {
	if six {
		return netip.PrefixFrom(netip.IPv6Unspecified(), 128)
	}
	return netip.PrefixFrom(netip.IPv4Unspecified(), 32)
}

func linkLocal(six bool) netip.Prefix {
	if six {
		return netip.MustParsePrefix("fe80::/10")
	}
	return netip.MustParsePrefix("169.254.0.0/16")
}

// confined is what a quarantined device may send: what it needs for an address,
// questions to the router's own resolver and clock, connections to the page, and
// what the resolver's answers have opened. Everything else ends here, to
// neighbours as to the internet.
func confined() []Chain {
	l := Sets
	rules := []part{
		rule(frameARP, goTo("confined_arp")),
		rule(frame4, udp, port(sourcePort, portDHCPClient), port(destPort, portDHCPServer), accept),
		rule(frame6, udp, port(sourcePort, portDHCP6Client), port(destPort, portDHCP6Server), accept),
		rule(icmp6, jump("confined_nd")),
		rule(notIn(l.RouterMAC, etherDest), counted(CountQuarantine), drop),
		rule(in(l.Router4, dest4), jump("confined_router")),
		rule(in(l.Router6, dest6), jump("confined_router")),
		rule(tcp, port(destPort, portHTTP), accept),
		rule(opening, port(destPort, portHTTPS), accept),
	}
	for p := range Paths {
		rules = append(rules, rule(in(l.Hole[Ingress][p], p.who().field(), p.dest()), accept))
	}
	return []Chain{
		{Name: "confined", rules: append(rules, rule(counted(CountQuarantine), drop))},
		{Name: "confined_arp", rules: []part{
			rule(in(l.Router4, arpSource), counted(CountQuarantine), drop), // it is not the router
			rule(in(l.Router4, arpDest), accept),
			rule(in(l.RouterMAC, etherDest), accept),
			rule(counted(CountQuarantine), drop),
		}},
		{Name: "confined_nd", rules: []part{
			rule(icmp6, is(icmpType, icmpRouterSolicitation), accept),
			rule(icmp6, is(icmpType, icmpNeighbourSought), in(l.Router6, ndTarget), accept),
			rule(icmp6, is(icmpType, icmpNeighbourSought), in(l.RouterMAC, etherDest), accept),
			rule(icmp6, is(icmpType, icmpNeighbourFound), in(l.RouterMAC, etherDest), accept),
			rule(icmp6, is(icmpType, icmpListenerReport), accept),
			rule(icmp6, is(icmpType, icmpListenerDone), accept),
			rule(icmp6, is(icmpType, icmpListenerReport2), accept),
		}},
		{Name: "confined_router", rules: []part{
			rule(udp, port(destPort, portDNS), accept),
			rule(tcp, port(destPort, portDNS), accept),
			rule(udp, port(destPort, portNTP), accept),
			rule(udp, port(sourcePort, portDHCPClient), port(destPort, portDHCPServer), accept),
		}},
	}
}

// scoped is what is in force for parts of a device's traffic: first the limits,
// which hold for every destination, then the blocks, which none of the spared
// can be named by.
func (s *Shape) scoped(p Path) []Chain {
	l := Sets
	name := "scoped_" + p.String()
	outside := name + "_outside"
	spared := l.Spared4
	if p.six() {
		spared = l.Spared6
	}
	rules := matches(&l.Scopes[Limit], p, rule(counted(CountLimited), drop))
	rules = append(rules, rule(in(spared, p.dest()), back))
	rules = append(rules, matches(&l.Scopes[Block], p, rule(counted(CountBlocked), drop))...)
	rules = append(rules, goTo(outside))
	w := p.who()
	inHome := s.insideHome(p.dest(), p.six())
	return []Chain{
		{Name: name, rules: rules},
		{Name: outside, rules: append(inHome,
			rule(in(l.Scopes[Limit].Proto[w], w.field(), protocol), counted(CountLimited), drop),
			rule(in(l.Scopes[Limit].Proto[w], w.field(), anyProtocol), counted(CountLimited), drop),
			rule(in(l.Scopes[Block].Proto[w], w.field(), protocol), counted(CountBlocked), drop),
			rule(in(l.Scopes[Block].Proto[w], w.field(), anyProtocol), counted(CountBlocked), drop),
		)},
	}
}

// insideHome leaves the chain with packets to the home's own side.
func (s *Shape) insideHome(dest field, six bool) []part {
	groups := netip.MustParsePrefix("224.0.0.0/4")
	if six {
		groups = netip.MustParsePrefix("ff00::/8")
	}
	rules := []part{rule(within(dest, groups), back), rule(within(dest, linkLocal(six)), back)}
	if !six {
		rules = append(rules, rule(is(dest, 255, 255, 255, 255), back))
	}
	for _, p := range s.Home {
		if p.Addr().Is6() == six {
			rules = append(rules, rule(within(dest, p), back))
		}
	}
	return rules
}

// matches returns the rules that look a packet up in a measure's sets, all but
// the one by protocol alone.
func matches(sc *Scope, p Path, then part) []part {
	w := p.who()
	rules := []part{
		rule(in(sc.Dest[p], w.field(), p.dest(), protocol), then),
		rule(in(sc.Dest[p], w.field(), p.dest(), anyProtocol), then),
		rule(in(sc.DestPort[p], w.field(), p.dest(), protocol, destPort), then),
		rule(in(sc.Net[p], w.field(), p.net(), protocol), then),
		rule(in(sc.Net[p], w.field(), p.net(), anyProtocol), then),
		rule(in(sc.NetPort[p], w.field(), p.net(), protocol, destPort), then),
		rule(in(sc.Port[w], w.field(), protocol, destPort), then),
	}
	if sc.Local[w] != nil {
		rules = append(rules, rule(in(sc.Local[w], w.field(), protocol, sourcePort), then))
	}
	return rules
}
