// Package mirai judges scan.mirai: TCP SYNs whose sequence number is the address
// that they go to.
//
// Mirai's scanner writes its SYNs by hand, 40 bytes without any option, and puts
// the destination into the sequence number so that it can tell the answers to
// its own probes without keeping state (scanner.c of the leaked source; Antonakakis
// et al., Understanding the Mirai Botnet, 2017, §3). An ordinary system draws the
// number at random (RFC 9293 §3.4.1) and sends options, so one such SYN happens by
// chance once in 2³² of the few that carry no option.
package mirai

import (
	"cmp"
	"encoding/binary"
	"fmt"
	"net/netip"
	"slices"
	"time"

	"cordon"
	"cordon/agent/packet"
	"cordon/internal/slots"
	"cordon/internal/window"
)

// Config configures a Detector. Zero fields take the defaults.
type Config struct {
	Hits   int           // different destinations that confirm; default 2
	Window time.Duration // within which they must come; default 60 s
	Renew  time.Duration // how often a scan that goes on is told again; default 10 min
	Report func(cordon.Detection)
}

// Detector judges scan.mirai.
type Detector struct {
	cfg   Config
	state slots.Table[state]
}

type state struct {
	hits    window.Distinct
	total   uint64
	since   cordon.Time
	told    cordon.Time
	level   int // 0 nothing told, 1 the first sign, 2 confirmed
	ports   []uint16
	samples []string
}

// maxSamples is how many destinations a detection names for a person to check.
const maxSamples = 5

// New returns a Detector.
func New(cfg Config) *Detector {
	cfg.Hits = cmp.Or(cfg.Hits, 2)
	cfg.Window = cmp.Or(cfg.Window, time.Minute)
	cfg.Renew = cmp.Or(cfg.Renew, 10*time.Minute)
	return &Detector{cfg: cfg}
}

// Flow takes what happened to a flow.
func (d *Detector) Flow(ev cordon.FlowEvent, f *cordon.Flow, now cordon.Time) {
	if ev != cordon.FlowOpened || !marked(f) {
		return
	}
	s := d.state.Get(f.Device.Slot, f.Device.Generation)
	if s.level > 0 && now.Sub(s.told) > 2*d.cfg.Renew {
		*s = state{} // that was another scan
	}
	s.total++
	if !s.hits.AddKey(window.AddrKey(f.Peer), int64(now), d.cfg.Window) {
		return
	}
	s.note(f, now)
	confirmed := s.hits.Reached(d.cfg.Hits, int64(now), d.cfg.Window)
	switch {
	case confirmed && s.level < 2:
		s.level = 2
	case s.level == 0:
		s.level = 1
	case now.Sub(s.told) < d.cfg.Renew:
		return
	}
	s.told = now
	d.cfg.Report(d.detection(f, s, confirmed, now))
}

// marked reports whether a flow began with a SYN that Mirai's scanner wrote.
func marked(f *cordon.Flow) bool {
	if f.Proto != packet.ProtoTCP || !f.Bare || f.Midstream || f.Direction == cordon.Inbound || !f.Peer.Is4() {
		return false
	}
	a := f.Peer.As4()
	return binary.BigEndian.Uint32(a[:]) == f.FirstSeq
}

func (s *state) note(f *cordon.Flow, now cordon.Time) {
	if s.since == 0 {
		s.since = now
	}
	if len(s.samples) < maxSamples {
		s.samples = append(s.samples, netip.AddrPortFrom(f.Peer, f.PeerPort).String())
	}
	for _, p := range cordon.ClassOfPort(f.PeerPort).Ports {
		if !slices.Contains(s.ports, p) && len(s.ports) < 16 {
			s.ports = append(s.ports, p)
		}
	}
}

func (d *Detector) detection(f *cordon.Flow, s *state, confirmed bool, now cordon.Time) cordon.Detection {
	sentence := "It sent a connection attempt of the sort that only the Mirai worm makes when it looks for victims."
	if confirmed {
		sentence = fmt.Sprintf("It looks for victims as the Mirai worm does: %d connection attempts of the sort that only this worm makes.", s.total)
	}
	return cordon.Detection{
		Kind: cordon.ScanMirai, Device: f.Device, At: now, Since: s.since, Confirmed: confirmed,
		Sentence: sentence,
		Subject:  cordon.ClassOfPort(f.PeerPort).Name,
		Target:   cordon.Target{Proto: packet.ProtoTCP, Ports: slices.Clone(s.ports)},
		Evidence: []cordon.Evidence{{
			Name: "destinations whose address is the SYN's sequence number", Value: float64(s.total),
			Threshold: float64(d.cfg.Hits), Unit: "SYNs", Window: d.cfg.Window,
		}},
		Samples: slices.Clone(s.samples),
	}
}
