package dialogue

import (
	"time"

	"cordon/lab/synth/message"
	"cordon/lab/synth/world"
)

// IRC is a client's connection to a server (RFC 1459 §4).
type IRC struct {
	p            *world.Proc
	c            *world.Conn
	server, nick string
}

// JoinIRC plays the registration and joins a channel.
func JoinIRC(p *world.Proc, c *world.Conn, server, nick, channel string) *IRC {
	i := &IRC{p, c, ":" + server, nick}
	c.Up(message.Lines("NICK "+nick, "USER "+nick+" localhost localhost :"+nick))
	p.Sleep(p.Jitter(300*time.Millisecond, 0.3))
	c.Down(message.Lines(i.server+" 001 "+nick+" :Welcome", i.server+" 376 "+nick+" :End of /MOTD command."))
	c.Ask(message.Lines("JOIN "+channel), message.Lines(":"+nick+"!"+nick+"@host JOIN :"+channel,
		i.server+" 332 "+nick+" "+channel+" :be kind", i.server+" 366 "+nick+" "+channel+" :End of /NAMES list."))
	return i
}

// Say sends a line to a channel, Hear receives one from somebody.
func (i *IRC) Say(channel, text string) { i.c.Up(message.Lines("PRIVMSG " + channel + " :" + text)) }

// Hear is a line of somebody in a channel.
func (i *IRC) Hear(who, channel, text string) {
	i.c.Down(message.Lines(":" + who + "!u@host PRIVMSG " + channel + " :" + text))
}

// Ping is the server's question whether the client is there.
func (i *IRC) Ping() {
	i.c.Down(message.Lines("PING " + i.server))
	i.c.Up(message.Lines("PONG " + i.server))
}
