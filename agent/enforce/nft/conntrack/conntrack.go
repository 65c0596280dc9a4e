// Package conntrack ends connections: it deletes the entries of the kernel's
// connection tracking that an action concerns, so that what was let through
// before is looked at anew, by the rules of now.
//
// The table may have 200,000 entries, so they are compared one by one as the
// kernel lists them, and never kept.
package conntrack

import (
	"encoding/binary"
	"errors"
	"fmt"
	"net/netip"
	"slices"

	"golang.org/x/sys/unix"

	"cordon"
	"cordon/internal/nfnetlink"
)

// Messages and attributes of linux/netfilter/nfnetlink_conntrack.h.
const (
	subsystem = unix.NFNL_SUBSYS_CTNETLINK
	msgGet    = 1
	msgDelete = 2

	attrOrig = 1
	attrID   = 12
	attrZone = 18

	tupleIP    = 1
	tupleProto = 2

	ipSource4, ipDest4, ipSource6, ipDest6 = 1, 2, 3, 4

	protoNumber, protoSource, protoDest = 1, 2, 3
)

// Tuple is one direction of a connection. Protocols without ports leave them 0.
type Tuple struct {
	Source, Dest         netip.Addr
	SourcePort, DestPort uint16
	Proto                uint8
}

// Connection is an entry: the two directions, as the kernel sees them.
type Connection struct {
	Orig, Reply Tuple
}

// Match says which connections are meant. A connection is if either end of it is
// one of Devices and everything else fits.
type Match struct {
	Devices []netip.Addr              // none: any
	Peer    netip.Prefix              // the far side, the zero Prefix: any
	Proto   uint8                     // 0: any
	Ports   []uint16                  // of the far side, none: any
	Local   uint16                    // the device's own port, 0: any
	far     func(netip.AddrPort) bool // says whether a far side is meant, nil: any
}

// Of returns which connections of a device, which is known by its addresses, an action
// ends. A limit ends none, and neither does what concerns packets of no connection.
func Of(a *cordon.Action, device []netip.Addr) []Match {
	if len(device) == 0 || a.Verb != cordon.VerbBlock && a.Verb != cordon.VerbQuarantine || a.Entity.Target.Stray {
		return nil
	}
	t := &a.Entity.Target
	m := Match{Devices: slices.Clone(device), Proto: t.Proto, Ports: slices.Clone(t.Ports), Local: t.LocalPort}
	switch peer := t.Peer.Unmap().WithZone(""); {
	case peer.IsValid():
		m.Peer = netip.PrefixFrom(peer, peer.BitLen())
	case t.Net.IsValid():
		m.Peer = t.Net.Masked()
	}
	return []Match{m}
}

// With returns which connections of any device are with one of these places, sorted
// as netip.AddrPort.Compare does; port 0: any. The list is kept.
func With(sorted []netip.AddrPort) Match {
	contains := func(at netip.AddrPort) bool {
		_, found := slices.BinarySearchFunc(sorted, at, netip.AddrPort.Compare)
		return found
	}
	return Match{far: func(at netip.AddrPort) bool {
		return contains(netip.AddrPortFrom(at.Addr(), 0)) || contains(at)
	}}
}

// Fits reports whether a connection is meant.
func (m *Match) Fits(c *Connection) bool {
	if m.Proto != 0 && m.Proto != c.Orig.Proto {
		return false
	}
	// Whoever opened it, the device is the source of one direction, before the
	// router's address translation and after.
	return m.side(c.Orig.Source, c.Orig.SourcePort, c.Orig.Dest, c.Orig.DestPort) ||
		m.side(c.Reply.Source, c.Reply.SourcePort, c.Orig.Source, c.Orig.SourcePort)
}

func (m *Match) side(device netip.Addr, local uint16, peer netip.Addr, port uint16) bool {
	return has(m.Devices, device) && (!m.Peer.IsValid() || m.Peer.Contains(peer)) &&
		has(m.Ports, port) && (m.Local == 0 || m.Local == local) &&
		(m.far == nil || m.far(netip.AddrPortFrom(peer, port)))
}

func has[T comparable](list []T, v T) bool {
	for _, e := range list {
		if e == v {
			return true
		}
	}
	return len(list) == 0
}

// Table is the connection tracking table of a network namespace.
type Table struct {
	sock *nfnetlink.Socket
}

// Open opens the table of the calling thread's namespace.
func Open() (*Table, error) {
	s, err := nfnetlink.Open()
	if err != nil {
		return nil, err
	}
	return &Table{s}, nil
}

// Close closes it.
func (t *Table) Close() error { return t.sock.Close() }

// mostCut bounds how many connections one Cut ends; what is left shows in Count.
const mostCut = 1 << 16

// Cut ends the connections that are meant and returns how many there were.
func (t *Table) Cut(m *Match) (int, error) {
	cut, at := 0, []byte(nil)
	for _, family := range m.families() {
		// The deletions are written while the kernel lists, and sent afterwards.
		at = at[:0]
		var ends []int
		err := t.each(family, func(b []byte, c *Connection) {
			if len(ends) < mostCut && m.Fits(c) {
				at = appendEntry(at, b)
				ends = append(ends, len(at))
			}
		})
		if err != nil && !errors.Is(err, nfnetlink.ErrInterrupted) {
			return cut, err
		}
		start := 0
		for _, end := range ends {
			err := t.sock.Request(subsystem, msgDelete, 0, family, func(b *nfnetlink.Batch) {
				for kind, v := range nfnetlink.Attributes(at[start:end]) {
					b.Bytes(kind, v)
				}
			}, nil)
			start = end
			switch {
			case err == nil:
				cut++
			case !errors.Is(err, unix.ENOENT):
				return cut, fmt.Errorf("delete a connection: %w", err)
			}
		}
	}
	return cut, nil
}

// Count returns how many connections that are meant there are.
func (t *Table) Count(m *Match) (n int, err error) {
	for _, family := range m.families() {
		if err := t.each(family, func(_ []byte, c *Connection) {
			if m.Fits(c) {
				n++
			}
		}); err != nil && !errors.Is(err, nfnetlink.ErrInterrupted) {
			return n, err
		}
	}
	return n, nil
}

// families returns the address families that can fit.
func (m *Match) families() []uint8 {
	four, six := len(m.Devices) == 0, len(m.Devices) == 0
	for _, a := range m.Devices {
		four, six = four || a.Is4(), six || a.Is6()
	}
	if m.Peer.IsValid() {
		four, six = four && m.Peer.Addr().Is4(), six && m.Peer.Addr().Is6()
	}
	var fs []uint8
	if four {
		fs = append(fs, unix.AF_INET)
	}
	if six {
		fs = append(fs, unix.AF_INET6)
	}
	return fs
}

// each hands over every connection of a family.
func (t *Table) each(family uint8, f func(entry []byte, c *Connection)) error {
	err := t.sock.Request(subsystem, msgGet, nfnetlink.Dump, family, nil, func(b []byte) error {
		var c Connection
		if Parse(b, &c) {
			f(b, &c)
		}
		return nil
	})
	if err != nil {
		return fmt.Errorf("list connections: %w", err)
	}
	return nil
}

// appendEntry appends what names an entry: its first direction, its zone, and
// the id by which a later one with the same addresses is told from it.
func appendEntry(to, entry []byte) []byte {
	for kind, v := range nfnetlink.Attributes(entry) {
		if kind == attrOrig || kind == attrID || kind == attrZone {
			if kind == attrOrig {
				kind |= unix.NLA_F_NESTED
			}
			to = binary.NativeEndian.AppendUint16(to, uint16(4+len(v)))
			to = binary.NativeEndian.AppendUint16(to, kind)
			to = append(to, v...)
			for len(to)%4 != 0 {
				to = append(to, 0)
			}
		}
	}
	return to
}

// Parse reads an entry as the kernel lists it, false if it lacks a direction.
func Parse(b []byte, c *Connection) bool {
	orig, reply := false, false
	for kind, v := range nfnetlink.Attributes(b) {
		switch kind {
		case attrOrig:
			orig = c.Orig.parse(v)
		case attrOrig + 1:
			reply = c.Reply.parse(v)
		}
	}
	return orig && reply
}

func (t *Tuple) parse(b []byte) bool {
	for kind, v := range nfnetlink.Attributes(b) {
		for part, value := range nfnetlink.Attributes(v) {
			switch {
			case kind == tupleIP && (part == ipSource4 || part == ipSource6):
				t.Source, _ = netip.AddrFromSlice(value)
			case kind == tupleIP && (part == ipDest4 || part == ipDest6):
				t.Dest, _ = netip.AddrFromSlice(value)
			case kind == tupleProto && part == protoNumber && len(value) == 1:
				t.Proto = value[0]
			case kind == tupleProto && part == protoSource && len(value) == 2:
				t.SourcePort = binary.BigEndian.Uint16(value)
			case kind == tupleProto && part == protoDest && len(value) == 2:
				t.DestPort = binary.BigEndian.Uint16(value)
			}
		}
	}
	return t.Source.IsValid() && t.Dest.IsValid()
}
