package dialogue

import (
	"time"

	"cordon/lab/synth/message"
	"cordon/lab/synth/world"
)

// The sizes of encrypted SSH packets, in bytes, as OpenSSH's default cipher makes
// them: what is asked and answered before a password, a try, its answers.
const (
	sshService  = 44
	sshNone     = 68
	sshMethods  = 60
	sshTry      = 148 // the client pads it, so that its length tells nothing
	sshRefusal  = 60
	sshSuccess  = 36
	sshKeyPress = 36
)

// SSH is a session that begins with a log-in.
type SSH struct {
	p *world.Proc
	c *world.Conn
}

// OpenSSH plays everything up to the first password: banners, keys, service.
func OpenSSH(p *world.Proc, c *world.Conn, client, server string) *SSH {
	c.Up(message.SSHBanner(client))
	p.Sleep(p.Jitter(8*time.Millisecond, 0.5))
	c.Down(message.SSHBanner(server))
	c.Ask(message.SSHKexInit(p.Rand), message.SSHKexInit(p.Rand))
	c.Ask(message.SSHExchange(p.Rand), message.SSHExchanged(p.Rand))
	c.Up(message.SSHNewKeys(p.Rand))
	s := &SSH{p, c}
	s.ask(sshService, sshService)
	s.ask(sshNone, sshMethods)
	return s
}

func (s *SSH) ask(up, down int) {
	s.c.Ask(message.Opaque(s.p.Rand, up), message.Opaque(s.p.Rand, down))
}

// Login tries a password; a refusal takes a second or two.
func (s *SSH) Login(ok bool) {
	s.c.Up(message.Opaque(s.p.Rand, sshTry))
	answer := sshSuccess
	if !ok {
		answer = sshRefusal
		s.p.Sleep(s.p.Jitter(1800*time.Millisecond, 0.25))
	}
	s.c.Down(message.Opaque(s.p.Rand, answer))
}

// Type is a person at the shell who presses so many keys.
func (s *SSH) Type(keys int) {
	for range keys {
		s.ask(sshKeyPress, sshKeyPress+8*s.p.IntN(3))
		if !s.p.Sleep(s.p.Poisson(220 * time.Millisecond)) {
			return
		}
	}
	s.c.Down(message.Opaque(s.p.Rand, 600+s.p.IntN(2000)))
}

// Show is a program that asks for a report of size bytes.
func (s *SSH) Show(size int) {
	s.ask(2*sshService, sshService)
	s.c.Down(message.Opaque(s.p.Rand, size))
}

// Copy is a program that sends size bytes.
func (s *SSH) Copy(size int) {
	s.ask(2*sshService, sshService)
	for ; size > 0; size -= 32768 {
		s.c.Up(message.Opaque(s.p.Rand, min(size, 32768)))
	}
	s.ask(sshService, sshSuccess)
}
