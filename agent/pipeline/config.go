package pipeline

import (
	"context"
	"fmt"
	"net/netip"

	"cordon"
	"cordon/agent/detect/known"
	"cordon/agent/device"
	"cordon/agent/enforce/dryrun"
	"cordon/agent/flow"
	"cordon/agent/observe/dialogue"
	"cordon/agent/packet"
	"cordon/internal/oui"
)

// Source gives frames, oldest first. A frame's Data is valid until the next
// call; a frame of length 0 is a moment at which nothing was seen, so that time
// passes. io.EOF ends the capture; any other error ends it early, and what was
// read before counts.
type Source interface {
	Next(*packet.Frame) error
}

// Counter is a Source that counts traffic by itself and hands over only the
// frames that mean something.
type Counter interface {
	Source
	// Flows tells what was counted and not handed over since the last call.
	Flows(func(*packet.FlowCount)) error
	// Traffic tells what each device sent and received, once for each interval
	// that has passed since the last call.
	Traffic(now cordon.Time, tell func(*cordon.Traffic)) error
	// Want says whether every frame of a flow is to be handed over.
	Want(src, dst netip.AddrPort, proto uint8, on bool)
}

// Enforcer puts actions in force. It is called by one goroutine. An error that
// wraps cordon.ErrUnknown means that the change may have taken place.
type Enforcer interface {
	// Apply puts an action in force, or renews it, for Expires − At from now; fresh
	// means that it was not in force before.
	Apply(ctx context.Context, d *cordon.Device, a *cordon.Action) (fresh bool, err error)
	// Release ends an action before its time. One that is not in force is released.
	Release(ctx context.Context, id string) error
	// Move tells that a device has other addresses now: what is in force follows.
	Move(ctx context.Context, d *cordon.Device) error
	// Active returns the actions in force, oldest first.
	Active(now cordon.Time) []cordon.Action
}

// Sink is told what the agent finds. Detections and actions come as they happen,
// an incident once it is over, the devices at the end. Times are wall times.
// The values are the caller's to keep; it must not change them.
type Sink interface {
	Detection(*cordon.Detection)
	Action(*cordon.Action)
	Incident(*cordon.Incident)
	Device(*cordon.Device)
}

// ShadowSink is a Sink that is also told of detections of which nothing follows,
// because a shadow lies on them (Config.Shadowed).
type ShadowSink interface {
	Shadowed(*cordon.Detection)
}

// Config configures a Pipeline. Source and Sink are required.
type Config struct {
	Source Source
	Sink   Sink
	Home   []netip.Prefix // the home's side; empty: the private ranges
	Policy cordon.Policy  // empty: protect
	Since  cordon.Time    // everything is judged, what is from before is not reported
	Flows  int            // flows kept; 0: flow.DefaultSize
	// Indicators is what is known to be hostile; nil: nothing is.
	Indicators known.Indicators
	// Enforcer puts actions in force; nil: they are only recorded.
	Enforcer Enforcer
	// PolicyOf says how far the router may go with one device; nil: Policy for all.
	PolicyOf func(*cordon.Device) cordon.Policy
	// Allowed reports whether the customer has allowed what an action would stop;
	// nil: nothing was.
	Allowed func(*cordon.Device, *cordon.Action) bool
	// Shadowed reports whether a rule may not act: its detection belongs to no incident
	// and nothing follows from it; nil: all may.
	Shadowed func(*cordon.Detection) bool
	// Failed, if set, is told of an action that could not be put in force.
	Failed func(*cordon.Action, error)
	// Observe, if set, is told of facts after the detectors were.
	Observe func(*cordon.Observation, cordon.Time)
	// Told is what people said about the device of an ID: its name, if not empty, and
	// its class, if not nil; nil: nobody said anything.
	Told func(id string) (name string, class *cordon.Class)
	// Changed, if set, is told that a device moved or something was put in force.
	Changed func()
	// Trouble, if set, is told what could not be done: ask a source for its counts,
	// put an action in force.
	Trouble func(doing string, err error)
	// Tick, if set, is called about every 4096 frames, to draw progress.
	Tick func()
}

// Summary counts what a Pipeline did.
type Summary struct {
	First, Last cordon.Time // of the packets, by their own clock
	Frames      uint64
	Bytes       uint64 // on the wire
	Unreadable  uint64 // frames with a cut or lying header, or of an unknown kind
	ClockSteps  uint64 // how often the capture's clock was set back
	Devices     int    // of the home, the router not counted
	Forgotten   uint64 // devices that had to go before the end
	Flows       flow.Stats
	Dialogues   dialogue.Stats
	Detections  map[cordon.Kind]uint64
	Incidents   map[cordon.Level]uint64
	Actions     map[cordon.Verb]uint64
	InForce     int    // actions in force at the end
	Failed      uint64 // actions that could not be put in force
}

// New builds the stages and ties each to the next.
func New(ctx context.Context, cfg Config) (*Pipeline, error) {
	if cfg.Source == nil || cfg.Sink == nil {
		return nil, fmt.Errorf("pipeline: Source and Sink are required")
	}
	if cfg.Policy == "" {
		cfg.Policy = cordon.PolicyProtect
	}
	if cfg.Enforcer == nil {
		cfg.Enforcer = dryrun.New()
	}
	if cfg.PolicyOf == nil {
		cfg.PolicyOf = func(*cordon.Device) cordon.Policy { return cfg.Policy }
	}
	p := &Pipeline{ctx: ctx, cfg: cfg, Enforcer: cfg.Enforcer, Summary: Summary{
		Detections: make(map[cordon.Kind]uint64), Incidents: make(map[cordon.Level]uint64),
		Actions: make(map[cordon.Verb]uint64)}}
	var err error
	p.Devices, err = device.New(device.Config{Home: cfg.Home, Maker: oui.Brand, Forget: p.forget, Moved: p.moved, Told: cfg.Told})
	if err != nil {
		return nil, err
	}
	p.build()
	flows := flow.Config{Size: cfg.Flows, Devices: p.Devices, Names: p.Names, Event: p.flow, Talk: p.dialogue}
	if p.counter != nil {
		flows.Want = p.want
	}
	p.Flows, err = flow.New(flows)
	return p, err
}
