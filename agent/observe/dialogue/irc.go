package dialogue

import (
	"bytes"

	"cordon"
	"cordon/internal/ascii"
)

// ircMost is how many bytes of an IRC connection are read: days of a bot, hours of
// a busy channel.
const ircMost = 1 << 18

// What FactIRC calls messages: those of RFC 2812 §3 that a bot and its master need;
// "welcome" is reply 001 (§5.1), "command" is a text that orders a bot.
var (
	ircServices = [...][]byte{[]byte("nick"), []byte("user"), []byte("join"), []byte("privmsg"), []byte("notice"),
		[]byte("topic"), []byte("ping"), []byte("pong")}
	ircWelcome = []byte("welcome")
	ircCommand = []byte("command")
)

// irc reads messages line by line. Nicknames, passwords and texts are not told.
func (t *Table) irc(c *conversation, k int, b []byte) (more bool) {
	if c.said += len(b); c.said > ircMost {
		return false
	}
	for len(b) > 0 {
		line, rest, whole := c.sides[k].take(b, lineBytes)
		b = rest
		if whole {
			t.ircLine(k, line)
			clear(c.sides[k].line[:])
		}
	}
	return true
}

func (t *Table) ircLine(k int, line []byte) {
	if len(line) > 0 && line[0] == '@' { // tags of IRCv3
		_, line = cutWord(line)
	}
	if len(line) > 0 && line[0] == ':' { // who says it
		_, line = cutWord(line)
	}
	word, rest := cutWord(line)
	target, text := cutWord(rest)
	switch string(word) {
	case "001":
		t.tell(cordon.FactIRC, k, cordon.Observation{Service: ircWelcome})
		return
	case "332": // the topic, told who joins; bots take orders from it
		target, text = cutWord(text)
		word = ircServices[5]
	}
	for i, name := range ircServices {
		if !ascii.EqualFold(word, string(name)) {
			continue
		}
		switch {
		case i < 2 || i > 5:
			target = nil
		case i > 2 && isOrder(text):
			name = ircCommand
		}
		t.tell(cordon.FactIRC, k, cordon.Observation{Service: name, Name: t.channel(target)})
		return
	}
}

// channel returns a channel's name in lower case (RFC 2812 §1.3), nil for a
// person's.
func (t *Table) channel(b []byte) []byte {
	b = bytes.TrimPrefix(b, []byte(":"))
	if i := bytes.IndexByte(b, ','); i >= 0 {
		b = b[:i]
	}
	if len(b) < 2 || b[0] != '#' && b[0] != '&' && b[0] != '+' && b[0] != '!' {
		return nil
	}
	return t.lower(b)
}

// orders is what the bots of the Kaiten and Gafgyt families, and those made after
// them, are ordered to do.
var orders = [...]string{"scan", "scanner", "flood", "udp", "udpflood", "tcp", "tcpflood", "syn", "synflood", "ack", "http", "httpflood",
	"std", "tsunami", "pan", "hold", "junk", "exec", "sh", "cmd", "download", "dl", "get", "wget", "update", "kill", "killall",
	"spoofs", "stop", "ddos", "advscan", "lolnogtfo", "irc", "remove", "uninstall"}

// isOrder reports whether a text orders a bot: a sign, maybe whom it is for, and
// what to do.
func isOrder(text []byte) bool {
	text = bytes.TrimPrefix(bytes.TrimSpace(text), []byte(":"))
	if len(text) < 2 || bytes.IndexByte([]byte(".!@*"), text[0]) < 0 {
		return false
	}
	text = bytes.TrimLeft(text, ".!@* ")
	word, _ := cutWord(text)
	if i := bytes.IndexByte(word, '.'); i > 0 {
		word = word[:i] // "udp.start"
	}
	for _, order := range orders {
		if ascii.EqualFold(word, order) {
			return true
		}
	}
	return false
}
