// Package core is the program at the provider: what routers report comes in, what they
// should do goes out, and people see both.
//
//	gateway → bus → ingest → store → api
//	api → store → push → bus → routers
package core

import (
	"context"
	"encoding/json"
	"errors"
	"log/slog"

	"cordon"
	"cordon/wire"
)

// Names on the bus, inside core.
const (
	reportSubject = "core.report" // durable: what routers reported
	eventSubject  = "core.event"  // what changed, for who listens now
	ingestName    = "ingest"      // the consumer that all instances of core share
	maxIngest     = 200           // reports in one transaction (traps.md, "Decided")
)

// ingest takes reports from the bus into the store, and tells what changed. What the
// store cannot take now comes again; what it can never take is counted and left out,
// so that one report stops no other.
type ingest struct {
	store interface {
		Ingest(ctx context.Context, reports []cordon.Report) ([]cordon.Event, error)
	}
	announce func(subject string, data []byte) error
	watch    func([]cordon.Report) // is told what was stored
	metrics  *metrics
	log      *slog.Logger
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
		if err := i.take(ctx, reports[:n]); err != nil {
			return err
		}
		reports = reports[n:]
	}
	return nil
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
	if i.watch != nil {
		i.watch(reports)
	}
	if len(events) == 0 {
		return nil
	}
	data, err := json.Marshal(events)
	if err == nil {
		err = i.announce(eventSubject, data)
	}
	if err != nil { // nobody is told at once; everything is in the store
		i.log.WarnContext(ctx, "events not announced", "err", err)
	}
	return nil
}
