package dialogue

import (
	"cordon"
	"cordon/internal/ascii"
)

// Bounds of an FTP conversation: of a client's line its command is kept (RFC 959
// §4.1), of a server's its code (§4.2), so that no name and no password is.
const (
	ftpVerb = 4
	ftpCode = 4
	ftpMost = 8192 // bytes of both sides
)

var ftpService = []byte("ftp")

// ftp reads the control connection up to the log-in, RFC 959 §5.4.
func (t *Table) ftp(c *conversation, k int, b []byte) (more bool) {
	if c.said += len(b); c.said > ftpMost {
		return false
	}
	for len(b) > 0 {
		most := ftpVerb
		if k == answerer {
			most = ftpCode
		}
		line, rest, whole := c.sides[k].take(b, most)
		b = rest
		if !whole || len(line) < 3 {
			continue
		}
		if k == opener && !t.ftpCommand(c, line) || k == answerer && !t.ftpReply(c, line) {
			return false
		}
	}
	return true
}

func (t *Table) ftpCommand(c *conversation, line []byte) (more bool) {
	switch verb := line[:min(len(line), ftpVerb)]; {
	case ascii.EqualFold(verb, "user"):
		c.telnet.phase = phaseNamed
	case ascii.EqualFold(verb, "pass"):
		c.telnet.phase = phaseAnswered
		t.login(ftpService, cordon.LoginTried)
	case ascii.EqualFold(verb, "auth"): // TLS follows, RFC 4217
		return false
	}
	return true
}

// ftpReply reads a reply; of one in several lines, the last.
func (t *Table) ftpReply(c *conversation, line []byte) (more bool) {
	if len(line) > 3 && line[3] != ' ' {
		return true
	}
	s := &c.telnet
	switch code := string(line[:3]); {
	case code == "331" || code == "332": // wants a password
		t.login(ftpService, cordon.LoginPrompt)
	case code == "230" || code == "232":
		if s.phase == phaseNamed { // none needed
			t.login(ftpService, cordon.LoginTried)
		}
		t.login(ftpService, cordon.LoginSucceeded)
		return false
	case s.phase == phaseAnswered && (line[0] == '5' || line[0] == '4'):
		t.login(ftpService, cordon.LoginRefused)
		s.phase = phaseStart
	}
	return true
}
