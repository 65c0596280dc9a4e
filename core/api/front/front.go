// Package front is what every request passes before and behind the API's routes: ids,
// bounds, security headers, the access log, compression and ETags. A request comes in
// from net/http and goes on to the routes; the answer comes back through a buffer.
package front

import (
	"context"
	"crypto/rand"
	"encoding/hex"
	"errors"
	"log/slog"
	"net/http"
	"runtime/debug"
	"strings"
	"time"

	"cordon/core/api/problem"
)

// Config configures a front.
type Config struct {
	Secure  bool // people reach core over TLS: say so to browsers
	Observe func(route, method string, status int, took time.Duration)
	Now     func() time.Time
	Log     *slog.Logger
}

// Note is what the layers inside learn of a request, for the log: they may set its
// fields until they return.
type Note struct {
	ID    string // of the request
	Route string // pattern; empty: none fitted
	User  string // User.ID; empty: nobody
	Err   error  // why the answer is a problem
}

type noteKey struct{}

// NoteOf returns the note of the request that ctx belongs to, never nil.
func NoteOf(ctx context.Context) *Note {
	if n, ok := ctx.Value(noteKey{}).(*Note); ok {
		return n
	}
	return new(Note)
}

// answerWithin is how long an answer may take, with its way to the client.
const answerWithin = time.Minute

// maxTarget bounds a request's path and query, in bytes. What a form of ours sends is
// a tenth of it.
const maxTarget = 8 << 10

// Wrap returns next with everything around it.
func Wrap(next http.Handler, cfg Config) http.Handler {
	return http.HandlerFunc(func(w http.ResponseWriter, r *http.Request) {
		began := cfg.Now()
		n := &Note{ID: requestID()}
		r = r.WithContext(context.WithValue(r.Context(), noteKey{}, n))
		headers(w.Header(), n.ID, cfg.Secure)
		a := &answer{w: w, r: r}
		// Of the connection: a route that takes longer says so itself.
		http.NewResponseController(w).SetWriteDeadline(time.Now().Add(answerWithin))
		defer func() {
			if v := recover(); v != nil {
				a.fall(v, n, cfg.Log)
			}
			a.finish()
			cfg.log(r, a, n, cfg.Now().Sub(began))
		}()
		if len(r.RequestURI) > maxTarget {
			fail(a, n, problem.New(problem.BadRequest, "the address is too long"))
			return
		}
		next.ServeHTTP(a, r)
	})
}

// fail answers with p.
func fail(w http.ResponseWriter, n *Note, p *problem.Problem) {
	p.RequestID, n.Err = n.ID, p
	p.Write(w)
}

// fall ends a request whose handler panicked.
func (a *answer) fall(v any, n *Note, log *slog.Logger) {
	if v == http.ErrAbortHandler {
		a.abort = true
		return
	}
	log.Error("request panicked", "request", n.ID, "route", n.Route, "panic", v, "stack", string(debug.Stack()))
	if a.reset() {
		fail(a, n, problem.New(problem.Internal, ""))
	} else {
		a.abort = true
	}
}

// log writes the line of a request. Neither query nor headers are in it: both may hold
// what is secret or personal.
func (c *Config) log(r *http.Request, a *answer, n *Note, took time.Duration) {
	route := n.Route
	if route == "" {
		route = "none"
	}
	if c.Observe != nil {
		c.Observe(route, method(r.Method), a.status, took)
	}
	level, args := slog.LevelInfo, []any{"request", n.ID, "method", method(r.Method), "route", route, "status", a.status,
		"bytes", a.written, "ms", took.Milliseconds(), "user", n.User}
	var p *problem.Problem
	switch {
	case errors.As(n.Err, &p) && a.status < 500:
		args = append(args, "problem", p.Code) // its text may quote what was sent
	case n.Err != nil:
		level, args = slog.LevelError, append(args, "err", n.Err)
	}
	c.Log.Log(r.Context(), level, "request", args...)
	if a.abort {
		panic(http.ErrAbortHandler)
	}
}

// method returns one of the methods that exist: what a client makes up goes into no
// metric.
func method(m string) string {
	switch m {
	case http.MethodGet, http.MethodHead, http.MethodPost, http.MethodPut, http.MethodPatch, http.MethodDelete, http.MethodOptions:
		return m
	}
	return "other"
}

// requestID returns a new id, which tells nothing.
func requestID() string {
	var b [8]byte
	rand.Read(b[:])
	return hex.EncodeToString(b[:])
}

// headers sets what every answer says. The policy is for JSON: a page of the portal sets
// its own.
func headers(h http.Header, id string, secure bool) {
	h.Set("X-Request-Id", id)
	h.Set("X-Content-Type-Options", "nosniff")
	h.Set("X-Frame-Options", "DENY")
	h.Set("Referrer-Policy", "no-referrer")
	h.Set("Cross-Origin-Resource-Policy", "same-origin")
	h.Set("Content-Security-Policy", "default-src 'none'; frame-ancestors 'none'")
	h.Set("Cache-Control", "no-store")
	if secure {
		h.Set("Strict-Transport-Security", "max-age=31536000")
	}
}

// Mux is http.ServeMux whose own refusals are problem documents.
func Mux(mux *http.ServeMux) http.Handler {
	return http.HandlerFunc(func(w http.ResponseWriter, r *http.Request) {
		h, pattern := mux.Handler(r)
		if pattern != "" {
			mux.ServeHTTP(w, r)
			return
		}
		n := NoteOf(r.Context())
		probe := &probe{h: make(http.Header)}
		h.ServeHTTP(probe, r)
		switch {
		case probe.status == http.StatusMethodNotAllowed:
			w.Header().Set("Allow", probe.h.Get("Allow"))
			fail(w, n, problem.New(problem.Method, method(r.Method)+" is none of "+probe.h.Get("Allow")))
		case probe.status >= 300 && probe.status < 400: // a cleaned path
			w.Header().Set("Location", probe.h.Get("Location"))
			w.WriteHeader(probe.status)
		default:
			fail(w, n, problem.New(problem.NoRoute, ""))
		}
	})
}

// probe takes what a handler would answer.
type probe struct {
	h      http.Header
	status int
}

func (p *probe) Header() http.Header         { return p.h }
func (p *probe) WriteHeader(status int)      { p.status = status }
func (p *probe) Write(b []byte) (int, error) { return len(b), nil }

// accepts reports whether the client takes an answer in that coding (RFC 9110 §12.5.3).
func accepts(header, coding string) bool {
	for part := range strings.SplitSeq(header, ",") {
		name, q, _ := strings.Cut(strings.TrimSpace(part), ";")
		if strings.EqualFold(strings.TrimSpace(name), coding) {
			weight := strings.ReplaceAll(strings.ToLower(q), " ", "")
			return !strings.HasPrefix(weight, "q=0") || strings.Trim(weight, "q=0.") != ""
		}
	}
	return false
}
