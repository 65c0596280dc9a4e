// Package vertical judges scan.vertical: many services of one host that do not
// answer.
//
// Somebody who looks for a way into a host tries its ports one after the other.
// Healthy programs open several ports of one host too (FTP in passive mode, games,
// TURN relays), but those answer, so a port counts when it was tried, an answer
// takes it back, and nothing is told before a third was refused or the first has
// been silent for a second. UDP has no answer to rely on: there a port counts when
// the host refused it, traceroute's ports left out.
package vertical

import (
	"cmp"
	"fmt"
	"net/netip"
	"time"

	"cordon"
	"cordon/agent/packet"
	"cordon/internal/slots"
	"cordon/internal/window"
)

// Config configures a Detector. Zero fields take the defaults.
type Config struct {
	// Ports unanswered ports of one host within Window are a scan; defaults 15 in
	// 10 s (CrowdSec's port scan scenarios use 15 distinct ports). At most
	// window.Max.
	Ports  int
	Window time.Duration
	Renew  time.Duration // how often a scan that goes on is told again; default 10 min
	Report func(cordon.Detection)
}

// patience is how long a first attempt may wait for its answer: most of the
// internet answers within a few hundred milliseconds.
const patience = time.Second

// maxTargets is how many hosts are watched per device at a time.
const maxTargets = 8

// Traceroute counts UDP ports up from 33434, a few a hop.
const (
	tracerouteFirst = 33434
	tracerouteLast  = 33434 + 30*5
)

// Detector judges scan.vertical.
type Detector struct {
	cfg   Config
	state slots.Table[slots.Few[netip.Addr, target]] // by host
}

// target is one host that a device tries the ports of.
type target struct {
	refused int // attempts, since the count began
	ports   window.Distinct
	failed  uint64
	since   cordon.Time
	last    cordon.Time
	told    cordon.Time
}

// New returns a Detector.
func New(cfg Config) *Detector {
	cfg.Ports = min(cmp.Or(cfg.Ports, 15), window.Max)
	cfg.Window = cmp.Or(cfg.Window, 10*time.Second)
	cfg.Renew = cmp.Or(cfg.Renew, 10*time.Minute)
	return &Detector{cfg: cfg}
}

// Flow takes what happened to a flow.
func (d *Detector) Flow(ev cordon.FlowEvent, f *cordon.Flow, now cordon.Time) {
	if f.Midstream || f.Direction == cordon.Inbound {
		return
	}
	tcp := f.Proto == packet.ProtoTCP
	switch {
	case tcp && ev == cordon.FlowOpened:
		d.tried(f, now)
	case tcp && ev == cordon.FlowAnswered:
		d.answered(f, now)
	case tcp && (ev == cordon.FlowRefused || ev == cordon.FlowSilent):
		d.refused(f, now)
	case f.Proto == packet.ProtoUDP && ev == cordon.FlowRefused && (f.PeerPort < tracerouteFirst || f.PeerPort > tracerouteLast):
		d.tried(f, now)
	}
}

func (d *Detector) tried(f *cordon.Flow, now cordon.Time) {
	t := d.state.Get(f.Device.Slot, f.Device.Generation).Get(f.Peer, int64(now), maxTargets)
	if t.since == 0 || now.Sub(t.last) > d.cfg.Window {
		t.since, t.failed, t.refused = now, 0, 0
	}
	if !t.ports.AddKey(uint64(f.PeerPort), int64(now), d.cfg.Window) {
		return
	}
	t.last = now
	t.failed++
	if f.Proto == packet.ProtoUDP {
		t.refused++
	}
	d.judge(t, f, now)
}

// refused notes that a port which counts already does not answer.
func (d *Detector) refused(f *cordon.Flow, now cordon.Time) {
	if t := d.state.Get(f.Device.Slot, f.Device.Generation).Peek(f.Peer, int64(now)); t != nil {
		t.refused++
		d.judge(t, f, now)
	}
}

func (d *Detector) judge(t *target, f *cordon.Flow, now cordon.Time) {
	if !t.ports.Reached(d.cfg.Ports, int64(now), d.cfg.Window) || t.told != 0 && now.Sub(t.told) < d.cfg.Renew {
		return
	}
	if t.refused < d.cfg.Ports/3 && now.Sub(cordon.Time(t.ports.Since(d.cfg.Ports))) < patience {
		return // they may all be about to answer
	}
	t.told = now
	d.cfg.Report(d.detection(f, t, now))
}

func (d *Detector) answered(f *cordon.Flow, now cordon.Time) {
	t := d.state.Get(f.Device.Slot, f.Device.Generation).Peek(f.Peer, int64(now))
	if t != nil && t.ports.Remove(uint64(f.PeerPort)) && t.failed > 0 {
		t.failed--
	}
}

func (d *Detector) detection(f *cordon.Flow, t *target, now cordon.Time) cordon.Detection {
	where := "a computer on the internet"
	if f.Direction == cordon.Lateral {
		where = "another device of the home"
	}
	return cordon.Detection{
		Kind: cordon.ScanVertical, Device: f.Device, At: now, Since: t.since, Confirmed: true,
		Sentence: fmt.Sprintf("It tried %d doors of %s (%s) within %s, one after the other.",
			t.failed, where, f.Peer, cordon.Span(now.Sub(t.since))),
		Subject: f.Peer.String(),
		Target:  cordon.Target{Peer: f.Peer},
		Evidence: []cordon.Evidence{{Name: "ports of one host that did not answer", Value: float64(t.failed),
			Threshold: float64(d.cfg.Ports), Unit: "ports", Window: d.cfg.Window}},
	}
}
