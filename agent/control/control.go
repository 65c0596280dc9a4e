// Package control is the agent's local socket: what the router's programs and
// people ask it, and tell it to do.
//
// Requests come in over HTTP on a Unix socket and go, checked and with the name of
// who asked, to the Agent; its answers go out as JSON. Only processes on the router
// that the socket's owner and group admit can ask, so a device in quarantine cannot
// release itself. The client of the same package is what the command line uses.
package control

import (
	"context"
	"fmt"
	"net/http"
	"strings"
	"time"
	"unicode"
	"unicode/utf8"

	"cordon"
	"cordon/internal/endpoint"
)

// Agent answers what the socket is asked. Its methods are called by several
// goroutines at once and give up when ctx is done. A device is named as Find reads
// it. Errors are an *Error where the caller can do something about them; one that
// wraps cordon.ErrUnknown is reported as such.
type Agent interface {
	Status(ctx context.Context) (Status, error)
	Devices(ctx context.Context) ([]Device, error)
	// Incidents returns the open incidents, or all that are remembered, newest first.
	Incidents(ctx context.Context, all bool) ([]Incident, error)
	// Why returns everything about one device.
	Why(ctx context.Context, device string) (Explanation, error)
	// Allow lets a device, or all, reach a place for a while, and ends the blocks
	// that say otherwise.
	Allow(ctx context.Context, r AllowRequest) (Outcome, error)
	// Quarantine cuts a device off.
	Quarantine(ctx context.Context, r QuarantineRequest) (Outcome, error)
	// Release ends what is in force against a device, or one action or permission.
	Release(ctx context.Context, r ReleaseRequest) (Outcome, error)
	// Ledger returns the newest lines of what was sent to core, at most n, oldest first.
	Ledger(ctx context.Context, n int) ([]Sent, error)
	// Doctor says what keeps the agent from doing its work.
	Doctor(ctx context.Context) ([]Finding, error)
}

// DefaultLife is how long what a person tells the agent lasts when nobody says. As long
// as a quarantine by the agent itself (agent/respond).
const DefaultLife = 7 * 24 * time.Hour

// AllowRequest asks to let a device reach a place.
type AllowRequest struct {
	Device string        `json:"device"` // empty: all
	To     string        `json:"to"`     // see ParseTarget
	For    time.Duration `json:"for_ns"` // 0: DefaultLife
	Reason string        `json:"reason,omitempty"`
	By     string        `json:"by,omitempty"` // set by the server: who asked
}

// QuarantineRequest asks to cut a device off.
type QuarantineRequest struct {
	Device string        `json:"device"`
	For    time.Duration `json:"for_ns"` // 0: DefaultLife
	Reason string        `json:"reason,omitempty"`
	By     string        `json:"by,omitempty"` // set by the server: who asked
}

// ReleaseRequest asks to end what is in force. What is a device, or the ID of an
// action or of a permission.
type ReleaseRequest struct {
	What   string `json:"what"`
	Reason string `json:"reason,omitempty"`
	By     string `json:"by,omitempty"` // set by the server: who asked
}

// Outcome is what a request changed.
type Outcome struct {
	Begun   []Action  `json:"begun,omitempty"`   // in force now
	Ended   []Action  `json:"ended,omitempty"`   // no longer in force
	Allowed []Allowed `json:"allowed,omitempty"` // permissions that were given
	Revoked []Allowed `json:"revoked,omitempty"` // permissions that were ended
	Notes   []string  `json:"notes,omitempty"`   // what the caller should know, in sentences
}

// Code says what the caller can do about an Error.
type Code string

// The codes.
const (
	CodeRequest    Code = "request"     // ask differently
	CodeNotFound   Code = "not-found"   // there is no such device, action or permission
	CodeAmbiguous  Code = "ambiguous"   // name one of the Candidates
	CodeRefused    Code = "refused"     // must not be done: the router itself, what others depend on
	CodeForbidden  Code = "forbidden"   // the socket does not admit who asks
	CodeNotRunning Code = "not-running" // start the agent
	CodeBusy       Code = "busy"        // ask again
	CodeUnknown    Code = "unknown"     // it may have been done: look, or do it again
	CodeFailed     Code = "failed"      // see the agent's log
)

// Error is an error that the caller can do something about. Its texts may hold
// names that devices chose: escape them where they are shown.
type Error struct {
	Code       Code     `json:"code"`
	Message    string   `json:"error"`
	Hint       string   `json:"hint,omitempty"` // what to do, one sentence
	Candidates []string `json:"candidates,omitempty"`
}

// Error returns the message.
func (e *Error) Error() string { return e.Message }

// status returns the HTTP status of a code.
func (c Code) status() int {
	switch c {
	case CodeRequest:
		return http.StatusBadRequest
	case CodeNotFound:
		return http.StatusNotFound
	case CodeAmbiguous:
		return http.StatusConflict
	case CodeRefused, CodeForbidden:
		return http.StatusForbidden
	case CodeBusy, CodeNotRunning:
		return http.StatusServiceUnavailable
	}
	return http.StatusInternalServerError
}

// ParseTarget reads a place that a device may be allowed to reach: a name, an
// address, or either with a port.
func ParseTarget(s string) (cordon.Target, error) {
	e, err := endpoint.Parse(s)
	if err != nil {
		return cordon.Target{}, &Error{Code: CodeRequest, Message: err.Error()}
	}
	t := cordon.Target{Name: e.Name, Peer: e.Addr}
	if e.Port != 0 {
		t.Ports = []uint16{e.Port}
	}
	return t, nil
}

// FormatTarget returns a place as ParseTarget reads it, its name rather than its
// address; empty if t is none that can be allowed.
func FormatTarget(t cordon.Target) string {
	e := endpoint.Endpoint{Name: t.Name}
	if t.Name == "" {
		e.Addr = t.Peer
	}
	if len(t.Ports) == 1 {
		e.Port = t.Ports[0]
	}
	if _, err := endpoint.Parse(e.String()); err != nil {
		return ""
	}
	return e.String()
}

// MaxLedger is the most lines of the ledger that an answer has.
const MaxLedger = 5000

// Bounds of what is asked, in bytes.
const (
	maxReason   = 200
	maxSelector = 128
)

// check completes the request, or says what is wrong with it.
func (r *AllowRequest) check() error {
	if _, err := ParseTarget(r.To); err != nil {
		return err
	}
	if err := checkLife(&r.For); err != nil {
		return err
	}
	return checkTexts(r.Device, r.Reason)
}

func (r *QuarantineRequest) check() error {
	if strings.TrimSpace(r.Device) == "" {
		return &Error{Code: CodeRequest, Message: "no device named", Hint: "'cordon-agent devices' lists them"}
	}
	if err := checkLife(&r.For); err != nil {
		return err
	}
	return checkTexts(r.Device, r.Reason)
}

func (r *ReleaseRequest) check() error {
	if strings.TrimSpace(r.What) == "" {
		return &Error{Code: CodeRequest, Message: "no device or action named", Hint: "'cordon-agent devices' shows what is in force"}
	}
	return checkTexts(r.What, r.Reason)
}

// checkLife puts the default in, and holds what is said to the bounds.
func checkLife(d *time.Duration) error {
	switch {
	case *d == 0:
		*d = DefaultLife
	case *d < time.Minute || *d > cordon.MaxLife:
		return &Error{Code: CodeRequest, Message: fmt.Sprintf("for %s: want from a minute to %s", *d, cordon.Span(cordon.MaxLife)),
			Hint: "nothing is for ever; ask again when it ends"}
	}
	return nil
}

func checkTexts(selector, reason string) error {
	if len(selector) > maxSelector || !printable(selector) {
		return &Error{Code: CodeRequest, Message: fmt.Sprintf("no device can be called so: want at most %d bytes without control characters", maxSelector)}
	}
	if len(reason) > maxReason || !printable(reason) {
		return &Error{Code: CodeRequest, Message: fmt.Sprintf("the reason is too long: want at most %d bytes without control characters", maxReason)}
	}
	return nil
}

func printable(s string) bool {
	return utf8.ValidString(s) && !strings.ContainsFunc(s, unicode.IsControl)
}
