// Package slow judges scan.slow: one probed service, many hosts that do not
// answer, over hours.
//
// A probe every few minutes stays below every other scan detector. Nothing at
// home connects to telnet, SMB or a debug bridge of several strangers in a day,
// so a handful of different silent hosts on such a port is worth keeping as
// evidence; the provider, who sees the same model in other homes, decides.
package slow

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
	// Hosts different silent hosts on one class of ports within Window, over at
	// least Spread, are a slow scan; defaults 8 in 24 h over 10 min. Zeek's
	// simple-scan asks for 25 hosts in 15 min from strangers; a device of the home
	// is known, and this detector only adds evidence.
	Hosts  int
	Window time.Duration
	Spread time.Duration
	Renew  time.Duration // how often a scan that goes on is told again; default 6 h
	// Down reports that the home's line is down. Nil: never.
	Down   func(*cordon.Device, cordon.Time) bool
	Report func(cordon.Detection)
}

// maxClasses is how many classes of ports are watched per device.
const maxClasses = 8

// Detector judges scan.slow.
type Detector struct {
	cfg   Config
	state slots.Table[slots.Few[uint16, class]] // by cordon.ClassKey
}

type class struct {
	hosts    window.Distinct // that did not answer
	answered window.Distinct // that did
	told     cordon.Time
}

// New returns a Detector.
func New(cfg Config) *Detector {
	cfg.Hosts = min(cmp.Or(cfg.Hosts, 8), window.Max)
	cfg.Window = cmp.Or(cfg.Window, 24*time.Hour)
	cfg.Spread = cmp.Or(cfg.Spread, 10*time.Minute)
	cfg.Renew = cmp.Or(cfg.Renew, 6*time.Hour)
	if cfg.Down == nil {
		cfg.Down = func(*cordon.Device, cordon.Time) bool { return false }
	}
	return &Detector{cfg: cfg}
}

// Flow takes what happened to a flow.
func (d *Detector) Flow(ev cordon.FlowEvent, f *cordon.Flow, now cordon.Time) {
	if f.Proto != packet.ProtoTCP || f.Direction != cordon.Outbound || f.Resolved || f.Midstream ||
		!cordon.ProbePort(f.PeerPort) || cordon.WebPort(f.PeerPort) {
		return
	}
	failed := ev == cordon.FlowSilent || ev == cordon.FlowRefused
	if !failed && ev != cordon.FlowAnswered || failed && d.cfg.Down(f.Device, now) {
		return
	}
	c := d.state.Get(f.Device.Slot, f.Device.Generation).Get(cordon.ClassKey(f.PeerPort), int64(now), maxClasses)
	if !failed {
		c.answered.AddKey(window.AddrKey(f.Peer), int64(now), d.cfg.Window)
		return
	}
	if c.hosts.AddKey(window.AddrKey(f.Peer), int64(now), d.cfg.Window) {
		d.judge(c, f, now)
	}
}

func (d *Detector) judge(c *class, f *cordon.Flow, now cordon.Time) {
	if !c.hosts.Reached(d.cfg.Hosts, int64(now), d.cfg.Window) || c.answered.Reached(d.cfg.Hosts/4+1, int64(now), d.cfg.Window) ||
		c.told != 0 && now.Sub(c.told) < d.cfg.Renew {
		return
	}
	since := cordon.Time(c.hosts.Since(d.cfg.Hosts))
	if now.Sub(since) < d.cfg.Spread {
		return // that is a fast scan, and judged as one
	}
	c.told = now
	ports := cordon.ClassOfPort(f.PeerPort)
	d.cfg.Report(cordon.Detection{
		Kind: cordon.ScanSlow, Device: f.Device, At: now, Since: since, Confirmed: true,
		Sentence: fmt.Sprintf("Over %s it tried %d strangers on the internet at the %s door, one now and then; none answered.",
			cordon.Span(now.Sub(since)), d.cfg.Hosts, ports.Name),
		Subject: ports.Name,
		Target:  cordon.Target{Proto: packet.ProtoTCP, Ports: ports.Ports},
		Evidence: []cordon.Evidence{{Name: "different hosts that did not answer", Value: float64(d.cfg.Hosts),
			Threshold: float64(d.cfg.Hosts), Unit: "hosts", Window: now.Sub(since)}},
		Samples: []string{netip.AddrPortFrom(f.Peer, f.PeerPort).String()},
	})
}
