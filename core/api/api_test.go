package api_test

import (
	"bufio"
	"context"
	"errors"
	"fmt"
	"net/http"
	"net/http/httptest"
	"net/url"
	"os"
	"strings"
	"sync"
	"testing"
	"time"

	"cordon"
	"cordon/core/api"
	"cordon/core/auth"
	"cordon/lab/office"
)

// reader reads a stream of events.
type reader struct {
	t     *testing.T
	lines chan string
	stop  context.CancelFunc
}

// listen opens a stream as u.
func listen(t *testing.T, o *office.Office, u *cordon.User, query string, headers ...string) *reader {
	t.Helper()
	ctx, cancel := context.WithCancel(context.Background())
	t.Cleanup(cancel)
	req, err := http.NewRequestWithContext(ctx, "GET", o.Server.URL+"/v1/events"+query, nil)
	must(t, err)
	req.Header.Set("Cookie", o.As(u))
	for _, h := range headers {
		name, value, _ := strings.Cut(h, ": ")
		req.Header.Set(name, value)
	}
	res, err := o.Server.Client().Do(req)
	must(t, err)
	if res.StatusCode != 200 || res.Header.Get("Content-Type") != "text/event-stream" {
		t.Fatalf("%d %v", res.StatusCode, res.Header)
	}
	r := &reader{t: t, lines: make(chan string), stop: cancel}
	go func() {
		defer res.Body.Close()
		defer close(r.lines)
		s := bufio.NewScanner(res.Body)
		for s.Scan() {
			select {
			case r.lines <- s.Text():
			case <-ctx.Done():
				return
			}
		}
	}()
	return r
}

// until reads to a line that has text, and returns it. Lines that have not are skipped.
func (r *reader) until(text string, never ...string) string {
	r.t.Helper()
	late := time.After(10 * time.Second)
	for {
		select {
		case line, open := <-r.lines:
			if !open {
				r.t.Fatalf("the stream ended before %q", text)
			}
			for _, n := range never {
				if strings.Contains(line, n) {
					r.t.Errorf("got %q", line)
				}
			}
			if strings.Contains(line, text) {
				return line
			}
		case <-late:
			r.t.Fatalf("no %q", text)
		}
	}
}

// TestEvents tells each reader what he may see, as it happens.
func TestEvents(t *testing.T) {
	o := office.New(t)
	owner := listen(t, o, o.People[cordon.RoleOwner], "")
	incidents := listen(t, o, o.People[cordon.RoleOwner], "?sort=incident&level=act")
	analyst := listen(t, o, o.People[cordon.RoleAnalyst], "")
	again := listen(t, o, o.People[cordon.RoleInstaller], "", "Last-Event-ID: 06h0")
	for _, r := range []*reader{owner, incidents, analyst} {
		r.until("event: hello")
		r.until(": beat")
	}
	again.until("event: resync", "hello")
	operator := listen(t, o, o.People[cordon.RoleOperator], "?site="+o.Own.Site, "Cordon-Reason: ticket 4711")
	operator.until("event: hello")
	if a := o.Ask(o.People[cordon.RoleOwner], "GET", "/v1/audit?verb=event.listen", ""); !strings.Contains(a.Text, "ticket 4711") {
		t.Errorf("somebody listens unseen: %s", a.Text)
	}
	now := cordon.TimeOf(time.Now())
	o.Events.Publish([]cordon.Event{
		{Sort: cordon.EventDevice, Account: o.Other.Account, Site: o.Other.Site, ID: o.Other.Device, At: now},
		{Sort: cordon.EventDevice, Account: o.Own.Account, Site: o.Own.Site, ID: o.Own.Device, At: now},
		{Sort: cordon.EventIncident, Account: o.Own.Account, Site: o.Own.Site, ID: "weak", Level: cordon.Watch, At: now},
		{Sort: cordon.EventIncident, Account: o.Own.Account, Site: o.Own.Site, ID: "strong", Level: cordon.Act, At: now},
	})
	if line := owner.until(`"sort":"device"`, o.Other.Site); !strings.Contains(line, o.Own.Device) {
		t.Error(line)
	}
	owner.until("strong")
	incidents.until("strong", "weak", o.Own.Device)
	again.until("strong", o.Other.Site)
	if line := analyst.until(`"sort":"device"`); !strings.Contains(line, o.Other.Site) || strings.Contains(line, o.Other.Device) {
		t.Errorf("an analyst got %s", line)
	}
	operator.until(o.Own.Device, o.Other.Site)
	// What is changed by the API is told, too.
	o.Ask(o.People[cordon.RoleMember], "POST", "/v1/sites/"+o.Own.Site+"/devices/"+o.Own.Device+"/quarantine", "{}")
	owner.until(`"sort":"desired"`)
	for n := range 40 {
		r, err := http.NewRequest("GET", o.Server.URL+"/v1/events", nil)
		must(t, err)
		ctx, cancel := context.WithCancel(context.Background())
		defer cancel()
		r = r.WithContext(ctx)
		r.Header.Set("Cookie", o.As(o.People[cordon.RoleOwner]))
		res, err := o.Server.Client().Do(r)
		must(t, err)
		defer res.Body.Close()
		if res.StatusCode == http.StatusServiceUnavailable {
			return
		}
		if n == 39 {
			t.Error("no bound on the streams of a user")
		}
	}
}

// TestEventsEnd frees what a reader took.
func TestEventsEnd(t *testing.T) {
	o := office.New(t)
	r := listen(t, o, o.People[cordon.RoleOwner], "")
	r.until("event: hello")
	r.stop()
	poll(t, func() bool { open, _ := o.Events.Stats(); return open == 0 })

	// Who may see less from now on is told nothing more, and comes again if he may.
	for who, request := range map[cordon.Role][3]string{
		cordon.RoleInstaller: {"owner", "POST", "/v1/sites/" + o.Own.Site + "/hand-over"},
		cordon.RoleMember:    {"administrator", "DELETE", "/v1/users/" + o.People[cordon.RoleMember].ID + "/grants?role=member&account=" + o.Own.Account},
		cordon.RoleBusiness:  {"business", "DELETE", "/v1/session"},
	} {
		r := listen(t, o, o.People[who], "")
		r.until("event: hello")
		if a := o.Ask(o.People[cordon.Role(request[0])], request[1], request[2], ""); a.Status/100 != 2 {
			t.Errorf("%v: %d %s", request, a.Status, a.Text)
		}
		r.until("event: resync")
		poll(t, func() bool { open, _ := o.Events.Stats(); return open == 0 })
	}
}

// poll waits until something is so.
func poll(t *testing.T, so func() bool) {
	t.Helper()
	tick := time.NewTicker(2 * time.Millisecond)
	defer tick.Stop()
	for late := time.Now().Add(10 * time.Second); !so(); <-tick.C {
		if time.Now().After(late) {
			t.Fatal("it does not become so")
		}
	}
}

// TestDown answers with a problem that tells nothing when the store fails.
func TestDown(t *testing.T) {
	o := office.New(t)
	owner := o.People[cordon.RoleOwner]
	o.As(owner)
	for _, c := range []struct {
		err    error
		status int
		code   string
	}{
		{errDown, 500, "internal"},
		{fmt.Errorf("%w: %w", errDown, cordon.ErrUnavailable), 503, "unavailable"},
		{fmt.Errorf("%w: %w", errDown, cordon.ErrUnknown), 500, "outcome-unknown"},
		{fmt.Errorf("%w: %w", errDown, context.DeadlineExceeded), 504, "time-out"},
	} {
		o.Store.Fail(c.err)
		a := o.Ask(owner, "GET", "/v1/sites", "")
		if a.Status != c.status || a.Code() != c.code || strings.Contains(a.Text, "fire") {
			t.Errorf("%v: %d %s", c.err, a.Status, a.Text)
		}
		if c.status == 503 && a.Header.Get("Retry-After") == "" {
			t.Error("no Retry-After")
		}
	}
	if !strings.Contains(o.Log.String(), "disk on fire") || strings.Contains(o.Log.String(), office.Password) {
		t.Error(o.Log.String())
	}
}

// TestOnce does a request once when many with one key come at the same time.
func TestOnce(t *testing.T) {
	o := office.New(t)
	u := o.People[cordon.RoleMember]
	o.As(u)
	path := "/v1/sites/" + o.Own.Site + "/devices/" + o.Own.Device + "/quarantine"
	var all sync.WaitGroup
	for range 8 {
		all.Go(func() {
			if a := o.Ask(u, "POST", path, "{}", "Idempotency-Key: same"); a.Status != 200 && a.Code() != "in-progress" {
				t.Errorf("%d %s", a.Status, a.Text)
			}
		})
	}
	all.Wait()
	d, err := o.Store.Desired(context.Background(), o.Own.Site)
	if err != nil || d.Version != 1 || len(d.Orders) != 1 {
		t.Errorf("%v version %d, %d orders", err, d.Version, len(d.Orders))
	}
	o.Store.Forget() // the answer got lost with the power: the order is still one
	if a := o.Ask(u, "POST", path, "{}", "Idempotency-Key: same"); a.Status != 200 {
		t.Errorf("%d %s", a.Status, a.Text)
	}
	if d, err = o.Store.Desired(context.Background(), o.Own.Site); err != nil || len(d.Orders) != 1 {
		t.Errorf("%v %d orders", err, len(d.Orders))
	}
}

// TestKeyAgain does what is asked for with a key whose answer is kept no more.
func TestKeyAgain(t *testing.T) {
	o := office.New(t)
	u := o.People[cordon.RoleMember]
	path := "/v1/sites/" + o.Own.Site + "/devices/" + o.Own.Device + "/block"
	o.Store.Forget() // more than a day passes
	for n, peer := range []string{"203.0.113.9", "203.0.113.10", "203.0.113.10"} {
		if a := o.Ask(u, "POST", path, fmt.Sprintf(`{"target":{"peer":%q}}`, peer), "Idempotency-Key: job"); a.Status != 200 {
			t.Errorf("%d: %d %s", n, a.Status, a.Text)
		}
	}
	if d, err := o.Store.Desired(context.Background(), o.Own.Site); err != nil || len(d.Orders) != 2 {
		t.Errorf("%v, %d orders, want one of each address", err, len(d.Orders))
	}
}

// TestLarge refuses bodies beyond their bound, with and without a key.
func TestLarge(t *testing.T) {
	o := office.New(t)
	u := o.People[cordon.RoleMember]
	body := `{"reason":"` + strings.Repeat("x", 70<<10) + `"}`
	for _, headers := range [][]string{nil, {"Idempotency-Key: k"}} {
		if a := o.Ask(u, "POST", "/v1/sites/"+o.Own.Site+"/devices/"+o.Own.Device+"/quarantine", body, headers...); a.Status != 413 || a.Code() != "too-large" {
			t.Errorf("%v: %d %s", headers, a.Status, a.Text)
		}
	}
}

// slowly is a client that sends a half of its body, and then waits for the deadline that
// was set for it.
type slowly struct {
	*httptest.ResponseRecorder
	sent  bool
	until time.Time
}

func (s *slowly) SetReadDeadline(t time.Time) error { s.until = t; return nil }

func (s *slowly) Read(b []byte) (int, error) {
	switch {
	case !s.sent:
		s.sent = true
		return copy(b, `{"reason":`), nil
	case s.until.IsZero():
		return 0, errors.New("would wait for ever")
	}
	return 0, os.ErrDeadlineExceeded
}

// TestSlow waits for no body for ever, with and without a key.
func TestSlow(t *testing.T) {
	o := office.New(t)
	for _, key := range []string{"", "k"} {
		s := &slowly{ResponseRecorder: httptest.NewRecorder()}
		r := httptest.NewRequest("POST", "/v1/sites/"+o.Own.Site+"/devices/"+o.Own.Device+"/quarantine", s)
		r.Header = http.Header{"Cookie": {o.As(o.People[cordon.RoleMember])}, "Content-Type": {"application/json"}, "Idempotency-Key": {key}}
		o.Server.Config.Handler.ServeHTTP(s, r)
		if s.Code != http.StatusRequestTimeout || s.until.IsZero() {
			t.Errorf("key %q: %d %s, deadline %v", key, s.Code, s.Body, s.until)
		}
	}
}

// TestPages walks a list by cursor.
func TestPages(t *testing.T) {
	o := office.New(t)
	var reports []cordon.Report
	for n := range 120 {
		now := cordon.TimeOf(time.Now())
		d := &cordon.Device{ID: fmt.Sprintf("02:00:00:00:01:%02x", n), FirstSeen: now, LastSeen: now}
		reports = append(reports, cordon.Report{ID: cordon.ReportID{Router: o.Own.Router, Boot: 2, Seq: uint64(n + 1)}, At: now, Device: d})
	}
	_, err := o.Store.Ingest(context.Background(), reports)
	must(t, err)
	seen, cursor := 0, ""
	for range 10 {
		a := o.Ask(o.People[cordon.RoleOwner], "GET", "/v1/devices?limit=50&cursor="+url.QueryEscape(cursor), "")
		items, _ := a.JSON["items"].([]any)
		seen += len(items)
		if cursor, _ = a.JSON["next"].(string); cursor == "" {
			break
		}
	}
	if seen != 121 {
		t.Errorf("%d devices, want 121", seen)
	}
}

// TestToken lets a program do what a token's part of the roles permits, and no more.
func TestToken(t *testing.T) {
	o := office.New(t)
	owner := o.People[cordon.RoleOwner]
	a := o.Ask(owner, "POST", "/v1/me/tokens", fmt.Sprintf(`{"name":"app","expires":%q,"grants":[{"role":"member","account":%q}]}`,
		time.Now().Add(time.Hour).Format(time.RFC3339), o.Own.Account))
	text, _ := a.JSON["token"].(string)
	if a.Status != 201 || text == "" {
		t.Fatalf("%d %s", a.Status, a.Text)
	}
	bearer := "Authorization: Bearer " + text
	for _, c := range []struct {
		method, path, body string
		status             int
	}{
		{"GET", "/v1/sites/" + o.Own.Site, "", 200},
		{"GET", "/v1/sites/" + o.Other.Site, "", 404},
		{"PUT", "/v1/sites/" + o.Own.Site + "/policy", `{"policy":"off"}`, 403},
		{"POST", "/v1/me/tokens", `{"name":"more","expires":"2027-01-01T00:00:00Z"}`, 403},
		{"PUT", "/v1/me/password", `{"password":"another long pass phrase 7"}`, 403},
	} {
		if a := o.Send(c.method, c.path, c.body, bearer); a.Status != c.status {
			t.Errorf("%s %s: %d %s", c.method, c.path, a.Status, a.Text)
		}
	}
	if strings.Contains(o.Log.String(), text) {
		t.Error("the token is in the log")
	}
}

// FuzzQuery sends any query to every list.
func FuzzQuery(f *testing.F) {
	o := office.New(f)
	subject := auth.Subject{User: o.People[cordon.RoleOwner].ID, Grants: o.People[cordon.RoleOwner].Grants, Way: auth.BySession}
	cookie := o.As(o.People[cordon.RoleOwner])
	f.Add("limit=5&cursor=50&site="+subject.User, `W/"7.x"`)
	f.Add("since=2026-01-01T00:00:00Z&level=act&kind=scan.*", "*")
	f.Add("text=%00%ff%f0%9f%98%80&state=open&online=true", `"`)
	f.Fuzz(func(t *testing.T, query, match string) {
		for _, r := range api.Routes() {
			if !r.List || r.Stream {
				continue
			}
			req := httptest.NewRequest("GET", "/v1/", nil)
			req.URL = &url.URL{Path: r.Path, RawQuery: query}
			req.RequestURI = r.Path + "?" + query
			req.Header = http.Header{"Cookie": {cookie}, "If-None-Match": {match}}
			w := httptest.NewRecorder()
			o.Server.Config.Handler.ServeHTTP(w, req)
			if w.Code >= 500 || strings.Contains(w.Body.String(), "Bert") {
				t.Errorf("%s?%s: %d %s", r.Path, query, w.Code, w.Body)
			}
		}
	})
}

// FuzzBody sends any body to the routes that change something.
func FuzzBody(f *testing.F) {
	o := office.New(f)
	cookie := o.As(o.People[cordon.RoleOwner])
	for _, r := range api.Routes() {
		f.Add(walked[r.ID])
	}
	f.Add(`{"target":{"net":"::/0","ports":[0,65536],"name":"a..b"},"expires":"9999-12-31T23:59:59Z"}`)
	f.Fuzz(func(t *testing.T, body string) {
		for _, r := range api.Routes() {
			if r.Method == "GET" || r.Method == "DELETE" || r.Upload || r.On == nil {
				continue // what sessions need stays
			}
			path, _ := request(&r, &o.Own)
			req := httptest.NewRequest(r.Method, path, strings.NewReader(body))
			req.Header = http.Header{"Cookie": {cookie}, "If-Match": {"*"}, "Content-Type": {"application/json"}}
			w := httptest.NewRecorder()
			o.Server.Config.Handler.ServeHTTP(w, req)
			if w.Code >= 500 {
				t.Errorf("%s %s %q: %d %s\n%s", r.Method, path, body, w.Code, w.Body, o.Log)
			}
		}
	})
}

var errDown = errors.New("disk on fire")

func must(t testing.TB, err error) {
	t.Helper()
	if err != nil {
		t.Fatal(err)
	}
}
