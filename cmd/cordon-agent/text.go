package main

import (
	"bufio"
	"fmt"
	"io"
	"strconv"
	"strings"
	"text/tabwriter"
	"time"

	"cordon"
	"cordon/agent"
	"cordon/internal/term"
)

// maxListed bounds what the text report keeps of each sort until it is printed.
const maxListed = 1000

// stamp is how a moment is written for people: UTC, to the millisecond.
const stamp = "2006-01-02 15:04:05.000"

// width is the column at which sentences are wrapped.
const width = 100

// textReport collects what was found and prints it for a person at the end. All
// text from packets is escaped.
type textReport struct {
	w          io.Writer
	color      bool
	policy     cordon.Policy
	name       string
	devices    []*cordon.Device
	detections map[string]*cordon.Detection // the first of each kind, level and subject of a device
	seen       map[string]bool
	actions    []*cordon.Action
	incidents  []*cordon.Incident
	unlisted   int
}

func newTextReport(w io.Writer, color bool, policy cordon.Policy, name string) *textReport {
	return &textReport{w: w, color: color, policy: policy, name: name,
		detections: make(map[string]*cordon.Detection), seen: make(map[string]bool)}
}

func (r *textReport) Device(d *cordon.Device) { r.devices = keep(r, r.devices, d) }

func (r *textReport) Action(a *cordon.Action) { r.actions = keep(r, r.actions, a) }

func (r *textReport) Incident(i *cordon.Incident) { r.incidents = keep(r, r.incidents, i) }

func (r *textReport) Detection(d *cordon.Detection) {
	key := d.Device.ID + string(d.Kind) + d.Level.String() + d.Subject
	if !r.seen[key] && len(r.seen) < maxListed {
		r.seen[key] = true
		r.detections[d.ID] = d
	}
}

func keep[T any](r *textReport, list []T, v T) []T {
	if len(list) == maxListed {
		r.unlisted++
		return list
	}
	return append(list, v)
}

// Finish prints the report.
func (r *textReport) Finish(s agent.Summary) error {
	b := bufio.NewWriter(r.w)
	r.header(b, s)
	r.printDevices(b)
	switch {
	case r.policy == cordon.PolicyOff:
		fmt.Fprintf(b, "\n%s (policy off)\n", r.bold("NOTHING WAS JUDGED"))
	case len(r.incidents) == 0 && s.Frames > 0:
		fmt.Fprintf(b, "\n%s\n", r.bold("NO INCIDENT"))
	}
	for _, i := range r.incidents {
		r.printIncident(b, i)
	}
	r.printActions(b)
	r.printCounts(b, s)
	return b.Flush()
}

func (r *textReport) header(w io.Writer, s agent.Summary) {
	fmt.Fprintf(w, "%s %s\n", r.bold("CAPTURE"), term.Escape(r.name))
	if s.Frames == 0 {
		fmt.Fprintln(w, "  no packet")
		return
	}
	fmt.Fprintf(w, "  %s to %s UTC (%s), %s, %s and the router\n", s.First.Std().Format(stamp),
		s.Last.Std().Format(stamp), s.Last.Sub(s.First).Round(time.Millisecond), count(int(s.Frames), "packet"),
		count(s.Devices, "device"))
	if s.Flows.Opened == 0 {
		fmt.Fprintln(w, "  No conversation of the home was seen: name the home's prefixes with --home.")
	}
}

func (r *textReport) printDevices(w io.Writer) {
	if len(r.devices) == 0 {
		return
	}
	fmt.Fprintf(w, "\n%s\n", r.bold("DEVICES"))
	t := tabwriter.NewWriter(w, 0, 4, 2, ' ', 0)
	fmt.Fprintln(t, "  NAME\tADDRESS\tMAC\tMAKER\tCLASS\tBECAUSE IT")
	for _, d := range r.devices {
		mac := "-"
		if d.HasMAC {
			mac = d.MAC.String()
		}
		if d.Randomised {
			mac += " (random)"
		}
		addr := "-"
		if len(d.Addrs) > 0 {
			addr = d.Addrs[0].String()
		}
		fmt.Fprintf(t, "  %s\t%s\t%s\t%s\t%s\t%s\n", dash(term.Cut(term.Escape(d.Name), 20)), addr, mac,
			dash(term.Cut(term.Escape(d.Maker), 16)), d.Class, term.Cut(term.Escape(strings.Join(d.Reasons, ", ")), 60))
	}
	t.Flush()
}

func (r *textReport) printIncident(w io.Writer, i *cordon.Incident) {
	fmt.Fprintf(w, "\n%s %s  %s  %s\n", r.bold("INCIDENT"), i.ID, r.level(i.Level), term.Escape(i.Device.Label()))
	fmt.Fprintf(w, "  device %s, since %s UTC\n", term.Escape(ident(i.Device)), i.Opened.Std().Format(stamp))
	if i.Told != "" {
		fmt.Fprintln(w)
		wrap(w, "  TO THE CUSTOMER: ", term.Escape(i.Told))
	}
	fmt.Fprintln(w)
	wrap(w, "  ", term.Escape(i.Story))
	fmt.Fprintln(w)
	for _, m := range i.Timeline {
		r.printMoment(w, m)
	}
	if i.Omitted > 0 {
		fmt.Fprintf(w, "  … and %d more\n", i.Omitted)
	}
}

func (r *textReport) printMoment(w io.Writer, m cordon.Moment) {
	what := "action"
	if m.Kind != "" {
		what = fmt.Sprintf("%s %s  %s", m.Kind, m.Technique, term.Escape(m.Subject))
	}
	times := ""
	if m.Count > 1 {
		times = fmt.Sprintf("  (%d times)", m.Count)
	}
	fmt.Fprintf(w, "  %s  %s  %s%s\n", m.At.Std().Format("15:04:05.000"), r.level(m.Level), what, times)
	wrap(w, "                ", term.Escape(m.Text))
	d := r.detections[m.Ref]
	if d == nil {
		return
	}
	for _, e := range d.Evidence {
		fmt.Fprintf(w, "                - %s\n", term.Escape(evidence(e)))
	}
	if d.PeerName != "" {
		fmt.Fprintf(w, "                - the device had asked for it as %s\n", term.Escape(d.PeerName))
	}
	if len(d.Samples) > 0 {
		fmt.Fprintf(w, "                - for example %s\n", term.Escape(strings.Join(d.Samples, ", ")))
	}
}

func evidence(e cordon.Evidence) string {
	s := fmt.Sprintf("%s: %s", e.Name, number(e.Value))
	if e.Threshold != 0 {
		s += fmt.Sprintf(", enough are %s", number(e.Threshold))
	}
	if e.Window != 0 {
		s += fmt.Sprintf(", within %s", e.Window)
	}
	return s
}

func number(v float64) string { return strconv.FormatFloat(v, 'g', 6, 64) }

func (r *textReport) printActions(w io.Writer) {
	if len(r.actions) == 0 {
		return
	}
	fmt.Fprintf(w, "\n%s (policy %s; a replay does nothing)\n", r.bold("WHAT WOULD HAVE BEEN DONE"), r.policy)
	for _, a := range r.actions {
		fmt.Fprintf(w, "  %s  %-10s %-5s %s, until %s\n", a.At.Std().Format("15:04:05.000"), a.Verb, a.Mode,
			term.Escape(entity(a.Entity)), a.Expires.Std().Format("2006-01-02 15:04"))
	}
}

func entity(e cordon.Entity) string {
	s := "device " + e.Device
	if len(e.Target.Ports) > 0 {
		ports := make([]string, len(e.Target.Ports))
		for i, p := range e.Target.Ports {
			ports[i] = strconv.Itoa(int(p))
		}
		s += " to port " + strings.Join(ports, ", ")
	}
	if e.Target.LocalPort != 0 {
		s += " from its port " + strconv.Itoa(int(e.Target.LocalPort))
	}
	if e.Target.Peer.IsValid() {
		s += " to " + e.Target.Peer.String()
	}
	if e.Target.Name != "" {
		s += " to " + e.Target.Name
	}
	return s
}

func (r *textReport) printCounts(w io.Writer, s agent.Summary) {
	fmt.Fprintf(w, "\n%s\n", r.bold("COUNTS"))
	fmt.Fprintf(w, "  %d packets (%d unreadable), %d bytes; %d flows (%d evicted)\n", s.Frames, s.Unreadable, s.Bytes,
		s.Flows.Opened, s.Flows.Evicted)
	fmt.Fprintf(w, "  incidents: %d act, %d notify, %d watch\n", s.Incidents[cordon.Act], s.Incidents[cordon.Notify],
		s.Incidents[cordon.Watch])
	for _, k := range cordon.Kinds() {
		if n := s.Detections[k]; n > 0 {
			fmt.Fprintf(w, "  %s: %d\n", k, n)
		}
	}
	if s.Failed > 0 {
		fmt.Fprintf(w, "  %d actions found no room: too many are in force\n", s.Failed)
	}
	if s.Flows.Unsought > 0 {
		fmt.Fprintf(w, "  answers to nothing the home asked: %d (backscatter or a cut capture)\n", s.Flows.Unsought)
	}
	if s.ClockSteps > 0 {
		fmt.Fprintf(w, "  the capture's clock was set back %d times\n", s.ClockSteps)
	}
	if s.Forgotten > 0 {
		fmt.Fprintf(w, "  %d devices were forgotten to make room\n", s.Forgotten)
	}
	if r.unlisted > 0 {
		fmt.Fprintf(w, "  %d more devices, actions or incidents are not listed; --json lists all\n", r.unlisted)
	}
}

func (r *textReport) bold(s string) string { return r.paint("1", s) }

func (r *textReport) level(l cordon.Level) string {
	padded := fmt.Sprintf("%-6s", l)
	switch l {
	case cordon.Act:
		return r.paint("1;31", padded)
	case cordon.Notify:
		return r.paint("33", padded)
	}
	return padded
}

func (r *textReport) paint(code, s string) string {
	if !r.color {
		return s
	}
	return "\x1b[" + code + "m" + s + "\x1b[0m"
}

func ident(d *cordon.Device) string {
	if a := d.Addr(); a.IsValid() && a.String() != d.ID {
		return d.ID + " (" + a.String() + ")"
	}
	return d.ID
}

func count(n int, noun string) string {
	if n == 1 {
		return "1 " + noun
	}
	return fmt.Sprintf("%d %ss", n, noun)
}

func dash(s string) string {
	if s == "" {
		return "-"
	}
	return s
}

// wrap prints text in lines of at most width columns, the first behind indent.
func wrap(w io.Writer, indent, text string) {
	line, empty := indent, true
	for _, word := range strings.Fields(text) {
		if len(line)+1+len(word) > width && !empty {
			fmt.Fprintln(w, line)
			line, empty = strings.Repeat(" ", len(indent)), true
		}
		if !empty {
			line += " "
		}
		line, empty = line+word, false
	}
	fmt.Fprintln(w, line)
}
