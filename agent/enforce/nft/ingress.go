package nft

import (
	"fmt"
	"net/netip"
	"strings"

	"github.com/google/nftables"
)

// chain is a chain with its rules; a base chain has a kind.
type chain struct {
	hook     hook
	name     string
	kind     nftables.ChainType // empty: not a base chain
	point    *nftables.ChainHook
	priority nftables.ChainPriority
	device   string
	rules    []part
}

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
func (t *Table) ingressChains() []chain {
	l := theLayout
	cs := []chain{
		{name: "from_lan", rules: []part{
			rule(in(l.marked, etherSource), jump("marked")),
			rule(t.notToRouter(), jump("across")),
			rule(in(l.marked4, source4), jump("marked4")),
			rule(in(l.marked6, source6), jump("marked6")),
		}},
		{name: "across", rules: []part{
			rule(in(l.quarantined[ingress], etherDest), counted(countQuarantine), drop),
			rule(in(l.held4[ingress], dest4), counted(countQuarantine), drop),
			rule(in(l.held6[ingress], dest6), counted(countQuarantine), drop),
		}},
		{name: "marked", rules: []part{
			rule(in(l.routerMAC, etherSource), counted(countImpostor), drop),
			rule(in(l.quarantined[ingress], etherSource), goTo("confined")),
			rule(frame4, jump("scoped_mac4")),
			rule(frame6, jump("scoped_mac6")),
		}},
		{name: "marked4", rules: []part{
			rule(in(l.held4[ingress], source4), goTo("confined")),
			goTo("scoped_addr4"),
		}},
		{name: "marked6", rules: []part{
			rule(in(l.held6[ingress], source6), goTo("confined")),
			goTo("scoped_addr6"),
		}},
	}
	cs = append(cs, confined()...)
	for p := range paths {
		cs = append(cs, t.scoped(p)...)
	}
	return append(t.portChains(), cs...)
}

// fewMACs is up to how many MACs of the router are compared one by one, which is
// cheaper than a look-up.
const fewMACs = 3

// notToRouter matches frames to anybody but the router.
func (t *Table) notToRouter() part {
	if n := len(t.network.MACs); n == 0 || n > fewMACs {
		return notIn(theLayout.routerMAC, etherDest)
	}
	var p part
	for _, m := range t.network.MACs {
		p = append(p, isNot(etherDest, m[:]...)...)
	}
	return p
}

// portChains ties the chains to the home's ports.
func (t *Table) portChains() []chain {
	if !t.armed {
		return nil
	}
	var cs []chain
	names := map[string]bool{}
	for _, p := range t.network.LAN {
		name := chainName(p.Name)
		for i := 2; names[name]; i++ {
			name = fmt.Sprintf("%s_%d", chainName(p.Name), i)
		}
		names[name] = true
		cs = append(cs, chain{name: name, kind: nftables.ChainTypeFilter, point: nftables.ChainHookIngress,
			priority: atIngress, device: p.Name, rules: []part{jump("from_lan")}})
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
func confined() []chain {
	l := theLayout
	rules := []part{
		rule(frameARP, goTo("confined_arp")),
		rule(frame4, udp, port(sourcePort, portDHCPClient), port(destPort, portDHCPServer), accept),
		rule(frame6, udp, port(sourcePort, portDHCP6Client), port(destPort, portDHCP6Server), accept),
		rule(icmp6, jump("confined_nd")),
		rule(notIn(l.routerMAC, etherDest), counted(countQuarantine), drop),
		rule(in(l.router4, dest4), jump("confined_router")),
		rule(in(l.router6, dest6), jump("confined_router")),
		rule(tcp, port(destPort, portHTTP), accept),
		rule(opening, port(destPort, portHTTPS), accept),
	}
	for p := range paths {
		rules = append(rules, rule(in(l.hole[ingress][p], p.who().field(), p.dest()), accept))
	}
	return []chain{
		{name: "confined", rules: append(rules, rule(counted(countQuarantine), drop))},
		{name: "confined_arp", rules: []part{
			rule(in(l.router4, arpSource), counted(countQuarantine), drop), // it is not the router
			rule(in(l.router4, arpDest), accept),
			rule(in(l.routerMAC, etherDest), accept),
			rule(counted(countQuarantine), drop),
		}},
		{name: "confined_nd", rules: []part{
			rule(icmp6, is(icmpType, icmpRouterSolicitation), accept),
			rule(icmp6, is(icmpType, icmpNeighbourSought), in(l.router6, ndTarget), accept),
			rule(icmp6, is(icmpType, icmpNeighbourSought), in(l.routerMAC, etherDest), accept),
			rule(icmp6, is(icmpType, icmpNeighbourFound), in(l.routerMAC, etherDest), accept),
			rule(icmp6, is(icmpType, icmpListenerReport), accept),
			rule(icmp6, is(icmpType, icmpListenerDone), accept),
			rule(icmp6, is(icmpType, icmpListenerReport2), accept),
		}},
		{name: "confined_router", rules: []part{
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
func (t *Table) scoped(p path) []chain {
	l := theLayout
	name := "scoped_" + p.String()
	outside := name + "_outside"
	spared := l.spared4
	if p.six() {
		spared = l.spared6
	}
	rules := matches(&l.scopes[limit], p, rule(counted(countLimited), drop))
	rules = append(rules, rule(in(spared, p.dest()), back))
	rules = append(rules, matches(&l.scopes[block], p, rule(counted(countBlocked), drop))...)
	rules = append(rules, goTo(outside))
	w := p.who()
	inHome := t.insideHome(p.dest(), p.six())
	return []chain{
		{name: name, rules: rules},
		{name: outside, rules: append(inHome,
			rule(in(l.scopes[limit].proto[w], w.field(), protocol), counted(countLimited), drop),
			rule(in(l.scopes[limit].proto[w], w.field(), anyProtocol), counted(countLimited), drop),
			rule(in(l.scopes[block].proto[w], w.field(), protocol), counted(countBlocked), drop),
			rule(in(l.scopes[block].proto[w], w.field(), anyProtocol), counted(countBlocked), drop),
		)},
	}
}

// insideHome leaves the chain with packets to the home's own side.
func (t *Table) insideHome(dest field, six bool) []part {
	groups := netip.MustParsePrefix("224.0.0.0/4")
	if six {
		groups = netip.MustParsePrefix("ff00::/8")
	}
	rules := []part{rule(within(dest, groups), back), rule(within(dest, linkLocal(six)), back)}
	if !six {
		rules = append(rules, rule(is(dest, 255, 255, 255, 255), back))
	}
	for _, p := range t.homePrefixes() {
		if p.Addr().Is6() == six {
			rules = append(rules, rule(within(dest, p), back))
		}
	}
	return rules
}

// matches returns the rules that look a packet up in a measure's sets, all but
// the one by protocol alone.
func matches(sc *scope, p path, then part) []part {
	w := p.who()
	rules := []part{
		rule(in(sc.dest[p], w.field(), p.dest(), protocol), then),
		rule(in(sc.dest[p], w.field(), p.dest(), anyProtocol), then),
		rule(in(sc.destPort[p], w.field(), p.dest(), protocol, destPort), then),
		rule(in(sc.net[p], w.field(), p.net(), protocol), then),
		rule(in(sc.net[p], w.field(), p.net(), anyProtocol), then),
		rule(in(sc.netPort[p], w.field(), p.net(), protocol, destPort), then),
		rule(in(sc.port[w], w.field(), protocol, destPort), then),
	}
	if sc.local[w] != nil {
		rules = append(rules, rule(in(sc.local[w], w.field(), protocol, sourcePort), then))
	}
	return rules
}
