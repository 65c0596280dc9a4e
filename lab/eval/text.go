package eval

import (
	"bufio"
	"fmt"
	"io"
	"strings"
	"time"
	"unicode/utf8"

	"cordon/internal/term"
)

// Text writes the report as tables for people: every check, then the totals of
// each run.
func (r *Report) Text(w io.Writer) error {
	out := bufio.NewWriter(w)
	totals, rest := r.Totals(), r.Verdicts
	for _, t := range totals {
		fmt.Fprintf(out, "run: %s\n\n", t.Run)
		var table grid
		table.row("capture", "check", "result", "at", "delay", "level", "device")
		for _, v := range rest[:t.Captures] {
			v.rows(&table)
		}
		table.write(out)
		fmt.Fprintln(out)
		t.text(out)
		rest = rest[t.Captures:]
	}
	if len(totals) > 1 {
		summary(out, totals)
	}
	return out.Flush()
}

// rows is one row for each check; the capture's name stands on the first.
func (v *Verdict) rows(table *grid) {
	name := term.Escape(v.File)
	for i := range v.Checks {
		c := &v.Checks[i]
		table.row(append([]string{name}, c.cells()...)...)
		name = ""
	}
}

func (c *Check) cells() []string {
	check, level, more := c.wanted(), "", c.Text
	switch c.About {
	case AboutOutcome:
		check, level = "outcome "+c.Want.String(), c.Level.String()
	case AboutAct:
		check = "outcome act in time"
	case AboutCapture:
		check = "capture"
	case AboutMust:
		if len(c.Kinds) > 1 && c.Kind != "" {
			more = strings.TrimSpace(string(c.Kind) + " " + more)
		}
	}
	if c.Kind != "" {
		level = c.Level.String()
	}
	if c.Count > 1 {
		more = strings.TrimSpace(fmt.Sprintf("%d× %s", c.Count, more))
	}
	at, delay := "", ""
	if c.At != nil {
		at = fmt.Sprintf("%.3f s", c.At.Seconds())
	}
	if c.Delay != nil {
		delay = fmt.Sprintf("%+.3f s", c.Delay.Seconds())
	}
	return []string{check, string(c.State), at, delay, level, c.Device, term.Escape(more)}
}

func (t *Total) text(out io.Writer) {
	var table grid
	table.row("kind", "found", "missed", "not built", "median delay", "longest delay")
	for _, k := range t.Kinds {
		table.row(k.Name, fmt.Sprint(k.Found), fmt.Sprint(k.Missed), fmt.Sprint(k.Unbuilt), span(k.Median()), span(k.Max()))
	}
	if len(t.Kinds) > 0 {
		table.write(out)
		fmt.Fprintln(out)
	}
	if b := &t.Benign; b.Captures > 0 {
		fmt.Fprintf(out, "%s, %.2f device-days: %s, %.4g a device-day; at notify or act %d, %.4g a device-day\n",
			plural(b.Captures, "benign capture"), b.days(), plural(b.Alarms, "false alarm"), b.PerDay(b.Alarms), b.Disturbing, b.PerDay(b.Disturbing))
		fmt.Fprintf(out, "(device-days: each device from its first to its last packet, silences of the capture over %v counted as %v; at least the capture's length)\n",
			hours(maxGap), hours(maxGap))
	}
	fmt.Fprintf(out, "%s: %d missed, %s, %d not built, %s\n\n", plural(t.Captures, "capture"), t.Missed,
		plural(t.Alarms, "false alarm"), t.Unbuilt, plural(t.Errors, "error"))
}

// summary sets the runs side by side.
func summary(out io.Writer, totals []Total) {
	var table grid
	table.row("run", "captures", "missed", "false alarms", "not built", "errors")
	for _, t := range totals {
		table.row(t.Run, fmt.Sprint(t.Captures), fmt.Sprint(t.Missed), fmt.Sprint(t.Alarms), fmt.Sprint(t.Unbuilt), fmt.Sprint(t.Errors))
	}
	table.write(out)
}

// plural is n things: "1 capture", "2 captures".
func plural(n int, thing string) string {
	if n != 1 {
		thing += "s"
	}
	return fmt.Sprintf("%d %s", n, thing)
}

func hours(d time.Duration) string { return fmt.Sprintf("%g h", d.Hours()) }

// span formats a delay to the millisecond, "-" without one.
func span(d time.Duration, ok bool) string {
	if !ok {
		return "-"
	}
	return fmt.Sprintf("%.3f s", d.Seconds())
}

// grid is a table of text, its columns as wide as they must be.
type grid struct{ rows [][]string }

func (g *grid) row(cells ...string) { g.rows = append(g.rows, cells) }

func (g *grid) write(out io.Writer) {
	var widths []int
	for _, row := range g.rows {
		for i, cell := range row {
			if i == len(widths) {
				widths = append(widths, 0)
			}
			widths[i] = max(widths[i], utf8.RuneCountInString(cell))
		}
	}
	for _, row := range g.rows {
		var line strings.Builder
		for i, cell := range row {
			line.WriteString(cell + strings.Repeat(" ", widths[i]-utf8.RuneCountInString(cell)+2))
		}
		fmt.Fprintln(out, strings.TrimRight(line.String(), " "))
	}
}
