package dialogue

import (
	"bytes"

	"cordon"
	"cordon/agent/observe/dialogue/prompt"
	"cordon/internal/ascii"
)

// The commands of telnet that matter for skipping them, RFC 854 and RFC 855.
const (
	telnetSE   = 240 // ends a sub-negotiation
	telnetSB   = 250 // begins one
	telnetWill = 251 // to DONT, 254: followed by an option
)

// escape is where a side is within a telnet command or an escape sequence of the
// terminal (ECMA-48 §5.4).
type escape uint8

const (
	plain     escape = iota
	command          // behind IAC
	option           // behind WILL, WONT, DO, DONT
	parameter        // between SB and SE
	last             // behind an IAC in there
	esc              // behind ESC
	csi              // behind ESC [
)

// phase is how far a log-in has come.
type phase uint8

const (
	phaseStart    phase = iota
	phaseName           // asked for a name
	phaseNamed          // got one
	phasePassword       // asked for a password
	phaseAnswered       // got one
	phaseShell          // takes commands
)

// telnet is a dialogue with a log-in and a shell.
type telnet struct {
	phase  phase
	escape [2]escape
	cr     bool // the client's last byte was a carriage return
	typed  bool // something of the client's line, where it is not kept
	lines  int  // that the server wrote since the password
	early  bool // the password came before it was asked for
	blind  bool // the client types on without a verdict: lines may be echoes
}

// telnetMost is how many bytes one telnet session is read for: a loader that
// writes a program of 100 kB by echo types four times that.
const telnetMost = 1 << 20

// telnetService is what telnet's facts call it.
var telnetService = []byte("telnet")

func (t *Table) telnet(c *conversation, k int, b []byte) (more bool) {
	if c.said += len(b); c.said > telnetMost {
		return false
	}
	visible := false
	for _, ch := range b {
		if !c.telnet.visible(k, ch) {
			continue
		}
		visible = true
		if k == opener {
			t.typed(c, ch)
		} else {
			t.printed(c, ch)
		}
	}
	if visible && k == answerer {
		t.prompted(c)
	}
	return true
}

// visible takes commands of telnet and escape sequences out.
func (s *telnet) visible(k int, ch byte) bool {
	e := &s.escape[k]
	switch *e {
	case command:
		switch {
		case ch == telnetSB:
			*e = parameter
		case ch >= telnetWill && ch != iac:
			*e = option
		default:
			*e = plain
		}
	case parameter:
		if ch == iac {
			*e = last
		}
	case last:
		*e = parameter
		if ch == telnetSE {
			*e = plain
		}
	case esc:
		*e = plain
		if ch == '[' {
			*e = csi
		}
	case csi:
		if ch >= '@' && ch <= '~' {
			*e = plain
		}
	case option:
		*e = plain
	default:
		switch ch {
		case iac:
			*e = command
		case 0x1b:
			*e = esc
		default:
			return ch != 0
		}
	}
	return false
}

// typed takes a byte of the client. A name or a password is not kept, not even
// until the line is complete.
func (t *Table) typed(c *conversation, ch byte) {
	s, line := &c.telnet, &c.sides[opener]
	ends := ch == '\r' || ch == '\n'
	second := ch == '\n' && s.cr // of CR LF, RFC 854 "The NVT printer and keyboard"
	s.cr = ch == '\r'
	switch {
	case second:
	case s.phase == phaseName || s.phase == phaseNamed || s.phase == phasePassword:
		if !ends {
			s.typed = true
			return
		}
		t.answered(c)
		s.typed = false
	case ends || isSeparator(ch):
		t.shell(c, line.text())
		line.wipe()
	default:
		s.blind = s.blind || s.phase == phaseAnswered
		line.keep(ch)
	}
}

// answered is told that the client has ended its answer to a prompt.
func (t *Table) answered(c *conversation) {
	s := &c.telnet
	switch s.phase {
	case phaseName:
		if s.typed {
			s.phase = phaseNamed
			c.sides[answerer].n = 0 // the prompt
		}
	case phaseNamed: // the password, before it was asked for
		if s.typed {
			t.try(c)
			s.early = true
		}
	case phasePassword: // may be empty
		t.try(c)
	}
}

func (t *Table) try(c *conversation) {
	s := &c.telnet
	s.phase, s.lines, s.early, s.blind = phaseAnswered, 0, false, false
	c.sides[answerer].n = 0 // the prompt
	t.login(telnetService, cordon.LoginTried)
}

// printed takes a byte of the server, whose lines are kept in lower case.
func (t *Table) printed(c *conversation, ch byte) {
	line := &c.sides[answerer]
	switch {
	case ch == '\r' || ch == '\n':
		if text := bytes.TrimSpace(line.text()); len(text) > 0 {
			t.answer(c, text)
		}
		line.n = 0
	case line.n == lineBytes: // a prompt is at the end
		line.n = copy(line.line[:], line.line[lineBytes/2:])
		fallthrough
	default:
		line.keep(ascii.Lower(ch))
	}
}

// outputLines is how many lines that refuse nothing show that the client is in:
// one may be an echo or a blank that a device prints before its verdict.
const outputLines = 2

// answer takes a whole line of the server.
func (t *Table) answer(c *conversation, line []byte) {
	s := &c.telnet
	switch {
	case s.phase == phaseAnswered && (prompt.Refuses(line) || prompt.Asked(line)):
		t.login(telnetService, cordon.LoginRefused)
		s.phase = phaseStart
	case s.phase == phaseNamed && prompt.Refuses(line): // without asking for a password
		t.login(telnetService, cordon.LoginTried)
		t.login(telnetService, cordon.LoginRefused)
		s.phase = phaseStart
	case s.phase == phaseAnswered && !s.blind && len(bytes.Trim(line, "*")) > 0 && prompt.Of(line) == prompt.None:
		if s.lines++; s.lines == outputLines {
			t.in(c)
		}
	}
	if c.shell.asked && bytes.Contains(line, notFound) {
		c.shell.asked = false
		t.told(shellProbe)
	}
}

// notFound is how BusyBox says that it has no such program.
var notFound = []byte("applet not found")

// prompted looks whether the server's line, not yet ended, is a prompt.
func (t *Table) prompted(c *conversation) {
	s := &c.telnet
	asks := prompt.Of(c.sides[answerer].text())
	if s.early && asks == prompt.Password {
		s.early = false
		return
	}
	if s.phase == phaseAnswered && (asks == prompt.Name || asks == prompt.Password) {
		t.login(telnetService, cordon.LoginRefused)
		s.phase = phaseStart
	}
	switch {
	case asks == prompt.Name && s.phase != phaseName && (s.phase != phaseShell || prompt.Bare(c.sides[answerer].text())):
		t.login(telnetService, cordon.LoginPrompt)
		s.phase = phaseName
	case asks == prompt.Password && s.phase == phaseStart:
		t.login(telnetService, cordon.LoginPrompt)
		s.phase = phasePassword
	case asks == prompt.Password && (s.phase == phaseName || s.phase == phaseNamed):
		s.phase = phasePassword
	case asks == prompt.Shell && s.phase == phaseNamed: // no password needed
		t.login(telnetService, cordon.LoginTried)
		t.in(c)
	case asks == prompt.Shell && s.phase == phaseAnswered:
		t.in(c)
	case asks == prompt.Shell && s.phase == phaseStart:
		s.phase = phaseShell
	}
}

// in is told that the client is in.
func (t *Table) in(c *conversation) {
	c.telnet.phase = phaseShell
	c.sides[opener].wipe()
	t.login(telnetService, cordon.LoginSucceeded)
}
