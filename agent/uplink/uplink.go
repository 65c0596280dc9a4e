// Package uplink is the router's line to its provider's core: reports up, directives
// down.
//
// Reports come in from the pipeline at any time and wait, in memory and on flash,
// until core has acknowledged them (queue). The first time, the router proves to core
// who it is and gets a credential (enrolment); then it holds one connection to core's
// bus and sends what waits (session). What core says is checked by its signature, its
// number and its receiver, and handed to the agent, which may refuse it. A ledger
// lists what was sent. Core may be away for days; nothing here ever makes the agent
// wait.
package uplink

import (
	"context"
	"crypto/ed25519"
	"crypto/x509"
	"errors"
	"fmt"
	"log/slog"
	"math/rand/v2"
	"net/netip"
	"net/url"
	"path/filepath"
	"sync"
	"sync/atomic"
	"time"

	"github.com/nats-io/nats.go"

	"cordon"
	"cordon/internal/spool"
)

// Agent is who does what core wants. Its methods are called one at a time by Run, but
// for Answer.
type Agent interface {
	// Desired is told what is desired of the site from now on, at each start again; nil:
	// as it is. unknown names what core said besides and this agent does not know.
	Desired(ctx context.Context, d *cordon.Desired, unknown []string) error
	// Shared is told what core says to all routers, with its number. about says that it
	// is about the shadows, else they stay as they are.
	Shared(ctx context.Context, number uint64, shadows []cordon.Shadow, about bool, unknown []string) error
	// Answer answers a live question as JSON.
	Answer(ctx context.Context, what, device string) ([]byte, error)
}

// Config configures an Uplink. URL, Roots, Serial and one of Secret and Key are
// required.
type Config struct {
	Dir    string         // of what survives; empty: nothing does
	URL    string         // of core: https://host[:port]
	Roots  *x509.CertPool // who may sign core's certificates
	Serial string         // as the provider's list has it
	Secret string         // of the claim
	Key    ed25519.PrivateKey
	Model  string // of the router, empty: unknown
	Agent  string // version of the agent

	Start uint32 // counts the starts of the agent in this Dir
	Fresh bool   // Start may have been given before: what counted it was lost

	Queue  int64         // bytes of the queue on flash; 0: DefaultQueue
	Spread time.Duration // see DefaultSpread, which it is if 0

	// Claim takes bytes from the budget of what may be written to flash, and reports
	// whether they may be; nil: all may.
	Claim func(bytes int) bool
	// Now returns the wall time and whether it is right; nil: time.Now is.
	Now func() (time.Time, bool)
	// Floor is a moment that is over for sure: a certificate is not refused because a
	// router believes to be in 1970.
	Floor time.Time
	// Learned, if set, is told core's time when the own clock is not set.
	Learned func(time.Time)
	// Reached, if set, is told with which address of core a connection stands.
	Reached func(netip.Addr)
	Log     *slog.Logger
}

// Uplink is a line to core. Its methods are safe for concurrent use.
type Uplink struct {
	cfg    Config
	log    *slog.Logger
	agent  Agent
	queue  *spool.Queue
	ledger *ledger
	host   string
	begun  time.Time

	seq     atomic.Uint64
	wake    chan struct{}                 // something is to be sent
	hurry   chan struct{}                 // it is urgent
	shift   atomic.Pointer[time.Duration] // by how much the times of reports with a doubt were wrong; nil: unknown
	learned atomic.Int64                  // core's clock less time since begun, Unix nanoseconds; 0: unknown
	conn    atomic.Pointer[nats.Conn]     // that stands; nil: none

	id      *identity // owned by Run
	refused bool      // core refused the credential; owned by Run
	notes   directives
	told    numbers // what the agent was told in this run; owned by Run

	mu     sync.Mutex
	status Status
}

// Status says how the line is.
type Status struct {
	State   State
	Why     string      // one sentence, for a person; empty if all is well
	Mend    string      // what to do about it, one sentence
	URL     string      // of core
	Router  string      // as core calls it, empty before enrolment
	Boot    uint32      // number of this start in the ids of reports, 0 before enrolment
	Since   cordon.Time // of State
	Acked   cordon.Time // when core last acknowledged something, 0: never since the start
	Renew   cordon.Time // when the credential is renewed, 0: none
	Desired uint64      // number of what is desired and was told to the agent
	Shared  uint64      // number of what was told to all

	Waiting int    // reports that are not acknowledged
	OnFlash int64  // bytes of them
	Lost    uint64 // reports that had to go
	Sent    uint64 // reports that were acknowledged
	Refused uint64 // directives that were not what core says, or for another
	Flash   string // why the queue cannot be written, empty if it can
}

// State is how far the line is.
type State string

// The states.
const (
	StateEnrolling State = "enrolling" // not let in yet
	StateAway      State = "away"      // core cannot be reached, or cannot be believed
	StateConnected State = "connected"
)

// maxAbout is how much a router says about itself, in bytes of each text; core takes
// no more.
const maxAbout = 64

// New opens what survived. It is inert until Run; Report may be called before.
func New(cfg Config) (*Uplink, error) {
	u, err := url.Parse(cfg.URL)
	switch {
	case err != nil || u.Hostname() == "":
		return nil, fmt.Errorf("uplink: no URL of core %q", cfg.URL)
	case cfg.Roots == nil || cfg.Serial == "" || cfg.Secret == "" && cfg.Key == nil:
		return nil, errors.New("uplink: Roots, Serial and Secret or Key are required")
	}
	cfg.Model, cfg.Agent = cutText(cfg.Model, maxAbout), cutText(cfg.Agent, maxAbout)
	if cfg.Queue == 0 {
		cfg.Queue = DefaultQueue
	}
	if cfg.Spread == 0 {
		cfg.Spread = DefaultSpread
	}
	if cfg.Now == nil {
		cfg.Now = func() (time.Time, bool) { return time.Now(), true }
	}
	if cfg.Log == nil {
		cfg.Log = slog.New(slog.DiscardHandler)
	}
	l := &Uplink{cfg: cfg, log: cfg.Log, host: u.Hostname(), begun: time.Now(), wake: make(chan struct{}, 1), hurry: make(chan struct{}, 1)}
	since := func() time.Duration { return time.Since(l.begun) }
	files := ""
	if cfg.Dir != "" {
		files = filepath.Join(cfg.Dir, "queue")
	}
	l.queue, err = spool.Open(spool.Config{Dir: files, Most: cfg.Queue, Claim: cfg.Claim, Uptime: since, Log: cfg.Log})
	if err != nil {
		cfg.Log.Error("reports of before cannot be read", "err", err)
	}
	l.ledger = openLedger(cfg.Dir, cfg.Claim, since)
	if cfg.Fresh {
		// The number of the start may come again, so the sequence does not: it begins
		// where no other did, within what SQL's integers hold.
		l.seq.Store(1<<40 + rand.Uint64N(1<<61))
	}
	l.status = Status{State: StateEnrolling, URL: cfg.URL}
	return l, nil
}

// Attach names the agent. It is called before Run.
func (l *Uplink) Attach(a Agent) { l.agent = a }

// Report takes a report without an ID, to be sent soon, or at once if it is urgent.
func (l *Uplink) Report(r cordon.Report, urgent bool) {
	it := &spool.Item{Number: spool.Number{Start: l.cfg.Start, Seq: l.seq.Add(1)}, Urgent: urgent}
	it.Rank, it.Key = rankOf(&r)
	r.ID = cordon.ReportID{Boot: it.Start, Seq: it.Seq}
	body, err := encode(&r)
	if err != nil {
		l.log.Error("report not written", "err", err)
		return
	}
	it.Body = body
	l.queue.Add(it)
	signal(l.wake)
	if urgent {
		signal(l.hurry)
	}
}

// signal puts a token into a channel that holds one.
func signal(c chan struct{}) {
	select {
	case c <- struct{}{}:
	default:
	}
}

// The ranks of reports: summaries go first when there is no room, detections last.
const (
	rankSummary   spool.Rank = iota
	rankDevice               // a device that is new or changed
	rankIncident             // incidents and actions: spool.Hurried
	rankDetection            // with the evidence
)

// DefaultQueue is how much of flash the queue takes at most, in bytes.
const DefaultQueue = 4 << 20

// rankOf returns what a report is worth when there is no room, and for those of which
// only the newest counts, of what.
func rankOf(r *cordon.Report) (spool.Rank, string) {
	switch {
	case r.Detection != nil:
		return rankDetection, ""
	case r.Incident != nil, r.Action != nil:
		return rankIncident, ""
	case r.Device != nil:
		return rankDevice, ""
	case r.Summary != nil:
		return rankSummary, ""
	case r.Enforced != nil:
		return spool.Newest, "enforced"
	}
	return spool.Newest, "health"
}

// Corrected says that the clock was set, and by how much the times of what was
// reported with a doubt in this run are wrong.
func (l *Uplink) Corrected(by time.Duration) {
	l.shift.Store(&by)
}

// Status says how the line is.
func (l *Uplink) Status() Status {
	l.mu.Lock()
	s := l.status
	l.mu.Unlock()
	q := l.queue.Stats()
	s.Waiting, s.OnFlash, s.Lost, s.Flash = q.Waiting, q.OnFlash, q.Lost, q.Broken
	if q.Deferred {
		s.Flash = "it waits: today's budget of writing is used up"
	}
	return s
}

// Ping asks core's bus whether the connection works, and waits for the answer until ctx
// is done.
func (l *Uplink) Ping(ctx context.Context) error {
	conn := l.conn.Load()
	if conn == nil {
		return errAway
	}
	return conn.FlushWithContext(ctx)
}

var errAway = errors.New("no connection to core")

// Ledger returns the newest lines of what was sent, at most n, oldest first.
func (l *Uplink) Ledger(n int) []Line { return l.ledger.lines(n) }

// now returns the wall time as well as it is known, and whether it is right: the own
// clock if it was set, else core's.
func (l *Uplink) now() (time.Time, bool) {
	now, trusted := l.cfg.Now()
	if trusted {
		return now, true
	}
	if base := l.learned.Load(); base != 0 {
		return time.Unix(0, base).Add(time.Since(l.begun)), true
	}
	if now.Before(l.cfg.Floor) {
		now = l.cfg.Floor
	}
	return now, false
}

// learn takes core's time, if it is not earlier than what is over for sure.
func (l *Uplink) learn(core time.Time) {
	if _, trusted := l.cfg.Now(); trusted || core.Before(l.cfg.Floor) {
		return
	}
	l.learned.Store(core.Add(-time.Since(l.begun)).UnixNano())
	if l.cfg.Learned != nil {
		l.cfg.Learned(core)
	}
}

// note changes the status.
func (l *Uplink) note(f func(*Status)) {
	l.mu.Lock()
	defer l.mu.Unlock()
	before := l.status.State
	f(&l.status)
	if l.status.State != before || l.status.Since == 0 {
		now, _ := l.now()
		l.status.Since = cordon.TimeOf(now)
	}
}

// flushEvery is how often the queue is looked at for what has to be written.
const flushEvery = 5 * time.Second

// Run holds the line until ctx is done, and then writes what is not delivered. It
// fails only if the identity cannot be made.
func (l *Uplink) Run(ctx context.Context) error {
	if l.agent == nil {
		return errors.New("uplink: no agent attached")
	}
	id, err := openIdentity(l.cfg.Dir, l.cfg.URL, l.cfg.Serial)
	if err != nil {
		return err
	}
	l.id = id
	l.number()
	var done sync.WaitGroup
	done.Go(func() { l.keep(ctx) })
	defer func() {
		done.Wait()
		l.flush(true)
	}()
	l.recall(ctx)
	wait := Backoff{Spread: l.cfg.Spread}
	for ctx.Err() == nil {
		pause, hurry := l.try(ctx, &wait)
		l.rest(ctx, pause, hurry)
	}
	return nil
}

// number sees to it that this start has a boot number that no other had.
func (l *Uplink) number() {
	id := l.id
	if id.Base == 0 || !l.cfg.Fresh && l.cfg.Start > id.Starts {
		return
	}
	// The starts were lost: whatever was given since the identity was written is below.
	id.Base = max(id.Base+id.Starts+startsADay, baseAt(later(id.Issued.Std(), l.cfg.Floor), l.cfg.Start))
	id.Starts = l.cfg.Start
	l.saveIdentity()
}

// startsADay is more starts than there are between two writings of the identity.
const startsADay = 24 * 60

// later returns the later of two moments.
func later(a, b time.Time) time.Time {
	if a.After(b) {
		return a
	}
	return b
}

func (l *Uplink) saveIdentity() {
	if l.cfg.Dir == "" {
		return
	}
	if l.cfg.Claim != nil {
		l.cfg.Claim(4096) // counted, not asked: without it the router is nobody
	}
	if err := l.id.save(l.cfg.Dir); err != nil {
		l.log.Error("identity not written", "err", err)
	}
}

// keep writes what is not acknowledged in time.
func (l *Uplink) keep(ctx context.Context) {
	tick := time.NewTicker(flushEvery)
	defer tick.Stop()
	for {
		select {
		case <-ctx.Done():
			return
		case <-tick.C:
			l.flush(false)
		}
	}
}

// flush writes what has waited long enough, or everything.
func (l *Uplink) flush(all bool) {
	l.queue.Flush(all)
	if err := l.ledger.flush(all); err != nil {
		l.log.Warn("ledger not written", "err", err)
	}
	l.notes.flush(l.cfg.Dir, l.cfg.Claim, l.log)
}

// rest waits before the next try; what is urgent cuts it short if that may help.
func (l *Uplink) rest(ctx context.Context, pause time.Duration, hurry bool) {
	timer := time.NewTimer(pause)
	defer timer.Stop()
	urgent := l.hurry
	if !hurry {
		urgent = nil
	}
	select {
	case <-ctx.Done():
	case <-timer.C:
	case <-urgent:
		select {
		case <-ctx.Done():
		case <-time.After(min(pause, waitFirst)):
		}
	}
}

// try enrols if that is needed, and holds one connection for as long as it stands. It
// returns how long to wait, and whether something urgent may cut that short.
func (l *Uplink) try(ctx context.Context, wait *Backoff) (pause time.Duration, hurry bool) {
	if err := l.ensureCredential(ctx); err != nil {
		if ctx.Err() == nil {
			l.failed(err)
		}
		return max(wait.Next(), patience(err)), patience(err) == 0
	}
	stood, err := l.session(ctx)
	switch {
	case ctx.Err() != nil:
		return 0, false
	case errors.Is(err, errRenewed):
		wait.Reset()
		return 0, false
	}
	l.failed(err)
	if rejected(err) {
		l.refused = true // a new one may be taken
	}
	if stood {
		return wait.Lost(), true
	}
	return wait.Next(), true
}
