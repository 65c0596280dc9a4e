package cordon

import "time"

// What core keeps of what routers report. A device, an incident and a detection have
// their names from the router, so they are named by site and ID together.

// DeviceRecord is a device as core knows it.
type DeviceRecord struct {
	Site    string
	Account string
	Area    string
	Device  Device
	Said    DesiredDevice // what people said about it
	Room    string
	State   string // "watched", "limited", "blocked", "quarantined", by what is in force
	Level   Level  // of its open incident
	Updated Time
	Version int64
}

// Label is what a person is told: the name that people gave it, else its own.
func (d *DeviceRecord) Label() string {
	if d.Said.Name != "" {
		return d.Said.Name
	}
	return d.Device.Label()
}

// IncidentRecord is an incident as core knows it.
type IncidentRecord struct {
	Site     string
	Account  string
	Area     string
	Router   string
	Incident Incident
	Over     bool
	Closed   Closing // what a person said of it; empty: nothing
	By       string  // who closed it
	Note     string  // of who closed it
	Received Time    // when the last report of it was stored
	Version  int64
}

// Closing is what a person said about an incident.
type Closing string

// The closings.
const (
	ClosedMended     Closing = "mended"      // the customer did something about it
	ClosedFalseAlarm Closing = "false-alarm" // nothing was wrong
	ClosedExpected   Closing = "expected"    // "this was me"
)

// DetectionRecord is a detection as core knows it.
type DetectionRecord struct {
	Site, Account, Area, Router string
	Agent                       string // version of the agent that made it
	Shadowed                    bool   // a shadow lay on it: nothing was done
	Detection                   Detection
	Received                    Time
}

// ActionRecord is an action as core knows it.
type ActionRecord struct {
	Site, Account, Area, Router string
	ActionReport
	Updated Time
}

// Event is a change that somebody may be waiting for.
type Event struct {
	Sort    EventSort
	Account string
	Site    string
	ID      string // of what changed: Device.ID, Incident.ID, …
	Level   Level  // of an incident or detection
	At      Time
}

// EventSort is what changed.
type EventSort string

// The sorts of events.
const (
	EventDevice    EventSort = "device"
	EventIncident  EventSort = "incident"
	EventDetection EventSort = "detection"
	EventAction    EventSort = "action"
	EventRouter    EventSort = "router"
	EventDesired   EventSort = "desired"
	EventShadow    EventSort = "shadow"
)

// Retention is how long records are kept; 0: for ever. An incident counts from its
// last detection, a device from when it was last seen.
type Retention struct {
	Detections, Incidents, Actions, Devices, Summaries, Audit time.Duration
}
