package home

import (
	"context"
	"errors"
	"fmt"
	"slices"
	"time"

	"cordon"
	"cordon/core/api/desk"
	"cordon/core/api/order"
	"cordon/core/api/view"
	"cordon/core/auth"
)

type devicesInput struct {
	desk.Paging
	desk.Where
	Model string `query:"model" maxLength:"200"`
	State string `query:"state" enum:"watched,limited,blocked,quarantined"`
	Level string `query:"level" enum:"watch,notify,act" doc:"At least."`
	Text  string `query:"text" maxLength:"100" doc:"Beginning of a name, a maker or an address."`
}

// ListDevices is GET /v1/devices.
func ListDevices(ctx context.Context, d *desk.Desk, in *devicesInput) (*desk.List[view.Device], error) {
	q := desk.Query(in.Paging, in.Where, desk.Span{})
	q.Model, q.State, q.Level, q.Text = in.Model, in.State, desk.Level(in.Level), in.Text
	c := desk.CallOf(ctx)
	scope, err := d.Scope(c, q)
	if err != nil {
		return nil, err
	}
	p, err := d.Store.Devices(ctx, scope, q)
	return desk.Page(p, view.OfDevice, func(d *cordon.DeviceRecord) bool { return c.Veils(d.Account, d.Site) }, d.Auth.Veil().Device), err
}

// GetDevice is GET /v1/sites/{site}/devices/{device}.
func GetDevice(ctx context.Context, d *desk.Desk, _ *desk.DevicePath) (*desk.Record[view.Device], error) {
	r := &desk.CallOf(ctx).Device
	return desk.Of(view.OfDevice(r), r.Version), nil
}

type changeDeviceInput struct {
	desk.DevicePath
	desk.Match
	Body struct {
		Name   *string `json:"name,omitempty" maxLength:"100" doc:"Empty: as it calls itself."`
		Room   *string `json:"room,omitempty" maxLength:"100"`
		Class  *string `json:"class,omitempty" enum:"unknown,iot,personal,infrastructure,life-line," doc:"Empty: as the router judges."`
		Policy *string `json:"policy,omitempty" enum:"off,observe,ask,protect," doc:"Empty: the site's."`
	}
}

// ChangeDevice is PATCH /v1/sites/{site}/devices/{device}.
func ChangeDevice(ctx context.Context, d *desk.Desk, in *changeDeviceInput) (*desk.Record[view.Device], error) {
	c, b := desk.CallOf(ctx), &in.Body
	r := c.Device
	if err := errors.Join(in.Check(r.Version, true), desk.Printable("body.name", b.Name), desk.Printable("body.room", b.Room)); err != nil {
		return nil, err
	}
	if b.Policy != nil {
		if err := auth.May(c.Subject, auth.DevicePolicy, c.Object); err != nil {
			return nil, err
		}
	}
	for try := 0; ; try++ {
		in.apply(&r)
		err := d.Store.PutDevice(ctx, &r)
		if err == nil {
			break
		}
		if !errors.Is(err, cordon.ErrConflict) || in.IfMatch != "" || try == tries {
			return nil, err
		}
		if r, err = d.Store.Device(ctx, c.Site.ID, r.Device.ID); err != nil { // a report came in between
			return nil, err
		}
	}
	// A failure in between is mended by asking again: both parts may be done twice.
	if _, err := d.Store.ChangeDesired(ctx, c.Site.ID, d.Change(c, ""), func(to *cordon.Desired) error { return order.Say(to, r.Said) }); err != nil {
		return nil, fmt.Errorf("tell the router about the device: %w", err)
	}
	c.Written = true
	d.Announce(ctx, c.Site.Account, c.Site.ID)
	d.Line.Tell(ctx, cordon.Event{Sort: cordon.EventDevice, Account: c.Site.Account, Site: c.Site.ID, ID: r.Device.ID, At: d.Moment()})
	return desk.Of(view.OfDevice(&r), r.Version), nil
}

// tries is how often a change is tried again that a report came in between of.
const tries = 3

// apply changes what people say about a device.
func (in *changeDeviceInput) apply(r *cordon.DeviceRecord) {
	b := &in.Body
	r.Said.Device = r.Device.ID
	desk.Set(&r.Said.Name, b.Name)
	desk.Set(&r.Room, b.Room)
	if b.Policy != nil {
		r.Said.Policy = cordon.Policy(*b.Policy)
	}
	if b.Class != nil {
		r.Said.Class = desk.Class(*b.Class)
	}
}

// ordered is what became of an order.
type ordered struct {
	Body struct {
		ID       string `json:"id" doc:"To undo it by."`
		Site     string `json:"site"`
		Version  uint64 `json:"version" doc:"Of the desired state that has it."`
		Enforced bool   `json:"enforced" doc:"The router has taken that version. If not, wait for the event desired of the site, or read /v1/sites/{site}/desired until enforced.version is at least version."`
		Online   bool   `json:"online" doc:"The router is connected; else it gets the order when it is back."`
	}
}

// place changes what the site's router should do.
func place(ctx context.Context, d *desk.Desk, id, reason string, change func(*cordon.Desired) error) (*ordered, error) {
	c := desk.CallOf(ctx)
	r, err := d.Store.RouterOfSite(ctx, c.Site.ID)
	if err != nil && !errors.Is(err, cordon.ErrNotFound) {
		return nil, err
	}
	now, err := d.Store.ChangeDesired(ctx, c.Site.ID, d.Change(c, reason), change)
	if err != nil {
		return nil, err
	}
	c.Written = true
	d.Announce(ctx, c.Site.Account, c.Site.ID)
	out := &ordered{}
	out.Body.ID, out.Body.Site, out.Body.Version = id, c.Site.ID, now.Version
	out.Body.Online, out.Body.Enforced = r.Online, r.Enforced >= now.Version && r.ID != ""
	return out, nil
}

// who is who orders, as the customer reads it: of the provider's people no names.
func who(d *desk.Desk, c *desk.Call) string {
	if c.Subject.Staff() {
		return d.Provider
	}
	return c.Subject.Name
}

// restrict adds an order against the device.
func restrict(ctx context.Context, d *desk.Desk, verb cordon.Verb, l desk.Lasting, t cordon.Target, r cordon.Rate) (*ordered, error) {
	c := desk.CallOf(ctx)
	if c.Device.Device.Gateway {
		return nil, desk.Invalid("path.device", "that is the home's own router")
	}
	now := d.Moment()
	o := cordon.Order{ID: c.NewID(d.Now()), Verb: verb, Entity: cordon.Entity{Device: c.Device.Device.ID, Target: t}, Rate: r, Reason: l.Reason,
		By: who(d, c), At: now, Expires: l.Until(now)}
	return place(ctx, d, o.ID, l.Reason, func(d *cordon.Desired) error { return order.Add(d, o) })
}

// lasting is l, or what counts when nothing was sent.
func lasting(l *desk.Lasting) desk.Lasting {
	if l == nil {
		return desk.Lasting{}
	}
	return *l
}

type quarantineInput struct {
	desk.DevicePath
	Body *desk.Lasting
}

// Quarantine is POST /v1/sites/{site}/devices/{device}/quarantine.
func Quarantine(ctx context.Context, d *desk.Desk, in *quarantineInput) (*ordered, error) {
	return restrict(ctx, d, cordon.VerbQuarantine, lasting(in.Body), cordon.Target{}, cordon.Rate{})
}

type blockInput struct {
	desk.DevicePath
	Body struct {
		desk.Lasting
		Target view.Target `json:"target"`
	}
}

// Block is POST /v1/sites/{site}/devices/{device}/block.
func Block(ctx context.Context, d *desk.Desk, in *blockInput) (*ordered, error) {
	return restrict(ctx, d, cordon.VerbBlock, in.Body.Lasting, target(&in.Body.Target), cordon.Rate{})
}

type limitInput struct {
	desk.DevicePath
	Body struct {
		desk.Lasting
		Target view.Target `json:"target" doc:"By peer, net, ports or protocol."`
		Rate   view.Rate   `json:"rate"`
	}
}

// Limit is POST /v1/sites/{site}/devices/{device}/limit.
func Limit(ctx context.Context, d *desk.Desk, in *limitInput) (*ordered, error) {
	return restrict(ctx, d, cordon.VerbLimit, in.Body.Lasting, target(&in.Body.Target), cordon.Rate(in.Body.Rate))
}

// target returns what t means.
func target(t *view.Target) cordon.Target {
	ports := slices.Compact(slices.Sorted(slices.Values(t.Ports)))
	return cordon.Target{Proto: t.Protocol, Ports: ports, LocalPort: t.LocalPort, Peer: t.Peer, Net: t.Net, Name: t.Name}
}

// Allow is POST /v1/sites/{site}/devices/{device}/allow.
func Allow(ctx context.Context, d *desk.Desk, in *blockInput) (*ordered, error) {
	c, now := desk.CallOf(ctx), d.Moment()
	p := cordon.Permission{ID: c.NewID(d.Now()), Device: c.Device.Device.ID, Target: target(&in.Body.Target), Reason: in.Body.Reason,
		By: who(d, c), At: now, Expires: in.Body.Until(now)}
	return place(ctx, d, p.ID, p.Reason, func(d *cordon.Desired) error { return order.Allow(d, p) })
}

// Release is POST /v1/sites/{site}/devices/{device}/release.
func Release(ctx context.Context, d *desk.Desk, in *quarantineInput) (*ordered, error) {
	c, now, l := desk.CallOf(ctx), d.Moment(), lasting(in.Body)
	r := cordon.Release{Device: c.Device.Device.ID, By: who(d, c), At: now, Expires: l.Until(now)}
	return place(ctx, d, c.Device.Device.ID, l.Reason, func(d *cordon.Desired) error { return order.ReleaseDevice(d, r) })
}

type undoInput struct {
	desk.DevicePath
	Action string `path:"action" maxLength:"100" doc:"Id of an order, a permission, or an action of the router's."`
	Body   *desk.Lasting
}

// Undo is POST /v1/sites/{site}/devices/{device}/undo/{action}.
func Undo(ctx context.Context, d *desk.Desk, in *undoInput) (*ordered, error) {
	c, now, l := desk.CallOf(ctx), d.Moment(), lasting(in.Body)
	c.What = "action " + in.Action + " of device " + c.Device.Device.ID
	r := cordon.Release{Action: in.Action, Device: c.Device.Device.ID, By: who(d, c), At: now, Expires: l.Until(now)}
	return place(ctx, d, in.Action, l.Reason, func(d *cordon.Desired) error { return order.Undo(d, r) })
}

type incidentsInput struct {
	desk.Paging
	desk.Where
	desk.Span
	Device string `query:"device" maxLength:"64"`
	Kind   string `query:"kind" maxLength:"64" doc:"A kind, or a pattern: scan.*"`
	Level  string `query:"level" enum:"watch,notify,act" doc:"At least."`
	State  string `query:"state" enum:"open,over"`
}

// ListIncidents is GET /v1/incidents.
func ListIncidents(ctx context.Context, d *desk.Desk, in *incidentsInput) (*desk.List[view.Incident], error) {
	q := desk.Query(in.Paging, in.Where, in.Span)
	q.Device, q.Kind, q.Level, q.State = in.Device, cordon.Kind(in.Kind), desk.Level(in.Level), in.State
	c := desk.CallOf(ctx)
	scope, err := d.Scope(c, q)
	if err != nil {
		return nil, err
	}
	p, err := d.Store.Incidents(ctx, scope, q)
	return desk.Page(p, view.OfIncident, func(i *cordon.IncidentRecord) bool { return c.Veils(i.Account, i.Site) }, d.Auth.Veil().Incident), err
}

// IncidentPath is the path of an incident.
type IncidentPath struct {
	desk.SitePath
	Incident string `path:"incident" maxLength:"100"`
}

// maxDetails bounds the detections and actions that stand with an incident.
const maxDetails = 100

// GetIncident is GET /v1/sites/{site}/incidents/{incident}.
func GetIncident(ctx context.Context, d *desk.Desk, in *IncidentPath) (*desk.Record[view.IncidentStory], error) {
	c := desk.CallOf(ctx)
	i, err := d.Store.Incident(ctx, c.Site.ID, in.Incident)
	if err != nil {
		return nil, err
	}
	own := cordon.Scope{Sites: []string{c.Site.ID}}
	var detections cordon.Page[cordon.DetectionRecord]
	var actions cordon.Page[cordon.ActionRecord]
	if i.Incident.Device != nil {
		q := cordon.Query{Site: c.Site.ID, Device: i.Incident.Device.ID, Since: i.Incident.Opened, Limit: maxDetails}
		if i.Over {
			q.Until = i.Incident.Last.Add(time.Hour) // what was filed a little later belongs to it, too
		}
		if detections, err = d.Store.Detections(ctx, own, q); err != nil {
			return nil, err
		}
		if actions, err = d.Store.Actions(ctx, own, q); err != nil {
			return nil, err
		}
	}
	if c.Veiled {
		v := d.Auth.Veil()
		v.Incident(&i)
		for n := range detections.Items {
			v.Detection(&detections.Items[n])
		}
		for n := range actions.Items {
			v.Action(&actions.Items[n])
		}
	}
	return desk.Of(view.OfStory(&i, detections.Items, actions.Items), i.Version), nil
}

type closeInput struct {
	IncidentPath
	desk.Match
	Body struct {
		Closing string `json:"closing" enum:"mended,false-alarm,expected" doc:"The customer did something; nothing was wrong; this was me."`
		Note    string `json:"note,omitempty" maxLength:"1000"`
	}
}

// CloseIncident is POST /v1/sites/{site}/incidents/{incident}/close.
func CloseIncident(ctx context.Context, d *desk.Desk, in *closeInput) (*desk.Record[view.Incident], error) {
	c := desk.CallOf(ctx)
	for try := 0; ; try++ {
		i, err := d.Store.Incident(ctx, c.Site.ID, in.Incident)
		if err != nil {
			return nil, err
		}
		if err := in.Check(i.Version, true); err != nil {
			return nil, err
		}
		err = d.Store.CloseIncident(ctx, c.Site.ID, in.Incident, cordon.Closing(in.Body.Closing), who(d, c), in.Body.Note, i.Version)
		if err == nil {
			break
		}
		if !errors.Is(err, cordon.ErrConflict) || try == tries { // a report came in between
			return nil, err
		}
	}
	i, err := d.Store.Incident(ctx, c.Site.ID, in.Incident)
	if err != nil {
		return nil, err
	}
	d.Line.Tell(ctx, cordon.Event{Sort: cordon.EventIncident, Account: c.Site.Account, Site: c.Site.ID, ID: i.Incident.ID, Level: i.Incident.Level, At: d.Moment()})
	return desk.Of(view.OfIncident(&i), i.Version), nil
}

type detectionsInput struct {
	desk.Paging
	desk.Where
	desk.Span
	Device string `query:"device" maxLength:"64"`
	Kind   string `query:"kind" maxLength:"64" doc:"A kind, or a pattern: scan.*"`
	Level  string `query:"level" enum:"watch,notify,act" doc:"At least."`
}

// ListDetections is GET /v1/detections.
func ListDetections(ctx context.Context, d *desk.Desk, in *detectionsInput) (*desk.List[view.Detection], error) {
	q := desk.Query(in.Paging, in.Where, in.Span)
	q.Device, q.Kind, q.Level = in.Device, cordon.Kind(in.Kind), desk.Level(in.Level)
	c := desk.CallOf(ctx)
	scope, err := d.Scope(c, q)
	if err != nil {
		return nil, err
	}
	p, err := d.Store.Detections(ctx, scope, q)
	return desk.Page(p, view.OfDetection, func(d *cordon.DetectionRecord) bool { return c.Veils(d.Account, d.Site) }, d.Auth.Veil().Detection), err
}

type detectionPath struct {
	desk.SitePath
	Detection string `path:"detection" maxLength:"100"`
}

// GetDetection is GET /v1/sites/{site}/detections/{detection}.
func GetDetection(ctx context.Context, d *desk.Desk, in *detectionPath) (*desk.Record[view.Detection], error) {
	c := desk.CallOf(ctx)
	r, err := d.Store.Detection(ctx, c.Site.ID, in.Detection)
	if err != nil {
		return nil, err
	}
	if c.Veiled {
		d.Auth.Veil().Detection(&r)
	}
	return desk.Of(view.OfDetection(&r), 0), nil
}

type actionsInput struct {
	desk.Paging
	desk.Where
	desk.Span
	Device string `query:"device" maxLength:"64"`
	Verb   string `query:"verb" enum:"notify,limit,block,quarantine,release"`
}

// ListActions is GET /v1/actions.
func ListActions(ctx context.Context, d *desk.Desk, in *actionsInput) (*desk.List[view.Action], error) {
	q := desk.Query(in.Paging, in.Where, in.Span)
	q.Device, q.Verb = in.Device, in.Verb
	c := desk.CallOf(ctx)
	scope, err := d.Scope(c, q)
	if err != nil {
		return nil, err
	}
	p, err := d.Store.Actions(ctx, scope, q)
	return desk.Page(p, view.OfAction, func(a *cordon.ActionRecord) bool { return c.Veils(a.Account, a.Site) }, d.Auth.Veil().Action), err
}
