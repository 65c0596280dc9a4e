package main

import (
	"bytes"
	"context"
	"encoding/json"
	"errors"
	"fmt"
	"io"
	"io/fs"
	"net"
	"net/http"
	"net/netip"
	"net/url"
	"syscall"
	"time"

	"cordon/core"
	"cordon/core/config"
	"cordon/internal/document"
	"cordon/internal/term"
)

// local is the API of the core of this machine, through its socket: whoever may open
// that may do everything.
type local struct {
	http *http.Client
	stop func() error // ends a core that was started for this command only
}

// connect reaches the core that runs. If none does, this program is core until close,
// with no door but the socket: the same order has the same effect.
func connect(ctx context.Context, cfg config.Config, stderr io.Writer) (*local, error) {
	l := &local{http: core.Dial(cfg), stop: func() error { return nil }}
	c, err := net.DialTimeout("unix", cfg.Socket(), time.Second)
	switch {
	case err == nil:
		return l, c.Close()
	case !errors.Is(err, fs.ErrNotExist) && !errors.Is(err, syscall.ECONNREFUSED):
		return nil, fmt.Errorf("core's socket: %w; run this as the user that core runs as", err)
	}
	cfg.API.URL = cfg.PublicURL()
	cfg.API.Listen, cfg.Gateway.Listen, cfg.Operation.Listen, cfg.Bus.Listen = netip.AddrPort{}, netip.AddrPort{}, netip.AddrPort{}, netip.AddrPort{}
	cfg.API.TLSCert, cfg.API.TLSKey = "", ""
	alone, err := core.Open(ctx, cfg, config.Log{Level: document.LevelError}.Logger(stderr))
	if err != nil {
		return nil, err
	}
	running, end := context.WithCancel(context.WithoutCancel(ctx))
	ended := make(chan error, 1)
	go func() { ended <- alone.Run(running) }()
	l.stop = func() error {
		end()
		if err := <-ended; err != nil && !errors.Is(err, context.Canceled) {
			return errors.Join(err, alone.Close())
		}
		return alone.Close()
	}
	return l, nil
}

// close ends the connection, and a core that was started for it.
func (l *local) close() error {
	l.http.CloseIdleConnections()
	return l.stop()
}

// problem is how the API says what is wrong (RFC 9457).
type problem struct {
	Title, Detail, Hint string
	Errors              []struct{ Location, Message string }
}

// do asks the API and reads its answer into out, unless that is nil.
func (l *local) do(ctx context.Context, method, path string, query url.Values, kind string, body io.Reader, out any) error {
	address := url.URL{Scheme: "http", Host: "localhost", Path: path, RawQuery: query.Encode()}
	req, err := http.NewRequestWithContext(ctx, method, address.String(), body)
	if err != nil {
		return err
	}
	if body != nil {
		req.Header.Set("Content-Type", kind)
	}
	resp, err := l.http.Do(req)
	if err != nil {
		return fmt.Errorf("core: %w", err)
	}
	defer resp.Body.Close()
	if resp.StatusCode >= 300 {
		return failed(resp)
	}
	if out == nil {
		return nil
	}
	if err := json.NewDecoder(resp.Body).Decode(out); err != nil {
		return fmt.Errorf("core's answer: %w", err)
	}
	return nil
}

// refusal is a problem that the API told.
type refusal struct {
	status int
	text   string
}

func (r *refusal) Error() string { return r.text }

// maxProblem bounds what is read of a problem, in bytes.
const maxProblem = 64 << 10

// failed returns what the API says is wrong, in one line.
func failed(resp *http.Response) error {
	var p problem
	if err := json.NewDecoder(io.LimitReader(resp.Body, maxProblem)).Decode(&p); err != nil || p.Title == "" {
		return fmt.Errorf("core answered %s", resp.Status)
	}
	text := p.Detail
	if text == "" {
		text = p.Title + ": " + p.Hint
	}
	for _, e := range p.Errors {
		text += fmt.Sprintf("; %s: %s", e.Location, e.Message)
	}
	return &refusal{resp.StatusCode, term.Escape(text)}
}

// stream reads an answer that may be long.
func (l *local) stream(ctx context.Context, path string, query url.Values, to io.Writer) error {
	req, err := http.NewRequestWithContext(ctx, http.MethodGet, "http://localhost"+path+"?"+query.Encode(), nil)
	if err != nil {
		return err
	}
	resp, err := l.http.Do(req)
	if err != nil {
		return fmt.Errorf("core: %w", err)
	}
	defer resp.Body.Close()
	if resp.StatusCode != http.StatusOK {
		return failed(resp)
	}
	if _, err = io.Copy(to, resp.Body); err != nil {
		return fmt.Errorf("core's answer broke off: %w", err)
	}
	return nil
}

// get reads a record or a page.
func (l *local) get(ctx context.Context, path string, query url.Values, out any) error {
	return l.do(ctx, http.MethodGet, path, query, "", nil, out)
}

// post changes something.
func (l *local) post(ctx context.Context, path string, in, out any) error {
	body, err := json.Marshal(in)
	if err != nil {
		return err
	}
	return l.do(ctx, http.MethodPost, path, nil, "application/json", bytes.NewReader(body), out)
}
