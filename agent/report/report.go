// Package report turns what happens on a router into what its provider is told.
//
// The pipeline's findings come in as they happen; reports go out, as few as say it:
// an incident that changes with every packet is told again after half a second, then
// ever less often; a device when it is new or another than it was; how the agent is
// every few minutes. What is acted upon is told at once. No report holds payload, a
// credential, or where a person's device went (see Domains).
//
// A Reporter is an agent.Sink and is owned by the pipeline's goroutine.
package report

import (
	"errors"
	"hash/maphash"
	"net/netip"
	"slices"
	"time"

	"cordon"
)

// How often things are told.
const (
	// incidentFirst is how long changes of an incident are gathered before they are
	// told; the time doubles to incidentMost while nothing but more of the same comes.
	incidentFirst = 500 * time.Millisecond
	incidentMost  = time.Minute
	// deviceAfter is how long a new device has to say who it is, deviceGap the least
	// time between two reports of one, deviceAgain how often one that is there is told
	// again, so that core knows it is.
	deviceEvery = 5 * time.Second
	deviceAfter = 3 * time.Second
	deviceGap   = time.Minute
	deviceAgain = 6 * time.Hour
	// maxDevices is how many device reports a scan makes at most: a device can invent
	// neighbours faster than anybody needs to know.
	maxDevices = 32

	actionsEvery  = time.Second
	healthEvery   = 5 * time.Minute
	healthPeek    = 5 * time.Second // how often it is looked for a change
	enforcedEvery = 15 * time.Minute
	failedAgain   = time.Hour
)

// maxFailed bounds what is remembered of actions that could not be begun.
const maxFailed = 256

// Home is what a Reporter looks at. Times in the returned values are the pipeline's,
// which Wall converts.
type Home interface {
	Devices() []*cordon.Device
	Incidents() []*cordon.Incident // open
	InForce() []cordon.Action
	Wall(cordon.Time) cordon.Time
	WallDevice(*cordon.Device) *cordon.Device // a copy
	WallIncident(*cordon.Incident) *cordon.Incident
	Health() *cordon.Health
	// Enforced says what is done of what is desired, without InForce; nil: nobody
	// desired anything yet.
	Enforced() *cordon.Enforced
	// By says who ordered an action, empty: the agent.
	By(id string) string
}

// Config configures a Reporter. Home and Send are required.
type Config struct {
	Home Home
	// Send takes a report without an ID. Urgent ones are to be sent at once.
	Send func(r cordon.Report, urgent bool)
}

// Reporter makes reports.
type Reporter struct {
	cfg       Config
	seed      maphash.Seed
	devices   map[string]*device
	incidents map[string]*pending            // by incident ID
	dirty     map[string]bool                // devices whose incident changed
	urgent    map[string]bool                // of them, those to be told at once
	actions   map[string]cordon.ActionReport // told as begun
	failed    map[string]cordon.Time
	Domains   *Domains

	next     cordon.Time // when Tick has something to do
	scanned  cordon.Time
	looked   cordon.Time
	health   cordon.Time
	peeked   cordon.Time // at what health says
	mode     uint64      // digest of what health said
	enforced cordon.Time
	force    uint64 // digest of what Enforced said
	changed  bool   // what is in force, or desired, may have changed
}

// device is what was told of a device.
type device struct {
	said uint64 // digest
	at   cordon.Time
	seen cordon.Time // Device.LastSeen
}

// pending is an incident that was told.
type pending struct {
	level cordon.Level
	due   cordon.Time // 0: nothing to tell
	gap   time.Duration
	at    cordon.Time
}

// New returns a Reporter that has told nothing yet.
func New(cfg Config) (*Reporter, error) {
	if cfg.Home == nil || cfg.Send == nil {
		return nil, errors.New("report: Home and Send are required")
	}
	r := &Reporter{cfg: cfg, seed: maphash.MakeSeed(), devices: make(map[string]*device), incidents: make(map[string]*pending),
		dirty: make(map[string]bool), urgent: make(map[string]bool), actions: make(map[string]cordon.ActionReport),
		failed: make(map[string]cordon.Time)}
	r.Domains = newDomains(cfg.Send)
	return r, nil
}

// Detection tells of a detection that somebody should know of. Its incident is told
// by the next Tick, with what followed.
func (r *Reporter) Detection(d *cordon.Detection) {
	r.touch(d.Device.ID, d.Level == cordon.Act)
	if d.Level >= cordon.Notify {
		r.cfg.Send(cordon.Report{Detection: d}, d.Level == cordon.Act)
	}
}

// Shadowed tells of a detection of which nothing followed, because a shadow lay on
// it. Its level is what it would have been. It is in no incident.
func (r *Reporter) Shadowed(d *cordon.Detection) {
	if d.Level >= cordon.Notify {
		r.cfg.Send(cordon.Report{Detection: d, Shadowed: true}, d.Level == cordon.Act)
	}
}

// Action tells of an action that began.
func (r *Reporter) Action(a *cordon.Action) {
	urgent := a.Mode == cordon.ModeDo && a.Verb != cordon.VerbNotify
	r.touch(a.Entity.Device, urgent)
	told := cordon.ActionReport{Action: *a, By: r.cfg.Home.By(a.ID), Result: cordon.ResultDone}
	r.actions[a.ID] = told
	r.changed = true
	delete(r.failed, a.ID)
	r.cfg.Send(cordon.Report{Action: &told}, urgent)
}

// Failed tells that an action could not be begun, once an hour for each. Times of a
// are wall times.
func (r *Reporter) Failed(a *cordon.Action, err error) {
	if at, told := r.failed[a.ID]; told && a.At.Sub(at) < failedAgain {
		return
	}
	if len(r.failed) >= maxFailed {
		clear(r.failed)
	}
	r.failed[a.ID] = a.At
	result := cordon.ResultFailed
	if errors.Is(err, cordon.ErrUnknown) {
		result = cordon.ResultUnsure
	}
	r.cfg.Send(cordon.Report{Action: &cordon.ActionReport{Action: *a, By: r.cfg.Home.By(a.ID), Result: result, Error: err.Error()}}, true)
}

// Refused tells that an order was refused, once for each.
func (r *Reporter) Refused(a *cordon.Action, by, why string) {
	if _, told := r.failed[a.ID]; told {
		return
	}
	if len(r.failed) >= maxFailed {
		clear(r.failed)
	}
	r.failed[a.ID] = a.At
	r.cfg.Send(cordon.Report{Action: &cordon.ActionReport{Action: *a, By: by, Result: cordon.ResultRefused, Error: why}}, true)
}

// Incident tells of an incident that is over.
func (r *Reporter) Incident(i *cordon.Incident) {
	delete(r.incidents, i.ID)
	r.cfg.Send(cordon.Report{Incident: i, Over: true}, false)
}

// Device does nothing: a device that left the table is told when it comes again.
func (r *Reporter) Device(*cordon.Device) {}

// Changed says that what is desired or refused changed, so that core is told at once.
func (r *Reporter) Changed() { r.changed = true }

// touch says that the incident of a device changed.
func (r *Reporter) touch(device string, urgent bool) {
	r.dirty[device] = true
	if urgent {
		r.urgent[device] = true
	}
}

// Tick tells what its time has come for. It is cheap when that is nothing, so it can
// be called after every packet.
func (r *Reporter) Tick(now cordon.Time) {
	if len(r.dirty) > 0 {
		r.mark(now)
	}
	if now < r.next && !r.changed {
		return
	}
	if now < r.scanned { // the pipeline's time never runs back; another one was put in
		r.scanned, r.looked, r.health, r.peeked, r.enforced = 0, 0, 0, 0, 0
	}
	r.next = now.Add(actionsEvery)
	r.tellIncidents(now)
	if r.changed || now.Sub(r.looked) >= actionsEvery {
		r.looked = now
		r.tellActions()
		r.tellEnforced(now)
		r.changed = false
	}
	if now.Sub(r.scanned) >= deviceEvery {
		r.scanned = now
		r.tellDevices(now)
	}
	r.tellHealth(now)
	r.Domains.roll(r.cfg.Home.Wall(now))
}

// mark finds the incidents that changed and says when they are to be told.
func (r *Reporter) mark(now cordon.Time) {
	for _, i := range r.cfg.Home.Incidents() {
		if !r.dirty[i.Device.ID] {
			continue
		}
		p := r.incidents[i.ID]
		if p == nil {
			p = &pending{gap: incidentFirst}
			r.incidents[i.ID] = p
		}
		due := max(now.Add(incidentFirst), p.at.Add(p.gap))
		if i.Level > p.level || r.urgent[i.Device.ID] {
			p.gap = incidentFirst
			due = now.Add(incidentFirst)
		}
		if i.Level > p.level && i.Level == cordon.Act || r.urgent[i.Device.ID] {
			due = now
		}
		if p.due == 0 || due < p.due {
			p.due = due
		}
		r.next = min(r.next, p.due)
	}
	clear(r.dirty)
	clear(r.urgent)
}

// tellIncidents tells those whose time has come.
func (r *Reporter) tellIncidents(now cordon.Time) {
	if len(r.incidents) == 0 {
		return
	}
	open := make(map[string]bool)
	for _, i := range r.cfg.Home.Incidents() {
		open[i.ID] = true
		p := r.incidents[i.ID]
		switch {
		case p == nil || p.due == 0:
			continue
		case p.due > now:
			r.next = min(r.next, p.due)
			continue
		}
		urgent := i.Level > p.level && i.Level == cordon.Act
		p.level, p.due, p.at = i.Level, 0, now
		p.gap = min(2*p.gap, incidentMost)
		r.cfg.Send(cordon.Report{Incident: r.cfg.Home.WallIncident(i)}, urgent)
	}
	for id := range r.incidents {
		if !open[id] {
			delete(r.incidents, id)
		}
	}
}

// tellActions tells of actions that are over.
func (r *Reporter) tellActions() {
	if len(r.actions) == 0 {
		return
	}
	inForce := make(map[string]bool)
	for _, a := range r.cfg.Home.InForce() {
		inForce[a.ID] = true
	}
	for id, a := range r.actions {
		if inForce[id] {
			continue
		}
		delete(r.actions, id)
		a.Result = cordon.ResultEnded
		r.cfg.Send(cordon.Report{Action: &a}, a.Action.Verb != cordon.VerbNotify)
	}
}

// Restored says that an action of before a restart is in force again: its end is
// told.
func (r *Reporter) Restored(a *cordon.Action, by string) {
	r.actions[a.ID] = cordon.ActionReport{Action: *a, By: by}
}

// tellDevices tells of devices that are new or changed.
func (r *Reporter) tellDevices(now cordon.Time) {
	told, there := 0, make(map[string]bool)
	for _, d := range r.cfg.Home.Devices() {
		there[d.ID] = true
		if d.Gateway || now.Sub(d.FirstSeen) < deviceAfter || told == maxDevices {
			continue
		}
		said, known := r.digest(d), r.devices[d.ID]
		switch {
		case known == nil:
			known = &device{}
			r.devices[d.ID] = known
		case known.said != said && now.Sub(known.at) >= deviceGap:
		case now.Sub(known.at) >= deviceAgain && d.LastSeen != known.seen:
		default:
			continue
		}
		told++
		*known = device{said: said, at: now, seen: d.LastSeen}
		r.cfg.Send(cordon.Report{Device: r.cfg.Home.WallDevice(d)}, false)
	}
	for id := range r.devices {
		if !there[id] {
			delete(r.devices, id)
		}
	}
}

// digest is a hash of what core should know of a device.
func (r *Reporter) digest(d *cordon.Device) uint64 {
	var h maphash.Hash
	h.SetSeed(r.seed)
	for _, s := range []string{d.Name, d.Maker, d.Model, d.Class.String()} {
		h.WriteString(s)
		h.WriteByte(0)
	}
	maphash.WriteComparable(&h, d.Relay)
	addrs := slices.Clone(d.Addrs)
	slices.SortFunc(addrs, func(a, b netip.Addr) int { return a.Compare(b) })
	for _, a := range addrs {
		maphash.WriteComparable(&h, a)
	}
	for _, s := range d.Reasons {
		h.WriteString(s)
		h.WriteByte(0)
	}
	return h.Sum64()
}

// tellHealth tells how the agent is, at once when something that matters changed.
func (r *Reporter) tellHealth(now cordon.Time) {
	if r.health != 0 && now.Sub(r.peeked) < healthPeek {
		return
	}
	r.peeked = now
	health := r.cfg.Home.Health()
	mode := r.digestHealth(health)
	if r.health != 0 && now.Sub(r.health) < healthEvery && mode == r.mode {
		return
	}
	r.health, r.mode = now, mode
	r.cfg.Send(cordon.Report{Health: health}, false)
}

func (r *Reporter) digestHealth(v *cordon.Health) uint64 {
	var h maphash.Hash
	h.SetSeed(r.seed)
	for _, s := range []string{v.Mode, v.Why, string(v.Policy), v.Eyes} {
		h.WriteString(s)
		h.WriteByte(0)
	}
	maphash.WriteComparable(&h, v.Clock)
	for _, p := range v.Parts {
		h.WriteString(p.Name + "\x00" + p.State + "\x00")
	}
	for _, s := range v.Lacks {
		h.WriteString(s.Name + "\x00")
	}
	return h.Sum64()
}

// tellEnforced tells what is in force of what is desired, at once when that changed.
func (r *Reporter) tellEnforced(now cordon.Time) {
	e := r.cfg.Home.Enforced()
	if e == nil {
		return
	}
	var h maphash.Hash
	h.SetSeed(r.seed)
	maphash.WriteComparable(&h, [2]uint64{e.Version, e.Shared})
	for _, a := range r.cfg.Home.InForce() {
		if a.Mode != cordon.ModeDo || a.Verb == cordon.VerbNotify {
			continue
		}
		h.WriteString(a.ID)
		if len(e.InForce) < cordon.MaxInForce {
			a.At, a.Expires = r.cfg.Home.Wall(a.At), r.cfg.Home.Wall(a.Expires)
			e.InForce = append(e.InForce, a)
		}
	}
	for _, f := range e.Refused {
		h.WriteString(f.What + "\x00" + f.Why + "\x00")
	}
	force := h.Sum64()
	if r.enforced != 0 && force == r.force && now.Sub(r.enforced) < enforcedEvery {
		return
	}
	urgent := r.enforced != 0 && force != r.force
	r.enforced, r.force = now, force
	r.cfg.Send(cordon.Report{Enforced: e}, urgent)
}
