// Package lateral judges scan.lateral: a device that goes through its neighbours
// at home.
//
// Malware that is inside looks for more: it asks the network who is there (ARP,
// NDP, ping) or tries the same door of every neighbour. Phones, printers and
// assistants look around as well, so this only adds evidence; it never acts or
// disturbs anybody by itself.
package lateral

import (
	"cmp"
	"fmt"
	"time"

	"cordon"
	"cordon/agent/packet"
	"cordon/internal/slots"
	"cordon/internal/window"
)

// Config configures a Detector. Zero fields take the defaults.
type Config struct {
	ARP    int           // neighbours asked for by ARP or NDP; default 20
	Ping   int           // neighbours pinged; default 10
	Tried  int           // neighbours that probed services were tried at in vain; default 4
	Window time.Duration // within which; default 60 s
	Renew  time.Duration // how often a scan that goes on is told again; default 30 min
	Report func(cordon.Detection)
}

// Detector judges scan.lateral.
type Detector struct {
	cfg   Config
	state slots.Table[device]
}

type device struct {
	asked, pinged, tried sweep
}

type sweep struct {
	window.Distinct
	told cordon.Time
}

// New returns a Detector.
func New(cfg Config) *Detector {
	cfg.ARP = min(cmp.Or(cfg.ARP, 20), window.Max)
	cfg.Ping = min(cmp.Or(cfg.Ping, 10), window.Max)
	cfg.Tried = min(cmp.Or(cfg.Tried, 4), window.Max)
	cfg.Window = cmp.Or(cfg.Window, time.Minute)
	cfg.Renew = cmp.Or(cfg.Renew, 30*time.Minute)
	return &Detector{cfg: cfg}
}

// Observe takes a fact.
func (d *Detector) Observe(o *cordon.Observation, now cordon.Time) {
	if o.Fact != cordon.FactARP && o.Fact != cordon.FactNeighbour || len(o.Addrs) == 0 ||
		o.Device.Relay {
		return
	}
	s := d.state.Get(o.Device.Slot, o.Device.Generation)
	d.step(&s.asked, d.cfg.ARP, window.AddrKey(o.Addrs[0]), now, judgement{
		device: o.Device, what: "searched the home network for", evidence: "neighbours asked for by ARP or NDP"})
}

// Flow takes what happened to a flow.
func (d *Detector) Flow(ev cordon.FlowEvent, f *cordon.Flow, now cordon.Time) {
	if f.Direction != cordon.Lateral || f.Midstream || f.Device.Relay {
		return
	}
	s := d.state.Get(f.Device.Slot, f.Device.Generation)
	switch {
	case (f.Proto == packet.ProtoICMP || f.Proto == packet.ProtoICMPv6) && ev == cordon.FlowOpened:
		d.step(&s.pinged, d.cfg.Ping, window.AddrKey(f.Peer), now, judgement{
			device: f.Device, what: "pinged", evidence: "neighbours pinged", target: cordon.Target{Proto: f.Proto}})
	case f.Proto == packet.ProtoTCP && cordon.ProbePort(f.PeerPort) && !f.Resolved &&
		(ev == cordon.FlowRefused || ev == cordon.FlowSilent):
		d.step(&s.tried, d.cfg.Tried, window.AddrKey(f.Peer), now, judgement{
			device: f.Device, what: "tried the doors of",
			evidence: "neighbours that did not let it in", target: cordon.Target{Proto: packet.ProtoTCP}})
	}
}

// judgement is what a detection about a sweep says.
type judgement struct {
	device         *cordon.Device
	what, evidence string
	target         cordon.Target
}

func (d *Detector) step(s *sweep, threshold int, key uint64, now cordon.Time, j judgement) {
	if !s.AddKey(key, int64(now), d.cfg.Window) || !s.Reached(threshold, int64(now), d.cfg.Window) ||
		s.told != 0 && now.Sub(s.told) < d.cfg.Renew {
		return
	}
	s.told = now
	since := cordon.Time(s.Since(threshold))
	d.cfg.Report(cordon.Detection{
		Kind: cordon.ScanLateral, Device: j.device, At: now, Since: since, Confirmed: true,
		Sentence: fmt.Sprintf("It %s %d other devices of the home within %s.", j.what, threshold, cordon.Span(now.Sub(since))),
		Subject:  "the home network",
		Target:   j.target,
		Evidence: []cordon.Evidence{{Name: j.evidence, Value: float64(threshold), Threshold: float64(threshold),
			Unit: "neighbours", Window: d.cfg.Window}},
	})
}
