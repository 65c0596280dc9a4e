// Package synth writes captures of homes that never existed: what devices do on
// an ordinary day, and what infected ones do. A scenario and a seed go in, a
// capture file with the truth about it comes out; the same seed always gives the
// same bytes. cordon-lab calls it, and so does every test that needs a capture.
//
// Who says what when is here and, for attackers and for those who only look like
// them, in lab/synth/attack and lab/synth/twin; what two ends say to each other is
// in lab/synth/dialogue. The packets that it takes are in lab/synth/world, their
// bytes in lab/synth/frame and their contents in lab/synth/message.
package synth

import (
	"errors"
	"fmt"
	"io"
	"net/netip"
	"time"

	"cordon"
	"cordon/lab/synth/attack"
	"cordon/lab/synth/world"
)

// Options says how a scenario is played. The zero Options plays it with seed 0,
// from Epoch on, for its own duration, into a pcap file.
type Options struct {
	Seed     uint64
	Start    time.Time     // of the capture; the zero Time: Epoch
	Duration time.Duration // 0: the scenario's own
	Packets  uint64        // at most so many, 0: no limit
	Format   string        // "pcap" or "pcapng"; empty: pcap
	Snap     int           // bytes kept of each packet, 0: all
	// Progress is called now and then with how much is done, in packets or in
	// seconds of the capture.
	Progress func(done, total int64, unit string)
}

// Epoch is when captures begin unless told otherwise: a Sunday morning.
var Epoch = time.Date(2026, 3, 1, 6, 0, 0, 0, time.UTC)

// The bounds of Options. A pcap file counts seconds in 32 bits, and a year is
// more than anybody waits for.
const (
	maxDuration = 366 * 24 * time.Hour
	minSnap     = 64
)

// Check reports what is wrong with a call of Write, without writing.
func Check(scenario string, o Options) error {
	_, err := o.complete(scenario)
	return err
}

// complete sets what was left out and returns the scenario.
func (o *Options) complete(scenario string) (*Scenario, error) {
	s := find(scenario)
	if s == nil {
		return nil, fmt.Errorf("scenario %q: unknown", scenario)
	}
	if o.Start.IsZero() {
		o.Start = Epoch
	}
	if o.Duration == 0 {
		o.Duration = s.Duration
	}
	if o.Format == "" {
		o.Format = "pcap"
	}
	switch {
	case o.Duration < time.Second || o.Duration > maxDuration:
		return nil, fmt.Errorf("duration %v: want %v to %v", o.Duration, time.Second, maxDuration)
	case o.Start.Unix() < 0 || o.Start.Add(o.Duration).Unix() > 1<<32-1:
		return nil, fmt.Errorf("start %v: want 1970 to 2106", o.Start)
	case o.Format != "pcap" && o.Format != "pcapng":
		return nil, fmt.Errorf("format %q: want pcap or pcapng", o.Format)
	case o.Snap != 0 && (o.Snap < minSnap || o.Snap > 65535):
		return nil, fmt.Errorf("snap length %d: want 0 (all) or %d to 65535", o.Snap, minSnap)
	}
	return s, nil
}

// Report says what was written.
type Report struct {
	Scenario    *Scenario
	Packets     uint64
	Bytes       uint64 // of frames, before snapping
	First, Last cordon.Time
	Home        []netip.Prefix
	Truth       []Truth // in the order in which it begins
	// Signs are kinds that a harmless home may be suspected of, up to watch: it
	// does what an attacker does, and only more than the wire tells says why.
	Signs []cordon.Kind
}

// Truth is one thing that a device really does, or that is done to it.
type Truth struct {
	Device  cordon.MAC
	Address netip.Addr
	attack.Deed
}

// errEnough ends a play after Options.Packets.
var errEnough = errors.New("enough packets")

// Write plays the named scenario and writes the capture to w.
func Write(w io.Writer, scenario string, o Options) (Report, error) {
	s, err := o.complete(scenario)
	if err != nil {
		return Report{}, err
	}
	report := Report{Scenario: s, Home: []netip.Prefix{world.Prefix4, world.Prefix6}}
	sink, err := newSink(w, o, &report)
	if err != nil {
		return report, err
	}
	play := &play{World: world.New(o.Seed, cordon.TimeOf(o.Start), o.Duration, sink), length: o.Duration, report: &report}
	s.play(play)
	err = play.Run()
	if errors.Is(err, errEnough) {
		err = nil
	}
	report.Truth = trueUntil(report.Truth, report.Last)
	return report, errors.Join(err, sink.close())
}

// trueUntil leaves out what had not begun when the capture ended.
func trueUntil(all []Truth, last cordon.Time) (kept []Truth) {
	for _, t := range all {
		if t.At <= last {
			kept = append(kept, t)
		}
	}
	return kept
}

// play is a scenario being played.
type play struct {
	*world.World
	length time.Duration
	report *Report
}

// tell returns what hears of d's deeds.
func (p *play) tell(d *world.Device) attack.Tell {
	return func(deed attack.Deed) {
		p.report.Truth = append(p.report.Truth, Truth{Device: d.MAC, Address: d.Addr, Deed: deed})
	}
}

// allow lets a harmless play be suspected of k.
func (p *play) allow(k cordon.Kind) { p.report.Signs = append(p.report.Signs, k) }

type behaviour = world.Behaviour

// live boots d at the given time of the play and then lets it do everything at
// once.
func (p *play) live(d *world.Device, boot time.Duration, all ...behaviour) {
	p.Go("boot "+d.Name, boot, d.Boot)
	for i, b := range all {
		p.do(d, fmt.Sprintf("%s does %d", d.Name, i), boot+3*time.Second, b)
	}
}

// do lets d do b from the given time of the play on.
func (p *play) do(d *world.Device, name string, at time.Duration, b behaviour) {
	p.Go(name, at, func(proc *world.Proc) { b(proc, d) })
}
