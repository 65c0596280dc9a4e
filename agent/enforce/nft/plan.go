package nft

import (
	"errors"
	"fmt"
	"net/netip"
	"slices"
	"time"

	"golang.org/x/sys/unix"

	"cordon"
	"cordon/agent/enforce/nft/layout"
)

const (
	// holdFor is how long an address of a quarantined device stays confined
	// without it: long enough that a new MAC does not help at once, short enough
	// that a lease which went to another device does no lasting harm.
	holdFor = time.Hour
	// mostAddrs is how many addresses of a device are looked after, the most
	// recent ones of each family.
	mostAddrs = 8
	// mostPorts is how many ports an action may name; the largest class has 10.
	mostPorts = 32
)

// plan is what an action wants of which elements.
type plan struct {
	now   time.Time
	until time.Time
	wants map[element]owner
}

func (p *plan) want(s *layout.Set, parts ...[]byte) { p.wantRate(s, 0, parts...) }

func (p *plan) wantRate(s *layout.Set, rate uint32, parts ...[]byte) {
	p.wants[layout.Of(s, parts...)] = owner{p.until, rate}
}

// wantUntil asks for less than the action's own life.
func (p *plan) wantUntil(until time.Time, s *layout.Set, parts ...[]byte) {
	if until.After(p.until) {
		until = p.until
	}
	p.wants[layout.Of(s, parts...)] = owner{until: until}
}

// known is one way in which a device is known at a port.
type known struct {
	who layout.Who
	key []byte
}

// knownBy returns how a device is known: by its MAC, or without one by its
// addresses.
func knownBy(d *cordon.Device) []known {
	if d.HasMAC {
		return []known{{layout.ByMAC, d.MAC[:]}}
	}
	var ks []known
	for _, a := range addrsOf(d) {
		if a.Is4() {
			ks = append(ks, known{layout.ByAddr4, a.AsSlice()})
		} else {
			ks = append(ks, known{layout.ByAddr6, a.AsSlice()})
		}
	}
	return ks
}

// addrsOf returns the addresses of a device, the most recent of each family.
func addrsOf(d *cordon.Device) []netip.Addr {
	var as []netip.Addr
	var four, six int
	for _, a := range d.Addrs {
		a = a.Unmap().WithZone("")
		if !a.IsValid() || a.IsUnspecified() || a.IsMulticast() || a.IsLoopback() || slices.Contains(as, a) {
			continue
		}
		n := &six
		if a.Is4() {
			n = &four
		}
		if *n++; *n <= mostAddrs {
			as = append(as, a)
		}
	}
	return as
}

// planFor works out what an action means in the kernel.
func (t *Table) planFor(d *cordon.Device, a *cordon.Action, now, until time.Time) (*plan, error) {
	p := &plan{now: now, until: until, wants: make(map[element]owner)}
	if err := t.check(d, a); err != nil {
		return nil, err
	}
	target := &a.Entity.Target
	switch {
	case a.Verb == cordon.VerbQuarantine:
		t.quarantine(p, d)
	case target.Stray:
		p.strays(d, target.Proto, a.Rate.Packets) // 0 of a block
	case a.Verb == cordon.VerbBlock:
		p.scope(layout.Block, 0, d, target)
		p.inbound(d, target)
	case a.Verb == cordon.VerbLimit:
		if n := a.Rate.Packets; n > 0 {
			p.scope(layout.Limit, n, d, target)
		}
		if n := a.Rate.Connections; n > 0 {
			p.scope(layout.Connections, n, d, target)
		}
	}
	if len(p.wants) == 0 {
		return nil, errors.New("the device has no address of the family that is meant")
	}
	return p, nil
}

// check refuses what must not be done, or cannot be told from other traffic.
func (t *Table) check(d *cordon.Device, a *cordon.Action) error {
	target := &a.Entity.Target
	if d == nil {
		return errors.New("no device")
	}
	if t.home.IsRouter(d, addrsOf(d)) {
		return errors.New("the device is the router itself")
	}
	if !d.HasMAC && len(addrsOf(d)) == 0 || d.HasMAC && (d.MAC == cordon.MAC{} || d.MAC.Group()) {
		return errors.New("the device has neither a MAC nor an address")
	}
	switch a.Verb {
	case cordon.VerbQuarantine:
		if !target.Zero() {
			return errors.New("only a whole device can be quarantined")
		}
		return nil
	case cordon.VerbBlock:
		if (cordon.Target{Name: target.Name}).Zero() || target.Zero() {
			break
		}
	case cordon.VerbLimit:
		if a.Rate == (cordon.Rate{}) {
			return errors.New("a limit needs a rate")
		}
		if target.Stray && a.Rate.Packets == 0 {
			return errors.New("stray packets are of no connection whose beginnings could be limited")
		}
	default:
		return fmt.Errorf("verb %q is not for the kernel", a.Verb)
	}
	return t.checkTarget(a.Verb, target)
}

func (t *Table) checkTarget(v cordon.Verb, target *cordon.Target) error {
	named := target.Peer.IsValid() || target.Net.IsValid() || len(target.Ports) > 0
	switch {
	case len(target.Ports) > mostPorts:
		return fmt.Errorf("%d ports, want at most %d", len(target.Ports), mostPorts)
	case target.LocalPort != 0 && (named || v == cordon.VerbLimit || target.Stray):
		return errors.New("a device's own port can be blocked, and only by itself")
	case target.Stray && named:
		return errors.New("stray packets are told apart by protocol only")
	case len(target.Ports) > 0 && target.Proto != 0 && !hasPorts(target.Proto):
		return fmt.Errorf("protocol %d has no ports", target.Proto)
	case v == cordon.VerbBlock && target.Proto == 0 && target.LocalPort == 0 && !named && !target.Stray:
		return errors.New("a block of everything is a quarantine")
	case target.Peer.IsValid() && v == cordon.VerbBlock:
		return t.home.MayBlock(target.Peer)
	case target.Net.IsValid():
		return t.mayBlockNet(target.Net, v)
	}
	return nil
}

func hasPorts(proto uint8) bool {
	switch proto {
	case unix.IPPROTO_TCP, unix.IPPROTO_UDP, unix.IPPROTO_SCTP, unix.IPPROTO_DCCP, unix.IPPROTO_UDPLITE:
		return true
	}
	return false
}

// mayBlockNet refuses networks that are not those the sets can hold: a /24 or a
// /48. Narrower ones would have to be widened.
func (t *Table) mayBlockNet(p netip.Prefix, v cordon.Verb) error {
	p = p.Masked()
	if p.Addr().Is4() && p.Bits() != 24 || p.Addr().Is6() && p.Bits() != 48 {
		return fmt.Errorf("network %s: want a /24 or a /48", p)
	}
	if v == cordon.VerbLimit {
		return nil
	}
	return t.home.MayBlockNet(p)
}

// protocols returns the protocols that a target means; 0 stands for any.
func protocols(target *cordon.Target) []byte {
	if target.Proto == 0 && (len(target.Ports) > 0 || target.LocalPort != 0) {
		return []byte{unix.IPPROTO_TCP, unix.IPPROTO_UDP}
	}
	return []byte{target.Proto}
}

// scope puts a part of a device's traffic into the sets of a measure.
func (p *plan) scope(m layout.Measure, rate uint32, d *cordon.Device, target *cordon.Target) {
	sc := &layout.Sets.Scopes[m]
	for _, k := range knownBy(d) {
		before := len(p.wants)
		for _, proto := range protocols(target) {
			p.part(sc, rate, k, []byte{proto}, target)
		}
		if len(p.wants) == before {
			continue
		}
		if m == layout.Connections {
			p.want(layout.Sets.Limited[k.who], k.key)
		} else {
			p.want(layout.Sets.MarkedBy(k.who), k.key)
		}
	}
}

func (p *plan) part(sc *layout.Scope, rate uint32, k known, proto []byte, target *cordon.Target) {
	dest, ports, without := target.Peer.Unmap().WithZone("").AsSlice(), sc.DestPort, sc.Dest
	six := target.Peer.Unmap().Is6()
	if !target.Peer.IsValid() && target.Net.IsValid() {
		dest, ports, without = target.Net.Masked().Addr().AsSlice(), sc.NetPort, sc.Net
		six = target.Net.Addr().Is6()
	}
	switch {
	case target.LocalPort != 0:
		p.want(sc.Local[k.who], k.key, proto, layout.PortBytes(target.LocalPort))
	case len(dest) > 0:
		way, ok := layout.PathOf(k.who, six)
		if !ok {
			return
		}
		if len(target.Ports) == 0 {
			p.wantRate(without[way], rate, k.key, dest, proto)
		}
		for _, n := range target.Ports {
			p.wantRate(ports[way], rate, k.key, dest, proto, layout.PortBytes(n))
		}
	case len(target.Ports) > 0:
		for _, n := range target.Ports {
			p.wantRate(sc.Port[k.who], rate, k.key, proto, layout.PortBytes(n))
		}
	default:
		p.wantRate(sc.Proto[k.who], rate, k.key, proto)
	}
}

// inbound ends also what a blocked place sends to the device's addresses.
func (p *plan) inbound(d *cordon.Device, target *cordon.Target) {
	if !target.Peer.IsValid() {
		return
	}
	l, peer := layout.Sets, target.Peer.Unmap().WithZone("")
	places, withPort, guarded := l.Peer4, l.PeerPort4, l.Guarded4
	if peer.Is6() {
		places, withPort, guarded = l.Peer6, l.PeerPort6, l.Guarded6
	}
	for _, a := range addrsOf(d) {
		if a.Is4() != peer.Is4() {
			continue
		}
		p.want(guarded, a.AsSlice())
		for _, proto := range protocols(target) {
			if len(target.Ports) == 0 {
				p.want(places, peer.AsSlice(), []byte{proto}, a.AsSlice())
			}
			for _, n := range target.Ports {
				p.want(withPort, peer.AsSlice(), []byte{proto}, layout.PortBytes(n), a.AsSlice())
			}
		}
	}
}

func (p *plan) strays(d *cordon.Device, proto uint8, rate uint32) {
	for _, k := range knownBy(d) {
		p.wantRate(layout.Sets.Strays[k.who], rate, k.key, []byte{proto})
	}
}

// quarantine cuts a device off by its MAC. Its addresses are held too, so that
// it does not come free by changing its MAC, but for holdFor only. Without a MAC
// the addresses are all there is.
func (t *Table) quarantine(p *plan, d *cordon.Device) {
	l, hold := layout.Sets, p.until
	if d.HasMAC {
		hold = p.now.Add(holdFor)
		p.want(l.Marked, d.MAC[:])
		for h := range layout.Hooks {
			p.want(l.Quarantined[h], d.MAC[:])
		}
	}
	for _, a := range addrsOf(d) {
		if t.home.MayBlock(a) != nil {
			continue
		}
		marked, held, isolated, guarded := l.Marked4, l.Held4, l.Isolated4, l.Guarded4
		if a.Is6() {
			marked, held, isolated, guarded = l.Marked6, l.Held6, l.Isolated6, l.Guarded6
		}
		p.wantUntil(hold, marked, a.AsSlice())
		for h := range layout.Hooks {
			p.wantUntil(hold, held[h], a.AsSlice())
		}
		p.want(isolated, a.AsSlice())
		p.want(guarded, a.AsSlice())
	}
}
