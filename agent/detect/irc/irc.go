// Package irc judges c2.irc: a thing that sits in a chat room and takes orders.
//
// The oldest botnets (Kaiten, Tsunami, IRCBot) are commanded over IRC (RFC 2812):
// the bot joins a channel and obeys lines that begin with a sign and a verb.
// People chat too, but from their computers, and nobody orders them to flood.
package irc

import (
	"cmp"
	"net/netip"
	"time"

	"cordon"
	"cordon/internal/slots"
)

// Config configures a Detector. Zero fields take the defaults.
type Config struct {
	// Orders is how many lines that order a bot confirm; default 2. One may be
	// somebody who asks another program for help.
	Orders int
	Renew  time.Duration // how often it is told again; default 1 h
	Report func(cordon.Detection)
}

// maxRooms is how many connections are watched per device.
const maxRooms = 4

// Detector judges c2.irc.
type Detector struct {
	cfg   Config
	state slots.Table[slots.Few[netip.AddrPort, room]] // by server
}

// room is one connection to a server.
type room struct {
	since    cordon.Time
	joined   bool
	commands int
	told     cordon.Time
	level    int
}

// New returns a Detector.
func New(cfg Config) *Detector {
	cfg.Orders = cmp.Or(cfg.Orders, 2)
	cfg.Renew = cmp.Or(cfg.Renew, time.Hour)
	return &Detector{cfg: cfg}
}

// Observe takes a fact.
func (d *Detector) Observe(o *cordon.Observation, now cordon.Time) {
	if o.Fact != cordon.FactIRC || o.Flow == nil || o.Flow.Direction != cordon.Outbound {
		return
	}
	server := netip.AddrPortFrom(o.Flow.Peer, o.Flow.PeerPort)
	r := d.state.Get(o.Flow.Device.Slot, o.Flow.Device.Generation).Get(server, int64(now), maxRooms)
	if r.since == 0 {
		r.since = now
	}
	switch string(o.Service) {
	case "join":
		r.joined = true
	case "command":
		if !o.Opener {
			r.commands++
		}
	}
	d.judge(r, o.Flow, now)
}

// judge tells a first sign when a thing joins a channel of a server that no name
// led to, and a bot once it is given orders there. What is no thing is never more
// than a sign.
func (d *Detector) judge(r *room, f *cordon.Flow, now cordon.Time) {
	level := 0
	switch {
	case !r.joined:
	case r.commands >= d.cfg.Orders && f.Device.Class == cordon.IoT && !f.Resolved:
		level = 2
	case !f.Resolved && (r.commands >= d.cfg.Orders || f.Device.Class == cordon.IoT || f.Device.Class == cordon.Unknown && !usual(f.PeerPort)):
		level = 1
	}
	if level == 0 || level < r.level || level == r.level && now.Sub(r.told) < d.cfg.Renew {
		return
	}
	r.level, r.told = level, now
	server := netip.AddrPortFrom(f.Peer, f.PeerPort).String()
	sentence := "It has joined a chat room on the internet, which a device of its kind has no reason to."
	if level == 2 {
		sentence = "It sits in a chat room on the internet and is given orders there, as infected devices are."
	}
	d.cfg.Report(cordon.Detection{
		Kind: cordon.C2IRC, Device: f.Device, At: now, Since: r.since, Confirmed: level == 2, Sentence: sentence,
		Subject: server,
		Target:  cordon.Target{Proto: f.Proto, Peer: f.Peer, Ports: []uint16{f.PeerPort}},
		Evidence: []cordon.Evidence{
			{Name: "lines that order a bot", Value: float64(r.commands), Threshold: float64(d.cfg.Orders), Unit: "lines"},
		},
		Samples: []string{server},
	})
}

// usual reports whether a port is one that IRC servers for people use (RFC 7194
// and custom).
func usual(port uint16) bool {
	return port >= 6660 && port <= 6669 || port == 6697 || port == 7000 || port == 194 || port == 994
}
