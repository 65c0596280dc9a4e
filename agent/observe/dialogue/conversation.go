package dialogue

import (
	"cordon"
	"cordon/agent/observe/dialogue/exploit"
	"cordon/agent/observe/dialogue/ssh"
)

// The sides of a conversation.
const (
	opener   = 0 // began the flow
	answerer = 1
)

// lineBytes is how much of one line of one side is kept: commands and answers
// that decide anything are shorter, and the beginning of a longer one suffices.
const lineBytes = 256

// kind is the protocol of a conversation.
type kind uint8

const (
	unknown kind = iota // not yet clear
	other               // known, and of no interest
	isTLS
	isHTTP
	isTelnet
	isSSH
	isFTP
	isIRC
	isSmall // none of the known ones
)

// conversation is what is known of what the two sides of a TCP flow said.
type conversation struct {
	link
	seat  int32
	kind  kind
	class class
	owner *owner
	begun cordon.Time
	said  int // bytes that its protocol's file counts against its bound
	sides [2]side
	pages [2]*page     // by side: a hello or head that goes on in the next segment
	scan  exploit.Scan // what the opener said, searched for exploits
	told  uint64       // exploits told, by rule

	// State of the protocols. One conversation uses one of them.
	telnet telnet
	shell  shell
	ssh    ssh.Conn
	web    web
	small  small
}

// side is one side's bytes: where they are in the TCP stream, and the line that
// is not yet complete.
type side struct {
	next  uint32 // sequence number that must come next
	known bool   // next is
	n     int    // bytes in line
	line  [lineBytes]byte
}

// keep adds one byte to the line. A line that is too long keeps its beginning.
func (s *side) keep(ch byte) {
	if s.n < lineBytes {
		s.line[s.n] = ch
		s.n++
	}
}

// text is the line so far.
func (s *side) text() []byte { return s.line[:s.n] }

// wipe forgets the line.
func (s *side) wipe() {
	clear(s.line[:s.n])
	s.n = 0
}

// take returns the first line of b, with what earlier segments had of it and
// without its end, and what is behind it. Of a line that is not complete the
// first most bytes are kept; whole is false then. The line is valid until the
// next call.
func (s *side) take(b []byte, most int) (line, rest []byte, whole bool) {
	for i, ch := range b {
		if ch != '\n' {
			continue
		}
		if s.n == 0 {
			return trimCR(b[:i]), b[i+1:], true
		}
		s.append(b[:i], most)
		n := s.n
		s.n = 0
		return trimCR(s.line[:n]), b[i+1:], true
	}
	s.append(b, most)
	return nil, nil, false
}

func (s *side) append(b []byte, most int) {
	if room := min(most, lineBytes) - s.n; room > 0 {
		s.n += copy(s.line[s.n:s.n+room], b)
	}
}

func trimCR(b []byte) []byte {
	for len(b) > 0 && b[len(b)-1] == '\r' {
		b = b[:len(b)-1]
	}
	return b
}

// lose is told that bytes of a side are missing: what was half said is dropped.
func (c *conversation) lose(k int) {
	c.sides[k].wipe()
	if k == opener {
		c.scan.Lose()
	}
	switch c.kind {
	case isTelnet:
		c.telnet.escape[k] = plain
	case isSSH:
		c.ssh.Lose()
	case isHTTP:
		c.web.lose(k)
	case isTLS:
		c.kind = other
	}
}

// hear reads what a side says next.
func (t *Table) hear(c *conversation, k int, b []byte) (more bool) {
	switch c.kind {
	case unknown:
		return t.recognise(c, k, b)
	case isTLS:
		return t.tls(c, k, b)
	case isHTTP:
		return t.http(c, k, b)
	case isTelnet:
		return t.telnet(c, k, b)
	case isSSH:
		return t.ssh(c, k, b)
	case isFTP:
		return t.ftp(c, k, b)
	case isIRC:
		return t.irc(c, k, b)
	case isSmall:
		return t.small(c, k, b)
	}
	return false
}
