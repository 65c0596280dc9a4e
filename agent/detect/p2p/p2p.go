// Package p2p judges c2.p2p: a thing that takes part in a peer-to-peer network.
//
// Botnets without a server find each other through BitTorrent's DHT (Hajime,
// Mozi: Herwig et al., Measurement and Analysis of Hajime, 2019) or by a protocol
// of their own (Hide and Seek): from one UDP port, to many strangers on ports all
// over the range, most of whom are gone. A camera or a recorder has no business
// there; a PC, a phone, a game console or a storage box has.
package p2p

import (
	"bytes"
	"cmp"
	"fmt"
	"net/netip"
	"slices"
	"strings"
	"time"

	"cordon"
	"cordon/agent/packet"
	"cordon/internal/slots"
	"cordon/internal/window"
)

// Config configures a Detector. Zero fields take the defaults.
type Config struct {
	// DHT different hosts that a thing talks DHT with within Window; default 8 in
	// 5 min. A device of unknown class may be a computer that shares files: of it
	// as many as can be counted, window.Max, are a sign.
	DHT int
	// Strangers different hosts that a device sends equally small datagrams to,
	// from one port and next to none answering, within Window; default 24. At
	// most window.Max.
	Strangers int
	Window    time.Duration
	Renew     time.Duration // how often it is told again; default 1 h
	Report    func(cordon.Detection)
}

const (
	// maxBootstrap is the size, with IP and UDP headers, up to which a datagram is
	// a call into the dark rather than data.
	maxBootstrap = 28 + 64
)

// mozi is how the node ids of Mozi begin (Netlab 360, Mozi, 2019).
var mozi = []byte("88888888")

// Detector judges c2.p2p.
type Detector struct {
	cfg   Config
	state slots.Table[device]
}

type device struct {
	dht      window.Distinct
	mozi     bool
	dhtSince cordon.Time
	dhtTold  cordon.Time

	port      uint16 // that the device calls from
	size      uint64 // of its datagrams
	strangers window.Distinct
	answered  int
	since     cordon.Time
	told      cordon.Time
	samples   []string
}

// New returns a Detector.
func New(cfg Config) *Detector {
	cfg.DHT = min(cmp.Or(cfg.DHT, 8), window.Max)
	cfg.Strangers = min(cmp.Or(cfg.Strangers, 24), window.Max)
	cfg.Window = cmp.Or(cfg.Window, 5*time.Minute)
	cfg.Renew = cmp.Or(cfg.Renew, time.Hour)
	return &Detector{cfg: cfg}
}

// sociableMakers make things that take part in peer-to-peer networks for their
// owners: storage boxes and game consoles. A name or model does not count, it is
// what the device says of itself.
var sociableMakers = []string{"synology", "qnap", "asustor", "western digital", "nintendo", "sony interactive", "microsoft", "valve"}

// sociable reports whether a device may well take part in peer-to-peer networks.
func sociable(d *cordon.Device) bool {
	maker := strings.ToLower(d.Maker)
	return d.Class == cordon.Personal ||
		slices.ContainsFunc(sociableMakers, func(m string) bool { return strings.HasPrefix(maker, m) })
}

// Observe takes a fact.
func (d *Detector) Observe(o *cordon.Observation, now cordon.Time) {
	if o.Fact != cordon.FactDHT || o.Flow == nil || sociable(o.Flow.Device) {
		return
	}
	f := o.Flow
	s := d.state.Get(f.Device.Slot, f.Device.Generation)
	if o.Opener != (f.Direction != cordon.Inbound) {
		return // what strangers say to the device is not its doing
	}
	s.mozi = s.mozi || bytes.HasPrefix(o.Data, mozi)
	if s.dhtSince == 0 {
		s.dhtSince = now
	}
	enough := d.cfg.DHT
	if f.Device.Class != cordon.IoT && !s.mozi {
		enough = window.Max
	}
	if !s.dht.AddKey(window.AddrKey(f.Peer), int64(now), d.cfg.Window) || !s.dht.Reached(enough, int64(now), d.cfg.Window) ||
		s.dhtTold != 0 && now.Sub(s.dhtTold) < d.cfg.Renew {
		return
	}
	s.dhtTold = now
	sentence := "It takes part in a file-sharing network, as worms do that have no server of their own; a device of its kind has no reason to."
	if s.mozi {
		sentence = "It takes part in the network of the Mozi worm."
	}
	d.cfg.Report(cordon.Detection{
		Kind: cordon.C2P2P, Device: f.Device, At: now, Since: s.dhtSince,
		Confirmed: f.Device.Class == cordon.IoT || s.mozi, Sentence: sentence, Subject: "BitTorrent DHT",
		Target: cordon.Target{Proto: packet.ProtoUDP, LocalPort: f.LocalPort},
		Evidence: []cordon.Evidence{{Name: "different hosts it talks DHT with", Value: float64(enough),
			Threshold: float64(enough), Unit: "hosts", Window: d.cfg.Window}},
	})
}

// Flow takes what happened to a flow.
func (d *Detector) Flow(ev cordon.FlowEvent, f *cordon.Flow, now cordon.Time) {
	if f.Proto != packet.ProtoUDP || f.Direction != cordon.Outbound || f.Resolved || f.Midstream ||
		f.PeerPort < 1024 || sociable(f.Device) {
		return
	}
	s := d.state.Get(f.Device.Slot, f.Device.Generation)
	switch ev {
	case cordon.FlowOpened:
		d.called(s, f, now)
	case cordon.FlowAnswered:
		if f.LocalPort == s.port {
			s.answered++
		}
	}
}

// called notes a datagram to a stranger. Another port or size is another
// program, and the count begins anew.
func (d *Detector) called(s *device, f *cordon.Flow, now cordon.Time) {
	if f.Out.Bytes > maxBootstrap || s.dhtSince != 0 && !s.mozi && f.Device.Class != cordon.IoT {
		return // data, or a computer that shares files: its dead peers look the same
	}
	if f.LocalPort != s.port || f.Out.Bytes != s.size {
		s.port, s.size, s.strangers, s.answered = f.LocalPort, f.Out.Bytes, window.Distinct{}, 0
		s.since, s.samples = now, s.samples[:0]
	}
	if !s.strangers.AddKey(window.AddrKey(f.Peer), int64(now), d.cfg.Window) {
		return
	}
	if len(s.samples) < 5 {
		s.samples = append(s.samples, netip.AddrPortFrom(f.Peer, f.PeerPort).String())
	}
	if !s.strangers.Reached(d.cfg.Strangers, int64(now), d.cfg.Window) || s.answered > d.cfg.Strangers/4 ||
		s.told != 0 && now.Sub(s.told) < d.cfg.Renew {
		return
	}
	s.told = now
	d.cfg.Report(cordon.Detection{
		Kind: cordon.C2P2P, Device: f.Device, At: now, Since: s.since, Confirmed: f.Device.Class == cordon.IoT,
		Sentence: fmt.Sprintf("It called %d strangers on the internet within %s, all with the same few bytes and next to none answering, as worms do that look for their like.",
			d.cfg.Strangers, cordon.Span(now.Sub(s.since))),
		Subject: fmt.Sprintf("UDP from port %d", f.LocalPort),
		Target:  cordon.Target{Proto: packet.ProtoUDP, LocalPort: f.LocalPort},
		Evidence: []cordon.Evidence{
			{Name: "different hosts sent the same-sized datagram", Value: float64(d.cfg.Strangers), Threshold: float64(d.cfg.Strangers), Unit: "hosts", Window: d.cfg.Window},
			{Name: "of these that answered", Value: float64(s.answered), Unit: "hosts"},
			{Name: "size of the datagram", Value: float64(f.Out.Bytes), Unit: "bytes"},
		},
		Samples: append([]string(nil), s.samples...),
	})
}
