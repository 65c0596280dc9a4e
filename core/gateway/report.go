package gateway

import (
	"context"
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
	gatherMost = 256 // reports in one message of the bus
)

// batch is what one router sent.
type batch struct {
	router  string
	number  uint64
	reports []cordon.Report
}

// ahead is how far a report's time may lie in the future: a router's clock may be off
// by a zone, and what lies further says nothing.
const ahead = 26 * time.Hour

// report takes a batch from a router. A batch that cannot be right is dropped and not
// acknowledged: an honest agent does not write it.
func (g *Gateway) report(ctx context.Context, router string, data []byte) {
	number, reports, err := wire.DecodeReports(data)
	if err != nil {
		g.drop(ctx, "unreadable", router, err)
		return
	}
	if _, err := g.router(ctx, router); err != nil {
		g.drop(ctx, "unknown", router, err)
		return
	}
	latest := cordon.TimeOf(g.cfg.Now().Add(ahead))
	for i := range reports {
		if id := reports[i].ID; id.Router != router || id.Seq == 0 {
			g.drop(ctx, "forged", router, fmt.Errorf("report %s", id))
			return
		}
		reports[i].At = min(max(reports[i].At, 0), latest)
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

// more returns first and what comes within gatherFor.
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

// write appends reports to the bus, in halves if they are too long for one message.
func (g *Gateway) write(ctx context.Context, reports []cordon.Report) error {
	if len(reports) == 0 {
		return nil
	}
	data, err := wire.EncodeReports(0, reports)
	if err != nil {
		if len(reports) == 1 {
			return err
		}
		half := len(reports) / 2
		if err := g.write(ctx, reports[:half]); err != nil {
			return err
		}
		return g.write(ctx, reports[half:])
	}
	return g.cfg.Bus.Append(context.WithoutCancel(ctx), g.cfg.Subject, data)
}
