// Package known judges c2.indicator: a contact with a place that is known to be
// hostile.
//
// Indicators come from the provider, from feeds and from other homes; each says
// how sure it is, for whom it counts and until when. They are matched in the
// order in which a contact gives itself away: the name asked for, the name in the
// TLS greeting, the HTTP host, the URL, the address and port (detection.md §A3).
package known

import (
	"cmp"
	"fmt"
	"net/netip"
	"time"

	"cordon"
	"cordon/internal/slots"
	"cordon/internal/window"
)

// Indicators is what is known to be hostile. The look-ups are called on the
// packet path and must not allocate when nothing is found.
type Indicators interface {
	Name(name []byte, now cordon.Time) (cordon.Indicator, bool)
	Endpoint(a netip.Addr, port uint16, now cordon.Time) (cordon.Indicator, bool)
	URL(host, path []byte, now cordon.Time) (cordon.Indicator, bool)
}

// Config configures a Detector. Indicators and Report are required.
type Config struct {
	Indicators Indicators
	Renew      time.Duration // how often the same contact is told again; default 1 h
	Report     func(cordon.Detection)
}

// Detector judges c2.indicator.
type Detector struct {
	cfg   Config
	state slots.Table[told]
}

// told remembers which indicators were reported for a device lately.
type told struct{ window.Distinct }

// New returns a Detector.
func New(cfg Config) *Detector {
	cfg.Renew = cmp.Or(cfg.Renew, time.Hour)
	return &Detector{cfg: cfg}
}

// Observe takes a fact.
func (d *Detector) Observe(o *cordon.Observation, now cordon.Time) {
	switch o.Fact {
	case cordon.FactDNSQuery:
		if i, ok := d.cfg.Indicators.Name(o.Name, now); ok {
			d.hit(o.Device, &i, "asked for the name", string(o.Name), cordon.Target{Name: string(o.Name)}, now)
		}
	case cordon.FactTLS:
		d.spoken(o, "greeted", now)
	case cordon.FactHTTPRequest:
		if o.Flow == nil || o.Flow.Direction == cordon.Inbound {
			return
		}
		if i, ok := d.cfg.Indicators.URL(o.Name, o.Path, now); ok {
			d.hit(o.Flow.Device, &i, "asked for the page", i.Value, target(o.Flow), now)
			return
		}
		d.spoken(o, "asked the web server", now)
	}
}

// spoken looks up a name that a device said to its peer.
func (d *Detector) spoken(o *cordon.Observation, how string, now cordon.Time) {
	if o.Flow == nil || o.Flow.Direction == cordon.Inbound || len(o.Name) == 0 {
		return
	}
	if i, ok := d.cfg.Indicators.Name(o.Name, now); ok {
		d.hit(o.Flow.Device, &i, how, string(o.Name), cordon.Target{Name: string(o.Name)}, now)
	}
}

// Flow takes what happened to a flow.
func (d *Detector) Flow(ev cordon.FlowEvent, f *cordon.Flow, now cordon.Time) {
	if ev != cordon.FlowOpened || f.Direction == cordon.Lateral {
		return
	}
	i, ok := d.cfg.Indicators.Endpoint(f.Peer, f.Service(), now)
	if !ok {
		return
	}
	how := "contacted"
	if f.Direction == cordon.Inbound {
		if i.Role != cordon.RoleScanner && i.Role != cordon.RoleLoader {
			return // that a hostile host looks at the home says nothing about the home
		}
		how = "was contacted by"
	}
	d.hit(f.Device, &i, how, netip.AddrPortFrom(f.Peer, f.Service()).String(), target(f), now)
}

func target(f *cordon.Flow) cordon.Target {
	t := cordon.Target{Proto: f.Proto, Peer: f.Peer}
	if f.Direction != cordon.Inbound {
		t.Ports = []uint16{f.PeerPort}
	}
	return t
}

func (d *Detector) hit(dev *cordon.Device, i *cordon.Indicator, how, what string, t cordon.Target, now cordon.Time) {
	if dev == nil || !i.Applies(dev.Class) {
		return
	}
	s := d.state.Get(dev.Slot, dev.Generation)
	if !s.AddKey(key(i.Value), int64(now), d.cfg.Renew) {
		return
	}
	inbound := how == "was contacted by"
	d.cfg.Report(cordon.Detection{
		Kind: cordon.C2Indicator, Device: dev, At: now, Since: now,
		Confirmed: i.Confidence >= cordon.HighConfidence && !inbound,
		Sentence:  fmt.Sprintf("It %s %s, which is known to be hostile (%s, according to %s).", how, what, i.Role, i.Source),
		Subject:   what,
		Target:    t,
		Evidence: []cordon.Evidence{{Name: "confidence of the indicator " + i.Value, Value: float64(i.Confidence),
			Threshold: cordon.HighConfidence, Unit: "of 100"}},
		Samples: []string{what},
	})
}

// key folds an indicator's value into 64 bits (FNV-1a).
func key(s string) uint64 {
	h := uint64(0xcbf29ce484222325)
	for i := range len(s) {
		h = (h ^ uint64(s[i])) * 0x100000001b3
	}
	return h
}
