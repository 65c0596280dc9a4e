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
// a contact counts once it has failed. A contact that the device's own DNS query
// led to never counts, and nothing counts while the home's line is down.
package horizontal

import (
	"fmt"
	"net/netip"
	"time"

	"cordon"
	"cordon/internal/slots"
	"cordon/internal/window"
)

// Config configures a Detector. Zero fields take the defaults.
type Config struct {
	// Watch and Confirm are the steps of the walk at which a first sign is told
	// and at which the scan is confirmed; defaults 7 and 12. With α the chance of
	// a healthy device reaching n steps, n = log₄(1/α): 7 is 6·10⁻⁵ a test, 12 is
	// 6·10⁻⁸ (detection.md asks for ≤ 10⁻⁷).
	Watch, Confirm int
	// Fan and FanWindow: so many different hosts on one probed service within so
	// long are a scan even if they answer; defaults 15 in 10 s.
	Fan       int
	FanWindow time.Duration
	Idle      time.Duration // a walk is forgotten after so long without a contact; default 5 min
	Renew     time.Duration // how often a scan that goes on is told again; default 10 min
	// Down reports that the home's line is down. Nil: never.
	Down   func(cordon.Time) bool
	Report func(cordon.Detection)
}

// Doubt is by how much more has to be seen where healthy programs fail too: on
// ports that malware is not known to probe, and on web ports of devices that
// are not plainly things.
const doubt = 2

// Detector judges scan.horizontal.
type Detector struct {
	cfg   Config
	state slots.Table[device]
}

// maxClasses is how many classes of ports are walked per device at a time.
const maxClasses = 32

// maxSamples is how many destinations a detection names for a person to check.
const maxSamples = 5

// protoTCP is TCP's IANA protocol number.
const protoTCP = 6

type device struct {
	walks  []walk
	failed uint64 // first contacts that failed, on all ports
}

// walk is the state of one device and class of ports.
type walk struct {
	key      uint16 // cordon.ClassKey
	steps    int
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
	def := func(v *int, d int) {
		if *v == 0 {
			*v = d
		}
	}
	dur := func(v *time.Duration, d time.Duration) {
		if *v == 0 {
			*v = d
		}
	}
	def(&cfg.Watch, 7)
	def(&cfg.Confirm, 12)
	def(&cfg.Fan, 15)
	dur(&cfg.FanWindow, 10*time.Second)
	dur(&cfg.Idle, 5*time.Minute)
	dur(&cfg.Renew, 10*time.Minute)
	if cfg.Down == nil {
		cfg.Down = func(cordon.Time) bool { return false }
	}
	return &Detector{cfg: cfg}
}

// Flow takes what happened to a flow.
func (d *Detector) Flow(ev cordon.FlowEvent, f *cordon.Flow, now cordon.Time) {
	if f.Proto != protoTCP || f.Direction != cordon.Outbound || !f.First || f.Resolved || f.Midstream {
		return
	}
	web := cordon.WebPort(f.PeerPort)
	var step int
	switch {
	case ev == cordon.FlowOpened && !web:
		step = +1
	case ev == cordon.FlowAnswered && (!web || f.Late):
		step = -2 // takes the failure back, and counts the success
	case ev == cordon.FlowAnswered:
		step = -1
	case web && (ev == cordon.FlowRefused || ev == cordon.FlowSilent):
		step = +1
	case web && ev == cordon.FlowEvicted && f.Outcome == cordon.Pending:
		step = +1 // pushed out by too many others that nobody answered
	case ev != cordon.FlowOpened:
		return
	}
	if step > 0 && d.cfg.Down(now) {
		return
	}
	d.walk(f, step, ev == cordon.FlowOpened && !web, now)
}

func (d *Detector) walk(f *cordon.Flow, step int, fans bool, now cordon.Time) {
	dev := d.state.Get(f.Device.Slot, f.Device.Generation)
	w := dev.find(cordon.ClassKey(f.PeerPort), now, d.cfg.Idle)
	if step > 0 {
		dev.failed++
		w.failed(f, now)
	} else {
		w.answers++
	}
	w.steps = min(max(0, w.steps+step), 4*d.cfg.Confirm)
	if w.steps == 0 && w.level == 0 {
		w.since, w.samples = 0, w.samples[:0]
	}
	if fans {
		w.fan.Add(int64(now))
	}
	if step > 0 {
		d.judge(dev, w, f, now)
	}
}

func (w *walk) failed(f *cordon.Flow, now cordon.Time) {
	w.failures++
	w.last = now
	if w.since == 0 {
		w.since = f.Begin
	}
	if len(w.samples) < maxSamples {
		w.samples = append(w.samples, netip.AddrPortFrom(f.Peer, f.PeerPort).String())
	}
}

// find returns the walk of a class, a new one if it is unknown or was idle for
// too long. When all are in use the one idle longest is taken.
func (dev *device) find(key uint16, now cordon.Time, idle time.Duration) *walk {
	var oldest *walk
	for i := range dev.walks {
		w := &dev.walks[i]
		if w.key == key {
			if now.Sub(w.last) > idle {
				*w = walk{key: key, last: now, others: dev.failed}
			}
			return w
		}
		if oldest == nil || w.last < oldest.last {
			oldest = w
		}
	}
	if len(dev.walks) < maxClasses {
		dev.walks = append(dev.walks, walk{})
		oldest = &dev.walks[len(dev.walks)-1]
	}
	*oldest = walk{key: key, last: now, others: dev.failed}
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
	case confirm > 0 && w.steps >= confirm, fan && f.Device.Class != cordon.Personal:
		level = 2
	case w.steps >= watch, fan:
		level = 1
	}
	if level == 0 || level < w.level || level == w.level && now.Sub(w.told) < d.cfg.Renew {
		return
	}
	w.level, w.told = max(level, w.level), now
	d.cfg.Report(d.detection(w, class, f, level == 2, fan, now))
}

// thresholds returns the steps for a first sign and for a scan; a scan of 0
// means never.
func (d *Detector) thresholds(p cordon.PortClass, c cordon.Class) (watch, confirm int) {
	switch {
	case p.Probe && !p.Web, p.Web && c == cordon.IoT:
		return d.cfg.Watch, d.cfg.Confirm
	case c == cordon.Personal:
		return doubt * d.cfg.Watch, 0
	default:
		return doubt * d.cfg.Watch, doubt * d.cfg.Confirm
	}
}

func (d *Detector) detection(w *walk, class cordon.PortClass, f *cordon.Flow, confirmed, fan bool, now cordon.Time) cordon.Detection {
	evidence := []cordon.Evidence{
		{Name: "first contacts that failed", Value: float64(w.failures), Unit: "hosts", Window: now.Sub(w.since)},
		{Name: "log₄ of the odds of a scan", Value: float64(w.steps), Threshold: float64(d.cfg.Confirm), Unit: "steps"},
		{Name: "first contacts that were answered", Value: float64(w.answers), Unit: "hosts"},
	}
	if fan {
		evidence = append(evidence, cordon.Evidence{Name: "different hosts tried", Value: float64(d.cfg.Fan),
			Threshold: float64(d.cfg.Fan), Unit: "hosts", Window: d.cfg.FanWindow})
	}
	return cordon.Detection{
		Kind: cordon.ScanHorizontal, Device: f.Device, At: now, Since: w.since, Confirmed: confirmed,
		Sentence: fmt.Sprintf("It tried %d strangers on the internet at the %s door within %s; next to none answered.",
			w.failures, class.Name, cordon.Span(now.Sub(w.since))),
		Subject:  class.Name,
		Target:   cordon.Target{Proto: protoTCP, Ports: class.Ports},
		Evidence: evidence,
		Samples:  append([]string(nil), w.samples...),
	}
}
