package wire

import (
	"fmt"
	"math"
	"net/netip"
	"time"

	"cordon"
	"cordon/wire/internal/pb"
)

func (r *reader) fail(format string, args ...any) {
	if r.err == nil {
		r.err = fmt.Errorf("%w: %s", ErrMalformed, fmt.Sprintf(format, args...))
	}
}

// text refuses what is too long.
func (r *reader) text(s string) string {
	if len(s) > maxText {
		r.fail("text of %d bytes", len(s))
		return ""
	}
	return s
}

// all reads a list of at most maxList elements.
func all[A, B any](r *reader, list []A, f func(A) B) []B {
	if len(list) > maxList {
		r.fail("list of %d elements", len(list))
		return nil
	}
	if len(list) == 0 {
		return nil
	}
	out := make([]B, len(list))
	for i, x := range list {
		out[i] = f(x)
	}
	return out
}

func (r *reader) level(n uint32) cordon.Level {
	if n > uint32(cordon.Act) {
		r.fail("level %d", n)
		return cordon.None
	}
	return cordon.Level(n)
}

// class reads a class; one that a newer agent invented is unknown here.
func (r *reader) class(n uint32) cordon.Class {
	if n > uint32(cordon.LifeLine) {
		return cordon.Unknown
	}
	return cordon.Class(n)
}

func (r *reader) number(f float64) float64 {
	if math.IsNaN(f) || math.IsInf(f, 0) {
		r.fail("number %v", f)
		return 0
	}
	return f
}

func (r *reader) report(p *pb.Report) cordon.Report {
	v := cordon.Report{ID: cordon.ReportID{Router: r.text(p.Router), Boot: p.Boot, Seq: p.Seq}, At: cordon.Time(p.At),
		Doubt: time.Duration(p.Doubt), Over: p.Over}
	switch b := p.Body.(type) {
	case *pb.Report_Device:
		v.Device = r.device(b.Device)
	case *pb.Report_Detection:
		v.Detection, v.Shadowed = r.detection(b.Detection), b.Detection.Shadowed
	case *pb.Report_Incident:
		v.Incident = r.incident(b.Incident)
	case *pb.Report_Action:
		v.Action = &cordon.ActionReport{Action: r.action(b.Action.Action), By: r.text(b.Action.By),
			Result: cordon.Result(r.text(b.Action.Result)), Error: r.text(b.Action.Error)}
	case *pb.Report_Enforced:
		v.Enforced = &cordon.Enforced{Version: b.Enforced.Version, Shared: b.Enforced.Shared,
			InForce: all(r, b.Enforced.InForce, r.action),
			Refused: all(r, b.Enforced.Refused, func(x *pb.Refusal) cordon.Refusal {
				return cordon.Refusal{What: r.text(x.What), Why: r.text(x.Why)}
			})}
	case *pb.Report_Health:
		v.Health = r.health(b.Health)
	case *pb.Report_Summary:
		v.Summary = r.summary(b.Summary)
	default: // a newer agent's: its id counts, so that it is acknowledged and not sent for ever
	}
	return v
}

func (r *reader) device(p *pb.Device) *cordon.Device {
	if p == nil {
		return nil
	}
	d := &cordon.Device{ID: r.text(p.Id), Randomised: p.Randomised, Relay: p.Relay, Gateway: p.Gateway, Name: r.text(p.Name),
		Maker: r.text(p.Maker), Model: r.text(p.Model), Class: r.class(p.Class), Reasons: all(r, p.Reasons, r.text),
		FirstSeen: cordon.Time(p.FirstSeen), LastSeen: cordon.Time(p.LastSeen), Addrs: all(r, p.Addrs, r.addr)}
	switch len(p.Mac) {
	case 0:
	case len(d.MAC):
		d.MAC, d.HasMAC = cordon.MAC(p.Mac), true
	default:
		r.fail("MAC of %d bytes", len(p.Mac))
	}
	return d
}

func (r *reader) target(p *pb.Target) (t cordon.Target) {
	if p == nil {
		return t
	}
	port := func(n uint32) uint16 {
		if n > 65535 {
			r.fail("port %d", n)
		}
		return uint16(n)
	}
	if p.Proto > 255 {
		r.fail("protocol %d", p.Proto)
	}
	t = cordon.Target{Proto: uint8(p.Proto), Ports: all(r, p.Ports, port), LocalPort: port(p.LocalPort), Peer: r.addr(p.Peer),
		Name: r.text(p.Name), Stray: p.Stray}
	if p.Net != "" {
		n, err := netip.ParsePrefix(p.Net)
		if err != nil {
			r.fail("prefix %q", p.Net)
		}
		t.Net = n
	}
	return t
}

func rate(p *pb.Rate) cordon.Rate {
	return cordon.Rate{Packets: p.GetPackets(), Connections: p.GetConnections()}
}

func (r *reader) detection(p *pb.Detection) *cordon.Detection {
	return &cordon.Detection{ID: r.text(p.Id), Kind: cordon.Kind(r.text(p.Kind)), Device: r.device(p.Device), At: cordon.Time(p.At),
		Since: cordon.Time(p.Since), Confirmed: p.Confirmed, Sentence: r.text(p.Sentence), Level: r.level(p.Level),
		Subject: r.text(p.Subject), Target: r.target(p.Target), Rate: rate(p.Rate), Life: time.Duration(p.Life),
		PeerName: r.text(p.PeerName), Samples: all(r, p.Samples, r.text),
		Evidence: all(r, p.Evidence, func(e *pb.Evidence) cordon.Evidence {
			return cordon.Evidence{Name: r.text(e.Name), Value: r.number(e.Value), Threshold: r.number(e.Threshold), Unit: r.text(e.Unit),
				Window: time.Duration(e.Window)}
		})}
}

func (r *reader) incident(p *pb.Incident) *cordon.Incident {
	return &cordon.Incident{ID: r.text(p.Id), Device: r.device(p.Device), Level: r.level(p.Level), Opened: cordon.Time(p.Opened),
		Last: cordon.Time(p.Last), Odds: r.number(p.Odds), Omitted: int(p.Omitted), Mode: cordon.Mode(r.text(p.Mode)),
		Story: r.text(p.Story), Told: r.text(p.Told),
		Raised: all(r, p.Raised, func(x *pb.Raise) cordon.Raise {
			return cordon.Raise{Level: r.level(x.Level), At: cordon.Time(x.At)}
		}),
		Timeline: all(r, p.Timeline, func(m *pb.Moment) cordon.Moment {
			return cordon.Moment{At: cordon.Time(m.At), Level: r.level(m.Level), Kind: cordon.Kind(r.text(m.Kind)), Technique: r.text(m.Technique),
				Subject: r.text(m.Subject), Text: r.text(m.Text), Ref: r.text(m.Ref), Count: int(m.Count)}
		}),
		Kinds: all(r, p.Kinds, func(s string) cordon.Kind { return cordon.Kind(r.text(s)) }),
		Marks: all(r, p.Marks, func(m *pb.Mark) cordon.Mark {
			return cordon.Mark{Kind: cordon.Kind(r.text(m.Kind)), Level: r.level(m.Level), Since: cordon.Time(m.Since)}
		}),
		Verbs: all(r, p.Verbs, func(s string) cordon.Verb { return cordon.Verb(r.text(s)) })}
}

func (r *reader) action(p *pb.Action) cordon.Action {
	if p == nil {
		r.fail("no action")
		return cordon.Action{}
	}
	return cordon.Action{ID: r.text(p.Id), Verb: cordon.Verb(r.text(p.Verb)), Mode: cordon.Mode(r.text(p.Mode)),
		Entity: cordon.Entity{Device: r.text(p.Device), Target: r.target(p.Target)}, Incident: r.text(p.Incident), Reason: r.text(p.Reason),
		Purpose: r.text(p.Purpose), At: cordon.Time(p.At), Expires: cordon.Time(p.Expires), Rate: rate(p.Rate)}
}

func (r *reader) health(p *pb.Health) *cordon.Health {
	if len(p.Counters) > maxList {
		r.fail("%d counters", len(p.Counters))
		return nil
	}
	for name := range p.Counters {
		r.text(name)
	}
	return &cordon.Health{At: cordon.Time(p.At), Mode: r.text(p.Mode), Why: r.text(p.Why), Policy: cordon.Policy(r.text(p.Policy)),
		Eyes: r.text(p.Eyes), Boot: p.Boot, Uptime: p.Uptime, Resident: p.Resident, Devices: p.Devices, InForce: p.InForce,
		Clock: p.Clock, Counters: p.Counters, Lost: p.Lost,
		Lacks: all(r, p.Lacks, func(s *pb.Shortcoming) cordon.Shortcoming {
			return cordon.Shortcoming{Name: r.text(s.Name), Text: r.text(s.Text), Mend: r.text(s.Mend)}
		}),
		Parts: all(r, p.Parts, func(x *pb.Part) cordon.Part {
			return cordon.Part{Name: r.text(x.Name), State: r.text(x.State), Why: r.text(x.Why)}
		})}
}

func (r *reader) summary(p *pb.Summary) *cordon.Summary {
	return &cordon.Summary{Day: cordon.Time(p.Day), Device: r.text(p.Device), Class: r.class(p.Class), Maker: r.text(p.Maker),
		Model: r.text(p.Model), Other: p.Other, Domains: all(r, p.Domains, func(d *pb.DomainCount) cordon.DomainCount {
			return cordon.DomainCount{Domain: r.text(d.Domain), Count: d.Count}
		})}
}

func (r *reader) desired(p *pb.Desired) *cordon.Desired {
	return &cordon.Desired{Site: r.text(p.Site), Version: p.Version, At: cordon.Time(p.At), Policy: cordon.Policy(r.text(p.Policy)),
		Devices: all(r, p.Devices, func(x *pb.DesiredDevice) cordon.DesiredDevice {
			d := cordon.DesiredDevice{Device: r.text(x.Device), Name: r.text(x.Name), Policy: cordon.Policy(r.text(x.Policy))}
			if x.Class != nil {
				c := r.class(*x.Class)
				d.Class = &c
			}
			return d
		}),
		Orders: all(r, p.Orders, func(o *pb.Order) cordon.Order {
			return cordon.Order{ID: r.text(o.Id), Verb: cordon.Verb(r.text(o.Verb)), Rate: rate(o.Rate),
				Entity: cordon.Entity{Device: r.text(o.Device), Target: r.target(o.Target)},
				Reason: r.text(o.Reason), By: r.text(o.By), At: cordon.Time(o.At), Expires: cordon.Time(o.Expires)}
		}),
		Allowed: all(r, p.Allowed, func(x *pb.Permission) cordon.Permission {
			return cordon.Permission{ID: r.text(x.Id), Device: r.text(x.Device), Target: r.target(x.Target), Reason: r.text(x.Reason),
				By: r.text(x.By), At: cordon.Time(x.At), Expires: cordon.Time(x.Expires)}
		}),
		Released: all(r, p.Released, func(x *pb.Release) cordon.Release {
			return cordon.Release{Action: r.text(x.Action), Device: r.text(x.Device), By: r.text(x.By), At: cordon.Time(x.At), Expires: cordon.Time(x.Expires)}
		})}
}

func (r *reader) shadow(p *pb.Shadow) cordon.Shadow {
	return cordon.Shadow{ID: r.text(p.Id), Kind: cordon.Kind(r.text(p.Kind)), Model: r.text(p.Model), Agent: r.text(p.Agent),
		Reason: r.text(p.Reason), By: r.text(p.By), At: cordon.Time(p.At), Expires: cordon.Time(p.Expires)}
}

func (r *reader) indicator(p *pb.Indicator) cordon.Indicator {
	if p.Confidence > 100 {
		r.fail("confidence %d", p.Confidence)
	}
	return cordon.Indicator{Type: cordon.IndicatorType(r.text(p.Type)), Value: r.text(p.Value), Source: r.text(p.Source),
		Role: cordon.IndicatorRole(r.text(p.Role)), Confidence: uint8(p.Confidence), Scope: r.text(p.Scope),
		FirstSeen: cordon.Time(p.FirstSeen), LastSeen: cordon.Time(p.LastSeen), Expires: cordon.Time(p.Expires), Note: r.text(p.Note)}
}
