package nft

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
func (t *Table) routedChains() []chain {
	l := theLayout
	base := func(name string, kind nftables.ChainType, point *nftables.ChainHook, p *nftables.ChainPriority, rules ...part) chain {
		return chain{hook: routed, name: name, kind: kind, point: point, priority: *p - justBefore, rules: rules}
	}
	cs := []chain{
		base("prerouting", nftables.ChainTypeNAT, nftables.ChainHookPrerouting, nftables.ChainPriorityNATDest, t.pageRules()...),
		base("input", nftables.ChainTypeFilter, nftables.ChainHookInput, nftables.ChainPriorityFilter, t.inputRules()...),
		base("output", nftables.ChainTypeFilter, nftables.ChainHookOutput, nftables.ChainPriorityFilter,
			rule(state(expr.CtStateBitNEW), jump("hostile_to"))),
		base("forward", nftables.ChainTypeFilter, nftables.ChainHookForward, nftables.ChainPriorityFilter, t.forwardRules()...),
		{hook: routed, name: "loose", rules: append(t.fromWAN(goTo("arriving")), goTo("leaving"))},
		{hook: routed, name: "arriving", rules: t.ifArmed([]part{
			jump("hostile_from"),
			rule(state(expr.CtStateBitNEW), jump("inbound")),
		}, goTo("sorted"))},
		{hook: routed, name: "leaving", rules: t.ifArmed(append(t.fromLAN(jump("home_only")), jump("hostile_to")), goTo("sorted"))},
		{hook: routed, name: "home_only", rules: append(t.spoofed(source4, false), t.spoofed(source6, true)...)},
		{hook: routed, name: "hostile_to", rules: hostile(dest4, dest6, destPort)},
		{hook: routed, name: "hostile_from", rules: hostile(source4, source6, sourcePort)},
		{hook: routed, name: "sorted", rules: []part{
			rule(state(expr.CtStateBitINVALID), goTo("stray")),
			rule(state(expr.CtStateBitNEW), goTo("fresh")),
		}},
		{hook: routed, name: "fresh", rules: append(caught("refused"),
			rule(noSYN, jump("stray")),
			rule(in(l.limited[byMAC], etherSource), jump("connect_mac")),
			rule(in(l.limited[byAddr4], source4), jump("connect_addr4")),
			rule(in(l.limited[byAddr6], source6), jump("connect_addr6")),
		)},
		{hook: routed, name: "refused", rules: append(throughHoles(), rule(counted(countQuarantine)), rule(tcp, reset), drop)},
		{hook: routed, name: "confined_input", rules: t.confinedInput()},
		{hook: routed, name: "stray", rules: strayRules()},
		{hook: routed, name: "attackers", rules: []part{
			rule(in(l.scanner4, source4), counted(countInbound), drop),
			rule(in(l.scanner6, source6), counted(countInbound), drop),
		}},
		{hook: routed, name: "inbound", rules: []part{
			jump("attackers"),
			rule(in(l.shielded4, dest4), jump("shield4")),
			rule(in(l.shielded6, dest6), jump("shield6")),
		}},
		{hook: routed, name: "shield4", rules: []part{
			rule(tcp, in(l.allowed4, dest4, destPort), back),
			rule(tcp, in(l.probe, destPort), counted(countInbound), drop)}},
		{hook: routed, name: "shield6", rules: []part{
			rule(tcp, in(l.allowed6, dest6, destPort), back),
			rule(tcp, in(l.probe, destPort), counted(countInbound), drop)}},
		{hook: routed, name: "towards4", rules: towards(l.peer4, l.peerPort4, l.isolated4, source4, dest4)},
		{hook: routed, name: "towards6", rules: towards(l.peer6, l.peerPort6, l.isolated6, source6, dest6)},
		{hook: routed, name: "page", rules: t.page()},
		{hook: routed, name: "page_who", rules: caught("page")},
	}
	return append(cs, connectChains()...)
}

// loose matches what belongs to no connection that was let through: a packet is
// in the state NEW until its connection is answered.
var loose = state(expr.CtStateBitINVALID | expr.CtStateBitNEW | expr.CtStateBitUNTRACKED)

// forwardRules are for all that goes through the router. A packet of an answered
// connection takes one comparison, and two look-ups while something is in force.
func (t *Table) forwardRules() []part {
	l := theLayout
	return t.ifArmed([]part{rule(loose, jump("loose"))},
		rule(in(l.guarded4, dest4), jump("towards4")),
		rule(in(l.guarded6, dest6), jump("towards6")))
}

// inputRules are for what goes to the router itself.
func (t *Table) inputRules() []part {
	rules := t.ifArmed(nil, caught("confined_input")...)
	begun := state(expr.CtStateBitNEW)
	rules = append(rules, t.fromWAN(begun, jump("attackers"))...)
	rules = append(rules, t.fromWAN(begun, jump("hostile_from"))...)
	return append(rules, t.fromLAN(begun, jump("home_only"))...)
}

// ifArmed adds rules that something must be in force for.
func (t *Table) ifArmed(rules []part, more ...part) []part {
	if t.armed {
		return append(rules, more...)
	}
	return rules
}

// fromWAN is a rule for each WAN port.
func (t *Table) fromWAN(then ...part) []part {
	var names []string
	for _, p := range t.network.WAN {
		names = append(names, p.Name)
	}
	return fromAny(names, then)
}

// fromLAN is a rule for each interface by which packets of the home come in: the
// bridges, and the ports that are of none.
func (t *Table) fromLAN(then ...part) []part {
	var names []string
	for _, p := range t.network.LAN {
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
	l, stop := theLayout, rule(counted(countHostile), drop)
	return []part{
		rule(in(l.hostile4, addr4), stop),
		rule(in(l.hostilePort4, addr4, port), stop),
		rule(in(l.hostile6, addr6), stop),
		rule(in(l.hostilePort6, addr6, port), stop),
	}
}

// spoofed ends the packets to the router with a source that is none of the
// home's (BCP 38, RFC 2827). It is empty until a prefix of the home is known.
func (t *Table) spoofed(source field, six bool) []part {
	var rules []part
	for _, p := range t.homePrefixes() {
		if p.Addr().Is6() == six {
			rules = append(rules, rule(within(source, p), back))
		}
	}
	if len(rules) == 0 || six && !t.globalHome() {
		return nil
	}
	family := packet4
	if six {
		family = packet6
	}
	return append(rules, rule(within(source, unspecified(six)), back), rule(within(source, linkLocal(six)), back),
		rule(family, in(theLayout.routerMACr, etherDest), counted(countSpoofed), drop))
}

// caught jumps with what quarantined devices send.
func caught(to string) []part {
	l := theLayout
	return []part{
		rule(in(l.quarantined[routed], etherSource), jump(to)),
		rule(in(l.held4[routed], source4), jump(to)),
		rule(in(l.held6[routed], source6), jump(to)),
	}
}

// throughHoles leaves the chain with what a quarantined device may reach.
func throughHoles() []part {
	var rules []part
	for p := range paths {
		rules = append(rules, rule(in(theLayout.hole[routed][p], p.who().field(), p.dest()), back))
	}
	return rules
}

// pageRules leads a quarantined device's first packets to port 80 to the page
// chain. The hook sees the first packet of a connection only.
func (t *Table) pageRules() []part {
	if t.cfg.PagePort == 0 {
		return nil
	}
	return []part{rule(tcp, port(destPort, portHTTP), jump("page_who"))}
}

func (t *Table) page() []part {
	if t.cfg.PagePort == 0 {
		return nil
	}
	return append(throughHoles(), rule(tcp, counted(countPage), redirect(t.cfg.PagePort)))
}

// confinedInput is what the router itself takes from a quarantined device.
func (t *Table) confinedInput() []part {
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
	if t.cfg.PagePort != 0 {
		rules = append(rules, rule(tcp, port(destPort, t.cfg.PagePort), back))
	}
	return append(rules, rule(counted(countQuarantine)), rule(tcp, reset), drop)
}

func strayRules() []part {
	var rules []part
	for w := range whos {
		rules = append(rules,
			rule(in(theLayout.strays[w], w.field(), protocol), counted(countStray), drop),
			rule(in(theLayout.strays[w], w.field(), anyProtocol), counted(countStray), drop))
	}
	return rules
}

// towards ends what comes from a blocked place to the device, and what is new
// to a quarantined one.
func towards(peer, peerPort, isolated *set, source, dest field) []part {
	return []part{
		rule(in(peer, source, protocol, dest), counted(countBlocked), drop),
		rule(in(peer, source, anyProtocol, dest), counted(countBlocked), drop),
		rule(in(peerPort, source, protocol, sourcePort, dest), counted(countBlocked), drop),
		rule(forth, in(isolated, dest), counted(countQuarantine), drop),
	}
}

// connectChains hold the new connections of limited devices to their rates.
func connectChains() []chain {
	sc := &theLayout.scopes[connections]
	over := rule(counted(countLimited), drop)
	var cs []chain
	for w := range whos {
		rules := []part{}
		for p := range paths {
			if p.who() != w {
				continue
			}
			of := packet4
			if p.six() {
				of = packet6
			}
			if w != byMAC {
				rules = append(rules, matches(sc, p, over)...)
				continue
			}
			name := "connect_" + p.String()
			rules = append(rules, rule(of, jump(name)))
			cs = append(cs, chain{hook: routed, name: name, rules: matches(sc, p, over)})
		}
		rules = append(rules,
			rule(in(sc.proto[w], w.field(), protocol), over), rule(in(sc.proto[w], w.field(), anyProtocol), over))
		cs = append(cs, chain{hook: routed, name: "connect_" + w.String(), rules: rules})
	}
	return cs
}
