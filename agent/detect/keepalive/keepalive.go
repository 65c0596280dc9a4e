// Package keepalive judges c2.keepalive: the tiny messages by which a Mirai bot
// and its command server keep in touch.
//
// The bot says 00 00 00 01 when it connects, then a length and a name; every
// minute it sends 00 00, and the server sends the same two bytes back (main.c and
// bot.go of the leaked source; the server drops a bot that is silent for 180 s).
// MQTT's pings (C0 00, D0 00) and other protocols' heartbeats differ in the bytes
// or begin with a greeting of their own.
package keepalive

import (
	"bytes"
	"cmp"
	"fmt"
	"net/netip"
	"time"

	"cordon"
	"cordon/internal/slots"
)

// Config configures a Detector. Zero fields take the defaults.
type Config struct {
	// Greeted is how many beats confirm a flow that began with the bot's
	// greeting, Ungreeted one whose beginning was not seen; defaults 2 and 3.
	Greeted, Ungreeted int
	Period, Spread     time.Duration // of the beats; default 60 s ± 3 s
	Renew              time.Duration // how often a session that goes on is told again; default 1 h
	Report             func(cordon.Detection)
}

// maxSessions bounds the flows that are watched per device.
const maxSessions = 4

// echoWithin is how soon the server answers a beat.
const echoWithin = 10 * time.Second

var (
	greeting = []byte{0, 0, 0, 1}
	beat     = []byte{0, 0}
)

// Detector judges c2.keepalive.
type Detector struct {
	cfg   Config
	state slots.Table[slots.Few[key, session]]
}

// key identifies a flow of a device.
type key struct {
	peer      netip.AddrPort
	localPort uint16
}

type session struct {
	greeted bool
	beats   int // in a row
	echoes  int
	since   cordon.Time
	first   cordon.Time // of the beats in a row
	last    cordon.Time // beat
	told    cordon.Time
}

// New returns a Detector.
func New(cfg Config) *Detector {
	cfg.Greeted = cmp.Or(cfg.Greeted, 2)
	cfg.Ungreeted = cmp.Or(cfg.Ungreeted, 3)
	cfg.Period = cmp.Or(cfg.Period, time.Minute)
	cfg.Spread = cmp.Or(cfg.Spread, 3*time.Second)
	cfg.Renew = cmp.Or(cfg.Renew, time.Hour)
	return &Detector{cfg: cfg}
}

// Observe takes a fact.
func (d *Detector) Observe(o *cordon.Observation, now cordon.Time) {
	if o.Fact != cordon.FactSmall || o.Flow == nil || o.Flow.Direction == cordon.Inbound {
		return
	}
	isBeat := bytes.Equal(o.Data, beat)
	isGreeting := o.Opener && bytes.HasPrefix(o.Data, greeting)
	if !isBeat && !isGreeting {
		return
	}
	s := d.find(o.Flow, now)
	switch {
	case isGreeting:
		s.greeted, s.beats, s.echoes, s.since = true, 0, 0, now
	case o.Opener:
		d.beat(s, now)
	case now.Sub(s.last) <= echoWithin:
		s.echoes++
		d.judge(s, o.Flow, now)
	}
}

// beat counts a beat of the bot; one at the wrong time begins the count anew.
// The first after the greeting comes when the bot's select times out, 10 s in.
func (d *Detector) beat(s *session, now cordon.Time) {
	gap := now.Sub(s.last)
	switch {
	case s.beats > 0 && gap < d.cfg.Period/2:
		return // sent again
	case s.beats > 0 && (gap < d.cfg.Period-d.cfg.Spread || gap > d.cfg.Period+d.cfg.Spread):
		s.beats, s.echoes = 0, 0
	}
	if s.beats == 0 {
		s.first = now
		if !s.greeted {
			s.since = now
		}
	}
	s.beats++
	s.last = now
}

// find returns the session of a flow.
func (d *Detector) find(f *cordon.Flow, now cordon.Time) *session {
	k := key{server(f), f.LocalPort}
	s := d.state.Get(f.Device.Slot, f.Device.Generation).Get(k, int64(now), maxSessions)
	if s.since == 0 {
		s.since = now
	}
	return s
}

func (d *Detector) judge(s *session, f *cordon.Flow, now cordon.Time) {
	enough := d.cfg.Ungreeted
	if s.greeted {
		enough = d.cfg.Greeted
	}
	if s.beats < enough || s.echoes < enough-1 || !s.greeted && f.Resolved || s.told != 0 && now.Sub(s.told) < d.cfg.Renew {
		return
	}
	s.told = now
	greeted := 0.0
	if s.greeted {
		greeted = 1
	}
	d.cfg.Report(cordon.Detection{
		Kind: cordon.C2Keepalive, Device: f.Device, At: now, Since: s.since, Confirmed: true,
		Sentence: fmt.Sprintf("It stays in touch with a server that commands infected devices (%s): every minute it sends the sign of life of the Mirai worm and gets it back.", server(f)),
		Subject:  server(f).String(),
		Target:   cordon.Target{Proto: f.Proto, Peer: f.Peer, Ports: []uint16{f.PeerPort}},
		Evidence: []cordon.Evidence{
			{Name: "signs of life, a minute apart", Value: float64(s.beats), Threshold: float64(enough), Unit: "beats", Window: now.Sub(s.first)},
			{Name: "of these sent back by the server", Value: float64(s.echoes), Threshold: float64(enough - 1), Unit: "beats"},
			{Name: "the bot's greeting was seen", Value: greeted},
		},
		Samples: []string{server(f).String()},
	})
}

func server(f *cordon.Flow) netip.AddrPort { return netip.AddrPortFrom(f.Peer, f.PeerPort) }
