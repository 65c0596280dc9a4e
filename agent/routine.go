package agent

import (
	"context"
	"errors"
	"net/netip"
	"time"

	"cordon"
	"cordon/agent/enforce/nft"
	"cordon/agent/home"
	"cordon/internal/clock"
	"cordon/internal/memory"
)

// doingTables names trouble with the kernel's tables.
const doingTables = "keep the kernel's tables"

// kernelCheckEvery is how often the kernel's tables are compared with what they
// should be. Another program may have flushed them.
const kernelCheckEvery = 30 * time.Second

// saveEvery is how often the state is saved, and the kernel told, when nothing new
// happened: what is in force may have been renewed.
const saveEvery = 10 * time.Minute

// routine does what is looked after each second. It runs on the pipeline's goroutine.
func (l *live) routine(now cordon.Time) {
	if l.guard != nil {
		l.guard.Beat()
	}
	l.correct()
	if now.Sub(l.checked) >= kernelCheckEvery {
		l.checked = now
		drift, err := l.kernel.Check(l.ctx)
		l.Check(doingTables, err)
		if len(drift.Found) > 0 {
			l.log.Warn("somebody changed the kernel's tables", "found", drift.Found, "repaired", drift.Repaired)
			l.repaired++
		}
	}
	l.changed = true // what ended meanwhile is not in force any more
	if l.dirty || now.Sub(l.savedAt) >= saveEvery {
		l.dirty, l.savedAt = false, now
		l.refresh()
		l.save()
	}
}

// refresh tells the kernel again where the devices are that are cut off: it holds
// their addresses for an hour only, since addresses pass to others.
func (l *live) refresh() {
	for _, d := range l.Pipeline.Devices.All() {
		if r := l.view.Load().Find(netip.Addr{}, d.MAC); d.HasMAC && r != nil && r.Quarantine != nil && l.Pipeline.Now.Sub(d.LastSeen) < saveEvery {
			l.Check(doingTables, l.kernel.Move(l.ctx, d))
		}
	}
}

// correct follows the wall clock when it is set.
func (l *live) correct() {
	before := l.Pipeline.Clock.Correction()
	by, changed := l.epoch.Correction(l.wallClock(), clock.Monotonic(), before)
	if changed {
		l.Pipeline.Clock.Correct(by)
		l.log.Info("clock set", "by", time.Duration(by).Round(time.Second))
		l.dirty = true
	}
	if !l.wasSet && l.trusted() {
		l.wasSet = true
		if l.line != nil {
			l.line.Corrected(time.Duration(by - before))
		}
	}
}

// Check logs an error, once for each sort of trouble and minute, and counts it.
func (l *live) Check(doing string, err error) {
	if err == nil {
		return
	}
	l.troubles[doing]++
	if now := l.Pipeline.Now; now.Sub(l.complained[doing]) >= time.Minute || l.troubles[doing] == 1 {
		l.complained[doing] = now
		l.log.Warn("trouble", "doing", doing, "times", l.troubles[doing], "err", err,
			"unknown", errors.Is(err, cordon.ErrUnknown))
	}
}

// touched says that something changed that other goroutines and the flash should
// know of.
func (l *live) touched() { l.changed, l.dirty = true, true }

// Asked says that a person wanted the change, so that no power cut may undo it.
func (l *live) Asked() {
	l.touched()
	l.urgent = true
}

// publish gives the other goroutines a new view.
func (l *live) publish() {
	devices := l.Pipeline.Devices.All()
	inForce := l.Pipeline.Enforcer.Active(l.Pipeline.Now)
	for i := range inForce {
		inForce[i].At, inForce[i].Expires = l.Pipeline.Wall(inForce[i].At), l.Pipeline.Wall(inForce[i].Expires)
	}
	l.view.Store(home.NewView(devices, inForce, l.Pipeline.Incidents.Open(), l.PolicyOf))
	l.Check(doingTables, l.kernel.Shield(l.ctx, l.shielded(devices)))
}

// shielded lists the devices that cannot be mended by their owners: nobody from the
// internet may knock at the ports that malware probes. What is opened on purpose is
// mostly a web page, so those ports stay.
func (l *live) shielded(devices []*cordon.Device) (list []nft.Shielded) {
	for _, d := range devices {
		if d.Gateway || d.Class != cordon.IoT && d.Class != cordon.Unknown || l.PolicyOf(d) != cordon.PolicyProtect {
			continue
		}
		for _, a := range d.Addrs {
			if !a.IsLinkLocalUnicast() {
				list = append(list, nft.Shielded{Addr: a, Open: webPorts})
			}
		}
	}
	return list
}

// webPorts are the ports of web pages.
var webPorts = func() (ports []uint16) {
	for _, c := range cordon.PortClasses() {
		if c.Web {
			ports = append(ports, c.Ports...)
		}
	}
	return ports
}()

// The watchdog's times.
const (
	// hungAfter is how long the pipeline may take for one thing. A full flow table
	// takes milliseconds, a netlink time-out five seconds.
	hungAfter    = 15 * time.Second
	watchedEvery = time.Second
	// giveBackAfter is when the start is over, giveBackEvery how often memory is
	// given back while there is little left of what the process may have.
	giveBackAfter = 10 * time.Second
	giveBackEvery = time.Minute
)

// errHung and errMemory are why the watchdog ends the process; what started it
// starts it again, and the kernel's tables stay meanwhile.
var (
	errHung   = errors.New("the pipeline hangs")
	errMemory = errors.New("the process takes too much memory")
)

// watch ends the agent when the pipeline hangs or the process grows beyond bounds.
// Twice the memory that it should keep below is beyond: on the way there, what can
// be given back is given back.
func (l *live) watch(ctx context.Context) error {
	tick := time.NewTicker(watchedEvery)
	defer tick.Stop()
	due := time.Now().Add(giveBackAfter)
	for {
		select {
		case <-ctx.Done():
			return nil
		case <-tick.C:
		}
		if beat := l.beat.Load(); beat != 0 && time.Duration(clock.Monotonic()-beat) > hungAfter {
			close(l.hung)
			return errHung
		}
		rss := memory.Resident()
		if rss > 2*l.cfg.Limits.Memory {
			return errMemory
		}
		if now := time.Now(); now.After(due) && (rss > l.cfg.Limits.Memory*9/10 || due.Before(l.begun.Add(giveBackAfter+time.Second))) {
			due = now.Add(giveBackEvery)
			memory.GiveBack()
		}
	}
}
