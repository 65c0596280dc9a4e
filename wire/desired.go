package wire

import "cordon"

// What core tells, field by field as in wire.proto.

// codeDirective passes over a directive. What a newer core says to newer agents is not
// looked at.
func codeDirective(c *codec, d *Directive) {
	natural(c, 1, &d.Number)
	text(c, 2, &d.Receiver)
	integer(c, 3, &d.Issued)
	integer(c, 4, &d.Expires)
	if natural(c, 5, &d.Least); !c.write && d.Least > Version {
		c.in.open(nil)
		return
	}
	message(c, 6, &d.Desired, codeDesired)
	d.unknown(c, "desired state")
	message(c, 7, &d.Shadows, func(c *codec, s *Shadows) {
		items(c, 1, &s.List, maxList, codeShadow, func(s *cordon.Shadow) string { return "shadow " + s.ID })
	})
	d.unknown(c, "shadows")
	message(c, 8, &d.Indicators, codeIndicators)
	d.unknown(c, "indicators")
	message(c, 9, &d.Configuration, func(c *codec, s *Configuration) {
		items(c, 1, &s.Settings, maxList, codeSetting, func(s *Setting) string { return "setting " + s.Name })
	})
	d.unknown(c, "configuration")
}

// unknown notes what of a part, which was just read, this version does not know.
func (d *Directive) unknown(c *codec, part string) {
	d.Unknown = append(d.Unknown, c.unknown...)
	if c.strange != "" {
		d.Unknown = append(d.Unknown, part+": "+c.strange)
	}
	c.unknown, c.strange = nil, ""
}

func codeDesired(c *codec, d *cordon.Desired) {
	text(c, 1, &d.Site)
	natural(c, 2, &d.Version)
	integer(c, 3, &d.At)
	text(c, 4, &d.Policy)
	items(c, 5, &d.Devices, maxList, codeDesiredDevice, func(d *cordon.DesiredDevice) string { return "device " + d.Device })
	items(c, 6, &d.Orders, maxList, codeOrder, func(o *cordon.Order) string { return o.ID })
	items(c, 7, &d.Allowed, maxList, codePermission, func(p *cordon.Permission) string { return p.ID })
	items(c, 8, &d.Released, maxList, codeRelease, func(r *cordon.Release) string { return "release of " + r.Action + r.Device })
}

func codeDesiredDevice(c *codec, d *cordon.DesiredDevice) {
	text(c, 1, &d.Device)
	text(c, 2, &d.Name)
	optional(c, 3, &d.Class) // one that is unknown is refused by whoever uses it
	text(c, 4, &d.Policy)
}

func codeOrder(c *codec, o *cordon.Order) {
	text(c, 1, &o.ID)
	text(c, 2, &o.Verb)
	text(c, 3, &o.Entity.Device)
	part(c, 4, &o.Entity.Target, o.Entity.Target.Zero(), codeTarget)
	part(c, 5, &o.Rate, o.Rate == cordon.Rate{}, codeRate)
	text(c, 6, &o.Reason)
	text(c, 7, &o.By)
	integer(c, 8, &o.At)
	integer(c, 9, &o.Expires)
}

func codePermission(c *codec, p *cordon.Permission) {
	text(c, 1, &p.ID)
	text(c, 2, &p.Device)
	part(c, 3, &p.Target, p.Target.Zero(), codeTarget)
	text(c, 4, &p.Reason)
	text(c, 5, &p.By)
	integer(c, 6, &p.At)
	integer(c, 7, &p.Expires)
}

func codeRelease(c *codec, r *cordon.Release) {
	text(c, 1, &r.Action)
	text(c, 2, &r.Device)
	text(c, 3, &r.By)
	integer(c, 4, &r.At)
	integer(c, 5, &r.Expires)
}

func codeShadow(c *codec, s *cordon.Shadow) {
	text(c, 1, &s.ID)
	text(c, 2, &s.Kind)
	text(c, 3, &s.Model)
	text(c, 4, &s.Agent)
	text(c, 5, &s.Reason)
	text(c, 6, &s.By)
	integer(c, 7, &s.At)
	integer(c, 8, &s.Expires)
}

// maxIndicators bounds a set: a router's budget, four times.
const maxIndicators = 80_000

func codeIndicators(c *codec, i *Indicators) {
	name := func(i *cordon.Indicator) string { return "indicator " + i.Value }
	natural(c, 1, &i.Base)
	items(c, 2, &i.Added, maxIndicators, codeIndicator, name)
	items(c, 3, &i.Removed, maxIndicators, codeIndicator, name)
}

func codeIndicator(c *codec, i *cordon.Indicator) {
	text(c, 1, &i.Type)
	text(c, 2, &i.Value)
	text(c, 3, &i.Source)
	text(c, 4, &i.Role)
	if natural(c, 5, &i.Confidence); i.Confidence > 100 {
		c.fail("confidence %d", i.Confidence)
	}
	text(c, 6, &i.Scope)
	integer(c, 7, &i.FirstSeen)
	integer(c, 8, &i.LastSeen)
	integer(c, 9, &i.Expires)
	text(c, 10, &i.Note)
}

func codeSetting(c *codec, s *Setting) {
	text(c, 1, &s.Name)
	text(c, 2, &s.Value)
}
