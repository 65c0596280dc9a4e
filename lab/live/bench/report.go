package bench

import (
	"bufio"
	"fmt"
	"io"
	"slices"
	"strings"
	"text/tabwriter"
)

// Report is what was measured.
type Report struct {
	Setups  []Setup
	Loads   []Load
	Rounds  int
	Samples [][][]Sample // by setup, load and round
}

func newReport(cfg Config) *Report {
	r := &Report{Setups: cfg.Setups, Loads: cfg.Loads, Rounds: cfg.Rounds, Samples: make([][][]Sample, len(cfg.Setups))}
	for i := range r.Samples {
		r.Samples[i] = make([][]Sample, len(cfg.Loads))
	}
	return r
}

func (r *Report) add(setup, load int, s Sample) {
	r.Samples[setup][load] = append(r.Samples[setup][load], s)
}

// Ratio returns a setup's speed as a part of the router's alone beside it: the
// median over the rounds, the smallest and the largest; zeros where the router
// alone was not measured.
func (r *Report) Ratio(setup, load int) (median, low, high float64) {
	return r.pairs(setup, load, func(s Sample) (own, base float64) { return s.Speed, s.Base })
}

// PathRatio is the same by CPU time instead of by the clock: what the speed would
// be if nobody else used the sender's core.
func (r *Report) PathRatio(setup, load int) (median, low, high float64) {
	return r.pairs(setup, load, func(s Sample) (own, base float64) { return float64(s.BasePath), float64(s.Path) })
}

// pairs returns the spread of a ratio within each sample.
func (r *Report) pairs(setup, load int, of func(Sample) (own, base float64)) (median, low, high float64) {
	var ratios []float64
	for _, s := range r.Samples[setup][load] {
		if own, base := of(s); own > 0 && base > 0 {
			ratios = append(ratios, own/base)
		}
	}
	return spread(ratios)
}

// spread returns the median, the smallest and the largest of some values.
func spread(v []float64) (median, low, high float64) {
	if len(v) == 0 {
		return 0, 0, 0
	}
	v = slices.Sorted(slices.Values(v))
	n := len(v)
	return (v[(n-1)/2] + v[n/2]) / 2, v[0], v[n-1]
}

// of collects one figure of all rounds.
func (r *Report) of(setup, load int, figure func(Sample) float64) (median, low, high float64) {
	var all []float64
	for _, s := range r.Samples[setup][load] {
		all = append(all, figure(s))
	}
	return spread(all)
}

// Text writes the report for people: a table for each load, then how each program
// was called.
func (r *Report) Text(w io.Writer) error {
	out := bufio.NewWriter(w)
	fmt.Fprintf(out, "medians of %d rounds; ratio and its spread against %q right before\n", r.Rounds, r.Setups[0].Name)
	for l := range r.Loads {
		fmt.Fprintf(out, "\n%s\n", r.Loads[l].Name)
		table := tabwriter.NewWriter(out, 0, 0, 2, ' ', 0)
		fmt.Fprintf(table, "setup\t%s\tratio (spread)\tpath\tby path (spread)\tlost\tcores used\tCPU a packet\tRSS\tpeak with kernel\n", r.Loads[l].unit())
		for s := range r.Setups {
			if len(r.Samples[s][l]) > 0 {
				r.row(table, s, l)
			}
		}
		table.Flush()
	}
	fmt.Fprintln(out)
	for _, s := range r.Setups {
		if len(s.Command) > 0 {
			fmt.Fprintf(out, "%s: %s\n", s.Name, strings.Join(s.Command, " "))
		}
	}
	return out.Flush()
}

// row writes one line of a table. What was not measured is "-".
func (r *Report) row(w io.Writer, setup, load int) {
	median := func(figure func(Sample) float64) float64 {
		m, _, _ := r.of(setup, load, figure)
		return m
	}
	shown := func(format string, v float64) string {
		if v == 0 {
			return "-"
		}
		return fmt.Sprintf(format, v)
	}
	among := func(median, low, high float64) string {
		if median == 0 {
			return "-"
		}
		return fmt.Sprintf("%.3f (%.3f – %.3f)", median, low, high)
	}
	cores := "-"
	if len(r.Setups[setup].Command) > 0 {
		cores = fmt.Sprintf("%.4f", median(func(s Sample) float64 { return s.CPU }))
	}
	fmt.Fprintf(w, "%s\t%.0f\t%s\t%s\t%s\t%.2f %%\t%s\t%s\t%s\t%s\n", r.Setups[setup].Name,
		median(func(s Sample) float64 { return s.Speed }), among(r.Ratio(setup, load)),
		shown("%.0f ns", median(func(s Sample) float64 { return float64(s.Path) })), among(r.PathRatio(setup, load)),
		100*median(func(s Sample) float64 { return s.Lost }), cores,
		shown("%.0f ns", median(func(s Sample) float64 { return float64(s.PerPacket) })),
		shown("%.1f MB", median(func(s Sample) float64 { return float64(s.RSS) })/1e6),
		shown("%.1f MB", median(func(s Sample) float64 { return float64(s.Peak) })/1e6))
}
