package view

import (
	"math"
	"net/netip"
	"time"

	"cordon"
)

// Incident is everything known about one misbehaving device, in short.
type Incident struct {
	ID          string         `json:"id" doc:"Names it together with the site."`
	Site        string         `json:"site"`
	Account     string         `json:"account"`
	Device      IncidentDevice `json:"device"`
	Level       string         `json:"level" enum:"none,watch,notify,act"`
	Open        bool           `json:"open" doc:"It goes on, or nobody has closed it."`
	Over        bool           `json:"over" doc:"The router sees no more of it."`
	Closed      string         `json:"closed,omitempty" doc:"What a person said of it: mended, false-alarm or expected."`
	ClosedBy    string         `json:"closed_by,omitempty"`
	Note        string         `json:"note,omitempty"`
	Opened      time.Time      `json:"opened" doc:"When the behaviour began."`
	Last        time.Time      `json:"last" doc:"When it was last seen."`
	Received    time.Time      `json:"received,omitzero" doc:"When core stored the last report of it."`
	Probability float64        `json:"probability" minimum:"0" maximum:"1" doc:"That the device is infected, by all the evidence."`
	Kinds       []string       `json:"kinds" nullable:"false"`
	Verbs       []string       `json:"verbs" nullable:"false" doc:"What was done, would have been, or is asked for."`
	Mode        string         `json:"mode,omitempty" doc:"do, ask or would."`
	Told        string         `json:"told,omitempty" doc:"One sentence for the customer."`
	Version     int64          `json:"version"`
}

// IncidentDevice is the device of an incident.
type IncidentDevice struct {
	ID    string `json:"id"`
	Label string `json:"label"`
	Class string `json:"class"`
	Maker string `json:"maker,omitempty"`
	Model string `json:"model,omitempty"`
}

// OfIncident shows an incident in short.
func OfIncident(r *cordon.IncidentRecord) Incident {
	i := &r.Incident
	v := Incident{ID: i.ID, Site: r.Site, Account: r.Account, Level: i.Level.String(), Over: r.Over, Open: !r.Over && r.Closed == "",
		Closed: string(r.Closed), ClosedBy: r.By, Note: r.Note, Opened: moment(i.Opened), Last: moment(i.Last), Received: moment(r.Received),
		Probability: probability(i.Odds), Kinds: texts(i.Kinds), Verbs: texts(i.Verbs), Mode: string(i.Mode), Told: i.Told, Version: r.Version}
	if d := i.Device; d != nil {
		v.Device = IncidentDevice{d.ID, d.Label(), d.Class.String(), d.Maker, d.Model}
	}
	return v
}

// probability returns what the natural logarithm of odds means, with three digits: a
// router's number may be anything.
func probability(odds float64) float64 {
	p := 1 / (1 + math.Exp(-odds))
	if math.IsNaN(p) {
		return 0
	}
	return math.Round(p*1000) / 1000
}

// texts returns names as texts, never null.
func texts[T ~string](names []T) []string {
	return Each(names, func(n *T) string { return string(*n) })
}

// IncidentStory is an incident with its time line, the evidence and what was done.
type IncidentStory struct {
	Incident
	Story      string      `json:"story" doc:"Plain sentences, for a support agent."`
	Raised     []Raise     `json:"raised" nullable:"false"`
	Timeline   []Moment    `json:"timeline" nullable:"false"`
	Omitted    int         `json:"omitted" doc:"Moments beyond the bound of the time line."`
	Detections []Detection `json:"detections" nullable:"false" doc:"The newest of it; more: /v1/detections."`
	Actions    []Action    `json:"actions" nullable:"false"`
}

// Raise is when an incident reached a level.
type Raise struct {
	Level string    `json:"level"`
	At    time.Time `json:"at"`
}

// Moment is one line of a time line.
type Moment struct {
	At        time.Time `json:"at"`
	Level     string    `json:"level"`
	Kind      string    `json:"kind,omitempty"`
	Technique string    `json:"technique,omitempty" doc:"MITRE ATT&CK."`
	Subject   string    `json:"subject,omitempty"`
	Text      string    `json:"text"`
	Ref       string    `json:"ref" doc:"Id of the detection or action."`
	Count     int       `json:"count"`
}

// OfStory shows an incident with all that belongs to it.
func OfStory(r *cordon.IncidentRecord, detections []cordon.DetectionRecord, actions []cordon.ActionRecord) IncidentStory {
	i := &r.Incident
	return IncidentStory{Incident: OfIncident(r), Story: i.Story, Omitted: i.Omitted,
		Raised: Each(i.Raised, func(r *cordon.Raise) Raise { return Raise{r.Level.String(), moment(r.At)} }),
		Timeline: Each(i.Timeline, func(m *cordon.Moment) Moment {
			return Moment{moment(m.At), m.Level.String(), string(m.Kind), m.Technique, m.Subject, m.Text, m.Ref, m.Count}
		}),
		Detections: Each(detections, OfDetection), Actions: Each(actions, OfAction)}
}

// Detection is one judgement with its evidence.
type Detection struct {
	ID        string     `json:"id"`
	Site      string     `json:"site"`
	Account   string     `json:"account"`
	Device    string     `json:"device"`
	Kind      string     `json:"kind"`
	Family    string     `json:"family,omitempty"`
	Technique string     `json:"technique,omitempty" doc:"MITRE ATT&CK."`
	Level     string     `json:"level" enum:"none,watch,notify,act"`
	Confirmed bool       `json:"confirmed" doc:"The kind's measured error bound holds for it."`
	Shadowed  bool       `json:"shadowed,omitempty" doc:"A shadow lay on it: nothing was done."`
	Agent     string     `json:"agent,omitempty"`
	Since     time.Time  `json:"since,omitzero"`
	At        time.Time  `json:"at"`
	Received  time.Time  `json:"received,omitzero"`
	Subject   string     `json:"subject"`
	Sentence  string     `json:"sentence" doc:"What a support agent can read to a customer."`
	Target    Target     `json:"target"`
	Evidence  []Evidence `json:"evidence" nullable:"false"`
	PeerName  string     `json:"peer_name,omitempty"`
	Samples   []string   `json:"samples" nullable:"false"`
}

// Evidence is a measured value and the threshold that it passed.
type Evidence struct {
	Name      string  `json:"name"`
	Value     float64 `json:"value"`
	Threshold float64 `json:"threshold"`
	Unit      string  `json:"unit,omitempty"`
	Window    float64 `json:"window_seconds,omitempty"`
}

// OfDetection shows a detection.
func OfDetection(r *cordon.DetectionRecord) Detection {
	d := &r.Detection
	v := Detection{ID: d.ID, Site: r.Site, Account: r.Account, Kind: string(d.Kind), Family: string(d.Kind.Family()),
		Technique: d.Kind.Technique(), Level: d.Level.String(), Confirmed: d.Confirmed, Shadowed: r.Shadowed, Agent: r.Agent,
		Since: moment(d.Since), At: moment(d.At), Received: moment(r.Received), Subject: d.Subject, Sentence: d.Sentence,
		Target: OfTarget(&d.Target), PeerName: d.PeerName, Samples: list(d.Samples),
		Evidence: Each(d.Evidence, func(e *cordon.Evidence) Evidence {
			return Evidence{e.Name, finite(e.Value), finite(e.Threshold), e.Unit, e.Window.Seconds()}
		})}
	if d.Device != nil {
		v.Device = d.Device.ID
	}
	return v
}

// finite returns what JSON can write.
func finite(f float64) float64 {
	if math.IsNaN(f) || math.IsInf(f, 0) {
		return 0
	}
	return f
}

// Target is the part of a device's traffic that is meant; empty: all of it.
type Target struct {
	Protocol  uint8        `json:"protocol,omitempty" doc:"IANA protocol number."`
	Ports     []uint16     `json:"ports,omitempty" nullable:"false" maxItems:"32" doc:"Destination ports."`
	LocalPort uint16       `json:"local_port,omitempty" doc:"The port that the device itself uses; by itself, and blocked only."`
	Peer      netip.Addr   `json:"peer,omitzero" doc:"Address of the far side."`
	Net       netip.Prefix `json:"net,omitzero" doc:"Network of the far side: a /24 or a /48."`
	Name      string       `json:"name,omitempty" maxLength:"253" doc:"Name of the far side."`
	Stray     bool         `json:"stray,omitempty" readOnly:"true" doc:"Only packets of no connection."`
}

// OfTarget shows a target.
func OfTarget(t *cordon.Target) Target {
	return Target{t.Proto, t.Ports, t.LocalPort, t.Peer, t.Net, t.Name, t.Stray}
}

// Action is something that was done about a device, would be, or waits for an answer.
type Action struct {
	ID       string    `json:"id"`
	Site     string    `json:"site"`
	Account  string    `json:"account"`
	Verb     string    `json:"verb"`
	Mode     string    `json:"mode" doc:"do, ask or would."`
	Device   string    `json:"device"`
	Target   Target    `json:"target"`
	Incident string    `json:"incident,omitempty"`
	Reason   string    `json:"reason"`
	By       string    `json:"by,omitempty" doc:"Who ordered it; empty: the router itself."`
	Result   string    `json:"result" doc:"done, ended, failed, unsure or refused."`
	Error    string    `json:"error,omitempty"`
	At       time.Time `json:"at"`
	Expires  time.Time `json:"expires,omitzero"`
	Rate     Rate      `json:"rate,omitzero"`
	Updated  time.Time `json:"updated,omitzero"`
}

// Rate is what a limit leaves.
type Rate struct {
	Packets     uint32 `json:"packets,omitempty" doc:"A second; 0: any number."`
	Connections uint32 `json:"connections,omitempty" doc:"New ones a second; 0: any number."`
}

// OfAction shows an action.
func OfAction(r *cordon.ActionRecord) Action {
	v := ofAction(&r.Action)
	v.Site, v.Account, v.By, v.Result, v.Error, v.Updated = r.Site, r.Account, r.By, string(r.Result), r.Error, moment(r.Updated)
	return v
}

func ofAction(a *cordon.Action) Action {
	return Action{ID: a.ID, Verb: string(a.Verb), Mode: string(a.Mode), Device: a.Entity.Device, Target: OfTarget(&a.Entity.Target),
		Incident: a.Incident, Reason: a.Reason, At: moment(a.At), Expires: moment(a.Expires), Rate: Rate(a.Rate)}
}

// Desired is what a site's router should do, beside what it does.
type Desired struct {
	Site     string          `json:"site"`
	Version  uint64          `json:"version"`
	At       time.Time       `json:"at,omitzero"`
	Policy   string          `json:"policy"`
	Devices  []DesiredDevice `json:"devices" nullable:"false"`
	Orders   []Order         `json:"orders" nullable:"false"`
	Allowed  []Permission    `json:"allowed" nullable:"false"`
	Released []Release       `json:"released" nullable:"false"`
	Enforced Enforced        `json:"enforced"`
}

// Enforced is what the router says of it.
type Enforced struct {
	Known   bool      `json:"known" doc:"A router has told."`
	Online  bool      `json:"online"`
	Version uint64    `json:"version" doc:"Of the desired state that is in force."`
	Current bool      `json:"current" doc:"It is the newest."`
	Policy  string    `json:"policy,omitempty" doc:"That the router goes by."`
	At      time.Time `json:"at,omitzero" doc:"When the router last told."`
	InForce []Action  `json:"in_force" nullable:"false" doc:"What changes what passes."`
	Differs []Differs `json:"differs" nullable:"false" doc:"What is desired and not in force, and why as far as it is known."`
}

// Differs is a difference.
type Differs struct {
	What string `json:"what" doc:"Id of an order, or the name of a part."`
	Why  string `json:"why"`
}

// DesiredDevice is what people said about a device.
type DesiredDevice struct {
	Device string `json:"device"`
	Name   string `json:"name,omitempty"`
	Class  string `json:"class,omitempty"`
	Policy string `json:"policy,omitempty"`
}

// Order is an action that a person ordered.
type Order struct {
	ID      string    `json:"id"`
	Verb    string    `json:"verb" enum:"limit,block,quarantine"`
	Device  string    `json:"device"`
	Target  Target    `json:"target"`
	Rate    Rate      `json:"rate,omitzero"`
	Reason  string    `json:"reason"`
	By      string    `json:"by"`
	At      time.Time `json:"at"`
	Expires time.Time `json:"expires"`
}

// Permission is a place that a device may reach.
type Permission struct {
	ID      string    `json:"id"`
	Device  string    `json:"device,omitempty" doc:"Empty: every device of the site."`
	Target  Target    `json:"target"`
	Reason  string    `json:"reason,omitempty"`
	By      string    `json:"by"`
	At      time.Time `json:"at"`
	Expires time.Time `json:"expires"`
}

// Release ends actions of the agent's own.
type Release struct {
	Action  string    `json:"action,omitempty" doc:"Empty: everything in force against the device."`
	Device  string    `json:"device"`
	By      string    `json:"by"`
	At      time.Time `json:"at"`
	Expires time.Time `json:"expires" doc:"Until when the agent does not begin the same again."`
}

// OfDesired shows what is desired.
func OfDesired(d *cordon.Desired) Desired {
	v := Desired{Site: d.Site, Version: d.Version, At: moment(d.At), Policy: string(d.Policy),
		Devices: Each(d.Devices, func(s *cordon.DesiredDevice) DesiredDevice {
			e := DesiredDevice{Device: s.Device, Name: s.Name, Policy: string(s.Policy)}
			if s.Class != nil {
				e.Class = s.Class.String()
			}
			return e
		}),
		Orders: Each(d.Orders, OfOrder), Allowed: Each(d.Allowed, OfPermission), Released: Each(d.Released, OfRelease)}
	v.Enforced.InForce, v.Enforced.Differs = []Action{}, []Differs{}
	return v
}

// OfOrder shows an order.
func OfOrder(o *cordon.Order) Order {
	return Order{o.ID, string(o.Verb), o.Entity.Device, OfTarget(&o.Entity.Target), Rate(o.Rate), o.Reason, o.By, moment(o.At), moment(o.Expires)}
}

// OfPermission shows a permission.
func OfPermission(p *cordon.Permission) Permission {
	return Permission{p.ID, p.Device, OfTarget(&p.Target), p.Reason, p.By, moment(p.At), moment(p.Expires)}
}

// OfRelease shows a release.
func OfRelease(r *cordon.Release) Release {
	return Release{r.Action, r.Device, r.By, moment(r.At), moment(r.Expires)}
}

// OfInForce shows actions that a router says are in force.
func OfInForce(actions []cordon.Action) []Action { return Each(actions, ofAction) }
