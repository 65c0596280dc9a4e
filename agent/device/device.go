// Package device says who is who in the home.
//
// Packets and observations come in; devices go out, each with its class and the
// reasons for it. A device is a MAC address on the home's side. The home's own
// router is not a device of the home; a MAC through which several devices send
// (a repeater, a second router) is a relay, and those devices are kept by
// address. Nothing here judges: class and identity only say what may be done to
// a device, so a doubt is Unknown.
package device

import (
	"fmt"
	"net/netip"
	"slices"
	"time"

	"cordon"
	"cordon/agent/packet"
)

// Bounds of the table and of one record.
const (
	DefaultMax = 256
	maxAddrs   = 8  // per device, most recently used first
	maxRelayed = 64 // devices kept by address behind one MAC
	maxLearned = 8  // IPv6 prefixes learned to be the home's
)

// settledAfter is how long a device must have been seen to be spared while
// strangers can be evicted: a flood of invented MACs must not push out the
// devices that live here.
const settledAfter = 5 * time.Minute

// Config configures a Table.
type Config struct {
	Home   []netip.Prefix // the home's side; empty: PrivatePrefixes
	Max    int            // records kept, at least 2; 0 means DefaultMax
	Forget func(*cordon.Device)
	Moved  func(*cordon.Device)             // it has an address that it did not have before
	Maker  func(mac [6]byte) (string, bool) // from the IEEE's assignments
	// Told is what people said about the device of an ID: its name, if not empty, and
	// its class, if not nil. That outweighs what the device says.
	Told func(id string) (name string, class *cordon.Class)
}

// PrivatePrefixes are the addresses that are never the internet's: RFC 1918,
// shared address space (RFC 6598), link-local (RFC 3927, RFC 4291) and unique
// local IPv6 (RFC 4193).
func PrivatePrefixes() []netip.Prefix {
	return []netip.Prefix{
		netip.MustParsePrefix("10.0.0.0/8"),
		netip.MustParsePrefix("172.16.0.0/12"),
		netip.MustParsePrefix("192.168.0.0/16"),
		netip.MustParsePrefix("100.64.0.0/10"),
		netip.MustParsePrefix("169.254.0.0/16"),
		netip.MustParsePrefix("fc00::/7"),
		netip.MustParsePrefix("fe80::/10"),
	}
}

// record is what the table knows of one device.
type record struct {
	cordon.Device
	behind  *station      // the MAC it sends through, nil where there are no MACs
	signs   []sign        // what was said for its class
	unsure  bool          // there are signs that were not judged yet
	told    *cordon.Class // what people said
	named   bool          // by people
	clients distinct      // DHCP client identifiers
	names   distinct      // DHCP host names
}

// station is one MAC address on the home's side and what speaks against its
// being a single device.
type station struct {
	mac     packet.MAC
	gateway bool
	acted   bool         // it has sent towards the internet as a device does
	own     []netip.Addr // its own IPv4 addresses, of a gateway or relay, bounded
	told    bool         // own was told by DHCP or ARP, not guessed
	single  *record      // the device, while it is one
	behind  int          // devices kept by address
	use     alternation
	relay   string // why it is a relay, empty while it is none
}

// Table is the table of devices. It is owned by one goroutine.
type Table struct {
	cfg        Config
	home       []netip.Prefix
	learned    []netip.Prefix // IPv6, from the home's own talk
	advertised bool           // learned is what the router advertised
	told       bool           // SetNetwork said who the router is: nothing is guessed
	current    []netip.Prefix // as SetNetwork said last
	stations   map[packet.MAC]*station
	byAddr     map[netip.Addr]*record
	records    []*record // by slot; nil when free
	evicted    uint64
}

// New returns an empty table.
func New(cfg Config) (*Table, error) {
	if cfg.Max == 0 {
		cfg.Max = DefaultMax
	}
	if cfg.Max < 2 || cfg.Max > 1<<16 {
		return nil, fmt.Errorf("device table size %d: want 2 to %d", cfg.Max, 1<<16)
	}
	if len(cfg.Home) == 0 {
		cfg.Home = PrivatePrefixes()
	}
	return &Table{cfg: cfg, home: cfg.Home, stations: make(map[packet.MAC]*station),
		byAddr: make(map[netip.Addr]*record)}, nil
}

// Evicted returns how many records had to go before their time.
func (t *Table) Evicted() uint64 { return t.evicted }

// All returns the devices in the order of their first packet, the home's router
// included.
func (t *Table) All() []*cordon.Device {
	var all []*cordon.Device
	for _, r := range t.records {
		if r != nil {
			all = append(all, &r.Device)
		}
	}
	slices.SortStableFunc(all, func(a, b *cordon.Device) int {
		if a.FirstSeen != b.FirstSeen {
			return int(min(1, max(-1, a.FirstSeen-b.FirstSeen)))
		}
		return a.Slot - b.Slot
	})
	return all
}

// Home reports whether a is on the home's side.
func (t *Table) Home(a netip.Addr) bool {
	for _, p := range t.home {
		if p.Contains(a) {
			return true
		}
	}
	for _, p := range t.learned {
		if p.Contains(a) {
			return true
		}
	}
	return false
}

// Ends says whose packet p is, and learns from it. A device exists from the
// first packet that it sends; being written to makes no device.
func (t *Table) Ends(p *packet.Packet, now cordon.Time) cordon.Ends {
	e := cordon.Ends{SrcHome: t.Home(p.Src), DstHome: t.Home(p.Dst)}
	// Which public IPv6 addresses are the home's own is not known before the router
	// has said so: until then they prove nothing.
	if hasStation(p) && !e.SrcHome && e.DstHome && p.Src.IsGlobalUnicast() && (p.Src.Is4() || t.advertised) {
		t.markGateway(p.SrcMAC, now)
	}
	if e.SrcHome {
		e.Src = t.sender(p, p.Src, now)
		if !e.DstHome && hasStation(p) && p.Dst.IsGlobalUnicast() {
			t.station(p.SrcMAC, now).acted = true
		}
	}
	if e.DstHome {
		if r := t.byAddr[p.Dst]; r != nil {
			e.Dst = &r.Device
		}
	}
	return e
}

// Sender returns the device that sent p, nil when p comes from elsewhere. It
// serves the facts that need no home address: ARP, DHCP, link-local.
func (t *Table) Sender(p *packet.Packet, now cordon.Time) *cordon.Device {
	if p.Src.IsValid() && !p.Src.IsUnspecified() {
		if isNeighbour(p) {
			t.learnPrefix(p.Src)
		}
		if !t.Home(p.Src) {
			return nil
		}
		return t.sender(p, p.Src, now)
	}
	if !hasStation(p) {
		return nil
	}
	return t.sender(p, netip.Addr{}, now)
}

// Receiver returns the device that p goes to, nil if it is none that is known.
func (t *Table) Receiver(p *packet.Packet) *cordon.Device {
	if r := t.byAddr[p.Dst]; r != nil && t.Home(p.Dst) {
		return &r.Device
	}
	return nil
}

// ByMAC returns the device of a MAC address, nil if there is none.
func (t *Table) ByMAC(mac cordon.MAC) *cordon.Device {
	if s := t.stations[packet.MAC(mac)]; s != nil {
		return &s.single.Device
	}
	return nil
}

// hasStation reports whether p names the MAC it comes from. A loopback or tunnel
// capture has all zeros there.
func hasStation(p *packet.Packet) bool {
	return p.Has(packet.HasMAC) && p.SrcMAC != packet.MAC{} && !cordon.MAC(p.SrcMAC).Group()
}

func (t *Table) sender(p *packet.Packet, addr netip.Addr, now cordon.Time) *cordon.Device {
	var r *record
	if hasStation(p) {
		r = t.through(t.station(p.SrcMAC, now), addr, now)
	} else if r = t.byAddr[addr]; r == nil {
		if r = t.known(addr); r == nil {
			r = t.add(record{Device: cordon.Device{ID: addr.String()}}, now)
		}
	}
	r.LastSeen = now
	if addr.IsValid() {
		t.bind(r, addr)
	}
	return &r.Device
}

func (t *Table) station(mac packet.MAC, now cordon.Time) *station {
	s := t.stations[mac]
	if s == nil {
		s = &station{mac: mac}
		t.stations[mac] = s
	}
	if s.single == nil {
		t.addSingle(s, now)
	}
	s.single.LastSeen = now // also of a relay, whatever is behind it
	return s
}

// through returns the record of whoever sends from addr through s.
func (t *Table) through(s *station, addr netip.Addr, now cordon.Time) *record {
	if s.gateway {
		if !addr.IsValid() || addr.Is6() || s.owns(addr) {
			return s.single
		}
		return t.relayed(s, addr, now)
	}
	if s.relay == "" && addr.Is4() && !addr.IsLinkLocalUnicast() && s.use.concurrent(addr, now) {
		t.markRelay(s, "several IPv4 addresses at the same time")
	}
	if s.relay != "" && addr.IsValid() && addr.Is4() && !slices.Contains(s.own, addr) {
		return t.relayed(s, addr, now)
	}
	return s.single
}

// owns reports whether addr is the router's own, and decides it: what DHCP or ARP
// said, else the first IPv4 address seen to come from its MAC.
func (s *station) owns(addr netip.Addr) bool {
	if len(s.own) == 0 {
		s.own = append(s.own, addr)
	}
	return slices.Contains(s.own, addr)
}

// tell notes an address that s said to be its own; what was guessed before goes.
// A router has one in each network of the home.
func (s *station) tell(addr netip.Addr) {
	if !s.told {
		s.own, s.told = s.own[:0], true
	}
	if len(s.own) < maxAddrs && !slices.Contains(s.own, addr) {
		s.own = append(s.own, addr)
	}
}

// relayed returns the device behind s that is known by its address. One that was
// behind another station, or whose address another device used meanwhile, is
// still the same.
func (t *Table) relayed(s *station, addr netip.Addr, now cordon.Time) *record {
	r := t.byAddr[addr]
	if r == nil || r.HasMAC {
		r = t.known(addr)
	}
	if r != nil && r.behind == s {
		return r
	}
	if s.behind >= maxRelayed {
		return s.single
	}
	s.behind++
	if r == nil {
		return t.add(record{Device: cordon.Device{ID: addr.String()}, behind: s}, now)
	}
	if r.behind != nil {
		r.behind.behind--
	}
	r.behind = s
	return r
}

// known returns the record that is kept by addr, nil if there is none.
func (t *Table) known(addr netip.Addr) *record {
	id := addr.String()
	for _, r := range t.records {
		if r != nil && r.ID == id {
			return r
		}
	}
	return nil
}

// markGateway notes that packets from the internet come through mac. A device
// that has already spoken to the internet for itself is not believed: it could
// forge such packets to be taken for the router and left alone.
func (t *Table) markGateway(mac packet.MAC, now cordon.Time) {
	if t.told {
		return
	}
	s := t.station(mac, now)
	if s.gateway || s.acted {
		return
	}
	s.gateway = true
	s.single.Gateway = true
	s.single.judge()
	if i := slices.IndexFunc(s.single.Addrs, netip.Addr.Is4); i >= 0 && !s.told {
		s.own = append(s.own[:0], s.single.Addrs[i])
	}
}

func (t *Table) markRelay(s *station, why string) {
	if s.gateway || s.relay != "" {
		return
	}
	s.relay = why
	s.single.Relay = true
	s.single.judge()
}

// bind notes that r uses addr.
func (t *Table) bind(r *record, addr netip.Addr) {
	if len(r.Addrs) > 0 && r.Addrs[0] == addr {
		return
	}
	if i := slices.Index(r.Addrs, addr); i > 0 {
		copy(r.Addrs[1:i+1], r.Addrs[:i])
		r.Addrs[0] = addr
		return
	}
	if len(r.Addrs) == maxAddrs {
		t.unbind(r, r.Addrs[maxAddrs-1])
		r.Addrs = r.Addrs[:maxAddrs-1]
	}
	r.Addrs = slices.Insert(r.Addrs, 0, addr)
	if old := t.byAddr[addr]; old != nil && old != r {
		old.Addrs = slices.DeleteFunc(old.Addrs, func(a netip.Addr) bool { return a == addr })
		t.moved(old)
	}
	t.byAddr[addr] = r
	t.moved(r)
}

func (t *Table) moved(r *record) {
	if t.cfg.Moved != nil {
		t.cfg.Moved(&r.Device)
	}
}

func (t *Table) unbind(r *record, addr netip.Addr) {
	if t.byAddr[addr] == r {
		delete(t.byAddr, addr)
	}
}

func (t *Table) addSingle(s *station, now cordon.Time) {
	mac := cordon.MAC(s.mac)
	d := cordon.Device{ID: mac.String(), MAC: mac, HasMAC: true, Randomised: mac.Randomised(), Gateway: s.gateway}
	if t.cfg.Maker != nil {
		if maker, ok := t.cfg.Maker(mac); ok {
			d.Maker = maker
		}
	}
	s.single = t.add(record{Device: d, behind: s}, now)
	s.single.macSigns()
	s.single.judge()
}

// add gives a new record a slot, evicting another device if there is none.
func (t *Table) add(r record, now cordon.Time) *record {
	slot := slices.Index(t.records, nil)
	if slot < 0 && len(t.records) < t.cfg.Max {
		slot = len(t.records)
		t.records = append(t.records, nil)
	}
	generation := uint32(1)
	if slot < 0 {
		old := t.victim()
		slot, generation = old.Slot, old.Generation+1
		t.forget(old)
	}
	r.Slot, r.Generation = slot, generation
	r.FirstSeen, r.LastSeen = now, now
	t.records[slot] = &r
	t.Tell(r.ID)
	return &r
}

// Tell asks Config.Told about a device, because people said something about it.
func (t *Table) Tell(id string) {
	if t.cfg.Told == nil {
		return
	}
	for _, r := range t.records {
		if r == nil || r.ID != id {
			continue
		}
		name, class := t.cfg.Told(id)
		if r.told, r.named = class, name != ""; r.named {
			r.Name = name
		}
		r.judge()
	}
}

// victim returns the record that has to go: of the lowest rank the one seen
// longest ago. It is never the MAC that a new record is behind, because of its
// rank and because there is room for two.
func (t *Table) victim() *record {
	worst := t.records[0]
	for _, r := range t.records[1:] {
		if a, b := r.rank(), worst.rank(); a < b || a == b && r.LastSeen < worst.LastSeen {
			worst = r
		}
	}
	return worst
}

// rank says how much a record is worth keeping: strangers least (a stranger may
// forge what makes it look like a router or a relay), then devices that live
// here, then the router and relays. A MAC stays as long as a device behind it.
func (r *record) rank() int {
	switch {
	case r.behind != nil && r.behind.single == r && r.behind.behind > 0:
		return 3
	case r.LastSeen.Sub(r.FirstSeen) < settledAfter:
		return 0
	case r.Gateway || r.Relay:
		return 2
	}
	return 1
}

func (t *Table) forget(r *record) {
	t.evicted++
	if t.cfg.Forget != nil {
		t.cfg.Forget(&r.Device)
	}
	for _, a := range r.Addrs {
		t.unbind(r, a)
	}
	if s := r.behind; s != nil {
		if s.single == r {
			delete(t.stations, s.mac)
		} else {
			s.behind--
		}
	}
	t.records[r.Slot] = nil
}
