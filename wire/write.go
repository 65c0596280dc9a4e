package wire

import (
	"net/netip"

	"cordon"
	"cordon/wire/internal/pb"
)

// each turns every element of a list.
func each[A, B any](list []A, f func(*A) B) []B {
	if len(list) == 0 {
		return nil
	}
	all := make([]B, len(list))
	for i := range list {
		all[i] = f(&list[i])
	}
	return all
}

func fromReport(r *cordon.Report) *pb.Report {
	p := &pb.Report{Router: r.ID.Router, Boot: r.ID.Boot, Seq: r.ID.Seq, At: int64(r.At), Doubt: int64(r.Doubt), Over: r.Over}
	switch {
	case r.Device != nil:
		p.Body = &pb.Report_Device{Device: fromDevice(r.Device)}
	case r.Detection != nil:
		d := fromDetection(r.Detection)
		d.Shadowed = r.Shadowed
		p.Body = &pb.Report_Detection{Detection: d}
	case r.Incident != nil:
		p.Body = &pb.Report_Incident{Incident: fromIncident(r.Incident)}
	case r.Action != nil:
		p.Body = &pb.Report_Action{Action: &pb.ActionReport{Action: fromAction(&r.Action.Action), By: r.Action.By,
			Result: string(r.Action.Result), Error: r.Action.Error}}
	case r.Enforced != nil:
		p.Body = &pb.Report_Enforced{Enforced: &pb.Enforced{Version: r.Enforced.Version, Shared: r.Enforced.Shared,
			InForce: each(r.Enforced.InForce, fromAction),
			Refused: each(r.Enforced.Refused, func(x *cordon.Refusal) *pb.Refusal { return &pb.Refusal{What: x.What, Why: x.Why} })}}
	case r.Health != nil:
		p.Body = &pb.Report_Health{Health: fromHealth(r.Health)}
	case r.Summary != nil:
		p.Body = &pb.Report_Summary{Summary: fromSummary(r.Summary)}
	}
	return p
}

func fromDevice(d *cordon.Device) *pb.Device {
	if d == nil {
		return nil
	}
	p := &pb.Device{Id: d.ID, Randomised: d.Randomised, Relay: d.Relay, Gateway: d.Gateway, Name: d.Name, Maker: d.Maker,
		Model: d.Model, Class: uint32(d.Class), Reasons: d.Reasons, FirstSeen: int64(d.FirstSeen), LastSeen: int64(d.LastSeen)}
	if d.HasMAC {
		p.Mac = d.MAC[:]
	}
	for _, a := range d.Addrs {
		p.Addrs = append(p.Addrs, a.String())
	}
	return p
}

func fromTarget(t *cordon.Target) *pb.Target {
	if t.Zero() {
		return nil
	}
	p := &pb.Target{Proto: uint32(t.Proto), LocalPort: uint32(t.LocalPort), Name: t.Name, Stray: t.Stray,
		Ports: each(t.Ports, func(x *uint16) uint32 { return uint32(*x) })}
	if t.Peer.IsValid() {
		p.Peer = t.Peer.String()
	}
	if t.Net.IsValid() {
		p.Net = t.Net.String()
	}
	return p
}

func fromRate(r cordon.Rate) *pb.Rate {
	if r == (cordon.Rate{}) {
		return nil
	}
	return &pb.Rate{Packets: r.Packets, Connections: r.Connections}
}

func fromDetection(d *cordon.Detection) *pb.Detection {
	return &pb.Detection{Id: d.ID, Kind: string(d.Kind), Device: fromDevice(d.Device), At: int64(d.At), Since: int64(d.Since),
		Confirmed: d.Confirmed, Sentence: d.Sentence, Level: uint32(d.Level), Subject: d.Subject, Target: fromTarget(&d.Target),
		Rate: fromRate(d.Rate), Life: int64(d.Life), PeerName: d.PeerName, Samples: d.Samples,
		Evidence: each(d.Evidence, func(e *cordon.Evidence) *pb.Evidence {
			return &pb.Evidence{Name: e.Name, Value: e.Value, Threshold: e.Threshold, Unit: e.Unit, Window: int64(e.Window)}
		})}
}

func fromIncident(i *cordon.Incident) *pb.Incident {
	return &pb.Incident{Id: i.ID, Device: fromDevice(i.Device), Level: uint32(i.Level), Opened: int64(i.Opened), Last: int64(i.Last),
		Odds: i.Odds, Omitted: int64(i.Omitted), Mode: string(i.Mode), Story: i.Story, Told: i.Told,
		Raised: each(i.Raised, func(r *cordon.Raise) *pb.Raise { return &pb.Raise{Level: uint32(r.Level), At: int64(r.At)} }),
		Timeline: each(i.Timeline, func(m *cordon.Moment) *pb.Moment {
			return &pb.Moment{At: int64(m.At), Level: uint32(m.Level), Kind: string(m.Kind), Technique: m.Technique,
				Subject: m.Subject, Text: m.Text, Ref: m.Ref, Count: int64(m.Count)}
		}),
		Kinds: each(i.Kinds, func(k *cordon.Kind) string { return string(*k) }),
		Marks: each(i.Marks, func(m *cordon.Mark) *pb.Mark {
			return &pb.Mark{Kind: string(m.Kind), Level: uint32(m.Level), Since: int64(m.Since)}
		}),
		Verbs: each(i.Verbs, func(v *cordon.Verb) string { return string(*v) })}
}

func fromAction(a *cordon.Action) *pb.Action {
	return &pb.Action{Id: a.ID, Verb: string(a.Verb), Mode: string(a.Mode), Device: a.Entity.Device, Target: fromTarget(&a.Entity.Target),
		Incident: a.Incident, Reason: a.Reason, Purpose: a.Purpose, At: int64(a.At), Expires: int64(a.Expires), Rate: fromRate(a.Rate)}
}

func fromHealth(h *cordon.Health) *pb.Health {
	return &pb.Health{At: int64(h.At), Mode: h.Mode, Why: h.Why, Policy: string(h.Policy), Eyes: h.Eyes, Boot: h.Boot, Uptime: h.Uptime,
		Resident: h.Resident, Devices: h.Devices, InForce: h.InForce, Clock: h.Clock, Counters: h.Counters, Lost: h.Lost,
		Lacks: each(h.Lacks, func(s *cordon.Shortcoming) *pb.Shortcoming {
			return &pb.Shortcoming{Name: s.Name, Text: s.Text, Mend: s.Mend}
		}),
		Parts: each(h.Parts, func(x *cordon.Part) *pb.Part { return &pb.Part{Name: x.Name, State: x.State, Why: x.Why} })}
}

func fromSummary(s *cordon.Summary) *pb.Summary {
	return &pb.Summary{Day: int64(s.Day), Device: s.Device, Class: uint32(s.Class), Maker: s.Maker, Model: s.Model, Other: s.Other,
		Domains: each(s.Domains, func(d *cordon.DomainCount) *pb.DomainCount {
			return &pb.DomainCount{Domain: d.Domain, Count: d.Count}
		})}
}

func fromDesired(d *cordon.Desired) *pb.Desired {
	return &pb.Desired{Site: d.Site, Version: d.Version, At: int64(d.At), Policy: string(d.Policy),
		Devices: each(d.Devices, func(x *cordon.DesiredDevice) *pb.DesiredDevice {
			p := &pb.DesiredDevice{Device: x.Device, Name: x.Name, Policy: string(x.Policy)}
			if x.Class != nil {
				c := uint32(*x.Class)
				p.Class = &c
			}
			return p
		}),
		Orders: each(d.Orders, func(o *cordon.Order) *pb.Order {
			return &pb.Order{Id: o.ID, Verb: string(o.Verb), Device: o.Entity.Device, Target: fromTarget(&o.Entity.Target),
				Rate: fromRate(o.Rate), Reason: o.Reason, By: o.By, At: int64(o.At), Expires: int64(o.Expires)}
		}),
		Allowed: each(d.Allowed, func(x *cordon.Permission) *pb.Permission {
			return &pb.Permission{Id: x.ID, Device: x.Device, Target: fromTarget(&x.Target), Reason: x.Reason, By: x.By,
				At: int64(x.At), Expires: int64(x.Expires)}
		}),
		Released: each(d.Released, func(x *cordon.Release) *pb.Release {
			return &pb.Release{Action: x.Action, Device: x.Device, By: x.By, At: int64(x.At), Expires: int64(x.Expires)}
		})}
}

func fromShadow(s *cordon.Shadow) *pb.Shadow {
	return &pb.Shadow{Id: s.ID, Kind: string(s.Kind), Model: s.Model, Agent: s.Agent, Reason: s.Reason, By: s.By, At: int64(s.At), Expires: int64(s.Expires)}
}

func fromIndicator(i *cordon.Indicator) *pb.Indicator {
	return &pb.Indicator{Type: string(i.Type), Value: i.Value, Source: i.Source, Role: string(i.Role), Confidence: uint32(i.Confidence),
		Scope: i.Scope, FirstSeen: int64(i.FirstSeen), LastSeen: int64(i.LastSeen), Expires: int64(i.Expires), Note: i.Note}
}

// reader turns messages into values of the vocabulary and keeps the first error.
type reader struct{ err error }

func (r *reader) addr(s string) (a netip.Addr) {
	if s == "" {
		return a
	}
	a, err := netip.ParseAddr(s)
	if err != nil || a.Zone() != "" {
		r.fail("address %q", s)
		return netip.Addr{}
	}
	return a
}
