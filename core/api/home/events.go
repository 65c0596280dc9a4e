package home

import (
	"context"
	"encoding/json"
	"fmt"
	"net/http"
	"slices"
	"time"

	"cordon"
	"cordon/core/api/desk"
	"cordon/core/api/live"
	"cordon/core/api/view"
	"cordon/core/auth"
	"cordon/internal/ident"

	"github.com/danielgtaylor/huma/v2"
	"github.com/danielgtaylor/huma/v2/adapters/humago"
)

type eventsInput struct {
	Account string   `query:"account" maxLength:"64"`
	Site    string   `query:"site" maxLength:"64"`
	Sort    []string `query:"sort" maxItems:"10" enum:"device,incident,detection,action,router,desired,shadow" doc:"Not there: all."`
	Level   string   `query:"level" enum:"watch,notify,act" doc:"Incidents and detections from this level."`
	LastID  string   `header:"Last-Event-ID" maxLength:"100" doc:"Nothing is sent again: the event resync says to read what is shown."`
}

// stream is an answer that goes on.
type stream struct {
	Type      string `header:"Content-Type"`
	Buffering string `header:"X-Accel-Buffering"`
	Body      func(huma.Context)
}

const (
	// recheck is how often a stream looks whether its reader may still see it: whose
	// session has ended, who is disabled or loses a role gets nothing after it. Where that
	// happens by this instance of core, the streams end at once (live.Hub.EndOf).
	recheck = time.Minute
	// streamLife is the longest that one stream lasts; browsers come again by
	// themselves.
	streamLife = 6 * time.Hour
	// eventWithin is how long one write may take before the reader is cut.
	eventWithin = 10 * time.Second
)

// Events tells what changes. A stream begins with hello, or with resync if the reader
// was here before: what happened meanwhile is in the records, not in the stream.
func Events(ctx context.Context, d *desk.Desk, in *eventsInput) (*stream, error) {
	c := desk.CallOf(ctx)
	scope, err := d.Scope(c, cordon.Query{Account: in.Account, Site: in.Site})
	if err != nil {
		return nil, err
	}
	o := auth.Object{Account: in.Account, Site: in.Site}
	why, err := c.Why(in.Site)
	if err == nil && why != "" && c.Subject.Staff() && !c.Veiled {
		err = d.Looked(c, o, why)
	}
	if err != nil {
		return nil, err
	}
	least := desk.Level(in.Level)
	st, err := d.Events.Open(c.Subject.User, scope, func(e *cordon.Event) bool {
		return (in.Account == "" || e.Account == in.Account) && (in.Site == "" || e.Site == in.Site) &&
			(len(in.Sort) == 0 || slices.Contains(in.Sort, string(e.Sort))) &&
			(e.Sort != cordon.EventIncident && e.Sort != cordon.EventDetection || e.Level >= least)
	})
	if err != nil {
		return nil, err
	}
	return &stream{"text/event-stream", "no", func(hc huma.Context) {
		defer d.Events.Close(st)
		_, w := humago.Unwrap(hc)
		pump(ctx, d, c, w, st, in.LastID != "")
	}}, nil
}

// pump writes a stream until its reader goes, is too slow, or may not see it any more.
func pump(ctx context.Context, d *desk.Desk, c *desk.Call, w http.ResponseWriter, st *live.Stream, before bool) {
	ctx, cancel := context.WithTimeout(ctx, streamLife)
	defer cancel()
	rc := http.NewResponseController(w)
	send := func(format string, args ...any) bool {
		rc.SetWriteDeadline(time.Now().Add(eventWithin)) // of the connection, not of the records
		_, err := fmt.Fprintf(w, format, args...)
		return err == nil && rc.Flush() == nil
	}
	// Who of the provider's people does not say why learns of no device by its address.
	veiled := func(e *cordon.Event) bool {
		why, _ := c.Why(e.Site)
		return c.Subject.Staff() && why == "" || c.Veils(e.Account, e.Site)
	}
	first := "hello"
	if before {
		first = "resync"
	}
	w.WriteHeader(http.StatusOK)
	if !send("retry: 3000\nid: %s\nevent: %s\ndata: {}\n\n", ident.New(d.Now()), first) {
		return
	}
	beat, check := time.NewTicker(d.Heartbeat), time.NewTicker(recheck)
	defer beat.Stop()
	defer check.Stop()
	for {
		select {
		case <-ctx.Done():
			return
		case <-beat.C:
			if !send(": beat\n\n") {
				return
			}
		case <-check.C:
			if !still(ctx, d, c) {
				return
			}
		case e, open := <-st.C:
			if !open { // too slow, or it is somebody else now: it comes again, and reads the records
				send("event: resync\ndata: {}\n\n")
				return
			}
			if veiled(&e) {
				d.Auth.Veil().Event(&e)
			}
			data, err := json.Marshal(view.OfEvent(&e))
			if err != nil || !send("id: %s\nevent: %s\ndata: %s\n\n", ident.New(d.Now()), e.Sort, data) {
				return
			}
		}
	}
}

// still reports whether the reader of a stream is still who it was, and may see as
// much. If anything changed the stream ends, and the reader comes again.
func still(ctx context.Context, d *desk.Desk, c *desk.Call) bool {
	now, err := d.Auth.Again(c.Request.WithContext(ctx))
	return err == nil && now.User == c.Subject.User && slices.Equal(now.Grants, c.Subject.Grants) &&
		slices.EqualFunc(now.Cases, c.Subject.Cases, func(a, b auth.Case) bool { return a.Site == b.Site })
}
