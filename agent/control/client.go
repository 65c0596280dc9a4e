package control

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
	"net/url"
	"time"

	"golang.org/x/sys/unix"
)

// maxAnswer bounds what a client reads, in bytes: 1,000 devices with ten actions
// each are 6 MB.
const maxAnswer = 16 << 20

// clientWithin is how long a client waits, longer than the server lets the agent
// take.
const clientWithin = AnswerWithin + 10*time.Second

// Client asks the agent. It is an Agent itself: what it returns is what the agent
// returned. All its errors are an *Error.
type Client struct {
	path string
	http http.Client
}

// NewClient returns a client of the socket at path. It does nothing before the first
// question.
func NewClient(path string) *Client {
	dial := func(ctx context.Context, _, _ string) (net.Conn, error) {
		var d net.Dialer
		return d.DialContext(ctx, "unix", path)
	}
	return &Client{path: path, http: http.Client{Timeout: clientWithin,
		Transport: &http.Transport{DialContext: dial, DisableKeepAlives: true}}}
}

var _ Agent = (*Client)(nil)

// Status asks how the agent is.
func (c *Client) Status(ctx context.Context) (Status, error) {
	return ask[Status](ctx, c, "status", nil)
}

// Devices asks for the home's devices.
func (c *Client) Devices(ctx context.Context) ([]Device, error) {
	return ask[[]Device](ctx, c, "devices", nil)
}

// Incidents asks for the open incidents, or all.
func (c *Client) Incidents(ctx context.Context, all bool) ([]Incident, error) {
	if all {
		return ask[[]Incident](ctx, c, "incidents?all=1", nil)
	}
	return ask[[]Incident](ctx, c, "incidents", nil)
}

// Why asks for everything about a device.
func (c *Client) Why(ctx context.Context, device string) (Explanation, error) {
	return ask[Explanation](ctx, c, "why?"+url.Values{"device": {device}}.Encode(), nil)
}

// Allow asks to let a device reach a place.
func (c *Client) Allow(ctx context.Context, r AllowRequest) (Outcome, error) {
	return ask[Outcome](ctx, c, "allow", r)
}

// Quarantine asks to cut a device off.
func (c *Client) Quarantine(ctx context.Context, r QuarantineRequest) (Outcome, error) {
	return ask[Outcome](ctx, c, "quarantine", r)
}

// Release asks to end what is in force.
func (c *Client) Release(ctx context.Context, r ReleaseRequest) (Outcome, error) {
	return ask[Outcome](ctx, c, "release", r)
}

// Ledger asks for what was sent to core.
func (c *Client) Ledger(ctx context.Context, n int) ([]Sent, error) {
	return ask[[]Sent](ctx, c, fmt.Sprintf("ledger?lines=%d", n), nil)
}

// Doctor asks what keeps the agent from its work.
func (c *Client) Doctor(ctx context.Context) ([]Finding, error) {
	return ask[[]Finding](ctx, c, "doctor", nil)
}

// ask sends a question, with a body if it is a request, and reads the answer.
func ask[T any](ctx context.Context, c *Client, what string, request any) (v T, err error) {
	method, body := http.MethodGet, []byte(nil)
	if request != nil {
		method = http.MethodPost
		if body, err = json.Marshal(request); err != nil {
			return v, &Error{Code: CodeRequest, Message: fmt.Sprintf("write request: %v", err)}
		}
	}
	r, err := http.NewRequestWithContext(ctx, method, "http://agent/v1/"+what, bytes.NewReader(body))
	if err != nil {
		return v, &Error{Code: CodeRequest, Message: fmt.Sprintf("write request: %v", err)}
	}
	answer, err := c.http.Do(r)
	if err != nil {
		return v, c.explain(err, request != nil)
	}
	defer answer.Body.Close()
	text, err := io.ReadAll(io.LimitReader(answer.Body, maxAnswer+1))
	switch {
	case err != nil:
		return v, c.explain(err, request != nil)
	case len(text) > maxAnswer:
		return v, &Error{Code: CodeFailed, Message: fmt.Sprintf("the answer is longer than %d bytes", maxAnswer)}
	case answer.StatusCode != http.StatusOK:
		return v, refusal(answer.Status, text)
	}
	if err := json.Unmarshal(text, &v); err != nil {
		return v, &Error{Code: CodeFailed, Message: fmt.Sprintf("read answer: %v", err), Hint: "the agent may be of another version than this program"}
	}
	return v, nil
}

// refusal reads the error that a server sent.
func refusal(status string, text []byte) error {
	var e Error
	if json.Unmarshal(text, &e) != nil || e.Code == "" {
		return &Error{Code: CodeFailed, Message: "the agent answered " + status}
	}
	return &e
}

// explain turns an error of the connection into one that says what to do. changing
// means that the request may have changed something.
func (c *Client) explain(err error, changing bool) error {
	var timeout interface{ Timeout() bool }
	var op *net.OpError
	dialed := !errors.As(err, &op) || op.Op != "dial"
	switch {
	case errors.Is(err, fs.ErrNotExist), errors.Is(err, unix.ECONNREFUSED):
		return &Error{Code: CodeNotRunning, Message: "the agent is not running: nobody answers on " + c.path,
			Hint: "start it with 'systemctl start cordon-agent', on OpenWrt '/etc/init.d/cordon start'; if it uses another socket, name it with --socket"}
	case errors.Is(err, fs.ErrPermission):
		return &Error{Code: CodeForbidden, Message: "the socket " + c.path + " does not admit this user",
			Hint: "use root, or a member of the group that control.group in the configuration names"}
	case dialed && changing:
		return &Error{Code: CodeUnknown, Message: fmt.Sprintf("the agent's answer was lost: %v", err),
			Hint: "look with 'cordon-agent status', or do it again: that does no harm"}
	case errors.As(err, &timeout) && timeout.Timeout():
		return &Error{Code: CodeBusy, Message: "the agent does not answer", Hint: "try again; if it stays so, its log says more"}
	}
	return &Error{Code: CodeFailed, Message: fmt.Sprintf("ask the agent: %v", err)}
}
