package dialogue

import (
	"bytes"

	"cordon/agent/observe/dialogue/prompt"
	"cordon/internal/ascii"
)

// opening is how a side's first bytes show its protocol.
type opening struct {
	text string
	kind kind
}

// openers is what openers say first. Methods: RFC 9110 §9.3, RFC 5789, and those of
// UPnP and WebDAV; IRC: RFC 2812 §3.1; the preface of HTTP/2: RFC 9113 §3.4.
var openers = []opening{
	{"\x16\x03", isTLS}, {"SSH-", isSSH},
	{"GET ", isHTTP}, {"POST ", isHTTP}, {"HEAD ", isHTTP}, {"PUT ", isHTTP}, {"OPTIONS ", isHTTP}, {"DELETE ", isHTTP},
	{"CONNECT ", isHTTP}, {"PATCH ", isHTTP}, {"TRACE ", isHTTP}, {"NOTIFY ", isHTTP}, {"SUBSCRIBE ", isHTTP},
	{"UNSUBSCRIBE ", isHTTP}, {"M-SEARCH ", isHTTP}, {"PROPFIND ", isHTTP},
	{"PRI * HTTP/2", other}, {"RTSP/", other}, {"DESCRIBE ", other}, {"HELO ", other}, {"EHLO ", other},
	{"NICK ", isIRC}, {"CAP LS", isIRC}, {"CAP REQ", isIRC}, {"JOIN ", isIRC}, {"PASS ", isIRC},
	{"\x13BitTorrent protocol", other},
}

// answerers is what answerers say first: SSH (RFC 4253 §4.2), POP3, IMAP, VNC.
var answerers = []opening{
	{"SSH-", isSSH}, {"+OK", other}, {"* OK", other}, {"RFB 00", other}, {"HTTP/1.", other},
}

// iac begins every telnet command, RFC 854.
const iac = 255

// recognise gathers what the sides say first until it shows their protocol, and
// then reads it by that.
func (t *Table) recognise(c *conversation, k int, b []byte) (more bool) {
	s := &c.sides[k]
	fresh := s.n == 0
	n := copy(s.line[s.n:], b)
	s.n += n
	kind := guess(c.sides[opener].text(), c.sides[answerer].text())
	switch {
	case kind == unknown && s.n < lineBytes:
		return true
	case kind == unknown && isFTPGreeting(c.sides[answerer].text()):
		kind = isFTP // with a long one
	case kind == unknown:
		kind = isSmall
	}
	c.kind = kind
	if kind == isSmall {
		t.move(c, quiet)
	}
	if far := &c.sides[1-k]; !t.again(c, 1-k, far.text()) {
		return false
	}
	if fresh {
		s.wipe()
		return t.hear(c, k, b)
	}
	return t.again(c, k, s.text()) && (n == len(b) || t.hear(c, k, b[n:]))
}

// again hears what was gathered of side k.
func (t *Table) again(c *conversation, k int, text []byte) (more bool) {
	if len(text) == 0 {
		return c.kind != other
	}
	text = t.text[:copy(t.text[:], text)]
	c.sides[k].wipe()
	more = t.hear(c, k, text)
	clear(text)
	return more
}

// guess returns the protocol in which the opener has said o and the answerer a;
// unknown when more is needed to tell.
func guess(o, a []byte) kind {
	if len(o) > 0 && o[0] == iac || len(a) > 0 && a[0] == iac {
		return isTelnet
	}
	said := bytes.Trim(o, "\r\n")
	if isFTPGreeting(a) {
		return greeted(said)
	}
	ko, kindO := match(openers, said)
	ka, kindA := match(answerers, a)
	switch {
	case kindA != unknown && len(a) > 0:
		return kindA
	case kindO != unknown && len(said) > 0:
		return kindO
	}
	if mqtt, done := isMQTT(o); mqtt {
		return done
	}
	if user, done := isUser(said); user {
		return done
	}
	switch asks := prompt.Of(a[bytes.LastIndexByte(a, '\n')+1:]); {
	case asks == prompt.Name || asks == prompt.Password:
		return isTelnet
	case bytes.Contains(a, []byte("NOTICE ")) && bytes.IndexByte(a, '\n') > 0:
		return isIRC
	case len(said) == 0 && isText(a):
		return unknown
	case ko && len(said) > 0, ka && len(a) > 0:
		return unknown
	}
	return isSmall
}

// match returns the protocol whose opening b begins with, or whether b may yet
// become one.
func match(list []opening, b []byte) (maybe bool, k kind) {
	for i := range list {
		text := list[i].text
		n := min(len(text), len(b))
		if text[:n] != string(b[:n]) {
			continue
		}
		if n == len(text) {
			return false, list[i].kind
		}
		maybe = true
	}
	return maybe, unknown
}

// greeted returns what follows a greeting that FTP (RFC 959 §5.4) and SMTP
// (RFC 5321 §4.2) share.
func greeted(said []byte) kind {
	switch {
	case len(said) < 4:
		return unknown
	case ascii.HasPrefixFold(said, "helo"), ascii.HasPrefixFold(said, "ehlo"):
		return other
	}
	return isFTP
}

func isFTPGreeting(a []byte) bool {
	return len(a) >= 4 && string(a[:3]) == "220" && (a[3] == ' ' || a[3] == '-')
}

// isUser knows the one command that IRC and FTP have both: IRC's has four
// parameters (RFC 2812 §3.1.3).
func isUser(said []byte) (is bool, k kind) {
	const user = "USER "
	n := min(len(user), len(said))
	if n == 0 || string(said[:n]) != user[:n] {
		return false, unknown
	}
	line, _, whole := bytes.Cut(said, []byte("\n"))
	switch {
	case bytes.Count(line, []byte(" ")) >= 4:
		return true, isIRC
	case whole:
		return true, isFTP
	}
	return true, unknown
}

// isMQTT knows a CONNECT of MQTT 3.1 ("MQIsdp") to 5 ("MQTT"): type 1, a length
// of one to four bytes, then the protocol's name (MQTT 5.0 §3.1).
func isMQTT(o []byte) (is bool, k kind) {
	if len(o) == 0 || o[0] != 0x10 {
		return false, unknown
	}
	i := 1
	for i < len(o) && i < 4 && o[i]&0x80 != 0 {
		i++
	}
	for _, name := range [...]string{"\x00\x04MQTT", "\x00\x06MQIsdp"} {
		b := o[min(i+1, len(o)):]
		if n := min(len(b), len(name)); name[:n] == string(b[:n]) {
			if n == len(name) {
				return true, other
			}
			is = true
		}
	}
	return is, unknown
}

// isText reports whether b is readable, maybe with colours.
func isText(b []byte) bool {
	for _, ch := range b {
		if ch < ' ' && ch != '\r' && ch != '\n' && ch != '\t' && ch != 0x1b && ch != 0 && ch != '\b' || ch == 0x7f {
			return false
		}
	}
	return true
}
