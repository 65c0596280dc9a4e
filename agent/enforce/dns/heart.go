package dns

import (
	"context"
	"fmt"
	"slices"
	"time"

	"cordon"
	"cordon/agent/enforce/dns/detour"
)

// What opens the guard within three seconds: a hung process does not renew, and
// its rules lapse; who does not beat any more, or a reader that does not come
// back from Decide, is seen by the heart, which takes the rules away.
const (
	renewEvery = 500 * time.Millisecond
	maxBeat    = 2200 * time.Millisecond
	maxBusy    = 1500 * time.Millisecond
)

// Why the guard is open, as Stats.Open says it.
const (
	reasonNotRunning = "not running"
	reasonNoLAN      = "no LAN interface is known"
	reasonNoBeat     = "the agent does not judge any more"
	reasonBusy       = "a question was not judged in time"
)

// SetLAN replaces the interfaces that devices come in by.
func (g *Guard) SetLAN(names []string) {
	names = slices.DeleteFunc(slices.Clone(names), func(s string) bool { return s == "" || len(s) > 15 })
	slices.Sort(names)
	names = slices.Compact(names)
	if old := g.lan.Swap(&names); old != nil && slices.Equal(*old, names) {
		return
	}
	select {
	case g.changed <- struct{}{}:
	default:
	}
}

// SetNetwork replaces the interfaces by those of the network: IP packets come in
// by a bridge, not by its ports.
func (g *Guard) SetNetwork(n *cordon.Network) {
	var names []string
	for _, p := range n.LAN {
		if p.Bridge != "" {
			names = append(names, p.Bridge)
		} else {
			names = append(names, p.Name)
		}
	}
	g.SetLAN(names)
}

// heart keeps the guard's rules alive while all is well.
type heart struct {
	g       *Guard
	way     *detour.Way
	readers []*reader
}

// run renews the rules until ctx is done, then opens the guard.
func (h *heart) run(ctx context.Context, routesChanged <-chan struct{}) {
	ticker := time.NewTicker(renewEvery)
	defer ticker.Stop()
	for {
		h.pulse()
		select {
		case <-ctx.Done():
			return
		case <-ticker.C:
		case <-routesChanged:
		case <-h.g.changed:
		}
	}
}

// pulse renews the rules if all is well, and takes them away if not.
func (h *heart) pulse() {
	lan := *h.g.lan.Load()
	why := h.sick(lan)
	if why == "" {
		if err := h.way.Renew(lan); err != nil {
			h.g.count.failures.Add(1)
			why = err.Error()
		}
	}
	if why != "" {
		h.openUp()
	} else {
		h.g.count.renewals.Add(1)
	}
	h.tell(why)
}

// sick returns why the guard must not intercept now.
func (h *heart) sick(lan []string) string {
	if len(lan) == 0 {
		return reasonNoLAN
	}
	if path := detour.Bridged(lan); path != "" {
		return fmt.Sprintf("%s is not 0: tproxy loses its sockets", path)
	}
	now := h.g.now()
	if now-h.g.beaten.Load() > int64(maxBeat) {
		return reasonNoBeat
	}
	for _, r := range h.readers {
		if since := r.busy.Load(); since != 0 && now-since > int64(maxBusy) {
			return reasonBusy
		}
	}
	return ""
}

// openUp takes the rules away, if they are there.
func (h *heart) openUp() {
	if err := h.way.Lift(); err != nil {
		h.g.count.failures.Add(1) // tried again at the next pulse; the rules lapse anyway
	}
}

// tell logs and keeps whether the guard is in force, when that has changed.
func (h *heart) tell(why string) {
	var open *string
	if why != "" {
		open = &why
	}
	old := h.g.open.Swap(open)
	switch {
	case why == "" && old != nil:
		h.g.log.Info("dns guard in force", "lan", *h.g.lan.Load())
	case why != "" && (old == nil || *old != why):
		h.g.log.Warn("dns guard open", "reason", why)
	}
}

// stop opens the guard for good.
func (h *heart) stop() error {
	err := h.way.Remove()
	why := reasonNotRunning
	h.g.open.Store(&why)
	return err
}
