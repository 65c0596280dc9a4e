package gateway

import (
	"context"
	"errors"
	"fmt"
	"time"

	"cordon"
	"cordon/wire"
)

// How reports are gathered before they are appended to the bus, whose disk is waited
// for once for all of them.
const (
	waiting    = 1024 // batches that wait; more are left to the routers, who send again
	gatherFor  = 10 * time.Millisecond
	gatherMost = 256 // reports, for which no more are waited for
)

// batch is what one router sent.
type batch struct {
	router  string
	number  uint64
	reports []cordon.Report
}

// report takes a batch from a router. A batch that cannot be right is dropped and not
// acknowledged: an honest agent does not write it.
func (g *Gateway) report(ctx context.Context, router string, data []byte) {
	now := g.cfg.Now()
	if !g.said.bytes.allow(router, len(data), now) {
		g.drop(ctx, "too-much", router, nil)
		return
	}
	number, reports, err := wire.DecodeReports(data)
	if err != nil {
		g.refused(ctx, "unreadable", router, err)
		return
	}
	if _, err := g.router(ctx, router); errors.Is(err, errNotEnrolled) || errors.Is(err, cordon.ErrNotFound) {
		g.refused(ctx, "unknown", router, err)
		return
	} else if err != nil { // the store is away: nobody knows who that is
		g.drop(ctx, "store", router, err)
		return
	}
	if !g.said.reports.allow(router, len(reports), now) {
		g.drop(ctx, "too-much", router, nil)
		return
	}
	for i := range reports {
		if id := reports[i].ID; id.Router != router || id.Seq == 0 {
			g.refused(ctx, "forged", router, fmt.Errorf("report %q", id))
			return
		}
		clean(&reports[i], now)
	}
	select {
	case g.in <- batch{router, number, reports}:
	default:
		g.drop(ctx, "busy", router, nil)
	}
}

// gather appends what came from many routers in messages of the bus, and acknowledges
// each batch when its message is safe.
func (g *Gateway) gather(ctx context.Context) error {
	for {
		var first batch
		select {
		case <-ctx.Done():
			return ctx.Err()
		case first = <-g.in:
		}
		g.append(ctx, g.more(first))
	}
}

// more returns first and what comes within gatherFor. When much waits already, the disk
// is behind: then it takes as much as fits into a message.
func (g *Gateway) more(first batch) []batch {
	list, n := []batch{first}, len(first.reports)
	timer := time.NewTimer(gatherFor)
	defer timer.Stop()
	for n < gatherMost {
		select {
		case b := <-g.in:
			list, n = append(list, b), n+len(b.reports)
		case <-timer.C:
			return list
		}
	}
	for n < wire.MaxReports {
		select {
		case b := <-g.in:
			list, n = append(list, b), n+len(b.reports)
		default:
			return list
		}
	}
	return list
}

// append writes batches to the bus. What cannot be written is not acknowledged: the
// routers send it again.
func (g *Gateway) append(ctx context.Context, list []batch) {
	for len(list) > 0 {
		var reports []cordon.Report
		n := 0
		for n < len(list) && (n == 0 || len(reports)+len(list[n].reports) <= wire.MaxReports) {
			reports = append(reports, list[n].reports...)
			n++
		}
		if err := g.write(ctx, reports); err != nil {
			g.cfg.Count("bus", len(reports))
			g.cfg.Log.WarnContext(ctx, "reports are not taken, the routers keep them", "reports", len(reports), "err", err)
		} else {
			for _, b := range list[:n] {
				if err := g.cfg.Bus.ToRouter(b.router, "ack", wire.EncodeAck(b.number)); err != nil {
					g.cfg.Log.DebugContext(ctx, "not acknowledged", "router", b.router, "err", err)
				}
			}
		}
		list = list[n:]
	}
}

// write appends reports to the bus, in halves if they cannot be one message. A report that
// cannot be one alone is left out: it never can be, and must stop no other.
func (g *Gateway) write(ctx context.Context, reports []cordon.Report) error {
	if len(reports) == 0 {
		return nil
	}
	data, err := wire.EncodeReports(0, reports)
	switch {
	case err == nil:
		return g.cfg.Bus.Append(context.WithoutCancel(ctx), g.cfg.Subject, data)
	case len(reports) == 1:
		g.drop(ctx, "unwritable", reports[0].ID.Router, err)
		return nil
	}
	half := len(reports) / 2
	if err := g.write(ctx, reports[:half]); err != nil {
		return err
	}
	return g.write(ctx, reports[half:])
}
