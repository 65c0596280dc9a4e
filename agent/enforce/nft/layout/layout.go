// Package layout is what the two tables look like: their sets, and the chains that
// look packets up in them. It is data, and touches no kernel; package nft, above,
// writes it there.
package layout

import "github.com/google/nftables"

// TableName is the name of both tables.
const TableName = "cordon"

// Hook is one of the two tables.
type Hook uint8

const (
	Ingress Hook = iota // netdev: frames as they come in at a port
	Routed              // inet: packets with their connection
	Hooks
)

// Table is the table for the library.
func (h Hook) Table() *nftables.Table {
	if h == Ingress {
		return &nftables.Table{Name: TableName, Family: nftables.TableFamilyNetdev}
	}
	return &nftables.Table{Name: TableName, Family: nftables.TableFamilyINet}
}

// Family is its family in messages.
func (h Hook) Family() uint8 { return uint8(h.Table().Family) }

// Bounds of the sets, in elements. The kernel holds them to it: a set that is
// full refuses what is new.
const (
	ManySmall = 4096  // devices, addresses and places of actions
	ManyHoles = 4096  // places that quarantined devices may reach
	ManyPeers = 65536 // of intelligence
	Few       = 512   // the router's own
)

// Set is a set of one of the tables.
type Set struct {
	Hook   Hook
	Name   string
	Size   uint32
	Static bool    // without time-outs: what the router is
	Rate   bool    // its elements may have a limit: they match what exceeds it
	fields []field // what its key is made of
}

// First is how many bytes of a key its first field takes: the device's, or the far
// side's.
func (s *Set) First() int { return int(s.fields[0].size) }

func (s *Set) keyType() nftables.SetDatatype {
	if len(s.fields) == 1 {
		return s.fields[0].kind
	}
	kinds := make([]nftables.SetDatatype, len(s.fields))
	for i, f := range s.fields {
		kinds[i] = f.kind
	}
	return nftables.MustConcatSetType(kinds...)
}

// Definition is the set for the library.
func (s *Set) Definition() *nftables.Set {
	return &nftables.Set{Table: s.Hook.Table(), Name: s.Name, KeyType: s.keyType(),
		HasTimeout: !s.Static, Size: s.Size}
}

// Who is how a device is known: by its MAC, or by an address.
type Who uint8

const (
	ByMAC Who = iota
	ByAddr4
	ByAddr6
	Whos
)

func (w Who) String() string { return [...]string{"mac", "addr4", "addr6"}[w] }

func (w Who) field() field { return [...]field{etherSource, source4, source6}[w] }

// Path is a way to know the device together with a family of the far side.
type Path uint8

const (
	Mac4 Path = iota
	Mac6
	Addr4
	Addr6
	Paths
)

func (p Path) String() string { return [...]string{"mac4", "mac6", "addr4", "addr6"}[p] }

func (p Path) who() Who { return [...]Who{ByMAC, ByMAC, ByAddr4, ByAddr6}[p] }

func (p Path) six() bool { return p == Mac6 || p == Addr6 }

func (p Path) dest() field {
	if p.six() {
		return dest6
	}
	return dest4
}

func (p Path) net() field {
	if p.six() {
		return destNet6
	}
	return destNet4
}

// Measure is what is done to a part of a device's traffic.
type Measure uint8

const (
	Block       Measure = iota // dropped at the port
	Limit                      // dropped at the port beyond so many packets a second
	Connections                // new connections beyond so many a second dropped
	Stray                      // packets outside of connections dropped, or those beyond so many a second
	Measures
)

func (m Measure) String() string { return [...]string{"block", "limit", "connect", "stray"}[m] }

func (m Measure) hook() Hook {
	if m == Block || m == Limit {
		return Ingress
	}
	return Routed
}

// Scope is the sets of one measure, by what a part of the traffic is known by.
// Protocol 0 in a key means any. A destination's port is apart from the
// destination, because fragments have none.
type Scope struct {
	Dest, DestPort [Paths]*Set // device . address . protocol (. port)
	Net, NetPort   [Paths]*Set // device . network . protocol (. port)
	Port           [Whos]*Set  // device . protocol . port
	Proto          [Whos]*Set  // device . protocol, outside the home
	Local          [Whos]*Set  // device . protocol . own port
}

// sets is all sets.
type sets struct {
	All []*Set

	// Of the ingress table.
	RouterMAC, Router4, Router6 *Set // the router's own
	Spared4, Spared6            *Set // what no block may name
	Marked                      *Set // devices about which something is in force
	Marked4, Marked6            *Set // the same by address
	Quarantined                 [Hooks]*Set
	Held4, Held6                [Hooks]*Set // addresses of quarantined devices
	Hole                        [Hooks][Paths]*Set

	// Of the routed table.
	RouterMACr                 *Set
	Spared4r, Spared6r         *Set
	Hostile4, Hostile6         *Set
	HostilePort4, HostilePort6 *Set

	Limited              [Whos]*Set // devices with a limit on new connections
	Strays               [Whos]*Set // devices whose stray packets are dropped
	Guarded4, Guarded6   *Set       // addresses that something is kept from
	Isolated4, Isolated6 *Set       // addresses that nothing new may reach
	Peer4, Peer6         *Set       // far address . protocol . device's address
	PeerPort4, PeerPort6 *Set       // far address . protocol . port . device's address
	Scanner4, Scanner6   *Set       // sources of attacks
	Shielded4, Shielded6 *Set       // addresses whose probe ports are closed from outside
	Allowed4, Allowed6   *Set       // device's address . port that stay open
	Probe                *Set       // the ports
	Scopes               [Measures]Scope
}

// Sets are those of both tables. They are built once, and never change.
var Sets = newSets()

func newSets() *sets {
	l := &sets{}
	l.ofRouter()
	l.ofQuarantine()
	l.ofIntelligence()
	l.ofInbound()
	for m := range Measures {
		l.ofMeasure(m)
	}
	return l
}

func (l *sets) add(s Set) *Set {
	l.All = append(l.All, &s)
	return &s
}

func (l *sets) named(h Hook, name string, size uint32, fields ...field) *Set {
	return l.add(Set{Hook: h, Name: name, fields: fields, Size: size})
}

func (l *sets) fixed(h Hook, name string, fields ...field) *Set {
	return l.add(Set{Hook: h, Name: name, fields: fields, Size: Few, Static: true})
}

func (l *sets) ofRouter() {
	l.RouterMAC = l.fixed(Ingress, "router_mac", etherSource)
	l.Router4 = l.fixed(Ingress, "router4", dest4)
	l.Router6 = l.fixed(Ingress, "router6", dest6)
	l.Spared4 = l.fixed(Ingress, "spared4", dest4)
	l.Spared6 = l.fixed(Ingress, "spared6", dest6)
	l.Spared4r = l.fixed(Routed, "spared4", dest4)
	l.Spared6r = l.fixed(Routed, "spared6", dest6)
	l.RouterMACr = l.fixed(Routed, "router_mac", etherSource)
	l.Probe = l.fixed(Routed, "probe_ports", destPort)
}

func (l *sets) ofQuarantine() {
	l.Marked = l.named(Ingress, "marked", ManySmall, etherSource)
	l.Marked4 = l.named(Ingress, "marked4", ManySmall, source4)
	l.Marked6 = l.named(Ingress, "marked6", ManySmall, source6)
	for h := range Hooks {
		l.Quarantined[h] = l.named(h, "quarantined", ManySmall, etherSource)
		l.Held4[h] = l.named(h, "held4", ManySmall, source4)
		l.Held6[h] = l.named(h, "held6", ManySmall, source6)
		for p := range Paths {
			l.Hole[h][p] = l.named(h, "hole_"+p.String(), ManyHoles, p.who().field(), p.dest())
		}
	}
	l.Isolated4 = l.named(Routed, "isolated4", ManySmall, dest4)
	l.Isolated6 = l.named(Routed, "isolated6", ManySmall, dest6)
}

func (l *sets) ofIntelligence() {
	l.Hostile4 = l.named(Routed, "hostile4", ManyPeers, dest4)
	l.Hostile6 = l.named(Routed, "hostile6", ManyPeers, dest6)
	l.HostilePort4 = l.named(Routed, "hostile_port4", ManyPeers, dest4, destPort)
	l.HostilePort6 = l.named(Routed, "hostile_port6", ManyPeers, dest6, destPort)
	l.Scanner4 = l.named(Routed, "scanner4", ManyPeers, source4)
	l.Scanner6 = l.named(Routed, "scanner6", ManyPeers, source6)
}

func (l *sets) ofInbound() {
	l.Guarded4 = l.named(Routed, "guarded4", ManySmall, dest4)
	l.Guarded6 = l.named(Routed, "guarded6", ManySmall, dest6)
	l.Peer4 = l.named(Routed, "peer4", ManySmall, source4, protocol, dest4)
	l.Peer6 = l.named(Routed, "peer6", ManySmall, source6, protocol, dest6)
	l.PeerPort4 = l.named(Routed, "peer_port4", ManySmall, source4, protocol, sourcePort, dest4)
	l.PeerPort6 = l.named(Routed, "peer_port6", ManySmall, source6, protocol, sourcePort, dest6)
	l.Shielded4 = l.fixed(Routed, "shielded4", dest4)
	l.Shielded6 = l.fixed(Routed, "shielded6", dest6)
	l.Allowed4 = l.fixed(Routed, "allowed4", dest4, destPort)
	l.Allowed6 = l.fixed(Routed, "allowed6", dest6, destPort)
	for _, s := range []*Set{l.Shielded4, l.Shielded6, l.Allowed4, l.Allowed6} {
		s.Size = ManySmall
	}
}

// ofMeasure makes the sets of one measure. Stray packets are told apart by
// protocol only; the part of the traffic that a limit of connections means is
// known by the packet that opens one, so its own port is not.
func (l *sets) ofMeasure(m Measure) {
	sc, rate := &l.Scopes[m], m != Block
	one := func(name string, fields ...field) *Set {
		return l.add(Set{Hook: m.hook(), Name: m.String() + "_" + name, fields: fields, Size: ManySmall, Rate: rate})
	}
	for w := range Whos {
		name := w.String()
		if m == Connections {
			l.Limited[w] = l.named(Routed, "limited_"+name, ManySmall, w.field())
		}
		sc.Proto[w] = one(name+"_proto", w.field(), protocol)
		if m == Stray {
			continue
		}
		sc.Port[w] = one(name+"_port", w.field(), protocol, destPort)
		if m == Block {
			sc.Local[w] = one(name+"_local", w.field(), protocol, sourcePort)
		}
	}
	if m == Stray {
		l.Strays = sc.Proto
		return
	}
	for p := range Paths {
		name := p.String()
		sc.Dest[p] = one(name+"_dest", p.who().field(), p.dest(), protocol)
		sc.DestPort[p] = one(name+"_dest_port", p.who().field(), p.dest(), protocol, destPort)
		sc.Net[p] = one(name+"_net", p.who().field(), p.net(), protocol)
		sc.NetPort[p] = one(name+"_net_port", p.who().field(), p.net(), protocol, destPort)
	}
}

// Same reports whether the sets of a table are those of ours.
func Same(h Hook, found []*nftables.Set) bool {
	want := map[string]*nftables.Set{}
	for _, s := range Sets.All {
		if s.Hook == h {
			want[s.Name] = s.Definition()
		}
	}
	for _, s := range found {
		w := want[s.Name]
		if w == nil || w.KeyType.GetNFTMagic() != s.KeyType.GetNFTMagic() || w.HasTimeout != s.HasTimeout ||
			w.Size != s.Size || s.IsMap || s.Interval {
			return false
		}
		delete(want, s.Name)
	}
	return len(want) == 0
}

// Counters are the named counters of each table, by why a packet was stopped.
var Counters = [Hooks][]string{
	Ingress: {CountQuarantine, CountBlocked, CountLimited, CountImpostor},
	Routed:  {CountQuarantine, CountBlocked, CountLimited, CountHostile, CountSpoofed, CountStray, CountInbound, CountPage},
}

// The counters' names.
const (
	CountQuarantine = "quarantine" // to or from a quarantined device
	CountBlocked    = "blocked"    // a part of a device's traffic
	CountLimited    = "limited"    // beyond a limit
	CountHostile    = "hostile"    // to or from a place known to be hostile
	CountSpoofed    = "spoofed"    // from an address that is none of the home's
	CountImpostor   = "impostor"   // from the router's own MAC
	CountStray      = "stray"      // outside of connections
	CountInbound    = "inbound"    // from outside to what is closed
	CountPage       = "page"       // connections led to the router's page
)

// MarkedBy is the set of the marks of devices that are known in one way.
func (l *sets) MarkedBy(w Who) *Set { return [...]*Set{l.Marked, l.Marked4, l.Marked6}[w] }

// PathOf returns the path from a device, as it is known, to an address.
func PathOf(w Who, six bool) (Path, bool) {
	switch {
	case w == ByMAC && six:
		return Mac6, true
	case w == ByMAC:
		return Mac4, true
	case w == ByAddr4 && !six:
		return Addr4, true
	case w == ByAddr6 && six:
		return Addr6, true
	}
	return 0, false
}
