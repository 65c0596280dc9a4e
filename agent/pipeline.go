package agent

import (
	"context"
	"fmt"
	"net/netip"
	"slices"
	"time"

	"cordon"
	"cordon/agent/detect/bruteforce"
	"cordon/agent/detect/exploit"
	"cordon/agent/detect/flood"
	"cordon/agent/detect/horizontal"
	"cordon/agent/detect/irc"
	"cordon/agent/detect/keepalive"
	"cordon/agent/detect/known"
	"cordon/agent/detect/lateral"
	"cordon/agent/detect/mirai"
	"cordon/agent/detect/p2p"
	"cordon/agent/detect/slow"
	"cordon/agent/detect/vertical"
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

// flowDetector judges flows.
type flowDetector interface {
	Flow(cordon.FlowEvent, *cordon.Flow, cordon.Time)
}

// factDetector judges observations.
type factDetector interface {
	Observe(*cordon.Observation, cordon.Time)
}

// trafficDetector judges what a device sends and receives as a whole.
type trafficDetector interface {
	Traffic(*cordon.Traffic, cordon.Time)
}

// pipeline is the stages of one Run, tied together.
type pipeline struct {
	ctx context.Context
	cfg Config

	clock    clock.Clock
	now      cordon.Time
	swept    cordon.Time // when incidents were last looked through
	packet   packet.Packet
	observe  *observe.Reader
	names    *observe.Names
	dialogue *dialogue.Table
	devices  *device.Table
	flows    *flow.Table
	meter    *meter.Meter // nil where the source counts
	byFlow   []flowDetector
	byFact   []factDetector
	byCount  []trafficDetector
	incident *incident.Book
	enforcer Enforcer

	counter         Counter     // the source, if it counts by itself
	judged, counted cordon.Time // when its traffic and its flows were last asked for

	serial  uint64 // of the last detection, for its id
	summary Summary
}

// build makes the stages that need no other to be made.
func (p *pipeline) build() {
	p.observe = observe.New(observe.Config{})
	p.names = observe.NewNames(maxNames)
	p.dialogue = dialogue.New(dialogue.Config{Yield: p.said})
	p.incident = incident.New(incident.Config{Closed: p.closed})
	p.detectors()
	if p.counter, _ = p.cfg.Source.(Counter); p.counter == nil {
		p.meter = meter.New(meter.Config{Home: p.devices.Home, Tell: p.traffic})
	}
}

// detectors makes the detectors, in the order in which they judge.
func (p *pipeline) detectors() {
	report := p.detected
	down := func(d *cordon.Device, now cordon.Time) bool { return p.flows.Down(d, now) }
	neighbours := lateral.New(lateral.Config{Report: report})
	peers := p2p.New(p2p.Config{Report: report})
	floods := flood.New(flood.Config{Down: down, Report: report})
	p.byFlow = []flowDetector{
		mirai.New(mirai.Config{Report: report}),
		horizontal.New(horizontal.Config{Down: down, Report: report}),
		vertical.New(vertical.Config{Report: report}),
		neighbours,
		slow.New(slow.Config{Down: down, Report: report}),
		peers,
		floods,
	}
	p.byFact = []factDetector{
		neighbours,
		bruteforce.New(bruteforce.Config{Report: report}),
		exploit.New(exploit.Config{Report: report}),
		keepalive.New(keepalive.Config{Report: report}),
		peers,
		irc.New(irc.Config{Report: report}),
		floods,
	}
	p.byCount = []trafficDetector{floods}
	if p.cfg.Indicators != nil {
		hostile := known.New(known.Config{Indicators: p.cfg.Indicators, Report: report})
		p.byFlow = append(p.byFlow, hostile)
		p.byFact = append(p.byFact, hostile)
	}
}

// frame takes one frame through the stages.
func (p *pipeline) frame(f *packet.Frame) {
	now := cordon.Time(p.clock.Advance(f.Time))
	if f.Len == 0 && len(f.Data) == 0 {
		p.now = now
		p.advance(now)
		return
	}
	if p.summary.Frames == 0 {
		p.summary.First = cordon.Time(f.Time)
	}
	p.summary.Frames++
	p.summary.Bytes += uint64(f.Len)
	p.summary.Last = cordon.Time(f.Time)
	p.now = now
	p.advance(now)
	if err := p.packet.Parse(f); err != nil {
		p.summary.Unreadable++
	}
	if observe.Wants(&p.packet) {
		p.observe.Facts(&p.packet, now, p.fact)
	}
	p.flows.Packet(&p.packet, now)
	if p.meter != nil {
		p.meter.Packet(&p.packet)
	}
}

// advance lets time pass, for what happens without a packet.
func (p *pipeline) advance(now cordon.Time) {
	p.flows.Advance(now)
	if p.meter != nil {
		p.meter.Advance(now)
	}
	if p.counter != nil {
		p.gather(now)
	}
	if now.Sub(p.swept) >= sweepEvery {
		p.swept = now
		p.incident.Advance(now)
	}
}

// fact takes what observe read from the packet at hand.
func (p *pipeline) fact(o *cordon.Observation) {
	if o.Fact == cordon.FactDNSAnswer {
		o.Device = p.devices.Receiver(&p.packet)
	} else {
		o.Device = p.devices.Sender(&p.packet, p.now)
	}
	if o.Device == nil {
		return
	}
	p.devices.Learn(o, &p.packet, p.now)
	p.names.Learn(o)
	if o.Device.Gateway || p.cfg.PolicyOf(o.Device) == cordon.PolicyOff {
		return
	}
	for _, d := range p.byFact {
		d.Observe(o, p.now)
	}
	if p.cfg.Observe != nil {
		p.cfg.Observe(o, p.now)
	}
}

// said takes what dialogue read from a flow.
func (p *pipeline) said(o *cordon.Observation) {
	if p.cfg.PolicyOf(o.Flow.Device) == cordon.PolicyOff {
		return
	}
	for _, d := range p.byFact {
		d.Observe(o, p.now)
	}
}

// flow takes what happened to a flow.
func (p *pipeline) flow(ev cordon.FlowEvent, f *cordon.Flow) {
	if p.cfg.PolicyOf(f.Device) == cordon.PolicyOff {
		return
	}
	for _, d := range p.byFlow {
		d.Flow(ev, f, p.now)
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
func (p *pipeline) gather(now cordon.Time) {
	if now.Sub(p.judged) >= trafficEvery {
		p.judged = now
		p.trouble("read traffic", p.counter.Traffic(now, p.traffic))
	}
	if now.Sub(p.counted) >= countEvery {
		p.counted = now
		p.trouble("read flows", p.counter.Flows(p.count))
	}
}

func (p *pipeline) trouble(doing string, err error) {
	if err != nil && p.cfg.Trouble != nil {
		p.cfg.Trouble(doing, err)
	}
}

// want tells the source that somebody reads a flow, or no longer.
func (p *pipeline) want(f *cordon.Flow, on bool) {
	p.counter.Want(netip.AddrPortFrom(f.Local, f.LocalPort), netip.AddrPortFrom(f.Peer, f.PeerPort), f.Proto, on)
}

// traffic takes what a device sent and received in an interval.
func (p *pipeline) traffic(t *cordon.Traffic) {
	if t.Device == nil {
		t.Device = p.devices.ByMAC(t.MAC)
	}
	if t.Device == nil || t.Device.Gateway || p.cfg.PolicyOf(t.Device) == cordon.PolicyOff {
		return
	}
	for _, d := range p.byCount {
		d.Traffic(t, p.now)
	}
}

// count takes what a source counted of a flow without handing it over.
func (p *pipeline) count(c *packet.FlowCount) { p.flows.Count(c, p.now) }

// detected files a detection with its incident and does what follows from it.
func (p *pipeline) detected(d cordon.Detection) {
	p.serial++
	d.ID = incident.ID("det", d.Device.ID, string(d.Kind), d.At.String(), fmt.Sprint(p.serial))
	if d.Target.Peer.IsValid() {
		d.PeerName = p.names.Name(d.Device, d.Target.Peer, p.now)
	}
	if p.cfg.Shadowed != nil && p.cfg.Shadowed(&d) {
		d.Level = incident.Level(&d)
		if s, ok := p.cfg.Sink.(ShadowSink); ok {
			s.Shadowed(p.wallDetection(d))
		}
		return
	}
	dec := p.incident.Add(&d)
	d.Level = dec.Level
	if p.wall(d.At) >= p.cfg.Since {
		p.summary.Detections[d.Kind]++
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
func (p *pipeline) act(d *cordon.Device, a *cordon.Action) {
	if p.cfg.Allowed != nil && p.cfg.Allowed(d, a) {
		return
	}
	fresh, err := p.enforcer.Apply(p.ctx, d, a)
	switch {
	case err != nil:
		p.summary.Failed++
		p.trouble("put in force", err)
		if p.cfg.Failed != nil {
			told := p.wallAction(*a)
			p.cfg.Failed(&told, err)
		}
		return
	case !fresh:
		return
	}
	p.changed()
	p.incident.Acted(d, a)
	told := p.wallAction(*a)
	if told.At >= p.cfg.Since {
		p.summary.Actions[a.Verb]++
		p.cfg.Sink.Action(&told)
	}
}

// closed tells of an incident that is over.
func (p *pipeline) closed(i *cordon.Incident) {
	if p.wall(i.Last) < p.cfg.Since {
		return
	}
	p.summary.Incidents[i.Level]++
	p.cfg.Sink.Incident(p.wallIncident(i))
}

func (p *pipeline) changed() {
	if p.cfg.Changed != nil {
		p.cfg.Changed()
	}
}

// moved is told of a device that has other addresses now.
func (p *pipeline) moved(d *cordon.Device) {
	p.changed()
	if err := p.enforcer.Move(p.ctx, d); err != nil {
		p.summary.Failed++
		p.trouble("follow a device that moved", err)
	}
}

// forget is told of a device whose record is about to go.
func (p *pipeline) forget(d *cordon.Device) {
	p.flows.Forget(d)
	p.incident.Forget(d)
	p.cfg.Sink.Device(p.wallDevice(d))
}

// close ends the stages in the order of the data.
func (p *pipeline) close() {
	p.flows.Close(p.now)
	p.incident.Close()
	for _, d := range p.devices.All() {
		if !d.Gateway {
			p.summary.Devices++
		}
		p.cfg.Sink.Device(p.wallDevice(d))
	}
	p.summary.Flows, p.summary.Dialogues = p.flows.Stats(), p.dialogue.Stats()
	p.summary.InForce = len(p.enforcer.Active(p.now))
	p.summary.Forgotten = p.devices.Evicted()
	p.summary.ClockSteps = p.clock.Steps()
}

// wall converts the pipeline's time to wall time.
func (p *pipeline) wall(t cordon.Time) cordon.Time { return cordon.Time(p.clock.Wall(int64(t))) }

func (p *pipeline) wallAction(a cordon.Action) cordon.Action {
	a.At, a.Expires = p.wall(a.At), p.wall(a.Expires)
	return a
}

func (p *pipeline) wallDetection(d cordon.Detection) *cordon.Detection {
	d.At, d.Since = p.wall(d.At), p.wall(d.Since)
	return &d
}

// wallIncident returns a copy that nothing changes any more, with what the customer
// is told.
func (p *pipeline) wallIncident(i *cordon.Incident) *cordon.Incident {
	told := *i
	told.Opened, told.Last = p.wall(i.Opened), p.wall(i.Last)
	told.Device = p.wallDevice(i.Device)
	told.Marks = slices.Clone(i.Marks)
	for k := range told.Marks {
		told.Marks[k].Since = p.wall(told.Marks[k].Since)
	}
	told.Raised = slices.Clone(i.Raised)
	for k := range told.Raised {
		told.Raised[k].At = p.wall(told.Raised[k].At)
	}
	told.Timeline = slices.Clone(i.Timeline)
	for k := range told.Timeline {
		told.Timeline[k].At = p.wall(told.Timeline[k].At)
	}
	told.Told = incident.Told(&told)
	return &told
}

func (p *pipeline) wallDevice(d *cordon.Device) *cordon.Device {
	told := *d
	told.FirstSeen, told.LastSeen = p.wall(d.FirstSeen), p.wall(d.LastSeen)
	told.Addrs, told.Reasons = slices.Clone(d.Addrs), slices.Clone(d.Reasons)
	return &told
}
