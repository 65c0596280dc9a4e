package world

import (
	"encoding/binary"
	"net/netip"
	"time"

	"cordon/lab/synth/frame"
	"cordon/lab/synth/message"
)

// The pace of a connection: segments of one burst follow each other at the
// speed of a 500 Mbit/s line, and no burst is longer than a small window.
const (
	gap        = 24 * time.Microsecond
	firstBurst = 10 // RFC 6928
	maxBurst   = 40
)

// Conn is a TCP connection as the LAN side sees it.
type Conn struct {
	Outcome Mood // how the attempt ended; only then Answers is there a connection

	p            *Proc
	client, peer side
	stamps       bool
	mss          int
	burst        int
}

// side is one end's half of the connection.
type side struct {
	End
	port   uint16
	seq    uint32
	window uint16
	id     uint16
	clock  uint32 // added to the time for its time stamps
	echo   uint32 // the last time stamp that it received
}

// Dial opens a connection from d and waits until it is open or has failed. An
// answer that the other cannot give becomes retransmissions, then failure.
func (d *Device) Dial(p *Proc, to End, port uint16) *Conn {
	return d.dial(p, to, port, len(d.System.Retry))
}

// Try is Dial with a limit on how often the SYN is sent again.
func (d *Device) Try(p *Proc, to End, port uint16, retries int) *Conn {
	return d.dial(p, to, port, min(retries, len(d.System.Retry)))
}

// Knock tries one port of an address of the home and returns the connection, nil
// if there is none. Nothing is sent to an address that nobody has.
func (d *Device) Knock(p *Proc, addr netip.Addr, port uint16, retries int) *Conn {
	if addr == d.Addr || !d.Reach(p, addr) {
		return nil
	}
	if c := d.Try(p, d.home.At(addr).Near(false), port, retries); c.Outcome == Answers {
		return c
	}
	return nil
}

// Call asks for a name, dials its host over IPv4 and returns the connection, nil if
// there is none.
func (d *Device) Call(p *Proc, name string, port uint16) *Conn {
	h, ok := d.Resolve(p, name)
	if !ok {
		return nil
	}
	if c := d.Dial(p, p.World.Far(h, false), port); c.Outcome == Answers {
		return c
	}
	return nil
}

func (d *Device) dial(p *Proc, to End, port uint16, retries int) *Conn {
	if !d.Reach(p, to.Addr) {
		return &Conn{Outcome: Unreachable}
	}
	return open(p, d.Near(to.Addr.Is6()), d.port(), to, port, retries)
}

// Accept is a connection from the internet to a port of d. Nobody gets through
// while the line is cut.
func (d *Device) Accept(p *Proc, from End, port uint16) *Conn {
	if _, out := p.World.cut(p.now); out {
		return &Conn{Outcome: Silent}
	}
	return open(p, from, uint16(32768+p.IntN(28000)), d.Near(from.Addr.Is6()), port, 2)
}

// mood is how d takes a SYN to one of its ports.
func (d *Device) mood(port uint16) Mood {
	switch {
	case d.Listens(port):
		return Answers
	case d.Drops:
		return Silent
	}
	return Refuses
}

func open(p *Proc, from End, source uint16, to End, port uint16, retries int) *Conn {
	if to.Device != nil {
		to.Mood = to.Device.mood(port)
	}
	c := &Conn{p: p, burst: firstBurst, mss: 1460, stamps: from.System.has('T') && to.System.has('T'),
		client: newSide(p, from, source), peer: newSide(p, to, port)}
	if from.Addr.Is6() {
		c.mss = 1440
	}
	first := c.client.seq
	for try := 0; ; try++ {
		c.client.seq = first
		c.syn(&c.client, from.System.Options, from.System.Window, frame.SYN, 0)
		if mood := c.answer(); mood != Silent {
			c.Outcome = mood
			break
		}
		if try == retries || !p.Sleep(from.System.Retry[try]-to.Delay) {
			c.Outcome = Silent
			break
		}
	}
	if c.Outcome == Answers && c.stamps {
		c.mss -= 12
	}
	return c
}

// newSide picks what a system picks for a connection. An IPv4 id of 0 stays.
func newSide(p *Proc, e End, port uint16) side {
	s := side{End: e, port: port, seq: p.Uint32(), window: e.System.Window >> e.System.Scale, id: uint16(p.Uint32()) | 1}
	addr := e.Addr.As16()
	s.clock = binary.BigEndian.Uint32(addr[12:]) * 2654435761
	if e.System.ZeroID {
		s.id = 0
	}
	return s
}

// answer lets the time of the other side pass and sends what it says to the SYN.
func (c *Conn) answer() Mood {
	c.p.Sleep(c.peer.Delay)
	if c.cut(&c.peer) {
		return Silent
	}
	switch c.peer.Mood {
	case Answers:
		client, peer := c.client.System, c.peer.System
		c.syn(&c.peer, client.answer(peer), peer.Window, frame.SYN|frame.ACK, c.client.seq)
		if !client.has('W') || !peer.has('W') {
			c.client.window, c.peer.window = client.Window, peer.Window
		}
		c.p.Sleep(c.client.Delay)
		c.segment(&c.client, &c.peer, frame.ACK, nil)
	case Refuses:
		seq := c.peer.seq
		c.peer.seq = 0
		c.raw(&c.peer, &c.client, frame.RST|frame.ACK, 0, nil)
		c.peer.seq = seq
	case Unreachable:
		hop := c.peer.End
		hop.Addr, hop.TTL = c.p.World.Net.Named("core1.isp.example.net").Addr, 62
		near := c.client.End
		if near.Device != nil {
			near.Device.report(c.p, hop, near, c.peer.End, hostUnreachable, 6, [2]uint16{c.client.port, c.peer.port})
		}
	}
	return c.peer.Mood
}

func (c *Conn) syn(from *side, layout string, window uint16, flags uint8, ack uint32) {
	to := c.other(from)
	var buf [40]byte
	stamp := c.stamp(from)
	opts := options(buf[:0], layout, uint16(c.mss), from.System.Scale, stamp, from.echo)
	if c.stamps {
		to.echo = stamp
	}
	s := frame.Segment{SrcPort: from.port, DstPort: to.port, Seq: from.seq, Ack: ack, Flags: flags, Window: window, Options: opts}
	c.p.emit(c.p.World.frame.TCP(link(from.End, to.End), c.header(from, to), s, nil))
	from.seq++
}

func (c *Conn) other(s *side) *side {
	if s == &c.client {
		return &c.peer
	}
	return &c.client
}

func (c *Conn) stamp(s *side) uint32 {
	return uint32(c.p.now.Sub(c.p.World.begin)/time.Millisecond) + s.clock
}

func (c *Conn) header(from, to *side) frame.Net {
	if from.id != 0 {
		from.id++
	}
	return frame.Net{Src: from.Addr, Dst: to.Addr, TTL: from.TTL, ID: from.id}
}

// segment sends one segment and moves the sequence number on.
func (c *Conn) segment(from, to *side, flags uint8, payload []byte) {
	c.raw(from, to, flags, from.window, payload)
	from.seq += uint32(len(payload))
	if flags&frame.FIN != 0 {
		from.seq++
	}
}

func (c *Conn) raw(from, to *side, flags uint8, window uint16, payload []byte) {
	var buf [12]byte
	opts := buf[:0]
	if c.stamps && flags&frame.RST == 0 {
		stamp := c.stamp(from)
		opts = options(opts, "NNT", 0, 0, stamp, from.echo)
		to.echo = stamp
	}
	s := frame.Segment{SrcPort: from.port, DstPort: to.port, Seq: from.seq, Ack: to.seq, Flags: flags, Window: window, Options: opts}
	c.p.emit(c.p.World.frame.TCP(link(from.End, to.End), c.header(from, to), s, payload))
}

// cut reports whether the line to s is cut now.
func (c *Conn) cut(s *side) bool {
	_, out := c.p.World.cut(c.p.now)
	return out && s.Device == nil
}

// Up sends payload from the side that opened the connection, Down from the
// other. Both wait until it is acknowledged.
func (c *Conn) Up(payload []byte) { c.send(&c.client, &c.peer, payload, true) }

// Down is data of the side that was called.
func (c *Conn) Down(payload []byte) { c.send(&c.peer, &c.client, payload, true) }

// Ask sends a request up and the reply, which also acknowledges it, down.
func (c *Conn) Ask(request, reply []byte) {
	c.send(&c.client, &c.peer, request, false)
	c.send(&c.peer, &c.client, reply, true)
}

// UpBulk sends size bytes in TLS records, up.
func (c *Conn) UpBulk(size int) { c.bulk(&c.client, &c.peer, size) }

// DownBulk sends size bytes in TLS records, down.
func (c *Conn) DownBulk(size int) { c.bulk(&c.peer, &c.client, size) }

func (c *Conn) bulk(from, to *side, size int) {
	for size > 0 && !c.p.over {
		n := min(size, 16384)
		record := c.p.World.record[:]
		if n < 16384 {
			record = append(message.SealedHeader(n), record[5:5+n]...)
		}
		c.send(from, to, record, true)
		size -= n
	}
}

// send cuts payload into segments and bursts, as many as the other side has
// acknowledged before; with ack the last one is acknowledged here, otherwise by
// the data that follow.
func (c *Conn) send(from, to *side, payload []byte, ack bool) {
	for len(payload) > 0 && !c.p.over {
		if until, out := c.p.World.cut(c.p.now); out && from.Device == nil {
			c.p.Sleep(until.Sub(c.p.now) + from.Delay) // nothing comes in
		}
		first, start := from.seq, payload
		sent := 0
		for sent < c.burst && len(payload) > 0 {
			n := min(len(payload), c.mss)
			flags := uint8(frame.ACK)
			if n == len(payload) {
				flags |= frame.PSH
			}
			c.segment(from, to, flags, payload[:n])
			payload = payload[n:]
			sent++
			c.p.Sleep(gap)
		}
		c.p.Sleep(to.Delay)
		c.again(from, to, first, start[:min(len(start), c.mss)])
		if len(payload) > 0 || ack {
			c.acknowledge(from, to, first, sent)
		}
		if len(payload) > 0 {
			c.p.Sleep(from.Delay)
		}
		c.burst = min(c.burst*2, maxBurst)
	}
}

// again sends a segment until the line is back. The gaps double from Linux's
// smallest time-out (RFC 6298 §5.5).
func (c *Conn) again(from, to *side, first uint32, payload []byte) {
	for gap := 200 * time.Millisecond; c.cut(to) && c.p.Sleep(gap); gap = min(2*gap, 15*time.Second) {
		last := from.seq
		from.seq = first
		c.raw(from, to, frame.ACK|frame.PSH, from.window, payload)
		from.seq = last
	}
}

// acknowledge sends one ACK for every two segments of a burst (RFC 9293 §3.8.6.3).
func (c *Conn) acknowledge(from, to *side, first uint32, sent int) {
	last := from.seq
	for i := 2; i < sent; i += 2 {
		from.seq = first + uint32(i*c.mss)
		c.segment(to, from, frame.ACK, nil)
		c.p.Sleep(2 * gap)
	}
	from.seq = last
	c.segment(to, from, frame.ACK, nil)
}

// Close ends the connection from the side that opened it, Quit from the other. A
// nil Conn, which Knock returns, has nothing to end.
func (c *Conn) Close() {
	if c != nil {
		c.finish(&c.client, &c.peer)
	}
}

// Quit ends the connection from the side that was called.
func (c *Conn) Quit() { c.finish(&c.peer, &c.client) }

func (c *Conn) finish(from, to *side) {
	if until, _ := c.p.World.cut(c.p.now); c.cut(from) || c.cut(to) {
		c.p.Sleep(until.Sub(c.p.now))
	}
	c.segment(from, to, frame.FIN|frame.ACK, nil)
	c.p.Sleep(to.Delay)
	c.segment(to, from, frame.FIN|frame.ACK, nil)
	c.p.Sleep(from.Delay)
	c.segment(from, to, frame.ACK, nil)
}

// Abort resets the connection from the side that opened it.
func (c *Conn) Abort() { c.raw(&c.client, &c.peer, frame.RST|frame.ACK, 0, nil) }
