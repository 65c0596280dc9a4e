package reader

import (
	"cmp"
	"fmt"
	"slices"
	"time"

	"cordon/lab/load"
)

// Load is one run.
type Load struct {
	Rate     float64 // requests a second that were wanted; 0: as many as there can be
	Length   time.Duration
	All      Row
	Rows     []Row // by route
	Events   int64 // that came out of the streams
	Reports  int64 // of routers
	Lists    int   // whole lists that were read and compared
	Used     Usage
	Slow     []string // requests that took a second or longer
	Problems []string // what was wrong with answers, as far as it fits
}

// Row is how long the answers of a route took, from the moment the request was due until
// the last byte of the answer was there.
type Row struct {
	Route         string
	Count, Errors int
	P50, P99, Max time.Duration
}

// Usage is how many cores were busy: with everything, with core, and with asking.
type Usage struct{ All, Core, Own float64 }

// total puts the samples of all clients together.
func total(samples []sample) (r Load) {
	took, errors := make(map[string][]time.Duration), make(map[string]int)
	var all []time.Duration
	var late []slow
	for _, s := range samples {
		for route, t := range s.took {
			took[route] = append(took[route], t...)
			all = append(all, t...)
		}
		for route, n := range s.errors {
			errors[route] += n
			errors[""] += n
		}
		late = append(late, s.slow...)
		r.Problems = append(r.Problems, s.problems...)
	}
	for route, t := range took {
		r.Rows = append(r.Rows, row(route, t, errors[route]))
	}
	slices.SortFunc(r.Rows, func(a, b Row) int { return cmp.Or(cmp.Compare(b.P99, a.P99), cmp.Compare(a.Route, b.Route)) })
	r.All = row("all", all, errors[""])
	slices.SortFunc(late, func(a, b slow) int { return cmp.Compare(b.took, a.took) })
	for _, s := range late[:min(len(late), maxSlow)] {
		r.Slow = append(r.Slow, fmt.Sprintf("%s %s", millis(s.took), s.what))
	}
	r.Problems = r.Problems[:min(len(r.Problems), maxSlow)]
	return r
}

// row sums up the answers of a route.
func row(route string, took []time.Duration, errors int) Row {
	r := Row{Route: route, Count: len(took), Errors: errors}
	if len(took) > 0 {
		slices.Sort(took)
		at := func(share float64) time.Duration { return took[min(len(took)-1, int(share*float64(len(took))))] }
		r.P50, r.P99, r.Max = at(0.5), at(0.99), took[len(took)-1]
	}
	return r
}

func millis(d time.Duration) string { return fmt.Sprintf("%.1f ms", float64(d.Microseconds())/1000) }

// about says what everything ran on.
func (o *office) about() []load.Line {
	c := &o.cfg
	database := "PostgreSQL"
	if c.SQLite {
		database = "SQLite"
	}
	lines := []load.Line{
		{What: "database", Figure: fmt.Sprintf("%s: %d homes, %d devices, %d incidents", database, c.Homes, c.Homes*c.Devices, c.Incidents)},
		{What: "who asks", Figure: fmt.Sprintf("%d clients, %d of them with the stream of events; %d routers with %d reports a second",
			c.Clients, listeners(c.Clients), c.Routers, c.Reports)}}
	if o.stage.filled > 0 {
		lines = append(lines, load.Line{What: "filled in", Figure: o.stage.filled.Round(time.Second).String()})
	}
	return lines
}

// goal is what issue and docs promise of the 99th of a hundred answers.
const goal = "p99 50 ms"

// lines tells a run.
func (r *Load) lines() []load.Line {
	lines := []load.Line{{},
		{What: pace(r.Rate), Figure: fmt.Sprintf("%.0f answers a second for %s; %d reports, %d events, %d whole lists compared",
			float64(r.All.Count)/r.Length.Seconds(), r.Length.Round(time.Second), r.Reports, r.Events, r.Lists)},
		{What: "cores busy", Figure: fmt.Sprintf("%.2f: core %.2f, clients and routers %.2f, database and everything else %.2f",
			r.Used.All, r.Used.Core, r.Used.Own, r.Used.All-r.Used.Core-r.Used.Own)}}
	for i, row := range append([]Row{r.All}, r.Rows...) {
		l := load.Line{What: row.Route, Figure: fmt.Sprintf("p50 %s, p99 %s, longest %s of %d", millis(row.P50), millis(row.P99), millis(row.Max), row.Count)}
		if row.Errors > 0 {
			l.Figure += fmt.Sprintf(", %d errors", row.Errors)
		}
		if i == 0 {
			l.Goal = goal
		}
		lines = append(lines, l)
	}
	for _, s := range r.Slow {
		lines = append(lines, load.Line{What: "slow", Figure: s})
	}
	for _, p := range r.Problems {
		lines = append(lines, load.Line{What: "wrong", Figure: p})
	}
	return lines
}
