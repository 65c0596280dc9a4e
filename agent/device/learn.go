package device

import (
	"bytes"
	"net/netip"
	"slices"
	"strings"

	"cordon"
	"cordon/agent/packet"
)

// maxText bounds a name or model that a device gives itself, in bytes: the
// longest DNS label (RFC 1035 §2.3.4).
const maxText = 63

// Learn takes what an observation says about the device that told it. p is the
// packet that it was read from.
func (t *Table) Learn(o *cordon.Observation, p *packet.Packet, now cordon.Time) {
	if o.Device == nil {
		return
	}
	r := t.records[o.Device.Slot]
	if r == nil || r.Generation != o.Device.Generation {
		return
	}
	switch o.Fact {
	case cordon.FactDHCP:
		t.learnDHCP(r, o, p.Has(packet.HasIPv6))
	case cordon.FactDHCPServer:
		t.learnServer(r, o, now)
	case cordon.FactMDNS:
		r.setName(o.Name)
		r.setModel(o.Model)
		r.service(o.Service)
	case cordon.FactSSDP:
		r.setModel(o.Model)
		r.service(o.Service)
	case cordon.FactNeighbour:
		t.learnPrefix(p.Src) // see Sender, too
	case cordon.FactPrefix:
		t.learnAdvertised(r, o, p, now)
	case cordon.FactAddress:
		t.learnAddress(r, o)
	}
	if r.unsure {
		r.judge()
	}
}

func (t *Table) learnDHCP(r *record, o *cordon.Observation, v6 bool) {
	label, _, _ := bytes.Cut(o.Name, []byte("."))
	r.names.add(label)
	r.setName(o.Name)
	r.vendor(o.Vendor)
	if !v6 { // DHCPv6 numbers options and clients in its own way
		r.params(o.Params)
		r.clients.add(o.Client)
	}
	s := r.behind
	if s == nil || r != s.single {
		return
	}
	// One device may change its name or its client identifier once, at an update
	// or a rename; several of both are several devices.
	if r.clients.n >= 3 || r.names.n >= 3 || r.clients.n >= 2 && r.names.n >= 2 {
		t.markRelay(s, "several DHCP clients behind one MAC")
	}
}

// learnServer notes that whoever hands out leases is the home's router, and
// which address is its own.
func (t *Table) learnServer(r *record, o *cordon.Observation, now cordon.Time) {
	s := r.behind
	if s == nil || len(o.Addrs) == 0 {
		return
	}
	if len(o.Addrs) > 1 && o.Addrs[1] != o.Addrs[0] {
		r.sign(cordon.Infrastructure, 4, "hands out addresses (DHCP)")
		return // a server that is not the router
	}
	t.markGateway(s.mac, now)
	if t.Home(o.Addrs[0]) {
		s.tell(o.Addrs[0])
		r.Gateway = s.gateway // also if it was taken for a device behind itself
	}
}

// learnAddress notes an address that its owner announced by ARP or NDP.
func (t *Table) learnAddress(r *record, o *cordon.Observation) {
	if len(o.Addrs) == 0 {
		return
	}
	a := o.Addrs[0]
	t.learnPrefix(a)
	if s := r.behind; s != nil && s.gateway && a.Is4() && t.Home(a) && !s.told {
		s.tell(a)
	}
}

// learnAdvertised notes a prefix that the router says is the home's: a provider
// delegates public IPv6 prefixes, which no list knows. From then on only the
// router is believed about that. A lifetime of 0 is no router's of the home (RFC
// 4861 §4.2): a thing that leads to a network of its own things advertises so.
func (t *Table) learnAdvertised(r *record, o *cordon.Observation, p *packet.Packet, now cordon.Time) {
	lifetime := uint16(p.ICMPRest)
	if r.behind == nil || len(o.Addrs) == 0 || lifetime == 0 {
		return
	}
	t.markGateway(r.behind.mac, now)
	if !r.Gateway {
		return
	}
	if !t.advertised {
		t.advertised, t.learned = true, nil
	}
	if prefix, err := o.Addrs[0].Prefix(int(o.Bits)); err == nil && o.Bits >= 32 {
		t.addPrefix(prefix)
	}
}

// learnPrefix notes that the /64 of an address that neighbours talk about is the
// home's, as long as no router said which prefixes are.
func (t *Table) learnPrefix(a netip.Addr) {
	if t.advertised || !a.Is6() || a.Is4In6() || !a.IsGlobalUnicast() {
		return
	}
	if p, err := a.Prefix(64); err == nil {
		t.addPrefix(p)
	}
}

// addPrefix notes a prefix. Some providers delegate another one every day, so
// the oldest makes room.
func (t *Table) addPrefix(p netip.Prefix) {
	if t.Home(p.Addr()) {
		return
	}
	if len(t.learned) == maxLearned {
		t.learned = slices.Delete(t.learned, 0, 1)
	}
	t.learned = append(t.learned, p)
}

func (r *record) setName(b []byte) {
	if name := text(b); name != "" && r.Name != name {
		if !r.named {
			r.Name = name
		}
		r.nameSigns(strings.ToLower(name))
	}
}

func (r *record) setModel(b []byte) {
	if model := text(b); model != "" && r.Model == "" {
		r.Model = model
		r.nameSigns(strings.ToLower(model))
	}
}

// text copies what a packet said, bounded, out of the packet.
func text(b []byte) string {
	if len(b) > maxText {
		b = b[:maxText]
	}
	return string(b)
}

// isNeighbour reports whether p is neighbour discovery that came from the link:
// its source is an address of the home (RFC 4861 §7.1.1).
func isNeighbour(p *packet.Packet) bool {
	return p.Has(packet.HasICMPv6) && p.TTL == 255 && (p.ICMPType == 135 || p.ICMPType == 136)
}
