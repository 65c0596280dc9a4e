package peers

import (
	"bufio"
	"fmt"
	"io"
	"slices"
	"strings"
	"text/tabwriter"
	"time"
)

// Report is how the programs compare.
type Report struct {
	Capture string // its file's name
	Packets uint64
	Bytes   uint64 // on the wire
	Results []Result
}

// Result is one program's runs.
type Result struct {
	Program, Version string
	Args             []string // as a person would give them
	args             []string
	Packets          uint64 // read in each run
	Runs             []Usage
}

// CPU is the CPU time of all runs.
func (r *Result) CPU() (sum time.Duration) {
	for _, u := range r.Runs {
		sum += u.CPU
	}
	return sum
}

// Peak is the most memory of any run, bytes.
func (r *Result) Peak() (most int64) {
	for _, u := range r.Runs {
		most = max(most, u.RSS)
	}
	return most
}

// Speeds returns the packets per CPU second of the slowest, the middle and the
// fastest run; zeros when none took measurable time.
func (r *Result) Speeds() (slowest, median, fastest float64) {
	var all []float64
	for _, u := range r.Runs {
		if u.CPU > 0 {
			all = append(all, float64(r.Packets)/u.CPU.Seconds())
		}
	}
	n := len(all)
	if n == 0 {
		return 0, 0, 0
	}
	slices.Sort(all)
	return all[0], (all[(n-1)/2] + all[n/2]) / 2, all[n-1]
}

// The programs that figures are given as multiples of.
var measures = []string{"ndpiReader", "softflowd"}

// Text writes the report for people: a table, how each program was called, and
// the figures once more as Go benchmarks are written.
func (r *Report) Text(w io.Writer) error {
	out := bufio.NewWriter(w)
	fmt.Fprintf(out, "%s: %d packets, %.2f GB; user and system time on one core\n\n", r.Capture, r.Packets, float64(r.Bytes)/1e9)
	table := tabwriter.NewWriter(out, 0, 0, 2, ' ', 0)
	fmt.Fprintf(table, "program\tversion\tpackets a run\truns\tCPU s\tpackets per CPU s\tslowest – fastest\tpeak RSS")
	for _, m := range measures {
		fmt.Fprintf(table, "\t× %s", m)
	}
	fmt.Fprintln(table)
	for i := range r.Results {
		p := &r.Results[i]
		slowest, median, fastest := p.Speeds()
		fmt.Fprintf(table, "%s\t%s\t%d\t%d\t%.1f\t%s\t%s – %s\t%.1f MB", p.Program, p.Version, p.Packets, len(p.Runs),
			p.CPU().Seconds(), millions(median), millions(slowest), millions(fastest), float64(p.Peak())/1e6)
		for _, m := range measures {
			fmt.Fprintf(table, "\t%s", r.times(median, m))
		}
		fmt.Fprintln(table)
	}
	table.Flush()
	fmt.Fprintln(out)
	for i := range r.Results {
		p := &r.Results[i]
		fmt.Fprintf(out, "%s %s\n", p.Program, strings.Join(p.Args, " "))
	}
	fmt.Fprintln(out)
	for i := range r.Results {
		r.Results[i].bench(out)
	}
	return out.Flush()
}

// bench writes one line as `go test -bench` does (golang.org/design/14313-benchmark-format).
func (r *Result) bench(out io.Writer) {
	_, median, _ := r.Speeds()
	if median == 0 {
		return
	}
	fmt.Fprintf(out, "BenchmarkPeers/%s\t%d\t%.1f ns/packet\t%.0f packets/cpu-s\t%.1f peak-MB\n", r.Program,
		r.Packets*uint64(len(r.Runs)), 1e9/median, median, float64(r.Peak())/1e6)
}

// times is a speed as a multiple of a program's, "-" when that did not run.
func (r *Report) times(speed float64, name string) string {
	for i := range r.Results {
		if _, median, _ := r.Results[i].Speeds(); r.Results[i].Program == name && median > 0 {
			return fmt.Sprintf("%.2f", speed/median)
		}
	}
	return "-"
}

func millions(speed float64) string { return fmt.Sprintf("%.3f M", speed/1e6) }
