package agent

import (
	"fmt"
	"runtime"
	"runtime/debug"
	"time"

	"cordon"
	"cordon/agent/control"
	"cordon/internal/memory"
)

// Status says how the agent is.
func (l *live) Status() control.Status {
	s := control.Status{
		Version: version(), Mode: "normal", Policy: l.SitePolicy(), Started: cordon.TimeOf(l.begun),
		Uptime: time.Since(l.begun).Round(time.Second), ClockTrusted: l.trusted(),
		InForce: make(map[cordon.Verb]int), Eyes: l.seen, Guard: l.guardPart(), Hands: l.hands(), Flash: l.flash(),
		Blind: []control.Shortcoming{}, Memory: memoryView(l.cfg.Limits.Memory), Counters: l.counters(),
	}
	if l.run.Safe() {
		s.Mode, s.Why = "safe", fmt.Sprintf("it ended badly %d times in a row: nothing is judged, what is in force stays until its end", l.run.Crashes)
	}
	l.Tally(&s)
	s.Core = l.coreView()
	for _, p := range l.network.LAN {
		s.Blind = append(s.Blind, lacks(p.Name, "blind", p.Blind)...)
		s.Blind = append(s.Blind, lacks(p.Name, "cannot isolate", p.CannotIsolate)...)
	}
	return s
}

func lacks(port, lack string, list []cordon.Shortcoming) (views []control.Shortcoming) {
	for _, s := range list {
		views = append(views, control.Shortcoming{Port: port, Lack: lack, Name: s.Name, Text: s.Text, Mend: s.Mend})
	}
	return views
}

// hands says how what is in force gets there.
func (l *live) hands() control.Part {
	p := control.Part{Name: "nft", State: control.PartOK}
	switch n := l.troubles[doingTables] + l.Pipeline.Summary.Failed; {
	case len(l.network.LAN) == 0:
		p.State, p.Why = control.PartFailed, "no port of the home's side was found"
	case n > 0:
		p.State, p.Why = control.PartDegraded, fmt.Sprintf("%d changes could not be made; the log says which", n)
	}
	return p
}

// flash says how what must survive is kept.
func (l *live) flash() control.Part {
	p, s := control.Part{State: control.PartOK}, l.store.Stats()
	switch {
	case s.Error != "":
		p.State, p.Why = control.PartFailed, s.Error
	case l.lost != nil:
		p.State, p.Why = control.PartDegraded, "at the start: "+l.lost.Error()
	case s.Deferred:
		p.State, p.Why = control.PartDegraded, "it waits: today's budget of writing is used up"
	}
	return p
}

// counters are what a person looks at when something seems wrong.
func (l *live) counters() map[string]uint64 {
	s, flows := &l.Pipeline.Summary, l.Pipeline.Flows.Stats()
	c := map[string]uint64{
		"frames": s.Frames, "bytes": s.Bytes, "unreadable": s.Unreadable, "actions_failed": s.Failed,
		"flows_opened": flows.Opened, "flows_evicted": flows.Evicted, "packets_unowned": flows.Unowned,
		"packets_unsought": flows.Unsought, "devices_evicted": l.Pipeline.Devices.Evicted(), "tables_repaired": l.repaired,
	}
	for kind, n := range s.Detections {
		c["detected."+string(kind)] = n
	}
	for doing, n := range l.troubles {
		c["trouble."+doing] = n
	}
	return c
}

func memoryView(limit int64) control.Memory {
	var m runtime.MemStats
	runtime.ReadMemStats(&m)
	return control.Memory{Resident: memory.Resident(), Heap: int64(m.HeapAlloc), Limit: limit}
}

// release is the version of a release, set when it is built (-X).
var release string

func version() string {
	if release != "" {
		return release
	}
	if info, ok := debug.ReadBuildInfo(); ok && info.Main.Version != "" {
		return info.Main.Version
	}
	return "devel"
}
