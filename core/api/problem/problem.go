// Package problem is how the API says what went wrong: problem documents of RFC 9457
// with a stable code and a hint what to do. Handlers return them as errors.
package problem

import (
	"encoding/json"
	"net/http"
	"slices"
	"strconv"
	"time"
)

// Problem is a problem document.
type Problem struct {
	Type      string  `json:"type" doc:"Stable URI of the kind of problem: urn:cordon:problem: and the code." example:"urn:cordon:problem:not-found"`
	Title     string  `json:"title" doc:"The kind of problem, in words." example:"Not there"`
	Status    int     `json:"status" doc:"HTTP status." example:"404"`
	Code      string  `json:"code" doc:"Stable name of the kind of problem. Programs decide by it." example:"not-found"`
	Detail    string  `json:"detail,omitempty" doc:"What is wrong this time, in words."`
	Hint      string  `json:"hint,omitempty" doc:"What to do about it, in words."`
	RequestID string  `json:"request_id,omitempty" doc:"Id of the request, for whoever looks into core's log."`
	Errors    []Field `json:"errors,omitempty" nullable:"false" doc:"The parts of the request that are wrong."`

	After time.Duration `json:"-"` // when to try again; 0: not said
	cause error
}

// Field is a part of a request that is wrong.
type Field struct {
	Location string `json:"location,omitempty" doc:"Where: body.name, query.limit, or a line." example:"body.name"`
	Message  string `json:"message" doc:"What is wrong there."`
}

// Kind is a kind of problem.
type Kind struct {
	Code   string
	Status int
	Title  string
	Hint   string
}

// The kinds. The codes are a contract: none is ever renamed or reused.
var (
	BadRequest   = &Kind{"bad-request", 400, "The request cannot be read", "Compare it with the API's description at /openapi.json."}
	Unauthorised = &Kind{"not-logged-in", 401, "Log in first", "Send the cookie of a session, or a token as Authorization: Bearer …."}
	Credentials  = &Kind{"wrong-credentials", 401, "The credentials are wrong", "Check them. After several tries you have to wait."}
	Forbidden    = &Kind{"not-permitted", 403, "You may not do that", "Ask somebody who has the role for it; docs/roles.md lists what each role may do."}
	Stale        = &Kind{"log-in-again", 403, "Log in again for this", "The log-in is too old for something this dangerous: log in again, then repeat the request."}
	CrossOrigin  = &Kind{"cross-origin", 403, "Another web site made your browser send this", "Send it from core's own pages, or use a token."}
	Reason       = &Kind{"reason-required", 403, "Say why you look", "Send the header Cordon-Reason with a ticket number or a sentence, or open a case for the site. The customer's record shows it."}
	NotFound     = &Kind{"not-found", 404, "Not there", "It does not exist, or it is not yours to see."}
	NoRoute      = &Kind{"no-such-route", 404, "There is no such route", "Compare it with the API's description at /openapi.json."}
	Method       = &Kind{"no-such-method", 405, "The route does not have that method", "The header Allow lists those that it has."}
	Acceptable   = &Kind{"not-acceptable", 406, "The answer does not exist in that form", "Accept application/json."}
	Slow         = &Kind{"too-slow", 408, "The request came too slowly", "Try again."}
	Conflict     = &Kind{"conflict", 409, "That contradicts what is there", "Read it again and decide anew."}
	Progress     = &Kind{"in-progress", 409, "The same request is being worked on", "Wait a moment and repeat it with the same Idempotency-Key."}
	Changed      = &Kind{"changed-meanwhile", 412, "Somebody changed it meanwhile", "Read it again, take the new ETag, and decide anew."}
	TooLarge     = &Kind{"too-large", 413, "The request is too large", "Send it in parts."}
	MediaType    = &Kind{"media-type", 415, "The body's form is not known", "Set Content-Type to what the API's description says."}
	Invalid      = &Kind{"invalid", 422, "Something in the request cannot be", "Mend what errors and detail name."}
	KeyReused    = &Kind{"idempotency-key-reused", 422, "That Idempotency-Key belongs to another request", "Use a new key for each new request."}
	Precondition = &Kind{"if-match-required", 428, "Say which version you change", "Send the ETag that you read in the header If-Match."}
	TooMany      = &Kind{"too-many-tries", 429, "Too many tries", "Wait as long as Retry-After says."}
	Internal     = &Kind{"internal", 500, "Something went wrong in core", "Try again; if it stays, give the request_id to the operator."}
	Unsure       = &Kind{"outcome-unknown", 500, "It may have been done, or not", "Read it again before you repeat the request."}
	Unavailable  = &Kind{"unavailable", 503, "Core cannot do that now", "Try again in some seconds."}
	Streams      = &Kind{"too-many-streams", 503, "Too many event streams are open", "Close those that you do not need, and try again."}
	Router       = &Kind{"router-cannot", 502, "The router cannot answer that", "detail says why. An older agent does not know every question."}
	Away         = &Kind{"router-away", 504, "The router does not answer", "It is off or has no connection. Try again when it is online."}
	Timeout      = &Kind{"time-out", 504, "It took too long", "Try again, or ask for less."}
)

// Kinds returns all kinds, by status.
func Kinds() []*Kind {
	return []*Kind{BadRequest, Unauthorised, Credentials, Forbidden, Stale, CrossOrigin, Reason, NotFound, NoRoute,
		Method, Acceptable, Slow, Conflict, Progress, Changed, TooLarge, MediaType, Invalid, KeyReused, Precondition, TooMany,
		Internal, Unsure, Router, Unavailable, Streams, Away, Timeout}
}

// New returns a problem of kind k.
func New(k *Kind, detail string) *Problem {
	return &Problem{Type: "urn:cordon:problem:" + k.Code, Title: k.Title, Status: k.Status, Code: k.Code, Detail: detail, Hint: k.Hint}
}

// Wrap returns a problem of kind k for which err is the reason. Err is for the log; who
// asked sees detail.
func Wrap(k *Kind, detail string, err error) *Problem {
	p := New(k, detail)
	p.cause = err
	return p
}

// Of returns the kind for a status that came about elsewhere.
func Of(status int) *Kind {
	first := []*Kind{BadRequest, Unauthorised, Forbidden, NoRoute, Method, Acceptable, Slow, Conflict, Changed, TooLarge, MediaType,
		Invalid, Precondition, TooMany, Unavailable, Timeout}
	if i := slices.IndexFunc(first, func(k *Kind) bool { return k.Status == status }); i >= 0 {
		return first[i]
	}
	if status >= 400 && status < 500 {
		return BadRequest
	}
	return Internal
}

// With adds a part that is wrong.
func (p *Problem) With(location, message string) *Problem {
	p.Errors = append(p.Errors, Field{location, message})
	return p
}

// Error says what is wrong, for the log.
func (p *Problem) Error() string {
	s := p.Code
	if p.Detail != "" {
		s += ": " + p.Detail
	}
	if p.cause != nil {
		s += ": " + p.cause.Error()
	}
	return s
}

// Unwrap returns the reason.
func (p *Problem) Unwrap() error { return p.cause }

// GetStatus is how huma asks for the status.
func (p *Problem) GetStatus() int { return p.Status }

// ContentType is how huma asks for the form.
func (p *Problem) ContentType(string) string { return "application/problem+json" }

// GetHeaders is how huma asks for headers.
func (p *Problem) GetHeaders() http.Header {
	h := make(http.Header)
	if p.Status == http.StatusUnauthorized {
		h.Set("WWW-Authenticate", `Bearer realm="cordon"`)
	}
	if p.After > 0 {
		h.Set("Retry-After", strconv.Itoa(int(p.After/time.Second)+1))
	}
	return h
}

// Write answers with p where huma does not.
func (p *Problem) Write(w http.ResponseWriter) {
	for name, values := range p.GetHeaders() {
		w.Header()[name] = values
	}
	w.Header().Set("Content-Type", "application/problem+json")
	w.WriteHeader(p.Status)
	json.NewEncoder(w).Encode(p) // nobody is left to be told of an error
}
