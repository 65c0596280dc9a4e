// Package meter counts what each device of the home sends to the internet and
// receives from it.
//
// Parsed packets come in; after each interval one cordon.Traffic for each device
// that sent or received anything goes out, to the detectors that judge rates. It
// serves sources that hand over every frame: a capture file, and live reading
// without eBPF. Where the kernel counts, the kernel tells the same numbers.
//
// A device is a MAC address that has sent to the internet from an address of the
// home. Frames without a destination MAC (raw and cooked captures) are not
// counted: what comes in could not be told apart, and all traffic would look
// one-way. A packet costs a few nanoseconds and allocates nothing.
package meter

import (
	"cmp"
	"net/netip"
	"time"

	"cordon"
	"cordon/agent/packet"
)

// DefaultInterval is short enough for a flood to be slowed down within a second
// of its first packet, whenever in an interval it began, and longer than an answer
// from anywhere on the internet takes.
const DefaultInterval = 500 * time.Millisecond

// DefaultDevices is the device table's size.
const DefaultDevices = 256

// How long a device may send and receive nothing before it is forgotten, and before
// its place is given to another when there is none left.
const (
	idle     = 10 * time.Minute
	idleFull = 10 * time.Second
)

// Config configures a Meter. Home and Tell are required.
type Config struct {
	Interval time.Duration // 0: DefaultInterval
	Devices  int           // counted at a time, at most 4096; 0: DefaultDevices
	// Home reports whether an address is on the home's side. What it says is
	// believed for an interval.
	Home func(netip.Addr) bool
	// Tell is told what a device did in an interval; Device is not set. The value is
	// valid during the call only.
	Tell func(*cordon.Traffic)
}

// Meter counts packets. It is owned by one goroutine.
type Meter struct {
	cfg     Config
	end     cordon.Time // of the interval at hand
	index   index
	entries []entry
	homes   homes
	runs    runs
	missed  uint64
	traffic cordon.Traffic
}

// New returns a Meter that has counted nothing.
func New(cfg Config) *Meter {
	cfg.Interval = cmp.Or(cfg.Interval, DefaultInterval)
	cfg.Devices = min(cmp.Or(cfg.Devices, DefaultDevices), maxDevices)
	m := &Meter{cfg: cfg, entries: make([]entry, 0, cfg.Devices), index: newIndex(cfg.Devices)}
	m.homes.ask = cfg.Home
	return m
}

// Missed returns how many packets were not counted because there was no place for
// their device.
func (m *Meter) Missed() uint64 { return m.missed }

// Advance tells what was counted if an interval has ended by now. It is to be
// called before the packets of now.
func (m *Meter) Advance(now cordon.Time) {
	if now < m.end {
		return
	}
	if m.end != 0 {
		m.tell()
	}
	m.end = now - now%cordon.Time(m.cfg.Interval) + cordon.Time(m.cfg.Interval)
}

// Packet counts one packet, of whatever direction.
func (m *Meter) Packet(p *packet.Packet) {
	if p.Layers&packet.HasIP == 0 || p.Layers&packet.HasMAC == 0 || p.DstMAC[0]&1 != 0 {
		return
	}
	from, to := key(&p.SrcMAC), key(&p.DstMAC)
	if to == 0 {
		return // a cooked capture
	}
	r := m.runs.of(from, to, p)
	switch {
	case r.entry == nil:
	case r.peer == p.Dst && r.own == p.Src && r.entry.mac == from:
		r.entry.sent(p, &r.far)
		return
	case r.peer == p.Src && r.own == p.Dst && r.entry.mac == to:
		r.entry.received(p, &r.far)
		return
	}
	m.packet(p, r, from, to)
}

// packet counts a packet that is not of the run at its place, and begins its own.
func (m *Meter) packet(p *packet.Packet, r *run, from, to uint64) {
	src, dst := farOf(p.Src), farOf(p.Dst)
	fromHome, toHome := m.homes.home(p.Src, &src), m.homes.home(p.Dst, &dst)
	switch {
	case fromHome && toHome:
	case fromHome:
		if e := m.sender(from); e != nil {
			*r = run{e, p.Src, p.Dst, dst}
			e.sent(p, &dst)
		}
	case toHome:
		if e := m.index.find(m.entries, to); e != nil {
			*r = run{e, p.Dst, p.Src, src}
			e.received(p, &src)
		}
	default:
		if e := m.index.find(m.entries, from); e != nil {
			e.forged(p)
		}
	}
}

// sender returns the entry of a device that sends, nil if there is no place.
func (m *Meter) sender(mac uint64) *entry {
	if e := m.index.find(m.entries, mac); e != nil {
		return e
	}
	if len(m.entries) == cap(m.entries) {
		m.missed++
		return nil
	}
	m.entries = append(m.entries, entry{mac: mac, used: m.end})
	m.index.add(mac, len(m.entries)-1)
	return &m.entries[len(m.entries)-1]
}

// tell tells what each device did in the interval that has ended, in the order in
// which they were first seen, and forgets those that were idle.
func (m *Meter) tell() {
	stale, life := false, idle
	if len(m.entries) == cap(m.entries) {
		life = idleFull
	}
	for i := range m.entries {
		e := &m.entries[i]
		if !e.active {
			stale = stale || m.end.Sub(e.used) >= life
			continue
		}
		e.used = m.end
		e.traffic(&m.traffic)
		m.traffic.At, m.traffic.Span = m.end, m.cfg.Interval
		e.clear()
		m.cfg.Tell(&m.traffic)
	}
	if stale {
		m.forget(life)
	}
	m.homes.forget()
	m.runs = runs{}
}

// forget drops the idle entries.
func (m *Meter) forget(life time.Duration) {
	kept := m.entries[:0]
	m.index.clear()
	for _, e := range m.entries {
		if m.end.Sub(e.used) < life {
			m.index.add(e.mac, len(kept))
			kept = append(kept, e)
		}
	}
	m.entries = kept
}
