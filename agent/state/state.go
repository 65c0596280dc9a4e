// Package state keeps the little that must survive a restart on the router's flash:
// what is in force, what was allowed, what somebody told about devices, how often
// the agent was started, and the last moment known to be over.
//
// The pipeline hands its State in whenever something changed; a goroutine writes it
// (Store.Run), seldom, since flash wears out, and at once where a power cut must not
// undo it. After a restart Load gives back what was last written, or what was
// written before that if a file is damaged, or nothing, and says which and why.
// Nothing that happens to the disk stops the agent.
package state

import (
	"cmp"
	"net/netip"
	"slices"
	"time"
	"unicode/utf8"

	"cordon"
)

// Bounds of what is kept. A whole State is at most maxFile bytes, some 4 kB in a
// usual home.
const (
	MaxActions = 128
	MaxAllowed = 128
	MaxDevices = 128
	MaxHeld    = 128
	MaxAddrs   = 8 // of a device

	maxText = 256 // bytes of a reason or a name
)

// State is what survives. Whoever has handed one to a Store changes it no more.
type State struct {
	// Wall is the last wall time known to be over, 0 if none ever was. A router boots
	// in 1970; certificates and expiries must not.
	Wall cordon.Time
	// Trusted says that the wall times in here are from a clock that was set.
	Trusted bool
	Actions []Action
	Allowed []Allowed
	Devices []Device
	Held    []Held

	sameBoot bool // loaded, and the kernel is still the one that ran when it was saved
}

// Action is an action in force. At and Expires are wall times as far as they were
// known.
type Action struct {
	cordon.Action
	By    string        // who asked for it, empty: the agent
	Order bool          // core ordered it
	Left  time.Duration // of its life when the State was made
	// Addrs is what addresses the device had, at most MaxAddrs are kept. The kernel's
	// sets know some of what is in force by address only, and after a restart the
	// device may keep silent.
	Addrs []netip.Addr
}

// Allowed is a permission that somebody gave.
type Allowed struct {
	ID      string
	Device  string // Device.ID, empty: all
	Target  cordon.Target
	Reason  string
	By      string
	At      cordon.Time
	Expires cordon.Time
	Left    time.Duration // of its life when the State was made
}

// Held is an action that somebody ended and that must not begin again: of that ID, or
// of that Verb on that Entity.
type Held struct {
	ID      string
	Verb    cordon.Verb // empty: only the ID counts
	Entity  cordon.Entity
	Release string // what of core's desired state says so; empty: somebody at the router
	By      string
	Expires cordon.Time
	Left    time.Duration // of its life when the State was made
}

// Device is what somebody told about a device. Empty fields say nothing.
type Device struct {
	ID     string // cordon.Device.ID
	Name   string
	Class  *cordon.Class
	Policy cordon.Policy
}

// Remaining returns how much is left of the life of an action or a permission in a
// loaded State, given the wall clock and whether it was set. While the kernel is the
// same, its own clock knows. After a reboot the wall clock does, if it was right
// both then and now; else the time without power does not count, so that unplugging
// a router in 1970 frees nobody early.
func (s *State) Remaining(expires cordon.Time, left time.Duration, wall cordon.Time, trusted bool) time.Duration {
	if !s.sameBoot && s.Trusted && trusted {
		left = min(left, expires.Sub(wall))
	}
	return max(left, 0)
}

// age takes elapsed from what is left of everything, and drops what is over.
func (s *State) age(elapsed time.Duration) {
	for i := range s.Actions {
		s.Actions[i].Left -= elapsed
	}
	for i := range s.Allowed {
		s.Allowed[i].Left -= elapsed
	}
	for i := range s.Held {
		s.Held[i].Left -= elapsed
	}
	s.Held = slices.DeleteFunc(s.Held, func(h Held) bool { return h.Left <= 0 })
	s.Actions = slices.DeleteFunc(s.Actions, func(a Action) bool { return a.Left <= 0 })
	s.Allowed = slices.DeleteFunc(s.Allowed, func(a Allowed) bool { return a.Left <= 0 })
}

// bounded returns s within the bounds, and how many entries had no room. What cuts
// a device off stays before what cuts a part of its traffic, what is done before
// what is only shown, what lasts before what ends soon. The order is always the same,
// so that what did not change can be recognised.
func (s State) bounded() (State, int) {
	s.Actions, s.Allowed, s.Devices = slices.Clone(s.Actions), slices.Clone(s.Allowed), slices.Clone(s.Devices)
	s.Held = slices.Clone(s.Held)
	weight := func(a Action) int {
		switch {
		case a.Mode == cordon.ModeDo && a.Verb == cordon.VerbQuarantine:
			return 0
		case a.Mode == cordon.ModeDo && a.Verb != cordon.VerbNotify:
			return 1
		}
		return 2
	}
	slices.SortStableFunc(s.Actions, func(a, b Action) int {
		return cmp.Or(weight(a)-weight(b), cmp.Compare(b.Left, a.Left), cmp.Compare(a.ID, b.ID))
	})
	slices.SortStableFunc(s.Allowed, func(a, b Allowed) int { return cmp.Compare(a.ID, b.ID) })
	slices.SortStableFunc(s.Devices, func(a, b Device) int { return cmp.Compare(a.ID, b.ID) })
	slices.SortStableFunc(s.Held, func(a, b Held) int {
		return cmp.Or(cmp.Compare(a.Release, b.Release), cmp.Compare(a.ID, b.ID), cmp.Compare(a.Verb, b.Verb))
	})
	over := max(0, len(s.Actions)-MaxActions) + max(0, len(s.Allowed)-MaxAllowed) + max(0, len(s.Devices)-MaxDevices) +
		max(0, len(s.Held)-MaxHeld)
	s.Held = s.Held[:min(len(s.Held), MaxHeld)]
	s.Actions = s.Actions[:min(len(s.Actions), MaxActions)]
	s.Allowed = s.Allowed[:min(len(s.Allowed), MaxAllowed)]
	s.Devices = s.Devices[:min(len(s.Devices), MaxDevices)]
	return s, over
}

// cut returns at most maxText bytes of s, whole characters.
func cut(s string) string {
	if len(s) <= maxText {
		return s
	}
	n := maxText
	for n > 0 && !utf8.RuneStart(s[n]) {
		n--
	}
	return s[:n]
}
