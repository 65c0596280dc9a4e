package nft

import (
	"github.com/google/nftables"
	"golang.org/x/sys/unix"
)

// tableName is the name of both tables.
const tableName = "cordon"

// hook is one of the two tables.
type hook uint8

const (
	ingress hook = iota // netdev: frames as they come in at a port
	routed              // inet: packets with their connection
	hooks
)

func (h hook) table() *nftables.Table {
	if h == ingress {
		return &nftables.Table{Name: tableName, Family: nftables.TableFamilyNetdev}
	}
	return &nftables.Table{Name: tableName, Family: nftables.TableFamilyINet}
}

func (h hook) family() uint8 { return uint8(h.table().Family) }

// Bounds of the sets, in elements. The kernel holds them to it: a set that is
// full refuses what is new.
const (
	manySmall = 4096  // devices, addresses and places of actions
	manyHoles = 4096  // places that quarantined devices may reach
	manyPeers = 65536 // of intelligence
	few       = 512   // the router's own
)

// set is a set of one of the tables.
type set struct {
	hook   hook
	name   string
	fields []field // what its key is made of
	size   uint32
	static bool // without time-outs: what the router is
	rate   bool // its elements may have a limit: they match what exceeds it
}

func (s *set) keyType() nftables.SetDatatype {
	if len(s.fields) == 1 {
		return s.fields[0].kind
	}
	kinds := make([]nftables.SetDatatype, len(s.fields))
	for i, f := range s.fields {
		kinds[i] = f.kind
	}
	return nftables.MustConcatSetType(kinds...)
}

func (s *set) definition() *nftables.Set {
	return &nftables.Set{Table: s.hook.table(), Name: s.name, KeyType: s.keyType(),
		HasTimeout: !s.static, Size: s.size}
}

// who is how a device is known: by its MAC, or by an address.
type who uint8

const (
	byMAC who = iota
	byAddr4
	byAddr6
	whos
)

func (w who) String() string { return [...]string{"mac", "addr4", "addr6"}[w] }

func (w who) field() field { return [...]field{etherSource, source4, source6}[w] }

// path is a way to know the device together with a family of the far side.
type path uint8

const (
	mac4 path = iota
	mac6
	addr4
	addr6
	paths
)

func (p path) String() string { return [...]string{"mac4", "mac6", "addr4", "addr6"}[p] }

func (p path) who() who { return [...]who{byMAC, byMAC, byAddr4, byAddr6}[p] }

func (p path) six() bool { return p == mac6 || p == addr6 }

func (p path) dest() field {
	if p.six() {
		return dest6
	}
	return dest4
}

func (p path) net() field {
	if p.six() {
		return destNet6
	}
	return destNet4
}

// measure is what is done to a part of a device's traffic.
type measure uint8

const (
	block       measure = iota // dropped at the port
	limit                      // dropped at the port beyond so many packets a second
	connections                // new connections beyond so many a second dropped
	stray                      // packets outside of connections dropped, or those beyond so many a second
	measures
)

func (m measure) String() string { return [...]string{"block", "limit", "connect", "stray"}[m] }

func (m measure) hook() hook {
	if m == block || m == limit {
		return ingress
	}
	return routed
}

// scope is the sets of one measure, by what a part of the traffic is known by.
// Protocol 0 in a key means any. A destination's port is apart from the
// destination, because fragments have none.
type scope struct {
	dest, destPort [paths]*set // device . address . protocol (. port)
	net, netPort   [paths]*set // device . network . protocol (. port)
	port           [whos]*set  // device . protocol . port
	proto          [whos]*set  // device . protocol, outside the home
	local          [whos]*set  // device . protocol . own port
}

// layout is all sets. It never changes.
type layout struct {
	all []*set

	// Of the ingress table.
	routerMAC, router4, router6 *set // the router's own
	spared4, spared6            *set // what no block may name
	marked                      *set // devices about which something is in force
	marked4, marked6            *set // the same by address
	quarantined                 [hooks]*set
	held4, held6                [hooks]*set // addresses of quarantined devices
	hole                        [hooks][paths]*set

	// Of the routed table.
	routerMACr                 *set
	spared4r, spared6r         *set
	hostile4, hostile6         *set
	hostilePort4, hostilePort6 *set

	limited              [whos]*set // devices with a limit on new connections
	strays               [whos]*set // devices whose stray packets are dropped
	guarded4, guarded6   *set       // addresses that something is kept from
	isolated4, isolated6 *set       // addresses that nothing new may reach
	peer4, peer6         *set       // far address . protocol . device's address
	peerPort4, peerPort6 *set       // far address . protocol . port . device's address
	scanner4, scanner6   *set       // sources of attacks
	shielded4, shielded6 *set       // addresses whose probe ports are closed from outside
	allowed4, allowed6   *set       // device's address . port that stay open
	probe                *set       // the ports
	scopes               [measures]scope
}

// theLayout is built once; it is data.
var theLayout = newLayout()

func newLayout() *layout {
	l := &layout{}
	l.ofRouter()
	l.ofQuarantine()
	l.ofIntelligence()
	l.ofInbound()
	for m := range measures {
		l.ofMeasure(m)
	}
	return l
}

func (l *layout) add(s set) *set {
	l.all = append(l.all, &s)
	return &s
}

func (l *layout) named(h hook, name string, size uint32, fields ...field) *set {
	return l.add(set{hook: h, name: name, fields: fields, size: size})
}

func (l *layout) fixed(h hook, name string, fields ...field) *set {
	return l.add(set{hook: h, name: name, fields: fields, size: few, static: true})
}

func (l *layout) ofRouter() {
	l.routerMAC = l.fixed(ingress, "router_mac", etherSource)
	l.router4 = l.fixed(ingress, "router4", dest4)
	l.router6 = l.fixed(ingress, "router6", dest6)
	l.spared4 = l.fixed(ingress, "spared4", dest4)
	l.spared6 = l.fixed(ingress, "spared6", dest6)
	l.spared4r = l.fixed(routed, "spared4", dest4)
	l.spared6r = l.fixed(routed, "spared6", dest6)
	l.routerMACr = l.fixed(routed, "router_mac", etherSource)
	l.probe = l.fixed(routed, "probe_ports", destPort)
}

func (l *layout) ofQuarantine() {
	l.marked = l.named(ingress, "marked", manySmall, etherSource)
	l.marked4 = l.named(ingress, "marked4", manySmall, source4)
	l.marked6 = l.named(ingress, "marked6", manySmall, source6)
	for h := range hooks {
		l.quarantined[h] = l.named(h, "quarantined", manySmall, etherSource)
		l.held4[h] = l.named(h, "held4", manySmall, source4)
		l.held6[h] = l.named(h, "held6", manySmall, source6)
		for p := range paths {
			l.hole[h][p] = l.named(h, "hole_"+p.String(), manyHoles, p.who().field(), p.dest())
		}
	}
	l.isolated4 = l.named(routed, "isolated4", manySmall, dest4)
	l.isolated6 = l.named(routed, "isolated6", manySmall, dest6)
}

func (l *layout) ofIntelligence() {
	l.hostile4 = l.named(routed, "hostile4", manyPeers, dest4)
	l.hostile6 = l.named(routed, "hostile6", manyPeers, dest6)
	l.hostilePort4 = l.named(routed, "hostile_port4", manyPeers, dest4, destPort)
	l.hostilePort6 = l.named(routed, "hostile_port6", manyPeers, dest6, destPort)
	l.scanner4 = l.named(routed, "scanner4", manyPeers, source4)
	l.scanner6 = l.named(routed, "scanner6", manyPeers, source6)
}

func (l *layout) ofInbound() {
	l.guarded4 = l.named(routed, "guarded4", manySmall, dest4)
	l.guarded6 = l.named(routed, "guarded6", manySmall, dest6)
	l.peer4 = l.named(routed, "peer4", manySmall, source4, protocol, dest4)
	l.peer6 = l.named(routed, "peer6", manySmall, source6, protocol, dest6)
	l.peerPort4 = l.named(routed, "peer_port4", manySmall, source4, protocol, sourcePort, dest4)
	l.peerPort6 = l.named(routed, "peer_port6", manySmall, source6, protocol, sourcePort, dest6)
	l.shielded4 = l.fixed(routed, "shielded4", dest4)
	l.shielded6 = l.fixed(routed, "shielded6", dest6)
	l.allowed4 = l.fixed(routed, "allowed4", dest4, destPort)
	l.allowed6 = l.fixed(routed, "allowed6", dest6, destPort)
	for _, s := range []*set{l.shielded4, l.shielded6, l.allowed4, l.allowed6} {
		s.size = manySmall
	}
}

// ofMeasure makes the sets of one measure. Stray packets are told apart by
// protocol only; the part of the traffic that a limit of connections means is
// known by the packet that opens one, so its own port is not.
func (l *layout) ofMeasure(m measure) {
	sc, rate := &l.scopes[m], m != block
	one := func(name string, fields ...field) *set {
		return l.add(set{hook: m.hook(), name: m.String() + "_" + name, fields: fields, size: manySmall, rate: rate})
	}
	for w := range whos {
		name := w.String()
		if m == connections {
			l.limited[w] = l.named(routed, "limited_"+name, manySmall, w.field())
		}
		sc.proto[w] = one(name+"_proto", w.field(), protocol)
		if m == stray {
			continue
		}
		sc.port[w] = one(name+"_port", w.field(), protocol, destPort)
		if m == block {
			sc.local[w] = one(name+"_local", w.field(), protocol, sourcePort)
		}
	}
	if m == stray {
		l.strays = sc.proto
		return
	}
	for p := range paths {
		name := p.String()
		sc.dest[p] = one(name+"_dest", p.who().field(), p.dest(), protocol)
		sc.destPort[p] = one(name+"_dest_port", p.who().field(), p.dest(), protocol, destPort)
		sc.net[p] = one(name+"_net", p.who().field(), p.net(), protocol)
		sc.netPort[p] = one(name+"_net_port", p.who().field(), p.net(), protocol, destPort)
	}
}

// counters are the named counters of each table, by why a packet was stopped.
var counters = [hooks][]string{
	ingress: {countQuarantine, countBlocked, countLimited, countImpostor},
	routed:  {countQuarantine, countBlocked, countLimited, countHostile, countSpoofed, countStray, countInbound, countPage},
}

// The counters' names, which Counts uses too.
const (
	countQuarantine = "quarantine" // to or from a quarantined device
	countBlocked    = "blocked"    // a part of a device's traffic
	countLimited    = "limited"    // beyond a limit
	countHostile    = "hostile"    // to or from a place known to be hostile
	countSpoofed    = "spoofed"    // from an address that is none of the home's
	countImpostor   = "impostor"   // from the router's own MAC
	countStray      = "stray"      // outside of connections
	countInbound    = "inbound"    // from outside to what is closed
	countPage       = "page"       // connections led to the router's page
)

// subsystem is that of nftables in netlink messages.
const subsystem = unix.NFNL_SUBSYS_NFTABLES
