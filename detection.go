package cordon

import (
	"fmt"
	"net/netip"
	"slices"
	"time"
)

// Level is how strongly something is meant.
type Level uint8

// The levels, weakest first.
const (
	None   Level = iota
	Watch        // kept as evidence, nobody is disturbed
	Notify       // the customer should know
	Act          // something is done about it
)

var levelNames = [...]string{"none", "watch", "notify", "act"}

// String returns the level's stable name.
func (l Level) String() string { return levelNames[l&3] }

// MarshalText is String.
func (l Level) MarshalText() ([]byte, error) { return []byte(l.String()), nil }

// UnmarshalText reads what MarshalText writes.
func (l *Level) UnmarshalText(b []byte) error {
	i := slices.Index(levelNames[:], string(b))
	if i < 0 {
		return fmt.Errorf("level %q: want one of %q", b, levelNames)
	}
	*l = Level(i)
	return nil
}

// Detection is one judgement by one detector, with its evidence.
type Detection struct {
	ID     string
	Kind   Kind
	Device *Device
	At     Time // when the judgement was made
	Since  Time // when the behaviour began
	// Confirmed means that the kind's own measured error bound holds for this
	// detection; otherwise it is a first sign, to watch.
	Confirmed bool
	Sentence  string // what a support agent can read to a customer
	Level     Level  // what it may do by itself; set when it is filed with its incident
	Subject   string // what it is about: "telnet (23, 2323)", "192.0.2.7:23"
	Target    Target // what a scoped action would block
	// Rate is what a limit leaves of Target; the zero Rate: it is not to be limited.
	Rate Rate
	// Life is how long a scoped action that follows lasts; 0: as long as usual.
	Life     time.Duration
	Evidence []Evidence // what was measured against what
	PeerName string     // the name by which the device had asked for Target.Peer, if it had; hostile text
	Samples  []string   // the first few destinations, for a person to check
}

// Evidence is one measured value and the threshold that it passed.
type Evidence struct {
	Name      string        `json:"name"`
	Value     float64       `json:"value"`
	Threshold float64       `json:"threshold"`
	Unit      string        `json:"unit,omitempty"`
	Window    time.Duration `json:"window_ns,omitempty"` // 0: no window
}

// Target is the part of a device's traffic that a detection is about. The zero
// Target is all of it.
type Target struct {
	Proto uint8    // IANA protocol number, 0 any
	Ports []uint16 // destination ports, none: any
	// LocalPort is the port that the device itself uses, 0 any.
	LocalPort uint16
	Peer      netip.Addr   // the far side, the zero Addr: any
	Net       netip.Prefix // the far side's network, the zero Prefix: any
	Name      string       // the name under which the far side is asked for, empty: any
	Stray     bool         // only packets that connection tracking finds in no connection
}

// Zero reports whether t names no part.
func (t Target) Zero() bool {
	return t.Proto == 0 && len(t.Ports) == 0 && t.LocalPort == 0 && !t.Peer.IsValid() && !t.Net.IsValid() && t.Name == "" && !t.Stray
}

// Spares reports whether who is allowed t must not be blocked from u: u is of t's name and
// peer, and of its ports as far as it has any. A block of a port everywhere is not: a
// device may reach one place, not scan.
func (t Target) Spares(u Target) bool {
	return (t.Name == "" || u.Name == t.Name) && (!t.Peer.IsValid() || u.Peer == t.Peer) &&
		(len(t.Ports) == 0 || len(u.Ports) == 0 || slices.Equal(t.Ports, u.Ports))
}

// Equal reports whether t and u name the same part. The order of ports counts.
func (t Target) Equal(u Target) bool {
	return t.Proto == u.Proto && t.LocalPort == u.LocalPort && t.Peer == u.Peer && t.Net == u.Net && t.Name == u.Name &&
		t.Stray == u.Stray && slices.Equal(t.Ports, u.Ports)
}
