package flood

import (
	"net/netip"
	"strconv"
	"time"

	"cordon"
	"cordon/agent/packet"
)

// vector is one way of flooding.
type vector struct {
	kind     cordon.Kind
	proto    uint8         // what is stopped when it goes everywhere, 0: nothing
	leave    cordon.Rate   // what a limit leaves
	confirm  float64       // how many times its rate it must reach to be confirmed
	prove    time.Duration // how long it has to go on to be confirmed, if longer than Config.Corroborate
	what     string        // is counted
	unit     string
	sentence string // of how many a second (text), and where
	// look says whether one interval is bad. Vectors that are not judged by Traffic
	// have none.
	look func(*state, *cordon.Traffic) (sign, bool)
}

// The shares of what is sent that come back in conversations. TCP acknowledges
// every other segment at least (RFC 9293 §3.8.6.3), a receiver that coalesces
// segments one in 45 at most; QUIC every second to tenth packet (RFC 9000 §13.2.2),
// games and calls about as much as they send, one-way pictures over RTP with
// feedback every 50 to 100 ms 2 to 4 packets of 100
// (draft-holmer-rmcat-transport-wide-cc-extensions §3).
const (
	returns     = 0.05 // of everything
	returnsOne  = 0.01 // of one conversation
	returnsTCP  = 0.01 // of segments
	completions = 0.20 // of connection requests
)

// few is how many addresses a flood of connection requests goes to; a scanner goes
// to more. manyPorts is how many ports are a port scan's.
const (
	few       = 8
	manyPorts = 64
)

// The limits: what healthy traffic that was mistaken for a flood can live on for a
// minute, and what harms nobody.
var (
	leaveSYN   = cordon.Rate{Connections: 20}
	leaveUDP   = cordon.Rate{Packets: 100}
	leaveStray = cordon.Rate{Packets: 20}
	leaveGRE   = cordon.Rate{Packets: 20}
	leaveICMP  = cordon.Rate{Packets: 10}
	leaveDNS   = cordon.Rate{Packets: 5}
	leaveHTTP  = cordon.Rate{Connections: 2}
	leaveEcho  = cordon.Rate{Packets: 10}
)

// allVectors returns the vectors that Traffic is judged by.
func (d *Detector) allVectors() []vector {
	return []vector{
		{cordon.DoSSYN, packet.ProtoTCP, leaveSYN, 1, 0, "connection requests", "packets",
			"It asked %s times a second for a connection with %s, and hardly any came about.", d.syn},
		{cordon.DoSUDP, packet.ProtoUDP, leaveUDP, 1, 0, "UDP packets", "packets",
			"It sent %s packets a second to %s, and hardly anything came back.", d.udp},
		{cordon.DoSACK, 0, leaveStray, 1, 0, "TCP packets", "packets",
			"It sent %s packets a second to %s that belong to no conversation: nobody acknowledged them.", d.ack},
		{cordon.DoSGRE, packet.ProtoGRE, leaveGRE, 1, 0, "GRE packets", "packets",
			"It sent %s packets of a tunnel a second to %s, and hardly anything came back.", d.gre},
		{cordon.DoSICMP, packet.ProtoICMP, leaveICMP, 1, 0, "ICMP packets", "packets",
			"It sent %s pings a second to %s, and hardly any were answered.", d.icmp},
		{cordon.DoSSpoofed, 0, cordon.Rate{}, 20, 0, "packets with a forged sender", "packets",
			"It sent %s packets a second that bear the address of somebody outside of the home, to %s.", d.spoofed},
		{cordon.DoSReflection, packet.ProtoUDP, leaveEcho, 1, 0, "answers to strangers", "packets", reflectionSentence, d.reflected},
	}
}

// one judges one sort of packets by how many go out and come back: those of the
// network that most went to, if what came back from it was counted, and all. left is
// what a limit that is in force leaves of them: what it does not let through cannot
// be answered, so then the former decide if they are answered after all.
func (d *Detector) one(s *state, t *cordon.Traffic, sort cordon.Sort, back uint64, limit, most float64, left uint32) (sign, bool) {
	if top := t.Top[sort]; t.Heard && top.Net.IsValid() {
		answered := top.Back
		if s.before[sort].net == network(top.Net) {
			answered += s.before[sort].top
		}
		g, bad := oneWay(top.Packets, answered, t.Span, limit, most)
		if bad {
			through := float64(left) * t.Span.Seconds()
			return g, left == 0 || float64(answered) < relief*most*through
		}
	}
	return oneWay(t.Out[sort].Packets, back, t.Span, limit, most)
}

// relief is how many times the share of what a limit lets through must be answered
// for traffic to be healthy after all.
const relief = 4

// oneWay reports whether so much was sent and so little of it answered that it is a
// flood.
func oneWay(sent, back uint64, span time.Duration, limit, most float64) (sign, bool) {
	g := sign{rate: rate(sent, span), limit: limit, most: most}
	if g.rate < limit {
		return g, false
	}
	g.back = float64(back) / float64(sent)
	return g, g.back < most
}

// aim sets the target of a flood: one address, one network, or everywhere by its
// protocol.
func (g *sign) aim(proto uint8, top cordon.Top, ports bool) {
	g.target, g.where = cordon.Target{Proto: proto}, everywhere
	switch {
	case top.Addr.IsValid():
		g.target.Peer, g.where = top.Addr, top.Addr.String()
	case top.Net.IsValid():
		g.target.Net, g.where = top.Net, top.Net.String()
	}
	if ports && top.Port != 0 && top.Net.IsValid() {
		g.target.Ports = []uint16{top.Port}
		if top.Addr.IsValid() {
			g.where = netip.AddrPortFrom(top.Addr, top.Port).String()
		} else {
			g.where += " port " + strconv.Itoa(int(top.Port))
		}
	}
}

// syn judges connection requests. One that came about was answered, and then both
// sides went on: what is reset at once is no conversation.
func (d *Detector) syn(s *state, t *cordon.Traffic) (sign, bool) {
	top := t.Top[cordon.SortSYN]
	limit := d.cfg.Scan
	switch {
	case !top.Net.IsValid() && t.Dests > few:
		return sign{}, false // a scan, which others judge
	case top.Port == 0 && t.Ports > manyPorts:
	case top.Addr.IsValid() || t.Dests <= few:
		limit = d.cfg.SYN
	}
	back := min(s.in(t, cordon.SortSYN), s.in(t, cordon.SortTCP))
	g, bad := d.one(s, t, cordon.SortSYN, back, limit, completions, 0)
	if bad {
		g.aim(packet.ProtoTCP, top, true)
	}
	return g, bad
}

func (d *Detector) udp(s *state, t *cordon.Traffic) (sign, bool) {
	top := t.Top[cordon.SortUDP]
	most := returns
	if top.Addr.IsValid() {
		most = returnsOne
	}
	g, bad := d.one(s, t, cordon.SortUDP, s.in(t, cordon.SortUDP), d.cfg.UDP, most, d.left(s, t, cordon.DoSUDP, leaveUDP.Packets))
	if bad {
		g.turned = s.usual.fellSilent(g.rate, rate(t.In[cordon.SortUDP].Packets, t.Span))
		g.aim(packet.ProtoUDP, top, false)
	}
	return g, bad
}

// ack judges segments that open no connection. Answers to connection requests of
// others (resets) are none; what is in a connection is not touched by a limit.
func (d *Detector) ack(s *state, t *cordon.Traffic) (sign, bool) {
	back := s.in(t, cordon.SortTCP) + s.in(t, cordon.SortSYN)
	g, bad := d.one(s, t, cordon.SortTCP, back, d.cfg.ACK, returnsTCP, 0)
	if bad && s.in(t, cordon.SortSYN) >= t.Out[cordon.SortTCP].Packets/2 {
		return g, false
	}
	if bad {
		g.aim(packet.ProtoTCP, t.Top[cordon.SortTCP], false)
		g.target = cordon.Target{Proto: packet.ProtoTCP, Stray: true}
	}
	return g, bad
}

// gre judges tunnels. A thing has none; from anything else one that is one-way is
// odd but takes more to be a flood.
func (d *Detector) gre(s *state, t *cordon.Traffic) (sign, bool) {
	limit := d.cfg.GRE
	if t.Device.Class != cordon.IoT {
		limit *= 10
	}
	g, bad := d.one(s, t, cordon.SortGRE, s.in(t, cordon.SortGRE), limit, returns, d.left(s, t, cordon.DoSGRE, leaveGRE.Packets))
	if bad {
		g.aim(packet.ProtoGRE, t.Top[cordon.SortGRE], false)
		g.target = cordon.Target{Proto: packet.ProtoGRE}
	}
	return g, bad
}

// icmp judges pings. Errors about what came in are no pings.
func (d *Detector) icmp(s *state, t *cordon.Traffic) (sign, bool) {
	if s.in(t, cordon.SortUDP) >= t.Out[cordon.SortICMP].Packets/2 {
		return sign{}, false
	}
	g, bad := d.one(s, t, cordon.SortICMP, s.in(t, cordon.SortICMP), d.cfg.ICMP, returns, d.left(s, t, cordon.DoSICMP, leaveICMP.Packets))
	if bad {
		top := t.Top[cordon.SortICMP]
		g.aim(packet.ProtoICMP, top, false)
		g.target = cordon.Target{Proto: packet.ProtoICMP}
		if top.Net.Addr().Is6() {
			g.target.Proto = packet.ProtoICMPv6
		}
	}
	return g, bad
}

// spoofed judges forged senders. The router drops what they send anyway, so there
// is nothing to stop.
func (d *Detector) spoofed(_ *state, t *cordon.Traffic) (sign, bool) {
	g := sign{rate: rate(t.Spoofed.Packets, t.Span), limit: d.cfg.Spoofed, where: "the internet"}
	return g, g.rate >= g.limit
}

// in returns how many packets of a sort have come in, in this interval and the one
// before.
func (s *state) in(t *cordon.Traffic, sort cordon.Sort) uint64 {
	return t.In[sort].Packets + s.before[sort].in
}

// left returns what a limit of a kind that is in force leaves, a second, or 0.
func (d *Detector) left(s *state, t *cordon.Traffic, k cordon.Kind, leave uint32) uint32 {
	if c := s.courses.Peek(k, int64(t.At)); c != nil && c.stage > unseen && t.At.Sub(c.last) < d.cfg.Quiet {
		return leave
	}
	return 0
}
