package control

import (
	"context"
	"encoding/json"
	"errors"
	"fmt"
	"io"
	"log/slog"
	"net"
	"net/http"
	"strconv"
	"time"

	"cordon"
)

// Bounds of what clients may take up.
const (
	maxConns   = 16
	maxBody    = 8 << 10 // bytes of a request's body
	maxHeader  = 8 << 10 // bytes
	readWithin = 5 * time.Second
	idleFor    = 30 * time.Second
)

// AnswerWithin is how long the agent has for an answer unless Config says so. A
// pipeline that takes longer hangs, and a client must be told.
const AnswerWithin = 10 * time.Second

// Config configures a Server. Agent and Path are required.
type Config struct {
	Agent Agent
	Path  string // of the socket
	// Group is whose members may use the socket besides root and the process's own
	// user, a name or a number; empty: the process's own group.
	Group  string
	Within time.Duration // the agent's time for an answer, 0: AnswerWithin
	Log    *slog.Logger  // nil: nothing is logged
}

// Server answers on the socket.
type Server struct {
	cfg Config
	log *slog.Logger
}

// NewServer returns a server that does nothing before Run.
func NewServer(cfg Config) (*Server, error) {
	if cfg.Agent == nil || cfg.Path == "" {
		return nil, fmt.Errorf("control: Agent and Path are required")
	}
	if cfg.Within == 0 {
		cfg.Within = AnswerWithin
	}
	if cfg.Log == nil {
		cfg.Log = slog.New(slog.DiscardHandler)
	}
	return &Server{cfg: cfg, log: cfg.Log}, nil
}

// Run listens and answers until ctx is done, and takes the socket away. An error
// says that it could not listen; ErrInUse that another agent does.
func (s *Server) Run(ctx context.Context) error {
	l, err := Listen(s.cfg.Path, s.cfg.Group)
	if err != nil {
		return err
	}
	return s.Serve(ctx, l)
}

// Serve answers on l until ctx is done, and closes it.
func (s *Server) Serve(ctx context.Context, l net.Listener) error {
	server := &http.Server{
		Handler:           s.handler(),
		ReadHeaderTimeout: readWithin,
		ReadTimeout:       readWithin,
		WriteTimeout:      readWithin + s.cfg.Within + readWithin,
		IdleTimeout:       idleFor,
		MaxHeaderBytes:    maxHeader,
		ErrorLog:          slog.NewLogLogger(s.log.Handler(), slog.LevelDebug),
		ConnContext:       withPeer,
		BaseContext:       func(net.Listener) context.Context { return ctx },
	}
	done := make(chan struct{})
	go func() {
		defer close(done)
		<-ctx.Done()
		server.Close()
	}()
	err := server.Serve(l)
	if ctx.Err() != nil {
		<-done
		return nil
	}
	return fmt.Errorf("control socket: %w", err)
}

// handler ties the paths to the agent's methods.
func (s *Server) handler() http.Handler {
	a, mux := s.cfg.Agent, http.NewServeMux()
	mux.Handle("GET /v1/status", answer(s, func(ctx context.Context, _ *http.Request) (Status, error) {
		return a.Status(ctx)
	}))
	mux.Handle("GET /v1/devices", answer(s, func(ctx context.Context, _ *http.Request) ([]Device, error) {
		list, err := a.Devices(ctx)
		return notNil(list), err
	}))
	mux.Handle("GET /v1/incidents", answer(s, func(ctx context.Context, r *http.Request) ([]Incident, error) {
		list, err := a.Incidents(ctx, r.URL.Query().Get("all") == "1")
		return notNil(list), err
	}))
	mux.Handle("GET /v1/why", answer(s, func(ctx context.Context, r *http.Request) (Explanation, error) {
		device := r.URL.Query().Get("device")
		if err := checkTexts(device, ""); err != nil {
			return Explanation{}, err
		}
		return a.Why(ctx, device)
	}))
	mux.Handle("GET /v1/doctor", answer(s, func(ctx context.Context, _ *http.Request) ([]Finding, error) {
		list, err := a.Doctor(ctx)
		return notNil(list), err
	}))
	mux.Handle("GET /v1/ledger", answer(s, func(ctx context.Context, r *http.Request) ([]Sent, error) {
		n, err := strconv.Atoi(r.URL.Query().Get("lines"))
		if err != nil || n < 1 || n > MaxLedger {
			return nil, &Error{Code: CodeRequest, Message: fmt.Sprintf("lines: want a number from 1 to %d", MaxLedger)}
		}
		list, err := a.Ledger(ctx, n)
		return notNil(list), err
	}))
	mux.Handle("POST /v1/allow", answer(s, func(ctx context.Context, r *http.Request) (Outcome, error) {
		var q AllowRequest
		if err := s.read(r, &q, q.check); err != nil {
			return Outcome{}, err
		}
		q.By = peerOf(ctx).String()
		o, err := a.Allow(ctx, q)
		return o, s.told(ctx, "allow", q.Device, err)
	}))
	mux.Handle("POST /v1/quarantine", answer(s, func(ctx context.Context, r *http.Request) (Outcome, error) {
		var q QuarantineRequest
		if err := s.read(r, &q, q.check); err != nil {
			return Outcome{}, err
		}
		q.By = peerOf(ctx).String()
		o, err := a.Quarantine(ctx, q)
		return o, s.told(ctx, "quarantine", q.Device, err)
	}))
	mux.Handle("POST /v1/release", answer(s, func(ctx context.Context, r *http.Request) (Outcome, error) {
		var q ReleaseRequest
		if err := s.read(r, &q, q.check); err != nil {
			return Outcome{}, err
		}
		q.By = peerOf(ctx).String()
		o, err := a.Release(ctx, q)
		return o, s.told(ctx, "release", q.What, err)
	}))
	mux.Handle("/", answer(s, func(_ context.Context, r *http.Request) (struct{}, error) {
		return struct{}{}, &Error{Code: CodeRequest, Message: fmt.Sprintf("no request %s %s", r.Method, r.URL.Path),
			Hint: "the agent may be older than this program"}
	}))
	return mux
}

// answer makes a handler that asks the agent and writes what it says.
func answer[T any](s *Server, ask func(context.Context, *http.Request) (T, error)) http.Handler {
	return http.HandlerFunc(func(w http.ResponseWriter, r *http.Request) {
		ctx, cancel := context.WithTimeout(r.Context(), s.cfg.Within)
		defer cancel()
		r.Body = http.MaxBytesReader(w, r.Body, maxBody)
		v, err := ask(ctx, r)
		if err != nil {
			e := s.explain(ctx, err)
			s.write(w, e.Code.status(), e)
			return
		}
		s.write(w, http.StatusOK, v)
	})
}

func (s *Server) write(w http.ResponseWriter, status int, v any) {
	w.Header().Set("Content-Type", "application/json")
	w.Header().Set("Cache-Control", "no-store")
	w.WriteHeader(status)
	enc := json.NewEncoder(w)
	enc.SetEscapeHTML(false)
	if err := enc.Encode(v); err != nil {
		s.log.Debug("control answer not written", "err", err)
	}
}

// explain turns an error into one for the client.
func (s *Server) explain(ctx context.Context, err error) *Error {
	if e := (*Error)(nil); errors.As(err, &e) {
		return e
	}
	switch {
	case errors.Is(err, cordon.ErrUnknown):
		return &Error{Code: CodeUnknown, Message: err.Error(), Hint: "look with 'cordon-agent status', or do it again: that does no harm"}
	case ctx.Err() != nil && errors.Is(err, ctx.Err()):
		return &Error{Code: CodeBusy, Message: "the agent did not answer in time", Hint: "try again; if it stays so, its log says more"}
	}
	s.log.Warn("control request failed", "err", err)
	return &Error{Code: CodeFailed, Message: err.Error(), Hint: "the agent's log says more"}
}

// read takes the request's body into q and checks it.
func (s *Server) read(r *http.Request, q any, check func() error) error {
	dec := json.NewDecoder(r.Body)
	dec.DisallowUnknownFields()
	if err := dec.Decode(q); err != nil {
		return &Error{Code: CodeRequest, Message: fmt.Sprintf("read request: %v", err)}
	}
	if _, err := dec.Token(); !errors.Is(err, io.EOF) {
		return &Error{Code: CodeRequest, Message: "read request: more than one object"}
	}
	return check()
}

// told logs who asked for a change and what became of it; which device is for
// debugging only.
func (s *Server) told(ctx context.Context, do, device string, err error) error {
	p := peerOf(ctx)
	s.log.InfoContext(ctx, "asked on the control socket", "do", do, "uid", p.uid, "pid", p.pid, "done", err == nil)
	s.log.DebugContext(ctx, "asked on the control socket about", "do", do, "device", device, "err", err)
	return err
}
