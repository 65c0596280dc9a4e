// Package reader is a provider's office on a busy day: people of all roles, customers and
// programs ask the API of a real cordon-core for pages, records and changes at once,
// some listen to its events, and routers report meanwhile. It measures how long answers
// take, and fails answers that are errors, and pages that repeat or omit records.
//
// Everything goes the way it goes in life: people are invited, choose a password and log
// in; routers enrol and stay connected. Only what the database holds at the beginning is
// put there directly (lab/records).
package reader

import (
	"context"
	"fmt"
	"time"

	"cordon"
	"cordon/lab/load"
	"cordon/lab/postgres"

	"golang.org/x/sync/errgroup"
)

// The defaults of a Config.
const (
	DefaultHomes   = 50_000
	DefaultDevices = 20
	DefaultClients = 50
	DefaultRouters = 25
	DefaultReports = 200
	DefaultLength  = time.Minute
)

// Config says what is measured. Homes, Devices, Incidents, Clients and Length are
// required.
type Config struct {
	Core     string   // path of cordon-core
	Dir      string   // of the database and core; what is there is used again; empty: one that goes with the run
	SQLite   bool     // else PostgreSQL
	Settings []string // more lines of postgresql.conf

	Homes     int // that the database holds
	Devices   int // of a home, on average
	Incidents int

	Clients int // people and programs, each with one request at a time
	Routers int // that report meanwhile
	Reports int // a second, of all routers

	// Rates are how many requests a second come from all clients, at random moments, one
	// run for each. 0: each client asks again as soon as it has its answer.
	Rates  []float64
	Length time.Duration // of a run
	Seed   uint64

	Progress func(doing string) // is told what happens; nil: it is not
}

// Run sets everything up and measures. The TB's cleanups end it.
func Run(ctx context.Context, t postgres.TB, cfg Config) ([]load.Line, error) {
	t.Helper()
	if cfg.Progress == nil {
		cfg.Progress = func(string) {}
	}
	s, err := open(ctx, t, cfg)
	if err != nil {
		return nil, err
	}
	o := &office{cfg: cfg, stage: s, library: &library{walks: make(map[cordon.Role][]walk)}}
	ctx, cancel := context.WithCancel(ctx)
	g, background := errgroup.WithContext(ctx)
	defer g.Wait()
	defer cancel()
	cfg.Progress("people are invited and log in")
	if err := o.hire(ctx); err != nil {
		return nil, fmt.Errorf("people: %w", err)
	}
	cfg.Progress("cursors are gathered")
	if err := o.gather(ctx); err != nil {
		return nil, fmt.Errorf("gather cursors: %w", err)
	}
	cfg.Progress("routers enrol")
	if err := o.connect(ctx); err != nil {
		return nil, fmt.Errorf("routers: %w", err)
	}
	for _, r := range o.routers {
		g.Go(func() error { return r.line.Run(background) })
	}
	g.Go(func() error { return o.report(background) })
	for i := range listeners(len(o.people)) {
		g.Go(func() error { return o.listen(background, *o.people[i], i) })
	}
	if err := o.reported(background); err != nil {
		return nil, err
	}
	lines := o.about()
	for _, rate := range cfg.Rates {
		cfg.Progress(fmt.Sprintf("%s of %s", cfg.Length, pace(rate)))
		r, err := o.run(background, rate)
		if err != nil {
			return lines, err
		}
		lines = append(lines, r.lines()...)
	}
	return lines, nil
}

// listeners is how many of the clients have the stream of events open as well.
func listeners(clients int) int { return (clients + 4) / 5 }

// pace says a rate.
func pace(rate float64) string {
	if rate == 0 {
		return "requests as fast as answers come"
	}
	return fmt.Sprintf("%.0f requests a second", rate)
}

// office is everybody.
type office struct {
	cfg     Config
	stage   *stage
	admin   *person
	people  []*person
	routers []*router
	library *library
	heard   counter // events
	sent    counter // reports
}

// roles are who asks, in turn: half of them customers.
var roles = []cordon.Role{cordon.RoleOwner, cordon.RoleOperator, cordon.RoleOwner, cordon.RoleAnalyst, cordon.RoleOwner, cordon.RoleAdministrator,
	cordon.RoleOwner, cordon.RoleOperator, cordon.RoleOwner, cordon.RoleOperator}
