package layout

import (
	"cmp"
	"slices"

	"github.com/google/nftables"
	"github.com/google/nftables/expr"
)

// justBefore is how far the routed chains are before those of other programs at
// the same hook: the page's redirect comes before port forwardings.
const justBefore = 10

// routedChains is the inet table: what needs the connection that a packet
// belongs to, or the way that it was routed.
func (s *Shape) routedChains() []Chain {
	l := Sets
	base := func(name string, kind nftables.ChainType, point *nftables.ChainHook, p *nftables.ChainPriority, rules ...part) Chain {
		return Chain{Hook: Routed, Name: name, kind: kind, point: point, priority: *p - justBefore, rules: rules}
	}
	cs := []Chain{
		base("prerouting", nftables.ChainTypeNAT, nftables.ChainHookPrerouting, nftables.ChainPriorityNATDest, s.pageRules()...),
		base("input", nftables.ChainTypeFilter, nftables.ChainHookInput, nftables.ChainPriorityFilter, s.inputRules()...),
		base("output", nftables.ChainTypeFilter, nftables.ChainHookOutput, nftables.ChainPriorityFilter,
			rule(state(expr.CtStateBitNEW), jump("hostile_to"))),
		base("forward", nftables.ChainTypeFilter, nftables.ChainHookForward, nftables.ChainPriorityFilter, s.forwardRules()...),
		{Hook: Routed, Name: "loose", rules: append(s.fromWAN(goTo("arriving")), goTo("leaving"))},
		{Hook: Routed, Name: "arriving", rules: s.ifArmed([]part{
			jump("hostile_from"),
			rule(state(expr.CtStateBitNEW), jump("inbound")),
		}, goTo("sorted"))},
		{Hook: Routed, Name: "leaving", rules: s.ifArmed(append(s.fromLAN(jump("home_only")), jump("hostile_to")), goTo("sorted"))},
		{Hook: Routed, Name: "home_only", rules: append(s.spoofed(source4, false), s.spoofed(source6, true)...)},
		{Hook: Routed, Name: "hostile_to", rules: hostile(dest4, dest6, destPort)},
		{Hook: Routed, Name: "hostile_from", rules: hostile(source4, source6, sourcePort)},
		{Hook: Routed, Name: "sorted", rules: []part{
			rule(state(expr.CtStateBitINVALID), goTo("stray")),
			rule(state(expr.CtStateBitNEW), goTo("fresh")),
		}},
		{Hook: Routed, Name: "fresh", rules: append(caught("refused"),
			rule(noSYN, jump("stray")),
			rule(in(l.Limited[ByMAC], etherSource), jump("connect_mac")),
			rule(in(l.Limited[ByAddr4], source4), jump("connect_addr4")),
			rule(in(l.Limited[ByAddr6], source6), jump("connect_addr6")),
		)},
		{Hook: Routed, Name: "refused", rules: append(throughHoles(), rule(counted(CountQuarantine)), rule(tcp, reset), drop)},
		{Hook: Routed, Name: "confined_input", rules: s.confinedInput()},
		{Hook: Routed, Name: "stray", rules: strayRules()},
		{Hook: Routed, Name: "attackers", rules: []part{
			rule(in(l.Scanner4, source4), counted(CountInbound), drop),
			rule(in(l.Scanner6, source6), counted(CountInbound), drop),
		}},
		{Hook: Routed, Name: "inbound", rules: []part{
			jump("attackers"),
			rule(in(l.Shielded4, dest4), jump("shield4")),
			rule(in(l.Shielded6, dest6), jump("shield6")),
		}},
		{Hook: Routed, Name: "shield4", rules: []part{
			rule(tcp, in(l.Allowed4, dest4, destPort), back),
			rule(tcp, in(l.Probe, destPort), counted(CountInbound), drop)}},
		{Hook: Routed, Name: "shield6", rules: []part{
			rule(tcp, in(l.Allowed6, dest6, destPort), back),
			rule(tcp, in(l.Probe, destPort), counted(CountInbound), drop)}},
		{Hook: Routed, Name: "towards4", rules: towards(l.Peer4, l.PeerPort4, l.Isolated4, source4, dest4)},
		{Hook: Routed, Name: "towards6", rules: towards(l.Peer6, l.PeerPort6, l.Isolated6, source6, dest6)},
		{Hook: Routed, Name: "page", rules: s.page()},
		{Hook: Routed, Name: "page_who", rules: caught("page")},
	}
	return append(cs, connectChains()...)
}

// loose matches what belongs to no connection that was let through: a packet is
// in the state NEW until its connection is answered.
var loose = state(expr.CtStateBitINVALID | expr.CtStateBitNEW | expr.CtStateBitUNTRACKED)

// forwardRules are for all that goes through the router. A packet of an answered
// connection takes one comparison, and two look-ups while something is in force.
func (s *Shape) forwardRules() []part {
	l := Sets
	return s.ifArmed([]part{rule(loose, jump("loose"))},
		rule(in(l.Guarded4, dest4), jump("towards4")),
		rule(in(l.Guarded6, dest6), jump("towards6")))
}

// inputRules are for what goes to the router itself.
func (s *Shape) inputRules() []part {
	rules := s.ifArmed(nil, caught("confined_input")...)
	begun := state(expr.CtStateBitNEW)
	rules = append(rules, s.fromWAN(begun, jump("attackers"))...)
	rules = append(rules, s.fromWAN(begun, jump("hostile_from"))...)
	return append(rules, s.fromLAN(begun, jump("home_only"))...)
}

// ifArmed adds rules that something must be in force for.
func (s *Shape) ifArmed(rules []part, more ...part) []part {
	if s.Armed {
		return append(rules, more...)
	}
	return rules
}

// fromWAN is a rule for each WAN port.
func (s *Shape) fromWAN(then ...part) []part {
	var names []string
	for _, p := range s.Network.WAN {
		names = append(names, p.Name)
	}
	return fromAny(names, then)
}

// fromLAN is a rule for each interface by which packets of the home come in: the
// bridges, and the ports that are of none.
func (s *Shape) fromLAN(then ...part) []part {
	var names []string
	for _, p := range s.Network.LAN {
		name := cmp.Or(p.Bridge, p.Name)
		if !slices.Contains(names, name) {
			names = append(names, name)
		}
	}
	return fromAny(names, then)
}

func fromAny(names []string, then []part) []part {
	var rules []part
	for _, name := range names {
		rules = append(rules, rule(append([]part{from(name)}, then...)...))
	}
	return rules
}

// hostile ends what has to do with places known to be hostile. Only packets that
// begin a connection come here; those of older ones were cut.
func hostile(addr4, addr6, port field) []part {
	l, stop := Sets, rule(counted(CountHostile), drop)
	return []part{
		rule(in(l.Hostile4, addr4), stop),
		rule(in(l.HostilePort4, addr4, port), stop),
		rule(in(l.Hostile6, addr6), stop),
		rule(in(l.HostilePort6, addr6, port), stop),
	}
}

// spoofed ends the packets to the router with a source that is none of the
// home's (BCP 38, RFC 2827). It is empty until a prefix of the home is known.
func (s *Shape) spoofed(source field, six bool) []part {
	var rules []part
	for _, p := range s.Home {
		if p.Addr().Is6() == six {
			rules = append(rules, rule(within(source, p), back))
		}
	}
	if len(rules) == 0 || six && !s.globalHome() {
		return nil
	}
	family := packet4
	if six {
		family = packet6
	}
	return append(rules, rule(within(source, unspecified(six)), back), rule(within(source, linkLocal(six)), back),
		rule(family, in(Sets.RouterMACr, etherDest), counted(CountSpoofed), drop))
}

// caught jumps with what quarantined devices send.
func caught(to string) []part {
	l := Sets
	return []part{
		rule(in(l.Quarantined[Routed], etherSource), jump(to)),
		rule(in(l.Held4[Routed], source4), jump(to)),
		rule(in(l.Held6[Routed], source6), jump(to)),
	}
}

// throughHoles leaves the chain with what a quarantined device may reach.
func throughHoles() []part {
	var rules []part
	for p := range Paths {
		rules = append(rules, rule(in(Sets.Hole[Routed][p], p.who().field(), p.dest()), back))
	}
	return rules
}

// pageRules leads a quarantined device's first packets to port 80 to the page
// chain. The hook sees the first packet of a connection only.
func (s *Shape) pageRules() []part {
	if s.PagePort == 0 {
		return nil
	}
	return []part{rule(tcp, port(destPort, portHTTP), jump("page_who"))}
}

func (s *Shape) page() []part {
	if s.PagePort == 0 {
		return nil
	}
	return append(throughHoles(), rule(tcp, counted(CountPage), redirect(s.PagePort)))
}

// confinedInput is what the router itself takes from a quarantined device.
func (s *Shape) confinedInput() []part {
	rules := []part{
		rule(udp, port(destPort, portDNS), back),
		rule(tcp, port(destPort, portDNS), back),
		rule(udp, port(destPort, portNTP), back),
		rule(udp, port(destPort, portDHCPServer), back),
		rule(udp, port(destPort, portDHCP6Server), back),
	}
	for _, kind := range []byte{icmpListenerReport, icmpListenerDone, icmpRouterSolicitation, icmpNeighbourSought,
		icmpNeighbourFound, icmpListenerReport2} {
		rules = append(rules, rule(icmp6, is(icmpType, kind), back))
	}
	if s.PagePort != 0 {
		rules = append(rules, rule(tcp, port(destPort, s.PagePort), back))
	}
	return append(rules, rule(counted(CountQuarantine)), rule(tcp, reset), drop)
}

func strayRules() []part {
	var rules []part
	for w := range Whos {
		rules = append(rules,
			rule(in(Sets.Strays[w], w.field(), protocol), counted(CountStray), drop),
			rule(in(Sets.Strays[w], w.field(), anyProtocol), counted(CountStray), drop))
	}
	return rules
}

// towards ends what comes from a blocked place to the device, and what is new
// to a quarantined one.
func towards(peer, peerPort, isolated *Set, source, dest field) []part {
	return []part{
		rule(in(peer, source, protocol, dest), counted(CountBlocked), drop),
		rule(in(peer, source, anyProtocol, dest), counted(CountBlocked), drop),
		rule(in(peerPort, source, protocol, sourcePort, dest), counted(CountBlocked), drop),
		rule(forth, in(isolated, dest), counted(CountQuarantine), drop),
	}
}

// connectChains hold the new connections of limited devices to their rates.
func connectChains() []Chain {
	sc := &Sets.Scopes[Connections]
	over := rule(counted(CountLimited), drop)
	var cs []Chain
	for w := range Whos {
		rules := []part{}
		for p := range Paths {
			if p.who() != w {
				continue
			}
			of := packet4
			if p.six() {
				of = packet6
			}
			if w != ByMAC {
				rules = append(rules, matches(sc, p, over)...)
				continue
			}
			name := "connect_" + p.String()
			rules = append(rules, rule(of, jump(name)))
			cs = append(cs, Chain{Hook: Routed, Name: name, rules: matches(sc, p, over)})
		}
		rules = append(rules,
			rule(in(sc.Proto[w], w.field(), protocol), over), rule(in(sc.Proto[w], w.field(), anyProtocol), over))
		cs = append(cs, Chain{Hook: Routed, Name: "connect_" + w.String(), rules: rules})
	}
	return cs
}
