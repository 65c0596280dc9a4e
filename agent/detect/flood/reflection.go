package flood

import (
	"fmt"
	"net/netip"
	"slices"
	"time"

	"cordon"
	"cordon/agent/packet"
)

const reflectionSentence = "Strangers make it send %s large answers a second to a victim, by questions that bear the victim's address, through %s."

// reflectors are the UDP services that give large answers to small questions of
// anybody (US-CERT TA14-017A, and detection.md §A4): DNS, NTP, CLDAP, SSDP,
// WS-Discovery, mDNS, Ubiquiti's discovery, memcached, DVRs.
var reflectors = []uint16{53, 123, 389, 1900, 3702, 5353, 10001, 11211, 37810}

// amplification is how many times as large as the questions the answers must be.
const amplification = 5

// exposedFor is how long after an answer to a stranger a device counts as exposed.
const exposedFor = time.Minute

// exposure is a service of a device that answers strangers.
type exposure struct {
	port  uint16
	asker netip.Addr // who asked last, or in whose name
	at    cordon.Time
	asked pulse   // answers to new askers
	rate  float64 // of those in the last window
}

// exposed notes a large answer to a stranger's small question. Who asked whom does
// not matter: a question that seems to come from port 80 looks like an answer.
func (d *Detector) exposed(f *cordon.Flow, now cordon.Time) {
	if !slices.Contains(reflectors, f.LocalPort) || f.Out.Bytes < amplification*f.In.Bytes {
		return
	}
	e := &d.state.Get(f.Device.Slot, f.Device.Generation).exposure
	e.port, e.asker, e.at = f.LocalPort, f.Peer, now
	if n, first := e.asked.beat(now); first {
		e.rate = pulseRate(max(n, 0))
	}
}

// reflected judges a device that answers strangers: by answers to one of them, or
// to ever new ones.
func (d *Detector) reflected(s *state, t *cordon.Traffic) (sign, bool) {
	e := &s.exposure
	if e.port == 0 || t.At.Sub(e.at) > exposedFor {
		return sign{}, false
	}
	out, in := t.Out[cordon.SortUDP], t.In[cordon.SortUDP]
	if out.Bytes < amplification*in.Bytes || in.Packets == 0 {
		return sign{}, false
	}
	g := sign{rate: rate(out.Packets, t.Span), limit: d.cfg.Reflection, where: fmt.Sprintf("its port %d", e.port),
		target: cordon.Target{Proto: packet.ProtoUDP, LocalPort: e.port}}
	to := t.Top[cordon.SortUDP].Net
	if !to.Contains(e.asker) && e.rate < d.cfg.Reflection {
		return g, false
	}
	if g.rate < g.limit {
		return g, false
	}
	e.at = t.At
	return g, true
}
