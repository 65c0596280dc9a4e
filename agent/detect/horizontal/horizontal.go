// Package horizontal judges scan.horizontal: one service, many hosts that do not
// answer.
//
// It is a threshold random walk (Jung, Paxson, Berger and Balakrishnan, Fast
// Portscan Detection Using Sequential Hypothesis Testing, 2004) per device and
// class of ports. A scanner's first contacts fail four times in five, a healthy
// device's succeed four times in five (θ₁ = 0.2, θ₀ = 0.8, the paper's §4.3 and
// Zeek's trw-impl), so each failure multiplies the likelihood ratio by four and
// each success divides it by four: the walk is counted in steps of log₄. It never
// falls below zero, so that a long healthy past does not shield a device that
// was infected today (Page, Continuous Inspection Schemes, 1954).
//
// Counting is optimistic: a first contact counts as failed at once and is undone
// by the answer, so that a scan is told within milliseconds and not after its
// time-outs. On web ports, where people's programs also go without DNS in sight,
// a contact counts once it has failed, and answers are remembered for the failures
// that come after them. A contact that the device's own DNS query led to never
// counts, and nothing counts while the home's line is down.
package horizontal

import (
	"cmp"
	"fmt"
	"net/netip"
	"slices"
	"time"

	"cordon"
	"cordon/agent/packet"
	"cordon/internal/slots"
	"cordon/internal/window"
)

// Config configures a Detector. Zero fields take the defaults.
type Config struct {
	// Watch and Confirm are the steps of the walk at which a first sign is told
	// and at which the scan is confirmed; defaults 7 and 12. With α the chance of
	// a healthy device reaching n steps, n = log₄(1/α): 7 is 6·10⁻⁵ a test, 12 is
	// 6·10⁻⁸. A home makes some 900 walks a day, so 10⁻⁴ a home-day asks for 10⁻⁷.
	Watch, Confirm int
	// Fan and FanWindow: so many different hosts on one probed service within so
	// long are a first sign even if they answer; defaults 15 in 10 s.
	Fan       int
	FanWindow time.Duration
	Idle      time.Duration // a walk is forgotten after so long without a contact; default 5 min
	Renew     time.Duration // how often a scan that goes on is told again; default 10 min
	// Down reports that the home's line seems to be down, so that a device's
	// failures say nothing. Nil: never.
	Down   func(*cordon.Device, cordon.Time) bool
	Report func(cordon.Detection)
}

const (
	// doubt is by how much more has to be seen where healthy programs fail too:
	// on ports that malware is not known to probe.
	doubt = 2
	// webCredit is how many answers on web ports are remembered to set off against
	// failures. A browser tries IPv6 and IPv4 at once (RFC 8305): where IPv6 goes
	// nowhere, the answers of a page come at once and its failures seconds later.
	webCredit = 64
	// webMemory is how long such answers count.
	webMemory = 30 * time.Second
	// maxOthers is how many ports without a class are walked per device at a time.
	maxOthers = 16
	// maxSamples is how many destinations a detection names for a person to check.
	maxSamples = 5
)

// Detector judges scan.horizontal.
type Detector struct {
	cfg   Config
	state slots.Table[device]
}

// device is the walks of one device. Each class of probed ports has a place of
// its own, so that contacts to other ports cannot push it out.
type device struct {
	named  []*walk // by cordon.ClassIndex
	others []*walk
	failed uint64 // first contacts that failed, on all ports
}

// walk is the state of one device and class of ports.
type walk struct {
	key      uint16 // cordon.ClassKey
	steps    int    // below zero on web ports only: answers to set off
	failures uint64
	others   uint64 // the device's failures on all ports when this walk began
	answers  uint64
	since    cordon.Time
	last     cordon.Time
	told     cordon.Time
	level    int // 0 nothing told, 1 the first sign, 2 confirmed
	fan      window.Recent
	samples  []string
}

// New returns a Detector.
func New(cfg Config) *Detector {
	cfg.Watch = cmp.Or(cfg.Watch, 7)
	cfg.Confirm = cmp.Or(cfg.Confirm, 12)
	cfg.Fan = cmp.Or(cfg.Fan, 15)
	cfg.FanWindow = cmp.Or(cfg.FanWindow, 10*time.Second)
	cfg.Idle = cmp.Or(cfg.Idle, 5*time.Minute)
	cfg.Renew = cmp.Or(cfg.Renew, 10*time.Minute)
	if cfg.Down == nil {
		cfg.Down = func(*cordon.Device, cordon.Time) bool { return false }
	}
	return &Detector{cfg: cfg}
}

// Flow takes what happened to a flow.
func (d *Detector) Flow(ev cordon.FlowEvent, f *cordon.Flow, now cordon.Time) {
	if f.Proto != packet.ProtoTCP || f.Direction != cordon.Outbound || !f.First || f.Resolved || f.Midstream {
		return
	}
	step := stepOf(ev, f)
	if step == 0 || step > 0 && d.cfg.Down(f.Device, now) {
		return
	}
	d.walk(f, step, ev == cordon.FlowOpened, now)
}

// stepOf returns how an event moves the walk.
func stepOf(ev cordon.FlowEvent, f *cordon.Flow) int {
	web := cordon.WebPort(f.PeerPort)
	switch ev {
	case cordon.FlowOpened:
		if !web {
			return +1
		}
	case cordon.FlowAnswered:
		if !web || f.Late {
			return -2 // takes the failure back, and counts the answer
		}
		return -1
	case cordon.FlowRefused, cordon.FlowSilent:
		if web {
			return +1
		}
	case cordon.FlowEvicted:
		if web && f.Outcome == cordon.Pending {
			return +1 // pushed out by too many others that nobody answered
		}
	}
	return 0
}

func (d *Detector) walk(f *cordon.Flow, step int, opened bool, now cordon.Time) {
	dev := d.state.Get(f.Device.Slot, f.Device.Generation)
	w := dev.find(f.PeerPort, now, d.cfg.Idle)
	floor := 0
	if cordon.WebPort(f.PeerPort) {
		floor = -webCredit
		if w.steps < 0 && now.Sub(w.last) > webMemory {
			w.steps = 0
		}
	}
	w.steps = min(max(floor, w.steps+step), 4*d.cfg.Confirm)
	w.last = now
	if step > 0 {
		dev.failed++
		w.failed(f)
	} else {
		w.answered(step)
	}
	if opened {
		w.fan.Add(int64(now))
	}
	if step > 0 {
		d.judge(dev, w, f, now)
	}
}

// failed notes a contact that failed, or that counts as failed until it is
// answered.
func (w *walk) failed(f *cordon.Flow) {
	w.failures++
	if w.since == 0 {
		w.since = f.Begin
	}
	if len(w.samples) < maxSamples {
		w.samples = append(w.samples, netip.AddrPortFrom(f.Peer, f.PeerPort).String())
	}
}

// answered notes an answer, and takes the failure back that it was counted as.
func (w *walk) answered(step int) {
	w.answers++
	if step < -1 && w.failures > 0 {
		w.failures--
	}
	if w.steps <= 0 && w.level == 0 {
		w.since, w.failures, w.samples = 0, 0, w.samples[:0]
	}
}

// find returns the walk of a port's class, begun anew if it was idle for too
// long. Ports without a class share a few places, the one idle longest is taken.
func (dev *device) find(port uint16, now cordon.Time, idle time.Duration) *walk {
	place := dev.place(port)
	if w := *place; w == nil || w.key != cordon.ClassKey(port) || now.Sub(w.last) > idle {
		*place = &walk{key: cordon.ClassKey(port), last: now, others: dev.failed}
	}
	return *place
}

func (dev *device) place(port uint16) **walk {
	if i, ok := cordon.ClassIndex(port); ok {
		for i >= len(dev.named) {
			dev.named = append(dev.named, nil)
		}
		return &dev.named[i]
	}
	if len(dev.others) < maxOthers {
		for i := range dev.others {
			if dev.others[i].key == port {
				return &dev.others[i]
			}
		}
		dev.others = append(dev.others, nil)
		return &dev.others[len(dev.others)-1]
	}
	oldest := &dev.others[0]
	for i := range dev.others {
		if dev.others[i].key == port {
			return &dev.others[i]
		}
		if dev.others[i].last < (*oldest).last {
			oldest = &dev.others[i]
		}
	}
	return oldest
}

// judge tells what the walk has come to.
func (d *Detector) judge(dev *device, w *walk, f *cordon.Flow, now cordon.Time) {
	fan := !cordon.WebPort(f.PeerPort) && cordon.ProbePort(f.PeerPort) &&
		w.fan.Reached(d.cfg.Fan, int64(now), d.cfg.FanWindow)
	if w.steps < d.cfg.Watch && !fan || w.level == 2 && now.Sub(w.told) < d.cfg.Renew {
		return
	}
	class := cordon.ClassOfPort(f.PeerPort)
	if !class.Probe && w.failures*2 < dev.failed-w.others {
		return // one port of many that fail: a file-sharing program, not a scan
	}
	watch, confirm := d.thresholds(class, f.Device.Class)
	level := 0
	switch {
	case confirm > 0 && w.steps >= confirm:
		level = 2
	case w.steps >= watch, fan:
		level = 1
	}
	if level == 0 || level < w.level || level == w.level && now.Sub(w.told) < d.cfg.Renew {
		return
	}
	w.level, w.told = max(level, w.level), now
	d.cfg.Report(d.detection(w, class, f, level == 2, w.steps < watch, now))
}

// thresholds returns the steps for a first sign and for a scan; a scan of 0
// means never. On web ports only a thing is ever confirmed: what people use goes
// there without DNS in sight.
func (d *Detector) thresholds(p cordon.PortClass, c cordon.Class) (watch, confirm int) {
	switch {
	case p.Probe && !p.Web, p.Web && c == cordon.IoT:
		return d.cfg.Watch, d.cfg.Confirm
	case p.Web, c == cordon.Personal:
		return doubt * d.cfg.Watch, 0
	default:
		return doubt * d.cfg.Watch, doubt * d.cfg.Confirm
	}
}

func (d *Detector) detection(w *walk, class cordon.PortClass, f *cordon.Flow, confirmed, fan bool, now cordon.Time) cordon.Detection {
	det := cordon.Detection{
		Kind: cordon.ScanHorizontal, Device: f.Device, At: now, Since: w.since, Confirmed: confirmed,
		Sentence: fmt.Sprintf("It tried %d strangers on the internet at the %s door within %s; next to none answered.",
			w.failures, class.Name, cordon.Span(now.Sub(w.since))),
		Subject: class.Name,
		Target:  cordon.Target{Proto: packet.ProtoTCP, Ports: class.Ports},
		Evidence: []cordon.Evidence{
			{Name: "first contacts that failed", Value: float64(w.failures), Unit: "hosts", Window: now.Sub(w.since)},
			{Name: "log₄ of the odds of a scan", Value: float64(w.steps), Threshold: float64(d.cfg.Confirm), Unit: "steps"},
			{Name: "first contacts that were answered", Value: float64(w.answers), Unit: "hosts"},
		},
		Samples: slices.Clone(w.samples),
	}
	if fan {
		det.Since = cordon.Time(w.fan.Since(d.cfg.Fan))
		det.Sentence = fmt.Sprintf("It contacted %d strangers on the internet at the %s door within %s.",
			d.cfg.Fan, class.Name, cordon.Span(now.Sub(det.Since)))
		det.Evidence = append(det.Evidence, cordon.Evidence{Name: "different hosts contacted", Value: float64(d.cfg.Fan),
			Threshold: float64(d.cfg.Fan), Unit: "hosts", Window: d.cfg.FanWindow})
	}
	return det
}
