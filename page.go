package cordon

import "errors"

// Query says which records of a list are wanted. Zero fields: any.
type Query struct {
	Account, Site, Area, Group string
	Router, Device, Model      string
	Kind                       Kind   // of detections and incidents, or a pattern
	Level                      Level  // at least
	State                      string // of a router or a device; "open" or "over" of an incident
	Online                     *bool  // of a router
	Agent                      string // of a router: the version of its agent
	Verb                       string // of an audit, action
	User                       string // of an audit
	Text                       string // prefix of a name, serial, reference or address
	Since, Until               Time   // half open
	Cursor                     string // Page.Next of the page before
	Limit                      int    // 0: 50; at most MaxLimit
}

// MaxLimit is the most records that a page has.
const MaxLimit = 500

// Page is a part of a list.
type Page[T any] struct {
	Items []T
	Next  string // Query.Cursor of the next page; empty: this was the last
}

// Errors of whoever keeps records.
var (
	ErrNotFound = errors.New("not found")
	// ErrConflict means that the record was changed by somebody else meanwhile, or
	// that another has the same unique name: read it again.
	ErrConflict = errors.New("changed meanwhile")
	// ErrInvalid means that what was asked can never be: mend the request.
	ErrInvalid = errors.New("invalid")
	// ErrUnavailable means that the records cannot be reached now. Nothing was changed,
	// unless the error is also ErrUnknown: ask again later.
	ErrUnavailable = errors.New("not available")
)
