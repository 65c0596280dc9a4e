package main

import (
	"bufio"
	"encoding/json"
	"io"
	"net/netip"

	"cordon"
	"cordon/agent"
)

// The objects of replay --json. They are a contract, documented in
// docs/reference/replay-json.md: fields are added, never renamed or reused.
type (
	jsonDevice struct {
		Type       string       `json:"type"`
		At         cordon.Time  `json:"at"`
		Device     string       `json:"device"`
		MAC        string       `json:"mac,omitempty"`
		Addresses  []netip.Addr `json:"addresses"`
		Name       string       `json:"name,omitempty"`
		Maker      string       `json:"maker,omitempty"`
		Model      string       `json:"model,omitempty"`
		Class      cordon.Class `json:"class"`
		Reasons    []string     `json:"reasons"`
		Randomised bool         `json:"randomised,omitempty"`
		Relay      bool         `json:"relay,omitempty"`
		Router     bool         `json:"router,omitempty"`
		FirstSeen  cordon.Time  `json:"first_seen"`
		LastSeen   cordon.Time  `json:"last_seen"`
	}
	jsonDetection struct {
		Type      string            `json:"type"`
		At        cordon.Time       `json:"at"`
		ID        string            `json:"id"`
		Kind      cordon.Kind       `json:"kind"`
		Technique string            `json:"technique"`
		Device    string            `json:"device"`
		Since     cordon.Time       `json:"since"`
		Level     cordon.Level      `json:"level"`
		Confirmed bool              `json:"confirmed"`
		Subject   string            `json:"subject"`
		Sentence  string            `json:"sentence"`
		Evidence  []cordon.Evidence `json:"evidence"`
		PeerName  string            `json:"peer_name,omitempty"`
		Samples   []string          `json:"samples,omitempty"`
	}
	jsonAction struct {
		Type     string      `json:"type"`
		At       cordon.Time `json:"at"`
		ID       string      `json:"id"`
		Verb     cordon.Verb `json:"verb"`
		Mode     cordon.Mode `json:"mode"`
		Entity   jsonEntity  `json:"entity"`
		Incident string      `json:"incident"`
		Reason   string      `json:"reason"`
		Purpose  string      `json:"purpose"`
		Expires  cordon.Time `json:"expires"`
	}
	jsonEntity struct {
		Device    string   `json:"device"`
		Protocol  uint8    `json:"protocol,omitempty"`
		Ports     []uint16 `json:"ports,omitempty"`
		LocalPort uint16   `json:"local_port,omitempty"`
		Peer      string   `json:"peer,omitempty"`
		Name      string   `json:"name,omitempty"`
	}
	jsonIncident struct {
		Type     string          `json:"type"`
		At       cordon.Time     `json:"at"`
		ID       string          `json:"id"`
		Device   string          `json:"device"`
		Level    cordon.Level    `json:"level"`
		Last     cordon.Time     `json:"last"`
		Odds     float64         `json:"odds"`
		Kinds    []cordon.Kind   `json:"kinds"`
		Raised   []cordon.Raise  `json:"raised"`
		Timeline []cordon.Moment `json:"timeline"`
		Omitted  int             `json:"omitted,omitempty"`
		Verbs    []cordon.Verb   `json:"verbs"`
		Mode     cordon.Mode     `json:"mode,omitempty"`
		Story    string          `json:"story"`
		Told     string          `json:"told,omitempty"`
	}
	jsonSummary struct {
		Type       string                 `json:"type"`
		At         cordon.Time            `json:"at"`
		First      cordon.Time            `json:"first"`
		Last       cordon.Time            `json:"last"`
		Frames     uint64                 `json:"frames"`
		Bytes      uint64                 `json:"bytes"`
		Unreadable uint64                 `json:"unreadable"`
		ClockSteps uint64                 `json:"clock_steps"`
		Devices    int                    `json:"devices"`
		Forgotten  uint64                 `json:"devices_forgotten"`
		Flows      uint64                 `json:"flows"`
		Evicted    uint64                 `json:"flows_evicted"`
		Unowned    uint64                 `json:"packets_of_no_device"`
		Unsought   uint64                 `json:"answers_to_nothing"`
		Dialogues  uint64                 `json:"dialogues"`
		Dropped    uint64                 `json:"dialogues_dropped"`
		InForce    int                    `json:"actions_in_force"`
		Failed     uint64                 `json:"actions_failed"`
		Detections map[cordon.Kind]uint64 `json:"detections"`
		Incidents  map[string]uint64      `json:"incidents"`
		Actions    map[cordon.Verb]uint64 `json:"actions"`
	}
)

// jsonReport writes one JSON object a line. The first error is kept and ends the
// output.
type jsonReport struct {
	w   *bufio.Writer
	enc *json.Encoder
	err error
}

func newJSONReport(w io.Writer) *jsonReport {
	b := bufio.NewWriter(w)
	enc := json.NewEncoder(b)
	enc.SetEscapeHTML(false)
	return &jsonReport{w: b, enc: enc}
}

func (r *jsonReport) write(object any) {
	if r.err == nil {
		r.err = r.enc.Encode(object)
	}
}

func (r *jsonReport) Device(d *cordon.Device) {
	j := jsonDevice{Type: "device", At: d.FirstSeen, Device: d.ID, Addresses: notNil(d.Addrs), Name: d.Name,
		Maker: d.Maker, Model: d.Model, Class: d.Class, Reasons: notNil(d.Reasons), Randomised: d.Randomised,
		Relay: d.Relay, Router: d.Gateway, FirstSeen: d.FirstSeen, LastSeen: d.LastSeen}
	if d.HasMAC {
		j.MAC = d.MAC.String()
	}
	r.write(j)
}

func (r *jsonReport) Detection(d *cordon.Detection) {
	r.write(jsonDetection{Type: "detection", At: d.At, ID: d.ID, Kind: d.Kind, Technique: d.Kind.Technique(),
		Device: d.Device.ID, Since: d.Since, Level: d.Level, Confirmed: d.Confirmed, Subject: d.Subject,
		Sentence: d.Sentence, Evidence: notNil(d.Evidence), PeerName: d.PeerName, Samples: d.Samples})
}

func (r *jsonReport) Action(a *cordon.Action) {
	e := jsonEntity{Device: a.Entity.Device, Protocol: a.Entity.Target.Proto, Ports: a.Entity.Target.Ports, LocalPort: a.Entity.Target.LocalPort, Name: a.Entity.Target.Name}
	if p := a.Entity.Target.Peer; p.IsValid() {
		e.Peer = p.String()
	}
	r.write(jsonAction{Type: "action", At: a.At, ID: a.ID, Verb: a.Verb, Mode: a.Mode, Entity: e,
		Incident: a.Incident, Reason: a.Reason, Purpose: a.Purpose, Expires: a.Expires})
}

func (r *jsonReport) Incident(i *cordon.Incident) {
	r.write(jsonIncident{Type: "incident", At: i.Opened, ID: i.ID, Device: i.Device.ID, Level: i.Level, Last: i.Last,
		Odds: i.Odds, Kinds: i.Kinds, Raised: notNil(i.Raised), Timeline: notNil(i.Timeline), Omitted: i.Omitted,
		Verbs: notNil(i.Verbs), Mode: i.Mode, Story: i.Story, Told: i.Told})
}

// Finish writes the summary and flushes.
func (r *jsonReport) Finish(s agent.Summary) error {
	incidents := make(map[string]uint64)
	for level, n := range s.Incidents {
		incidents[level.String()] = n
	}
	r.write(jsonSummary{Type: "summary", At: s.Last, First: s.First, Last: s.Last, Frames: s.Frames, Bytes: s.Bytes,
		Unreadable: s.Unreadable, ClockSteps: s.ClockSteps, Devices: s.Devices, Forgotten: s.Forgotten,
		Flows: s.Flows.Opened, Evicted: s.Flows.Evicted, Unowned: s.Flows.Unowned, Unsought: s.Flows.Unsought,
		Dialogues: s.Dialogues.Conversations, Dropped: s.Dialogues.Evicted + s.Dialogues.Unpaged + s.Dialogues.Unseated,
		InForce: s.InForce, Failed: s.Failed,
		Detections: s.Detections, Incidents: incidents, Actions: s.Actions})
	if r.err != nil {
		return r.err
	}
	return r.w.Flush()
}

// notNil makes an absent list an empty one: readers of JSON need not tell null
// from [].
func notNil[T any](list []T) []T {
	if list == nil {
		return []T{}
	}
	return list
}
