package pipeline

import (
	"slices"

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
	"cordon/agent/incident"
)

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

// detectors makes the detectors, in the order in which they judge.
func (p *Pipeline) detectors() {
	report := p.detected
	down := func(d *cordon.Device, now cordon.Time) bool { return p.Flows.Down(d, now) }
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

// About describes every kind of detection that the agent judges, in the order of
// cordon.Kinds.
func About() []cordon.About {
	all := slices.Concat(mirai.About(), horizontal.About(), vertical.About(), lateral.About(), slow.About(),
		bruteforce.About(), exploit.About(), incident.About(), known.About(), keepalive.About(), p2p.About(), irc.About(), flood.About())
	order := cordon.Kinds()
	slices.SortFunc(all, func(a, b cordon.About) int { return slices.Index(order, a.Kind) - slices.Index(order, b.Kind) })
	return all
}
