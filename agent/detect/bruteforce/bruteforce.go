// Package bruteforce judges bruteforce.outbound and bruteforce.inbound: log-ins
// tried one after the other without getting in.
//
// A person mistypes a password two or three times and then gets in, or gives up.
// A guesser goes on, against one host or against many. Attempts go into leaky
// buckets, a fast and a slow one, and a successful log-in empties them; when one
// overflows, somebody is guessing. What was typed is never looked at.
package bruteforce

import (
	"fmt"
	"net/netip"
	"time"

	"cordon"
	"cordon/internal/bucket"
	"cordon/internal/slots"
	"cordon/internal/window"
)

// Config configures a Detector. Zero fields take the defaults.
type Config struct {
	// Fast overflows beyond so many attempts that leak one every FastLeak, Slow
	// likewise; defaults 5 and 10 s, 10 and 60 s (CrowdSec's ssh-bf and
	// ssh-slow-bf).
	Fast, Slow         int
	FastLeak, SlowLeak time.Duration
	// Hosts different hosts that refuse within Window are guessing even with one
	// attempt each; default 3 in 60 s.
	Hosts  int
	Window time.Duration
	Renew  time.Duration // how often guessing that goes on is told again; default 10 min
	Report func(cordon.Detection)
}

// maxServices is how many services are watched per device and direction.
const maxServices = 4

// maxPerFlow bounds the attempts that one HTTP connection counts: a browser
// repeats a wrong password for every picture of a page.
const maxPerFlow = 3

// Detector judges both kinds.
type Detector struct {
	cfg   Config
	state slots.Table[device]
}

type device struct {
	out, in [maxServices]guessing
}

// guessing is the state of one service in one direction.
type guessing struct {
	service    string
	fast, slow bucket.Leaky
	hosts      window.Distinct
	attempts   uint64
	since      cordon.Time
	last       cordon.Time
	told       cordon.Time
	port       uint16 // the local port of the flow counted last
	perFlow    int
	peer       netip.Addr
	many       bool // more than one host
}

// New returns a Detector.
func New(cfg Config) *Detector {
	for _, f := range []struct {
		v *int
		d int
	}{{&cfg.Fast, 5}, {&cfg.Slow, 10}, {&cfg.Hosts, 3}} {
		if *f.v == 0 {
			*f.v = f.d
		}
	}
	for _, f := range []struct {
		v *time.Duration
		d time.Duration
	}{{&cfg.FastLeak, 10 * time.Second}, {&cfg.SlowLeak, time.Minute}, {&cfg.Window, time.Minute}, {&cfg.Renew, 10 * time.Minute}} {
		if *f.v == 0 {
			*f.v = f.d
		}
	}
	return &Detector{cfg: cfg}
}

// Observe takes a fact.
func (d *Detector) Observe(o *cordon.Observation, now cordon.Time) {
	if o.Fact != cordon.FactLogin || o.Flow == nil || o.Flow.Device == nil {
		return
	}
	f := o.Flow
	dev := d.state.Get(f.Device.Slot, f.Device.Generation)
	all := &dev.out
	if f.Direction == cordon.Inbound {
		all = &dev.in
	}
	g := find(all, string(o.Service), now)
	switch o.Login {
	case cordon.LoginSucceeded:
		g.fast.Empty()
		g.slow.Empty()
	case cordon.LoginTried:
		d.tried(g, f, now)
	case cordon.LoginRefused:
		d.refused(g, f, now)
	}
}

// find returns the state of a service, taking the one seen longest ago when the
// service is new.
func find(all *[maxServices]guessing, service string, now cordon.Time) *guessing {
	oldest := &all[0]
	for i := range all {
		if all[i].service == service {
			return &all[i]
		}
		if all[i].last < oldest.last {
			oldest = &all[i]
		}
	}
	*oldest = guessing{service: service, last: now}
	return oldest
}

func (d *Detector) tried(g *guessing, f *cordon.Flow, now cordon.Time) {
	if f.LocalPort != g.port || f.Peer != g.peer {
		g.perFlow = 0
	}
	g.perFlow++
	if g.service == "http" && g.perFlow > maxPerFlow {
		return
	}
	if now.Sub(g.last) > 2*d.cfg.Renew || g.attempts == 0 {
		g.attempts, g.since, g.told, g.many = 0, f.Begin, 0, false
	}
	g.many = g.many || g.attempts > 0 && f.Peer != g.peer
	g.attempts++
	g.last, g.port, g.peer = now, f.LocalPort, f.Peer
	fast := g.fast.Add(int64(now), d.cfg.Fast, d.cfg.FastLeak)
	slow := g.slow.Add(int64(now), d.cfg.Slow, d.cfg.SlowLeak)
	if fast || slow {
		d.tell(g, f, now)
	}
	if f.Direction == cordon.Inbound {
		d.host(g, f, now) // strangers who log in one after the other, whether or not they get in
	}
}

// refused notes that a host said no to the device. Several hosts saying no is
// guessing; several hosts asked is what an administrator's tools do.
func (d *Detector) refused(g *guessing, f *cordon.Flow, now cordon.Time) {
	if f.Direction != cordon.Inbound && !f.Resolved && g.attempts > 0 {
		d.host(g, f, now)
	}
}

// host counts the far sides of attempts.
func (d *Detector) host(g *guessing, f *cordon.Flow, now cordon.Time) {
	g.hosts.AddKey(window.AddrKey(f.Peer), int64(now), d.cfg.Window)
	if g.hosts.Reached(d.cfg.Hosts, int64(now), d.cfg.Window) {
		d.tell(g, f, now)
	}
}

func (d *Detector) tell(g *guessing, f *cordon.Flow, now cordon.Time) {
	if g.told == 0 || now.Sub(g.told) >= d.cfg.Renew {
		g.told = now
		d.cfg.Report(d.detection(g, f, now))
	}
}

func (d *Detector) detection(g *guessing, f *cordon.Flow, now cordon.Time) cordon.Detection {
	det := cordon.Detection{
		Device: f.Device, At: now, Since: g.since,
		Subject: g.service,
		Evidence: []cordon.Evidence{
			{Name: "log-ins tried without success", Value: float64(g.attempts), Threshold: float64(d.cfg.Fast), Unit: "attempts", Window: now.Sub(g.since)},
		},
		Samples: []string{netip.AddrPortFrom(f.Peer, f.PeerPort).String()},
	}
	span := cordon.Span(now.Sub(g.since))
	if f.Direction == cordon.Inbound {
		det.Kind = cordon.BruteforceInbound
		det.Confirmed = true
		det.Subject = fmt.Sprintf("%s on port %d", g.service, f.LocalPort)
		det.Sentence = fmt.Sprintf("Somebody on the internet tried %d times within %s to log in to it (%s).", g.attempts, span, g.service)
		det.Target = cordon.Target{Proto: f.Proto, Peer: f.Peer}
		return det
	}
	whom := "strangers on the internet"
	if f.Direction == cordon.Lateral {
		whom = "another device of the home"
	}
	det.Kind = cordon.BruteforceOutbound
	// A recorder that keeps trying its camera's old password looks the same, so
	// one host at home is only a sign.
	det.Confirmed = f.Direction == cordon.Outbound || g.many
	det.Sentence = fmt.Sprintf("It tried %d times within %s to log in to %s (%s), without success.", g.attempts, span, whom, g.service)
	det.Target = cordon.Target{Proto: f.Proto, Ports: []uint16{f.PeerPort}}
	return det
}
