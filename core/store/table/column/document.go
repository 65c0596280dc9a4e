package column

import (
	"database/sql/driver"
	"encoding/json"
	"fmt"
	"net"
	"net/netip"
	"time"

	"cordon"
	"cordon/internal/text"
)

// Bounds of what a document keeps; what is beyond is cut. The wire and the API refuse
// more than this; these are the last line.
const (
	name    = 512   // bytes of a name: 100 characters, a DNS name
	line    = 2048  // bytes of a sentence or reason: 500 characters
	story   = 4096  // bytes of an incident's story
	few     = 32    // evidence, samples, reasons, addresses, ports
	moments = 256   // of a time line
	many    = 4096  // devices, orders and permissions of a site
	inForce = 1_024 // actions that a router says are in force
)

// MaxKinds is the most kinds of an incident.
const MaxKinds = few

// MaxDesired is the most devices, orders, permissions or releases of a site.
const MaxDesired = many

type document[T, D any] struct {
	p    *T
	to   func(*T) D
	from func(D) T
}

func (c document[T, D]) Value() (driver.Value, error) {
	b, err := json.Marshal(c.to(c.p))
	return string(b), err
}

func (c document[T, D]) Scan(v any) error {
	var d D
	var b []byte
	switch v := v.(type) {
	case string:
		b = []byte(v)
	case []byte:
		b = v
	default:
		return fmt.Errorf("a document is stored as %T", v)
	}
	if err := json.Unmarshal(b, &d); err != nil {
		return fmt.Errorf("read a stored %T: %w", *c.p, err)
	}
	*c.p = c.from(d)
	return nil
}

// texts cleans a list of texts and bounds it.
func texts[S ~string](in []S, n, most int) (out []string) {
	for _, s := range in[:min(len(in), n)] {
		out = append(out, text.Clean(string(s), most))
	}
	return out
}

// words is the reverse of texts.
func words[S ~string](in []string) (out []S) {
	for _, s := range in {
		out = append(out, S(s))
	}
	return out
}

// each converts a list and bounds it.
func each[A, B any](in []A, n int, convert func(*A) B) (out []B) {
	if len(in) == 0 {
		return nil
	}
	in = in[:min(len(in), n)]
	out = make([]B, len(in))
	for i := range in {
		out[i] = convert(&in[i])
	}
	return out
}

type deviceDoc struct {
	ID         string       `json:"id,omitempty"`
	MAC        string       `json:"mac,omitempty"`
	Randomised bool         `json:"randomised,omitempty"`
	Relay      bool         `json:"relay,omitempty"`
	Gateway    bool         `json:"gateway,omitempty"`
	Addrs      []netip.Addr `json:"addrs,omitempty"`
	Name       string       `json:"name,omitempty"`
	Maker      string       `json:"maker,omitempty"`
	Model      string       `json:"model,omitempty"`
	Class      string       `json:"class,omitempty"`
	Reasons    []string     `json:"reasons,omitempty"`
	First      int64        `json:"first,omitempty"`
	Last       int64        `json:"last,omitempty"`
}

func deviceTo(d *cordon.Device) deviceDoc {
	doc := deviceDoc{ID: text.Clean(d.ID, name), Randomised: d.Randomised, Relay: d.Relay, Gateway: d.Gateway,
		Addrs: d.Addrs[:min(len(d.Addrs), few)], Name: text.Clean(d.Name, name), Maker: text.Clean(d.Maker, name),
		Model: text.Clean(d.Model, name), Reasons: texts(d.Reasons, few, line), First: Micros(d.FirstSeen), Last: Micros(d.LastSeen)}
	if d.HasMAC {
		doc.MAC = d.MAC.String()
	}
	if d.Class != cordon.Unknown {
		doc.Class = d.Class.String()
	}
	return doc
}

func deviceFrom(doc deviceDoc) cordon.Device {
	d := cordon.Device{ID: doc.ID, Randomised: doc.Randomised, Relay: doc.Relay, Gateway: doc.Gateway, Addrs: doc.Addrs,
		Name: doc.Name, Maker: doc.Maker, Model: doc.Model, Class: classOf(doc.Class), Reasons: doc.Reasons,
		FirstSeen: OfMicros(doc.First), LastSeen: OfMicros(doc.Last)}
	if doc.MAC != "" {
		hw, err := net.ParseMAC(doc.MAC)
		if d.HasMAC = err == nil && len(hw) == len(d.MAC); d.HasMAC {
			d.MAC = cordon.MAC(hw)
		}
	}
	return d
}

// classOf returns the class of that name; a doubt means Unknown.
func classOf(s string) cordon.Class {
	for c := cordon.Unknown; c <= cordon.LifeLine; c++ {
		if c.String() == s {
			return c
		}
	}
	return cordon.Unknown
}

// Device is a device.
func Device(p *cordon.Device) Column {
	return document[cordon.Device, deviceDoc]{p, deviceTo, deviceFrom}
}

type rateDoc struct {
	Packets     uint32 `json:"packets,omitempty"`
	Connections uint32 `json:"connections,omitempty"`
}

type targetDoc struct {
	Proto uint8        `json:"proto,omitempty"`
	Ports []uint16     `json:"ports,omitempty"`
	Local uint16       `json:"local,omitempty"`
	Peer  netip.Addr   `json:"peer,omitzero"`
	Net   netip.Prefix `json:"net,omitzero"`
	Name  string       `json:"name,omitempty"`
	Stray bool         `json:"stray,omitempty"`
}

func targetTo(t *cordon.Target) targetDoc {
	return targetDoc{t.Proto, t.Ports[:min(len(t.Ports), few)], t.LocalPort, t.Peer, t.Net, text.Clean(t.Name, name), t.Stray}
}

func targetFrom(d targetDoc) cordon.Target {
	return cordon.Target{Proto: d.Proto, Ports: d.Ports, LocalPort: d.Local, Peer: d.Peer, Net: d.Net, Name: d.Name, Stray: d.Stray}
}

type evidenceDoc struct {
	Name      string  `json:"name"`
	Value     float64 `json:"value"`
	Threshold float64 `json:"threshold"`
	Unit      string  `json:"unit,omitempty"`
	Window    int64   `json:"window_us,omitempty"`
}

type detectionDoc struct {
	Device    deviceDoc     `json:"device"`
	Since     int64         `json:"since"`
	Confirmed bool          `json:"confirmed,omitempty"`
	Sentence  string        `json:"sentence,omitempty"`
	Subject   string        `json:"subject,omitempty"`
	Target    targetDoc     `json:"target,omitzero"`
	Rate      rateDoc       `json:"rate,omitzero"`
	Life      int64         `json:"life_us,omitempty"`
	Evidence  []evidenceDoc `json:"evidence,omitempty"`
	Peer      string        `json:"peer,omitempty"`
	Samples   []string      `json:"samples,omitempty"`
}

func detectionTo(d *cordon.Detection) detectionDoc {
	doc := detectionDoc{Since: Micros(d.Since), Confirmed: d.Confirmed, Sentence: text.Clean(d.Sentence, line),
		Subject: text.Clean(d.Subject, line), Target: targetTo(&d.Target), Rate: rateDoc(d.Rate), Life: d.Life.Microseconds(),
		Peer: text.Clean(d.PeerName, name), Samples: texts(d.Samples, few, line),
		Evidence: each(d.Evidence, few, func(e *cordon.Evidence) evidenceDoc {
			return evidenceDoc{text.Clean(e.Name, name), finite(e.Value), finite(e.Threshold), text.Clean(e.Unit, name), e.Window.Microseconds()}
		})}
	if d.Device != nil {
		doc.Device = deviceTo(d.Device)
	}
	return doc
}

func detectionFrom(d detectionDoc) cordon.Detection {
	device := deviceFrom(d.Device)
	return cordon.Detection{Device: &device, Since: OfMicros(d.Since), Confirmed: d.Confirmed, Sentence: d.Sentence,
		Subject: d.Subject, Target: targetFrom(d.Target), Rate: cordon.Rate(d.Rate), Life: micros(d.Life), PeerName: d.Peer,
		Samples: d.Samples, Evidence: each(d.Evidence, few, func(e *evidenceDoc) cordon.Evidence {
			return cordon.Evidence{Name: e.Name, Value: e.Value, Threshold: e.Threshold, Unit: e.Unit, Window: micros(e.Window)}
		})}
}

// micros is a duration of us microseconds.
func micros(us int64) time.Duration { return time.Duration(us) * time.Microsecond }

// finite replaces what JSON cannot say.
func finite(f float64) float64 {
	if f-f != 0 { // infinite or not a number
		return 0
	}
	return f
}

// Detection is what a detection has no column for. What is read keeps no other field.
func Detection(p *cordon.Detection) Column {
	return document[cordon.Detection, detectionDoc]{p, detectionTo, func(d detectionDoc) cordon.Detection {
		was, is := *p, detectionFrom(d)
		is.ID, is.Kind, is.At, is.Level = was.ID, was.Kind, was.At, was.Level
		return is
	}}
}

type raiseDoc struct {
	Level uint8 `json:"level"`
	At    int64 `json:"at"`
}

type markDoc struct {
	Kind  string `json:"kind"`
	Level uint8  `json:"level"`
	Since int64  `json:"since"`
}

type momentDoc struct {
	At        int64  `json:"at"`
	Level     uint8  `json:"level"`
	Kind      string `json:"kind,omitempty"`
	Technique string `json:"technique,omitempty"`
	Subject   string `json:"subject,omitempty"`
	Text      string `json:"text"`
	Ref       string `json:"ref,omitempty"`
	Count     int    `json:"count,omitempty"`
}

type incidentDoc struct {
	Device   deviceDoc   `json:"device"`
	Odds     float64     `json:"odds"`
	Raised   []raiseDoc  `json:"raised,omitempty"`
	Timeline []momentDoc `json:"timeline,omitempty"`
	Omitted  int         `json:"omitted,omitempty"`
	Kinds    []string    `json:"kinds,omitempty"`
	Marks    []markDoc   `json:"marks,omitempty"`
	Verbs    []string    `json:"verbs,omitempty"`
	Mode     string      `json:"mode,omitempty"`
	Story    string      `json:"story,omitempty"`
	Told     string      `json:"told,omitempty"`
}

func incidentTo(i *cordon.Incident) incidentDoc {
	doc := incidentDoc{Odds: finite(i.Odds), Omitted: i.Omitted, Kinds: texts(i.Kinds, few, name), Verbs: texts(i.Verbs, few, name),
		Mode: text.Clean(string(i.Mode), name), Story: text.Clean(i.Story, story), Told: text.Clean(i.Told, line),
		Raised: each(i.Raised, few, func(r *cordon.Raise) raiseDoc { return raiseDoc{uint8(r.Level), Micros(r.At)} }),
		Marks: each(i.Marks, few, func(m *cordon.Mark) markDoc {
			return markDoc{text.Clean(string(m.Kind), name), uint8(m.Level), Micros(m.Since)}
		}),
		Timeline: each(i.Timeline, moments, func(m *cordon.Moment) momentDoc {
			return momentDoc{Micros(m.At), uint8(m.Level), text.Clean(string(m.Kind), name), text.Clean(m.Technique, name),
				text.Clean(m.Subject, line), text.Clean(m.Text, line), text.Clean(m.Ref, name), m.Count}
		})}
	if i.Device != nil {
		doc.Device = deviceTo(i.Device)
	}
	return doc
}

func incidentFrom(d incidentDoc) cordon.Incident {
	device := deviceFrom(d.Device)
	return cordon.Incident{Device: &device, Odds: d.Odds, Omitted: d.Omitted, Kinds: words[cordon.Kind](d.Kinds),
		Verbs: words[cordon.Verb](d.Verbs), Mode: cordon.Mode(d.Mode), Story: d.Story, Told: d.Told,
		Raised: each(d.Raised, few, func(r *raiseDoc) cordon.Raise {
			return cordon.Raise{Level: cordon.Level(r.Level), At: OfMicros(r.At)}
		}),
		Marks: each(d.Marks, few, func(m *markDoc) cordon.Mark {
			return cordon.Mark{Kind: cordon.Kind(m.Kind), Level: cordon.Level(m.Level), Since: OfMicros(m.Since)}
		}),
		Timeline: each(d.Timeline, moments, func(m *momentDoc) cordon.Moment {
			return cordon.Moment{At: OfMicros(m.At), Level: cordon.Level(m.Level), Kind: cordon.Kind(m.Kind),
				Technique: m.Technique, Subject: m.Subject, Text: m.Text, Ref: m.Ref, Count: m.Count}
		})}
}

// Incident is what an incident has no column for.
func Incident(p *cordon.Incident) Column {
	return document[cordon.Incident, incidentDoc]{p, incidentTo, func(d incidentDoc) cordon.Incident {
		was, is := *p, incidentFrom(d)
		is.ID, is.Level, is.Opened, is.Last = was.ID, was.Level, was.Opened, was.Last
		return is
	}}
}

// Events are the sorts of events that a webhook wants.
func Events(p *[]cordon.EventSort) Column {
	return document[[]cordon.EventSort, []string]{p,
		func(e *[]cordon.EventSort) []string { return texts(*e, few, name) }, words[cordon.EventSort]}
}

type domainDoc struct {
	Domain string `json:"domain"`
	Count  uint32 `json:"count"`
}

// Domains are the names of a summary.
func Domains(p *[]cordon.DomainCount) Column {
	return document[[]cordon.DomainCount, []domainDoc]{p,
		func(in *[]cordon.DomainCount) []domainDoc {
			return each(*in, moments, func(d *cordon.DomainCount) domainDoc { return domainDoc{text.Clean(d.Domain, name), d.Count} })
		},
		func(in []domainDoc) []cordon.DomainCount {
			return each(in, moments, func(d *domainDoc) cordon.DomainCount { return cordon.DomainCount(*d) })
		}}
}

// KindsText writes kinds as a text in which one is found by LIKE '%|kind|%'.
func KindsText(kinds []cordon.Kind) string {
	s := "|"
	for _, k := range kinds[:min(len(kinds), few)] {
		s += text.Clean(string(k), name) + "|"
	}
	return s
}

type kindList struct{ p *[]cordon.Kind }

// Kinds are an incident's kinds, to filter by: "|scan.mirai|dos.syn|". They are never
// read back: the document has them, too.
func Kinds(p *[]cordon.Kind) Column { return kindList{p} }

func (c kindList) Value() (driver.Value, error) { return KindsText(*c.p), nil }

func (c kindList) Scan(any) error { return nil }
