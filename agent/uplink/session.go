package uplink

import (
	"context"
	"errors"
	"math/rand/v2"
	"net"
	"net/netip"
	"strings"
	"sync"
	"time"

	"github.com/nats-io/nats.go"

	"cordon"
	"cordon/internal/spool"
	"cordon/wire"
)

// How reports are sent.
const (
	// gatherFor is how long a report that is not urgent waits for others.
	gatherFor = time.Second
	// A batch has at most batchReports reports of batchBytes bytes, and at most window
	// batches are on their way.
	batchReports = 200
	batchBytes   = 64 << 10
	window       = 4
	// ackWithin is how long core has to acknowledge a batch. Then it is sent again, and
	// core has twice as long, up to ackMost: it may have too much to do.
	ackWithin = 30 * time.Second
	ackMost   = 5 * time.Minute

	// dialWithin leaves core time for the handshakes of a city that comes back.
	dialWithin = 45 * time.Second
	pingEvery  = 30 * time.Second
	// bufferBytes is of the connection's buffers; the library's own are for servers.
	bufferBytes = 4 << 10
	inbox       = 32 // messages
)

// errRenewed ends a session because there is a new credential to log in with.
var errRenewed = errors.New("the credential was renewed")

// errLost ends a session that core did not want or keep.
var errLost = errors.New("the connection was closed")

// flight is a batch on its way.
type flight struct {
	items []*spool.Item
	sent  time.Time
}

// session is one connection that stands.
type session struct {
	*Uplink
	conn   *nats.Conn
	in     chan *nats.Msg
	closed chan struct{}
	// batch is the number of the last batch. It begins anywhere, so that an acknowledgement
	// on its way since the last connection is of none of this one's; within 63 bits, since
	// others may keep it in a signed integer.
	batch   uint64
	flights map[uint64]*flight
	within  time.Duration // see ackWithin
	renewAt time.Time     // when to ask for a new credential
	helloAt time.Time     // when to say hello again; zero: nobody asked

	asked    chan struct{} // a token for each question that is being answered
	renewals chan renewed
	tasks    sync.WaitGroup // what runs beside serve
}

// session connects and sends what waits, until the connection breaks or has to be made
// anew. stood says that it was there.
func (l *Uplink) session(ctx context.Context) (stood bool, err error) {
	s := &session{Uplink: l, in: make(chan *nats.Msg, inbox), closed: make(chan struct{}), flights: make(map[uint64]*flight), within: ackWithin,
		batch: rand.Uint64() >> 1, asked: make(chan struct{}, askedAtOnce), renewals: make(chan renewed)}
	if err := s.connect(ctx); err != nil {
		return false, err
	}
	defer s.conn.Close()
	ctx, cancel := context.WithCancel(ctx)
	defer s.tasks.Wait()
	defer cancel()
	defer func() {
		for _, f := range s.flights {
			l.queue.GiveUp(f.items)
		}
	}()
	if err := s.hello(); err != nil {
		return false, err
	}
	l.conn.Store(s.conn)
	defer l.conn.Store(nil)
	l.note(func(st *Status) { st.State, st.Why, st.Mend = StateConnected, "", "" })
	l.log.Info("connected to core", "router", l.id.Router, "server", s.conn.ConnectedUrlRedacted())
	if l.cfg.Reached != nil {
		if a, err := netip.ParseAddrPort(s.conn.ConnectedAddr()); err == nil {
			l.cfg.Reached(a.Addr().Unmap())
		}
	}
	return true, s.serve(ctx)
}

// dialer is a function as a nats.CustomDialer.
type dialer func(network, address string) (net.Conn, error)

func (d dialer) Dial(network, address string) (net.Conn, error) { return d(network, address) }

// connect makes the connection and listens to what is for this router.
func (s *session) connect(ctx context.Context) (err error) {
	pair, err := s.id.pair()
	if err != nil {
		return err
	}
	// The library knows no context: a bus that accepts and keeps silent would hold up the
	// agent's end for as long as the handshakes may take.
	var tried []func() bool
	dial := func(network, address string) (net.Conn, error) {
		conn, err := (&net.Dialer{Timeout: dialWithin}).DialContext(ctx, network, address)
		if err == nil {
			tried = append(tried, context.AfterFunc(ctx, func() { conn.Close() }))
		}
		return conn, err
	}
	s.conn, err = nats.Connect(strings.Join(s.id.Servers, ","),
		nats.Name("cordon-agent "+s.cfg.Agent),
		nats.UserJWT(func() (string, error) { return s.id.Credential, nil }, pair.Sign),
		nats.Secure(s.tls()),
		nats.Timeout(dialWithin), nats.SetCustomDialer(dialer(dial)),
		nats.SkipHostLookup(), // the dialer does it, and can be stopped
		nats.NoReconnect(),    // the waits are ours
		nats.PingInterval(pingEvery), nats.MaxPingsOutstanding(2),
		nats.WriteBufferSize(bufferBytes), nats.ReconnectBufSize(-1),
		nats.IgnoreDiscoveredServers(),
		nats.ErrorHandler(func(_ *nats.Conn, _ *nats.Subscription, err error) { s.log.Warn("bus", "err", err) }),
		nats.ClosedHandler(func(*nats.Conn) { close(s.closed) }))
	for _, stop := range tried {
		stop()
	}
	if err != nil {
		return err
	}
	if ctx.Err() != nil { // it may have been closed below the library
		s.conn.Close()
		return ctx.Err()
	}
	for _, subject := range []string{"to." + s.id.Router + ".>", "to.all.>"} {
		if _, err := s.conn.ChanSubscribe(subject, s.in); err != nil {
			s.conn.Close()
			return err
		}
	}
	return nil
}

// publish sends a message to core.
func (s *session) publish(what string, data []byte) error {
	return s.conn.Publish("from."+s.id.Router+"."+what, data)
}

// serve sends and hears until the connection is over.
func (s *session) serve(ctx context.Context) error {
	gather := time.NewTimer(0) // what waits is due now
	defer gather.Stop()
	gathering := true
	tick := time.NewTicker(time.Second)
	defer tick.Stop()
	s.schedule()
	for {
		now := false
		select {
		case <-ctx.Done():
			s.farewell()
			return ctx.Err()
		case <-s.closed:
			if err := s.conn.LastError(); err != nil {
				return err
			}
			return errLost
		case m := <-s.in:
			s.hear(ctx, m)
		case <-s.wake:
		case <-s.hurry:
		case <-gather.C:
			now, gathering = true, false
		case <-tick.C:
			s.overdue()
			s.renew(ctx)
			if err := s.helloAgain(); err != nil {
				return err
			}
		case r := <-s.renewals:
			if err := s.take(r); err != nil {
				return err
			}
		}
		if err := s.send(now); err != nil {
			return err
		}
		if waits, _ := s.queue.Pending(); waits && !gathering && len(s.flights) < window {
			gather.Reset(gatherFor)
			gathering = true
		}
	}
}

// send sends what is due, in batches, as far as the window is open.
func (s *session) send(now bool) error {
	for len(s.flights) < window {
		items := s.queue.Next(batchReports, batchBytes, now)
		if len(items) == 0 {
			return nil
		}
		items, reports := s.decode(items)
		if len(items) == 0 {
			continue
		}
		s.batch++
		data, err := wire.EncodeReports(s.batch, reports)
		if err != nil {
			s.log.Error("batch not written", "err", err)
			s.queue.Acknowledge(items) // it never can be
			continue
		}
		s.flights[s.batch] = &flight{items, time.Now()}
		if err := s.publish("report", data); err != nil {
			return err
		}
		for i, it := range items {
			if !it.Told {
				it.Told = true
				s.ledger.add(s.line(&reports[i], len(it.Body)))
			}
		}
		if err := s.ledger.flush(false); err != nil {
			s.log.Warn("ledger not written", "err", err)
		}
	}
	return nil
}

// decode returns the reports of items, with their IDs and times as they are known now.
// What cannot be read never will be, and is let go.
func (s *session) decode(all []*spool.Item) (items []*spool.Item, reports []cordon.Report) {
	for _, it := range all {
		r, err := wire.DecodeReport(it.Body)
		if err != nil {
			s.log.Error("report not read", "err", err)
			s.queue.Acknowledge([]*spool.Item{it})
			continue
		}
		r.ID = cordon.ReportID{Router: s.id.Router, Boot: s.id.Base + it.Start, Seq: it.Seq}
		if by := s.shift.Load(); by != nil && r.Doubt != 0 && it.Start == s.cfg.Start {
			shift(&r, *by)
			r.Doubt = 0
		}
		items, reports = append(items, it), append(reports, r)
	}
	return items, reports
}

// acknowledged takes core's word that a batch survives.
func (s *session) acknowledged(batch uint64) {
	f := s.flights[batch]
	if f == nil {
		return
	}
	delete(s.flights, batch)
	s.within = ackWithin
	s.queue.Acknowledge(f.items)
	now, _ := s.now()
	s.note(func(st *Status) { st.Acked = cordon.TimeOf(now); st.Sent += uint64(len(f.items)) })
}

// overdue has what was not acknowledged in time sent again.
func (s *session) overdue() {
	late := false
	for n, f := range s.flights {
		if time.Since(f.sent) >= s.within {
			delete(s.flights, n)
			s.queue.GiveUp(f.items)
			late = true
		}
	}
	if late {
		s.within = min(2*s.within, ackMost)
		s.log.Warn("core did not acknowledge in time", "sent_again_within", s.within)
	}
}

// farewell waits a moment for the acknowledgements that are on their way, so that they
// need not be written to flash.
func (s *session) farewell() {
	timer := time.NewTimer(time.Second)
	defer timer.Stop()
	if s.send(true) != nil {
		return
	}
	for len(s.flights) > 0 {
		select {
		case m := <-s.in:
			if what := m.Subject[strings.LastIndexByte(m.Subject, '.')+1:]; what == "ack" {
				if batch, err := wire.DecodeAck(m.Data); err == nil {
					s.acknowledged(batch)
				}
			}
		case <-s.closed:
			return
		case <-timer.C:
			return
		}
	}
}

// hear takes a message from core.
func (s *session) hear(ctx context.Context, m *nats.Msg) {
	switch what := m.Subject[strings.LastIndexByte(m.Subject, '.')+1:]; what {
	case "ack":
		batch, err := wire.DecodeAck(m.Data)
		if err != nil {
			s.log.Warn("acknowledgement not read", "err", err)
			return
		}
		s.acknowledged(batch)
	case "directive":
		s.directive(ctx, m.Data)
	case "ask":
		s.ask(ctx, m.Data)
	case "hello": // core may not have been there to hear it; all routers are asked at once
		if s.helloAt.IsZero() {
			s.helloAt = time.Now().Add(rand.N(max(s.cfg.Spread, 1)))
		}
	default: // also a credential: that is fetched where core's certificate is checked
		s.log.Debug("message of an unknown sort", "what", what)
	}
}
