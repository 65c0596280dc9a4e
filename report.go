package cordon

import (
	"fmt"
	"time"
)

// ReportID names a report for ever: no router reuses a number in one boot of its
// agent, nor the number of a boot.
type ReportID struct {
	Router string // Router.ID
	Boot   uint32 // counts the starts of the agent since the identity was made
	Seq    uint64 // from 1 in each boot
}

// String writes the id as "router/boot/seq".
func (id ReportID) String() string { return fmt.Sprintf("%s/%d/%d", id.Router, id.Boot, id.Seq) }

// Report is one thing that a router tells core. Exactly one of the pointers is set.
// Nothing in it is payload, a credential, or where a person's device went.
type Report struct {
	ID    ReportID
	At    Time          // when it was made, by the router's corrected clock
	Doubt time.Duration // how far its times may be off; 0: the clock was trusted

	Device    *Device       // a device that is new or changed
	Detection *Detection    // at notify or act
	Shadowed  bool          // of Detection: a shadow lay on it, nothing was done
	Incident  *Incident     // opened, changed or over
	Over      bool          // of Incident
	Action    *ActionReport // begun, ended, or not possible
	Enforced  *Enforced     // what is in force compared with what was desired
	Health    *Health
	Summary   *Summary
}

// ActionReport is what became of an action.
type ActionReport struct {
	Action Action
	By     string // who ordered it; empty: the agent
	Result Result
	Error  string // of ResultFailed, ResultUnsure and ResultRefused
}

// Result is what became of an action or order.
type Result string

// The results.
const (
	ResultDone    Result = "done"    // in force, or recorded as asked or observed
	ResultEnded   Result = "ended"   // before or at its expiry
	ResultFailed  Result = "failed"  // nothing was changed
	ResultUnsure  Result = "unsure"  // it may be in force: ErrUnknown
	ResultRefused Result = "refused" // the agent's guard forbids it, or it does not know it
)

// MaxInForce is how many actions an Enforced names at most. With as many,
// others may be in force, too.
const MaxInForce = 64

// Enforced is what a router says of the desired state.
type Enforced struct {
	Version uint64    // of the Desired that is in force
	Shared  uint64    // number of the last directive to all that was taken
	InForce []Action  // what changes what passes, bounded
	Refused []Refusal // what was not done, and why
}

// Refusal is a part of a directive that a router did not do.
type Refusal struct {
	What string // id of an order, or the name of the part
	Why  string // one sentence
}

// Summary is what a device of an IoT class did in a day: names only, counted. No
// router makes one for phones, computers or devices that it does not know.
type Summary struct {
	Day     Time // midnight UTC of the day
	Device  string
	Class   Class
	Maker   string
	Model   string
	Domains []DomainCount // most used first, bounded
	Other   uint32        // names beyond the bound
}

// DomainCount is how often a device asked for names of one registered domain.
type DomainCount struct {
	Domain string // registered domain (public suffix and one label)
	Count  uint32
}
