package cordon

import (
	"errors"
	"fmt"
	"time"
)

// Verb is what is done.
type Verb string

// The verbs.
const (
	VerbNotify     Verb = "notify"     // tell the customer
	VerbLimit      Verb = "limit"      // slow a part of the device's traffic down
	VerbBlock      Verb = "block"      // drop a part of the device's traffic
	VerbQuarantine Verb = "quarantine" // cut the device off, except for what it needs to be mended
	VerbRelease    Verb = "release"    // undo
)

// Mode says how far an action went.
type Mode string

// The modes.
const (
	ModeDo    Mode = "do"    // done
	ModeAsk   Mode = "ask"   // the customer is asked first
	ModeWould Mode = "would" // only recorded: what would have been done
)

// Entity is what an action is done to: a device, or a part of its traffic.
type Entity struct {
	Device string // Device.ID
	Target Target
}

// String names the entity in one line.
func (e Entity) String() string {
	s := "device " + e.Device
	if len(e.Target.Ports) > 0 {
		s += fmt.Sprintf(" to ports %v", e.Target.Ports)
	}
	if e.Target.LocalPort != 0 {
		s += fmt.Sprintf(" from its port %d", e.Target.LocalPort)
	}
	if e.Target.Peer.IsValid() {
		s += " to " + e.Target.Peer.String()
	}
	if e.Target.Net.IsValid() {
		s += " to " + e.Target.Net.String()
	}
	if t := e.Target; t.Proto != 0 && len(t.Ports) == 0 && t.LocalPort == 0 && !t.Peer.IsValid() {
		s += fmt.Sprintf(" by protocol %d", t.Proto)
	}
	if e.Target.Stray {
		s += " outside of connections"
	}
	if e.Target.Name != "" {
		s += " to " + e.Target.Name
	}
	return s
}

// Action is what is done about an incident. It has a reason, a purpose and an
// end, it may be applied twice without harm, and it can be undone by its ID.
type Action struct {
	ID       string
	Verb     Verb
	Mode     Mode
	Entity   Entity
	Incident string // Incident.ID
	Reason   string // in words a customer understands
	Purpose  string // the legal purpose, for the operator's record
	At       Time
	Expires  Time // never zero, except for notify
	Rate     Rate // of a limit
}

// MaxLife is the longest that an action is in force, or that anything is allowed,
// whoever asked for it: nothing is for ever, since nobody looks again at what is. It is
// one bound for who orders and for what the router holds, so that no order ends early.
const MaxLife = 90 * 24 * time.Hour

// Rate is how much of a part of its traffic a device keeps under a limit.
type Rate struct {
	Packets     uint32 `json:"packets,omitempty"`     // a second, 0: any number
	Connections uint32 `json:"connections,omitempty"` // new ones a second, 0: any number
}

// ErrUnknown is wrapped by the error of whoever changes the world (the kernel, a
// peer) and cannot tell whether the change took place: look, or do it again. Any
// other error means that nothing was changed.
var ErrUnknown = errors.New("outcome unknown")

// PurposeSecurity is why Cordon may interfere with traffic at all: Regulation
// (EU) 2015/2120 Art. 3(3)(b), integrity and security of the network and of the
// end-users' terminal equipment, as long as necessary.
const PurposeSecurity = "network-and-terminal-security"

// Policy says how far the router may go by itself.
type Policy string

// The policies, from least to most.
const (
	PolicyOff     Policy = "off"     // not inspected
	PolicyObserve Policy = "observe" // judged; shows what it would have done
	PolicyAsk     Policy = "ask"     // the customer is asked before anything is cut
	PolicyProtect Policy = "protect" // the router acts
)

// ParsePolicy returns the policy of that name.
func ParsePolicy(s string) (Policy, error) {
	switch p := Policy(s); p {
	case PolicyOff, PolicyObserve, PolicyAsk, PolicyProtect:
		return p, nil
	}
	return "", fmt.Errorf("policy %q: want off, observe, ask or protect", s)
}
