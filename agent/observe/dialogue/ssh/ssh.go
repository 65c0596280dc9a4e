// Package ssh guesses from sizes how far a log-in by SSH has come.
//
// The bytes of both sides come in, in order; attempts, refusals and success go out.
//
// Only the beginning of a connection can be read. Each side sends a line (RFC 4253
// §4.2) and then packets (§6), the first of them in clear, up to NEWKEYS (§7.3).
// From there on only sizes are left. What counts is the turn: all that one side
// says before the other speaks. Segments must come as they were sent, because an
// answer cut in two may pass for a refusal.
//
// The client's first turn asks for the service of authentication, which the
// server grants. Each further turn is a request to authenticate (RFC 4252 §5):
//
//   - a request with a password or a key is at least passwordMore bytes longer than
//     the first turn: 23 bytes and the name and the password more, in blocks of 8
//     or 16. The request "none", with which clients ask for the methods, is only 14
//     bytes and the name longer, and is no attempt.
//   - a refusal lists the methods that can go on, and the list does not change: all
//     refusals have one size. The answer to "none" shows it. Without one, the first
//     answer that is as long as the grant, or at most refusalMore bytes longer, is
//     taken for a refusal: consent is shorter, an offered key's echo longer.
//   - after consent the client opens a channel: answers of other sizes follow, of
//     insideBytes or more in all.
package ssh

import (
	"encoding/binary"
)

// Conn is one connection, as seen from between its two sides. The zero value is a
// new one.
type Conn struct {
	sides   [2]framing
	speaker int
	turn    int // bytes of the speaker's turn
	turns   int // of the client since its NEWKEYS
	ask     int // size of the client's first turn
	grant   int // size of the answer to it
	refusal int // size of a refusal, 0 until known
	tried   bool
	waiting bool // for the verdict on an attempt
	inside  int  // bytes of the server that were no refusal, since the last attempt
	said    int  // bytes of both sides since the client's NEWKEYS
	lost    bool // bytes were missing
}

// The sides of a connection.
const (
	client = 0
	server = 1
)

// Events is what became clear, as bits, to be read in this order.
type Events uint8

// The events.
const (
	Tried     Events = 1 << iota // the client sent a password or a key
	Refused                      // the server did not take it
	Succeeded                    // the client is in; nothing follows
)

// The sizes above, in bytes.
const (
	passwordMore = 32
	refusalMore  = 64
	insideBytes  = 1024
	most         = 1 << 16 // of an encrypted conversation that shows nothing
	maxLine      = 255     // of a banner, RFC 4253 §4.2
)

// framing is one side's banner and packets in clear.
type framing struct {
	stage  stage
	line   int     // bytes of the present line of the banner
	head   [6]byte // length, padding length, type
	have   int
	packet int // bytes of the present packet that are to come
}

type stage uint8

const (
	banner stage = iota
	clear
	encrypted
)

// Of RFC 4253 §12 and §6.1.
const (
	newKeys   = 21
	maxPacket = 35000
)

// Lose is told that bytes are missing.
func (c *Conn) Lose() { c.lost = true }

// Said takes what a side, 0 the client or 1 the server, says next. It returns what
// became clear, and whether more can.
func (c *Conn) Said(side int, b []byte) (e Events, more bool) {
	if c.lost && (c.sides[client].stage != encrypted || c.sides[server].stage != encrypted) {
		return 0, false // where packets begin is not known
	}
	rest, ok := c.sides[side].skip(b)
	if !ok {
		return 0, false
	}
	if c.sides[client].stage != encrypted || len(rest) == 0 {
		return 0, true
	}
	return c.encrypted(side, len(rest))
}

// skip reads what is in clear and returns what is encrypted.
func (f *framing) skip(b []byte) (rest []byte, ok bool) {
	for len(b) > 0 && f.stage != encrypted {
		switch {
		case f.stage == banner:
			b, ok = f.banner(b)
		case f.packet > 0:
			n := min(f.packet, len(b))
			f.packet -= n
			b, ok = b[n:], true
			if f.packet == 0 && f.head[5] == newKeys {
				f.stage = encrypted
			}
		default:
			b, ok = f.header(b)
		}
		if !ok {
			return nil, false
		}
	}
	return b, true
}

// banner reads lines up to the one that begins with "SSH-": others may come before
// it.
func (f *framing) banner(b []byte) (rest []byte, ok bool) {
	for i, ch := range b {
		if f.line < 4 {
			f.head[f.line] = ch
		}
		if f.line++; ch != '\n' {
			continue
		}
		if f.line > 4 && string(f.head[:4]) == "SSH-" {
			f.stage = clear
			return b[i+1:], true
		}
		f.line = 0
	}
	return nil, f.line <= maxLine
}

// header reads the length and type of a packet.
func (f *framing) header(b []byte) (rest []byte, ok bool) {
	n := copy(f.head[f.have:], b)
	if f.have += n; f.have < len(f.head) {
		return nil, true
	}
	length := binary.BigEndian.Uint32(f.head[:])
	f.have, f.packet = 0, int(length)-2 // padding length and type were in head
	return b[n:], length >= 4 && length <= maxPacket
}

// encrypted counts n bytes of a side.
func (c *Conn) encrypted(side, n int) (e Events, more bool) {
	if side != c.speaker {
		e = c.spoke()
		c.speaker, c.turn = side, 0
	}
	c.turn += n
	c.said += n
	if side == server && c.waiting {
		e |= c.verdict(n)
	}
	return e, e&Succeeded == 0 && c.said < most
}

// spoke is told that a turn is over.
func (c *Conn) spoke() (e Events) {
	if c.turn == 0 {
		return 0
	}
	if c.speaker == server {
		switch {
		case c.turns == 1:
			c.grant = c.turn
		case c.turns == 2 && !c.tried:
			c.refusal = c.turn
		}
		return 0
	}
	switch c.turns++; {
	case c.turns == 1:
		c.ask = c.turn
	case c.turn >= c.ask+passwordMore && !c.waiting:
		c.tried, c.waiting = true, true
		return Tried
	}
	return 0
}

// verdict takes n bytes of the answer to an attempt. A refusal is known as soon as
// it is there, because the client may hang up on it.
func (c *Conn) verdict(n int) Events {
	if c.refusal == 0 && c.turn >= c.grant && c.turn <= c.grant+refusalMore {
		c.refusal = c.turn
	}
	if c.turn == c.refusal {
		c.waiting, c.inside = false, 0
		return Refused
	}
	if c.inside += n; c.inside < insideBytes {
		return 0
	}
	return Succeeded
}
