// Package core is the program at the provider: what routers report comes in, what they
// should do goes out, and people see both.
//
//	gateway → bus → ingest → store → api
//	api → store → push → bus → routers
package core

import (
	"context"
	"errors"
	"log/slog"
	"slices"
	"time"

	"cordon"
	"cordon/internal/pause"
	"cordon/wire"
)

// Names on the bus, inside core.
const (
	reportSubject = "core.report"  // durable: what routers reported
	eventSubject  = "core.event"   // what changed, for the people who look
	watchSubject  = "core.watched" // stored detections and actions, for the breakers
	closedSubject = "core.closed"  // of which incident a person said something, for the breakers
	ingestName    = "ingest"       // the consumer that all instances of core share

	// maxIngest is how many reports one transaction stores: more make it no cheaper for
	// each, and hold others up that want to write.
	maxIngest = 200
)

// ingest takes reports from the bus into the store, and tells what changed. What the
// store cannot take now comes again; what it can never take is counted and left out,
// so that one report stops no other.
type ingest struct {
	store interface {
		Ingest(ctx context.Context, reports []cordon.Report) ([]cordon.Event, error)
	}
	tell    func([]cordon.Event)  // is told what changed
	watch   func([]cordon.Report) // is told what was stored
	metrics *metrics
	log     *slog.Logger

	away bool // the database, at the last try
}

// handle stores the reports of some messages. An error means that none of them may be
// acknowledged; those that were stored are known by their ids when they come again.
func (i *ingest) handle(ctx context.Context, messages [][]byte) error {
	var reports []cordon.Report
	for _, m := range messages {
		_, list, err := wire.DecodeReports(m)
		if err != nil { // the gateway had read it: another version wrote it
			i.metrics.dropped.WithLabelValues("unreadable").Inc()
			i.log.ErrorContext(ctx, "reports on the bus cannot be read", "err", err, "bytes", len(m))
			continue
		}
		reports = append(reports, list...)
	}
	for len(reports) > 0 {
		n := min(len(reports), maxIngest)
		if err := i.wait(ctx, reports[:n]); err != nil {
			return err
		}
		reports = reports[n:]
	}
	return nil
}

// How long reports are held while the database is away, and how often it is tried: well
// below the time after which the bus gives them to another instance.
const (
	holdFor  = 10 * time.Second
	tryEvery = 500 * time.Millisecond
)

// wait stores reports, and waits while the database is away: to give them back and take
// the next would only put them into disorder.
func (i *ingest) wait(ctx context.Context, reports []cordon.Report) error {
	for begun := time.Now(); ; {
		err := i.take(ctx, reports)
		switch {
		case err == nil:
			if i.away {
				i.away = false
				i.log.InfoContext(ctx, "the database takes reports again")
			}
			return nil
		case !errors.Is(err, cordon.ErrUnavailable) || ctx.Err() != nil:
			i.log.WarnContext(ctx, "reports come again", "reports", len(reports), "err", err)
			return err
		case !i.away:
			i.away = true
			i.log.ErrorContext(ctx, "the database takes no reports: they wait on the bus", "err", err)
		}
		if time.Since(begun) > holdFor || !pause.For(ctx, tryEvery) {
			return err
		}
	}
}

// take stores reports in one transaction. If one of them can never be stored, it halves
// them until that one is alone.
func (i *ingest) take(ctx context.Context, reports []cordon.Report) error {
	events, err := i.store.Ingest(ctx, reports)
	switch {
	case err == nil:
	case !errors.Is(err, cordon.ErrInvalid):
		return err
	case len(reports) == 1:
		i.metrics.dropped.WithLabelValues("invalid").Inc()
		i.log.WarnContext(ctx, "report left out", "id", reports[0].ID.String(), "err", err)
		return nil
	default:
		half := len(reports) / 2
		if err := i.take(ctx, reports[:half]); err != nil {
			return err
		}
		return i.take(ctx, reports[half:])
	}
	i.metrics.reports.Add(float64(len(reports)))
	i.watch(reports)
	if len(events) > 0 {
		i.tell(events)
	}
	return nil
}

// watchedAtOnce keeps an announcement below the bus's largest message, 1 MB: a detection
// without its evidence has some 2 KB at most.
const watchedAtOnce = 100

// watch tells the breakers of all instances what was stored, as far as they look at it.
func (c *Core) watch(reports []cordon.Report) {
	var list []cordon.Report
	for _, r := range reports {
		if d := r.Detection; d != nil {
			short := *d
			short.Evidence, short.Samples, short.Sentence = nil, nil, ""
			r.Detection = &short
		} else if r.Action == nil {
			continue
		}
		list = append(list, r)
	}
	for some := range slices.Chunk(list, watchedAtOnce) {
		data, err := wire.EncodeReports(0, some)
		if err == nil {
			err = c.bus.Announce(watchSubject, data)
		}
		if err != nil { // they read the store at their next start
			c.log.Warn("the breakers were not told", "reports", len(some), "err", err)
		}
	}
}
