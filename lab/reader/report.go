package reader

import (
	"bufio"
	"cmp"
	"fmt"
	"io"
	"slices"
	"text/tabwriter"
	"time"
)

// Report is what was measured.
type Report struct {
	Config Config
	Filled time.Duration // how long it took to fill the database; 0: it was
	Loads  []Load
}

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

// Text writes the report for people.
func (r *Report) Text(w io.Writer) error {
	out := bufio.NewWriter(w)
	c := &r.Config
	database := "PostgreSQL"
	if c.SQLite {
		database = "SQLite"
	}
	fmt.Fprintf(out, "%d homes, %d devices, %d incidents in %s; %d clients, %d of them with the stream of events; %d routers with %d reports a second\n",
		c.Homes, c.Homes*c.Devices, c.Incidents, database, c.Clients, listeners(c.Clients), c.Routers, c.Reports)
	if r.Filled > 0 {
		fmt.Fprintf(out, "filled in %s\n", r.Filled.Round(time.Second))
	}
	for i := range r.Loads {
		r.Loads[i].text(out)
	}
	return out.Flush()
}

func (r *Load) text(out io.Writer) {
	fmt.Fprintf(out, "\n%s for %s: %.0f answers a second; %d reports, %d events, %d lists compared; cores busy: %.2f, of them core %.2f, the clients and routers %.2f\n\n",
		pace(r.Rate), r.Length.Round(time.Second), float64(r.All.Count)/r.Length.Seconds(), r.Reports, r.Events, r.Lists, r.Used.All, r.Used.Core, r.Used.Own)
	table := tabwriter.NewWriter(out, 0, 0, 2, ' ', 0)
	fmt.Fprintln(table, "route\tanswers\terrors\tp50\tp99\tmax")
	for _, row := range append([]Row{r.All}, r.Rows...) {
		fmt.Fprintf(table, "%s\t%d\t%d\t%s\t%s\t%s\n", row.Route, row.Count, row.Errors, millis(row.P50), millis(row.P99), millis(row.Max))
	}
	table.Flush()
	for _, s := range r.Slow {
		fmt.Fprintf(out, "\nslow: %s", s)
	}
	for _, p := range r.Problems {
		fmt.Fprintf(out, "\nwrong: %s", p)
	}
	fmt.Fprintln(out)
}
