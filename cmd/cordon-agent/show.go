package main

import (
	"context"
	"flag"
	"fmt"
	"os"
	"slices"
	"strings"
	"time"

	"cordon"
	"cordon/agent/control"
	"cordon/internal/cli"
	"cordon/internal/term"
)

// minute is how moments are written where milliseconds do not matter.
const minute = "2006-01-02 15:04 UTC"

func moment(t cordon.Time) string {
	if t == 0 {
		return "-"
	}
	return t.Std().Format(minute)
}

func statusCommand(stdout *os.File) cli.Command {
	return ask(stdout, cli.Command{Name: "status", Short: "say how the running agent is",
		Long: "Prints how the agent is: what it sees with, what is in force, and what it cannot\nsee or isolate, with what to change."},
		func(*flag.FlagSet) func(context.Context, *question, []string) error {
			return func(ctx context.Context, q *question, args []string) error {
				if err := none("status", args); err != nil {
					return err
				}
				st, err := q.client().Status(ctx)
				if err != nil {
					return err
				}
				return q.show(st, func(s *screen) { showStatus(s, &st) })
			}
		})
}

func showStatus(s *screen, st *control.Status) {
	s.printf("%s, mode %s, policy %s, for %s\n", s.bold("The agent runs"), st.Mode, st.Policy, cordon.Span(st.Uptime))
	if st.Why != "" {
		wrap(s, "  ", term.Escape(st.Why))
	}
	d := st.Devices
	devices := count(d.Known, "device")
	for _, n := range []struct {
		n    int
		what control.State
	}{{d.Quarantined, control.StateQuarantined}, {d.Blocked, control.StateBlocked}, {d.Limited, control.StateLimited}, {d.Watched, control.StateWatched}} {
		if n.n > 0 {
			devices += fmt.Sprintf(", %d %s", n.n, s.state(string(n.what), 0))
		}
	}
	s.printf("  %-10s %s\n", "home", devices)
	s.printf("  %-10s %s open\n", "incidents", count(st.Incidents, "incident"))
	var inForce []string
	for _, v := range []cordon.Verb{cordon.VerbQuarantine, cordon.VerbBlock, cordon.VerbLimit} {
		if n := st.InForce[v]; n > 0 {
			inForce = append(inForce, count(n, string(v)))
		}
	}
	if inForce == nil {
		inForce = []string{"nothing"}
	}
	s.printf("  %-10s %s; %s by hand\n", "in force", strings.Join(inForce, ", "), count(st.Allowed, "permission"))
	for _, p := range []struct {
		name string
		part control.Part
	}{{"eyes", st.Eyes}, {"hands", st.Hands}, {"DNS guard", st.Guard}, {"flash", st.Flash}} {
		line := s.state(p.part.State, 0)
		if p.part.Name != "" {
			line += " (" + p.part.Name + ")"
		}
		if p.part.Why != "" {
			line += ": " + term.Escape(p.part.Why)
		}
		s.printf("  %-10s %s\n", p.name, line)
	}
	showCore(s, st.Core)
	s.printf("  %-10s %.1f MB of %.0f MB, %.1f MB of it objects\n", "memory", float64(st.Memory.Resident)/1e6,
		float64(st.Memory.Limit)/1e6, float64(st.Memory.Heap)/1e6)
	if !st.ClockTrusted {
		s.printf("  %-10s not set yet: times are estimates\n", "clock")
	}
	s.printf("  %-10s %s\n", "version", term.Escape(st.Version))
	showBlind(s, st.Blind)
	showCounters(s, st.Counters)
}

func showBlind(s *screen, blind []control.Shortcoming) {
	if len(blind) == 0 {
		return
	}
	s.printf("\n%s\n", s.bold("WHAT CANNOT BE SEEN OR ISOLATED"))
	for _, b := range blind {
		wrap(s, fmt.Sprintf("  %-8s ", term.Escape(b.Port)), term.Escape(b.Lack+": "+b.Text))
		if b.Mend != "" {
			wrap(s, "           to mend it: ", term.Escape(b.Mend))
		}
	}
}

func showCounters(s *screen, counters map[string]uint64) {
	if len(counters) == 0 {
		return
	}
	s.printf("\n%s\n", s.bold("COUNTERS"))
	names := make([]string, 0, len(counters))
	for name := range counters {
		names = append(names, name)
	}
	slices.Sort(names)
	for _, name := range names {
		s.printf("  %-32s %d\n", term.Escape(name), counters[name])
	}
}

func devicesCommand(stdout *os.File) cli.Command {
	return ask(stdout, cli.Command{Name: "devices", Short: "list the home's devices and what is done about them",
		Long: "Lists the devices of the home: who they are, how far the agent may go with each,\nand what is in force. 'cordon-agent why DEVICE' says why."},
		func(*flag.FlagSet) func(context.Context, *question, []string) error {
			return func(ctx context.Context, q *question, args []string) error {
				if err := none("devices", args); err != nil {
					return err
				}
				list, err := q.client().Devices(ctx)
				if err != nil {
					return err
				}
				return q.show(list, func(s *screen) { showDevices(s, list) })
			}
		})
}

func showDevices(s *screen, list []control.Device) {
	if len(list) == 0 {
		s.printf("No device was seen yet.\n")
		return
	}
	rows := [][]string{{"NAME", "ADDRESS", "MAC", "MAKER", "CLASS", "POLICY", "STATE", "UNTIL", "LAST SEEN"}}
	for _, d := range list {
		addr := ""
		if len(d.Addresses) > 0 {
			addr = d.Addresses[0].String()
		}
		class := d.Class
		switch {
		case d.Router:
			class = "the router"
		case d.Relay:
			class += ", relay"
		}
		until := cordon.Time(0)
		for _, a := range d.Actions {
			if a.Mode == cordon.ModeDo && a.Verb != cordon.VerbNotify {
				until = max(until, a.Expires)
			}
		}
		rows = append(rows, []string{d.Name, addr, d.MAC, d.Maker, class, string(d.Policy), string(d.State), moment(until), moment(d.LastSeen)})
	}
	s.table("", rows)
}

func incidentsCommand(stdout *os.File) cli.Command {
	return ask(stdout, cli.Command{Name: "incidents", Short: "list what is going on",
		Long: "Lists the open incidents, newest first: which device, since when, what it did and\nwhat was done. 'cordon-agent why DEVICE' has the time line and the evidence."},
		func(fs *flag.FlagSet) func(context.Context, *question, []string) error {
			all := fs.Bool("all", false, "also those that are over, as far as they are remembered")
			return func(ctx context.Context, q *question, args []string) error {
				if err := none("incidents", args); err != nil {
					return err
				}
				list, err := q.client().Incidents(ctx, *all)
				if err != nil {
					return err
				}
				return q.show(list, func(s *screen) { showIncidents(s, list, *all) })
			}
		})
}

func showIncidents(s *screen, list []control.Incident, all bool) {
	if len(list) == 0 {
		if all {
			s.printf("No incident is remembered.\n")
		} else {
			s.printf("No incident is open.\n")
		}
		return
	}
	for n, i := range list {
		if n > 0 {
			s.printf("\n")
		}
		over := ""
		if !i.Open {
			over = ", over"
		}
		s.printf("%s %s  %s  %s%s\n", s.bold("INCIDENT"), i.ID, s.state(i.Level, 0), term.Escape(i.Label), over)
		s.printf("  device %s, since %s, last %s\n", term.Escape(i.Device), moment(i.Opened), moment(i.Last))
		s.printf("  found %s; %s\n", kinds(i.Kinds), done(i.Verbs, i.Mode))
		if text := i.Told; text != "" {
			wrap(s, "  ", term.Escape(text))
		} else if i.Story != "" {
			wrap(s, "  ", term.Escape(i.Story))
		}
	}
}

func kinds(list []cordon.Kind) string {
	names := make([]string, len(list))
	for i, k := range list {
		names[i] = term.Escape(string(k))
	}
	return dash(strings.Join(names, ", "))
}

// done says in words how far the agent went.
func done(verbs []cordon.Verb, mode cordon.Mode) string {
	names := make([]string, len(verbs))
	for i, v := range verbs {
		names[i] = term.Escape(string(v))
	}
	list := strings.Join(names, ", ")
	switch {
	case list == "":
		return "nothing was done"
	case mode == cordon.ModeWould:
		return "under another policy: " + list
	case mode == cordon.ModeAsk:
		return "the customer is asked for: " + list
	}
	return "done: " + list
}

func whyCommand(stdout *os.File) cli.Command {
	return ask(stdout, cli.Command{Name: "why", Args: "DEVICE", Short: "explain everything about one device",
		Long: "Says what is in force against a device, since when and until when, because of what,\nwhat does not work for it, and how to undo it. DEVICE is a MAC or IP address, a name,\nor the beginning of a name that only one has."},
		func(*flag.FlagSet) func(context.Context, *question, []string) error {
			return func(ctx context.Context, q *question, args []string) error {
				if len(args) != 1 {
					return cli.Usage("why: want one DEVICE; 'cordon-agent devices' lists them")
				}
				e, err := q.client().Why(ctx, args[0])
				if err != nil {
					return err
				}
				return q.show(e, func(s *screen) { showWhy(s, &e) })
			}
		})
}

func showWhy(s *screen, e *control.Explanation) {
	d := &e.Device
	label := d.Name
	if label == "" {
		label = "device " + d.ID
	}
	s.printf("%s  %s\n", s.bold(term.Escape(label)), s.state(string(d.State), 0))
	wrap(s, "  ", term.Escape(e.Summary))
	addrs := make([]string, len(d.Addresses))
	for i, a := range d.Addresses {
		addrs[i] = a.String()
	}
	s.printf("\n  %-10s %s %s\n", "is", d.ID, strings.Join(addrs, " "))
	wrap(s, fmt.Sprintf("  %-10s ", "class"), term.Escape(d.Class+reasons(d.Reasons)))
	s.printf("  %-10s %s\n", "policy", d.Policy)
	s.printf("  %-10s %s to %s\n", "seen", moment(d.FirstSeen), moment(d.LastSeen))
	showInForce(s, e)
	for _, i := range e.Incidents {
		showIncident(s, &i)
	}
}

func reasons(list []string) string {
	if len(list) == 0 {
		return ""
	}
	return ", because it " + strings.Join(list, ", ")
}

// showInForce prints what is in force, what that means, and the way back.
func showInForce(s *screen, e *control.Explanation) {
	if len(e.Device.Actions) > 0 {
		s.printf("\n%s\n", s.bold("WHAT IS DONE"))
	}
	for _, a := range e.Device.Actions {
		showAction(s, &a)
	}
	if len(e.Undo) > 0 {
		s.printf("\n%s\n", s.bold("HOW TO UNDO IT"))
	}
	for _, u := range e.Undo {
		wrap(s, "  ", term.Escape(u.Text))
		s.printf("      %s\n", term.Escape(u.Command))
	}
	if len(e.Allowed) > 0 {
		s.printf("\n%s\n", s.bold("ALWAYS ALLOWED"))
	}
	for _, a := range e.Allowed {
		showAllowed(s, &a)
	}
}

func showAction(s *screen, a *control.Action) {
	by := "the agent"
	if a.By != "" {
		by = a.By
	}
	mode := map[cordon.Mode]string{cordon.ModeAsk: " (asked for)", cordon.ModeWould: " (only shown)"}[a.Mode]
	s.printf("  %s%s by %s, since %s, until %s  %s\n", a.Verb, mode, term.Escape(by), moment(a.At), moment(a.Expires), a.ID)
	if a.Reason != "" {
		wrap(s, "      because: ", term.Escape(a.Reason))
	}
	if a.Stops != "" {
		wrap(s, "      effect: ", term.Escape(a.Stops))
	}
}

func showAllowed(s *screen, a *control.Allowed) {
	until := "as the configuration says"
	if a.Expires != 0 {
		until = "until " + moment(a.Expires)
	}
	who := "all devices"
	if a.Device != "" {
		who = a.Device
	}
	s.printf("  %s for %s %s  %s\n", term.Escape(a.To), term.Escape(who), until, a.ID)
	if a.By != "" || a.Reason != "" {
		wrap(s, "      ", term.Escape(strings.TrimSpace("by "+dash(a.By)+": "+dash(a.Reason))))
	}
}

// showIncident prints an incident with its time line and the evidence.
func showIncident(s *screen, i *control.Incident) {
	s.printf("\n%s %s  %s\n", s.bold("INCIDENT"), i.ID, s.state(i.Level, 0))
	s.printf("  since %s, %s; %s\n", moment(i.Opened), kinds(i.Kinds), done(i.Verbs, i.Mode))
	if i.Told != "" {
		wrap(s, "  TO THE CUSTOMER: ", term.Escape(i.Told))
	}
	wrap(s, "  ", term.Escape(i.Story))
	for _, m := range i.Timeline {
		showMoment(s, i, &m)
	}
	if i.Omitted > 0 {
		s.printf("  … and %d more\n", i.Omitted)
	}
}

func showMoment(s *screen, i *control.Incident, m *control.Moment) {
	what, times := "action", ""
	if m.Kind != "" {
		what = fmt.Sprintf("%s %s  %s", m.Kind, m.Technique, m.Subject)
	}
	if m.Count > 1 {
		times = fmt.Sprintf("  (%d times)", m.Count)
	}
	s.printf("  %s  %s  %s%s\n", m.At.Std().Format(stamp), s.state(m.Level, 6), term.Escape(what), times)
	wrap(s, "      ", term.Escape(m.Text))
	n := slices.IndexFunc(i.Detections, func(d control.Detection) bool { return d.ID == m.Ref })
	if n < 0 {
		return
	}
	d := &i.Detections[n]
	for _, e := range d.Evidence {
		s.printf("      - %s\n", term.Escape(evidence(e)))
	}
	if d.PeerName != "" {
		s.printf("      - the device had asked for it as %s\n", term.Escape(d.PeerName))
	}
	if len(d.Samples) > 0 {
		wrap(s, "      - for example ", term.Escape(strings.Join(d.Samples, ", ")))
	}
}

// life is a flag: a duration that may be given in days and weeks.
type life time.Duration

func (l *life) String() string { return cordon.Span(time.Duration(*l)) }

// Set reads "30m", "12h", "7d" or "2w".
func (l *life) Set(s string) error {
	units := map[byte]time.Duration{'m': time.Minute, 'h': time.Hour, 'd': 24 * time.Hour, 'w': 7 * 24 * time.Hour}
	var n int
	var unit byte
	if _, err := fmt.Sscanf(s, "%d%c", &n, &unit); err != nil || units[unit] == 0 || fmt.Sprintf("%d%c", n, unit) != s ||
		n < 1 || n > int(cordon.MaxLife/units[unit]) {
		return fmt.Errorf("want a duration such as 30m, 12h, 7d or 2w, at most %s", cordon.Span(cordon.MaxLife))
	}
	*l = life(time.Duration(n) * units[unit])
	return nil
}
