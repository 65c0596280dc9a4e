package control

import (
	"net/netip"
	"time"

	"cordon"
)

// The views are what the socket shows: a contract, described in
// docs/reference/cordon-agent.md. Fields are added, never renamed or given another
// meaning. Texts that devices chose are hostile: JSON encodes them, a terminal
// needs them escaped.

// Status is how the agent is.
type Status struct {
	Version      string        `json:"version"`
	Mode         string        `json:"mode"`          // "normal", or "safe" after crashes
	Why          string        `json:"why,omitempty"` // why it is in that mode, one sentence
	Policy       cordon.Policy `json:"policy"`        // of devices without one of their own
	Started      cordon.Time   `json:"started"`
	Uptime       time.Duration `json:"uptime_ns"`
	ClockTrusted bool          `json:"clock_trusted"` // false: times are estimates until the clock is set

	Devices   DeviceCount         `json:"devices"`
	Incidents int                 `json:"incidents"` // open, told to the customer
	InForce   map[cordon.Verb]int `json:"in_force"`  // actions in force, notifications left out
	Allowed   int                 `json:"allowed"`   // permissions in force

	Eyes  Part `json:"eyes"`  // how packets are seen
	Hands Part `json:"hands"` // how actions are put in force
	Guard Part `json:"guard"` // the DNS guard
	Flash Part `json:"flash"` // what survives a restart

	Core *Core `json:"core,omitempty"` // the line to the provider's core; left out: there is none

	Blind    []Shortcoming     `json:"blind"` // what is not seen or cannot be isolated, by port
	Memory   Memory            `json:"memory"`
	Counters map[string]uint64 `json:"counters"`
}

// Core is how the line to the provider's core is.
type Core struct {
	State        string      `json:"state"` // "connected", "away", "enrolling", "failed"
	Why          string      `json:"why,omitempty"`
	Mend         string      `json:"mend,omitempty"`
	URL          string      `json:"url"`
	Router       string      `json:"router,omitempty"` // as core calls it, once it is enrolled
	Since        cordon.Time `json:"since"`            // of State
	Acknowledged cordon.Time `json:"acknowledged"`     // when core last took something, 0: not since the start
	Renew        cordon.Time `json:"renew"`            // when the credential is renewed
	Desired      uint64      `json:"desired"`          // version of what is desired of the site
	Shared       uint64      `json:"shared"`           // number of what was told to all routers
	Waiting      int         `json:"waiting"`          // reports that core has not acknowledged
	OnFlash      int64       `json:"on_flash_bytes"`   // of them
	Lost         uint64      `json:"lost"`             // reports that had to go
	Sent         uint64      `json:"sent"`
	Refused      uint64      `json:"refused"` // directives that were forged, old, or for another
	Flash        string      `json:"flash,omitempty"`
}

// Sent is one line of the ledger: what was sent to core.
type Sent struct {
	Sent   cordon.Time `json:"sent"`
	Report string      `json:"report"` // "boot/sequence"
	Sort   string      `json:"sort"`   // "device", "detection", …
	Device string      `json:"device,omitempty"`
	Text   string      `json:"text"`
	Bytes  int         `json:"bytes"`
}

// DeviceCount counts the home's devices by state.
type DeviceCount struct {
	Known       int `json:"known"`
	Watched     int `json:"watched"`
	Limited     int `json:"limited"`
	Blocked     int `json:"blocked"`
	Quarantined int `json:"quarantined"`
}

// Part is how one part of the agent is.
type Part struct {
	Name  string `json:"name,omitempty"` // which of several does the work: "ebpf", "nft"
	State string `json:"state"`          // "ok", "degraded", "off" or "failed"
	Why   string `json:"why,omitempty"`  // one sentence
}

// The states of a Part.
const (
	PartOK       = "ok"
	PartDegraded = "degraded"
	PartOff      = "off"
	PartFailed   = "failed"
)

// Shortcoming is what keeps one port from being seen or isolated.
type Shortcoming struct {
	Port string `json:"port"`
	Lack string `json:"lack"` // "blind" or "cannot isolate"
	Name string `json:"name"` // stable: "hardware-offload"
	Text string `json:"text"`
	Mend string `json:"mend,omitempty"`
}

// Memory is what the process takes, in bytes.
type Memory struct {
	Resident int64 `json:"resident"`
	Heap     int64 `json:"heap"`  // of Go objects
	Limit    int64 `json:"limit"` // the resident memory that it should stay below
}

// State is what is being done about a device, the strongest if several.
type State string

// The states, weakest first.
const (
	StateOK          State = "ok"
	StateWatched     State = "watched" // an incident is open, nothing is cut
	StateLimited     State = "limited"
	StateBlocked     State = "blocked"     // parts of its traffic
	StateQuarantined State = "quarantined" // all but what it needs to be mended
)

// Device is one device of the home.
type Device struct {
	ID         string        `json:"device"`
	MAC        string        `json:"mac,omitempty"`
	Addresses  []netip.Addr  `json:"addresses"`
	Name       string        `json:"name,omitempty"`
	Maker      string        `json:"maker,omitempty"`
	Model      string        `json:"model,omitempty"`
	Class      string        `json:"class"`
	Reasons    []string      `json:"reasons"` // why this class
	Randomised bool          `json:"randomised,omitempty"`
	Relay      bool          `json:"relay,omitempty"`
	Router     bool          `json:"router,omitempty"`
	Policy     cordon.Policy `json:"policy"`
	ByHand     bool          `json:"by_hand,omitempty"` // somebody set its name, class or policy
	State      State         `json:"state"`
	Incident   string        `json:"incident,omitempty"` // the open one
	Actions    []Action      `json:"actions"`            // in force, asked for, or shown only
	FirstSeen  cordon.Time   `json:"first_seen"`
	LastSeen   cordon.Time   `json:"last_seen"`
}

// Action is something that is done about a device, would be, or waits for an answer.
type Action struct {
	ID       string      `json:"id"`
	Verb     cordon.Verb `json:"verb"`
	Mode     cordon.Mode `json:"mode"`
	Device   string      `json:"device"`
	Target   Target      `json:"target"`
	Incident string      `json:"incident,omitempty"` // empty: a person asked for it
	Reason   string      `json:"reason"`
	Purpose  string      `json:"purpose"`
	By       string      `json:"by,omitempty"` // who asked for it, empty: the agent
	At       cordon.Time `json:"at"`
	Expires  cordon.Time `json:"expires"`
	Rate     cordon.Rate `json:"rate,omitzero"`
	Stops    string      `json:"stops"` // what does not work because of it, one sentence
}

// Target is the part of a device's traffic that an action is about; empty: all.
type Target struct {
	Protocol  uint8        `json:"protocol,omitempty"`
	Ports     []uint16     `json:"ports,omitempty"`
	LocalPort uint16       `json:"local_port,omitempty"`
	Peer      netip.Addr   `json:"peer,omitzero"`
	Net       netip.Prefix `json:"net,omitzero"`
	Name      string       `json:"name,omitempty"`
	Stray     bool         `json:"stray,omitempty"`
}

// Allowed is a permission.
type Allowed struct {
	ID      string      `json:"id"`
	Device  string      `json:"device,omitempty"` // empty: all
	To      string      `json:"to"`
	Reason  string      `json:"reason,omitempty"`
	By      string      `json:"by,omitempty"`
	At      cordon.Time `json:"at"`
	Expires cordon.Time `json:"expires"` // 0: it is in the configuration
}

// Incident is everything known about one misbehaving device.
type Incident struct {
	ID         string        `json:"id"`
	Device     string        `json:"device"`
	Label      string        `json:"label"` // what people call the device
	Level      string        `json:"level"`
	Open       bool          `json:"open"`
	Opened     cordon.Time   `json:"opened"`
	Last       cordon.Time   `json:"last"`
	Odds       float64       `json:"odds"` // natural logarithm of the odds of an infection
	Kinds      []cordon.Kind `json:"kinds"`
	Verbs      []cordon.Verb `json:"verbs"`
	Mode       cordon.Mode   `json:"mode,omitempty"`
	Timeline   []Moment      `json:"timeline"`
	Omitted    int           `json:"omitted,omitempty"`
	Detections []Detection   `json:"detections,omitempty"` // with the evidence, as far as they are remembered
	Story      string        `json:"story"`
	Told       string        `json:"told,omitempty"`
}

// Moment is one line of an incident's time line.
type Moment struct {
	At        cordon.Time `json:"at"`
	Level     string      `json:"level"`
	Kind      cordon.Kind `json:"kind,omitempty"`
	Technique string      `json:"technique,omitempty"`
	Subject   string      `json:"subject,omitempty"`
	Text      string      `json:"text"`
	Ref       string      `json:"ref"` // ID of the detection or action
	Count     int         `json:"count"`
}

// Detection is one judgement with its evidence.
type Detection struct {
	ID       string            `json:"id"`
	Kind     cordon.Kind       `json:"kind"`
	At       cordon.Time       `json:"at"`
	Level    string            `json:"level"`
	Subject  string            `json:"subject"`
	Sentence string            `json:"sentence"`
	Evidence []cordon.Evidence `json:"evidence"`
	PeerName string            `json:"peer_name,omitempty"`
	Samples  []string          `json:"samples,omitempty"`
}

// Explanation is everything about one device: what is in force, since and until
// when, because of what, what does not work, and how to undo it.
type Explanation struct {
	Device    Device      `json:"device"`
	Summary   string      `json:"summary"`         // one or two sentences
	Since     cordon.Time `json:"since,omitempty"` // the first action in force; 0: none
	Until     cordon.Time `json:"until,omitempty"` // when the last ends
	Stops     []string    `json:"stops"`           // what does not work
	Undo      []Undo      `json:"undo"`
	Allowed   []Allowed   `json:"allowed"`   // what it may reach whatever happens
	Incidents []Incident  `json:"incidents"` // newest first
}

// Undo is a way back.
type Undo struct {
	Text    string `json:"text"`
	Command string `json:"command"` // for the router's shell
}

// Finding is one thing that doctor looked at.
type Finding struct {
	Name  string `json:"name"`  // stable: "bpf-jit"
	State string `json:"state"` // "ok", "warn", "fail" or "skip"
	Text  string `json:"text"`  // what was found, one sentence
	Mend  string `json:"mend,omitempty"`
}

// The states of a Finding.
const (
	FindingOK   = "ok"
	FindingWarn = "warn" // works, but not as well as it could
	FindingFail = "fail" // does not work
	FindingSkip = "skip" // could not be looked at
)
