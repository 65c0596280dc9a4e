// Package pipeline ties the stages of the agent together.
//
// Frames and the moments between them come in; detections, incidents and actions go to
// a Sink, and actions to an Enforcer. Package agent feeds it, from a capture or from the
// router's ports. It is owned by one goroutine.
package pipeline

import (
	"context"
	"fmt"
	"net/netip"
	"slices"
	"time"

	"cordon"
	"cordon/agent/device"
	"cordon/agent/flow"
	"cordon/agent/incident"
	"cordon/agent/meter"
	"cordon/agent/observe"
	"cordon/agent/observe/dialogue"
	"cordon/agent/packet"
	"cordon/agent/respond"
	"cordon/internal/clock"
)

// maxNames is how many name ↔ address bindings are kept, from the memory budget
// of detection.md §3.
const maxNames = 4096

// sweepEvery is how often incidents are looked through for those that are over.
const sweepEvery = time.Minute

// Pipeline is the stages, tied together. The exported stages are for who shows the home
// and orders things there.
type Pipeline struct {
	ctx context.Context
	cfg Config

	Clock     clock.Clock
	Now       cordon.Time // of the frame at hand
	Names     *observe.Names
	Devices   *device.Table
	Flows     *flow.Table
	Incidents *incident.Book
	Enforcer  Enforcer
	Summary   Summary

	swept    cordon.Time // when incidents were last looked through
	packet   packet.Packet
	observe  *observe.Reader
	dialogue *dialogue.Table
	meter    *meter.Meter // nil where the source counts
	byFlow   []flowDetector
	byFact   []factDetector
	byCount  []trafficDetector

	counter         Counter     // the source, if it counts by itself
	judged, counted cordon.Time // when its traffic and its flows were last asked for

	serial uint64 // of the last detection, for its id
}

// Context is done when the pipeline's work is to end.
func (p *Pipeline) Context() context.Context { return p.ctx }

// build makes the stages that need no other to be made.
func (p *Pipeline) build() {
	p.observe = observe.New(observe.Config{})
	p.Names = observe.NewNames(maxNames)
	p.dialogue = dialogue.New(dialogue.Config{Yield: p.said})
	p.Incidents = incident.New(incident.Config{Closed: p.closed})
	p.detectors()
	if p.counter, _ = p.cfg.Source.(Counter); p.counter == nil {
		p.meter = meter.New(meter.Config{Home: p.Devices.Home, Tell: p.traffic})
	}
}

// Frame takes one frame through the stages.
func (p *Pipeline) Frame(f *packet.Frame) {
	now := cordon.Time(p.Clock.Advance(f.Time))
	if f.Len == 0 && len(f.Data) == 0 {
		p.Now = now
		p.advance(now)
		return
	}
	if p.Summary.Frames == 0 {
		p.Summary.First = cordon.Time(f.Time)
	}
	p.Summary.Frames++
	p.Summary.Bytes += uint64(f.Len)
	p.Summary.Last = cordon.Time(f.Time)
	p.Now = now
	p.advance(now)
	if err := p.packet.Parse(f); err != nil {
		p.Summary.Unreadable++
	}
	if observe.Wants(&p.packet) {
		p.observe.Facts(&p.packet, now, p.fact)
	}
	p.Flows.Packet(&p.packet, now)
	if p.meter != nil {
		p.meter.Packet(&p.packet)
	}
}

// advance lets time pass, for what happens without a packet.
func (p *Pipeline) advance(now cordon.Time) {
	p.Flows.Advance(now)
	if p.meter != nil {
		p.meter.Advance(now)
	}
	if p.counter != nil {
		p.gather(now)
	}
	if now.Sub(p.swept) >= sweepEvery {
		p.swept = now
		p.Incidents.Advance(now)
	}
}

// fact takes what observe read from the packet at hand.
func (p *Pipeline) fact(o *cordon.Observation) {
	if o.Fact == cordon.FactDNSAnswer {
		o.Device = p.Devices.Receiver(&p.packet)
	} else {
		o.Device = p.Devices.Sender(&p.packet, p.Now)
	}
	if o.Device == nil {
		return
	}
	p.Devices.Learn(o, &p.packet, p.Now)
	p.Names.Learn(o)
	if o.Device.Gateway || p.cfg.PolicyOf(o.Device) == cordon.PolicyOff {
		return
	}
	for _, d := range p.byFact {
		d.Observe(o, p.Now)
	}
	if p.cfg.Observe != nil {
		p.cfg.Observe(o, p.Now)
	}
}

// said takes what dialogue read from a flow.
func (p *Pipeline) said(o *cordon.Observation) {
	if p.cfg.PolicyOf(o.Flow.Device) == cordon.PolicyOff {
		return
	}
	for _, d := range p.byFact {
		d.Observe(o, p.Now)
	}
}

// flow takes what happened to a flow.
func (p *Pipeline) flow(ev cordon.FlowEvent, f *cordon.Flow) {
	if p.cfg.PolicyOf(f.Device) == cordon.PolicyOff {
		return
	}
	for _, d := range p.byFlow {
		d.Flow(ev, f, p.Now)
	}
}

// How often a source that counts by itself is asked.
const (
	// trafficEvery is how often each device's traffic is judged. Floods have to be
	// limited within a second of their beginning; asking is cheap while no interval of
	// the kernel's is over.
	trafficEvery = 100 * time.Millisecond
	// countEvery is how often the kernel's flow counts are gathered (8,192 flows
	// take about 5 ms).
	countEvery = 10 * time.Second
)

// gather takes what the source has counted.
func (p *Pipeline) gather(now cordon.Time) {
	if now.Sub(p.judged) >= trafficEvery {
		p.judged = now
		p.trouble("read traffic", p.counter.Traffic(now, p.traffic))
	}
	if now.Sub(p.counted) >= countEvery {
		p.counted = now
		p.trouble("read flows", p.counter.Flows(p.count))
	}
}

func (p *Pipeline) trouble(doing string, err error) {
	if err != nil && p.cfg.Trouble != nil {
		p.cfg.Trouble(doing, err)
	}
}

// want tells the source that somebody reads a flow, or no longer.
func (p *Pipeline) want(f *cordon.Flow, on bool) {
	p.counter.Want(netip.AddrPortFrom(f.Local, f.LocalPort), netip.AddrPortFrom(f.Peer, f.PeerPort), f.Proto, on)
}

// traffic takes what a device sent and received in an interval.
func (p *Pipeline) traffic(t *cordon.Traffic) {
	if t.Device == nil {
		t.Device = p.Devices.ByMAC(t.MAC)
	}
	if t.Device == nil || t.Device.Gateway || p.cfg.PolicyOf(t.Device) == cordon.PolicyOff {
		return
	}
	for _, d := range p.byCount {
		d.Traffic(t, p.Now)
	}
}

// count takes what a source counted of a flow without handing it over.
func (p *Pipeline) count(c *packet.FlowCount) { p.Flows.Count(c, p.Now) }

// detected files a detection with its incident and does what follows from it.
func (p *Pipeline) detected(d cordon.Detection) {
	p.serial++
	d.ID = incident.ID("det", d.Device.ID, string(d.Kind), d.At.String(), fmt.Sprint(p.serial))
	if d.Target.Peer.IsValid() {
		d.PeerName = p.Names.Name(d.Device, d.Target.Peer, p.Now)
	}
	if p.cfg.Shadowed != nil && p.cfg.Shadowed(&d) {
		d.Level = incident.Level(&d)
		if s, ok := p.cfg.Sink.(ShadowSink); ok {
			s.Shadowed(p.wallDetection(d))
		}
		return
	}
	dec := p.Incidents.Add(&d)
	d.Level = dec.Level
	if p.Wall(d.At) >= p.cfg.Since {
		p.Summary.Detections[d.Kind]++
		p.cfg.Sink.Detection(p.wallDetection(d))
	}
	c := respond.Case{Detection: &d, Incident: dec.Incident, Level: dec.Level, Quarantine: dec.Quarantine}
	for _, a := range respond.Decide(c, p.cfg.PolicyOf(d.Device), incident.ID) {
		p.act(d.Device, &a)
	}
	if dec.Chain != nil {
		p.detected(*dec.Chain)
	}
}

// act applies an action and tells of it unless it only renews one in force.
func (p *Pipeline) act(d *cordon.Device, a *cordon.Action) {
	if p.cfg.Allowed != nil && p.cfg.Allowed(d, a) {
		return
	}
	fresh, err := p.Enforcer.Apply(p.ctx, d, a)
	switch {
	case err != nil:
		p.Summary.Failed++
		p.trouble("put in force", err)
		if p.cfg.Failed != nil {
			told := p.WallAction(*a)
			p.cfg.Failed(&told, err)
		}
		return
	case !fresh:
		return
	}
	p.Changed()
	p.Incidents.Acted(d, a)
	told := p.WallAction(*a)
	if told.At >= p.cfg.Since {
		p.Summary.Actions[a.Verb]++
		p.cfg.Sink.Action(&told)
	}
}

// closed tells of an incident that is over.
func (p *Pipeline) closed(i *cordon.Incident) {
	if p.Wall(i.Last) < p.cfg.Since {
		return
	}
	p.Summary.Incidents[i.Level]++
	p.cfg.Sink.Incident(p.WallIncident(i))
}

// Changed tells who wants to know that something was put in force, or ended.
func (p *Pipeline) Changed() {
	if p.cfg.Changed != nil {
		p.cfg.Changed()
	}
}

// moved is told of a device that has other addresses now.
func (p *Pipeline) moved(d *cordon.Device) {
	p.Changed()
	if err := p.Enforcer.Move(p.ctx, d); err != nil {
		p.Summary.Failed++
		p.trouble("follow a device that moved", err)
	}
}

// forget is told of a device whose record is about to go.
func (p *Pipeline) forget(d *cordon.Device) {
	p.Flows.Forget(d)
	p.Incidents.Forget(d)
	p.cfg.Sink.Device(p.WallDevice(d))
}

// Close ends the stages in the order of the data.
func (p *Pipeline) Close() {
	p.Flows.Close(p.Now)
	p.Incidents.Close()
	for _, d := range p.Devices.All() {
		if !d.Gateway {
			p.Summary.Devices++
		}
		p.cfg.Sink.Device(p.WallDevice(d))
	}
	p.Summary.Flows, p.Summary.Dialogues = p.Flows.Stats(), p.dialogue.Stats()
	p.Summary.InForce = len(p.Enforcer.Active(p.Now))
	p.Summary.Forgotten = p.Devices.Evicted()
	p.Summary.ClockSteps = p.Clock.Steps()
}

// Wall converts the pipeline's time to wall time.
func (p *Pipeline) Wall(t cordon.Time) cordon.Time { return cordon.Time(p.Clock.Wall(int64(t))) }

// WallAction returns a copy with wall times.
func (p *Pipeline) WallAction(a cordon.Action) cordon.Action {
	a.At, a.Expires = p.Wall(a.At), p.Wall(a.Expires)
	return a
}

func (p *Pipeline) wallDetection(d cordon.Detection) *cordon.Detection {
	d.At, d.Since = p.Wall(d.At), p.Wall(d.Since)
	return &d
}

// WallIncident returns a copy that nothing changes any more, with what the customer
// is told.
func (p *Pipeline) WallIncident(i *cordon.Incident) *cordon.Incident {
	told := *i
	told.Opened, told.Last = p.Wall(i.Opened), p.Wall(i.Last)
	told.Device = p.WallDevice(i.Device)
	told.Marks = slices.Clone(i.Marks)
	for k := range told.Marks {
		told.Marks[k].Since = p.Wall(told.Marks[k].Since)
	}
	told.Raised = slices.Clone(i.Raised)
	for k := range told.Raised {
		told.Raised[k].At = p.Wall(told.Raised[k].At)
	}
	told.Timeline = slices.Clone(i.Timeline)
	for k := range told.Timeline {
		told.Timeline[k].At = p.Wall(told.Timeline[k].At)
	}
	told.Told = incident.Told(&told)
	return &told
}

// WallDevice returns a copy with wall times.
func (p *Pipeline) WallDevice(d *cordon.Device) *cordon.Device {
	told := *d
	told.FirstSeen, told.LastSeen = p.Wall(d.FirstSeen), p.Wall(d.LastSeen)
	told.Addrs, told.Reasons = slices.Clone(d.Addrs), slices.Clone(d.Reasons)
	return &told
}
