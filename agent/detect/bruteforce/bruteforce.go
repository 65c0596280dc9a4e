// Package bruteforce judges bruteforce.outbound and bruteforce.inbound: log-ins
// tried one after the other without getting in.
//
// A person mistypes a password two or three times and then gets in, or gives up.
// A guesser goes on, against one host or against many. Attempts go into leaky
// buckets, a fast and a slow one; a connection that gets in takes its attempts
// back. When a bucket overflows, somebody is guessing. What was typed is never
// looked at.
package bruteforce

import (
	"cmp"
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

const (
	// maxServices is how many services are watched per device and direction.
	maxServices = 4
	// maxFlows is how many connections' attempts can be taken back or counted at
	// a time.
	maxFlows = 8
	// maxPerPage bounds the attempts that one HTTP connection counts: a browser
	// repeats a wrong password for every picture of a page.
	maxPerPage = 3
)

// Detector judges both kinds.
type Detector struct {
	cfg   Config
	state slots.Table[device]
}

type device struct {
	out, in slots.Few[string, guessing] // by service
}

// guessing is the state of one service in one direction.
type guessing struct {
	fast, slow bucket.Leaky
	hosts      window.Distinct
	attempts   int // that did not get in, since the guessing began
	since      cordon.Time
	last       cordon.Time
	told       cordon.Time
	flows      slots.Few[connection, int] // attempts
}

// connection identifies a connection of a device.
type connection struct {
	peer netip.AddrPort
	port uint16 // the device's
}

// New returns a Detector.
func New(cfg Config) *Detector {
	cfg.Fast = cmp.Or(cfg.Fast, 5)
	cfg.Slow = cmp.Or(cfg.Slow, 10)
	cfg.FastLeak = cmp.Or(cfg.FastLeak, 10*time.Second)
	cfg.SlowLeak = cmp.Or(cfg.SlowLeak, time.Minute)
	cfg.Hosts = min(cmp.Or(cfg.Hosts, 3), window.Max)
	cfg.Window = cmp.Or(cfg.Window, time.Minute)
	cfg.Renew = cmp.Or(cfg.Renew, 10*time.Minute)
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
	service := string(o.Service)
	g := all.Get(service, int64(now), maxServices)
	switch o.Login {
	case cordon.LoginSucceeded:
		g.succeeded(f, now)
	case cordon.LoginTried:
		d.tried(g, service, f, now)
	case cordon.LoginRefused:
		d.refused(g, service, f, now)
	}
}

// attemptsOf returns the count of a connection's attempts.
func (g *guessing) attemptsOf(f *cordon.Flow, now cordon.Time) *int {
	return g.flows.Get(connection{netip.AddrPortFrom(f.Peer, f.PeerPort), f.LocalPort}, int64(now), maxFlows)
}

// succeeded takes back the attempts of a connection that got in. Those of others
// stay: a server that lets a guesser in must not vouch for him elsewhere.
func (g *guessing) succeeded(f *cordon.Flow, now cordon.Time) {
	n := g.attemptsOf(f, now)
	g.fast.Take(*n)
	g.slow.Take(*n)
	g.attempts = max(0, g.attempts-*n)
	*n = 0
}

func (d *Detector) tried(g *guessing, service string, f *cordon.Flow, now cordon.Time) {
	n := g.attemptsOf(f, now)
	if service == "http" && *n >= maxPerPage {
		return
	}
	*n++
	if g.attempts == 0 || now.Sub(g.last) > 2*d.cfg.Renew {
		g.attempts, g.since, g.told = 0, f.Begin, 0
	}
	g.attempts++
	g.last = now
	fast := g.fast.Add(int64(now), d.cfg.Fast, d.cfg.FastLeak)
	slow := g.slow.Add(int64(now), d.cfg.Slow, d.cfg.SlowLeak)
	if fast || slow {
		d.tell(g, service, f, now)
	}
	if f.Direction == cordon.Inbound {
		d.host(g, service, f, now) // strangers who log in one after the other, whether or not they get in
	}
}

// refused notes that a host said no to the device. Several hosts saying no is
// guessing; several hosts asked is what an administrator's tools do.
func (d *Detector) refused(g *guessing, service string, f *cordon.Flow, now cordon.Time) {
	if f.Direction != cordon.Inbound && !f.Resolved && g.attempts > 0 {
		d.host(g, service, f, now)
	}
}

// host counts the far sides of attempts.
func (d *Detector) host(g *guessing, service string, f *cordon.Flow, now cordon.Time) {
	g.hosts.AddKey(window.AddrKey(f.Peer), int64(now), d.cfg.Window)
	if d.several(g, now) {
		d.tell(g, service, f, now)
	}
}

func (d *Detector) several(g *guessing, now cordon.Time) bool {
	return g.hosts.Reached(d.cfg.Hosts, int64(now), d.cfg.Window)
}

func (d *Detector) tell(g *guessing, service string, f *cordon.Flow, now cordon.Time) {
	if g.told == 0 || now.Sub(g.told) >= d.cfg.Renew {
		g.told = now
		d.cfg.Report(d.detection(g, service, f, now))
	}
}

func (d *Detector) detection(g *guessing, service string, f *cordon.Flow, now cordon.Time) cordon.Detection {
	det := cordon.Detection{
		Device: f.Device, At: now, Since: g.since,
		Subject: service,
		Evidence: []cordon.Evidence{
			{Name: "log-ins tried without success", Value: float64(g.attempts), Threshold: float64(d.cfg.Fast), Unit: "attempts", Window: now.Sub(g.since)},
		},
		Samples: []string{netip.AddrPortFrom(f.Peer, f.PeerPort).String()},
	}
	span := cordon.Span(now.Sub(g.since))
	if f.Direction == cordon.Inbound {
		det.Kind = cordon.BruteforceInbound
		det.Confirmed = true
		det.Subject = fmt.Sprintf("%s on port %d", service, f.LocalPort)
		det.Sentence = fmt.Sprintf("Somebody on the internet tried %d times within %s to log in to it (%s).", g.attempts, span, service)
		det.Target = cordon.Target{Proto: f.Proto, Peer: f.Peer}
		return det
	}
	whom := "strangers on the internet"
	if f.Direction == cordon.Lateral {
		whom = "another device of the home"
	}
	det.Kind = cordon.BruteforceOutbound
	// A recorder that keeps trying its cameras' old passwords looks the same, so
	// at home it takes several hosts.
	det.Confirmed = f.Direction == cordon.Outbound || d.several(g, now)
	det.Sentence = fmt.Sprintf("It tried %d times within %s to log in to %s (%s), without success.", g.attempts, span, whom, service)
	det.Target = cordon.Target{Proto: f.Proto, Ports: []uint16{f.PeerPort}}
	return det
}
