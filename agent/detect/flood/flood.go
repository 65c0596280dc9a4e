// Package flood judges dos.*: a device that attacks somebody on the internet by
// sending more than the other can bear.
//
// What the detector sees is what each device sends out of the home and gets back,
// interval by interval (cordon.Traffic), and for the attacks that speak a protocol
// the questions and the connections. What gives a flood away is that next to
// nothing comes back: an upload, a call, a game or a speed test gets its share of
// acknowledgements (D-WARD: Mirkovic and Reiher, 2005), a flood gets none.
//
// A judgement has two steps. A limit is harmless if it is wrong, so it follows from
// the first interval that is bad beyond doubt, or from some that are just bad; it
// is told as a first sign. What still floods a second later is confirmed, and may
// be blocked. Both are told again while it goes on, and last a minute longer than
// that; each time a device begins anew they last twice as long.
package flood

import (
	"cmp"
	"net/netip"
	"time"

	"cordon"
	"cordon/internal/slots"
	"cordon/internal/window"
)

// Config configures a Detector. Zero fields take the defaults. Rates are what is
// sent out of the home in a second; the defaults are those of detection.md §A4.
type Config struct {
	SYN  float64 // TCP connection requests to a few hosts; default 100
	Scan float64 // those to many ports, or to many hosts of a network; default 1000
	UDP  float64 // packets; default 500
	ACK  float64 // TCP packets that open no connection; default 200
	GRE  float64 // packets of tunnels, from a thing; ten times as many from anything else; default 50
	ICMP float64 // packets; default 200
	DNS  float64 // questions for different names of one domain; default 50
	HTTP float64 // connections to one web server, from a thing; default 20
	// Spoofed is packets that bear an address of nobody at home, to be watched;
	// twenty times as many are a flood; default 10.
	Spoofed float64
	// Reflection is answers to strangers, each at least five times as large as the
	// question; default 10.
	Reflection float64

	// Sure is how many times its rate a flood has to reach to be slowed down at once,
	// after at least half a second; default 4.
	Sure float64
	// Doubt is how long anything else has to go on before it is slowed down, default
	// 1.5 s: two intervals of a second, three of half a second. Patience is how much
	// longer if it is a conversation whose other side has just fallen silent, which
	// may be the line's fault; default 5 s.
	Doubt, Patience time.Duration
	// Corroborate is how long it has to go on after that to be confirmed; default 1 s.
	Corroborate time.Duration
	// Quiet is how long a flood must be over to be released; default 1 min, doubled
	// each time that it comes back within an hour or two, up to Longest; default 1 h.
	Quiet, Longest time.Duration

	// Down reports that the home's line is down. Nil: never.
	Down   func(*cordon.Device, cordon.Time) bool
	Report func(cordon.Detection)
}

// Detector judges dos.*. It is owned by one goroutine.
type Detector struct {
	cfg     Config
	vectors []vector
	state   slots.Table[state]
	heard   bool // something has come in from the internet
}

// state is what is kept of one device, about 300 bytes while it does not flood.
type state struct {
	usual    usual
	before   [cordon.Sorts]answers // in the interval before
	at       cordon.Time           // its end
	courses  slots.Few[cordon.Kind, course]
	torture  slots.Few[uint64, torture]
	visits   slots.Few[webServer, pulse]
	exposure exposure
}

// maxCourses is how many kinds of floods are followed per device at a time.
const maxCourses = 10

// New returns a Detector.
func New(cfg Config) *Detector {
	set := func(f *float64, value float64) { *f = cmp.Or(*f, value) }
	set(&cfg.SYN, 100)
	set(&cfg.Scan, 1000)
	set(&cfg.UDP, 500)
	set(&cfg.ACK, 200)
	set(&cfg.GRE, 50)
	set(&cfg.ICMP, 200)
	set(&cfg.DNS, 50)
	set(&cfg.HTTP, 20)
	set(&cfg.Spoofed, 10)
	set(&cfg.Reflection, 10)
	set(&cfg.Sure, 4)
	cfg.Doubt = cmp.Or(cfg.Doubt, 1500*time.Millisecond)
	cfg.Patience = cmp.Or(cfg.Patience, 5*time.Second)
	cfg.Corroborate = cmp.Or(cfg.Corroborate, time.Second)
	cfg.Quiet = cmp.Or(cfg.Quiet, time.Minute)
	cfg.Longest = cmp.Or(cfg.Longest, time.Hour)
	if cfg.Down == nil {
		cfg.Down = func(*cordon.Device, cordon.Time) bool { return false }
	}
	d := &Detector{cfg: cfg}
	d.vectors = d.allVectors()
	return d
}

// Traffic takes what a device sent and received in one interval.
func (d *Detector) Traffic(t *cordon.Traffic, _ cordon.Time) {
	d.heard = d.heard || received(t)
	if t.Device == nil || t.Device.Gateway || t.Span <= 0 {
		return
	}
	s := d.state.Get(t.Device.Slot, t.Device.Generation)
	if t.At.Add(-t.Span).Sub(s.at) > pause {
		s.before = [cordon.Sorts]answers{}
	}
	for i := range d.vectors {
		v := &d.vectors[i]
		g, bad := v.look(s, t)
		switch {
		case bad:
			g.vector, g.device, g.at, g.span = v, t.Device, t.At, t.Span
			d.follow(s, &g)
		case g.limit > 0 && g.rate >= g.limit:
			s.healthy(v.kind, t.At) // as fast, and answered
		}
	}
	s.usual.learn(t)
	s.at = t.At
	for sort := range s.before {
		s.before[sort] = answers{t.In[sort].Packets, t.Top[sort].Back, network(t.Top[sort].Net)}
	}
}

// answers is what came back in an interval, to be added to what comes back in the
// next: an answer may take as long as an interval.
type answers struct {
	in, top uint64 // of all, and of the network that most went to
	net     uint64 // which one
}

// network folds a network into a key. A collision hides a flood and never invents
// one.
func network(p netip.Prefix) uint64 {
	if !p.IsValid() {
		return 0
	}
	return window.AddrKey(p.Addr())
}

func received(t *cordon.Traffic) bool {
	for _, c := range t.In {
		if c.Packets > 0 {
			return true
		}
	}
	return false
}

// usual is a moving average of a device's UDP packets a second, over about ten
// seconds.
type usual struct {
	out, in float64
	at      cordon.Time
}

// usualOver is the average's time constant.
const usualOver = 10 * time.Second

func (u *usual) learn(t *cordon.Traffic) {
	if t.Out[cordon.SortUDP].Packets == 0 && u.out == 0 {
		return
	}
	weight := min(1, float64(t.At.Sub(max(u.at, t.At.Add(-usualOver))))/float64(usualOver))
	u.at = t.At
	u.out += float64(weight * (rate(t.Out[cordon.SortUDP].Packets, t.Span) - u.out))
	u.in += float64(weight * (rate(t.In[cordon.SortUDP].Packets, t.Span) - u.in))
}

// fellSilent reports whether the device was in a conversation of about that rate
// until now, and next to nothing comes in any more.
func (u *usual) fellSilent(out, in float64) bool {
	return u.out > 0 && out <= 4*u.out && u.in >= returnsOne*u.out && in < u.in/4
}

func rate(packets uint64, span time.Duration) float64 { return float64(packets) / span.Seconds() }
