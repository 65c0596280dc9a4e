package wire

import "cordon"

// What a router tells, field by field as in wire.proto.

func codeReport(c *codec, r *cordon.Report) {
	text(c, 1, &r.ID.Router)
	natural(c, 2, &r.ID.Boot)
	natural(c, 3, &r.ID.Seq)
	integer(c, 4, &r.At)
	integer(c, 5, &r.Doubt)
	message(c, 6, &r.Device, codeDevice)
	message(c, 7, &r.Detection, func(c *codec, d *cordon.Detection) {
		codeDetection(c, d)
		c.flag(16, &r.Shadowed)
	})
	message(c, 8, &r.Incident, codeIncident)
	message(c, 9, &r.Action, codeActionReport)
	message(c, 10, &r.Enforced, codeEnforced)
	message(c, 11, &r.Health, codeHealth)
	message(c, 12, &r.Summary, codeSummary)
	c.flag(13, &r.Over)

	// None is a newer agent's report: its id counts, so that it is acknowledged and not
	// sent for ever.
	bodies := 0
	for _, there := range [...]bool{r.Device != nil, r.Detection != nil, r.Incident != nil, r.Action != nil, r.Enforced != nil,
		r.Health != nil, r.Summary != nil} {
		if there {
			bodies++
		}
	}
	if bodies > 1 {
		c.fail("report about %d things", bodies)
	}
}

func codeDevice(c *codec, d *cordon.Device) {
	text(c, 1, &d.ID)
	codeMAC(c, 2, d)
	c.flag(3, &d.Randomised)
	c.flag(4, &d.Relay)
	c.flag(5, &d.Gateway)
	c.addrs(6, &d.Addrs)
	text(c, 7, &d.Name)
	text(c, 8, &d.Maker)
	text(c, 9, &d.Model)
	codeClass(c, 10, &d.Class)
	texts(c, 11, &d.Reasons)
	integer(c, 12, &d.FirstSeen)
	integer(c, 13, &d.LastSeen)
}

func codeMAC(c *codec, n number, d *cordon.Device) {
	var b []byte
	if c.write && d.HasMAC {
		b = d.MAC[:]
	}
	c.bytes(n, &b)
	switch {
	case c.write || len(b) == 0:
	case len(b) != len(d.MAC):
		c.fail("MAC of %d bytes", len(b))
	default:
		d.MAC, d.HasMAC = cordon.MAC(b), true
	}
}

// codeClass passes over a class; one that a newer writer knows is unknown here.
func codeClass(c *codec, n number, p *cordon.Class) {
	class := uint32(*p)
	if natural(c, n, &class); c.write {
		return
	}
	if *p = cordon.Unknown; class <= uint32(cordon.LifeLine) {
		*p = cordon.Class(class)
	}
}

func codeLevel(c *codec, n number, p *cordon.Level) {
	if natural(c, n, p); !c.write && *p > cordon.Act {
		c.fail("level %d", uint8(*p))
	}
}

func codeTarget(c *codec, t *cordon.Target) {
	natural(c, 1, &t.Proto)
	c.ports(2, &t.Ports)
	natural(c, 3, &t.LocalPort)
	c.addr(4, &t.Peer)
	c.prefix(5, &t.Net)
	text(c, 6, &t.Name)
	c.flag(7, &t.Stray)
}

func codeRate(c *codec, r *cordon.Rate) {
	natural(c, 1, &r.Packets)
	natural(c, 2, &r.Connections)
}

func codeEvidence(c *codec, e *cordon.Evidence) {
	text(c, 1, &e.Name)
	c.number(2, &e.Value)
	c.number(3, &e.Threshold)
	text(c, 4, &e.Unit)
	integer(c, 5, &e.Window)
}

func codeDetection(c *codec, d *cordon.Detection) {
	text(c, 1, &d.ID)
	text(c, 2, &d.Kind)
	message(c, 3, &d.Device, codeDevice)
	integer(c, 4, &d.At)
	integer(c, 5, &d.Since)
	c.flag(6, &d.Confirmed)
	text(c, 7, &d.Sentence)
	codeLevel(c, 8, &d.Level)
	text(c, 9, &d.Subject)
	part(c, 10, &d.Target, d.Target.Zero(), codeTarget)
	part(c, 11, &d.Rate, d.Rate == cordon.Rate{}, codeRate)
	integer(c, 12, &d.Life)
	list(c, 13, &d.Evidence, codeEvidence)
	text(c, 14, &d.PeerName)
	texts(c, 15, &d.Samples)
}

func codeRaise(c *codec, r *cordon.Raise) {
	codeLevel(c, 1, &r.Level)
	integer(c, 2, &r.At)
}

func codeMoment(c *codec, m *cordon.Moment) {
	integer(c, 1, &m.At)
	codeLevel(c, 2, &m.Level)
	text(c, 3, &m.Kind)
	text(c, 4, &m.Technique)
	text(c, 5, &m.Subject)
	text(c, 6, &m.Text)
	text(c, 7, &m.Ref)
	c.many(8, &m.Count)
}

func codeMark(c *codec, m *cordon.Mark) {
	text(c, 1, &m.Kind)
	codeLevel(c, 2, &m.Level)
	integer(c, 3, &m.Since)
}

func codeIncident(c *codec, i *cordon.Incident) {
	text(c, 1, &i.ID)
	message(c, 2, &i.Device, codeDevice)
	codeLevel(c, 3, &i.Level)
	integer(c, 4, &i.Opened)
	integer(c, 5, &i.Last)
	c.number(6, &i.Odds)
	list(c, 7, &i.Raised, codeRaise)
	list(c, 8, &i.Timeline, codeMoment)
	c.many(9, &i.Omitted)
	texts(c, 10, &i.Kinds)
	list(c, 11, &i.Marks, codeMark)
	texts(c, 12, &i.Verbs)
	text(c, 13, &i.Mode)
	text(c, 14, &i.Story)
	text(c, 15, &i.Told)
}

func codeAction(c *codec, a *cordon.Action) {
	text(c, 1, &a.ID)
	text(c, 2, &a.Verb)
	text(c, 3, &a.Mode)
	text(c, 4, &a.Entity.Device)
	part(c, 5, &a.Entity.Target, a.Entity.Target.Zero(), codeTarget)
	text(c, 6, &a.Incident)
	text(c, 7, &a.Reason)
	text(c, 8, &a.Purpose)
	integer(c, 9, &a.At)
	integer(c, 10, &a.Expires)
	part(c, 11, &a.Rate, a.Rate == cordon.Rate{}, codeRate)
}

func codeActionReport(c *codec, a *cordon.ActionReport) {
	part(c, 1, &a.Action, false, codeAction)
	text(c, 2, &a.By)
	text(c, 3, &a.Result)
	text(c, 4, &a.Error)
}

func codeRefusal(c *codec, r *cordon.Refusal) {
	text(c, 1, &r.What)
	text(c, 2, &r.Why)
}

func codeEnforced(c *codec, e *cordon.Enforced) {
	natural(c, 1, &e.Version)
	natural(c, 2, &e.Shared)
	list(c, 3, &e.InForce, codeAction)
	list(c, 4, &e.Refused, codeRefusal)
}

func codeShortcoming(c *codec, s *cordon.Shortcoming) {
	text(c, 1, &s.Name)
	text(c, 2, &s.Text)
	text(c, 3, &s.Mend)
}

func codePart(c *codec, p *cordon.Part) {
	text(c, 1, &p.Name)
	text(c, 2, &p.State)
	text(c, 3, &p.Why)
}

func codeHealth(c *codec, h *cordon.Health) {
	integer(c, 1, &h.At)
	text(c, 2, &h.Mode)
	text(c, 3, &h.Why)
	text(c, 4, &h.Policy)
	text(c, 5, &h.Eyes)
	natural(c, 6, &h.Boot)
	integer(c, 7, &h.Uptime)
	integer(c, 8, &h.Resident)
	natural(c, 9, &h.Devices)
	natural(c, 10, &h.InForce)
	c.flag(11, &h.Clock)
	list(c, 12, &h.Lacks, codeShortcoming)
	list(c, 13, &h.Parts, codePart)
	c.counters(14, &h.Counters)
	natural(c, 15, &h.Lost)
}

func codeSummary(c *codec, s *cordon.Summary) {
	integer(c, 1, &s.Day)
	text(c, 2, &s.Device)
	codeClass(c, 3, &s.Class)
	text(c, 4, &s.Maker)
	text(c, 5, &s.Model)
	list(c, 6, &s.Domains, func(c *codec, d *cordon.DomainCount) {
		text(c, 1, &d.Domain)
		natural(c, 2, &d.Count)
	})
	natural(c, 7, &s.Other)
}
