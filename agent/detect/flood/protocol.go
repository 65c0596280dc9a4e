package flood

import (
	"bytes"
	"math"
	"math/bits"
	"net/netip"
	"time"

	"cordon"
	"cordon/agent/packet"
)

// The vectors that speak a protocol, by what is asked and answered in it.
var (
	tortureVector = vector{cordon.DoSDNS, packet.ProtoUDP, leaveDNS, 1, 0, "questions for names that do not exist", "questions",
		"It asked %s times a second for names of %s that do not exist, which overwhelms those who must answer.", nil}
	httpVector = vector{cordon.DoSHTTP, packet.ProtoTCP, leaveHTTP, 1, 3 * time.Second, "connections to one web server", "connections",
		"It opened %s connections a second to the web server %s.", nil}
)

// maxWatched is how many domains, and how many web servers, are watched per device.
const maxWatched = 4

// beatEvery is the window in which a pulse counts.
const beatEvery = 500 * time.Millisecond

// pulse counts events, window by window. The zero value is ready.
type pulse struct {
	begin cordon.Time
	n     int
}

// beat counts an event and returns how many there were in the window that it ends,
// −1 if it ends none; first reports whether it is the first of its window. A window
// that was followed by an empty one is not told: it was no flood.
func (p *pulse) beat(now cordon.Time) (n int, first bool) {
	n = -1
	switch gone := now.Sub(p.begin); {
	case gone >= 2*beatEvery:
		p.begin, p.n = now, 0
	case gone >= beatEvery:
		n = p.n
		p.begin, p.n = p.begin.Add(beatEvery), 0
	}
	p.n++
	return n, p.n == 1
}

// pulseRate is n events of a window as a rate.
func pulseRate(n int) float64 { return float64(n) / beatEvery.Seconds() }

// torture is the questions of one device for names of one domain: DNS water
// torture asks for names made up at random, so that no cache can answer.
type torture struct {
	questions pulse
	labels    [4]uint64 // bits of the names that were asked for in this window
	words     int       // questions that were no reversed address
	answered  int       // with what was asked for
}

// Observe takes a fact.
func (d *Detector) Observe(o *cordon.Observation, now cordon.Time) {
	switch o.Fact {
	case cordon.FactDNSQuery:
		d.asked(o, now)
	case cordon.FactDNSAnswer:
		d.heard = true
		if o.RCode == 0 && o.Device != nil {
			domain, _ := split(o.Name)
			if q := d.state.Get(o.Device.Slot, o.Device.Generation).torture.Peek(hash(domain), int64(now)); q != nil {
				q.answered++
			}
		}
	}
}

// asked judges a question.
func (d *Detector) asked(o *cordon.Observation, now cordon.Time) {
	domain, label := split(o.Name)
	if o.Device == nil || len(label) == 0 || len(domain) == 0 {
		return
	}
	s := d.state.Get(o.Device.Slot, o.Device.Generation)
	q := s.torture.Get(hash(domain), int64(now), maxWatched)
	if n, first := q.questions.beat(now); first {
		if pulseRate(n) >= d.cfg.DNS && q.made(n) {
			d.follow(s, &sign{vector: &tortureVector, device: o.Device, at: q.questions.begin, span: beatEvery, rate: pulseRate(n), limit: d.cfg.DNS,
				target: cordon.Target{Proto: packet.ProtoUDP, Ports: []uint16{53}}, where: "one domain", sample: domain})
		}
		q.labels, q.words, q.answered = [4]uint64{}, 0, 0
	}
	h := hash(label) * 0x9e3779b97f4a7c15
	q.labels[h>>62] |= 1 << (h >> 56 & 63)
	if isWord(label) {
		q.words++
	}
}

// The shares of the questions of a window that must be for different names, that
// must be no reversed addresses (look-ups of block lists: RFC 5782 §2.1), and that
// may be answered.
const (
	made     = 0.8
	answered = 0.2
)

// made reports whether n questions look made up.
func (q *torture) made(n int) bool {
	unset := 256
	for _, w := range q.labels {
		unset -= bits.OnesCount64(w)
	}
	different := -256 * math.Log(float64(max(unset, 1))/256)
	return different >= made*min(float64(n), 1000) && float64(q.words) >= made*float64(n) && float64(q.answered) < answered*float64(n)
}

// isWord reports whether a name begins with something made up, and not with a piece
// of a reversed address.
func isWord(label []byte) bool {
	first, _, _ := bytes.Cut(label, []byte{'.'})
	return len(first) > 2 && bytes.ContainsFunc(first, func(r rune) bool { return r >= 'a' && r <= 'z' })
}

// split cuts a name into its registered domain and the rest. Registries that give
// out names one level further down ("co.uk") are told by their short names.
// Reverse look-ups have no domain.
func split(name []byte) (domain, label []byte) {
	last := bytes.LastIndexByte(name, '.')
	if last < 0 || string(name[last:]) == ".arpa" {
		return nil, nil
	}
	cut := bytes.LastIndexByte(name[:last], '.')
	if len(name)-last == 3 && last-cut-1 <= 3 && cut >= 0 {
		cut = bytes.LastIndexByte(name[:cut], '.')
	}
	if cut < 0 {
		return name, nil
	}
	return name[cut+1:], name[:cut]
}

// hash is FNV-1a: the same in every run, as a result depends on it.
func hash(b []byte) uint64 {
	h := uint64(14695981039346656037)
	for _, c := range b {
		h = (h ^ uint64(c)) * 1099511628211
	}
	return h
}

// webServer is the far side of a web connection.
type webServer = netip.AddrPort

// Flow takes what happened to a flow.
func (d *Detector) Flow(ev cordon.FlowEvent, f *cordon.Flow, now cordon.Time) {
	if ev != cordon.FlowAnswered || f.Midstream {
		return
	}
	switch {
	case f.Direction == cordon.Outbound && f.Proto == packet.ProtoTCP && cordon.WebPort(f.PeerPort) && f.Device.Class == cordon.IoT:
		d.visited(f, now)
	case f.Direction != cordon.Lateral && f.Proto == packet.ProtoUDP:
		d.exposed(f, now)
	}
}

// visited judges connections of a thing to one web server.
func (d *Detector) visited(f *cordon.Flow, now cordon.Time) {
	s := d.state.Get(f.Device.Slot, f.Device.Generation)
	server := netip.AddrPortFrom(f.Peer, f.PeerPort)
	p := s.visits.Get(server, int64(now), maxWatched)
	n, _ := p.beat(now)
	if pulseRate(n) < d.cfg.HTTP {
		return
	}
	d.follow(s, &sign{vector: &httpVector, device: f.Device, at: p.begin, span: beatEvery, rate: pulseRate(n), limit: d.cfg.HTTP,
		target: cordon.Target{Proto: packet.ProtoTCP, Peer: f.Peer, Ports: []uint16{f.PeerPort}}, where: server.String()})
}
